/**
 * The user by which analysts read on a ClickHouse server: one database, nothing else, with limits that they cannot lift. Output formats
 * are settings, which `readonly = 2` allows to change. The embedded ClickHouse has no users; there only the API gives access, read-only.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { messageOf } from '../../engine/errors.ts'
import { clickHouseClient, selectRows } from './client.ts'

export interface ReadOnlyUser {
  readonly name: string
  readonly password: string
}

/** One per database, since several installations may share a server. */
const nameOf = (database: string) => `bma_analyst_${database.replace(/\W/g, '_')}`
/** Codes: not enough rights, no writable user store, or access management switched off. */
const NOT_ALLOWED = ['497', '514', '495']

/** How long to wait after a failure before trying again. */
const RETRY_MS = 10_000

export interface Analysts {
  /** The user to query as. @throws {Error} saying why there is none */
  user(): Promise<ReadOnlyUser>
  /** Why the last attempt failed; null if it did not. */
  refused(): string | null
}

/**
 * Creates or updates the analysts' user and tests it: it must be refused what it must not do. Until then there are no queries.
 * @param url with our own user
 * @param password derived from a secret of the installation, so that all its processes have the same one
 */
export function analystsOf(url: string, password: string): Analysts {
  let found: Promise<ReadOnlyUser> | null = null
  let refused: { readonly why: string; readonly at: number } | null = null
  const look = async () => {
    const user = await ensureAnalyst(url, password)
    await tryOut(url, user)
    refused = null
    return user
  }
  return {
    refused: () => refused?.why ?? null,
    user: () => {
      if (refused !== null && performance.now() - refused.at < RETRY_MS) return Promise.reject(new Error(refused.why))
      found ??= look().catch(error => {
        refused = { why: `analysts are refused: ${messageOf(error)}`, at: performance.now() }
        found = null
        throw new Error(refused.why, { cause: error })
      })
      return found
    },
  }
}

async function ensureAnalyst(url: string, password: string): Promise<ReadOnlyUser> {
  const client = clickHouseClient(url)
  try {
    const database = await currentDatabase(client)
    const user = { name: nameOf(database), password }
    try {
      for (const query of analystSql(database, password)) await client.command({ query })
    } catch (error) {
      // An administrator may have created it.
      if (!NOT_ALLOWED.includes(codeOf(error))) throw error
    }
    return user
  } finally {
    await client.close()
  }
}

/** What the analysts' user must be refused; if it is not, none of it does any harm. */
const FORBIDDEN = [
  'CREATE TABLE analyst_probe (a UInt8) ENGINE = Memory',
  'CREATE TEMPORARY TABLE analyst_probe (a UInt8)',
  "SELECT * FROM file('analyst_probe.csv', 'CSV', 'a UInt8')",
  "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a UInt8')",
  'SELECT count() FROM system.users',
  'KILL QUERY WHERE 0',
  'SELECT 1 SETTINGS readonly = 0',
  'SELECT 1 SETTINGS max_execution_time = 31',
]
/** Codes: not enough rights, read-only, a constrained setting. */
const REFUSALS = ['497', '164', '452']

/** @throws {Error} when it may do more than it should, or less */
async function tryOut(url: string, { name, password }: ReadOnlyUser): Promise<void> {
  const as = new URL(url)
  as.username = encodeURIComponent(name)
  as.password = encodeURIComponent(password)
  const client = clickHouseClient(as.href)
  try {
    await client.query({ query: 'SHOW TABLES' }).then(result => result.text())
    for (const query of FORBIDDEN) {
      const code = await client.exec({ query }).then(({ stream }) => void stream.resume(), codeOf)
      if (code === undefined || !REFUSALS.includes(code)) throw new Error(`the user ${name} may run: ${query}`)
    }
  } catch (error) {
    if (codeOf(error) !== '516') throw error
    throw new Error(
      `there is no user ${name} with our password: give the user of CLICKHOUSE_URL access management ` +
        '(CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT=1), so that it can be made',
      { cause: error },
    )
  } finally {
    await client.close()
  }
}

function codeOf(error: unknown): string {
  return String((error as { code?: unknown }).code ?? '')
}

/** What an administrator runs by hand if our own user may not. */
export function analystSql(database: string, password: string): string[] {
  const name = nameOf(database)
  const on = `\`${database.replace(/[\\`]/g, '\\$&')}\``
  return [
    `CREATE SETTINGS PROFILE IF NOT EXISTS ${name}_limits`,
    `ALTER SETTINGS PROFILE ${name}_limits SETTINGS readonly = 2 CONST, allow_ddl = 0 CONST,
      max_execution_time = 30 MIN 1 MAX 30, max_memory_usage = 402653184 MIN 1 MAX 402653184, max_result_rows = 1000000 MIN 1 MAX 1000000,
      max_result_bytes = 33554432 MIN 1 MAX 33554432, result_overflow_mode = 'throw' CONST, max_concurrent_queries_for_user = 16`,
    `CREATE QUOTA IF NOT EXISTS ${name}_quota`,
    `ALTER QUOTA ${name}_quota KEYED BY user_name FOR INTERVAL 1 hour MAX queries = 20000, execution_time = 1800`,
    `CREATE ROLE IF NOT EXISTS ${name}_role`,
    `GRANT SELECT, SHOW ON ${on}.* TO ${name}_role`,
    `CREATE USER IF NOT EXISTS ${name}`,
    `ALTER USER ${name} IDENTIFIED WITH sha256_password BY '${password.replace(/[\\']/g, '\\$&')}'
      DEFAULT DATABASE ${on} DEFAULT ROLE NONE SETTINGS PROFILE '${name}_limits'`,
    `GRANT ${name}_role TO ${name}`,
    `ALTER USER ${name} DEFAULT ROLE ${name}_role`,
    `ALTER QUOTA ${name}_quota TO ${name}`,
  ]
}

async function currentDatabase(client: ClickHouseClient): Promise<string> {
  const [row] = await selectRows<{ name: string }>(client, 'SELECT currentDatabase() AS name')
  return row?.name ?? 'default'
}

/**
 * The user by whom analysts read on a server of one's own: one database, nothing else, with limits that they cannot lift.
 * The embedded ClickHouse has no users; there the API alone gives access, read only.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import { selectRows } from './client.ts'

export interface ReadOnlyUser {
  readonly name: string
  readonly password: string
}

/** One for each database: several installations may share a server. */
const nameOf = (database: string) => `bma_analyst_${database.replace(/\W/g, '_')}`
/** Not enough rights, no store for users that can be written, or access management switched off. */
const NOT_ALLOWED = ['497', '514', '495']

/**
 * Makes the analysts' role, limits and user, or brings them up to date. To be called at start, where CLICKHOUSE_URL is set.
 * @param password derived from a secret of the installation, so that every process of it has the same one
 * @returns null where our own user may not make users: then the API asks as our own user, with `readonly`
 */
export async function ensureAnalyst(client: ClickHouseClient, password: string): Promise<ReadOnlyUser | null> {
  try {
    const database = await currentDatabase(client)
    for (const query of analystSql(database, password)) await client.command({ query })
    return { name: nameOf(database), password }
  } catch (error) {
    if (NOT_ALLOWED.includes((error as { code?: string }).code ?? '')) return null
    throw error
  }
}

/** What an administrator runs by hand where our own user may not. */
export function analystSql(database: string, password: string): string[] {
  const name = nameOf(database)
  const on = `\`${database.replace(/[\\`]/g, '\\$&')}\``
  return [
    `CREATE SETTINGS PROFILE IF NOT EXISTS ${name}_limits`,
    `ALTER SETTINGS PROFILE ${name}_limits SETTINGS readonly = 1, max_execution_time = 30, max_memory_usage = 1073741824,
      max_result_rows = 1000000, max_result_bytes = 134217728, result_overflow_mode = 'throw', max_concurrent_queries_for_user = 4`,
    `CREATE QUOTA IF NOT EXISTS ${name}_quota`,
    `ALTER QUOTA ${name}_quota KEYED BY user_name FOR INTERVAL 1 hour MAX queries = 2000, execution_time = 1800`,
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

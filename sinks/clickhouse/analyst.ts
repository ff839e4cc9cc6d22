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

const NAME = 'bma_analyst'
/** Not enough rights, no store for users that can be written, or access management switched off. */
const NOT_ALLOWED = ['497', '514', '495']

/**
 * Makes the analysts' role, limits and user, or brings them up to date. To be called at start, where CLICKHOUSE_URL is set.
 * @param password derived from a secret of the installation, so that every process of it has the same one
 * @returns null where our own user may not make users: then the API asks as our own user, with `readonly`
 */
export async function ensureAnalyst(client: ClickHouseClient, password: string): Promise<ReadOnlyUser | null> {
  try {
    for (const query of analystSql(await currentDatabase(client), password)) await client.command({ query })
    return { name: NAME, password }
  } catch (error) {
    if (NOT_ALLOWED.includes((error as { code?: string }).code ?? '')) return null
    throw error
  }
}

/** What an administrator runs by hand where our own user may not. */
export function analystSql(database: string, password: string): string[] {
  const on = `\`${database.replace(/[\\`]/g, '\\$&')}\``
  return [
    `CREATE SETTINGS PROFILE IF NOT EXISTS ${NAME}_limits`,
    `ALTER SETTINGS PROFILE ${NAME}_limits SETTINGS readonly = 1, max_execution_time = 30, max_memory_usage = 1073741824,
      max_result_rows = 1000000, max_result_bytes = 134217728, result_overflow_mode = 'throw', max_concurrent_queries_for_user = 4`,
    `CREATE QUOTA IF NOT EXISTS ${NAME}_quota`,
    `ALTER QUOTA ${NAME}_quota KEYED BY user_name FOR INTERVAL 1 hour MAX queries = 2000, execution_time = 1800`,
    `CREATE ROLE IF NOT EXISTS ${NAME}_role`,
    `GRANT SELECT, SHOW ON ${on}.* TO ${NAME}_role`,
    `CREATE USER IF NOT EXISTS ${NAME}`,
    `ALTER USER ${NAME} IDENTIFIED WITH sha256_password BY '${password.replace(/[\\']/g, '\\$&')}'
      DEFAULT DATABASE ${on} DEFAULT ROLE NONE SETTINGS PROFILE '${NAME}_limits'`,
    `GRANT ${NAME}_role TO ${NAME}`,
    `ALTER USER ${NAME} DEFAULT ROLE ${NAME}_role`,
    `ALTER QUOTA ${NAME}_quota TO ${NAME}`,
  ]
}

async function currentDatabase(client: ClickHouseClient): Promise<string> {
  const [row] = await selectRows<{ name: string }>(client, 'SELECT currentDatabase() AS name')
  return row?.name ?? 'default'
}

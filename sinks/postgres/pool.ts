import pg from 'pg'
import type { Logger } from 'pino'

/**
 * A connection pool that survives an outage of the server: running queries fail, later ones reconnect.
 * @param statementTimeoutMs ends statements that take longer, in ms; 0 for none.
 */
export function openPool(options: {
  url: string
  log: Pick<Logger, 'warn'>
  max?: number
  statementTimeoutMs?: number
  name?: string
}): pg.Pool {
  const pool = new pg.Pool({
    connectionString: options.url,
    max: options.max ?? 10,
    connectionTimeoutMillis: 5_000,
    statement_timeout: options.statementTimeoutMs ?? 0,
    application_name: options.name ?? 'bma-social',
    // A short word may have one wrong letter. And on SSDs an index pays even if it finds a tenth of a table.
    options: '-c pg_trgm.word_similarity_threshold=0.41 -c random_page_cost=1.1',
  })
  pool.on('error', error => options.log.warn({ reason: error.message }, 'a connection to Postgres was lost'))
  // A connection lost between two statements of a transaction: its next statement fails. Unhandled, it would end the process.
  pool.on('connect', client => client.on('error', () => {}))
  return pool
}

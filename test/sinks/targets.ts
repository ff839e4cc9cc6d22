/** The stores that the chaos fills, each also filled once without any fault, to be compared. */
import type pg from 'pg'
import { migrate } from '../../sinks/postgres/migrate.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import { postgresTopics, startPostgresSink } from '../../sinks/postgres/sink.ts'
import type { Sink } from '../../sinks/sink.ts'
import type { Topic } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Log } from '../../topics/log.ts'

export interface Addresses {
  readonly database: string
}

export interface Started {
  readonly sink: Sink
  close(): Promise<void>
}

export interface Target {
  readonly name: string
  readonly topics: readonly Topic[]
  /** Makes it ready to be filled. */
  prepare(addresses: Addresses): Promise<void>
  start(addresses: Addresses, parts: { log: Log; codec: Codec; instance: string; group: string }): Promise<Started>
  /** All that it holds, as lines by table, in an order of its own. */
  dump(addresses: Addresses): Promise<Map<string, string[]>>
}

const logger = {
  info: () => {},
  warn: (what: object) => console.error(JSON.stringify(what)),
  error: (what: object) => console.error(JSON.stringify(what)),
}

const POSTGRES_TABLES = [
  'venues',
  'zones',
  'venue_events',
  'conversations',
  'conversation_events',
  'conversation_archive',
  'messages',
  'message_reports',
  'issues',
  'alerts',
  'sync_runs',
]

const pools = new Map<string, pg.Pool>()
const poolOf = (url: string) => {
  const pool = pools.get(url) ?? openPool({ url, log: logger, name: 'chaos', max: 6 })
  pools.set(url, pool)
  return pool
}
export async function closePools(): Promise<void> {
  await Promise.all([...pools.values()].map(pool => pool.end()))
  pools.clear()
}

const postgres: Target = {
  name: 'postgres',
  topics: postgresTopics,
  prepare: async ({ database }) => void (await migrate(poolOf(database))),
  start: async ({ database }, parts) => {
    const sink = await startPostgresSink({ ...parts, pool: poolOf(database), logger })
    return { sink, close: () => sink.close() }
  },
  dump: async ({ database }) => {
    const tables = new Map<string, string[]>()
    for (const table of POSTGRES_TABLES) {
      const { rows } = await poolOf(database).query<{ line: string }>(`SELECT t::text AS line FROM ${table} t ORDER BY 1`)
      tables.set(
        table,
        rows.map(row => row.line),
      )
    }
    return tables
  },
}

export const targets: readonly Target[] = [postgres]

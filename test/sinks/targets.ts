/** The stores that the chaos fills, each also filled once without any fault, to be compared. */
import { connectRedis } from '../stack/redis.ts'
import type pg from 'pg'
import { clickHouseClient, selectRows } from '../../sinks/clickhouse/client.ts'
import { migrateClickHouse } from '../../sinks/clickhouse/migrate.ts'
import { reconcile } from '../../sinks/clickhouse/reconcile.ts'
import { clickhouseStore } from '../../sinks/clickhouse/store.ts'
import { migrate } from '../../sinks/postgres/migrate.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import { postgresTopics, startPostgresSink } from '../../sinks/postgres/sink.ts'
import { CACHED, redisStore } from '../../sinks/redis/store.ts'
import { type Sink, startSink } from '../../sinks/sink.ts'
import type { Topic } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Log } from '../../topics/log.ts'

export interface Addresses {
  readonly database: string
  readonly redis: string
  readonly clickhouse: string
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

const redis: Target = {
  name: 'redis',
  topics: CACHED,
  prepare: async () => {},
  start: async (addresses, { log, codec, instance, group }) => {
    const client = await connectRedis(addresses.redis)
    const sink = await startSink({ log, codec, instance, group, logger, store: redisStore(client) })
    return {
      sink,
      close: async () => {
        await sink.close()
        client.disconnect()
      },
    }
  },
  /** Deletions may be remembered or not: only values count. */
  dump: async addresses => {
    const client = await connectRedis(addresses.redis)
    const lines: string[] = []
    for await (const keys of client.scanStream({ match: 'v1:*:{*', count: 1_000 })) {
      for (const key of keys as string[]) {
        const [version, json] = await client.hmget(key, 'v', 'j')
        if (json !== null) lines.push(`${key} ${version} ${json}`)
      }
    }
    client.disconnect()
    return new Map([['values', lines.sort()]])
  },
}

/** Tables, and whether rows of one key replace each other. */
const CLICKHOUSE_TABLES = {
  conversation_events: '',
  message_log: 'FINAL',
  deliveries: '',
  venue_events: '',
  commands: '',
  zone_states: '',
  sync_runs: '',
  issue_log: 'FINAL',
}

const clickhouse: Target = {
  name: 'clickhouse',
  topics: clickhouseStore({ client: null as never, pool: null as never }).topics,
  prepare: async addresses => {
    const client = clickHouseClient(addresses.clickhouse)
    await migrateClickHouse({ client, pool: poolOf(addresses.database) })
    await client.close()
  },
  start: async (addresses, { log, codec, instance, group }) => {
    const client = clickHouseClient(addresses.clickhouse)
    const store = clickhouseStore({ client, pool: poolOf(addresses.database) })
    const sink = await startSink({ log, codec, instance, group, logger, store, lingerMs: 300 })
    return {
      sink,
      close: async () => {
        await sink.close()
        await client.close()
      },
    }
  },
  /** Roll-ups are compared to what they are made of. */
  dump: async addresses => {
    const client = clickHouseClient(addresses.clickhouse)
    const tables = new Map<string, string[]>()
    for (const [table, final] of Object.entries(CLICKHOUSE_TABLES)) {
      const rows = await selectRows<object>(client, `SELECT * EXCEPT (not_after) FROM ${table} ${final}`)
      tables.set(table, rows.map(row => JSON.stringify(row)).sort())
    }
    const differences = await reconcile(client, Date.now() + 365 * 86_400_000)
    tables.set(
      'differences of roll-ups',
      differences.map(difference => JSON.stringify(difference)),
    )
    await client.close()
    return tables
  },
}

export const targets: readonly Target[] = [postgres, redis, clickhouse]

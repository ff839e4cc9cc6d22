/** Starts the sinks: Postgres, Redis where there is one, ClickHouse where there is one. */
import type { DependencyStatus } from '../api/health.ts'
import { clickHouseClient } from '../sinks/clickhouse/client.ts'
import { migrateClickHouse } from '../sinks/clickhouse/migrate.ts'
import { clickhouseStore } from '../sinks/clickhouse/store.ts'
import { openPool } from '../sinks/postgres/pool.ts'
import { startRetention } from '../sinks/postgres/retention.ts'
import { startPostgresSink } from '../sinks/postgres/sink.ts'
import { redisStore } from '../sinks/redis/store.ts'
import { type Sink, startSink } from '../sinks/sink.ts'
import { scheduleReconcile } from './clickhouse.ts'
import type { Parts } from './parts.ts'
import { optional } from './readiness.ts'
import { openRedisOf, SINK_REDIS_MS } from './redis.ts'
import { instanceOf } from './worker.ts'

/** What the API reads is there at once; ClickHouse wants few large inserts. */
const LINGER_MS = { soon: 5, analytics: 1_000 }

export async function startSinks(parts: Parts, url: string, clickhouse: string | null): Promise<void> {
  const { log, codec, logger, settings, closers, dependencies, readers } = parts
  const pool = openPool({ url, log: logger, name: 'sink' })
  closers.push(() => pool.end())
  const instance = instanceOf(parts, 'sinks')
  const { messageRetentionDays: keepDays } = settings
  const run = async (name: string, starting: Promise<Sink>) => {
    const sink = await starting
    closers.push(() => sink.close())
    readers[`bma.sinks.${name}`] = () => sink.positions()
    return sink
  }
  const postgres = await run(
    'postgres',
    startPostgresSink({ log, codec, pool, logger, instance, lingerMs: LINGER_MS.soon, keepDays }),
  )
  if (keepDays !== null) {
    const retention = startRetention({ pool, days: keepDays, logger })
    closers.push(() => retention.close())
  }
  dependencies.postgres = () => postgres.status()
  if (parts.settings.redisUrl !== null) {
    const store = redisStore(openRedisOf(parts, parts.settings.redisUrl, SINK_REDIS_MS))
    const cache = await run('redis', startSink({ log, codec, store, logger, instance, lingerMs: LINGER_MS.soon }))
    dependencies.redis = () => optional(cache.status())
  }
  if (clickhouse === null) return
  const client = clickHouseClient(clickhouse)
  closers.push(() => client.close())
  const store = clickhouseStore({ client, pool })
  let migrated = false
  const claim: typeof store.claim = async partitions => {
    if (!migrated) await migrateClickHouse({ client, pool })
    migrated = true
    return store.claim(partitions)
  }
  // One that is inside has all of the log for itself.
  const share = settings.kafka !== null && settings.clickhouseUrl === null ? { group: `bma.sinks.clickhouse.${instance}` } : {}
  const analytics = await run(
    'clickhouse',
    startSink({ log, codec, store: { ...store, claim }, logger, instance, lingerMs: LINGER_MS.analytics, ...share }),
  )
  scheduleReconcile(parts, client)
  const server = dependencies.clickhouse as () => DependencyStatus
  dependencies.clickhouse = () => (server().status === 'up' ? optional(analytics.status()) : server())
}

/**
 * Rows per second from a log in memory into each store by its sink, beside what the store takes of the same rows without one:
 * Postgres by COPY from a file into the same tables with the same indexes, Redis by a pipeline of HSET and PEXPIRE, ClickHouse by
 * inserts of its client in blocks of 10,000.
 */
import { connectRedis } from '../test/stack/redis.ts'
import { chmodSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type pg from 'pg'
import { clickHouseClient, selectRows } from '../sinks/clickhouse/client.ts'
import { startEmbeddedClickHouse } from '../sinks/clickhouse/embedded.ts'
import { migrateClickHouse } from '../sinks/clickhouse/migrate.ts'
import { clickhouseStore } from '../sinks/clickhouse/store.ts'
import { startEmbeddedPostgres } from '../sinks/postgres/embedded.ts'
import { migrate } from '../sinks/postgres/migrate.ts'
import { openPool } from '../sinks/postgres/pool.ts'
import { startPostgresSink } from '../sinks/postgres/sink.ts'
import { redisStore } from '../sinks/redis/store.ts'
import { type Sink, startSink } from '../sinks/sink.ts'
import { TestLog } from '../sinks/testing/log.ts'
import { startStack } from '../test/stack/stack.ts'
import { conversationEvents, conversationInbox, type Topic, venueProfiles } from '../topics/catalog.ts'

export interface SinkRate {
  readonly rows: number
  readonly rowsPerSecond: number
  readonly baselinePerSecond: number
}

const AT = Date.UTC(2026, 4, 1)
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

/** Messages and events of 10,000 conversations over three months. */
export async function conversationLog(messages: number): Promise<TestLog> {
  const log = await TestLog.open()
  for (let n = 0; n < messages; n++) {
    const key = `main:c${(n * 7919) % 10_000}`
    const at = AT + Math.floor((n / messages) * 90 * 86_400_000)
    const [id, user] = [`wamid.${n.toString(36).padStart(40, 'A')}`, `668${(n * 7919) % 10_000}`]
    await log.put('conversation.inbox', key, 'ChatMessage', {
      id,
      channel: 'whatsapp',
      account: '1055',
      chat: user,
      sender: { id: user, name: 'Nok' },
      kind: 'TEXT',
      text: `The music in the lobby is too loud, please turn it down a little (${n})`,
      sentAt: at,
      receivedAt: at + 400,
    })
    await log.put('conversation.events', key, 'ConversationEvent', {
      id: `e${n}`,
      conversation: key,
      channel: 'whatsapp',
      kind: 'MESSAGE_IN',
      venue: `main:v${n % 2_000}`,
      language: 'en',
      message: id,
      at,
    })
  }
  return log
}

/** A profile of each of so many venues. */
export async function venueLog(profiles: number): Promise<TestLog> {
  const log = await TestLog.open()
  for (let n = 0; n < profiles; n++) {
    const venue = `main:v${n}`
    const zones = ['z1', 'z2', 'z3'].map(zone => ({
      zone,
      name: `Zone ${zone}`,
      status: 'ONLINE' as const,
      volume: n % 17,
      asOf: AT + n,
    }))
    await log.put('venue.profiles', venue, 'VenueProfile', {
      venue,
      name: `Venue ${venue}`,
      location: 'Phuket',
      zones,
      updatedAt: AT + n,
    })
  }
  return log
}

export async function benchRedis(log: TestLog): Promise<SinkRate> {
  const stack = await startStack({ only: ['redis'] })
  const redis = await connectRedis(stack.env.REDIS_URL as string, 10_000)
  try {
    // The sink writes the newest of each key in a batch: what it wrote is what is counted.
    let rows = 0
    const store = redisStore(redis)
    const pipeline = redis.pipeline.bind(redis)
    const entries: [key: string, version: string, json: string][] = []
    redis.pipeline = ((...args: Parameters<typeof pipeline>) => {
      const made = pipeline(...args)
      const put = made.putVersioned.bind(made)
      made.putVersioned = (key, version, json, ttl) => {
        rows++
        entries.push([key, String(version), json])
        return put(key, version, json, ttl)
      }
      return made
    }) as typeof pipeline
    const seconds = await secondsOf(log, [venueProfiles], () =>
      startSink({ log, codec: log.codec, logger: quiet, store: { ...store, topics: [venueProfiles] } }),
    )
    await redis.flushall()
    const began = performance.now()
    for (let from = 0; from < entries.length; from += 1_000) {
      const raw = pipeline()
      for (const [key, version, json] of entries.slice(from, from + 1_000))
        raw.hset(key, 'v', version, 'j', json).pexpire(key, 3_600_000)
      await raw.exec()
    }
    return { rows, rowsPerSecond: rows / seconds, baselinePerSecond: rows / ((performance.now() - began) / 1000) }
  } finally {
    redis.disconnect()
    await stack.stop()
  }
}

export async function benchClickHouse(log: TestLog): Promise<SinkRate> {
  const dataDir = mkdtempSync(join(tmpdir(), 'bench-sinks-'))
  const [server, postgres] = [
    await startEmbeddedClickHouse({ dataDir, log: quiet }),
    await startEmbeddedPostgres({ dataDir, log: quiet }),
  ]
  const [client, pool] = [clickHouseClient(server.url), openPool({ url: postgres.url, log: quiet })]
  try {
    await migrate(pool)
    await migrateClickHouse({ client, pool })
    const store = { ...clickhouseStore({ client, pool }), topics: [conversationEvents] }
    const options = { log, codec: log.codec, logger: quiet, store, lingerMs: 100, batchBytes: 8 * 1024 * 1024 }
    const seconds = await secondsOf(log, store.topics, () => startSink(options))
    const rows = await selectRows<object>(client, 'SELECT * EXCEPT (not_after) FROM conversation_events')
    await client.command({ query: 'TRUNCATE TABLE conversation_events' })
    const began = performance.now()
    for (let from = 0; from < rows.length; from += 10_000)
      await client.insert({ table: 'conversation_events', values: rows.slice(from, from + 10_000), format: 'JSONEachRow' })
    return {
      rows: rows.length,
      rowsPerSecond: rows.length / seconds,
      baselinePerSecond: rows.length / ((performance.now() - began) / 1000),
    }
  } finally {
    await client.close()
    await pool.end()
    await Promise.all([server.stop(), postgres.stop()])
    rmSync(dataDir, { recursive: true, force: true })
  }
}

/** Seconds until the sink has written all that the log has. */
export async function secondsOf(log: TestLog, topics: readonly Topic[], start: () => Promise<Sink>): Promise<number> {
  const ends = (await Promise.all(topics.map(t => log.ends(t.name)))).flat()
  const all = ends.reduce((sum, { high }) => sum + high, 0)
  const began = performance.now()
  const sink = await start()
  while (sink.positions().reduce((sum, { offset }) => sum + offset, 0) < all) await sleep(5)
  const seconds = (performance.now() - began) / 1000
  await sink.close()
  return seconds
}

export async function benchPostgres(log: TestLog): Promise<SinkRate> {
  const dataDir = mkdtempSync(join(tmpdir(), 'bench-sinks-'))
  chmodSync(dataDir, 0o777)
  const server = await startEmbeddedPostgres({ dataDir, log: quiet })
  const pool = openPool({ url: server.url, log: quiet })
  try {
    await migrate(pool)
    const topics = [conversationInbox, conversationEvents]
    const seconds = await secondsOf(log, topics, () => startPostgresSink({ log, codec: log.codec, pool, logger: quiet, topics }))
    const { rows, seconds: copied } = await copyAgain(pool, dataDir)
    return { rows, rowsPerSecond: rows / seconds, baselinePerSecond: rows / copied }
  } finally {
    await pool.end()
    await server.stop()
    rmSync(dataDir, { recursive: true, force: true })
  }
}

const TABLES = ['messages', 'conversation_archive', 'conversation_events']

/** The same rows into the same tables, emptied, by COPY. */
async function copyAgain(pool: pg.Pool, folder: string): Promise<{ rows: number; seconds: number }> {
  let rows = 0
  for (const table of TABLES) {
    const { rowCount } = await pool.query(`COPY (SELECT * FROM ${table}) TO '${join(folder, table)}'`)
    rows += rowCount ?? 0
  }
  await pool.query(`TRUNCATE ${TABLES.join(', ')}; CHECKPOINT`)
  const began = performance.now()
  for (const table of TABLES) await pool.query(`COPY ${table} FROM '${join(folder, table)}'`)
  return { rows, seconds: (performance.now() - began) / 1000 }
}

import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { ClickHouseClient } from '@clickhouse/client'
import type pg from 'pg'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { reference } from '../../domain/ids.ts'
import { startSink } from '../sink.ts'
import { OwnershipLost, type SinkRecord, type Store } from '../store.ts'
import { TestLog } from '../testing/log.ts'
import { selectRows } from './client.ts'
import { fill, fillAll, quiet, randomOf, readable, type Servers, startServers } from './testing/fixture.ts'
import { reconcile } from './reconcile.ts'
import { clickhouseStore, sameMonth } from './store.ts'
import { TABLES } from './tables/index.ts'

const AT = Date.UTC(2026, 2, 31, 23, 50)
const PATIENT = { timeout: 20_000, interval: 50 }
const FOREVER = Date.UTC(2100, 0, 1)
let servers: Servers

beforeAll(async () => {
  servers = await startServers()
})
afterAll(() => servers.stop())
beforeEach(() => servers.clear())

const store = (over: Partial<Parameters<typeof clickhouseStore>[0]> = {}) =>
  clickhouseStore({ client: servers.client, pool: servers.pool, ...over })

/** Events of conversations and venues over the end of a month, so many in all; every record makes rows. @param first offset */
function records(count: number, { keys = 5, first = 0 } = {}): SinkRecord[] {
  const offsets = new Map<string, number>()
  return Array.from({ length: count }, (_, n): SinkRecord => {
    const topic = n % 3 === 2 ? 'venue.events' : 'conversation.events'
    const key = `main:${n % keys}`
    const timestamp = AT + n * 60_000
    const make = (offset: number) =>
      topic === 'venue.events'
        ? readable(servers.codec, { topic, key, offset, timestamp }, 'VenueEvent', {
            id: `v${n}`,
            venue: key,
            kind: n % 2 === 0 ? 'COMMAND_ENDED' : 'ZONE_OFFLINE',
            zone: `z${n % 4}`,
            request: `r${n}`,
            outcome: 'CONFIRMED',
            detail: 'PAUSE: slow',
            at: timestamp,
          })
        : readable(servers.codec, { topic, key, offset, timestamp }, 'ConversationEvent', {
            id: `e${n}`,
            conversation: key,
            channel: 'line',
            kind: n % 2 === 0 ? 'MESSAGE_IN' : 'OPENED',
            message: `m${n}`,
            at: timestamp,
          })
    const place = make(0).record
    const offset = offsets.get(`${topic}/${place.partition}`) ?? first
    offsets.set(`${topic}/${place.partition}`, offset + 1)
    return make(offset)
  })
}

async function numbers(): Promise<Record<string, number>> {
  const [row] = await selectRows<Record<string, number>>(
    servers.client,
    `SELECT (SELECT toInt32(count()) FROM conversation_events) AS conversation_events,
       (SELECT toInt32(uniqExact(event_id)) FROM conversation_events) AS ids,
       (SELECT toInt32(count()) FROM venue_events) AS venue_events,
       (SELECT toInt32(count()) FROM commands) AS commands, (SELECT toInt32(count()) FROM zone_states) AS zone_states,
       (SELECT toInt32(sum(messages)) FROM v_messages_hourly) AS messages,
       (SELECT toInt32(sum(commands)) FROM v_commands_daily) AS rolled_commands,
       (SELECT toInt32(sum(length(changes))) FROM v_zone_changes_daily) AS changes`,
  )
  return row as Record<string, number>
}

/** Everything that so many records make is there, once. */
async function expectWhole(count: number): Promise<void> {
  const [third, sixth] = [count / 3, count / 6]
  const events = { conversation_events: 2 * third, ids: 2 * third, messages: third }
  const changes = { venue_events: third, commands: sixth, zone_states: sixth, rolled_commands: sixth, changes: sixth }
  expect(await numbers()).toEqual({ ...events, ...changes })
  expect(await reconcile(servers.client, FOREVER)).toEqual([])
}

/** Counts every statement to either server, and lets `at` decide what becomes of each. */
function watched(at: (n: number, run: () => Promise<unknown>) => Promise<unknown>): Store {
  let count = 0
  const through =
    <A extends unknown[]>(call: (...args: A) => Promise<unknown>) =>
    (...args: A) =>
      at(count++, () => call(...args))
  const client = new Proxy(servers.client, {
    get: (target, name) => (name === 'insert' ? through(target.insert.bind(target)) : Reflect.get(target, name).bind(target)),
  }) as ClickHouseClient
  const pool = new Proxy(servers.pool, {
    get: (target, name) => {
      if (name !== 'connect') return Reflect.get(target, name).bind(target)
      return async () => {
        const connection = await target.connect()
        const query = connection.query.bind(connection) as (...args: unknown[]) => Promise<unknown>
        return {
          query: (text: string, values?: unknown[]) =>
            text === 'ROLLBACK' ? query(text) : through(query)(text, values as unknown[]),
          release: (broken?: boolean) => connection.release(broken),
        }
      }
    },
  }) as pg.Pool
  return store({ client, pool })
}

test('a fault before or after any statement loses and doubles nothing', async () => {
  const all = records(12, { keys: 1 })
  for (const done of [false, true]) {
    for (let at = 0, struck = true; struck; at++) {
      await servers.clear()
      struck = false
      const faulty = watched(async (n, run) => {
        if (n !== at) return run()
        struck = true
        if (done) await run()
        throw new Error('the connection was lost')
      })
      await fill(faulty, all, randomOf(at)).catch(error => expect(String(error)).toContain('the connection was lost'))
      await fillAll(store, all, randomOf(at + 1000))
      await expectWhole(all.length)
    }
  }
}, 240_000)

test('a writer that stops at any statement and wakes up after another has gone on does no harm', async () => {
  const all = records(12, { keys: 1 })
  for (let at = 0, struck = true; struck; at++) {
    await servers.clear()
    struck = false
    const { promise: stopped, resolve: stop } = Promise.withResolvers<void>()
    const { promise: awake, resolve: wake } = Promise.withResolvers<void>()
    const zombie = watched(async (n, run) => {
      if (n === at) {
        struck = true
        stop()
        await awake
      }
      return run()
    })
    const lost = fill(zombie, all, randomOf(at)).then(
      () => null,
      error => error,
    )
    await Promise.race([stopped, lost])
    // A transaction that it has open is ended by the server after its time-out; the other waits for the lock meanwhile.
    await servers.pool.query(
      `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction' AND pid <> pg_backend_pid()`,
    )
    await fillAll(store, all, randomOf(at + 1000))
    wake()
    if (struck) expect(await lost).toBeInstanceOf(Error)
    await expectWhole(all.length)
  }
}, 240_000)

test('two writers at once share the work, and nothing is doubled', async () => {
  const all = records(60)
  await Promise.all([1, 2, 3].map(n => fillAll(store, all, randomOf(n))))
  await expectWhole(all.length)
})

test('an insert that comes past its deadline is refused by the server', async () => {
  const first = records(6)
    .filter(({ record }) => record.topic === 'venue.events')
    .slice(0, 1) as [SinkRecord]
  const { topic, partition } = first[0].record
  const writer = store()
  await writer.claim([{ topic, partition }])
  const stopped = vi.spyOn(performance, 'now').mockReturnValue(performance.now() - 120_000)
  const batch = { partition: { topic, partition }, from: 0, next: 1, records: first }
  await expect(writer.write([batch])).rejects.toThrow('in_time')
  stopped.mockRestore()
  expect(await writer.claim([{ topic, partition }])).toEqual([{ position: 0, until: 1 }])
  await writer.write([batch])
  expect((await numbers()).venue_events).toBe(1)
})

test('rows that a killed server lost after it had kept their token are inserted again, and roll-ups are fed again', async () => {
  const one = records(6)
    .filter(({ record }) => record.topic === 'conversation.events')
    .slice(0, 1) as [SinkRecord]
  const { topic, partition } = one[0].record
  const batch = { partition: { topic, partition }, from: 0, next: 1, records: one }
  const writer = store()
  await writer.claim([batch.partition])
  await writer.write([batch])
  await servers.client.command({ query: 'ALTER TABLE conversation_events DELETE WHERE 1 SETTINGS mutations_sync = 1' })
  await servers.client.command({ query: 'TRUNCATE TABLE messages_hourly' })
  await servers.pool.query('UPDATE sink_positions SET position = 0, until = 1')
  await writer.write([batch])
  expect(await numbers()).toMatchObject({ conversation_events: 1, messages: 1 })
})

test('no batch crosses a month of the log', async () => {
  const all = records(60).filter(({ record }) => record.topic === 'conversation.events')
  expect(sameMonth(all.slice(0, 3))).toBe(3)
  const border = all.findIndex(({ record }) => new Date(record.timestamp).getUTCMonth() === 3)
  expect(sameMonth(all.slice(border - 2))).toBe(2)
  await fill(store(), all, () => 0.99)
  const parts = await selectRows<{ partition: string }>(
    servers.client,
    "SELECT DISTINCT partition FROM system.parts WHERE table = 'conversation_events' AND active ORDER BY 1",
  )
  expect(parts).toEqual([{ partition: '202603' }, { partition: '202604' }])
})

test('a range that was begun is told to who claims it, and a writer with another range is refused', async () => {
  const all = records(60).filter(({ record }) => record.topic === 'venue.events')
  const { topic, partition } = (all[0] as SinkRecord).record
  const own = all.filter(({ record }) => record.partition === partition)
  const broken = watched((n, run) => (n === 4 ? Promise.reject(new Error('lost')) : run()))
  await broken.claim([{ topic, partition }])
  const batch = (next: number) => [{ partition: { topic, partition }, from: 0, next, records: own.slice(0, next) }]
  await expect(broken.write(batch(3))).rejects.toThrow('lost')
  const [claim] = await store().claim([{ topic, partition }])
  expect(claim).toEqual({ position: 0, until: 3 })
  await expect(store().write(batch(2))).rejects.toBeInstanceOf(OwnershipLost)
})

test('nothing is lost and nothing doubled while the server is killed again and again', async () => {
  const random = randomOf(7)
  let killed = 0
  const filling = (async () => {
    for (let round = 0; round < 4; round++) {
      await vi.waitFor(() => servers.clear(), PATIENT)
      // A server that is killed while a table is emptied may keep the tokens of the rows that are gone: no range comes twice.
      const all = records(60, { first: round * 1000 })
      const slow = () => watched((_n, run) => sleep(random() * 15).then(run))
      await fillAll(slow, all, random)
      await vi.waitFor(() => expectWhole(all.length), PATIENT)
    }
  })()
  let over = false
  void filling.finally(() => (over = true)).catch(() => {})
  while (!over && killed < 4) {
    await sleep(150 + random() * 500)
    const pid = pidOf(servers)
    if (servers.clickhouse.status().status !== 'up' || pid === null) continue
    process.kill(pid, 'SIGKILL')
    killed++
    await vi.waitFor(() => expect(pidOf(servers)).not.toBe(pid), PATIENT)
  }
  await filling
  expect(killed).toBeGreaterThan(1)
}, 120_000)

function pidOf({ dataDir }: Servers): number | null {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'clickhouse.json'), 'utf8')).pid
  } catch {
    return null
  }
}

test('the sink fills it from the log; a message brought twice is one, and nothing personal is in it', async () => {
  const log = await TestLog.open()
  const chat = {
    id: 'wamid.66812345678',
    channel: 'whatsapp',
    account: '1055',
    chat: '66812345678',
    sender: { id: '66812345678', phone: '66812345678', name: 'Nok' },
    kind: 'TEXT' as const,
    text: 'เบาเพลงหน่อย',
    sentAt: AT,
    receivedAt: AT,
  }
  const sink = await startSink({ log, codec: log.codec, store: store(), logger: quiet, lingerMs: 50 })
  try {
    await log.put('conversation.inbox', 'main:c1', 'ChatMessage', chat)
    await log.put('conversation.inbox', 'main:c1', 'ChatMessage', { ...chat, receivedAt: AT + 5 })
    const out = { id: 'o1', conversation: 'main:c1', channel: 'whatsapp', account: '1055', to: chat.chat, text: 'Done, Nok.' }
    await log.put('whatsapp.inbox', 'main:c1', 'SendMessage', { ...out, lastInboundAt: AT, createdAt: AT + 9 })
    const part = { id: 'o1', more: true, accepted: true, providerId: 'p0', at: AT + 9 }
    await log.put('whatsapp.inbox', 'main:c1', 'SendResult', part)
    await log.put('whatsapp.inbox', 'main:c1', 'SendResult', { ...part, more: false, providerId: 'p1', at: AT + 10 })
    await log.put('whatsapp.inbox', 'main:c1', 'SendResult', { id: 'o2', accepted: false, reason: 'no', at: AT + 10 })
    await log.put('conversation.inbox', 'main:c1', 'DeliveryStatus', { providerId: 'p1', status: 'READ', at: AT + 20 })
    await log.put('conversation.inbox', 'main:c1', 'DeliveryStatus', { providerId: 'p1', status: 'DELIVERED', at: AT + 15 })
    await vi.waitFor(
      async () => {
        const rows = await selectRows(
          servers.client,
          'SELECT message_id, direction, text_length FROM messages ORDER BY direction',
        )
        expect(rows).toEqual([
          { message_id: reference(chat.id), direction: 'in', text_length: 12 },
          { message_id: 'o1', direction: 'out', text_length: 10 },
        ])
        const delivery = await selectRows(servers.client, 'SELECT message_id, status FROM v_delivery')
        expect(delivery).toEqual([{ message_id: 'o1', status: 'read' }])
        const sent = await selectRows(servers.client, "SELECT message_id, status FROM deliveries WHERE message_id != ''")
        expect(sent).toEqual([{ message_id: 'o1', status: 'sent' }])
      },
      { timeout: 10_000, interval: 50 },
    )
  } finally {
    await sink.close()
  }
  const everything = await Promise.all(
    ['message_log', 'deliveries'].map(table => selectRows(servers.client, `SELECT * FROM ${table}`)),
  )
  expect(JSON.stringify(everything)).not.toMatch(/66812345678|Nok|เพลง/)
})

test('each ClickHouse has positions of its own; one with rows that Postgres knows nothing of is not filled again', async () => {
  const all = records(60)
  const partition = (all[0] as SinkRecord).record
  await fill(store(), all, randomOf(1))
  const [reached] = await store().claim([partition])
  const [first] = await selectRows<{ id: string }>(servers.client, 'SELECT id FROM store_identity')
  const become = async (id: string) => {
    await servers.client.command({ query: 'TRUNCATE TABLE store_identity' })
    await servers.client.command({ query: `INSERT INTO store_identity VALUES ('${id}')` })
  }
  await become(randomUUID())
  await expect(store().claim([partition])).rejects.toThrow('Postgres does not know how far it was filled')
  for (const { name } of TABLES) await servers.client.command({ query: `TRUNCATE TABLE ${name}` })
  expect(await store().claim([partition])).toEqual([{ position: 0 }])
  await become(first?.id as string)
  expect(await store().claim([partition])).toEqual([reached])
})

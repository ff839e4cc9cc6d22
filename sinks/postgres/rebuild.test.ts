import { setImmediate } from 'node:timers/promises'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { Sink } from '../sink.ts'
import { TestLog } from '../testing/log.ts'
import { startTestPostgres, type TestPostgres } from './testing/postgres.ts'
import { migrate } from './migrate.ts'
import { rebuild } from './rebuild.ts'
import { postgresTopics, startPostgresSink } from './sink.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const AT = Date.UTC(2026, 4, 1, 9, 0, 0)

let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let sink: Sink

beforeAll(async () => {
  postgres = await startTestPostgres({ migrated: false })
  pool = postgres.pool
})
afterAll(async () => {
  await postgres.close()
})
beforeEach(async () => {
  await pool.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  await migrate(pool)
  log = await TestLog.open()
  sink = await startPostgresSink({ log, codec: log.codec, pool, logger: quiet })
})
afterEach(() => sink.close())

const rows = async (sql: string) => (await pool.query(sql)).rows
const run = () => rebuild({ log, codec: log.codec, url: postgres.url, logger: quiet })
const venue = (id: string, name: string) =>
  log.put('venue.profiles', id, 'VenueProfile', {
    venue: id,
    name,
    zones: [{ zone: 'z', name: 'Lobby', status: 'ONLINE' }],
    updatedAt: AT,
  })
const message = (id: string, sentAt = AT) =>
  log.put('conversation.inbox', 'main:c1', 'ChatMessage', {
    id,
    channel: 'whatsapp',
    account: '1055',
    chat: '66800000001',
    sender: { id: '66800000001' },
    kind: 'TEXT',
    text: id,
    sentAt,
    receivedAt: sentAt,
  })

async function caughtUp(): Promise<void> {
  await vi.waitFor(
    async () => {
      const ends = (await Promise.all(postgresTopics.map(({ name }) => log.ends(name)))).flat()
      const at = sink.positions().reduce((sum, { offset }) => sum + offset, 0)
      expect(at).toBe(ends.reduce((sum, { high }) => sum + high, 0))
    },
    { timeout: 15_000, interval: 5 },
  )
}

test('makes the tables as the log has them, and keeps of the archive what the log has let go of', async () => {
  await venue('main:v1', 'Blue Lagoon')
  await message('m1')
  await log.put('whatsapp.inbox', 'main:c1', 'SendMessage', {
    id: 'out-1',
    conversation: 'main:c1',
    channel: 'whatsapp',
    account: '1055',
    to: '66800000001',
    text: 'Done.',
    lastInboundAt: AT,
    createdAt: AT,
  })
  await caughtUp()
  await pool.query(`
    UPDATE venues SET name = 'wrong', version = 1000000;
    INSERT INTO zones (venue_id, id, name, status, detail, version) VALUES ('main:v1', 'ghost', 'Ghost', 'online', '', 5);
    DELETE FROM conversation_archive;
    UPDATE messages SET text = 'wrong' WHERE id = 'm1';
    UPDATE messages SET status = 'read' WHERE id = 'out-1';
    INSERT INTO messages SELECT conversation_id, 'm0', direction, channel, provider_id, sender_id, 'older than the log', kind,
      '2026-04-01', status, reason, error_code, version FROM messages WHERE id = 'm1'`)
  const { rows: made } = await run()
  expect(made).toMatchObject({ venues: 1, zones: 1, messages: 2, conversation_archive: 1 })
  expect(await rows('SELECT name FROM venues')).toEqual([{ name: 'Blue Lagoon' }])
  expect(await rows('SELECT id FROM zones')).toEqual([{ id: 'z' }])
  expect(await rows('SELECT id, text, status FROM messages ORDER BY id')).toEqual([
    { id: 'm0', text: 'older than the log', status: 'delivered' },
    { id: 'm1', text: 'm1', status: 'delivered' },
    { id: 'out-1', text: 'Done.', status: 'read' },
  ])
  expect(await rows("SELECT to_regnamespace('rebuild') AS left_over")).toEqual([{ left_over: null }])
})

test('under load nothing is missed, the old rows are there until the new ones are, and the sink goes on', async () => {
  for (let n = 0; n < 200; n++) await venue(`main:v${n}`, `Venue ${n}`)
  await caughtUp()
  const seen = new Set<number>()
  let done = false
  const reading = (async () => {
    while (!done) seen.add(Number((await rows('SELECT count(*) AS n FROM venues'))[0].n))
  })()
  const writing = (async () => {
    for (let n = 0; !done; n++) {
      await venue(`main:v${n % 200}`, `Venue ${n % 200}, ${n}`)
      await message(`m${n}`, AT + n)
      await setImmediate() // appending to this log is no I/O
    }
  })()
  await run()
  await run()
  done = true
  await Promise.all([reading, writing])
  await caughtUp()
  expect([...seen]).toEqual([200])
  const newest = new Map<string, string>()
  for (const { key, value } of log.content('venue.profiles')) newest.set(key as string, (value as { name: string }).name)
  expect(new Map((await rows('SELECT id, name FROM venues')).map(row => [row.id, row.name]))).toEqual(newest)
  const messages = log.content('conversation.inbox').length
  expect(Number((await rows('SELECT count(*) AS n FROM messages'))[0].n)).toBe(messages)
  expect(Number((await rows('SELECT count(*) AS n FROM conversation_archive'))[0].n)).toBe(messages)
})

test('one at a time', async () => {
  for (let n = 0; n < 50; n++) await venue(`main:v${n}`, `Venue ${n}`)
  const results = await Promise.allSettled([run(), run()])
  expect(results.map(r => r.status).sort()).toEqual(['fulfilled', 'rejected'])
})

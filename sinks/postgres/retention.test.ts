import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import type { Sink } from '../sink.ts'
import { TestLog } from '../testing/log.ts'
import { startTestPostgres, type TestPostgres } from './testing/postgres.ts'
import { migrate } from './migrate.ts'
import { rebuild } from './rebuild.ts'
import { dropMonths, keptFrom, startRetention } from './retention.ts'
import { postgresTopics, startPostgresSink } from './sink.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const DAY = 24 * 60 * 60_000
const DAYS = 60

let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let sink: Sink | null = null

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
})
afterEach(async () => {
  await sink?.close()
  sink = null
})

async function written(keepDays: number | null): Promise<void> {
  sink ??= await startPostgresSink({ log, codec: log.codec, pool, logger: quiet, keepDays })
  const filling = sink
  await vi.waitFor(
    async () => {
      const ends = (await Promise.all(postgresTopics.map(({ name }) => log.ends(name)))).flat()
      const at = filling.positions().reduce((sum, { offset }) => sum + offset, 0)
      expect(at).toBe(ends.reduce((sum, { high }) => sum + high, 0))
    },
    { timeout: 15_000, interval: 5 },
  )
}

const said = (id: string, sentAt: number) =>
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
const messages = async () => (await pool.query('SELECT id FROM messages ORDER BY id')).rows.map(({ id }) => id)
const partitions = async () =>
  (await pool.query("SELECT relname FROM pg_class WHERE relname ~ '^messages_\\d{4}_\\d{2}$' ORDER BY 1")).rows.map(
    r => r.relname,
  )

test('what is kept begins with a month', () => {
  expect(keptFrom(60, Date.UTC(2026, 10, 28))).toBe(Date.UTC(2026, 8, 1))
  expect(keptFrom(28, Date.UTC(2026, 10, 28))).toBe(Date.UTC(2026, 9, 1))
  expect(keptFrom(1, Date.UTC(2026, 0, 1))).toBe(Date.UTC(2025, 11, 1))
  expect(keptFrom(null, 0)).toBe(Number.NEGATIVE_INFINITY)
})

test('months that are old enough are dropped, and neither the sink nor a rebuild makes them anew', async () => {
  const [now, old] = [Date.now(), Date.now() - (DAYS + 40) * DAY]
  for (const [id, at] of [
    ['new', now],
    ['old', old],
    ['ancient', Date.UTC(2019, 0)],
  ] as const)
    await said(id, at)
  await written(null)
  expect(await messages()).toEqual(['ancient', 'new', 'old'])
  const before = await partitions()

  const dropped = await dropMonths(pool, DAYS, now)
  expect(dropped).toContain(`messages_${new Date(old).toISOString().slice(0, 7).replace('-', '_')}`)
  expect(await messages()).toEqual(['new'])
  expect(await partitions()).toEqual(before.filter(name => !dropped.includes(name)))
  expect(await dropMonths(pool, DAYS, now)).toEqual([])
  await sink?.close()
  sink = null

  await said('late', old)
  await written(DAYS)
  expect(await messages()).toEqual(['new'])
  await rebuild({ log, codec: log.codec, url: postgres.url, logger: quiet, keepDays: DAYS })
  expect(await messages()).toEqual(['new'])
  expect(await partitions()).toEqual(before.filter(name => !dropped.includes(name)))
})

test('the archive goes with the messages', async () => {
  await said('m1', Date.now())
  await written(null)
  const inAYear = Date.now() + 365 * DAY
  expect((await dropMonths(pool, DAYS, inAYear)).some(name => name.startsWith('conversation_archive_'))).toBe(true)
  expect((await pool.query('SELECT count(*)::integer AS n FROM conversation_archive')).rows).toEqual([{ n: 0 }])
})

test('one who reads for long is not waited for, and it is tried again', async () => {
  await said('old', Date.now() - (DAYS + 40) * DAY)
  await written(null)
  const reader = await pool.connect()
  const warnings: string[] = []
  const logger = { info: () => {}, warn: (_: unknown, what?: string) => void warnings.push(what ?? '') }
  try {
    await reader.query('BEGIN')
    await reader.query('SELECT * FROM messages')
    const retention = startRetention({ pool, days: DAYS, logger: logger as never })
    await retention.close()
    expect(warnings).toEqual(['old months could not be dropped; trying again later'])
    await reader.query('COMMIT')
  } finally {
    reader.release()
  }
  const retention = startRetention({ pool, days: DAYS, logger: quiet })
  await retention.close()
  expect(await messages()).toEqual([])
})

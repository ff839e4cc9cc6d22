import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { DELIVERY_STATUSES } from '../../domain/delivery-status.ts'
import { reference } from '../../domain/ids.ts'
import { parse } from '../../schemas/index.ts'
import type { AuditEvent, MessageStatus, SendMessageInput, VenueProfileInput } from '../../schemas/types.ts'
import { auditHash, FIRST_HASH } from '../../domain/audit-hash.ts'
import * as catalog from '../../topics/catalog.ts'
import { startTestPostgres, type TestPostgres } from './testing/postgres.ts'
import { migrate } from './migrate.ts'
import { openPool } from './pool.ts'
import { startPostgresSink } from './sink.ts'
import { openGate, through } from '../../test/stack/gate.ts'
import type { Sink } from '../sink.ts'
import { digestOf } from './tables/erased.ts'
import { TestLog } from '../testing/log.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const AT = Date.UTC(2026, 4, 1, 9, 0, 0)

let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
const sinks: Sink[] = []

beforeAll(async () => {
  postgres = await startTestPostgres()
  pool = postgres.pool
})

afterAll(async () => {
  await postgres.close()
})

beforeEach(async () => {
  log = await TestLog.open()
  await pool.query(
    'TRUNCATE sink_positions, venues, venue_events, zones, conversations, conversation_archive, conversation_events, conversation_notes, issues, messages, message_reports, alerts, sync_runs, dead_letters',
  )
})

afterEach(async () => {
  await Promise.all(sinks.splice(0).map(sink => sink.close()))
})

async function start(options: Partial<Parameters<typeof startPostgresSink>[0]> = {}): Promise<Sink> {
  const sink = await startPostgresSink({ log, codec: log.codec, pool, logger: quiet, ...options })
  sinks.push(sink)
  return sink
}

async function rows(sql: string, values: unknown[] = []): Promise<Record<string, unknown>[]> {
  return (await pool.query(sql, values)).rows
}

/** Waits until every partition's position is at its end. */
async function caughtUp(): Promise<void> {
  await vi.waitFor(
    async () => {
      const ends = new Map<string, number>()
      for (const topic of catalog.allTopics()) {
        for (const { partition, high } of await log.ends(topic.name)) ends.set(`${topic.name}/${partition}`, high)
      }
      const positions = await rows('SELECT * FROM sink_positions')
      expect(positions.length).toBeGreaterThan(40)
      for (const { topic, partition, position } of positions) {
        expect([topic, partition, Number(position)]).toEqual([topic, partition, ends.get(`${topic}/${partition}`)])
      }
    },
    { timeout: 15_000, interval: 5 },
  )
}

const venue = (name: string, zones: string[] = [], more: Partial<VenueProfileInput> = {}): VenueProfileInput => ({
  venue: 'main:v1',
  name,
  zones: zones.map(zone => ({ zone, name: `Zone ${zone}`, status: 'ONLINE', volume: 8, asOf: AT })),
  updatedAt: AT,
  ...more,
})
const putVenue = (record: VenueProfileInput) => log.put('venue.profiles', record.venue, 'VenueProfile', record)

const message = (id: string, text: string | null = 'turn it down') => ({
  id,
  channel: 'whatsapp',
  account: '1055',
  chat: '66800000001',
  sender: { id: '66800000001', name: 'Nok' },
  kind: 'TEXT' as const,
  text,
  sentAt: AT,
  receivedAt: AT + 500,
})

const reply: SendMessageInput = {
  id: 'out-1',
  conversation: 'main:c1',
  channel: 'whatsapp',
  account: '1055',
  to: '66800000001',
  text: 'Done.',
  lastInboundAt: AT,
  createdAt: AT + 1000,
}
const putReply = () => log.put('whatsapp.inbox', 'main:c1', 'SendMessage', reply)
const putOutcome = (status: MessageStatus, more: { providerId?: string; reason?: string; errorCode?: number } = {}) =>
  log.put('conversation.inbox', 'main:c1', 'SendOutcome', { id: 'out-1', status, at: AT + 2000, ...more })

test('a record is in Postgres soon after it is in the log', async () => {
  await start()
  await caughtUp()
  const began = performance.now()
  await putVenue(venue('Blue Lagoon'))
  await vi.waitFor(async () => expect(await rows('SELECT 1 FROM venues')).toHaveLength(1), { interval: 2 })
  expect(performance.now() - began).toBeLessThan(250)
})

test('a venue comes with its provenance and its zones, and loses the zones it no longer has', async () => {
  await start()
  await putVenue(
    venue('Blue Lagoon', ['a', 'b'], { provenance: [{ field: 'name', source: 'sheets', at: AT }], contactPhone: '66811112222' }),
  )
  await putVenue(venue('Blue Lagoon Bar', ['b', 'c']))
  await caughtUp()
  expect(await rows('SELECT name, location, volume_cap, removed, updated_at, version FROM venues')).toEqual([
    { name: 'Blue Lagoon Bar', location: '', volume_cap: 16, removed: false, updated_at: new Date(AT), version: '1' },
  ])
  expect(await rows('SELECT id, status, volume, as_of FROM zones ORDER BY id')).toEqual(
    ['b', 'c'].map(id => ({ id, status: 'online', volume: 8, as_of: new Date(AT) })),
  )
  await putVenue(venue('Blue Lagoon', ['c'], { provenance: [{ field: 'name', source: 'sheets', at: AT }] }))
  await caughtUp()
  expect(await rows('SELECT provenance FROM venues')).toEqual([
    { provenance: { name: { source: 'sheets', at: new Date(AT).toISOString() } } },
  ])
  expect(await rows('SELECT id FROM zones')).toEqual([{ id: 'c' }])
})

test('a record without a value deletes the venue, and the conversation, of its key', async () => {
  await start()
  await putVenue(venue('Blue Lagoon', ['a']))
  await putConversation()
  await caughtUp()
  expect(await rows('SELECT id FROM conversations')).toHaveLength(1)
  await log.append([
    { topic: 'venue.profiles', key: 'main:v1', value: null },
    { topic: 'conversation.profiles', key: 'main:c1', value: null },
  ])
  await caughtUp()
  expect(await rows('SELECT id FROM venues UNION ALL SELECT id FROM zones UNION ALL SELECT id FROM conversations')).toEqual([])
})

function putConversation() {
  return log.put('conversation.profiles', 'main:c1', 'ConversationProfile', {
    conversation: 'main:c1',
    channel: 'whatsapp',
    account: '1055',
    user: '66800000001',
    state: 'ready',
    owner: 'WAITING',
    trust: 'HINTED',
    requests: [{ id: 'r1', kind: 'volume_down', zone: 'a', value: 6, outcome: 'pending', at: AT }],
    openedAt: AT,
    updatedAt: AT,
    lastInboundAt: AT,
  })
}

test('conversations, alerts, synchronisations and dead letters have their rows', async () => {
  await start()
  await putConversation()
  await log.put('alerts', 'main:v1', 'Alert', alert(false))
  await log.put('alerts', 'main:v1', 'Alert', alert(true))
  await log.put('sync.log', 'sheets:venues', 'SyncRun', {
    id: 's1',
    source: 'sheets:venues',
    startedAt: AT,
    endedAt: AT + 40,
    outcome: 'REFUSED',
    durationMs: 40.5,
    refusals: [{ line: 3, reason: 'no name' }],
  })
  const refusals = [
    { line: 4, column: 'zone_count', value: 'four', expected: 'a whole number', refused: false, reason: 'no number' },
  ]
  await log.put('sync.log', 'sheets:venues', 'SyncRefusals', { run: 's1', source: 'sheets:venues', page: 1, refusals, at: AT })
  await log.put('dead.letters', 'k', 'DeadLetter', {
    topic: 'venue.inbox',
    partition: 2,
    offset: 9,
    key: 'k',
    recordType: 'SheetRow',
    value: Buffer.from([0, 1, 2]),
    bytes: 520_000,
    decision: 'SKIP',
    cause: 'boom',
    at: AT,
  })
  await caughtUp()
  const [conversation] = await rows('SELECT owner, trust, requests FROM conversations')
  expect(conversation).toMatchObject({ owner: 'waiting', trust: 'hinted' })
  expect(conversation?.requests).toMatchObject([{ id: 'r1', value: 6, outcome: 'pending', at: new Date(AT).toISOString() }])
  expect(await rows('SELECT id, priority, resolved FROM alerts')).toEqual([{ id: 'a1', priority: 'high', resolved: true }])
  expect(await rows('SELECT outcome, duration_ms, refusals FROM sync_runs')).toEqual([
    {
      outcome: 'refused',
      duration_ms: 40.5,
      refusals: [{ line: 3, reason: 'no name', column: '', value: '', expected: '', refused: true }],
    },
  ])
  expect(await rows('SELECT run_id, page, refusals FROM sync_refusals')).toEqual([{ run_id: 's1', page: 1, refusals }])
  expect(await rows('SELECT "offset", record_type, value, bytes, decision FROM dead_letters')).toEqual([
    { offset: '9', record_type: 'SheetRow', value: Buffer.from([0, 1, 2]), bytes: 520_000, decision: 'skip' },
  ])
})

const alert = (resolved: boolean) => ({
  id: 'a1',
  venue: 'main:v1',
  department: 'OPERATIONS' as const,
  priority: 'HIGH' as const,
  kind: 'zone_offline',
  text: 'Lobby is offline',
  resolved,
  at: AT,
})

test('a message that was delivered five times is one row', async () => {
  await start()
  for (let i = 0; i < 5; i++) await log.put('conversation.inbox', 'main:c1', 'ChatMessage', message('wamid.1'))
  await putReply()
  await caughtUp()
  expect(await rows('SELECT id, direction, text, at, status FROM messages ORDER BY at')).toEqual([
    { id: 'wamid.1', direction: 'in', text: 'turn it down', at: new Date(AT), status: 'delivered' },
    { id: 'out-1', direction: 'out', text: 'Done.', at: new Date(AT + 1000), status: 'queued' },
  ])
})

test.each<[MessageStatus[], string]>([
  [['SENT', 'DELIVERED', 'READ'], 'read'],
  [['READ', 'DELIVERED', 'SENT'], 'read'],
  [['SENT', 'FAILED'], 'failed'],
  [['FAILED', 'SENT'], 'failed'],
  [['FAILED', 'DELIVERED'], 'delivered'],
  [['UNKNOWN'], 'unknown'],
  [['UNKNOWN', 'QUEUED'], 'unknown'],
  [['UNKNOWN', 'SENT'], 'sent'],
])('statuses %j make a message %s, in one batch or one by one, before or after its text', async (statuses, expected) => {
  const outcome = () => rows('SELECT status, text, direction, version FROM messages')
  const result = [{ status: expected, text: 'Done.', direction: 'out', version: '0' }]
  await start()
  for (const status of statuses) {
    await putOutcome(status)
    await caughtUp()
  }
  await putReply()
  await caughtUp()
  expect(await outcome()).toEqual(result)

  await pool.query('TRUNCATE messages, sink_positions')
  log = await TestLog.open()
  await putReply()
  for (const status of statuses) await putOutcome(status)
  await start()
  await caughtUp()
  expect(await outcome()).toEqual(result)
})

test('a message that the provider has taken is sent, one that it refused is what the connector says', async () => {
  const result = (accepted: boolean, providerId: string | null) =>
    log.put('whatsapp.inbox', 'main:c1', 'SendResult', { id: 'out-1', accepted, providerId, reason: 'no', at: AT })
  await start()
  await putReply()
  await result(false, null)
  await caughtUp()
  expect(await rows('SELECT status FROM messages')).toEqual([{ status: 'queued' }])
  await result(true, 'wamid.out')
  await caughtUp()
  expect(await rows('SELECT status, provider_id, reason FROM messages')).toEqual([
    { status: 'sent', provider_id: 'wamid.out', reason: '' },
  ])
})

test('a message in parts is sent when its last part is, and its parts leave no rows', async () => {
  const result = (more: boolean, providerId: string) =>
    log.put('whatsapp.inbox', 'main:c1', 'SendResult', { id: 'out-1', more, accepted: true, providerId, at: AT })
  await start()
  await result(true, 'wamid.part')
  await caughtUp()
  expect(await rows('SELECT * FROM message_reports')).toEqual([])
  await putReply()
  await caughtUp()
  expect(await rows('SELECT status FROM messages')).toEqual([{ status: 'queued' }])
  await result(false, 'wamid.last')
  await caughtUp()
  expect(await rows('SELECT status, provider_id FROM messages')).toEqual([{ status: 'sent', provider_id: 'wamid.last' }])
})

test('a report by the provider finds its message, also when it comes first', async () => {
  const report = (status: 'READ' | 'FAILED', providerId: string) =>
    log.put('conversation.inbox', 'main:c1', 'DeliveryStatus', { providerId, status, at: AT, errorCode: null })
  await start()
  await putReply()
  await report('READ', 'wamid.out')
  await caughtUp()
  expect(await rows('SELECT status FROM messages')).toEqual([{ status: 'queued' }])
  await putOutcome('SENT', { providerId: 'wamid.out' })
  await caughtUp()
  expect(await rows('SELECT status, provider_id FROM messages')).toEqual([{ status: 'read', provider_id: 'wamid.out' }])
  await report('FAILED', 'wamid.out')
  await caughtUp()
  expect(await rows('SELECT status FROM messages')).toEqual([{ status: 'read' }])
  expect(await rows('SELECT * FROM message_reports')).toEqual([])
})

test('goes on where it was after a restart, and writes nothing twice', async () => {
  const first = await start()
  await putVenue(venue('Blue Lagoon'))
  await caughtUp()
  await first.close()
  const [before] = await rows('SELECT xmin FROM venues')
  await log.put('venue.profiles', 'main:v2', 'VenueProfile', { ...venue('Lotus Bay'), venue: 'main:v2' })
  await start()
  await caughtUp()
  expect(await rows('SELECT name FROM venues ORDER BY name')).toEqual([{ name: 'Blue Lagoon' }, { name: 'Lotus Bay' }])
  expect((await rows("SELECT xmin FROM venues WHERE id = 'main:v1'"))[0]).toEqual(before)
})

test.each(['in one batch', 'one by one'])(
  'a message delivered again with another time is one row, with its first time (%s)',
  async how => {
    if (how === 'one by one') await start()
    for (const minutes of [0, 3, 60 * 24 * 7]) {
      const sentAt = Date.UTC(2026, 3, 30, 23, 59) + minutes * 60_000
      await log.put('conversation.inbox', 'main:c1', 'ChatMessage', { ...message('wamid.1', `${minutes}`), sentAt })
      if (how === 'one by one') await caughtUp()
    }
    if (how === 'in one batch') await start()
    await caughtUp()
    expect(await rows('SELECT text, at FROM messages')).toEqual([{ text: '10080', at: new Date(Date.UTC(2026, 3, 30, 23, 59)) }])
  },
)

test('an older record never overwrites a newer row', async () => {
  await putVenue(venue('Blue Lagoon'))
  await putVenue(venue('Blue Lagoon Bar'))
  const first = await start()
  await caughtUp()
  await first.close()
  // As if the position had been set back by hand.
  await pool.query('UPDATE sink_positions SET position = 0')
  await pool.query("UPDATE venues SET version = 5, name = 'Newest'")
  const sink = await start()
  await caughtUp()
  expect(await rows('SELECT name FROM venues')).toEqual([{ name: 'Newest' }])
  expect(sink.status().stale).toBe(1)
})

test('of two sinks on one database every record is written once, and the other takes over when one ends', async () => {
  const [a, b] = [await start(), await start()]
  for (let i = 0; i < 200; i++) {
    await log.put('conversation.inbox', `main:c${i % 12}`, 'ChatMessage', message(`wamid.${i}`))
    if (i % 20 === 0) await caughtUp()
  }
  await caughtUp()
  expect(await rows('SELECT count(*)::int AS n FROM messages')).toEqual([{ n: 200 }])
  expect(a.status().stale + b.status().stale).toBe(0)
  await a.close()
  await putVenue(venue('Blue Lagoon'))
  await caughtUp()
  expect(await rows('SELECT name FROM venues')).toEqual([{ name: 'Blue Lagoon' }])
})

test('what cannot be read or does not fit is counted and left out, and what follows is written', async () => {
  const errors: unknown[] = []
  const sink = await start({ logger: { ...quiet, error: (fields: unknown) => errors.push(fields) } })
  const unknownSchema = Buffer.from([0, 0, 0, 99, 99, 1])
  const tooLong = Array.from({ length: 100 }, (_, i) => createHash('sha256').update(String(i)).digest('base64')).join('')
  await log.append([
    { topic: 'conversation.inbox', key: 'main:c1', value: Buffer.from('nonsense') },
    { topic: 'conversation.inbox', key: 'main:c1', value: unknownSchema },
    {
      topic: 'conversation.inbox',
      key: 'main:c1',
      value: log.codec.encode('conversation.inbox', 'ChatMessage', message(tooLong)),
    },
    {
      topic: 'conversation.inbox',
      key: 'main:c1',
      value: log.codec.encode('conversation.inbox', 'ChatMessage', message('wamid.1')),
    },
  ])
  await caughtUp()
  expect(await rows('SELECT id FROM messages')).toEqual([{ id: 'wamid.1' }])
  await expect.poll(() => sink.status()).toMatchObject({ status: 'up', skipped: 3 })
  expect(errors).toHaveLength(3)
})

test('text that Postgres has no place for is written without it', async () => {
  await start()
  await log.put('conversation.inbox', 'main:c1', 'ChatMessage', { ...message('wamid.1', 'a\0b'), sentAt: -5 })
  await putVenue(venue('Blue\0 Lagoon', [], { aliases: ['บลู\0ลากูน'] }))
  await caughtUp()
  expect(await rows('SELECT text, at FROM messages')).toEqual([{ text: 'ab', at: new Date(0) }])
  expect(await rows('SELECT name, aliases FROM venues')).toEqual([{ name: 'Blue Lagoon', aliases: ['บลูลากูน'] }])
})

test('every record of a conversation is kept as it came, with what was decided of it', async () => {
  await start()
  await log.put('conversation.inbox', 'main:c1', 'ChatMessage', message('wamid.1'))
  const { partition } = await log.put('conversation.inbox', 'main:c1', 'TimerDue', { name: 'idle', version: '1.0', dueAt: AT })
  await log.put('dead.letters', 'main:c1', 'DeadLetter', {
    topic: 'conversation.inbox',
    partition,
    offset: 1,
    key: 'main:c1',
    recordType: 'TimerDue',
    value: Buffer.from([0]),
    decision: 'SKIP',
    cause: 'told to fail',
    at: AT,
  })
  await caughtUp()
  const kept = await rows(`SELECT h.*, s.schema FROM conversation_history h JOIN schemas s USING (fingerprint) ORDER BY "offset"`)
  expect(kept).toMatchObject([
    { conversation_id: 'main:c1', partition, offset: '0', record_type: 'ChatMessage', decision: 'handled', cause: null },
    { conversation_id: 'main:c1', partition, offset: '1', record_type: 'TimerDue', decision: 'skip', cause: 'told to fail' },
  ])
  const { type } = parse(kept[0]?.schema as string)
  expect(type.fromBuffer(kept[0]?.value as Buffer)).toMatchObject({ id: 'wamid.1', text: 'turn it down' })
})

test('the audit trail is a chain over restarts, and nobody changes it', async () => {
  const audit = (n: number) =>
    log.put('audit.log', 'main:nok', 'AuditEvent', {
      id: `e${n}`,
      actor: 'main:nok',
      action: 'conversations.reply',
      outcome: 'done',
      status: 200,
      requestId: `r${n}`,
      at: AT + n,
    })
  const first = await start()
  for (const n of [0, 1, 2]) await audit(n)
  await caughtUp()
  await first.close()
  await start()
  for (const n of [3, 4]) await audit(n)
  await caughtUp()
  const events = log.content('audit.log').map(({ value }) => value as AuditEvent)
  let previous = FIRST_HASH
  for (const [n, row] of (await rows('SELECT * FROM audit_log ORDER BY log_offset')).entries()) {
    expect(row.previous_hash).toEqual(previous)
    previous = auditHash(previous, n, events[n] as AuditEvent)
    expect(row.hash).toEqual(previous)
  }
  expect(previous).not.toEqual(FIRST_HASH)
  for (const sql of ["UPDATE audit_log SET actor = 'x'", 'DELETE FROM audit_log', 'TRUNCATE audit_log']) {
    await expect(pool.query(sql)).rejects.toThrow('never changed')
  }
  await pool.query('ALTER TABLE audit_log DISABLE TRIGGER ALL; TRUNCATE audit_log; ALTER TABLE audit_log ENABLE TRIGGER ALL')
})

test('rows lie in the partition of their month, those of months ahead included; what is far off in the default one', async () => {
  await start()
  const at = [Date.UTC(2020, 0, 1), Date.UTC(2024, 1, 29, 23, 59), Date.now(), Date.UTC(2999, 0)]
  for (const [n, sentAt] of at.entries())
    await log.put('conversation.inbox', 'main:c1', 'ChatMessage', { ...message(`m${n}`), sentAt })
  await caughtUp()
  const month = (ms: number) => `messages_${new Date(ms).toISOString().slice(0, 7).replace('-', '_')}`
  expect(await rows('SELECT tableoid::regclass::text AS partition, id FROM messages ORDER BY at')).toEqual(
    at.map((ms, n) => ({ partition: n === 3 ? 'messages_default' : month(ms), id: `m${n}` })),
  )
  const [{ n }] = (await rows(
    "SELECT count(*)::int AS n FROM pg_inherits WHERE inhparent = 'messages'::regclass AND inhrelid::regclass::text > $1",
    [month(Date.now())],
  )) as [{ n: number }]
  expect(n).toBe(4) // three months and the default one
  await pool.query("SELECT make_month('messages', 'at', '2999-01-01')")
  expect(await rows('SELECT id FROM messages_2999_01')).toEqual([{ id: 'm3' }])
})

test('waits while Postgres is away, says so, and catches up', async () => {
  const gate = await openGate({ host: '127.0.0.1', port: Number(new URL(postgres.url).port) })
  const gated = openPool({ url: through(gate, postgres.url), log: quiet })
  const sink = await start({ pool: gated })
  await vi.waitFor(() => expect(sink.status()).toMatchObject({ status: 'up', skipped: 0 }))
  gate.shut()
  await putVenue(venue('Blue Lagoon'))
  await vi.waitFor(() => expect(sink.status()).toMatchObject({ status: 'down', detail: expect.stringContaining('ECONNREFUSED') }))
  expect(await rows('SELECT 1 FROM venues')).toEqual([])
  await gate.open()
  await caughtUp()
  await vi.waitFor(() => expect(sink.status().status).toBe('up'))
  expect(await rows('SELECT name FROM venues')).toEqual([{ name: 'Blue Lagoon' }])
  await sink.close()
  await gated.end()
  gate.shut()
})

test('stays down while a table cannot be written, however often it tries', async () => {
  const tries: unknown[] = []
  const sink = await start({ logger: { ...quiet, info: (fields: unknown) => tries.push(fields) } })
  await caughtUp()
  await pool.query('ALTER TABLE venues RENAME TO venues_away')
  await putVenue(venue('Blue Lagoon'))
  const isDown = () =>
    expect(sink.status()).toMatchObject({ status: 'down', detail: expect.stringContaining('"venues" does not exist') })
  await vi.waitFor(isDown)
  const connects = vi.spyOn(pool, 'connect')
  await vi.waitFor(() => expect(connects.mock.calls.length).toBeGreaterThan(2))
  isDown()
  expect(tries).toEqual([])
  await pool.query('ALTER TABLE venues_away RENAME TO venues')
  await caughtUp()
  await vi.waitFor(() => expect(sink.status().status).toBe('up'))
})

test('refuses a database that was filled from another log', async () => {
  const first = await start()
  await putVenue(venue('Blue Lagoon'))
  await caughtUp()
  await first.close()
  log = await TestLog.open()
  const sink = await start({ log, codec: log.codec })
  await vi.waitFor(() => expect(sink.status()).toMatchObject({ status: 'down', detail: expect.stringContaining('another log') }))
})

test('is down until every partition is claimed, and shows their positions', async () => {
  const sink = await start()
  expect(sink.status().status).toBe('down')
  await putVenue(venue('Blue Lagoon'))
  await caughtUp()
  await vi.waitFor(() => expect(sink.positions().reduce((sum, { offset }) => sum + offset, 0)).toBe(1))
  expect(sink.status().status).toBe('up')
})

/** What has come since the first release. */
const SINCE = [
  '0002_complete_serving_schema',
  '0003_command_outcomes',
  '0004_cut_dead_letters',
  '0005_accounts_of_tenants',
  '0006_sync_refusals',
  '0007_erasures',
  '0008_override_claims',
  '0009_tenant_settings',
  '0010_refusal_codes',
]

test('migrations may run in several processes at once, and run once', async () => {
  const client = await pool.connect()
  await client.query('DROP SCHEMA public CASCADE; CREATE SCHEMA public')
  client.release()
  const applied = await Promise.all([migrate(pool), migrate(pool), migrate(pool)])
  expect(applied.flat()).toEqual(['0001_serving_store', ...SINCE])
})

test('a database of the first release is adopted, with its rows', async () => {
  const first = readFileSync(join(import.meta.dirname, 'migrations/0001_serving_store.sql'), 'utf8')
  const client = await pool.connect()
  await client.query(`DROP SCHEMA public CASCADE; CREATE SCHEMA public; ${first};
    CREATE TABLE schema_migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now());
    INSERT INTO schema_migrations VALUES ('0001_serving_store.sql');
    INSERT INTO messages VALUES
      ('main:c1', 'm1', 'out', 'whatsapp', NULL, NULL, 'Done.', 'text', '2026-05-01', 'sent', '', NULL, 4),
      ('main:c1', 'm2', 'out', '', 'wamid.2', NULL, NULL, 'unknown', '2026-05-01', 'read', '', NULL, -1);
    INSERT INTO delivery_reports VALUES ('main:c1', 'wamid.3', 'failed', 'no such phone', 131026)`)
  client.release()
  expect(await migrate(pool)).toEqual(SINCE)
  expect(await rows('SELECT tableoid::regclass::text AS partition, id, status FROM messages')).toEqual([
    { partition: 'messages_2026_05', id: 'm1', status: 'sent' },
  ])
  expect(await rows('SELECT ref, provider, provider_id, status FROM message_reports ORDER BY ref')).toEqual([
    { ref: 'm2', provider: false, provider_id: 'wamid.2', status: 'read' },
    { ref: 'wamid.3', provider: true, provider_id: 'wamid.3', status: 'failed' },
  ])
})

test('the database makes the same digests of ids as the rest of the service', async () => {
  for (const id of ['wamid.HBgLNjY4MDAwMDAwMDE=', '', 'ไทย']) {
    expect(await rows(`SELECT ${digestOf('$1::text')} AS digest`, [id])).toEqual([{ digest: reference(id) }])
  }
})

test('the database ranks statuses as the rest of the service does', async () => {
  const ranked = await rows('SELECT s AS status FROM unnest($1::text[]) AS s ORDER BY status_rank(s)', [
    DELIVERY_STATUSES.map(status => status.toLowerCase()).toSorted(),
  ])
  expect(ranked.map(({ status }) => status)).toEqual(DELIVERY_STATUSES.map(status => status.toLowerCase()))
})

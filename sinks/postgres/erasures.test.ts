import type pg from 'pg'
import { afterAll, afterEach, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { ASKED_BY, RECORD_ID } from '../../engine/headers.ts'
import { reference } from '../../domain/ids.ts'
import type { RecordInputs, RecordName } from '../../schemas/types.ts'
import type { Sink } from '../sink.ts'
import { TestLog } from '../testing/log.ts'
import { startTestPostgres, type TestPostgres } from './testing/postgres.ts'
import { erasedRows, rowsLeft, rowsOf } from './erasures.ts'
import { migrate } from './migrate.ts'
import { rebuild } from './rebuild.ts'
import { postgresTopics, startPostgresSink } from './sink.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const PHONE = '66800000001'
const KEY = 'main:c1'
const OTHER = 'main:c2'

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

/** Lets the sink write all that the log holds. */
async function written(): Promise<void> {
  sink ??= await startPostgresSink({ log, codec: log.codec, pool, logger: quiet })
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

async function put<N extends RecordName>(topic: string, type: N, record: RecordInputs[N], id?: string, key = KEY) {
  const headers: Record<string, string> = id === undefined ? {} : { [RECORD_ID]: reference(id) }
  await log.append([{ topic, key, value: log.codec.encode(topic, type, record), headers }])
}

const said = (id: string, at: number, key = KEY) =>
  put(
    'conversation.inbox',
    'ChatMessage',
    {
      id,
      channel: 'whatsapp',
      account: '1055',
      chat: PHONE,
      sender: { id: PHONE, phone: PHONE, name: 'Lek' },
      kind: 'TEXT',
      text: `${id} by Lek`,
      sentAt: at,
      receivedAt: at,
    },
    id,
    key,
  )
/** What the conversation looked up for the record at this offset of its inbox. */
const understood = async (offset: number) => {
  const record = {
    message: 'wamid.1',
    language: 'en',
    reply: 'NONE',
    override: 'NONE',
    match: 'NONE',
    sentiment: 'NEUTRAL',
  } as const
  const value = log.codec.encode('conversation.journal', 'Understood', { ...record, person: 'Lek' })
  await log.append([{ topic: 'conversation.journal', key: KEY, value, headers: { [ASKED_BY]: `${offset}.0` } }])
}
const answered = (id: string, at: number) =>
  put('whatsapp.inbox', 'SendMessage', {
    id,
    conversation: KEY,
    channel: 'whatsapp',
    account: '1055',
    to: PHONE,
    text: 'Hello Lek',
    lastInboundAt: at,
    createdAt: at,
  })
const profile = (at: number) =>
  put('conversation.profiles', 'ConversationProfile', {
    conversation: KEY,
    channel: 'whatsapp',
    account: '1055',
    user: PHONE,
    state: 'IDENTIFIED',
    owner: 'BOT',
    trust: 'CLAIMED',
    senders: [{ id: PHONE, name: 'Lek', trust: 'claimed' }],
    contactName: 'Lek',
    openedAt: at,
    updatedAt: at,
    lastInboundAt: at,
  })
const dead = (offset: number) =>
  put('dead.letters', 'DeadLetter', {
    topic: 'conversation.inbox',
    partition: 0,
    offset,
    key: KEY,
    recordType: 'ChatMessage',
    value: Buffer.from(`by ${PHONE}`),
    decision: 'SKIP',
    cause: 'no',
    codeVersion: 'x',
    at: Date.now(),
  })
const issue = (openedAt: number) =>
  put(
    'issues',
    'Issue',
    {
      id: 'issue-1',
      conversation: KEY,
      channel: 'whatsapp',
      department: 'GENERAL',
      priority: 'HIGH',
      reason: 'human',
      text: 'Lek wants a call',
      status: 'OPEN',
      openedAt,
      updatedAt: openedAt,
    },
    undefined,
    'issue-1',
  )
const alert = (at: number) =>
  put('alerts', 'Alert', {
    id: 'alert-1',
    conversation: KEY,
    department: 'GENERAL',
    priority: 'HIGH',
    kind: 'handover',
    text: 'somebody waits',
    at,
  })

/** All that a conversation makes. */
async function lives(at: number): Promise<void> {
  await said('wamid.1', at)
  await profile(at)
  await answered('out-1', at)
  await put('conversation.inbox', 'SendOutcome', { id: 'out-1', providerId: 'wamid.of-out-1', status: 'SENT', at })
  await put('conversation.inbox', 'SendOutcome', { id: 'out-unknown', providerId: 'wamid.of-unknown', status: 'SENT', at })
  await put('conversation.inbox', 'AgentAction', { id: 'note-1', kind: 'NOTE', by: 'main:a', text: 'Lek prefers calls', at })
  await understood(0)
  await dead(0)
  await issue(at)
  await alert(at)
  await said('wamid.other', at, OTHER)
}

/** As the conversation's actor and its connector do it. */
async function erased(): Promise<void> {
  const at = Date.now()
  const order = { id: 'erasure-1', channel: 'whatsapp', at }
  await put('conversation.inbox', 'ErasePerson', order, 'erasure-1')
  await log.append([{ topic: 'conversation.profiles', key: KEY, value: null }])
  // A message of before that was handled meanwhile.
  await understood(0)
  // What the connector had done before its own order came.
  await put('conversation.inbox', 'SendOutcome', { id: 'out-1', providerId: 'wamid.of-out-1', status: 'DELIVERED', at })
  await put('whatsapp.inbox', 'ErasePerson', order)
}

const NOTHING = {
  messages: 0,
  conversation_archive: 1,
  message_reports: 0,
  conversation_notes: 0,
  conversations: 0,
  issues: 0,
  alerts: 0,
  dead_letters: 0,
}

/** Every row of every table that the sink writes, as text. */
async function everything(): Promise<string> {
  const { rows } = await pool.query<{ name: string }>("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
  const all = await Promise.all(
    rows.map(({ name }) =>
      pool.query(`SELECT t::text || coalesce(encode(convert_to(t::text, 'UTF8'), 'escape'), '') AS row FROM ${name} t`),
    ),
  )
  return all.flatMap(({ rows }) => rows.map(({ row }) => row as string)).join('\n')
}

const inHex = (text: string) => Buffer.from(text).toString('hex')

test.each(['one after the other', 'in one batch'])('is nowhere in the tables, written %s', async how => {
  const before = Date.now() - 60_000
  await lives(before)
  if (how !== 'in one batch') {
    await written()
    const there = await rowsOf(pool, [KEY])
    for (const [table, rows] of Object.entries(there)) expect([table, rows > 0]).toEqual([table, true])
  }
  await erased()
  await written()
  // The order itself is archived: it names nobody.
  expect(await rowsOf(pool, [KEY])).toEqual(NOTHING)
  expect(await rowsLeft(pool, [KEY])).toEqual({ ...NOTHING, conversation_archive: 0 })
  expect((await rowsOf(pool, [OTHER])).messages).toBe(1)
  await pool.query(
    "DELETE FROM messages WHERE conversation_id = 'main:c2'; DELETE FROM conversation_archive WHERE conversation_id = 'main:c2'",
  )
  const text = await everything()
  for (const personal of [PHONE, inHex(PHONE), 'Lek', inHex('Lek'), 'wamid', inHex('wamid')]) expect(text).not.toContain(personal)
})

test.each(['later', 'before any of it is written', 'with the order'])(
  'does not come back with what comes late or again: %s',
  async when => {
    const before = Date.now() - 60_000
    await lives(before)
    if (when === 'with the order') {
      await written()
      await sink?.close()
      sink = null
    }
    await erased()
    if (when === 'later') await written()
    await said('wamid.1', before)
    await issue(before)
    await alert(before)
    await dead(0)
    // It was on its way out, in parts.
    for (const more of [true, false]) {
      const [at, providerId] = [Date.now() + 5_000, `wamid.of-out-1.${PHONE}.${more}`]
      await put('whatsapp.inbox', 'SendResult', { id: 'out-1', more, accepted: true, providerId, at })
    }
    await written()
    expect(await rowsOf(pool, [KEY])).toEqual(NOTHING)
  },
)

test('begins anew when they write again, and that stays', async () => {
  await lives(Date.now() - 60_000)
  await erased()
  const later = Date.now() + 5_000
  await said('wamid.2', later)
  await profile(later)
  await answered('out-2', later)
  await written()
  await said('wamid.2', later)
  await written()
  const { rows } = await pool.query('SELECT id FROM messages WHERE conversation_id = $1 ORDER BY id', [KEY])
  expect(rows).toEqual([{ id: 'out-2' }, { id: 'wamid.2' }])
  expect((await rowsOf(pool, [KEY])).conversations).toBe(1)
  expect(await rowsLeft(pool, [KEY])).toMatchObject({ messages: 0, conversations: 0 })
})

test('does not come back when the tables are made anew from a log that still has it', async () => {
  await lives(Date.now() - 60_000)
  await written()
  await erased()
  await written()
  await said('wamid.1', Date.now() - 60_000)
  await rebuild({ log, codec: log.codec, url: postgres.url, logger: quiet })
  expect(await rowsOf(pool, [KEY])).toEqual(NOTHING)
  expect((await rowsOf(pool, [OTHER])).messages).toBe(1)
})

test('goes even where the rebuild has read the order before the serving sink did', async () => {
  await lives(Date.now() - 60_000)
  await written()
  await sink?.close()
  sink = null
  await erased()
  await rebuild({ log, codec: log.codec, url: postgres.url, logger: quiet })
  await written()
  expect(await rowsOf(pool, [KEY])).toEqual(NOTHING)
})

test('goes from what could not be read of webhooks, in a rebuild too', async () => {
  const refused = (part: object) =>
    put('dead.letters', 'DeadLetter', {
      topic: 'webhooks/whatsapp',
      partition: -1,
      offset: -1,
      key: 'entry[0]',
      recordType: '',
      value: Buffer.from(JSON.stringify(part)),
      decision: 'REFUSED',
      cause: 'timestamp is missing',
      at: Date.now(),
    })
  await refused({ from: PHONE, text: 'unreadable' })
  await refused({ from: '66800000002' })
  await written()
  expect(await erasedRows(pool).letters(PHONE)).toBe(1)
  await rebuild({ log, codec: log.codec, url: postgres.url, logger: quiet })
  const { rows } = await pool.query("SELECT convert_from(value, 'UTF8') AS part FROM dead_letters")
  expect(rows).toEqual([{ part: '{"from":"66800000002"}' }])
})

import type pg from 'pg'
import pino from 'pino'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../../sinks/postgres/testing/postgres.ts'
import { startPostgresSink } from '../../sinks/postgres/sink.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { auditLog } from '../../topics/catalog.ts'
import { LogError } from '../../topics/log.ts'
import { type Answer, get, send, testOptions, tokenFor } from '../testing/client.ts'
import { fill } from '../testing/fixture.ts'

let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  await fill(log, pool)
  api = await startApi(testOptions(log, pool))
})

afterAll(async () => {
  await api.close()
  await postgres.close()
})

const read = (path: string, headers?: Record<string, string>) => get(api.url + path, headers)

test('venues are sorted by name, with counts of zones, without removed ones', async () => {
  const { status, body } = await read('/api/v1/venues')
  expect(status).toBe(200)
  expect(body.next).toBeNull()
  expect(body.items.map((item: { name: string }) => item.name)).toEqual([
    'blue heron',
    'Blue Lagoon',
    'Lotus Bay',
    'Siam Terrace',
    'Étoile',
  ])
  expect(body.items[1]).toEqual({
    id: 'main:v1',
    name: 'Blue Lagoon',
    location: 'Phuket',
    region: 'phuket',
    soundtrackAccount: null,
    subscriptionStatus: null,
    priorityLevel: null,
    slaTier: null,
    zoneCounts: { online: 1, offline: 0, unknown: 1 },
    updatedAt: '2026-05-01T09:00:00.000Z',
  })
})

test('q finds venues by a part of the name, in any case, and not as a pattern', async () => {
  const names = async (q: string) =>
    (await read(`/api/v1/venues?q=${encodeURIComponent(q)}`)).body.items.map((v: { name: string }) => v.name)
  expect(await names('BLUE')).toEqual(['blue heron', 'Blue Lagoon'])
  expect(await names('étoi')).toEqual(['Étoile'])
  expect(await names('%')).toEqual([])
})

test('q finds names with typing errors, best match first', async () => {
  const names = async (q: string) =>
    (await read(`/api/v1/venues?q=${encodeURIComponent(q)}`)).body.items.map((v: { name: string }) => v.name)
  expect(await names('lag0on')).toEqual(['Blue Lagoon'])
  expect(await names('blue lagon')).toEqual(['Blue Lagoon', 'blue heron'])
  expect((await names('siam terace'))[0]).toBe('Siam Terrace')
  expect((await names('Lotus Bay'))[0]).toBe('Lotus Bay')
  expect(await names('zzzz')).toEqual([])
  const { body } = await read('/api/v1/venues?q=Lotus%20Bay')
  expect(body.items[0].score).toBe(1)
})

describe('a command', () => {
  const venue = '/api/v1/venues/main:v2'
  const put = (body: object, headers: Record<string, string> = {}) =>
    send('PUT', `${api.url}${venue}/overrides/notes`, { body, headers })
  /** Reports the outcome of a command as its actor would. */
  const tell = (id: string, outcome: string, reason = '', more: { code?: string } = {}) =>
    pool.query("UPDATE venues SET commands = commands || $1::jsonb WHERE id = 'main:v2'", [
      JSON.stringify([{ id, outcome, reason, ...more }]),
    ])
  const given = () => log.content('venue.inbox').filter(r => r.type === 'VenueOverride')

  test('is on the inbox under its id, and answered once its actor has reported the outcome', async () => {
    const before = given().length
    const asked = put({ value: 'quiet', reason: 'told so' })
    await expect.poll(() => given().length).toBe(before + 1)
    const record = given().at(-1)
    expect(record?.headers).toMatchObject({ id: record?.headers.command })
    expect(record?.value).toMatchObject({ field: 'notes', value: '"quiet"', reason: 'told so', by: 'admin-token' })
    await tell(record?.headers.command as string, 'handled')
    expect(await asked).toMatchObject({ status: 200, body: { outcome: 'handled', action: 'VenueOverride' } })
  })

  test('that gives one account to two venues concurrently is refused to one of them', async () => {
    const give = (venue: string, value: string, headers: Record<string, string> = { prefer: 'wait=0' }) =>
      send('PUT', `${api.url}/api/v1/venues/${venue}/overrides/soundtrackAccount`, { body: { value }, headers })
    const both = await Promise.all([give('main:v2', 'QWNjb3VudA=='), give('main:v3', 'QWNjb3VudA')])
    expect(both.map(({ status }) => status).sort()).toEqual([202, 409])
    const [winner, loser] = both[0]?.status === 202 ? ['main:v2', 'main:v3'] : ['main:v3', 'main:v2']
    expect(both.find(({ status }) => status === 409)?.body.code).toBe('conflict')
    // While the outcome is unknown; the same venue may repeat it.
    expect((await give(loser, 'QWNjb3VudA')).status).toBe(409)
    expect((await give(winner, 'QWNjb3VudA')).status).toBe(202)
    // A refused value is available again.
    const before = given().length
    const refused = give('main:v2', 'T3RoZXI', {})
    await expect.poll(() => given().length).toBe(before + 1)
    await tell(given().at(-1)?.headers.command as string, 'refused', 'invalid_value: soundtrackAccount')
    expect((await refused).body.code).toBe('command_refused')
    expect((await give('main:v3', 'T3RoZXI')).status).toBe(202)
  })

  test.each([
    ['refused', 409, 'command_refused', 'invalid_value: notes'],
    ['skipped', 422, 'command_failed', undefined],
    ['parked', 422, 'command_failed', undefined],
  ])('that was %s is %i %s', async (outcome, status, code, detail) => {
    const before = given().length
    const asked = put({ value: 1 })
    await expect.poll(() => given().length).toBe(before + 1)
    const id = given().at(-1)?.headers.command as string
    await tell(id, outcome, 'invalid_value: notes', { code: 'invalid_value' })
    const answer = await asked
    expect([answer.status, answer.body.code]).toEqual([status, code])
    if (detail !== undefined) expect(answer.body.detail).toBe(detail)
    const told = await get(`${api.url}/api/v1/commands/${id}`)
    expect(told.body).toMatchObject({ outcome, reason: 'invalid_value: notes', code: 'invalid_value' })
  })

  test('that takes longer is 202 with a location, which only its principal may read', async () => {
    const { status, headers, body } = await put({ value: 'later' }, { prefer: 'wait=0' })
    expect([status, body.outcome]).toEqual([202, 'pending'])
    const place = headers.get('location') as string
    expect((await read(place)).body).toMatchObject({ id: body.id, outcome: 'pending' })
    await tell(body.id, 'handled')
    expect((await read(place)).body).toMatchObject({ id: body.id, outcome: 'handled' })
    expect((await get(api.url + place, { authorization: `Bearer ${await tokenFor({ role: 'admin' })}` })).status).toBe(404)
  })

  test('keeps its outcome after its actor has dropped it', async () => {
    const headers = { 'idempotency-key': 'kept', prefer: 'wait=0' }
    const { body } = await put({ value: 'kept' }, headers)
    await tell(body.id, 'refused', 'invalid_value: notes')
    const outcome = { id: body.id, outcome: 'refused' }
    expect((await read(`/api/v1/commands/${body.id}`)).body).toMatchObject(outcome)
    await pool.query("UPDATE venues SET commands = '[]' WHERE id = 'main:v2'")
    expect((await read(`/api/v1/commands/${body.id}`)).body).toMatchObject(outcome)
    const count = given().length
    expect((await put({ value: 'kept' }, headers)).body.code).toBe('command_refused')
    expect(given()).toHaveLength(count)
  })

  test('repeated with one Idempotency-Key has one id, also for its actor', async () => {
    const headers = { 'idempotency-key': 'the-same', prefer: 'wait=0' }
    const before = given().length
    const answers = await Promise.all(Array.from({ length: 8 }, () => put({ value: 'once' }, headers)))
    expect(new Set(answers.map(a => a.body.id)).size).toBe(1)
    expect(
      new Set(
        given()
          .slice(before)
          .map(r => r.headers.id),
      ).size,
    ).toBe(1)
    const [{ body }] = answers as [Answer]
    await tell(body.id, 'handled')
    const count = given().length
    expect(await put({ value: 'once' }, headers)).toMatchObject({ status: 200, body: { id: body.id, outcome: 'handled' } })
    expect(given()).toHaveLength(count)
    expect((await put({ value: 'twice' }, headers)).body.code).toBe('idempotency_key_reused')
  })

  test('is 503 while the log is unavailable, and done later with the same key', async () => {
    log.failing = new LogError('unavailable', 'away')
    const headers = { 'idempotency-key': 'later', prefer: 'wait=0' }
    expect((await put({ value: 'x' }, headers)).status).toBe(503)
    log.failing = null
    expect((await put({ value: 'x' }, headers)).status).toBe(202)
  })

  test('in a conversation names who does it', async () => {
    const token = await tokenFor({ role: 'agent', id: 'main:nok' })
    for (const [path, body, kind] of [
      ['take-over', undefined, 'TAKE_OVER'],
      ['replies', { text: 'hello' }, 'REPLY'],
      ['notes', { text: 'prefers calls' }, 'NOTE'],
      ['assign', { assignee: null }, 'ASSIGN'],
      ['resolve', {}, 'RESOLVE'],
      ['approve', { sender: '66800000000', venue: 'main:v1', trust: 'bound' }, 'APPROVE'],
      ['hand-back', undefined, 'HAND_BACK'],
    ] as const) {
      const url = `${api.url}/api/v1/conversations/main:c0/${path}`
      expect((await send('POST', url, { token, body, headers: { prefer: 'wait=0' } })).status).toBe(202)
      const record = log.content('conversation.inbox').at(-1)
      const wanted = { kind, by: 'main:nok', ...(body ?? {}) } as Record<string, unknown>
      if (kind === 'APPROVE') wanted.trust = 'BOUND'
      expect(record?.value).toMatchObject(wanted)
      expect(record?.key).toBe('main:c0')
    }
  })
})

test.each(['/api/v1/venues', '/api/v1/conversations', '/api/v1/alerts', '/api/v1/sync-runs'])(
  'the pages of %s, one by one, are the whole list',
  async path => {
    const whole = (await read(path)).body.items
    expect(whole.length).toBeGreaterThan(2)
    const paged: unknown[] = []
    let cursor: string | null = null
    do {
      const page: Answer = await read(`${path}?limit=1${cursor === null ? '' : `&cursor=${cursor}`}`)
      expect(page.body.items).toHaveLength(1)
      paged.push(...page.body.items)
      cursor = page.body.next
    } while (cursor !== null)
    expect(paged).toEqual(whole)
  },
)

test('pages of a conversation skip no messages of the same second', async () => {
  await pool.query(
    `INSERT INTO messages (conversation_id, id, direction, channel, text, kind, at, status, reason, version)
     SELECT 'main:c2', id, direction, 'line', id, 'text', '2026-05-01T10:00:00Z', 'sent', '', version
     FROM (VALUES ('b 1', 'in', 1), ('a', 'in', 2), ('d', 'out', 1), ('c', 'out', 3)) AS m (id, direction, version)`,
  )
  const path = '/api/v1/conversations/main:c2/messages'
  const paged: string[] = []
  let cursor: string | null = null
  do {
    const page: Answer = await read(`${path}?limit=1${cursor === null ? '' : `&cursor=${cursor}`}`)
    paged.push(...page.body.items.map((m: { id: string }) => m.id))
    cursor = page.body.next
  } while (cursor !== null)
  expect(paged).toEqual(['c', 'd', 'a', 'b 1'])
  const thread = (await read('/api/v1/conversations/main:c2')).body.messages.map((m: { id: string }) => m.id)
  expect(thread).toEqual(paged.toReversed())
})

test('the audit trail is intact until an event is changed, or removed from its beginning', async () => {
  const event = { actorKind: 'user', role: 'agent', outcome: 'done', status: 200, personal: true, requestId: 'r', at: 1_000 }
  for (const n of [0, 1, 2])
    await log.put('audit.log', 'main:nok', 'AuditEvent', { ...event, id: `e${n}`, actor: 'main:nok', action: 'venues.read' })
  const logger = pino({ level: 'silent' })
  const sink = await startPostgresSink({ log, codec: log.codec, pool, logger, topics: [auditLog] })
  const verified = async () => (await read('/api/v1/audit/verify')).body
  await expect.poll(async () => (await verified()).events).toBeGreaterThanOrEqual(3)
  await sink.close()
  expect(await verified()).toMatchObject({ intact: true, from: 0, brokenAt: null })
  const tamper = (sql: string) =>
    pool.query(`ALTER TABLE audit_log DISABLE TRIGGER USER; ${sql}; ALTER TABLE audit_log ENABLE TRIGGER USER`)
  await tamper("UPDATE audit_log SET action = 'venues.list' WHERE log_offset = 1")
  expect(await verified()).toMatchObject({ intact: false, brokenAt: 1 })
  await tamper('DELETE FROM audit_log WHERE log_offset <= 1')
  expect(await verified()).toMatchObject({ intact: false, brokenAt: 2 })
})

test('the cache can be flushed', async () => {
  expect((await send('POST', `${api.url}/api/v1/cache/flush`)).status).toBe(204)
})

test.each(['0', '201', '-1', 'ten', '1.5', ''])('a limit of "%s" is refused', async limit => {
  const { status, headers, body } = await read(`/api/v1/alerts?limit=${limit}`)
  expect(status).toBe(400)
  expect(headers.get('content-type')).toContain('application/problem+json')
  expect(body).toMatchObject({
    status: 400,
    code: 'invalid_request',
    title: 'Bad Request',
    detail: expect.stringContaining('limit'),
  })
  expect(body.type).toEqual(expect.any(String))
})

test('a forged cursor, or one of another list, is refused', async () => {
  const { next } = (await read('/api/v1/venues?limit=1')).body
  const made = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url')
  for (const cursor of [
    'nonsense',
    next,
    made(['alerts', 'yesterday', 'a1']),
    made(['alerts']),
    made({ a: 1 }),
    made(['alerts', 1, 2]),
  ]) {
    expect(await read(`/api/v1/alerts?cursor=${cursor}`)).toMatchObject({ status: 400, body: { code: 'invalid_cursor' } })
  }
  expect((await read(`/api/v1/alerts?cursor=${made(['alerts', '2026-99-99T00:00:00.000Z', 'a1'])}`)).status).toBe(400)
  expect((await read('/api/v1/venues?q=%00')).status).toBe(400)
})

test('a venue is found by its id, encoded or not, with the source of its fields', async () => {
  for (const path of ['/api/v1/venues/main:v1', '/api/v1/venues/main%3Av1']) {
    const { status, body } = await read(path)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      id: 'main:v1',
      name: 'Blue Lagoon',
      location: 'Phuket',
      contact: { name: 'Nok', phone: '66800000001', email: null, position: null },
      volumeCap: 16,
      removed: false,
      provenance: { name: { source: 'sheets', at: '2026-05-01T09:00:00.000Z' } },
    })
    expect(body.zones).toEqual([
      expect.objectContaining({
        id: 'z1',
        name: 'Lobby',
        status: 'online',
        playing: true,
        volume: 7,
        track: 'Tide',
        asOf: '2026-05-01T09:00:00.000Z',
        since: '2026-05-01T08:59:59.995Z',
      }),
      expect.objectContaining({ id: 'z2', name: 'Pool', status: 'unknown', playing: null, volume: null, asOf: null }),
    ])
  }
})

test('a venue that has not changed since is 304', async () => {
  const { headers } = await read('/api/v1/venues/main:v1')
  const etag = headers.get('etag') as string
  expect(etag).toMatch(/^"[\w-]+"$/)
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const again = await read('/api/v1/venues/main:v1', { 'if-none-match': known })
    expect(again).toMatchObject({ status: 304, text: '' })
    expect(again.headers.get('etag')).toBe(etag)
  }
  await pool.query("UPDATE zones SET volume = 3 WHERE venue_id = 'main:v1' AND id = 'z1'")
  const changed = await read('/api/v1/venues/main:v1', { 'if-none-match': etag })
  expect(changed.status).toBe(200)
  expect(changed.body.zones[0].volume).toBe(3)
  await pool.query("UPDATE zones SET volume = 7 WHERE venue_id = 'main:v1' AND id = 'z1'")
})

test('conversations are found by channel and user', async () => {
  const ids = async (query: string) => (await read(`/api/v1/conversations?${query}`)).body.items.map((c: { id: string }) => c.id)
  expect(await ids('')).toEqual(['main:c2', 'main:c1', 'main:c0'])
  expect(await ids('channel=whatsapp')).toEqual(['main:c1', 'main:c0'])
  expect(await ids('channel=whatsapp&user=66800000000')).toEqual(['main:c0'])
  expect(await ids('channel=line&user=66800000000')).toEqual([])
})

test('a conversation has its senders, its venue, its messages and its requests', async () => {
  const { status, body } = await read('/api/v1/conversations/main:c0')
  expect(status).toBe(200)
  expect(body).toEqual({
    id: 'main:c0',
    channel: 'whatsapp',
    user: '66800000000',
    state: 'ready',
    owner: 'waiting',
    assignee: null,
    trust: 'hinted',
    senders: [{ id: '66800000000', name: 'Nok', trust: 'hinted' }],
    language: 'th',
    venue: 'main:v1',
    venueName: 'Blue Lagoon',
    contact: { name: 'Nok', position: 'Manager' },
    issue: null,
    openedAt: '2026-05-01T09:00:00.000Z',
    updatedAt: '2026-05-01T09:00:00.000Z',
    lastInboundAt: '2026-05-01T09:00:00.000Z',
    notes: [],
    messages: [
      {
        id: 'wamid.1',
        direction: 'in',
        kind: 'text',
        text: 'เบาเพลงหน่อย',
        at: '2026-05-01T09:00:00.000Z',
        status: 'delivered',
        reason: '',
      },
      {
        id: 'out-1',
        direction: 'out',
        kind: 'text',
        text: 'Lobby is at 6 now.',
        at: '2026-05-01T09:00:00.900Z',
        status: 'read',
        reason: '',
      },
    ],
    requests: [
      {
        id: 'r1',
        kind: 'volume_down',
        zone: 'z1',
        zoneName: 'Lobby',
        value: 6,
        outcome: 'confirmed',
        reason: '',
        at: '2026-05-01T09:00:00.000Z',
        endedAt: '2026-05-01T09:00:00.009Z',
      },
    ],
  })
})

test('alerts and synchronisation runs can be read', async () => {
  expect((await read('/api/v1/alerts')).body.items[0]).toEqual({
    id: 'a2',
    venue: 'main:v1',
    conversation: null,
    department: 'operations',
    priority: 'critical',
    kind: 'zone_offline',
    text: 'Lobby is offline',
    resolved: false,
    at: '2026-05-01T09:00:00.000Z',
  })
  expect((await read('/api/v1/sync-runs')).body.items[0]).toEqual({
    id: 's2',
    source: 'sheets:venues',
    startedAt: '2026-05-01T09:00:00.002Z',
    endedAt: '2026-05-01T09:00:00.042Z',
    outcome: 'ok',
    venues: 5,
    changed: 0,
    errors: 0,
    durationMs: 40.5,
    reason: '',
    refusals: [{ line: 3, reason: 'no name', column: '', value: '', expected: '', refused: true }],
  })
})

test('all refusals of a synchronisation are listed in pages, and the first of them with the run', async () => {
  const runs = (await read('/api/v1/sync-runs')).body.items as { id: string; refusals: { line: number }[] }[]
  expect(runs.find(({ id }) => id === 's0')?.refusals).toHaveLength(200)
  const lines: number[] = []
  let next: string | null = ''
  while (next !== null) {
    const { body } = await read(`/api/v1/sync-runs/s0/refusals?limit=150${next && `&cursor=${next}`}`)
    lines.push(...body.items.map(({ line }: { line: number }) => line))
    next = body.next
  }
  expect(lines).toEqual(Array.from({ length: 700 }, (_, n) => n + 2))
  const [first] = (await read('/api/v1/sync-runs/s0/refusals?limit=1')).body.items
  expect(first).toEqual({ line: 2, column: 'zone_count', value: 'four', expected: 'a number', refused: false, reason: 'none' })
  expect((await read('/api/v1/sync-runs/s0/refusals?cursor=bad')).status).toBe(400)
  expect((await read('/api/v1/sync-runs/nothing/refusals')).body.items).toEqual([])
})

test.each(['/api/v1/venues/main:nowhere', '/api/v1/conversations/main:nobody', '/api/v1/nothing', '/nothing'])(
  '%s is not found',
  async path => {
    expect(await read(path)).toMatchObject({ status: 404, body: { code: 'not_found', status: 404, title: 'Not Found' } })
  },
)

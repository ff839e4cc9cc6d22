/** Who may change whose music plays and who is trusted; exports of personal data; the audit trail. */
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../../sinks/postgres/testing/postgres.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { type Answer, send, testOptions, tokenFor } from '../testing/client.ts'
import { endless, isGuarded, pathOf, type Route, routesOf, sample } from '../testing/routes.ts'
import { fill } from '../testing/fixture.ts'

const NO_WAIT = { prefer: 'wait=0' }
let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  await fill(log, pool)
  await pool.query("UPDATE venues SET soundtrack_account_id = 'QWNjMg==', soundtrack_location_id = 'TG9jMg' WHERE id = 'main:v2'")
  await pool.query("UPDATE venues SET removed = true, soundtrack_account_id = 'QWNjNA==' WHERE id = 'main:v4'")
  api = await startApi(testOptions(log, pool))
})

afterAll(async () => {
  await api.close()
  await postgres.close()
})

describe('an override that decides whose music plays or who is trusted', () => {
  const given = () => log.content('venue.inbox').filter(r => r.type === 'VenueOverride').length
  const force = (field: string, value: unknown, token?: string) =>
    send('PUT', `${api.url}/api/v1/venues/main:v1/overrides/${field}`, {
      body: { value },
      headers: NO_WAIT,
      ...(token === undefined ? {} : { token }),
    })

  test.each(['soundtrackAccount', 'soundtrackLocation', 'contactPhone'])(
    '%s is for those who see the whole installation',
    async field => {
      const before = given()
      for (const person of [
        { role: 'agent', venues: ['main:v1'] },
        { role: 'admin', regions: ['phuket'] },
        { role: 'agent', venues: ['main:v1', 'main:v2'] },
      ] as const) {
        const token = await tokenFor(person)
        expect(await force(field, 'x', token)).toMatchObject({ status: 403, body: { code: 'forbidden' } })
        const taken = await send('DELETE', `${api.url}/api/v1/venues/main:v1/overrides/${field}`, { token, headers: NO_WAIT })
        expect(taken.status).toBe(403)
        expect((await force('notes', 'x', token)).status).toBe(202)
      }
      expect(given()).toBe(before + 3)
      expect((await force(field, 'x', await tokenFor({ role: 'agent' }))).status).toBe(202)
    },
  )

  test('to an account or location of another venue is refused, naming that venue', async () => {
    const before = given()
    for (const [field, value] of [
      ['soundtrackAccount', 'QWNjMg=='],
      ['soundtrackAccount', ' QWNjMg '],
      ['soundtrackLocation', 'TG9jMg=='],
    ] as const) {
      const { status, body } = await force(field, value)
      expect([status, body.code, body.detail]).toEqual([409, 'conflict', expect.stringContaining('main:v2')])
    }
    expect(given()).toBe(before)
    for (const [field, value] of [
      ['soundtrackAccount', 'QWNjOQ=='],
      ['soundtrackAccount', 'QWNjNA=='], // of a removed venue
      ['soundtrackAccount', null],
      ['contactPhone', '+66 80 000 0001'], // a person may have several venues
    ] as const)
      expect([field, value, (await force(field, value)).status]).toEqual([field, value, 202])
  })
})

/** The last event of a request in the audit trail. */
async function eventOf({ headers }: Answer, url = ''): Promise<Record<string, unknown>> {
  const of = () => {
    const events = log.content('audit.log').map(record => record.value as unknown as Record<string, unknown>)
    return events.filter(e => e.requestId === headers.get('x-request-id') && e.status !== 0)
  }
  await vi.waitFor(() => expect(of(), url).toHaveLength(1))
  return of()[0] as Record<string, unknown>
}

describe('an approval', () => {
  const approve = (body: object) => send('POST', `${api.url}/api/v1/conversations/main:c0/approve`, { body, headers: NO_WAIT })

  test.each(['claimed', 'hinted', 'bound'])('names sender, venue and level (%s), and is audited with them', async trust => {
    const answer = await approve({ sender: '66800000000', venue: 'main:v1', trust })
    expect(answer.status).toBe(202)
    expect(log.content('conversation.inbox').at(-1)?.value).toMatchObject({
      kind: 'APPROVE',
      sender: '66800000000',
      venue: 'main:v1',
      trust: trust.toUpperCase(),
      by: 'admin-token',
    })
    expect(await eventOf(answer)).toMatchObject({
      action: 'conversations.approve',
      object: 'main:c0',
      actor: 'admin-token',
      before: '66•••••000 at main:v1: hinted',
      after: `66•••••000 at main:v1: ${trust}`,
    })
  })

  test('without one of them is refused', async () => {
    const whole = { sender: '66800000000', venue: 'main:v1', trust: 'bound' }
    for (const name of ['sender', 'venue', 'trust']) expect((await approve({ ...whole, [name]: undefined })).status).toBe(400)
  })
})

test('analyst and ops see the field of an override, but not who forced it or why', async () => {
  const forced = {
    field: 'notes',
    at: '2026-05-01T09:00:00.000Z',
    by: 'nok@example.com',
    reason: 'ask n@example.com, +66800000123',
  }
  await pool.query("UPDATE venues SET overrides = $1 WHERE id = 'main:v3'", [JSON.stringify([forced])])
  const seen = async (role: 'agent' | 'analyst' | 'ops') =>
    (await send('GET', `${api.url}/api/v1/venues/main:v3`, { token: await tokenFor({ role }) })).body.overrides
  expect(await seen('agent')).toEqual([forced])
  for (const role of ['analyst', 'ops'] as const)
    expect(await seen(role)).toEqual([{ ...forced, by: 'n•••@example.com', reason: 'a•••' }])
})

test('an override is audited with its field, and digests instead of values', async () => {
  const force = (value: unknown) =>
    send('PUT', `${api.url}/api/v1/venues/main:v1/overrides/contactPhone`, { body: { value }, headers: NO_WAIT })
  const [one, same, other] = [await force('66800000009'), await force('66800000009'), await force(null)]
  const [first, second, third] = await Promise.all([one, same, other].map(answer => eventOf(answer)))
  expect(first).toMatchObject({ object: 'main:v1', action: 'venues.override', personal: true })
  for (const told of [first?.before, first?.after]) expect(told).toMatch(/^contactPhone [0-9a-f]{20}$/)
  expect(first?.after).toBe(second?.after)
  expect(first?.after).not.toBe(first?.before)
  expect(third?.after).toBe('contactPhone none')
  const taken = await send('DELETE', `${api.url}/api/v1/venues/main:v1/overrides/notes`, { headers: NO_WAIT })
  expect(await eventOf(taken)).toMatchObject({ before: 'notes none', after: 'notes taken back' })
  expect(JSON.stringify(log.content('audit.log').map(r => r.value))).not.toContain('66800000009')
})

describe('an export of personal data', () => {
  const ask = (body: object, token?: string) =>
    send('POST', `${api.url}/api/v1/persons/export`, { body, ...(token === undefined ? {} : { token }) })

  test("holds the person's data, and none of others", async () => {
    await pool.query(`INSERT INTO conversations (id, channel, account, user_id, state, owner, trust, senders, venue_id, requests, commands,
      contact_name, issue, opened_at, updated_at, last_inbound_at, version) VALUES ('main:group', 'whatsapp', '1', '66899990000', 'IDENTIFIED', 'bot',
      'claimed', '[{"id":"66800000000","name":"Nok","trust":"claimed"},{"id":"66899990000","name":"Lek","trust":"bound"}]', 'main:v1',
      '[{"id":"of-the-group"}]', '[]', 'Lek', 'of the group', now(), now(), now(), 1)`)
    await pool.query(`INSERT INTO messages (conversation_id, id, direction, channel, sender_id, text, kind, at, status, reason, version) VALUES
      ('main:group', 'g1', 'in', 'whatsapp', '66800000000', 'by Nok', 'text', now(), 'read', '', 1),
      ('main:group', 'g2', 'in', 'whatsapp', '66899990000', 'by Lek', 'text', now(), 'read', '', 2)`)
    await pool.query(
      "INSERT INTO conversation_notes VALUES ('n1', 'main:c0', 'x', 'X', 'prefers calls', now(), 1), ('n2', 'main:group', 'x', 'X', 'of all', now(), 2)",
    )
    const answer = await ask({ channel: 'whatsapp', user: '66800000000' })
    expect(answer.status).toBe(200)
    const { conversations, messages, notes } = answer.body
    expect(conversations).toMatchObject([
      { id: 'main:c0', name: 'Nok', contactName: 'Nok', others: 0, requests: [{ id: 'r1' }] },
      { id: 'main:group', name: 'Nok', trust: 'claimed', contactName: null, issue: null, others: 1, requests: [] },
    ])
    expect(messages.map((m: { text: string }) => m.text)).toEqual(['เบาเพลงหน่อย', 'Lobby is at 6 now.', 'by Nok'])
    expect(notes.map((n: { text: string }) => n.text)).toEqual(['prefers calls'])
    expect(answer.text).not.toMatch(/Lek|66899990000|of the group|of all/)
    const event = await eventOf(answer)
    expect(event).toMatchObject({ action: 'persons.export', object: 'whatsapp:66•••••000', personal: true })
    const owner = await ask({ channel: 'whatsapp', user: '66800000001' })
    expect(owner.body.venues.length).toBeGreaterThan(3)
  })

  test('requires an admin with an installation-wide scope', async () => {
    const person = { channel: 'whatsapp', user: '66800000000' }
    for (const who of [{ role: 'agent' }, { role: 'admin', venues: ['main:v1'] }, { role: 'admin', tenant: 'other' }] as const)
      expect((await ask(person, await tokenFor(who))).status).toBe(403)
  })
})

describe('the audit trail', () => {
  const PERSONAL = /^(email|phone|senders|user|byName|notes|actor|createdBy|assignee|direction|raw|refusals)$/
  const names = (value: unknown): string[] =>
    value === null || typeof value !== 'object' ? [] : Object.entries(value).flatMap(([name, inner]) => [name, ...names(inner)])

  test('holds every read of personal data, and every write with its outcome', { timeout: 60_000 }, async () => {
    await pool.query(
      `INSERT INTO dead_letters VALUES (0, 0, 'conversation.inbox', 0, 7, 'main:c0', 'ChatMessage', '\\x00', 'park', 'x', '1', now())`,
    )
    await pool.query(
      `INSERT INTO tenant_settings VALUES ('main', 1, 'Asia/Bangkok', '08:00', '21:00', NULL, NULL, '66', 'en', 'hinted', '[]', '', now(), 1)`,
    )
    const { body: user } = await send('POST', `${api.url}/api/v1/users`, {
      body: { email: 'walk@example.com', name: 'W', role: 'agent', password: 'a password to walk with' },
    })
    const { body: key } = await send('POST', `${api.url}/api/v1/api-keys`, { body: { name: 'w', role: 'ops' } })
    const routes = (await routesOf(api.url)).filter(r => isGuarded(r) && !endless(r))
    // Requests that end sessions or remove users come last.
    const last = (route: Route) =>
      ['password', 'logout', 'DELETE'].findIndex(one => `${route.method} ${route.path}`.includes(one))
    const session = await send('POST', `${api.url}/api/v1/login`, {
      token: null,
      body: { email: 'walk@example.com', password: 'a password to walk with' },
    })
    const wrong: string[] = []
    let [reads, writes] = [0, 0]
    for (const route of routes.sort((a, b) => last(a) - last(b))) {
      const name = `${route.method} ${route.path}`
      const path = pathOf(route).replace('main%3Anobody', user.id).replace('nobody', key.id)
      const schema = route.operation.requestBody?.content['application/json'].schema
      const body = schema === undefined ? undefined : (sample(schema) as Record<string, unknown>)
      if (body !== undefined && route.path.endsWith('/messages')) body.conversation = 'main:c0'
      if (body !== undefined && /users\/\{id\}$/.test(route.path)) body.name = 'Another'
      if (body !== undefined && /tenants/.test(route.path)) body.language = 'th'
      const own = /login\/renew|logout|me\/password/.test(route.path)
      if (route.path.endsWith('me/password')) Object.assign(body as object, { password: 'a password to walk with' })
      const answer = await send(route.method, api.url + path, {
        body,
        headers: NO_WAIT,
        ...(own ? { token: session.body.token } : {}),
      })
      if (route.method === 'GET') {
        const shown = names(route.operation.responses?.['200']?.content?.['application/json']?.schema?.properties)
        // The actor of a task is not a person.
        if (route.path.endsWith('/tasks') || !shown.some(one => PERSONAL.test(one))) continue
        reads++
        const event = await eventOf(answer, name)
        if (event.personal !== true) wrong.push(`${name}: read, and not as personal`)
        continue
      }
      writes++
      const event = await eventOf(answer, name)
      if (answer.status < 300 && (event.after === null || (event.object === null && !/cache|login/.test(route.path))))
        wrong.push(`${name}: ${JSON.stringify(event)}`)
      // Routes that this test does not call show nothing about their audit events.
      if (answer.status >= 300 && !/tasks|login\/renew|logout|redrive/.test(route.path))
        wrong.push(`${name}: ${answer.status} ${answer.text}`)
    }
    expect(wrong).toEqual([])
    expect([reads > 8, writes > 18]).toEqual([true, true])
  })

  test('holds statements sent by GET and by POST', async () => {
    const { url, close } = await startApi({ ...testOptions(log, pool), clickhouse: { url: 'http://127.0.0.1:9' } })
    try {
      for (const method of ['GET', 'POST']) {
        const answer = await send(method, `${url}/clickhouse/?query=SELECT%201`)
        expect(await eventOf(answer)).toMatchObject({ action: 'analytics.query', actor: 'admin-token' })
      }
    } finally {
      await close()
    }
  })
})

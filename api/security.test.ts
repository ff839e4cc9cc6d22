/** Every route of the OpenAPI document, for every role, with any input; and each of the OWASP API Security Top 10 (2023). */
import { SignJWT, UnsecuredJWT } from 'jose'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, it, test } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../sinks/postgres/testing/postgres.ts'
import { TestLog } from '../sinks/testing/log.ts'
import { Random } from '../test/simulation/scheduler.ts'
import { ROLES, type Role } from './access/principal.ts'
import { PERMISSIONS } from './routes/index.ts'
import { fill } from './testing/fixture.ts'
import { type ApiServer, startApi } from './server.ts'
import { endless, IDS, isGuarded, pathOf, type Route, routesOf, type Schema, sample } from './testing/routes.ts'
import { JWT_SECRET, send, TOKEN, testOptions, tokenFor } from './testing/client.ts'

let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer
let routes: Route[]

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000, max: 20 })
  pool = postgres.pool
  log = await TestLog.open()
  await fill(log, pool)
  await log.put('dead.letters', 'main:c0', 'DeadLetter', {
    topic: 'conversation.inbox',
    partition: 0,
    offset: 7,
    key: 'main:c0',
    recordType: 'ChatMessage',
    value: Buffer.from('000000', 'hex'),
    decision: 'PARK',
    cause: 'told to fail',
    at: Date.now(),
  })
  await pool.query(
    `INSERT INTO dead_letters VALUES (0, 0, 'conversation.inbox', 0, 7, 'main:c0', 'ChatMessage', '\\x00', 'park', 'x', '1', now())`,
  )
  api = await startApi(testOptions(log, pool))
  routes = await routesOf(api.url)
}, 60_000)

afterAll(async () => {
  await api.close()
  await postgres.close()
})

const guarded = () => routes.filter(isGuarded)
function ask(route: Route, options: { token: string | null; own?: boolean }) {
  const schema = route.operation.requestBody?.content['application/json'].schema
  const body = schema === undefined ? undefined : sample(schema)
  if (route.path === '/api/v1/messages') Object.assign(body as object, { conversation: IDS.conversations?.(options.own ?? true) })
  const query = Object.fromEntries(
    (route.operation.parameters ?? []).filter(p => p.in === 'query' && p.required).map(p => [p.name, String(sample(p.schema))]),
  )
  const search = new URLSearchParams(query).toString()
  const url = `${api.url}${pathOf(route, options.own)}${search === '' ? '' : `?${search}`}`
  return send(route.method, url, { token: options.token, body, headers: { prefer: 'wait=0' } })
}

const rolesWith = (permission: string | undefined): readonly Role[] =>
  PERMISSIONS.find(known => known.name === permission)?.roles ?? []

test('every route, for every role, with and without the permission, and without a token', { timeout: 60_000 }, async () => {
  await pool.query(`INSERT INTO conversations (id, channel, account, user_id, state, owner, trust, senders, venue_id, requests, commands,
    opened_at, updated_at, last_inbound_at, version) VALUES ('main:foreign', 'whatsapp', '1', '2', 'IDENTIFIED', 'bot', 'claimed', '[]',
    'main:v3', '[]', '[]', now(), now(), now(), 1)`)
  const tokens = new Map<Role, string>()
  for (const role of ROLES) tokens.set(role, await tokenFor({ role, venues: ['main:v1'], id: `main:${role}-of-v1` }))
  const wrong: string[] = []
  expect(guarded().length).toBeGreaterThan(35)
  for (const route of guarded().filter(r => !endless(r))) {
    const name = `${route.method} ${route.path}`
    const permission = route.operation['x-permission']
    if (!PERMISSIONS.some(known => known.name === permission)) wrong.push(`${name} names no listed permission: ${permission}`)
    expect((await ask(route, { token: null })).status, name).toBe(401)
    for (const [role, token] of tokens) {
      const allowed = rolesWith(permission).includes(role)
      // Logging out would end the sessions of other tests.
      if (allowed && /logout|renew|password|users|api-keys/.test(route.path) && route.method !== 'GET') continue
      const own = await ask(route, { token })
      if (!allowed && own.status !== 403) wrong.push(`${name} by ${role}: ${own.status}, and they may not`)
      if (route.operation['x-whole']) {
        // Installation-wide: not for a scope of some venues, nor of another tenant.
        const other = await ask(route, { token: await tokenFor({ role, tenant: 'other', id: `other:${role}` }) })
        if (own.status !== 403 || other.status !== 403) wrong.push(`${name} by ${role}: ${own.status}, ${other.status}`)
        if (!allowed) continue
        const whole = await ask(route, { token: await tokenFor({ role, id: `main:${role}-of-all` }) })
        if (whole.status === 401 || whole.status === 403 || whole.status >= 500) wrong.push(`${name} by ${role}: ${whole.status}`)
        continue
      }
      if (allowed && (own.status === 401 || own.status === 403 || own.status >= 500))
        wrong.push(`${name} by ${role}: ${own.status} ${own.text}`)
      if (!allowed || !/\{id\}|messages$/.test(route.path) || !/venues|conversations|messages/.test(route.path)) continue
      const foreign = await ask(route, { token, own: false })
      if (foreign.status !== 404) wrong.push(`${name} by ${role} of another venue: ${foreign.status}`)
    }
  }
  expect(wrong).toEqual([])
})

test('SQL requires its permission and an installation-wide scope', async () => {
  // Nothing listens there: a request that gets so far was authorised.
  const { url, close } = await startApi({ ...testOptions(log, pool), clickhouse: { url: 'http://127.0.0.1:9' } })
  try {
    const asks = async (token: string | null) => (await send('POST', `${url}/clickhouse/`, { token, body: 'SELECT 1' })).status
    expect(await asks(null)).toBe(401)
    for (const role of ROLES) {
      const allowed = rolesWith('analytics:query').includes(role)
      const status = await asks(await tokenFor({ role, id: `main:${role}-of-all` }))
      expect(status === 403, `${role}: ${status}`).toBe(!allowed)
      expect(await asks(await tokenFor({ role, venues: ['main:v1'], id: `main:${role}-of-v1` }))).toBe(403)
      expect(await asks(await tokenFor({ role, tenant: 'other', id: `other:${role}` }))).toBe(403)
    }
  } finally {
    await close()
  }
})

test('lists show nothing of other venues or tenants', async () => {
  const lists = guarded().filter(r => r.method === 'GET' && /\/(venues|conversations|alerts|issues)$/.test(r.path))
  expect(lists).toHaveLength(4)
  for (const route of lists) {
    const staff = await ask(route, { token: await tokenFor({ role: 'staff', venues: ['main:v1'] }) })
    expect(staff.status).toBe(200)
    expect(staff.text).not.toMatch(/main:v[02345]|main:foreign/)
    const other = await ask(route, { token: await tokenFor({ role: 'admin', tenant: 'other' }) })
    expect(other.body.items).toEqual([])
  }
})

test('10,000 malformed requests: never a 5xx, never a leak', { timeout: 300_000 }, async () => {
  const random = new Random(11)
  const odd = [
    '',
    ' ',
    '0',
    '-1',
    '1e400',
    'null',
    'true',
    '[]',
    '{}',
    "'; DROP TABLE venues; --",
    '%00',
    '\u0000',
    '../../etc/passwd',
    '\ud800',
    'x'.repeat(600),
    '💥'.repeat(50),
    'main:v1',
    '9'.repeat(30),
    '2026-13-45',
    '<script>',
    '{{7*7}}',
    '{"$gt":""}',
    'ก'.repeat(300),
  ] // prettier-ignore
  const values = [null, true, -1, 1e308, 0.5, [], {}, [[]], { a: { b: {} } }, ...odd]
  const wrong: string[] = []
  let sent = 0
  const targets = routes.filter(r => !endless(r) && !/login|password|metrics/.test(r.path))
  const roles = await Promise.all(ROLES.map(role => tokenFor({ role, venues: ['main:v1'], id: `fuzz-${role}` })))
  const one = async () => {
    const route = random.pick(targets)
    const path = route.path.replace(/\{(\w+)\}/g, () => encodeURIComponent(random.pick(odd).toWellFormed()) || 'x')
    const search = new URLSearchParams()
    for (const { name, in: where } of route.operation.parameters ?? [])
      if (where === 'query' && random.chance(0.6)) search.append(name, random.pick(odd))
    if (random.chance(0.1)) search.append(random.pick(['__proto__', 'constructor', 'cursor', 'x']), random.pick(odd))
    const schema = route.operation.requestBody?.content['application/json'].schema
    let body: unknown
    if (schema !== undefined || random.chance(0.05)) {
      const good = schema === undefined ? {} : (sample(schema) as Record<string, unknown>)
      for (const key of [...Object.keys(schema?.properties ?? {}), '__proto__', 'extra'])
        if (random.chance(0.4)) good[key] = random.pick(values)
      body = random.chance(0.1) ? random.pick(values) : good
    }
    const token = random.pick([TOKEN, ...roles, 'nonsense', null])
    const headers: Record<string, string> = { prefer: 'wait=0' }
    if (random.chance(0.2)) headers['idempotency-key'] = random.pick(['a', 'b', 'x'.repeat(300), '"', 'ok-1'])
    if (random.chance(0.1)) headers['if-none-match'] = random.pick(['*', '"', 'W/"x"', ','.repeat(100)])
    if (random.chance(0.05)) headers['content-type'] = random.pick(['text/plain', 'application/xml', 'multipart/form-data'])
    sent++
    const method = random.chance(0.05) ? random.pick(['POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS']) : route.method
    const withBody = method === 'GET' || method === 'HEAD' ? undefined : body
    const answer = await send(method, `${api.url}${path}?${search}`, { token, body: withBody, headers })
    const name = `${method} ${path}?${search} ${JSON.stringify(withBody)?.slice(0, 200)}`
    // Some malformed keys lead to partitions that the test log does not have: refused, not failed.
    if (answer.status >= 500) wrong.push(`${answer.status} ${name}: ${answer.text.slice(0, 300)}`)
    if (/node_modules|\.ts:\d|\bSELECT\b|syntax error|password_hash|ECONN/.test(answer.text))
      wrong.push(`leak ${name}: ${answer.text.slice(0, 300)}`)
  }
  await Promise.all(
    Array.from({ length: 8 }, async () => {
      while (sent < 10_000 && wrong.length < 10) await one()
    }),
  )
  expect(wrong).toEqual([])
  expect(sent).toBeGreaterThanOrEqual(10_000)
})

describe('OWASP API Security Top 10', () => {
  it('1, object level: an id of another venue is like one that does not exist', async () => {
    const token = await tokenFor({ role: 'staff', venues: ['main:v1'] })
    const [foreign, none] = await Promise.all(
      ['main:v2', 'main:nothing'].map(id => send('GET', `${api.url}/api/v1/venues/${id}`, { token })),
    )
    expect([foreign?.status, none?.status]).toEqual([404, 404])
    expect(foreign?.body.detail.replace('main:v2', '')).toBe(none?.body.detail.replace('main:nothing', ''))
  })

  it('2, authentication: unsigned, expired, with another key, from the future', async () => {
    const claims = { role: 'admin' }
    const key = new TextEncoder().encode(JWT_SECRET)
    const sign = () => new SignJWT(claims).setProtectedHeader({ alg: 'HS256' }).setSubject('x').setIssuedAt()
    const bad = [
      new UnsecuredJWT(claims).setSubject('x').setExpirationTime('1h').encode(),
      await sign().setExpirationTime('-1h').sign(key),
      await sign().setExpirationTime('1h').sign(new TextEncoder().encode('another-secret-of-some-length-here')),
      await sign().setExpirationTime('2h').setNotBefore('1h').sign(key),
    ]
    for (const token of bad) expect((await send('GET', `${api.url}/api/v1/venues`, { token })).status).toBe(401)
  })

  it('3, properties: only those of the schema are written, and personal ones are masked', async () => {
    for (const route of guarded().filter(r => r.operation.requestBody !== undefined)) {
      const schema = route.operation.requestBody?.content['application/json'].schema as Schema
      const body = { ...(sample(schema) as object), isAdmin: true }
      const { status, body: problem } = await send(route.method, api.url + pathOf(route), { body, headers: { prefer: 'wait=0' } })
      expect([route.path, status, problem.code]).toEqual([route.path, 400, 'invalid_request'])
    }
    for (const role of ['analyst', 'ops'] as const) {
      const { text } = await send('GET', `${api.url}/api/v1/venues/main:v1`, { token: await tokenFor({ role }) })
      expect(text).not.toContain('66800000001')
      expect(text).toContain('66•••••001')
    }
  })

  it('4, resources: pages, bodies and texts are limited', async () => {
    expect((await send('GET', `${api.url}/api/v1/venues?limit=100000`)).status).toBe(400)
    expect((await send('GET', `${api.url}/api/v1/venues?q=${'x'.repeat(5_000)}`)).status).toBe(400)
    const text = 'x'.repeat(200_000)
    expect((await send('POST', `${api.url}/api/v1/conversations/main:c0/replies`, { body: { text } })).status).toBe(413)
  })

  it('5, functions: a role without the permission is refused before anything is read', async () => {
    const token = await tokenFor({ role: 'staff', venues: ['main:v1'] })
    const { status, body } = await send('POST', `${api.url}/api/v1/conversations/none/replies`, { token, body: { nonsense: 1 } })
    expect([status, body.code]).toEqual([403, 'forbidden'])
  })

  it('6, flows: requests that reach external systems are limited', async () => {
    const { limits: _limits, ...options } = testOptions(log, pool)
    const limited = await startApi(options)
    try {
      const statuses: number[] = []
      for (let n = 0; n < 12; n++)
        statuses.push(
          (await send('POST', `${limited.url}/api/v1/venues/main:v1/refresh`, { headers: { prefer: 'wait=0' } })).status,
        )
      expect(statuses.slice(0, 10)).toEqual(Array(10).fill(202))
      expect(statuses.slice(10)).toEqual([429, 429])
    } finally {
      await limited.close()
    }
  })

  it('7, server-side requests: no route accepts a URL', () => {
    const takes = (schema: Schema | undefined): boolean =>
      schema !== undefined &&
      (schema.format === 'uri' ||
        Object.entries(schema.properties ?? {}).some(([name, of]) => /url|uri|href|host/i.test(name) || takes(of)))
    const bad = routes.filter(
      ({ operation }) =>
        takes(operation.requestBody?.content['application/json'].schema) ||
        (operation.parameters ?? []).some(p => p.in !== 'header' && /url|uri|href|host/i.test(p.name)),
    )
    expect(bad.map(r => r.path)).toEqual([])
  })

  it('8, configuration: strict headers, no internals, no other origins', async () => {
    const { headers, text } = await send('GET', `${api.url}/api/v1/venues/%E0%A4%A`, {
      headers: { origin: 'https://evil.example' },
    })
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('content-security-policy')).toContain("default-src 'self'")
    expect(headers.get('access-control-allow-origin')).toBeNull()
    expect(headers.get('server') ?? headers.get('x-powered-by')).toBeNull()
    expect(text).not.toMatch(/at .*\.ts|node_modules/)
  })

  it('9, inventory: the document lists exactly what is served', async () => {
    for (const path of ['/api/v2/venues', '/api/venues', '/api/v1/debug', '/api/v1/admin', '/debug', '/.env'])
      expect([path, (await send('GET', api.url + path)).status]).toEqual([path, 404])
    for (const route of guarded().filter(r => !endless(r))) expect((await ask(route, { token: 'nonsense' })).status).toBe(401)
  })

  it('10, third parties: input of providers is checked, and malformed input does no harm', async () => {
    const { createHmac } = await import('node:crypto')
    for (const payload of [
      '',
      '[]',
      '{"entry":5}',
      '{"entry":[{"changes":[{"value":{"messages":[{}]}}]}]}',
      `{"entry":${'['.repeat(2_000)}`,
    ]) {
      const signature = `sha256=${createHmac('sha256', 'secret-of-the-app').update(payload).digest('hex')}`
      const response = await fetch(`${api.url}/webhooks/whatsapp`, {
        method: 'POST',
        body: payload,
        headers: { 'content-type': 'application/json', 'x-hub-signature-256': signature },
      })
      expect([payload.slice(0, 20), response.status < 500]).toEqual([payload.slice(0, 20), true])
    }
  })
})

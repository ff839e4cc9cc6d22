import { createHmac } from 'node:crypto'
import type pg from 'pg'
import pino from 'pino'
import { afterAll, beforeAll, beforeEach, expect, test, vi } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../../sinks/postgres/testing/postgres.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { get, JWT_SECRET, send, TOKEN, testOptions, tokenFor } from '../testing/client.ts'
import { Identities } from './identities.ts'
import { makeKey } from './keys.ts'
import { ROLES } from './principal.ts'
import { Throttle } from './throttle.ts'
import { deriveKey, SESSION_MS, Tokens } from './tokens.ts'

const quiet = { info: () => {}, warn: () => {} }
const PASSWORD = 'correct horse battery'
let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer
let v1: string
const lines: string[] = []
let next = 0

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  const logger = pino({ level: 'debug' }, { write: line => void lines.push(line) })
  api = await startApi({ ...testOptions(log, pool), logger })
  v1 = `${api.url}/api/v1`
})

afterAll(async () => {
  await api.close()
  await postgres.close()
})

beforeEach(() => pool.query('DELETE FROM login_failures'))

const login = (email: string, password = PASSWORD) => send('POST', `${v1}/login`, { token: null, body: { email, password } })

/** A new user for one test. */
async function add(more: object = {}) {
  const email = `person-${++next}@example.com`
  const { status, body } = await send('POST', `${v1}/users`, {
    body: { email, name: 'Nok', role: 'agent', password: PASSWORD, ...more },
  })
  expect(status).toBe(201)
  return { ...body, email } as { id: string; email: string; role: string }
}
const statusAs = async (token: string, path = '/me') => (await get(v1 + path, { authorization: `Bearer ${token}` })).status
const change = (id: string, body: object, token = TOKEN) => send('PATCH', `${v1}/users/${id}`, { body, token })

// Logging in

test('a login gives a token that is valid for some minutes', async () => {
  const { id, email } = await add({ regions: ['Phuket'], venues: null })
  const { status, body } = await login(email.toUpperCase())
  expect(status).toBe(200)
  expect(new Date(body.expiresAt).getTime()).toBeGreaterThan(Date.now() + 14 * 60_000)
  const me = await get(`${v1}/me`, { authorization: `Bearer ${body.token}` })
  expect(me.body).toMatchObject({ id, kind: 'user', role: 'agent', tenant: 'main', regions: ['phuket'], venues: null })
  expect(me.body.permissions).toContain('conversations:write')
  expect(me.body.permissions).not.toContain('people:read')
  expect(await statusAs(body.token, '/users')).toBe(403)
})

test('a session is renewed while it is valid, and not after its end', async () => {
  const { id, email } = await add()
  const { token } = (await login(email)).body
  const renewed = await send('POST', `${v1}/login/renew`, { token })
  expect(renewed.status).toBe(200)
  expect(await statusAs(renewed.body.token)).toBe(200)
  const now = Date.now()
  const over = await new Tokens('a-session-key-of-the-tests', null).issue({ tenant: 'main', id }, now, now - SESSION_MS + 500)
  await vi.waitFor(async () => expect((await send('POST', `${v1}/login/renew`, { token: over.token })).status).toBe(401), {
    timeout: 3_000,
  })
  expect((await send('POST', `${v1}/login/renew`, { token: await tokenFor({ role: 'agent' }) })).status).toBe(403)
})

test('logging out invalidates every token issued before, and none issued after', async () => {
  const { email } = await add()
  const tokens = [(await login(email)).body.token, (await login(email)).body.token]
  for (const token of tokens) expect(await statusAs(token)).toBe(200)
  expect((await send('POST', `${v1}/logout`, { token: tokens[0] })).status).toBe(204)
  for (const token of tokens) expect(await statusAs(token)).toBe(401)
  expect(await statusAs((await login(email)).body.token)).toBe(200)
})

test('a failed login gets the same response whatever was wrong', async () => {
  const { email } = await add()
  const disabled = await add()
  await change(disabled.id, { disabled: true })
  const elsewhere = await add({ password: undefined })
  const answers = await Promise.all([
    login(email, 'wrong'),
    login('nobody@example.com'),
    login(disabled.email),
    login(elsewhere.email),
    login(email, `${PASSWORD} `),
  ])
  const { 0: first } = answers
  expect(first).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } })
  for (const answer of answers) expect(answer.text).toBe(first?.text)
})

test('an account that does not exist takes as long as one that does', async () => {
  const { email } = await add()
  const took = async (address: string) => {
    const times: number[] = []
    for (let i = 0; i < 9; i++) {
      await pool.query('DELETE FROM login_failures')
      const began = performance.now()
      await login(address, 'wrong')
      times.push(performance.now() - began)
    }
    return times.sort((a, b) => a - b)[4] as number
  }
  const [known, unknown] = [await took(email), await took('nobody@example.com')]
  expect(unknown / known).toBeGreaterThan(0.5)
  expect(unknown / known).toBeLessThan(2)
})

test('password guessing is slowed down, for accounts that exist and those that do not', async () => {
  const { email } = await add()
  for (const address of [email, 'nobody-2@example.com']) {
    await pool.query('DELETE FROM login_failures')
    for (let i = 0; i < 5; i++) expect((await login(address, 'wrong')).status).toBe(401)
    await pool.query('UPDATE login_failures SET failures = failures + 3, last_at = now()')
    const slowed = await login(address, 'wrong')
    expect(slowed).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
    expect(Number(slowed.headers.get('retry-after'))).toBeGreaterThan(4)
  }
  // Not even with the right password, until the wait is over.
  await pool.query('DELETE FROM login_failures')
  await login(email, 'wrong')
  await pool.query('UPDATE login_failures SET failures = 9, last_at = now()')
  expect((await login(email)).status).toBe(429)
  await pool.query("UPDATE login_failures SET last_at = now() - interval '17 seconds'")
  expect((await login(email)).status).toBe(200)
  // And then counting starts again.
  for (let i = 0; i < 5; i++) expect((await login(email, 'wrong')).status).toBe(401)
})

test('each failure doubles the wait, up to ten minutes; after a day failures are forgotten', async () => {
  const throttle = new Throttle(pool, deriveKey('x', 'y'))
  const tried = { account: 'a', address: '192.0.2.1' }
  const pair = createHmac('sha256', deriveKey('x', 'y')).update('pair 192.0.2.1 a').digest('base64url')
  const waits: number[] = []
  for (const failures of [4, 5, 6, 7, 8, 12, 20, 2_000_000]) {
    await pool.query('DELETE FROM login_failures')
    expect(await throttle.attempt(tried)).toEqual({ seconds: 0, delayMs: 0 })
    // The address may have more failures at other accounts.
    await pool.query('UPDATE login_failures SET failures = $1, last_at = now() WHERE subject = $2', [failures, pair])
    waits.push((await throttle.attempt(tried)).seconds)
  }
  expect(waits).toEqual([0, 1, 2, 4, 8, 128, 600, 600])
  await pool.query("UPDATE login_failures SET last_at = now() - interval '25 hours'")
  expect((await throttle.attempt(tried)).seconds).toBe(0)
  const { rows } = await pool.query("SELECT max(failures) AS n FROM login_failures WHERE last_at > now() - interval '1 hour'")
  expect(rows[0].n).toBe(1)
  // Neither accounts nor addresses are stored.
  const kept = await pool.query('SELECT string_agg(subject, $1) AS all FROM login_failures', [' '])
  expect(kept.rows[0].all).toMatch(/^[\w-]{43}( [\w-]{43})*$/)
})

test('an IPv6 network counts as one address, an IPv4 address as itself', async () => {
  const throttle = new Throttle(pool, deriveKey('x', 'y'))
  const refused = async (addressOf: (n: number) => string) => {
    await pool.query('DELETE FROM login_failures')
    let count = 0
    for (let n = 0; n < 12; n++) if ((await throttle.attempt({ account: 'a', address: addressOf(n) })).seconds > 0) count++
    return count
  }
  expect(await refused(n => `2001:db8:1:2::${n + 1}`)).toBeGreaterThan(3)
  expect(await refused(n => `2001:db8:1:${n + 1}::1`)).toBe(0)
  expect(await refused(n => `192.0.2.${n + 1}`)).toBe(0)
})

test('nobody can lock out somebody else: failures from elsewhere only delay the response', async () => {
  const { email } = await add()
  const throttle = new Throttle(pool, deriveKey('a-session-key-of-the-tests', 'login failures'))
  const account = `main ${email}`
  let slowest = 0
  for (let n = 0; n < 40; n++) slowest = Math.max(slowest, (await throttle.attempt({ account, address: `192.0.2.${n}` })).delayMs)
  expect(slowest).toBe(3_000)
  const began = performance.now()
  expect((await login(email)).status).toBe(200)
  expect(performance.now() - began).toBeGreaterThan(2_900)
})

test('concurrent attempts gain nothing', async () => {
  const { email } = await add()
  const answers = await Promise.all(Array.from({ length: 30 }, (_, i) => login(email, `wrong ${i}`)))
  const tried = answers.filter(({ status }) => status === 401).length
  expect(tried).toBeGreaterThanOrEqual(5)
  expect(tried).toBeLessThanOrEqual(6) // one more on a slow machine
  expect(answers.filter(({ status }) => status === 429)).toHaveLength(30 - tried)
})

test('users change their own password with the current one', async () => {
  const { email } = await add()
  const { token } = (await login(email)).body
  const set = (password: string, newPassword: string) =>
    send('POST', `${v1}/me/password`, { token, body: { password, newPassword } })
  expect(await set('wrong', 'another long password')).toMatchObject({ status: 401, body: { code: 'invalid_credentials' } })
  expect((await set(PASSWORD, 'short')).status).toBe(400)
  expect((await set(PASSWORD, 'another long password')).status).toBe(204)
  expect(await statusAs(token)).toBe(401)
  expect((await login(email)).status).toBe(401)
  expect((await login(email, 'another long password')).status).toBe(200)
  expect((await send('POST', `${v1}/me/password`, { body: { password: 'x', newPassword: PASSWORD } })).status).toBe(403)
})

// Users

test('users are listed in pages, without credentials', async () => {
  await add()
  await add()
  const whole = (await get(`${v1}/users?limit=200`)).body.items
  const paged: unknown[] = []
  let cursor: string | null = null
  do {
    const page: Awaited<ReturnType<typeof get>> = await get(`${v1}/users?limit=1${cursor === null ? '' : `&cursor=${cursor}`}`)
    paged.push(...page.body.items)
    cursor = page.body.next
  } while (cursor !== null)
  expect(paged).toEqual(whole)
  expect(JSON.stringify(whole)).not.toMatch(/argon2|password_hash|tokens/)
  expect((await get(`${v1}/users/${whole[0].id}`)).body).toEqual(whole[0])
  expect((await get(`${v1}/users/main:nobody`)).status).toBe(404)
})

test('a request cannot set fields that it is not for', async () => {
  const { id } = await add()
  const person = { email: 'mass@example.com', name: 'M', role: 'agent' }
  for (const extra of [{ tenant: 'other' }, { password_hash: 'x' }, { disabled: false }, { tokens_from: null }, { __proto: 1 }]) {
    expect((await send('POST', `${v1}/users`, { body: { ...person, ...extra } })).status).toBe(400)
  }
  for (const extra of [{ id: 'main:other' }, { email: 'x@example.com' }, { tenant: 'other' }, { hasPassword: true }, {}]) {
    expect((await change(id, extra)).status).toBe(400)
  }
  for (const wrong of [{ role: 'root' }, { role: null }, { venues: [''] }, { password: 'short' }, { name: '' }]) {
    expect((await change(id, wrong)).status).toBe(400)
  }
  expect((await send('POST', `${v1}/login`, { token: null, body: { email: 'a@b', password: 'x', role: 'admin' } })).status).toBe(
    400,
  )
})

test('null means all, and stays null', async () => {
  const { id } = await add({ venues: ['main:v1'] })
  const changed = await change(id, { venues: null })
  expect(changed.body.venues).toBeNull()
  expect((await change(id, { venues: [] })).body.venues).toEqual([])
})

test('e-mail addresses and ids are unique', async () => {
  const { id, email } = await add()
  const again = (body: object) =>
    send('POST', `${v1}/users`, { body: { email: 'new@example.com', name: 'N', role: 'ops', ...body } })
  expect(await again({ email: email.toUpperCase() })).toMatchObject({ status: 409, body: { code: 'conflict' } })
  expect((await again({ id })).status).toBe(409)
})

test('staff are limited to some venues', async () => {
  const body = { email: 'staff@example.com', name: 'S', role: 'staff' }
  expect((await send('POST', `${v1}/users`, { body })).status).toBe(400)
  expect((await send('POST', `${v1}/users`, { body: { ...body, venues: ['main:v1'] } })).status).toBe(201)
  const { id } = await add()
  expect((await change(id, { role: 'staff' })).status).toBe(400)
})

test('a change takes effect at once; a new password and disabling end sessions', async () => {
  await add({ role: 'admin' })
  const { id, email } = await add()
  let { token } = (await login(email)).body
  expect(await statusAs(token, '/users')).toBe(403)
  await change(id, { role: 'admin' })
  expect(await statusAs(token, '/users')).toBe(200)
  await change(id, { role: 'agent', password: 'a password set anew' })
  expect(await statusAs(token)).toBe(401)
  token = (await login(email, 'a password set anew')).body.token
  await change(id, { disabled: true })
  expect(await statusAs(token)).toBe(401)
  await change(id, { disabled: false })
  expect(await statusAs(token)).toBe(401)
})

test('users cannot change their own rights, or grant more than they have', async () => {
  await add({ role: 'admin' })
  const admin = await add({ role: 'admin', venues: ['main:v1', 'main:v2'] })
  const { token } = (await login(admin.email)).body
  for (const body of [{ venues: null }, { role: 'ops' }, { regions: ['x'] }, { disabled: true }]) {
    expect((await change(admin.id, body, token)).status).toBe(403)
  }
  expect((await change(admin.id, { name: 'Another Name' }, token)).status).toBe(200)
  const make = (body: object) =>
    send('POST', `${v1}/users`, { token, body: { email: `made-${++next}@example.com`, name: 'M', role: 'agent', ...body } })
  expect((await make({})).status).toBe(403)
  expect((await make({ venues: ['main:v3'] })).status).toBe(403)
  expect((await make({ venues: ['main:v1'] })).status).toBe(201)
  const above = await add()
  expect((await change(above.id, { password: 'a password for the taking' }, token)).status).toBe(403)
  const key = (body: object) => send('POST', `${v1}/api-keys`, { token, body: { name: 'k', role: 'admin', ...body } })
  expect((await key({})).status).toBe(403)
  expect((await key({ venues: ['main:v2'] })).status).toBe(201)
})

test('the last admin stays one, even if two are removed concurrently', async () => {
  await pool.query("UPDATE users SET disabled = true WHERE role = 'admin'")
  const [one, two] = [await add({ role: 'admin' }), await add({ role: 'admin' })]
  const answers = await Promise.all([change(one.id, { disabled: true }), change(two.id, { role: 'agent' })])
  expect(answers.map(({ status }) => status).sort()).toEqual([200, 409])
  const { rows } = await pool.query("SELECT count(*)::int AS n FROM users WHERE role = 'admin' AND NOT disabled")
  expect(rows[0].n).toBe(1)
})

test('admins see and change only users of their tenant', async () => {
  const { id } = await add()
  const token = await tokenFor({ role: 'admin', id: 'crm-of-other', tenant: 'other' })
  expect((await get(`${v1}/users`, { authorization: `Bearer ${token}` })).body.items).toEqual([])
  expect(await statusAs(token, `/users/${id}`)).toBe(404)
  expect((await change(id, { name: 'x' }, token)).status).toBe(404)
})

// Keys

test('a key is shown once, works, shows when it was used, and ends when it is revoked', async () => {
  const made = await send('POST', `${v1}/api-keys`, { body: { name: 'BI', role: 'analyst' } })
  expect(made.status).toBe(201)
  const { key, id } = made.body
  expect(await statusAs(key)).toBe(200)
  const me = await get(`${v1}/me`, { authorization: `Bearer ${key}` })
  expect(me.body).toMatchObject({ id, kind: 'key', name: 'BI', role: 'analyst' })
  expect(await statusAs(key, '/users')).toBe(403)
  const listed = async () => (await get(`${v1}/api-keys?limit=200`)).body.items.find((one: { id: string }) => one.id === id)
  expect(JSON.stringify(await listed())).not.toContain(key)
  await vi.waitFor(async () => expect((await listed()).lastUsedAt).not.toBeNull())
  const { rows } = await pool.query('SELECT hash, row_to_json(k)::text AS all FROM api_keys k WHERE id = $1', [id])
  expect(rows[0].hash).toHaveLength(32)
  expect(rows[0].all).not.toContain(key.slice(21))
  expect((await send('DELETE', `${v1}/api-keys/${id}`)).status).toBe(204)
  expect(await statusAs(key)).toBe(401)
  expect((await listed()).revokedAt).not.toBeNull()
  expect((await send('DELETE', `${v1}/api-keys/0000000000000000`)).status).toBe(404)
})

test('one Idempotency-Key creates one key', async () => {
  const make = (once: string) =>
    send('POST', `${v1}/api-keys`, { body: { name: 'once', role: 'analyst' }, headers: { 'idempotency-key': once } })
  const made = await make('first')
  expect(made.status).toBe(201)
  const again = await make('first')
  expect([again.status, again.body.code]).toEqual([409, 'conflict'])
  expect(again.body.detail).toContain(made.body.id)
  expect((await make('second')).body.id).not.toBe(made.body.id)
})

test('a key with another secret, or after its expiry, is not valid', async () => {
  const { body } = await send('POST', `${v1}/api-keys`, { body: { name: 'k', role: 'ops', days: 1 } })
  expect(await statusAs(body.key.slice(0, 21) + makeKey().key.slice(21))).toBe(401)
  expect(await statusAs(makeKey().key)).toBe(401)
  expect(await statusAs(body.key)).toBe(200)
  await pool.query('UPDATE api_keys SET expires_at = now() WHERE id = $1', [body.id])
  const fresh = identities()
  expect(await fresh.of(body.key)).toBeNull()
})

// Tokens of the CRM

const identities = (now?: () => number) =>
  new Identities({
    adminToken: TOKEN,
    tokens: new Tokens('a-session-key-of-the-tests', { secret: JWT_SECRET }),
    pool,
    log: quiet as never,
    ...(now === undefined ? {} : { now }),
  })

test("a user without an account has the rights that the CRM's token claims", async () => {
  for (const role of ROLES) {
    const token = await tokenFor({ role, venues: ['main:v1'], regions: ['Phuket'] })
    expect((await get(`${v1}/me`, { authorization: `Bearer ${token}` })).body).toMatchObject({
      id: `crm-${role}`,
      role,
      tenant: 'main',
      venues: ['main:v1'],
      regions: ['phuket'],
    })
  }
})

test.each([
  ['no role', { role: undefined }],
  ['another role', { role: 'root' }],
  ['roles', { role: ['admin'] }],
  ['staff of everything', { role: 'staff' }],
  ['a tenant that is none', { role: 'agent', tenant: 'a:b' }],
  ['venues that are no list', { role: 'agent', venues: 'main:v1' }],
  ['regions that are no texts', { role: 'agent', regions: [1] }],
])('claims that do not say enough are 403: %s', async (_, claims) => {
  const token = await tokenFor({ id: 'unknown', ...claims } as never)
  expect(await get(`${v1}/me`, { authorization: `Bearer ${token}` })).toMatchObject({ status: 403, body: { code: 'forbidden' } })
})

test('a user with an account has its rights, whatever the token claims', async () => {
  const { id } = await add({ id: 'crm|42', role: 'analyst', password: undefined })
  const token = await tokenFor({ role: 'admin', id })
  expect((await get(`${v1}/me`, { authorization: `Bearer ${token}` })).body).toMatchObject({ id, role: 'analyst' })
  // After logging out, tokens issued before are invalid, and those issued after are valid.
  expect((await send('POST', `${v1}/logout`, { token })).status).toBe(204)
  expect(await statusAs(token)).toBe(401)
  await vi.waitFor(async () => expect(await statusAs(await tokenFor({ role: 'admin', id }))).toBe(200), { timeout: 3_000 })
  await change(encodeURIComponent(id), { disabled: true })
  expect(await statusAs(await tokenFor({ role: 'admin', id }))).toBe(401)
})

test('a token is looked up again after half a minute, and after a change here', async () => {
  const { id } = await add({ id: 'crm|43', password: undefined })
  const token = await tokenFor({ role: 'agent', id })
  let now = Date.now()
  const known = identities(() => now)
  expect(await known.of(token)).toMatchObject({ role: 'agent' })
  await pool.query("UPDATE users SET role = 'ops' WHERE id = $1", [id])
  now += 29_000
  expect(await known.of(token)).toMatchObject({ role: 'agent' })
  now += 2_000
  expect(await known.of(token)).toMatchObject({ role: 'ops' })
  await pool.query("UPDATE users SET role = 'agent' WHERE id = $1", [id])
  known.forget()
  expect(await known.of(token)).toMatchObject({ role: 'agent' })
})

test('a cached token is not accepted after its expiry', async () => {
  const made = makeKey()
  await pool.query(
    `INSERT INTO api_keys (id, hash, tenant, name, role, created_by, expires_at) VALUES ($1, $2, 'main', 'k', 'ops', 'x', now() + interval '5 s')`,
    [made.id, made.hash],
  )
  let now = Date.now()
  const known = identities(() => now)
  expect(await known.of(made.key)).toMatchObject({ role: 'ops' })
  now += 6_000
  expect(await known.of(made.key)).toBeNull()
})

// Audit

test('logins, changes and refusals are in the audit trail; personal data and secrets are neither there nor in the log', async () => {
  const events = () => log.content('audit.log').map(record => record.value as unknown as Record<string, unknown>)
  const { id, email } = await add()
  const { token } = (await login(email)).body
  await login(email, 'a wrong password')
  const { body } = await send('POST', `${v1}/api-keys`, { body: { name: 'k', role: 'ops' } })
  await get(`${v1}/users`, { authorization: `Bearer ${token}` })
  await get(`${v1}/users`, { authorization: 'Bearer made-up' })
  await get(`${v1}/users?limit=3`)
  const about = (wanted: object) => expect(events()).toContainEqual(expect.objectContaining(wanted))
  await vi.waitFor(() => {
    about({ action: 'users.create', object: id, actor: 'admin-token', outcome: 'done', status: 201, after: expect.any(String) })
    about({ action: 'login', object: id, actor: id, outcome: 'done', status: 200 })
    about({ action: 'login', object: id, actor: '', outcome: 'denied', status: 401 })
    about({ action: 'api-keys.create', object: body.id, outcome: 'done' })
    about({ action: 'users.list', actor: id, role: 'agent', outcome: 'denied', status: 403 })
    about({ action: 'users.list', actor: '', actorKind: 'none', outcome: 'denied', status: 401 })
    about({ action: 'users.list', actor: 'admin-token', actorKind: 'token', outcome: 'done', personal: true })
  })
  const written = lines.join('') + JSON.stringify(log.content('audit.log'))
  for (const secret of [TOKEN, token, body.key, PASSWORD, 'a wrong password', email, 'made-up', '@example.com']) {
    expect(written).not.toContain(secret)
  }
})

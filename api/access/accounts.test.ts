/** Owners of accounts and keys: nobody can take over another's account, and keys end with their creator. */
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../../sinks/postgres/testing/postgres.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { fill } from '../testing/fixture.ts'
import { type ApiServer, startApi } from '../server.ts'
import { get, send, TOKEN, testOptions, tokenFor } from '../testing/client.ts'

const PASSWORD = 'correct horse battery'
let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer
let v1: string
let next = 0

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  await fill(log, pool)
  api = await startApi(testOptions(log, pool))
  v1 = `${api.url}/api/v1`
  await add({ role: 'admin' }) // one that remains
})

afterAll(async () => {
  await api.close()
  await postgres.close()
})

const person = (more: object = {}) => ({ email: `p-${++next}@example.com`, name: 'Nok', role: 'agent', ...more })
const create = (more: object = {}, token = TOKEN) => send('POST', `${v1}/users`, { token, body: person(more) })
const me = (token: string) => get(`${v1}/me`, { authorization: `Bearer ${token}` })
const statusAs = async (token: string) => (await me(token)).status
const change = (id: string, body: object, token = TOKEN) => send('PATCH', `${v1}/users/${id}`, { body, token })
const makeKey = async (token: string, more: object = {}) =>
  (await send('POST', `${v1}/api-keys`, { token, body: { name: 'k', role: 'admin', ...more } })).body as {
    id: string
    key: string
    expiresAt: string
  }

/** A new user for one test, logged in. */
async function add(more: object = {}): Promise<{ id: string; email: string; token: string }> {
  const { status, body } = await create({ password: PASSWORD, ...more })
  expect(status).toBe(201)
  const session = await send('POST', `${v1}/login`, { token: null, body: { email: body.email, password: PASSWORD } })
  return { id: body.id, email: body.email, token: session.body.token }
}

describe('an account belongs to its tenant', () => {
  test('so that the admin of another tenant cannot take it over', async () => {
    const chief = await tokenFor({ role: 'admin', id: 'crm-chief' })
    const other = await tokenFor({ role: 'admin', id: 'crm-of-other', tenant: 'other' })
    expect((await create({ id: 'crm-chief', role: 'staff', venues: ['other:1'] }, other)).status).toBe(201)
    expect((await me(chief)).body).toMatchObject({ id: 'crm-chief', role: 'admin', tenant: 'main' })
    // Both exist, each for its principal.
    expect((await create({ id: 'crm-chief', role: 'ops' })).status).toBe(201)
    expect((await me(chief)).body).toMatchObject({ role: 'ops', tenant: 'main' })
    const theirs = await tokenFor({ role: 'admin', id: 'crm-chief', tenant: 'other' })
    expect((await me(theirs)).body).toMatchObject({ role: 'staff', tenant: 'other' })
    expect((await change('crm-chief', { disabled: true }, other)).status).toBe(200)
    expect([await statusAs(theirs), await statusAs(chief)]).toEqual([401, 200])
  })

  test('and its id is chosen only with a scope over the whole tenant', async () => {
    const regional = await tokenFor({ role: 'admin', id: 'crm-regional', regions: ['phuket'] })
    expect((await create({ id: 'crm-director', role: 'staff', regions: ['phuket'] }, regional)).status).toBe(403)
    expect((await create({ role: 'staff', regions: ['phuket'] }, regional)).status).toBe(201)
  })

  test.each(['admin-token', 'main:0123456789abcdef01', 'other:somebody', '0123456789abcdef'])(
    'never under the id %s',
    async id => {
      expect(await create({ id })).toMatchObject({ status: 409, body: { code: 'conflict' } })
    },
  )

  test('and a token of the CRM cannot be of the installation, a local account, or a key', async () => {
    const { id } = await add()
    const key = await makeKey(TOKEN)
    for (const subject of ['admin-token', id, key.id]) {
      const token = await tokenFor({ role: 'admin', id: subject })
      expect([subject, await statusAs(token)]).toEqual([subject, 401])
    }
  })

  test('users see only their own commands, even if somebody else has the same id', async () => {
    const asks = async (tenant: string) => tokenFor({ role: 'agent', id: 'crm-same', tenant })
    const headers = { prefer: 'wait=0', 'idempotency-key': 'one' }
    const given = await send('PUT', `${v1}/venues/main:v1/overrides/notes`, {
      token: await asks('main'),
      body: { value: 'x' },
      headers,
    })
    expect(given.status).toBe(202)
    const look = async (token: string) =>
      (await get(`${v1}/commands/${given.body.id}`, { authorization: `Bearer ${token}` })).status
    expect([await look(await asks('main')), await look(await asks('other'))]).toEqual([200, 404])
  })
})

describe('an admin with a limited scope', () => {
  test('sees and changes nobody outside of it', async () => {
    const [inside, outside] = [await add({ venues: ['main:v1'] }), await add()]
    const wide = await makeKey(TOKEN)
    const admin = await add({ role: 'admin', venues: ['main:v1', 'main:v2'] })
    const narrow = await makeKey(admin.token, { venues: ['main:v1'] })
    const list = async (of: string) =>
      (await get(`${v1}/${of}?limit=200`, { authorization: `Bearer ${admin.token}` })).body.items.map(
        (one: { id: string }) => one.id,
      )
    const users = await list('users')
    expect(users).toEqual(expect.arrayContaining([inside.id, admin.id]))
    expect(users).not.toContain(outside.id)
    expect(await list('api-keys')).toEqual([narrow.id])
    const as = (method: string, path: string) => send(method, `${v1}/${path}`, { token: admin.token })
    expect((await as('GET', `users/${outside.id}`)).status).toBe(404)
    expect((await change(outside.id, { disabled: true }, admin.token)).status).toBe(403)
    expect((await as('DELETE', `users/${outside.id}`)).status).toBe(403)
    expect((await as('DELETE', `api-keys/${wide.id}`)).status).toBe(404)
    expect([await statusAs(outside.token), await statusAs(wide.key)]).toEqual([200, 200])
    expect((await as('DELETE', `api-keys/${narrow.id}`)).status).toBe(204)
    expect((await as('DELETE', `users/${inside.id}`)).status).toBe(204)
    expect(await statusAs(inside.token)).toBe(401)
  })
})

describe('a key', () => {
  test('ends when its creator is disabled or removed, and so do the keys created with it', async () => {
    for (const end of [(id: string) => change(id, { disabled: true }), (id: string) => send('DELETE', `${v1}/users/${id}`)]) {
      const maker = await add({ role: 'admin' })
      const key = await makeKey(maker.token)
      const child = await makeKey(key.key)
      expect([await statusAs(key.key), await statusAs(child.key)]).toEqual([200, 200])
      expect((await end(maker.id)).status).toBeLessThan(300)
      expect([await statusAs(maker.token), await statusAs(key.key), await statusAs(child.key)]).toEqual([401, 401, 401])
      await change(maker.id, { disabled: false })
      expect([await statusAs(key.key), await statusAs(child.key)]).toEqual([401, 401])
    }
  })

  test('never has more rights than its creator has now', async () => {
    const maker = await add({ role: 'admin' })
    const [wide, narrow, agent] = [
      await makeKey(maker.token),
      await makeKey(maker.token, { venues: ['main:v1'] }),
      await makeKey(maker.token, { role: 'agent', venues: ['main:v1'] }),
    ]
    await change(maker.id, { venues: ['main:v1', 'main:v2'] })
    expect([await statusAs(wide.key), await statusAs(narrow.key)]).toEqual([401, 200])
    await change(maker.id, { role: 'agent' })
    expect([await statusAs(narrow.key), await statusAs(agent.key)]).toEqual([401, 200])
  })

  test('that was created with another one ends with it, and no later', async () => {
    const first = await makeKey(TOKEN, { days: 3 })
    const second = await makeKey(first.key, { days: 700 })
    const third = await makeKey(second.key)
    expect(second.expiresAt).toBe(first.expiresAt)
    expect((await send('DELETE', `${v1}/api-keys/${first.id}`)).status).toBe(204)
    expect([await statusAs(second.key), await statusAs(third.key)]).toEqual([401, 401])
  })

  test('is created only by users with an account here, with which it can end', async () => {
    const token = await tokenFor({ role: 'admin', id: 'crm-passing' })
    expect((await send('POST', `${v1}/api-keys`, { token, body: { name: 'k', role: 'ops' } })).status).toBe(403)
  })
})

test("a user's own password, state and account are not changed by their keys, nor without the current password", async () => {
  const admin = await add({ role: 'admin' })
  const key = await makeKey(admin.token)
  for (const token of [admin.token, key.key]) {
    for (const body of [{ password: 'a password of my own' }, { role: 'ops' }, { disabled: true }])
      expect((await change(admin.id, body, token)).status).toBe(403)
    expect((await send('DELETE', `${v1}/users/${admin.id}`, { token })).status).toBe(403)
  }
  const again = await send('POST', `${v1}/login`, { token: null, body: { email: admin.email, password: PASSWORD } })
  expect(again.status).toBe(200)
})

test('the last admin is not removed', async () => {
  const { id } = await add({ role: 'admin' })
  await pool.query("UPDATE users SET disabled = true WHERE role = 'admin' AND tenant = 'main' AND id <> $1", [id])
  expect((await send('DELETE', `${v1}/users/${id}`)).status).toBe(409)
})

import type pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../../sinks/postgres/testing/postgres.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { fill } from '../testing/fixture.ts'
import { get, type Person, send, testOptions, tokenFor } from '../testing/client.ts'

vi.setConfig({ testTimeout: 15_000 })
const NO_WAIT = { prefer: 'wait=0' }
let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer
let url: string

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  await fill(log, pool)
  await pool.query(
    `INSERT INTO tenant_settings VALUES ('main', 4, 'Asia/Bangkok', '08:00', '21:00', NULL, NULL, '66', 'en', 'hinted', '[]', '', now(), 1),
       ('acme', 1, 'Europe/Berlin', '09:00', '17:00', '22:00', '07:00', '49', 'en', 'bound', '[]', 'acme:nok', now(), 2)`,
  )
  api = await startApi(testOptions(log, pool))
  url = `${api.url}/api/v1/tenants/main/settings`
})

afterAll(async () => {
  await api.close()
  await postgres.close()
})

const as = async (person: Person) => ({ authorization: `Bearer ${await tokenFor(person)}` })
const changes = () => log.content('tenant.inbox').filter(r => r.type === 'TenantChange')

test('what a tenant has decided is read by those who see all of it', async () => {
  expect(await get(url)).toMatchObject({
    status: 200,
    body: { tenant: 'main', version: 4, timeZone: 'Asia/Bangkok', quietFrom: null, controlTrust: 'hinted', updatedBy: '' },
  })
  const acme = `${api.url}/api/v1/tenants/acme/settings`
  expect((await get(acme, await as({ role: 'ops', tenant: 'acme' }))).body).toMatchObject({ countryCode: '49' })
  expect((await get(acme)).status).toBe(404)
  expect((await get(url, await as({ role: 'agent', venues: ['main:v1'] }))).status).toBe(404)
  expect((await get(url, await as({ role: 'staff' }))).status).toBe(403)
  expect((await get(`${api.url}/api/v1/tenants/other/settings`)).status).toBe(404)
})

test('a change is a command with all of the settings, on the version that was read', async () => {
  const before = changes().length
  const answer = await send('PATCH', url, { body: { supportTo: '22:30', controlTrust: 'bound' }, headers: NO_WAIT })
  expect(answer.status).toBe(202)
  expect(changes().slice(before)).toMatchObject([
    {
      key: 'main',
      value: { expected: 4, first: false, supportFrom: '08:00', supportTo: '22:30', controlTrust: 'BOUND', countryCode: '66' },
    },
  ])
  await send('PATCH', url, { body: { language: 'th', version: 3 }, headers: NO_WAIT })
  expect(changes().at(-1)).toMatchObject({ value: { expected: 3, language: 'th' } })
})

test.each([
  [{ timeZone: 'Mars/Olympus' }, /timeZone: "Mars\/Olympus"/],
  [{ supportTo: '07:00' }, /supportTo: "07:00" must be later/],
  [{ quietFrom: '22:00' }, /quietTo/],
  [{ countryCode: '+66' }, /countryCode/],
  [{ colour: 'red' }, /colour|additional/],
])('%o is refused with what is wrong, and is no command', async (body, detail) => {
  const before = changes().length
  const { status, body: problem } = await send('PATCH', url, { body, headers: NO_WAIT })
  expect(status).toBeGreaterThanOrEqual(400)
  expect(status).toBeLessThan(500)
  expect((problem as { detail: string }).detail).toMatch(detail)
  expect(changes()).toHaveLength(before)
})

test('only an administrator of the whole tenant changes anything', async () => {
  const before = changes().length
  for (const [person, status] of [
    [{ role: 'agent' }, 403],
    [{ role: 'admin', venues: ['main:v1'] }, 404],
    [{ role: 'admin', tenant: 'acme' }, 404],
  ] as const) {
    const token = await tokenFor(person)
    expect((await send('PATCH', url, { body: { language: 'th' }, headers: NO_WAIT, token })).status).toBe(status)
  }
  expect(changes()).toHaveLength(before)
})

test('a tenant that has decided nothing has what holds by default, and may decide', async () => {
  const token = await tokenFor({ role: 'admin', tenant: 'fresh' })
  const fresh = `${api.url}/api/v1/tenants/fresh/settings`
  const shown = { tenant: 'fresh', version: 0, timeZone: 'Asia/Bangkok', controlTrust: 'hinted', updatedAt: null }
  expect((await send('GET', fresh, { token })).body).toMatchObject(shown)
  expect((await send('PATCH', fresh, { token, body: { language: 'th' }, headers: NO_WAIT })).status).toBe(202)
  expect(changes().at(-1)).toMatchObject({ key: 'fresh', value: { expected: 0, language: 'th', countryCode: '66' } })
})

/** Every route with a body, with every value of a wrong type. */
import { createHmac } from 'node:crypto'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { startTestPostgres, type TestPostgres } from '../sinks/postgres/testing/postgres.ts'
import { TestLog } from '../sinks/testing/log.ts'
import { fill } from './testing/fixture.ts'
import { type ApiServer, startApi } from './server.ts'
import { send, TOKEN, testOptions } from './testing/client.ts'
import { pathOf, type Route, routesOf, type Schema, sample } from './testing/routes.ts'

const NO_WAIT = { prefer: 'wait=0' }
let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer
let taking: Route[]

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  await fill(log, pool)
  api = await startApi(testOptions(log, pool))
  taking = (await routesOf(api.url)).filter(r => r.operation.requestBody !== undefined && r.path.startsWith('/api/'))
}, 60_000)

afterAll(async () => {
  await api.close()
  await postgres.close()
})

const bodyOf = ({ operation }: Route) => operation.requestBody?.content['application/json'].schema as Schema

/** One value of each type, and those that some libraries convert into each other. */
const VALUES = [null, true, false, 0, 1, 12, 1.5, '', 'true', '12', 'null', 'x', [], ['x'], [null], [[]], {}, { a: 1 }] as const

/** Whether a schema allows values of this type; which of them it allows does not matter here. */
function isOfType({ type, enum: values, properties }: Schema, value: unknown): boolean {
  if (values !== undefined && type === undefined) return values.includes(value)
  const types = [type ?? (properties === undefined ? undefined : 'object')].flat()
  if (types.includes(undefined)) return true
  if (value === null) return types.includes('null')
  if (Array.isArray(value)) return types.includes('array')
  if (typeof value === 'number') return types.includes('number') || (types.includes('integer') && Number.isInteger(value))
  return types.includes(typeof value as string)
}

test('no value is converted to another type, on any route, in any property', { timeout: 60_000 }, async () => {
  expect(taking.length).toBeGreaterThan(10)
  const wrong: string[] = []
  let tried = 0
  for (const route of taking) {
    const schema = bodyOf(route)
    const url = api.url + pathOf(route)
    const ask = (body: unknown) => send(route.method, url, { body, headers: NO_WAIT })
    for (const value of VALUES.filter(v => !isOfType(schema, v))) {
      const { status } = await ask(value)
      if (status !== 400) wrong.push(`${route.method} ${route.path} ${JSON.stringify(value)}: ${status}`)
    }
    for (const [name, property] of Object.entries(schema.properties ?? {})) {
      for (const value of VALUES.filter(v => !isOfType(property, v))) {
        tried++
        const { status, body } = await ask({ ...(sample(schema) as object), [name]: value })
        if (status !== 400 || !body.detail.includes(name))
          wrong.push(`${route.method} ${route.path} ${name}: ${JSON.stringify(value)}: ${status} ${body?.detail}`)
      }
      if (property.items === undefined) continue
      for (const value of VALUES.filter(v => !isOfType(property.items as Schema, v))) {
        tried++
        const { status } = await ask({ ...(sample(schema) as object), [name]: [value] })
        if (status !== 400) wrong.push(`${route.method} ${route.path} ${name}: [${JSON.stringify(value)}]: ${status}`)
      }
    }
    for (const name of schema.required ?? []) {
      const { [name]: _, ...rest } = sample(schema) as Record<string, unknown>
      const { status } = await ask(rest)
      if (status !== 400) wrong.push(`${route.method} ${route.path} without ${name}: ${status}`)
    }
  }
  expect(wrong).toEqual([])
  expect(tried).toBeGreaterThan(200)
})

test('numbers in a query are parsed from their text', async () => {
  expect((await send('GET', `${api.url}/api/v1/venues?limit=2`)).body.items).toHaveLength(2)
  expect((await send('GET', `${api.url}/api/v1/alerts?resolved=false`)).status).toBe(200)
  expect((await send('GET', `${api.url}/api/v1/venues?limit=two`)).status).toBe(400)
})

describe('a user', () => {
  const add = async (more: object) =>
    (
      await send('POST', `${api.url}/api/v1/users`, {
        body: { email: `b-${Math.random()}@example.com`, name: 'B', role: 'agent', ...more },
      })
    ).body as { id: string }
  const change = (id: string, body: object) => send('PATCH', `${api.url}/api/v1/users/${id}`, { body })
  const read = async (id: string) => (await send('GET', `${api.url}/api/v1/users/${id}`)).body

  test('a disabled user stays disabled, whatever value of another type is sent', async () => {
    const { id } = await add({})
    expect((await change(id, { disabled: true })).status).toBe(200)
    for (const disabled of [null, '', 0, 'false', [], [false], {}]) {
      const { status, body } = await change(id, { disabled })
      expect([status, body.detail]).toEqual([400, expect.stringContaining('disabled')])
    }
    expect((await read(id)).disabled).toBe(true)
  })

  test('a user of some venues never gets more by a value that is not a list', async () => {
    const { id } = await add({ venues: ['main:v1'], regions: ['phuket'] })
    for (const field of ['venues', 'regions'])
      for (const value of ['', 0, false, 'null', 'main:v2', {}, [''], [' '], [null], [0], [[]]])
        expect([field, value, (await change(id, { [field]: value })).status]).toEqual([field, value, 400])
    expect(await read(id)).toMatchObject({ venues: ['main:v1'], regions: ['phuket'] })
  })
})

describe('a body nested too deeply', () => {
  const nested = (depth: number) => `${'['.repeat(depth)}1${']'.repeat(depth)}`

  test.each([64, 1_000, 30_000])('is 400 on every route (%i levels)', { timeout: 30_000 }, async depth => {
    for (const route of taking) {
      const response = await fetch(api.url + pathOf(route), {
        method: route.method,
        headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json', ...NO_WAIT },
        body: `{"value":${nested(depth)}}`,
      })
      expect([route.path, response.status]).toEqual([route.path, 400])
      expect(response.headers.get('content-type')).toContain('application/problem+json')
    }
  })

  test('is 400 for a signed webhook, not an error that is retried', async () => {
    for (const depth of [100, 200_000]) {
      const body = `{"entry":[{"changes":[{"value":{"messages":[{"x":${nested(depth)}}]}}]}]}`
      const signature = createHmac('sha256', 'secret-of-the-app').update(body).digest('hex')
      const headers = { 'content-type': 'application/json', 'x-hub-signature-256': `sha256=${signature}` }
      const response = await fetch(`${api.url}/webhooks/whatsapp`, { method: 'POST', body, headers })
      expect([depth, response.status, ((await response.json()) as { code: string }).code]).toEqual([depth, 400, 'invalid_body'])
    }
  })
})

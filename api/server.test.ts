import { METHODS, STATUS_CODES } from 'node:http'
import { connect } from 'node:net'
import type pg from 'pg'
import pino from 'pino'
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest'
import { openPool } from '../sinks/postgres/pool.ts'
import type { WorkerStatus } from '../engine/worker.ts'
import { TestLog } from '../sinks/testing/log.ts'
import { LogError } from '../topics/log.ts'
import type { DependencyStatus } from './health.ts'
import { Problem, ProblemBody, type ProblemCode } from './problem.ts'
import { permission, ROLES } from './access/principal.ts'
import { type ApiOptions, type ApiServer, startApi } from './server.ts'
import { get, send, TOKEN, testOptions } from './testing/client.ts'

let pool: pg.Pool
let log: TestLog
let api: ApiServer
const lines: string[] = []
const started: ApiServer[] = []

beforeAll(async () => {
  log = await TestLog.open()
  pool = openPool({ url: 'postgresql://nobody@127.0.0.1:1/none', log: { warn: () => {} } })
  api = await startApi(options())
})

afterAll(async () => {
  await api.close()
  await pool.end()
})

afterEach(async () => {
  await Promise.all(started.splice(0).map(one => one.close()))
})

/** A server without a database. */
function options(more: Partial<ApiOptions> = {}): ApiOptions {
  const logger = pino({ level: 'debug' }, { write: line => void lines.push(line) })
  return { ...testOptions(log, pool), logger, ...more }
}

async function another(more: Partial<ApiOptions>): Promise<ApiServer> {
  const one = await startApi(options(more))
  started.push(one)
  return one
}

const BAD_TOKENS = [undefined, 'Bearer', 'Bearer wrong', `Basic ${TOKEN}`, TOKEN, `Bearer ${TOKEN}x`]
test.each([
  '/api/v1/venues',
  '/api/v1/venues/main:v1',
  '/api/v1/conversations?limit=bad',
  '/api/v1/conversations/main:c0',
  '/api/v1/alerts?cursor=bad',
  '/api/v1/sync-runs',
  '/api/v1/nothing',
  '/api/nothing',
  '/api/',
  '/api',
  '/%61pi/v1/venues',
  '/api/v1/venues/%zz',
])('%s without a good token is 401 before anything else', async path => {
  for (const authorization of BAD_TOKENS) {
    const init = authorization === undefined ? {} : { authorization }
    const answer = await fetch(api.url + path, { headers: init as Record<string, string> })
    expect(answer.status).toBe(401)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect(await answer.json()).toMatchObject({ status: 401, code: 'unauthorized' })
  }
})

test('every method under /api requires a token, with any body', async () => {
  for (const method of METHODS.filter(name => name !== 'CONNECT')) {
    const status = await statusOf(`${method} /api/v1/venues HTTP/1.1`)
    expect(`${method} ${status}`).toBe(`${method} 401`)
  }
  const post = await fetch(`${api.url}/api/v1/venues`, {
    method: 'POST',
    body: '{broken',
    headers: { 'content-type': 'application/json' },
  })
  expect(post.status).toBe(401)
})

/** Status of a request as `fetch` would not send it. */
function statusOf(line: string): Promise<number> {
  const { hostname, port } = new URL(api.url)
  return new Promise((resolve, reject) => {
    const socket = connect(Number(port), hostname, () => socket.write(`${line}\r\nHost: x\r\nConnection: close\r\n\r\n`))
    socket.on('error', reject)
    socket.once('data', data => {
      resolve(Number(data.toString().split(' ')[1]))
      socket.destroy()
    })
  })
}

test('without a configured token nobody is admitted', async () => {
  const { url } = await another({ adminToken: null })
  expect(await get(url + '/api/v1/venues')).toMatchObject({ status: 401 })
})

test('responses carry a request id and show no internals', async () => {
  const given = await get(api.url + '/api/v1/venues', { 'x-request-id': 'trace-12345' })
  expect(given.headers.get('x-request-id')).toBe('trace-12345')
  const made = await get(api.url + '/healthz', { 'x-request-id': 'no good\tid' })
  expect(made.headers.get('x-request-id')).toMatch(/^[\da-f-]{36}$/)
  expect(made.headers.get('x-content-type-options')).toBe('nosniff')

  const { url } = await another({
    extend: app => {
      app.get('/broken', async () => {
        throw new Error('a secret detail')
      })
    },
  })
  const broken = await get(url + '/broken')
  expect(broken).toMatchObject({ status: 500, body: { code: 'internal' } })
  expect(broken.text).not.toContain('secret')
  expect(lines.some(line => line.includes('a secret detail'))).toBe(true)
})

test('every problem has a code and a status', async () => {
  const codes: Record<string, number> = {
    invalid_request: 400,
    invalid_cursor: 400,
    invalid_body: 400,
    unauthorized: 401,
    invalid_signature: 401,
    invalid_credentials: 401,
    forbidden: 403,
    not_found: 404,
    conflict: 409,
    payload_too_large: 413,
    unsupported_media_type: 415,
    rate_limited: 429,
    internal: 500,
    unavailable: 503,
  }
  const { url } = await another({
    extend: app => {
      app.get('/problems/:code', async ({ params }) => {
        throw new Problem((params as { code: ProblemCode }).code, 'why')
      })
    },
  })
  const known = (ProblemBody.properties.code as unknown as { enum: string[] }).enum
  expect(known).toEqual(expect.arrayContaining(Object.keys(codes)))
  for (const [code, status] of Object.entries(codes)) {
    const answer = await get(`${url}/problems/${code}`)
    expect(answer.headers.get('content-type')).toContain('application/problem+json')
    expect(answer.body).toEqual({
      type: `urn:bma-social:problem:${code}`,
      title: STATUS_CODES[status],
      status,
      code,
      detail: 'why',
    })
    expect(answer.status).toBe(status)
  }
})

test('an unreachable database is 503', async () => {
  const answer = await get(`${api.url}/api/v1/venues`)
  expect(answer).toMatchObject({ status: 503, body: { code: 'unavailable' } })
  expect(answer.headers.get('retry-after')).toBe('5')
})

test('search terms are not logged', async () => {
  await get(api.url + '/api/v1/conversations?channel=whatsapp&user=66899999999&limit=5')
  await get(api.url + '/api/v1/venues?q=Secret%20Place')
  await fetch(`${api.url}/webhooks/whatsapp?hub.verify_token=verify-me`)
  const text = lines.join('')
  for (const secret of ['66899999999', 'Secret', 'verify-me', TOKEN]) expect(text).not.toContain(secret)
  expect(text).toContain('/api/v1/conversations?channel=whatsapp&user=[redacted]&limit=5')
})

test('always alive, ready only if every dependency is', async () => {
  let venues: DependencyStatus = { status: 'down', detail: 'the sheet has not been read yet' }
  const { url: at } = await another({
    dependencies: {
      log: () => ({ status: 'up', detail: '' }),
      model: async () => ({ status: 'degraded', detail: 'slow' }),
      venues: async () => venues,
    },
  })
  expect(await get(at + '/healthz')).toMatchObject({ status: 200, body: { status: 'alive' } })
  const notReady = await get(at + '/readyz')
  expect(notReady.status).toBe(503)
  expect(notReady.body).toEqual({
    status: 'not_ready',
    dependencies: {
      log: { status: 'up', detail: '' },
      model: { status: 'degraded', detail: 'slow' },
      venues: { status: 'down', detail: 'the sheet has not been read yet' },
    },
  })
  venues = { status: 'up', detail: '5 venues' }
  expect(await get(at + '/readyz')).toMatchObject({ status: 200, body: { status: 'ready' } })
})

test('a check that throws or times out is down', async () => {
  const { url: at } = await another({
    dependencies: {
      throws: () => Promise.reject(new Error('refused')),
      hangs: () => new Promise(() => {}),
    },
  })
  const { status, body } = await get(at + '/readyz')
  expect(status).toBe(503)
  expect(body.dependencies.throws).toEqual({ status: 'down', detail: 'refused' })
  expect(body.dependencies.hangs).toEqual({ status: 'down', detail: 'no answer within 2000 ms' })
})

test('metrics show offsets and lag under the names that dashboards use', async () => {
  const own = await TestLog.open()
  for (let i = 0; i < 3; i++) await own.append([{ topic: 'alerts', key: 'k', partition: 1, value: Buffer.from('x') }])
  own.groupPositions = {
    'app.processors': [
      { topic: 'alerts', partition: 1, offset: 1 },
      { topic: 'alerts', partition: 2, offset: 7 },
    ],
  }
  const { url: at } = await another({ log: own, readers: { postgres: () => [{ topic: 'alerts', partition: 1, offset: 3 }] } })
  await get(at + '/healthz')
  const { status, text } = await get(at + '/metrics')
  expect(status).toBe(200)
  const shown = text.split('\n')
  for (const line of [
    'kafka_topic_partition_current_offset{topic="alerts",partition="1"} 3',
    'kafka_consumergroup_current_offset{consumergroup="app.processors",topic="alerts",partition="1"} 1',
    'kafka_consumergroup_lag{consumergroup="app.processors",topic="alerts",partition="1"} 2',
    'kafka_consumergroup_lag{consumergroup="app.processors",topic="alerts",partition="2"} 0',
    'kafka_consumergroup_lag{consumergroup="postgres",topic="alerts",partition="1"} 0',
    'http_requests_total{method="GET",route="/healthz",status="200"} 1',
  ]) {
    expect(shown).toContain(line)
  }
  expect(text).toContain('process_cpu_seconds_total')
})

test('metrics show the workers: tasks by state, halted and waiting ones, the age of the last successful cycle', async () => {
  const task = { topic: 'venue.inbox', actor: 'venue', state: 'RUNNING', position: 7, stopped: null, waits: null } as const
  let status: WorkerStatus = {
    assigned: true,
    tasks: [
      { ...task, partition: 0 },
      { ...task, partition: 1, state: 'STOPPED', stopped: 'unknown record' },
      { ...task, partition: 2, state: 'CREATED', waits: 'its store cannot be opened' },
    ],
    effects: 0,
    cycleAgeMs: 61_500,
    failing: 'the disk is full',
  }
  const { url: at } = await another({ workers: { processors: () => status } })
  const lines = async () => (await get(at + '/metrics')).text.split('\n').filter(line => /^app_(task|worker)/.test(line))
  const sick = await lines()
  for (const line of [
    'app_task_position{worker="processors",topic="venue.inbox",partition="0",state="RUNNING"} 7',
    'app_tasks{worker="processors",actor="venue",state="RUNNING"} 1',
    'app_tasks{worker="processors",actor="venue",state="STOPPED"} 1',
    'app_tasks{worker="processors",actor="venue",state="CREATED"} 1',
    'app_tasks{worker="processors",actor="venue",state="RESTORING"} 0',
    'app_task_stopped{worker="processors",actor="venue",partition="0"} 0',
    'app_task_stopped{worker="processors",actor="venue",partition="1"} 1',
    'app_task_waiting{worker="processors",actor="venue",partition="2"} 1',
    'app_worker_failing{worker="processors"} 1',
    'app_worker_cycle_age_seconds{worker="processors"} 61.5',
    'app_worker_assigned{worker="processors"} 1',
  ]) {
    expect(sick).toContain(line)
  }
  status = { ...status, tasks: [{ ...task, partition: 0 }], failing: null, cycleAgeMs: 0 }
  const well = await lines()
  expect(well).toContain('app_worker_failing{worker="processors"} 0')
  expect(well).toContain('app_tasks{worker="processors",actor="venue",state="STOPPED"} 0')
  expect(well.filter(line => /partition="[12]"/.test(line))).toEqual([])
})

test('metrics count the requests to the brokers, if there are brokers', async () => {
  const own = await TestLog.open()
  const { url: at } = await another({ log: own })
  expect((await get(at + '/metrics')).text).not.toContain('app_log_requests_total')
  let produced = 3
  const onBrokers = Object.assign(await TestLog.open(), { requests: () => new Map([['Produce 12', produced]]) })
  const { url } = await another({ log: onBrokers })
  expect((await get(url + '/metrics')).text).toContain('app_log_requests_total{request="Produce 12"} 3')
  produced = 5
  expect((await get(url + '/metrics')).text).toContain('app_log_requests_total{request="Produce 12"} 5')
})

test('metrics are served while the log does not respond, without outdated offsets', async () => {
  const own = await TestLog.open()
  await own.append([{ topic: 'alerts', key: 'k', partition: 1, value: Buffer.from('x') }])
  const { url: at } = await another({ log: own })
  expect((await get(at + '/metrics')).text).toContain('kafka_topic_partition_current_offset{topic="alerts",partition="1"} 1')
  own.groups = () => new Promise(() => {})
  const { status, text } = await get(at + '/metrics')
  expect(status).toBe(200)
  expect(text).toContain('process_cpu_seconds_total')
  expect(text).not.toContain('kafka_topic_partition_current_offset{')
})

test('metrics are served while the log is unavailable', async () => {
  const broken = await TestLog.open()
  broken.groups = () => Promise.reject(new LogError('unavailable', 'away'))
  const { url: at } = await another({ log: broken })
  expect(await get(at + '/metrics')).toMatchObject({ status: 200, text: expect.stringContaining('process_cpu_seconds_total') })
})

test('the OpenAPI document holds every route', async () => {
  const routes: string[] = []
  const { url: at } = await another({
    extend: app => {
      app.get('/page', async () => 'a page')
    },
  })
  const { status, body } = await get(at + '/openapi.json')
  expect(status).toBe(200)
  expect(body.openapi).toBe('3.1.0')
  for (const [path, methods] of Object.entries(body.paths)) {
    for (const method of Object.keys(methods as object)) routes.push(`${method} ${path}`)
  }
  expect(routes).toEqual(
    expect.arrayContaining([
      'get /api/v1/alerts',
      'delete /api/v1/api-keys/{id}',
      'get /api/v1/conversations/{id}',
      'post /api/v1/login',
      'get /api/v1/me',
      'get /api/v1/sync-runs',
      'patch /api/v1/users/{id}',
      'get /api/v1/venues',
      'get /healthz',
      'get /metrics',
      'get /openapi.json',
      'get /page',
      'get /readyz',
      'get /webhooks/whatsapp',
      'post /webhooks/whatsapp',
    ]),
  )
  const list = body.paths['/api/v1/users'].get
  expect(list.security).toEqual([{ token: [] }])
  expect(list.parameters.map((p: { in: string; name: string }) => `${p.in} ${p.name}`)).toEqual(['query limit', 'query cursor'])
  expect(list.responses['200'].content['application/json'].schema.properties.items.items.properties.role.enum).toContain('staff')
  // A public route declares so explicitly.
  expect(body.servers).toEqual([{ url: '/', description: expect.any(String) }])
  for (const path of ['/healthz', '/metrics', '/webhooks/whatsapp', '/openapi.json'])
    expect(body.paths[path].get.security).toEqual([])
  expect(body.paths['/api/v1/login'].post.security).toEqual([])
  expect(list.parameters[0]).toMatchObject({ name: 'limit', required: false, schema: { default: 50 } })
  expect(body.paths['/api/v1/login'].post.requestBody.content['application/json'].schema.required).toEqual(['email', 'password'])
  const operations = Object.values(body.paths).flatMap(methods =>
    Object.values(methods as Record<string, { operationId: string; responses: object; tags: string[] }>),
  )
  expect(new Set(operations.map(o => o.operationId)).size).toBe(operations.length)
  const tags = body.tags.map((tag: { name: string }) => tag.name)
  for (const { responses, tags: own } of operations) {
    expect(responses).toHaveProperty('4XX')
    expect(tags).toEqual(expect.arrayContaining(own))
  }
  expect(body.paths['/api/v1/venues/{id}'].get.parameters[0]).toMatchObject({ name: 'id', in: 'path', required: true })
})

test('only pages of the configured origins may call the API', async () => {
  const preflight = (url: string, origin: string) =>
    send('OPTIONS', `${url}/api/v1/venues`, { token: null, headers: { origin, 'access-control-request-method': 'GET' } })
  expect((await preflight(api.url, 'https://crm.test')).status).toBe(401)

  const { url } = await another({ corsOrigins: ['https://crm.test'] })
  const allowed = await preflight(url, 'https://crm.test')
  expect(allowed.status).toBe(204)
  expect(allowed.headers.get('access-control-allow-origin')).toBe('https://crm.test')
  expect(allowed.headers.get('access-control-allow-credentials')).toBeNull()
  for (const origin of ['https://crm.test.evil.test', 'http://crm.test', 'https://CRM.test', 'null']) {
    const refused = await preflight(url, origin)
    expect(refused.status).toBe(401)
    expect(refused.headers.get('access-control-allow-origin')).toBeNull()
  }
  expect((await send('OPTIONS', `${url}/api/v1/venues`, { token: null })).status).toBe(401)
  const read = await get(`${url}/api/v1/me`, { origin: 'https://crm.test' })
  expect([read.status, read.headers.get('access-control-allow-origin')]).toEqual([200, 'https://crm.test'])
  // Those pages can read refusals too.
  const refused = await send('GET', `${url}/api/v1/me`, { token: null, headers: { origin: 'https://crm.test' } })
  expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, 'https://crm.test'])
})

test('security headers are set', async () => {
  for (const path of ['/healthz', '/api/v1/me', '/nothing', '/api/nothing']) {
    const { headers } = await get(api.url + path)
    const policy = headers.get('content-security-policy')
    expect(policy).toContain("default-src 'self'")
    expect(policy).toContain("frame-ancestors 'none'")
    expect(policy).not.toContain('unsafe')
    expect(headers.get('x-content-type-options')).toBe('nosniff')
    expect(headers.get('x-frame-options')).toBe('DENY')
    // Of pages only.
    expect(headers.get('referrer-policy')).toBe(path.startsWith('/api/') ? null : 'no-referrer')
    expect(headers.get('strict-transport-security')).toBeNull()
    expect(headers.get('x-powered-by')).toBeNull()
  }
  expect((await get(`${api.url}/api/v1/me`)).headers.get('cache-control')).toBe('no-store')
  const { url } = await another({ trustedProxies: ['127.0.0.1'] })
  const behindTls = await get(`${url}/healthz`, { 'x-forwarded-proto': 'https' })
  expect(behindTls.headers.get('strict-transport-security')).toContain('max-age=31536000')
  expect((await get(`${api.url}/healthz`, { 'x-forwarded-proto': 'https' })).headers.get('strict-transport-security')).toBeNull()
})

test('bodies that are too large, or of another type, are refused', async () => {
  const large = await send('POST', `${api.url}/api/v1/users`, { body: { name: 'x'.repeat(70_000) } })
  expect(large).toMatchObject({ status: 413, body: { code: 'payload_too_large' } })
  const xml = await send('POST', `${api.url}/api/v1/users`, { headers: { 'content-type': 'text/xml' } })
  expect(xml).toMatchObject({ status: 415, body: { code: 'unsupported_media_type' } })
  const poisoned = await fetch(`${api.url}/api/v1/users`, {
    method: 'POST',
    body: '{"__proto__":{"role":"admin"}}',
    headers: { authorization: `Bearer ${TOKEN}`, 'content-type': 'application/json' },
  })
  expect(poisoned.status).toBe(400)
})

test('a server with an unprotected route under /api does not start', async () => {
  for (const path of ['/api/v1/open', '/api/open', '/clickhouse/open']) {
    const extend: ApiOptions['extend'] = app => {
      app.get(path, { config: { permission: permission('venues:read', ROLES) } }, async () => 'no door before it')
    }
    await expect(startApi(options({ extend }))).rejects.toThrow(path)
  }
})

test('webhooks are limited by address, and the limit can be set', async () => {
  const { url } = await another({ limits: { webhooks: 2 } })
  const check = () => send('GET', `${url}/webhooks/whatsapp`, { token: null })
  expect([(await check()).status, (await check()).status]).toEqual([403, 403])
  const third = await check()
  expect(third).toMatchObject({ status: 429, body: { code: 'rate_limited' } })
  expect(Number(third.headers.get('retry-after'))).toBeGreaterThan(0)
  expect((await send('GET', `${url}/healthz`)).status).toBe(200)
})

test('the log names the user and the action of each request', async () => {
  await get(`${api.url}/api/v1/me`)
  expect(lines.some(line => line.includes('"user_id":"admin-token"') && line.includes('"action":"me.list"'))).toBe(true)
})

test('closes once requests in progress are answered', async () => {
  let arrived: () => void = () => {}
  let release: () => void = () => {}
  const there = new Promise<void>(resolve => (arrived = resolve))
  const held = new Promise<void>(resolve => (release = resolve))
  const one = await startApi(
    options({
      extend: app => {
        app.get('/slow', async () => {
          arrived()
          await held
          return 'done'
        })
      },
    }),
  )
  const answer = fetch(`${one.url}/slow`).then(response => response.text())
  await there
  const closing = one.close()
  release()
  expect(await answer).toBe('done')
  await closing
  await expect(fetch(`${one.url}/healthz`)).rejects.toThrow()
})

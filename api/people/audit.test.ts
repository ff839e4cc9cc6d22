import fastify, { type FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TestLog } from '../../sinks/test-log.ts'
import { LogError } from '../../topics/log.ts'
import { handleError } from '../problem.ts'
import { AuditTrail, auditRequests } from './audit.ts'
import type { Principal } from './principal.ts'

const AGENT: Principal = {
  id: 'main:nok',
  kind: 'user',
  name: 'Nok',
  role: 'agent',
  scope: { tenant: 'main', regions: null, venues: null },
}

let log: TestLog
let trail: AuditTrail
let app: FastifyInstance
let url: string
let done: string[]
let logged: object[]
const registry = () => new Registry()

beforeEach(async () => {
  done = []
  logged = []
  log = await TestLog.open()
  trail = new AuditTrail({
    log,
    codec: log.codec,
    logger: { error: (o: object) => void logged.push(o) } as never,
    registry: registry(),
  })
  app = fastify()
  app.setErrorHandler(handleError)
  app.decorateRequest('principal', null as never)
  app.decorateRequest('audited', null as never)
  app.register(
    async scope => {
      auditRequests(scope, trail)
      scope.addHook('onRequest', async request => {
        if (request.headers.authorization !== undefined) request.principal = AGENT
      })
      scope.get('/venues', async () => [])
      scope.get('/conversations/:id', { config: { personal: true } }, async () => ({ text: 'hello' }))
      scope.get('/refused', async (_, reply) => reply.code(401).send())
      scope.post('/conversations/:id/reply', async (request, reply) => {
        done.push('reply')
        Object.assign(request.audited, { command: 'c-1', before: 'b'.repeat(64), after: 'a'.repeat(64) })
        return reply.code(202).send()
      })
      scope.get('/queries', { config: { write: false, action: 'analytics.query' } }, async request => {
        request.audited.object = `sha256:${'d'.repeat(64)}`
        return {}
      })
      scope.post('/queries', { config: { write: false, action: 'analytics.query' } }, async () => ({}))
      scope.delete('/users/:id', async () => {
        done.push('remove')
        throw new Error('broken')
      })
    },
    { prefix: '/api/v1' },
  )
  url = await app.listen({ port: 0, host: '127.0.0.1' })
})

afterEach(async () => {
  await app.close()
  await trail.close()
})

const ask = (method: string, path: string, token = true) =>
  fetch(`${url}/api/v1${path}`, { method, headers: token ? { authorization: 'x' } : {} })
const events = () => log.content('audit.log').map(record => record.value as unknown as Record<string, unknown>)
const arrived = (count: number) => vi.waitFor(() => expect(events()).toHaveLength(count))

test('a read of personal data is written down after it was answered, another read is not', async () => {
  await ask('GET', '/venues')
  await ask('GET', '/conversations/main:c1?user=66812345678')
  await arrived(1)
  expect(events()[0]).toMatchObject({
    actor: 'main:nok',
    actorKind: 'user',
    role: 'agent',
    action: 'conversations.read',
    object: 'main:c1',
    outcome: 'done',
    status: 200,
    personal: true,
  })
  expect(log.content('audit.log')[0]?.key).toBe('main:nok')
})

test('a write is written down before it is done, and after', async () => {
  expect((await ask('POST', '/conversations/main:c1/reply')).status).toBe(202)
  await arrived(2)
  const [before, after] = events()
  expect(before).toMatchObject({
    action: 'conversations.reply',
    object: 'main:c1',
    outcome: 'accepted',
    status: 0,
    command: null,
  })
  expect(after).toMatchObject({
    action: 'conversations.reply',
    outcome: 'accepted',
    status: 202,
    command: 'c-1',
    before: 'b'.repeat(64),
    after: 'a'.repeat(64),
    requestId: before?.requestId,
  })
})

test('a read that names its object is written down: SQL in the address', async () => {
  await ask('GET', '/queries')
  await arrived(1)
  expect(events()[0]).toMatchObject({
    action: 'analytics.query',
    object: `sha256:${'d'.repeat(64)}`,
    outcome: 'done',
    status: 200,
  })
})

test('a write that fails is written down as such', async () => {
  expect((await ask('DELETE', '/users/main:x')).status).toBe(500)
  await arrived(2)
  expect(events()[1]).toMatchObject({ action: 'users.remove', object: 'main:x', outcome: 'failed', status: 500 })
})

test('nothing is done while the log takes nothing; reads are answered, and written down later', async () => {
  log.failing = new LogError('unavailable', 'away')
  const refused = await ask('POST', '/conversations/main:c1/reply')
  expect([refused.status, ((await refused.json()) as { code: string }).code]).toEqual([503, 'unavailable'])
  expect(done).toEqual([])
  expect((await ask('GET', '/conversations/main:c1')).status).toBe(200)
  expect((await ask('POST', '/queries')).status).toBe(200)
  await vi.waitFor(() => expect(trail.status()).toEqual({ waiting: 3, dropped: 0, failing: 'away' }))
  expect(logged.length).toBeGreaterThan(0)
  log.failing = null
  await vi.waitFor(() => expect(events()).toHaveLength(3), { timeout: 5_000 })
  expect(events().map(event => [event.action, event.status])).toEqual([
    ['conversations.reply', 503],
    ['conversations.read', 200],
    ['analytics.query', 200],
  ])
  expect(trail.status()).toEqual({ waiting: 0, dropped: 0, failing: null })
})

test('what waits is written when the server closes', async () => {
  log.failing = new LogError('unavailable', 'away')
  await ask('GET', '/conversations/main:c1')
  await vi.waitFor(() => expect(trail.status().failing).toBe('away'))
  log.failing = null
  await app.close()
  await trail.close()
  expect(events()).toHaveLength(1)
})

test('more than ten thousand events do not wait: the others are counted', async () => {
  log.failing = new LogError('unavailable', 'away')
  const event = { id: 'i', actor: 'a', action: 'x', outcome: 'done', status: 200, requestId: 'r', at: Date.now() }
  for (let i = 0; i < 10_005; i++) trail.add(event)
  expect(trail.status()).toMatchObject({ waiting: 10_000, dropped: 5 })
  log.failing = null
  await trail.close()
  expect(events()).toHaveLength(10_000)
})

test('refusals are written down, of strangers only so many', async () => {
  await ask('GET', '/refused', false)
  await arrived(1)
  expect(events()[0]).toMatchObject({
    actor: '',
    actorKind: 'none',
    role: '',
    action: 'refused.list',
    outcome: 'denied',
    status: 401,
  })
  expect(log.content('audit.log')[0]?.key).toBe('none')
  const stranger = { id: 'i', actor: '', action: 'x', outcome: 'denied', status: 401, requestId: 'r', at: Date.now() }
  for (let i = 0; i < 400; i++) trail.add(stranger)
  await vi.waitFor(() => expect(trail.status().waiting).toBe(0))
  expect(events()).toHaveLength(300)
})

test('nothing personal is in it: no query, no body, no id of another form', async () => {
  await ask('GET', '/conversations/66812345678?user=66812345678')
  await arrived(1)
  expect(events()[0]?.object).toBeNull()
  expect(JSON.stringify(events())).not.toContain('66812345678')
})

test('a request whose connection is lost is written down all the same', async () => {
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const slow = fastify()
  slow.decorateRequest('principal', null as never)
  slow.decorateRequest('audited', null as never)
  auditRequests(slow, trail)
  let asked = false
  slow.get('/people', { config: { personal: true } }, async () => {
    asked = true
    await held
    return {}
  })
  const at = await slow.listen({ port: 0, host: '127.0.0.1' })
  const gone = new AbortController()
  const request = fetch(`${at}/people`, { signal: gone.signal }).catch(() => {})
  await vi.waitFor(() => expect(asked).toBe(true))
  gone.abort()
  await request
  await arrived(1)
  release()
  await slow.close()
})

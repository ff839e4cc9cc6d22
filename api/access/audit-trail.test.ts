import { mkdtempSync, rmSync, statSync, truncateSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fastify, { type FastifyInstance } from 'fastify'
import { Registry } from 'prom-client'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { TestLog } from '../../sinks/testing/log.ts'
import { LogError } from '../../topics/log.ts'
import { handleError } from '../problem.ts'
import { AuditTrail } from './audit-trail.ts'
import { addAuditHooks } from './audit-hooks.ts'
import { Journal } from './journal.ts'
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
let folder: string
let done: string[]
let logged: object[]
const EVENT = { id: 'i', actor: 'a', action: 'x', outcome: 'done', status: 200, requestId: 'r', at: Date.now() }
const registry = () => new Registry()

beforeEach(async () => {
  done = []
  logged = []
  log = await TestLog.open()
  folder = mkdtempSync(join(tmpdir(), 'audit-'))
  trail = await open({ folder })
  await serve()
})

const open = (options: { folder?: string; maxPending?: number } = {}) =>
  AuditTrail.open({
    log,
    codec: log.codec,
    logger: { error: (o: object) => void logged.push(o), warn: (o: object) => void logged.push(o) } as never,
    registry: registry(),
    ...options,
  })

async function serve() {
  app = fastify()
  app.setErrorHandler(handleError)
  app.decorateRequest('principal', null as never)
  app.decorateRequest('audited', null as never)
  app.register(
    async scope => {
      addAuditHooks(scope, trail)
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
}

/** Restarts with another trail. */
async function serveAnew(options: { folder?: string; maxPending?: number }) {
  await app.close()
  await trail.close()
  trail = await open(options)
  await serve()
}

afterEach(async () => {
  await app.close()
  await trail.close()
  rmSync(folder, { recursive: true })
})

const ask = (method: string, path: string, token = true) =>
  fetch(`${url}/api/v1${path}`, { method, headers: token ? { authorization: 'x' } : {} })
const events = () => log.content('audit.log').map(record => record.value as unknown as Record<string, unknown>)
const endsOf = async () => Object.fromEntries((await log.ends('audit.log')).map(({ partition, high }) => [partition, high]))
const arrived = (count: number) => vi.waitFor(() => expect(events()).toHaveLength(count))

test('a read of personal data is recorded once answered, another read is not', async () => {
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

test('a write is recorded before it is performed, and after', async () => {
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

test('a read that names its object is recorded: SQL in the URL', async () => {
  await ask('GET', '/queries')
  await arrived(1)
  expect(events()[0]).toMatchObject({
    action: 'analytics.query',
    object: `sha256:${'d'.repeat(64)}`,
    outcome: 'done',
    status: 200,
  })
})

test('a failed write is recorded as such', async () => {
  expect((await ask('DELETE', '/users/main:x')).status).toBe(500)
  await arrived(2)
  expect(events()[1]).toMatchObject({ action: 'users.remove', object: 'main:x', outcome: 'failed', status: 500 })
})

test('while the log is unavailable nothing is done; reads are answered, and recorded later', async () => {
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

test('pending events are written when the server closes', async () => {
  log.failing = new LogError('unavailable', 'away')
  await ask('GET', '/conversations/main:c1')
  await vi.waitFor(() => expect(trail.status().failing).toBe('away'))
  log.failing = null
  await app.close()
  await trail.close()
  expect(events()).toHaveLength(1)
})

test('with too many pending events reads are refused, and the others are counted', async () => {
  await serveAnew({ folder, maxPending: 10 })
  log.failing = new LogError('unavailable', 'away')
  for (let i = 0; i < 15; i++) trail.add({ ...EVENT, id: `i-${i}` })
  expect(trail.status()).toMatchObject({ waiting: 10, dropped: 5 })
  const refused = await ask('GET', '/conversations/main:c1')
  expect([refused.status, refused.headers.get('etag')]).toEqual([503, null])
  expect(await refused.text()).not.toContain('hello')
  expect((await ask('GET', '/venues')).status).toBe(200)
  log.failing = null
  await trail.close()
  expect(events()).toHaveLength(10)
})

test('without a journal responses wait for the log, and a read is refused if the append fails', async () => {
  await serveAnew({})
  await ask('GET', '/conversations/main:c1')
  expect(events()).toHaveLength(1)
  log.failing = new LogError('unavailable', 'away')
  const refused = await ask('GET', '/conversations/main:c1')
  expect(refused.status).toBe(503)
  expect(await refused.text()).not.toContain('hello')
  // Nor is the result of a statement sent.
  expect((await ask('POST', '/queries')).status).toBe(503)
  log.failing = null
  await trail.close()
  expect(
    events()
      .map(({ action, status }) => `${action} ${status}`)
      .sort(),
  ).toEqual(['analytics.query 503', 'conversations.read 200', 'conversations.read 503'])
})

test('after a start the events of a journal are in the log once, whether they had been appended or not', async () => {
  await trail.close()
  await log.put('audit.log', 'a', 'AuditEvent', { ...EVENT, id: 'before' })
  const ended = new Journal(folder, { ...(await endsOf()) })
  ended.start()
  const recordOf = (id: string) => log.codec.encode('audit.log', 'AuditEvent', { ...EVENT, id })
  ended.append([recordOf('one'), recordOf('two')])
  ended.rotate(await endsOf())
  ended.append([recordOf('three')])
  await log.put('audit.log', 'a', 'AuditEvent', { ...EVENT, id: 'two' })
  ended.close()
  trail = await open({ folder })
  expect(
    events()
      .map(({ id }) => id)
      .sort(),
  ).toEqual(['before', 'one', 'three', 'two'])
  await trail.close()
  trail = await open({ folder })
  expect(events()).toHaveLength(4)
})

test('processes that share a folder have their own files, and recover those of ended processes', async () => {
  const value = log.codec.encode('audit.log', 'AuditEvent', { ...EVENT, id: 'of-another' })
  const other = new Journal(folder, {})
  expect(other.leftovers).toEqual([])
  other.start()
  other.append([value])
  expect(events()).toHaveLength(0)
  other.close()
  const third = await open({ folder })
  expect(events().map(({ id }) => id)).toEqual(['of-another'])
  await third.close()
})

test('a torn frame is reported, and the frames before it are recovered', async () => {
  await trail.close()
  const journal = new Journal(folder, {})
  journal.start()
  journal.append([log.codec.encode('audit.log', 'AuditEvent', { ...EVENT, id: 'whole' })])
  journal.append([log.codec.encode('audit.log', 'AuditEvent', { ...EVENT, id: 'half' })])
  journal.close()
  const file = join(folder, '0.a')
  truncateSync(file, statSync(file).size - 3)
  trail = await open({ folder })
  expect(events().map(({ id }) => id)).toEqual(['whole'])
  expect(logged).toContainEqual(expect.objectContaining({ bytes: expect.any(Number) }))
})

test('refusals are recorded; of requests without a token only a limited number', async () => {
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

test('it holds no personal data: no query, no body, no id of another form', async () => {
  await ask('GET', '/conversations/66812345678?user=66812345678')
  await arrived(1)
  expect(events()[0]?.object).toBeNull()
  expect(JSON.stringify(events())).not.toContain('66812345678')
})

test('a request whose connection is lost is recorded nevertheless', async () => {
  let release = () => {}
  const held = new Promise<void>(resolve => {
    release = resolve
  })
  const slow = fastify()
  slow.decorateRequest('principal', null as never)
  slow.decorateRequest('audited', null as never)
  addAuditHooks(slow, trail)
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

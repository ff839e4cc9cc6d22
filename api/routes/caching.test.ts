/** Cached resources are shown only to those who may see them, and are never stale. */
import type pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { listenForChanges, tellChanged, tellPeopleChanged } from '../../sinks/postgres/changes.ts'
import { startPostgresSink } from '../../sinks/postgres/sink.ts'
import { startTestPostgres, type TestPostgres } from '../../sinks/postgres/testing/postgres.ts'
import { MemoryCache } from '../../cache/cache.ts'
import { ReadThroughCache } from '../../cache/read-through.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { type ApiServer, type Changes, startApi } from '../server.ts'
import { type Person, send, testOptions, tokenFor } from '../testing/client.ts'
import { fill } from '../testing/fixture.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const [VENUE, THREAD] = ['/api/v1/venues/main:v1', '/api/v1/conversations/main:c0']
let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer
/** Another process on the same stores. */
let beside: ApiServer
let hot: ReadThroughCache

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  await fill(log, pool)
  hot = new ReadThroughCache(new MemoryCache())
  const first = Promise.withResolvers<void>()
  const second = Promise.withResolvers<void>()
  api = await startApi({ ...testOptions(log, pool), hot, changes: changesThen(first.resolve) })
  beside = await startApi({ ...testOptions(log, pool), changes: changesThen(second.resolve) })
  await Promise.all([first.promise, second.promise])
})

const changesThen = (begun: () => void): Changes => ({
  people: () => tellPeopleChanged(pool),
  listen: listener =>
    listenForChanges(
      { url: postgres.url, pool, log: quiet },
      {
        changed: conversations => listener.changed(conversations),
        people: () => listener.people(),
        lost: () => listener.lost(),
        begun: () => {
          listener.begun()
          begun()
        },
      },
    ),
})

afterAll(async () => {
  await Promise.all([api.close(), beside.close()])
  await postgres.close()
})

const ask = async (path: string, person: Person = { role: 'admin' }) =>
  send('GET', api.url + path, { token: await tokenFor(person) })

test.each([VENUE, THREAD])('%s is shown only within the scope, cached or not', async path => {
  expect((await ask(path)).status).toBe(200)
  const scopes: [Person, number][] = [
    [{ role: 'agent' }, 200],
    [{ role: 'agent', tenant: 'other' }, 404],
    [{ role: 'staff', venues: ['main:v1'] }, 200],
    [{ role: 'staff', venues: ['main:v2'] }, 404],
    [{ role: 'staff', venues: [] }, 404],
    [{ role: 'staff', regions: ['phuket'] }, 200],
    [{ role: 'staff', regions: ['bangkok'] }, 404],
    [{ role: 'staff', venues: ['main:v1'], regions: ['bangkok'] }, 404],
  ]
  for (const [person, status] of scopes) {
    for (let again = 0; again < 3; again++) {
      const answer = await ask(path, person)
      expect([person, answer.status]).toEqual([person, status])
      if (status === 404) expect(answer.text).not.toMatch(/Nok|Lagoon|Lobby/)
    }
  }
})

test('a cached venue is masked for roles without personal data, and its ETag is of the masked form', async () => {
  const [whole, less] = [await ask(VENUE), await ask(VENUE, { role: 'analyst' })]
  expect(whole.body.contact).toMatchObject({ name: 'Nok', phone: '66800000001' })
  expect(less.status).toBe(200)
  expect(less.text).not.toMatch(/Nok|66800000001/)
  expect(less.headers.get('etag')).not.toBe(whole.headers.get('etag'))
  expect((await ask(VENUE)).headers.get('etag')).toBe(whole.headers.get('etag'))
})

test('roles that see no conversations see no cached ones', async () => {
  expect((await ask(THREAD)).status).toBe(200)
  for (const role of ['analyst', 'ops'] as const) expect((await ask(THREAD, { role })).status).toBe(403)
})

test('a conversation is cached until Postgres notifies that it has changed', async () => {
  const text = async () => (await ask(THREAD)).body.messages[0].text
  const first = await text()
  await pool.query("UPDATE messages SET text = 'louder' WHERE conversation_id = 'main:c0' AND direction = 'in'")
  expect(await text()).toBe(first)
  await tellChanged(pool, ['main:c1'])
  await tellChanged(pool, ['main:c0'])
  await vi.waitFor(async () => expect(await text()).toBe('louder'))
})

test('a cached venue is read again once a newer profile has come', async () => {
  const before = await ask(VENUE)
  await pool.query("UPDATE venues SET name = 'Blue Lagoon Beach' WHERE id = 'main:v1'")
  expect((await ask(VENUE)).body.name).toBe(before.body.name)
  await hot.invalidate('venue', 'main:v1')
  const after = await ask(VENUE)
  expect([after.body.name, after.headers.get('etag') === before.headers.get('etag')]).toEqual(['Blue Lagoon Beach', false])
})

test('a new message, a note, and an erasure are visible at once', async () => {
  const sink = await startPostgresSink({ log, codec: log.codec, pool, logger: quiet })
  try {
    const { messages } = (await ask(THREAD)).body
    const at = Date.now()
    await log.put('conversation.inbox', 'main:c0', 'ChatMessage', {
      id: 'wamid.2',
      channel: 'whatsapp',
      account: '1055',
      chat: '66800000000',
      sender: { id: '66800000000' },
      kind: 'TEXT',
      text: 'and quieter, please',
      sentAt: at,
      receivedAt: at,
    })
    await vi.waitFor(async () => expect((await ask(THREAD)).body.messages).toHaveLength(messages.length + 1), { timeout: 5_000 })
    await log.put('conversation.inbox', 'main:c0', 'AgentAction', {
      id: 'n',
      kind: 'NOTE',
      by: 'l',
      byName: 'Lek',
      text: 'call',
      at,
    })
    await vi.waitFor(async () => expect((await ask(THREAD)).body.notes).toHaveLength(1), { timeout: 5_000 })
    await log.put('conversation.inbox', 'main:c0', 'ErasePerson', { id: 'e', channel: 'whatsapp', issues: [], at })
    await vi.waitFor(async () => expect((await ask(THREAD)).status).toBe(404), { timeout: 5_000 })
  } finally {
    await sink.close()
  }
})

test('the cache is flushed on request', async () => {
  const path = '/api/v1/conversations/main:c1'
  expect((await ask(path)).body.state).toBe('ready')
  await pool.query("UPDATE conversations SET state = 'gone' WHERE id = 'main:c1'")
  expect((await ask(path)).body.state).toBe('ready')
  expect((await send('POST', `${api.url}/api/v1/cache/flush`)).status).toBe(204)
  expect((await ask(path)).body.state).toBe('gone')
})

test('a key revoked in one process is refused by the others, long before its cache entry expires', async () => {
  const made = await send('POST', `${api.url}/api/v1/api-keys`, { body: { name: 'k', role: 'agent', days: 1 } })
  const { id, key } = made.body as { id: string; key: string }
  const tried = async () => (await send('GET', `${beside.url}/api/v1/me`, { token: key })).status
  expect([await tried(), await tried(), await tried()]).toEqual([200, 200, 200])
  expect((await send('DELETE', `${api.url}/api/v1/api-keys/${id}`)).status).toBe(204)
  await vi.waitFor(async () => expect(await tried()).toBe(401), { timeout: 5_000 })
})

import type pg from 'pg'
import { afterAll, afterEach, beforeAll, expect, test, vi } from 'vitest'
import type { RecordInputs } from '../../schemas/types.ts'
import type { Sink } from '../sink.ts'
import { TestLog } from '../testing/log.ts'
import { listenForChanges, tellChanged, tellPeopleChanged } from './changes.ts'
import { erasedRows } from './erasures.ts'
import { transact } from './positions.ts'
import { dropMonths } from './retention.ts'
import { startPostgresSink } from './sink.ts'
import { startTestPostgres, type TestPostgres } from './testing/postgres.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const AT = Date.UTC(2026, 4, 1, 9)

let postgres: TestPostgres
let said: (string | string[])[]
let listening: { close(): Promise<void> }
let sink: Sink | null = null

beforeAll(async () => {
  postgres = await startTestPostgres()
})
afterAll(() => postgres.close())
afterEach(async () => {
  await sink?.close()
  sink = null
  await listening.close()
})

async function listen(pool: Pick<pg.Pool, 'query'> = postgres.pool): Promise<void> {
  said = []
  listening = listenForChanges(
    { url: postgres.url, pool, log: quiet },
    {
      begun: () => void said.push('begun'),
      lost: () => void said.push('lost'),
      people: () => void said.push('people'),
      changed: conversations => void said.push(conversations === null ? 'all' : [...conversations].sort()),
    },
  )
  if (pool === postgres.pool) await heard('begun')
}
const heard = (what: string | string[]) => vi.waitFor(() => expect(said).toContainEqual(what), { timeout: 10_000 })

test('each conversation whose rows the sink writes or deletes is told, once they are there', async () => {
  await listen()
  const log = await TestLog.open()
  sink = await startPostgresSink({ log, codec: log.codec, pool: postgres.pool, logger: quiet })
  const profile: Omit<RecordInputs['ConversationProfile'], 'conversation'> = {
    channel: 'whatsapp',
    account: '1',
    user: '668',
    state: 'ready',
    owner: 'BOT',
    trust: 'CLAIMED',
    openedAt: AT,
    updatedAt: AT,
    lastInboundAt: AT,
  }
  await log.put('conversation.profiles', 'main:c1', 'ConversationProfile', { conversation: 'main:c1', ...profile })
  await heard(['main:c1'])
  said.length = 0
  await log.put('conversation.inbox', 'main:c2', 'AgentAction', {
    id: 'n1',
    kind: 'NOTE',
    by: 'nok',
    byName: 'Nok',
    text: 'call back',
    at: AT,
  })
  await heard(['main:c2'])
  const { rows } = await postgres.pool.query('SELECT text FROM conversation_notes WHERE conversation_id = $1', ['main:c2'])
  expect(rows).toEqual([{ text: 'call back' }])
  said.length = 0
  await log.put('whatsapp.inbox', 'main:c3', 'SendMessage', {
    id: 'o1',
    conversation: 'main:c3',
    channel: 'whatsapp',
    account: '1',
    to: '668',
    text: 'hello',
    lastInboundAt: AT,
    createdAt: AT,
  })
  await heard(['main:c3'])
  said.length = 0
  await log.put('conversation.inbox', 'main:c3', 'SendOutcome', { id: 'o1', status: 'READ', at: AT })
  await heard(['main:c3'])
  said.length = 0
  await log.append([{ topic: 'conversation.profiles', key: 'main:c1', value: null }])
  await heard(['main:c1'])
})

test('an erasure and months that are dropped are told', async () => {
  await listen()
  await erasedRows(postgres.pool).again(['main:c7'])
  await heard(['main:c7'])
  await dropMonths(postgres.pool, 30, Date.now())
  await heard('all')
})

test('nothing is told of what is rolled back, and many are told in parts', async () => {
  await listen()
  await transact(postgres.pool, async client => {
    await tellChanged(client, ['main:undone'])
    throw new Error('undone')
  }).catch(() => {})
  const many = Array.from({ length: 1_000 }, (_, n) => `main:conversation-${n}`)
  await tellChanged(postgres.pool, many)
  await vi.waitFor(() => expect(new Set(said.flat())).toEqual(new Set(['begun', ...many])))
  await tellChanged(
    postgres.pool,
    Array.from({ length: 10_000 }, (_, n) => `main:${n}`),
  )
  await heard('all')
})

test('users and keys that have changed are told', async () => {
  await listen()
  await tellPeopleChanged(postgres.pool)
  await heard('people')
})

test('a connection that is lost is told, and listens again', async () => {
  await listen()
  await postgres.pool.query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'changes'")
  await vi.waitFor(() => expect(said).toEqual(['begun', 'lost', 'begun']), { timeout: 10_000 })
  await tellChanged(postgres.pool, ['main:c1'])
  await heard(['main:c1'])
})

test('where nothing comes over the connection, it never begins', async () => {
  // As over a proxy that shares sessions: the beat does not arrive.
  const asked: unknown[] = []
  await listen({
    query: async (sql: string) => {
      asked.push(sql)
      return { rows: [] }
    },
  } as unknown as Pick<pg.Pool, 'query'>)
  await vi.waitFor(() => expect(asked).toHaveLength(1))
  await tellChanged(postgres.pool, ['main:c1'])
  await heard(['main:c1'])
  expect(said).not.toContain('begun')
})

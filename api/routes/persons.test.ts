import type pg from 'pg'
import { afterAll, beforeAll, expect, test, vi } from 'vitest'
import { conversationId } from '../../domain/ids.ts'
import { startTestPostgres, type TestPostgres } from '../../sinks/postgres/testing/postgres.ts'
import { TestLog } from '../../sinks/testing/log.ts'
import { LogError } from '../../topics/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { type Answer, get, send, testOptions, tokenFor } from '../testing/client.ts'
import { fill } from '../testing/fixture.ts'

const NOK = { channel: 'whatsapp', user: '66800000000' }
const OWN = conversationId('key-of-the-tenant', 'whatsapp', '1055', NOK.user)
let postgres: TestPostgres
let pool: pg.Pool
let log: TestLog
let api: ApiServer

beforeAll(async () => {
  postgres = await startTestPostgres({ statementTimeoutMs: 5_000 })
  pool = postgres.pool
  log = await TestLog.open()
  await fill(log, pool)
  const options = testOptions(log, pool)
  api = await startApi({
    ...options,
    channels: [{ name: 'whatsapp', account: '1055', webhook: null }],
    actors: [
      { name: 'conversation', inbox: 'conversation.inbox', changelog: 'conversation.profiles', group: 'bma.processors' },
      { name: 'whatsapp', inbox: 'whatsapp.inbox', changelog: 'conversation.profiles', group: 'bma.connectors' },
    ],
  })
})
afterAll(async () => {
  await api.close()
  await postgres.close()
})

const erase = (body: object, token?: string) =>
  send('POST', `${api.url}/api/v1/persons/erase`, {
    body: { reason: 'asked for it', ...body },
    ...(token === undefined ? {} : { token }),
  })
const orders = () => log.content('conversation.inbox').filter(r => r.type === 'ErasePerson')
const receiptOf = async (answer: Answer) => (await get(`${api.url}${answer.headers.get('location')}`)).body

test('the order goes to each conversation of the person alone, and to the one that Postgres may not have yet', async () => {
  await pool.query(`INSERT INTO conversations (id, channel, account, user_id, state, owner, trust, senders, requests, commands, opened_at,
    updated_at, last_inbound_at, version) VALUES ('main:group', 'whatsapp', '1', '66899990000', 'IDENTIFIED', 'bot', 'claimed',
    '[{"id":"66800000000"},{"id":"66899990000"}]', '[]', '[]', now(), now(), now(), 1)`)
  await pool.query(`INSERT INTO issues (id, conversation_id, channel, department, priority, reason, status, opened_at, updated_at, version)
    VALUES ('i1', 'main:c0', 'whatsapp', 'general', 'high', 'human', 'open', now(), now(), 1)`)
  const answer = await erase(NOK)
  expect(answer.status).toBe(202)
  expect(
    orders()
      .map(({ key }) => key)
      .sort(),
  ).toEqual([OWN, 'main:c0'].sort())
  expect(orders().find(o => o.key === 'main:c0')?.value).toMatchObject({
    id: answer.body.id,
    channel: 'whatsapp',
    issues: ['i1'],
  })
  const receipt = await receiptOf(answer)
  expect(receipt).toMatchObject({ shared: ['main:group'], verifiedAt: null, reason: 'asked for it' })
  expect(receipt.conversations.sort()).toEqual([OWN, 'main:c0'].sort())
  const messages = receipt.stores.find((s: { store: string }) => s.store === 'postgres: messages')
  expect(messages).toMatchObject({ found: 2, detail: '2 of 2 conversations have not been erased yet' })
  expect(messages.left).toBeGreaterThan(0)
  expect(receipt.stores.find((s: { store: string }) => s.store === 'state: conversation')).toMatchObject({ left: 2 })

  // Neither the receipt nor the audit trail identifies the person.
  const kept = await pool.query('SELECT t::text AS row FROM person_erasures t')
  const audited = await vi.waitFor(() => {
    const found = log.content('audit.log').map(r => r.value as { action: string; object: string; after: string; status: number })
    const mine = found.filter(e => e.action === 'persons.erase')
    expect(mine.map(e => e.status)).toContain(202)
    return mine
  })
  expect(audited.at(-1)?.after).toBe(`erasure ${answer.body.id}: 2 conversations`)
  expect(audited.at(-1)?.object).toMatch(/^whatsapp:[0-9a-f]{20}$/)
  for (const text of [
    JSON.stringify(kept.rows),
    JSON.stringify(audited),
    JSON.stringify(orders().map(o => o.value)),
    answer.text,
  ])
    expect(text).not.toContain(NOK.user)
})

test('requires an admin with an installation-wide scope, as does its receipt', async () => {
  const answer = await erase(NOK)
  const before = orders().length
  for (const who of [{ role: 'agent' }, { role: 'admin', venues: ['main:v1'] }, { role: 'admin', tenant: 'other' }] as const) {
    const token = await tokenFor(who)
    expect((await erase(NOK, token)).status).toBe(403)
    expect((await send('GET', `${api.url}${answer.headers.get('location')}`, { token })).status).toBe(403)
  }
  expect(orders()).toHaveLength(before)
  expect((await get(`${api.url}/api/v1/persons/erasures/unknown`)).status).toBe(404)
})

test.each(['it is +66 80-000-0000', 'of 66800000000'])('a reason that contains the id is refused: %s', async reason => {
  const before = orders().length
  expect((await erase({ ...NOK, reason })).status).toBe(400)
  expect(orders()).toHaveLength(before)
})

test('while the log is unavailable nothing is reported as done', async () => {
  const before = await pool.query('SELECT id FROM person_erasures')
  log.failing = new LogError('unavailable', 'disk full')
  try {
    expect((await erase(NOK)).status).toBe(503)
  } finally {
    log.failing = null
  }
  expect((await pool.query('SELECT id FROM person_erasures')).rows).toEqual(before.rows)
})

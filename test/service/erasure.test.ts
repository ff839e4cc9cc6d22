/** A person writes, is erased, and is nowhere; then they write again. On the local log. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { LmdbStores } from '../../engine/lmdb.ts'
import { ADMIN_TOKEN, type Service, STRANGER, startService, until } from './harness.ts'

const GUEST = { from: '66877001122', name: 'Arthit' }
const WORDS = 'my cousin Kanya says the lobby sounds hollow'

let service: Service
beforeAll(async () => {
  service = await startService()
}, 60_000)
afterAll(() => service.close())

async function post(path: string, body: object): Promise<{ status: number; body: { id: string } }> {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json' }
  const response = await fetch(service.url + path, { method: 'POST', headers, body: JSON.stringify(body) })
  return { status: response.status, body: (await response.json()) as { id: string } }
}

/** Every row of the serving store, as text. */
async function tables(): Promise<string> {
  const names = await service.query("SELECT tablename AS name FROM pg_tables WHERE schemaname = 'public'")
  const all = await Promise.all(
    names.map(({ name }) =>
      service.query(
        `SELECT coalesce(string_agg(t::text || encode(convert_to(t::text, 'UTF8'), 'escape'), ''), '') AS all FROM ${name} t`,
      ),
    ),
  )
  return all.map(rows => rows[0].all).join('\n')
}

/** Every row that analysts could ask for. */
async function analytics(): Promise<string> {
  const ask = async (sql: string) => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}` }
    const response = await fetch(`${service.url}/clickhouse/`, { method: 'POST', headers, body: sql })
    expect(response.status).toBe(200)
    return response.text()
  }
  const names = (
    await ask("SELECT name FROM system.tables WHERE database = currentDatabase() AND engine NOT LIKE '%View'")
  ).split('\n')
  const rows: string[] = []
  for (const name of names.filter(name => name !== '')) rows.push(await ask(`SELECT * FROM ${name} FORMAT JSONEachRow`))
  return rows.join('\n')
}

/** A phone and words, plainly and as the bytes of a column show them. */
const forms = (text: string) => [text, Buffer.from(text).toString('hex')]
const personal = [GUEST.from, GUEST.name, 'Kanya'].flatMap(forms)
const shownIn = (text: string) => personal.filter(form => text.includes(form))
// biome-ignore lint/suspicious/noExplicitAny: a receipt as it comes
const leftOf = (receipt: any) => receipt.stores.filter((s: { left: number | null }) => s.left !== null && s.left > 0)

it('is nowhere once the receipt says so, and a stranger after that', { timeout: 120_000 }, async () => {
  await service.say(STRANGER, 'hello')
  await service.say(GUEST, 'Blue Lagoon Pattaya')
  await service.say(GUEST, 'yes')
  await service.say(GUEST, WORDS)
  await service.say(GUEST, 'I want to talk to a human')
  const { id } = await service.conversation(GUEST)
  const path = `/api/v1/conversations/${encodeURIComponent(id)}`
  expect((await post(`${path}/notes`, { text: `${GUEST.name} prefers calls` })).status).toBe(200)
  await until(async () => (await service.query('SELECT id FROM issues')).length > 0)
  const before = await tables()
  expect(shownIn(before)).toEqual(personal)

  const person = { channel: 'whatsapp', user: GUEST.from }
  expect((await post('/api/v1/persons/erase', { ...person, reason: `asked by +${GUEST.from}` })).status).toBe(400)
  const ordered = await post('/api/v1/persons/erase', { ...person, reason: 'asked for it by letter' })
  expect(ordered.status).toBe(202)
  const receiptOf = async () => (await service.get(`/api/v1/persons/erasures/${ordered.body.id}`)).body
  let last: unknown = null
  const receipt = await until(
    async () => {
      last = await receiptOf()
      return (last as { verifiedAt: string | null }).verifiedAt === null ? null : (last as Awaited<ReturnType<typeof receiptOf>>)
    },
    30_000,
    () => `a receipt without anything left; there is ${JSON.stringify(leftOf(last))}\n${service.output}`,
  )
  expect(receipt).toMatchObject({ conversations: [id], shared: [], reason: 'asked for it by letter' })
  expect(leftOf(receipt)).toEqual([])
  const storeOf = (name: string) => receipt.stores.find((s: { store: string }) => s.store === name)
  expect(storeOf('postgres: messages').found).toBeGreaterThan(6)
  expect(storeOf('postgres: issues').found).toBe(1)
  expect(storeOf('state: conversation').left).toBe(0)
  expect(storeOf('state: whatsapp').left).toBe(0)
  const days = (Date.parse(storeOf('conversation.inbox').agesOut) - Date.parse(receipt.at)) / (24 * 60 * 60_000)
  expect(days).toBe(30)

  const listed = await service.get(`/api/v1/conversations?channel=whatsapp&user=${GUEST.from}`)
  expect(listed.body.items).toEqual([])
  expect((await service.get(path)).status).toBe(404)
  const text = await tables()
  expect(shownIn(text)).toEqual([])
  expect(await service.query('SELECT id FROM issues')).toEqual([])
  expect(text.includes(STRANGER.from)).toBe(true)
  const asked = await until(async () => {
    const rows = await analytics()
    return rows.includes('erased') ? rows : null
  })
  expect(shownIn(asked)).toEqual([])

  expect(await service.terminate()).toBe(0)
  const stores = LmdbStores.open(join(service.folder, 'data', 'state'))
  const kept = ['conversation', 'whatsapp'].flatMap(actor =>
    stores
      .list()
      .filter(s => s.actor === actor)
      .map(s => stores.store(actor, s.partition).get(id)?.toString('latin1') ?? ''),
  )
  await stores.close()
  expect(kept.length).toBeGreaterThan(1)
  expect(shownIn(kept.join('\n'))).toEqual([])
  await service.start()

  const [again] = await service.say(GUEST, 'hello')
  expect(again?.text).toMatch(/venue/i)
  const anew = await service.conversation(GUEST)
  expect(anew).toMatchObject({ id, venue: null, contact: { name: null }, requests: [] })
  expect(anew.messages.map((m: { text: string }) => m.text)).not.toContain(WORDS)
  const later = await receiptOf()
  expect(later.verifiedAt).toBe(receipt.verifiedAt)
  expect(leftOf(later)).toEqual([])
})

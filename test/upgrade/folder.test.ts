/**
 * A data folder that an earlier version has left by a power cut opens and goes on: `former/` has its log and its stores, as they were
 * when the delivery's state was still called WhatsappState and tenants had no settings. All of it is of 2024, and what is asserted
 * holds however old it is.
 */
import { copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { brotliDecompressSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { ADMIN_TOKEN, CONTACT, type Service, sheetOf, startService, until } from '../service/harness.ts'

const former = join(import.meta.dirname, 'former')
/** Registered as Operations Manager of venue 1. */
const MANAGER = { from: '66811110001', name: 'John' }
/** Had asked for a person of support. */
const WAITING = { from: '66811110003', name: 'Kit' }
const ERASED = { from: '66877001122', name: 'Arthit' }

function unpack(dataDir: string, stores: boolean): void {
  const lmdb = join(dataDir, 'state', 'lmdb')
  mkdirSync(lmdb, { recursive: true, mode: 0o700 })
  const unpacked = (name: string) => brotliDecompressSync(readFileSync(join(former, `${name}.br`)))
  writeFileSync(join(dataDir, 'log.sqlite'), unpacked('log.sqlite'), { mode: 0o600 })
  writeFileSync(join(dataDir, 'installation'), 'live\n', { mode: 0o600 })
  if (!stores) return
  writeFileSync(join(lmdb, 'data.mdb'), unpacked('data.mdb'), { mode: 0o600 })
  for (const name of ['stores.json', 'left', 'left.mark']) copyFileSync(join(former, name), join(dataDir, 'state', name))
}

describe.each([
  { stores: 'there', kept: true },
  { stores: 'gone', kept: false },
])('a data folder of an earlier version, its stores $stores', ({ kept }) => {
  let service: Service
  beforeAll(async () => {
    service = await startService({ env: { BMA_TEST_LOG: '' }, prepare: dataDir => unpack(dataDir, kept) })
    await service.zonesKnown()
  }, 90_000)
  afterAll(() => service.close())

  const items = async (path: string) => (await service.get(path)).body.items
  const send = async (method: string, path: string, body?: object) => {
    const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, prefer: 'wait=10' }
    const sent = body && { headers: { ...headers, 'content-type': 'application/json' }, body: JSON.stringify(body) }
    const response = await fetch(service.url + path, { method, headers, ...sent })
    return (await response.json()) as { outcome: string }
  }

  it('runs every task, has nothing in quarantine, and an unbroken audit trail', { timeout: 30_000 }, async () => {
    const tasks = await items('/api/v1/tasks?limit=200')
    expect(tasks.length).toBeGreaterThan(20)
    expect(tasks.filter((t: { state: string; stopped: unknown }) => t.state !== 'RUNNING' || t.stopped !== null)).toEqual([])
    expect(await items('/api/v1/quarantine')).toEqual([])
    const verified = await until(async () => {
      const { body } = await service.get('/api/v1/audit/verify')
      return body.events > 10 ? body : null
    })
    expect(verified).toMatchObject({ intact: true, from: 0 })
  })

  it('knows the venues, the people, what was forced, and what was erased', { timeout: 30_000 }, async () => {
    const venue = async (id: string) => (await service.get(`/api/v1/venues/${id}`)).body
    expect(await venue('main:1')).toMatchObject({ name: 'Blue Lagoon Pattaya', location: 'Beach Road' })
    expect(await venue('main:2')).toMatchObject({ location: 'Kata Beach' })
    expect(await service.conversation(MANAGER)).toMatchObject({
      venue: 'main:1',
      contact: { name: 'John Smith', position: 'Operations Manager' },
    })
    expect(await items(`/api/v1/conversations?channel=whatsapp&user=${ERASED.from}`)).toEqual([])
    expect((await items('/api/v1/sync-runs')).map((run: { errors: number }) => run.errors)).toContain(1)
    await until(async () => (await service.get('/api/v1/tenants/main/settings')).body.version === 1)
  })

  it('goes on: a pause that ends, a control, a message to people, a hand-over that ends, an override taken back', {
    timeout: 90_000,
  }, async () => {
    writeFileSync(service.sheet, sheetOf(service.world))
    // The pool was paused for 20 minutes, and they are over.
    await until(() => service.soundtrack.calls.some(call => call.operation === 'play'), 30_000)
    const lobby = () => [...service.soundtrack.zones.values()].find(zone => zone.name === 'Lobby')
    await service.say(CONTACT, 'Set the volume in the lobby to 6', { ms: 30_000 })
    await until(() => lobby()?.volume === 6, 30_000)
    const { messages } = await until(async () => {
      const seen = await service.conversation(CONTACT)
      return seen.requests.some((r: { value: number; outcome: string }) => r.value === 6 && r.outcome === 'confirmed')
        ? seen
        : null
    }, 30_000)
    expect(messages.length).toBeGreaterThan(1)

    // Whoever waits too long for a person of support is with the bot again.
    const { id } = await service.conversation(WAITING)
    const path = `/api/v1/conversations/${encodeURIComponent(id)}`
    expect(await send('POST', `${path}/take-over`)).toMatchObject({ outcome: 'handled' })
    expect((await service.conversation(WAITING)).owner).toBe('agent')
    expect(await send('POST', `${path}/resolve`, {})).toMatchObject({ outcome: 'handled' })
    expect((await service.conversation(WAITING)).owner).toBe('bot')
    expect(await send('DELETE', '/api/v1/venues/main:2/overrides/location')).toMatchObject({ outcome: 'handled' })
    await until(async () => (await service.get('/api/v1/venues/main:2')).body.location === 'Patong')
    expect(await items('/api/v1/quarantine')).toEqual([])
  })
})

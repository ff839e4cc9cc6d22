import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedPostgres, startEmbeddedPostgres } from '../../sinks/postgres/embedded.ts'
import { migrate } from '../../sinks/postgres/migrate.ts'
import { openPool } from '../../sinks/postgres/pool.ts'
import { TestLog } from '../../sinks/test-log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { type Answer, get, testOptions } from '../test-client.ts'
import { fill } from './fixture.ts'

const quiet = { info: () => {}, warn: () => {} }
let dataDir: string
let server: EmbeddedPostgres
let pool: pg.Pool
let api: ApiServer

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'routes-'))
  server = await startEmbeddedPostgres({ dataDir, log: quiet })
  pool = openPool({ url: server.url, log: quiet, statementTimeoutMs: 5_000 })
  await migrate(pool)
  const log = await TestLog.open()
  await fill(log, pool)
  api = await startApi(testOptions(log, pool))
})

afterAll(async () => {
  await api.close()
  await pool.end()
  await server.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

const read = (path: string, headers?: Record<string, string>) => get(api.url + path, headers)

test('venues come by name, with their zones counted and without those removed', async () => {
  const { status, body } = await read('/api/v1/venues')
  expect(status).toBe(200)
  expect(body.next).toBeNull()
  expect(body.items.map((item: { name: string }) => item.name)).toEqual([
    'blue heron',
    'Blue Lagoon',
    'Lotus Bay',
    'Siam Terrace',
    'Étoile',
  ])
  expect(body.items[1]).toEqual({
    id: 'main:v1',
    name: 'Blue Lagoon',
    location: 'Phuket',
    region: 'phuket',
    soundtrackAccount: null,
    subscriptionStatus: null,
    priorityLevel: null,
    slaTier: null,
    zoneCounts: { online: 1, offline: 0, unknown: 1 },
    updatedAt: '2026-05-01T09:00:00.000Z',
  })
})

test('q finds venues by a part of the name, in any case, and takes no patterns', async () => {
  const names = async (q: string) =>
    (await read(`/api/v1/venues?q=${encodeURIComponent(q)}`)).body.items.map((v: { name: string }) => v.name)
  expect(await names('BLUE')).toEqual(['blue heron', 'Blue Lagoon'])
  expect(await names('étoi')).toEqual(['Étoile'])
  expect(await names('%')).toEqual([])
})

test.each(['/api/v1/venues', '/api/v1/conversations', '/api/v1/alerts', '/api/v1/sync-runs'])(
  'the pages of %s, one by one, are the whole list',
  async path => {
    const whole = (await read(path)).body.items
    expect(whole.length).toBeGreaterThan(2)
    const paged: unknown[] = []
    let cursor: string | null = null
    do {
      const page: Answer = await read(`${path}?limit=1${cursor === null ? '' : `&cursor=${cursor}`}`)
      expect(page.body.items).toHaveLength(1)
      paged.push(...page.body.items)
      cursor = page.body.next
    } while (cursor !== null)
    expect(paged).toEqual(whole)
  },
)

test.each(['0', '201', '-1', 'ten', '1.5', ''])('a limit of "%s" is refused', async limit => {
  const { status, headers, body } = await read(`/api/v1/alerts?limit=${limit}`)
  expect(status).toBe(400)
  expect(headers.get('content-type')).toContain('application/problem+json')
  expect(body).toMatchObject({
    status: 400,
    code: 'invalid_request',
    title: 'Bad Request',
    detail: expect.stringContaining('limit'),
  })
  expect(body.type).toEqual(expect.any(String))
})

test('a cursor that is made up, or of another list, is refused', async () => {
  const { next } = (await read('/api/v1/venues?limit=1')).body
  const made = (parts: unknown) => Buffer.from(JSON.stringify(parts)).toString('base64url')
  for (const cursor of [
    'nonsense',
    next,
    made(['alerts', 'yesterday', 'a1']),
    made(['alerts']),
    made({ a: 1 }),
    made(['alerts', 1, 2]),
  ]) {
    expect(await read(`/api/v1/alerts?cursor=${cursor}`)).toMatchObject({ status: 400, body: { code: 'invalid_cursor' } })
  }
  expect((await read(`/api/v1/alerts?cursor=${made(['alerts', '2026-99-99T00:00:00.000Z', 'a1'])}`)).status).toBe(400)
  expect((await read('/api/v1/venues?q=%00')).status).toBe(400)
})

test('a venue is found by its id as the list gives it, encoded or not, with the source of its fields', async () => {
  for (const path of ['/api/v1/venues/main:v1', '/api/v1/venues/main%3Av1']) {
    const { status, body } = await read(path)
    expect(status).toBe(200)
    expect(body).toMatchObject({
      id: 'main:v1',
      name: 'Blue Lagoon',
      location: 'Phuket',
      contact: { name: 'Nok', phone: '66800000001', email: null, position: null },
      volumeCap: 16,
      removed: false,
      provenance: { name: { source: 'sheets', at: '2026-05-01T09:00:00.000Z' } },
    })
    expect(body.zones).toEqual([
      expect.objectContaining({
        id: 'z1',
        name: 'Lobby',
        status: 'online',
        playing: true,
        volume: 7,
        track: 'Tide',
        asOf: '2026-05-01T09:00:00.000Z',
        since: '2026-05-01T08:59:59.995Z',
      }),
      expect.objectContaining({ id: 'z2', name: 'Pool', status: 'unknown', playing: null, volume: null, asOf: null }),
    ])
  }
})

test('a venue that has not changed since is 304', async () => {
  const { headers } = await read('/api/v1/venues/main:v1')
  const etag = headers.get('etag') as string
  expect(etag).toMatch(/^"[\w-]+"$/)
  for (const known of [etag, `W/${etag}`, `"other", ${etag}`, '*']) {
    const again = await read('/api/v1/venues/main:v1', { 'if-none-match': known })
    expect(again).toMatchObject({ status: 304, text: '' })
    expect(again.headers.get('etag')).toBe(etag)
  }
  await pool.query("UPDATE zones SET volume = 3 WHERE venue_id = 'main:v1' AND id = 'z1'")
  const changed = await read('/api/v1/venues/main:v1', { 'if-none-match': etag })
  expect(changed.status).toBe(200)
  expect(changed.body.zones[0].volume).toBe(3)
  await pool.query("UPDATE zones SET volume = 7 WHERE venue_id = 'main:v1' AND id = 'z1'")
})

test('conversations are found by channel and user', async () => {
  const ids = async (query: string) => (await read(`/api/v1/conversations?${query}`)).body.items.map((c: { id: string }) => c.id)
  expect(await ids('')).toEqual(['main:c2', 'main:c1', 'main:c0'])
  expect(await ids('channel=whatsapp')).toEqual(['main:c1', 'main:c0'])
  expect(await ids('channel=whatsapp&user=66800000000')).toEqual(['main:c0'])
  expect(await ids('channel=line&user=66800000000')).toEqual([])
})

test('a conversation has its people, its venue, its messages and what was asked', async () => {
  const { status, body } = await read('/api/v1/conversations/main:c0')
  expect(status).toBe(200)
  expect(body).toEqual({
    id: 'main:c0',
    channel: 'whatsapp',
    user: '66800000000',
    state: 'ready',
    owner: 'waiting',
    assignee: null,
    trust: 'hinted',
    senders: [{ id: '66800000000', name: 'Nok', trust: 'hinted' }],
    language: 'th',
    venue: 'main:v1',
    venueName: 'Blue Lagoon',
    contact: { name: 'Nok', position: 'Manager' },
    issue: null,
    openedAt: '2026-05-01T09:00:00.000Z',
    updatedAt: '2026-05-01T09:00:00.000Z',
    lastInboundAt: '2026-05-01T09:00:00.000Z',
    notes: [],
    messages: [
      {
        id: 'wamid.1',
        direction: 'in',
        kind: 'text',
        text: 'เบาเพลงหน่อย',
        at: '2026-05-01T09:00:00.000Z',
        status: 'delivered',
        reason: '',
      },
      {
        id: 'out-1',
        direction: 'out',
        kind: 'text',
        text: 'Lobby is at 6 now.',
        at: '2026-05-01T09:00:00.900Z',
        status: 'read',
        reason: '',
      },
    ],
    requests: [
      {
        id: 'r1',
        kind: 'volume_down',
        zone: 'z1',
        zoneName: 'Lobby',
        value: 6,
        outcome: 'confirmed',
        reason: '',
        at: '2026-05-01T09:00:00.000Z',
        endedAt: '2026-05-01T09:00:00.009Z',
      },
    ],
  })
})

test('alerts and runs of synchronisations can be read', async () => {
  expect((await read('/api/v1/alerts')).body.items[0]).toEqual({
    id: 'a2',
    venue: 'main:v1',
    conversation: null,
    department: 'operations',
    priority: 'critical',
    kind: 'zone_offline',
    text: 'Lobby is offline',
    resolved: false,
    at: '2026-05-01T09:00:00.000Z',
  })
  expect((await read('/api/v1/sync-runs')).body.items[0]).toEqual({
    id: 's2',
    source: 'sheets:venues',
    startedAt: '2026-05-01T09:00:00.002Z',
    endedAt: '2026-05-01T09:00:00.042Z',
    outcome: 'ok',
    venues: 5,
    changed: 0,
    errors: 0,
    durationMs: 40.5,
    reason: '',
    refusals: [{ line: 3, reason: 'no name' }],
  })
})

test.each(['/api/v1/venues/main:nowhere', '/api/v1/conversations/main:nobody', '/api/v1/nothing', '/nothing'])(
  '%s is not found',
  async path => {
    expect(await read(path)).toMatchObject({ status: 404, body: { code: 'not_found', status: 404, title: 'Not Found' } })
  },
)

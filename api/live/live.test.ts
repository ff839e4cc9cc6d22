import pino from 'pino'
import { describe, afterEach, beforeEach, expect, test } from 'vitest'
import { TestLog } from '../../sinks/testing/log.ts'
import { type ApiServer, startApi } from '../server.ts'
import { TOKEN, testOptions, tokenFor } from '../testing/client.ts'

const AT = Date.UTC(2026, 4, 1)
let log: TestLog
let api: ApiServer
const regions: Record<string, string[]> = { phuket: ['main:v1'] }
/** Answers only the query for the venues of a region. */
const pool = {
  query: async (_sql: string, values: unknown[] = []) => {
    const wanted = (values as string[][]).flat().find(value => typeof value === 'string' && value in regions)
    return { rows: wanted === undefined ? [] : (regions[wanted] ?? []).map(id => ({ id })), rowCount: 0 }
  },
}

beforeEach(async () => {
  log = await TestLog.open()
  api = await startApi({ ...testOptions(log, pool as never), logger: pino({ level: 'silent' }) })
})
afterEach(() => api.close())

interface Event {
  readonly event: string
  readonly id: string | null
  // biome-ignore lint/suspicious/noExplicitAny: data of every form
  readonly data: any
}

/** A client that reads events until it is closed. */
async function listen({ token = TOKEN, last }: { token?: string; last?: string | null } = {}) {
  const abort = new AbortController()
  const headers = { authorization: `Bearer ${token}`, ...(last ? { 'last-event-id': last } : {}) }
  const response = await fetch(`${api.url}/api/v1/live`, { headers, signal: abort.signal })
  const events: Event[] = []
  const reading = (async () => {
    let text = ''
    for await (const chunk of response.body?.pipeThrough(new TextDecoderStream()) ?? []) {
      text += chunk
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        const lines = text.slice(0, end).split('\n')
        text = text.slice(end + 2)
        const field = (name: string) => lines.find(line => line.startsWith(`${name}: `))?.slice(name.length + 2) ?? null
        if (field('event') !== null)
          events.push({ event: field('event') as string, id: field('id'), data: JSON.parse(field('data') ?? '{}') })
      }
    }
  })().catch(() => {})
  const waitFor = async (count: number) => {
    for (const until = Date.now() + 5_000; events.length < count; ) {
      if (Date.now() > until) throw new Error(`${events.length} of ${count} events: ${JSON.stringify(events)}`)
      await new Promise(resolve => setTimeout(resolve, 2))
    }
    return events
  }
  await waitFor(response.status === 200 ? 1 : 0)
  return {
    status: response.status,
    headers: response.headers,
    events,
    waitFor,
    last: () => events.findLast(e => e.id !== null)?.id ?? null,
    close: async () => {
      abort.abort()
      await reading
    },
  }
}

const venue = (id: string, name: string) =>
  log.put('venue.profiles', id, 'VenueProfile', { venue: id, name, contactPhone: '66811112222', notes: 'secret', updatedAt: AT })
const conversation = (id: string, of: string | null) =>
  log.put('conversation.profiles', id, 'ConversationProfile', {
    conversation: id,
    channel: 'whatsapp',
    account: '1',
    user: '66811112222',
    state: 'IDENTIFIED',
    owner: 'BOT',
    trust: 'HINTED',
    venue: of,
    contactName: 'Nok',
    openedAt: AT,
    updatedAt: AT,
    lastInboundAt: AT,
  })
const names = (events: readonly Event[]) => events.filter(e => e.event !== 'ready').map(e => e.data.name ?? e.data.id)

test('changes are sent as they come, without personal data', async () => {
  await venue('main:v1', 'before')
  const client = await listen()
  expect(client.headers.get('content-type')).toBe('text/event-stream')
  await venue('main:v1', 'Blue Lagoon')
  await conversation('main:c1', 'main:v1')
  await log.put('alerts', 'main:v1', 'Alert', {
    id: 'a1',
    venue: 'main:v1',
    department: 'OPERATIONS',
    priority: 'HIGH',
    kind: 'zone_offline',
    text: 'Lobby is offline',
    at: AT,
  })
  await client.waitFor(4)
  expect(client.events.map(e => e.event).sort()).toEqual(['alert', 'conversation', 'ready', 'venue'])
  expect(names(client.events)).not.toContain('before')
  expect(JSON.stringify(client.events)).not.toMatch(/6681|Nok|secret/)
  await client.close()
})

test('a client that reconnects with the last id misses nothing, however often the connection breaks', async () => {
  const seen: string[] = []
  let last: string | null = null
  const wanted: string[] = []
  for (let round = 0; round < 12; round++) {
    const client = await listen({ last })
    for (let n = 0; n < 5; n++) {
      const name = `${round}.${n}`
      wanted.push(name)
      await venue(`main:v${n}`, name)
      if (n === round % 5) await client.close()
    }
    await new Promise(resolve => setTimeout(resolve, 5))
    await client.close()
    last = client.last() ?? last
    seen.push(...names(client.events))
  }
  const client = await listen({ last })
  await new Promise(resolve => setTimeout(resolve, 200))
  seen.push(...names(client.events))
  await client.close()
  expect(wanted.filter(name => !seen.includes(name))).toEqual([])
})

test('events that are no longer in memory are read from the log', async () => {
  const client = await listen()
  const last = client.last()
  await client.close()
  for (let n = 0; n < 1_500; n++) await venue('main:v1', `${n}`)
  await new Promise(resolve => setTimeout(resolve, 100))
  const again = await listen({ last })
  await again.waitFor(1_501)
  expect(names(again.events)).toEqual(Array.from({ length: 1_500 }, (_, n) => `${n}`))
  await again.close()
})

test('clients receive what they may see: by venue, region, tenant and role', async () => {
  const clients = {
    staff: await listen({ token: await tokenFor({ role: 'staff', venues: ['main:v1'] }) }),
    region: await listen({ token: await tokenFor({ role: 'agent', regions: ['phuket'] }) }),
    analyst: await listen({ token: await tokenFor({ role: 'analyst' }) }),
    other: await listen({ token: await tokenFor({ role: 'admin', tenant: 'other' }) }),
    agent: await listen({ token: await tokenFor({ role: 'agent' }) }),
  }
  for (const id of ['main:v1', 'main:v2']) {
    await venue(id, id)
    await conversation(`main:c-${id.slice(5)}`, id)
  }
  await conversation('main:c-none', null)
  await clients.agent.waitFor(6)
  await new Promise(resolve => setTimeout(resolve, 50))
  const got = Object.fromEntries(Object.entries(clients).map(([who, client]) => [who, names(client.events).sort()]))
  expect(got).toEqual({
    staff: ['main:c-v1', 'main:v1'],
    region: ['main:c-v1', 'main:v1'],
    analyst: ['main:v1', 'main:v2'],
    other: [],
    agent: ['main:c-none', 'main:c-v1', 'main:c-v2', 'main:v1', 'main:v2'],
  })
  await Promise.all(Object.values(clients).map(client => client.close()))
})

describe('an id that is not valid for the client', () => {
  const zeros = Buffer.from(JSON.stringify([[0, 0, 0, 0], [0, 0, 0, 0], [0], [0]])).toString('base64url')
  const wild = Buffer.from(JSON.stringify([[1e15, -1, 'x'], null, [[]]])).toString('base64url')

  /** The events that a client with this id receives, up to the next change. */
  async function told(last: string, token: string) {
    const client = await listen({ last, token })
    expect(client.status).toBe(200)
    await client.waitFor(2)
    await venue('main:v1', 'now')
    await client.waitFor(3)
    await client.close()
    return client.events.map(({ event, data }) => data.name ?? event)
  }

  test.each(['x', '0', '.', 'null', zeros, `${zeros}.`, `${zeros}.${'A'.repeat(43)}`, wild])(
    'makes the client resync, without earlier events: %j',
    async last => {
      await venue('main:v1', 'before')
      expect(await told(last, await tokenFor({ role: 'agent', venues: ['main:v1'] }))).toEqual(['ready', 'resync', 'now'])
    },
  )

  test("because it is somebody else's, or of a wider scope than now, makes the client resync", async () => {
    const client = await listen({ token: await tokenFor({ role: 'agent', id: 'nok' }) })
    await client.waitFor(1)
    const last = client.last() as string
    await client.close()
    await conversation('main:c-moved', 'main:v1')
    await conversation('main:c-moved', 'main:v2')
    for (const person of [
      { role: 'agent', id: 'lek' },
      { role: 'agent', id: 'nok', venues: ['main:v1'] },
      { role: 'staff', id: 'nok', venues: ['main:v1'] },
    ] as const)
      expect(await told(last, await tokenFor(person))).toEqual(['ready', 'resync', 'now'])
    const again = await listen({ last, token: await tokenFor({ role: 'agent', id: 'nok' }) })
    await again.waitFor(3)
    expect(again.events.map(e => e.event)).not.toContain('resync')
    await again.close()
  })
})

test('the server closes while clients are connected', async () => {
  const client = await listen()
  const began = performance.now()
  await api.close()
  expect(performance.now() - began).toBeLessThan(3_000)
  await client.close()
  api = await startApi({ ...testOptions(log, pool as never), logger: pino({ level: 'silent' }) })
})

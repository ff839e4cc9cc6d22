import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { SendRefused, type Run } from '../../engine/actor.ts'
import type { ReadZones, ZoneCommand } from '../../schemas/types.ts'
import { type SoundtrackClient, type SoundtrackClientOptions, soundtrackClient } from './client.ts'
import { type FakeSoundtrack, type FakeSoundtrackOptions, startFakeSoundtrack, type World, world } from './fake.ts'
import { failureOf } from './failures.ts'

const bay = world([
  {
    name: 'Lotus Bay',
    locations: [
      { name: 'Lotus Bay North', zones: ['Lobby', { name: 'Pool', kind: 'offline' }, { name: 'Spa', kind: 'trial' }] },
      {
        name: 'Lotus Bay South',
        zones: [
          { name: 'Gym', kind: 'unpaired' },
          { name: 'Garden', hiddenLocation: true },
        ],
      },
    ],
  },
])
const account = bay.accounts[0]?.id as string
const zone = (name: string) =>
  bay.accounts.flatMap(a => a.locations.flatMap(l => l.zones)).find(z => z.name === name)?.id as string

let fake: FakeSoundtrack
let client: SoundtrackClient
async function start(options: Partial<SoundtrackClientOptions> = {}, server: Partial<FakeSoundtrackOptions> = {}) {
  fake = await startFakeSoundtrack({ world: bay, token: 't0k', ...server })
  client = soundtrackClient({ url: fake.url, token: 't0k', retry: { firstMs: 1 }, ...options })
}
afterEach(async () => {
  await client.close()
  await fake.close()
})

const run = (overrides: Partial<Run> = {}): Run => ({
  attempt: 'a',
  key: 'k',
  notAfter: null,
  signal: new AbortController().signal,
  beforeSend: () => {},
  ...overrides,
})
const all = (overrides: Partial<ReadZones> = {}): ReadZones => ({
  account,
  zone: null,
  first: 5,
  locations: true,
  places: false,
  full: true,
  urgent: false,
  readAt: 0,
  ...overrides,
})
const order = (kind: ZoneCommand['kind'], name = 'Lobby', volume: number | null = null): ZoneCommand => ({
  id: 'c1',
  venue: 'main:1',
  account,
  zone: zone(name),
  kind,
  volume,
  notAfter: Date.now() + 60_000,
})
const failure = (promise: Promise<unknown>) => promise.then(() => 'no failure', failureOf)

describe('what the locations of an account are called', () => {
  it('is read with their zones, and where they are', async () => {
    const reef = world([{ name: 'Reef', locations: [{ name: 'North', address: 'Lane 101', zones: ['Lobby'] }] }])
    await start({}, { world: reef })
    const { zones } = await client.readZones(all({ account: reef.accounts[0]?.id ?? '', places: true }), run())
    expect(zones).toMatchObject([{ name: 'Lobby', locationName: 'North', locationAddress: 'Lane 101' }])
  })

  it('is read without their addresses where the provider does not know those, from then on', async () => {
    await start()
    const asked: string[] = []
    const lobby = { id: 'z1', name: 'Lobby', online: true, isPaired: true, playback: null, location: { id: 'l1', name: 'North' } }
    const soundZones = { total: 1, pageInfo: { hasNextPage: false, endCursor: null }, edges: [{ node: lobby }] }
    const server = createServer(async (request, response) => {
      let body = ''
      for await (const chunk of request) body += chunk
      asked.push(body)
      const unknown = body.includes('physicalAddress')
      const errors = [{ message: "Field 'physicalAddress' does not exist on type 'Location'." }]
      response.setHeader('content-type', 'application/json')
      response.end(JSON.stringify(unknown ? { errors, data: null } : { data: { account: { soundZones } } }))
    }).listen(0, '127.0.0.1')
    await once(server, 'listening')
    const other = soundtrackClient({ url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, token: 't' })
    try {
      for (let n = 0; n < 2; n++) {
        expect((await other.readZones(all({ places: true }), run())).zones).toMatchObject([
          { name: 'Lobby', locationName: 'North' },
        ])
      }
      expect(asked.map(body => body.includes('physicalAddress'))).toEqual([true, false, false])
    } finally {
      await other.close()
      server.close()
    }
  })
})

describe('reading an account', () => {
  it('reads every zone with all that is known of it', async () => {
    await start()
    const { zones, total } = await client.readZones(all(), run())
    expect(total).toBe(5)
    expect(zones.find(z => z.name === 'Lobby')).toEqual({
      zone: zone('Lobby'),
      locationName: null,
      locationAddress: null,
      name: 'Lobby',
      location: bay.accounts[0]?.locations[0]?.id,
      paired: true,
      online: true,
      subscription: 'ACTIVE',
      statusCode: 'ALL_OK',
      playback: 'playing',
      volume: 8,
      track: 'Slow Tide',
      artist: 'Marlow Keys',
      source: 'House Blend',
      trackStartedAt: fake.zones.get(zone('Lobby'))?.startedAt,
      error: null,
      detail: true,
    })
    expect(zones.find(z => z.name === 'Pool')).toMatchObject({ online: false, playback: 'offline', track: null })
    expect(zones.find(z => z.name === 'Gym')).toMatchObject({ paired: false, volume: null })
  })

  it('takes the location that cannot be read for unknown, and keeps the rest of the page', async () => {
    await start()
    const { zones } = await client.readZones(all(), run())
    expect(zones.find(z => z.name === 'Garden')).toMatchObject({ location: null, online: true })
  })

  it('asks for one page of the expected size, and follows the cursor when there are more', async () => {
    await start()
    await client.readZones(all({ first: 5 }), run())
    expect(fake.calls).toHaveLength(1)
    const { zones } = await client.readZones(all({ first: 2 }), run())
    expect(zones.map(z => z.name).sort()).toEqual(['Garden', 'Gym', 'Lobby', 'Pool', 'Spa'])
    expect(fake.calls.slice(1).map(c => c.variables.first)).toEqual([2, 3])
  })

  it('does not take the rest for everything when a zone of the page is forbidden', async () => {
    await start()
    fake.fault({ kind: 'forbidden', zone: zone('Pool') })
    const { zones, total } = await client.readZones(all(), run())
    expect(zones.map(z => z.name)).not.toContain('Pool')
    expect(zones).toHaveLength(4)
    expect(total).toBeNull()
  })

  it('knows the cost of each of its documents as the server counts it', async () => {
    await start()
    const before = fake.tokens
    await client.readZones(all({ full: true, locations: true }), run())
    await client.readZones(all({ full: true, locations: false }), run())
    fake.tokens = client.tokens
    await client.readZone(zone('Lobby'), run())
    await client.command(order('PAUSE'), run())
    expect(fake.calls.map(c => c.cost)).toEqual([1 + 5 * 9, 1 + 5 * 8, 9, 1])
    expect(before - client.tokens).toBeLessThanOrEqual(46 + 41 + 9 + 1)
    expect(before - client.tokens).toBeGreaterThan(46 + 41 + 9 + 1 - 60)
  })

  it('reads presence and playback alone when the bucket is half empty, and all where it must', async () => {
    await start()
    fake.tokens = 1_000
    await client.readZone(zone('Lobby'), run())
    const { zones } = await client.readZones(all({ full: false, locations: false }), run())
    expect(fake.calls.at(-1)?.cost).toBe(1 + 5 * 2)
    expect(zones.find(z => z.name === 'Lobby')).toMatchObject({ detail: false, online: true, volume: 8, track: null })
    const full = await client.readZones(all({ full: true }), run())
    expect(full.zones.find(z => z.name === 'Lobby')).toMatchObject({ detail: true, track: 'Slow Tide' })
  })
})

describe('commands', () => {
  it('pause, play, skip and set the volume', async () => {
    await start()
    const live = fake.zones.get(zone('Lobby'))
    await client.command(order('PAUSE'), run())
    expect(live?.playing).toBe(false)
    await client.command(order('PLAY'), run())
    expect(live?.playing).toBe(true)
    await client.command(order('SKIP'), run())
    expect(live?.track).toBe(1)
    await client.command(order('SET_VOLUME', 'Lobby', 0), run())
    expect(live?.volume).toBe(0)
  })

  it('leave once for each try, and not at all when it is too late', async () => {
    await start()
    fake.fault({ kind: 'status', times: 1 })
    let left = 0
    await client.command(order('PAUSE'), run({ beforeSend: () => void left++ }))
    expect(left).toBe(2)
    const late = new SendRefused('EXPIRED', 'too late')
    const beforeSend = () => {
      throw late
    }
    await expect(client.command(order('PLAY'), run({ beforeSend }))).rejects.toBe(late)
    expect(fake.zones.get(zone('Lobby'))?.playing).toBe(false)
  })

  it('never repeats a skip that may have been done', async () => {
    await start()
    fake.fault({ kind: 'drop', times: 1, operation: 'skipTrack' })
    expect(await failure(client.command(order('SKIP'), run()))).toMatchObject({ reason: 'provider_down', uncertain: true })
    expect(fake.zones.get(zone('Lobby'))?.track).toBe(1)
    fake.fault({ kind: 'status', times: 1, operation: 'skipTrack' })
    expect(await failure(client.command(order('SKIP'), run()))).toMatchObject({ reason: 'provider_down', uncertain: true })
    expect(fake.calls.filter(c => c.operation === 'skipTrack')).toHaveLength(2)
  })
})

describe('failures', () => {
  it.each([
    ['a command without control rights', 'permission', () => client.command(order('PAUSE', 'Spa'), run())],
    ['a volume out of range', 'invalid', () => client.command(order('SET_VOLUME', 'Lobby', 17), run())],
    ['an account that is not ours', 'forbidden', () => client.readZones(all({ account: 'QWNjb3VudCws' }), run())],
    ['a zone that is not ours', 'forbidden', () => client.readZone('U291bmRab25lLCw', run())],
  ] as const)('%s is %s, and surely not done', async (_what, reason, act) => {
    await start()
    expect(await failure(act())).toMatchObject({ reason, uncertain: false })
    expect(client.outbound.state).toBe('closed')
  })

  it('a wrong token is unauthenticated', async () => {
    await start({ token: 'other' })
    expect(await failure(client.readZones(all(), run()))).toMatchObject({ reason: 'unauthenticated', uncertain: false })
  })

  it.each(['status', 'malformed', 'drop'] as const)('%s is a provider that is down, and opens the breaker', async kind => {
    await start()
    fake.fault({ kind })
    for (let n = 0; n < 3 && client.outbound.state === 'closed'; n++) {
      expect(await failure(client.readZone(zone('Lobby'), run()))).toMatchObject({ reason: 'provider_down', uncertain: true })
    }
    expect(client.outbound.state).toBe('open')
    expect(await failure(client.readZone(zone('Lobby'), run()))).toMatchObject({ reason: 'provider_down', uncertain: false })
    expect(fake.calls).toHaveLength(3)
  })

  it('no server at all is a provider that is down, with surely nothing done', async () => {
    await start()
    await fake.close()
    expect(await failure(client.command(order('PAUSE'), run()))).toMatchObject({ reason: 'provider_down', uncertain: false })
  })

  it('an answer that does not come is a provider that is slow', async () => {
    await start({ timeoutMs: 30 })
    fake.fault({ kind: 'latency', ms: 60_000 })
    expect(await failure(client.command(order('SET_VOLUME', 'Lobby', 2), run()))).toMatchObject({
      reason: 'provider_slow',
      uncertain: true,
    })
    expect(fake.zones.get(zone('Lobby'))?.volume).toBe(2)
  })
})

describe('rate limit', () => {
  it.each(['rate_limited', 'rate_limited_200'] as const)('%s once is tried again', async kind => {
    await start()
    fake.fault({ kind, times: 1 })
    await client.command(order('SKIP'), run())
    expect(fake.zones.get(zone('Lobby'))?.track).toBe(1)
    expect(client.outbound.state).toBe('closed')
  })

  it.each(['rate_limited', 'rate_limited_200'] as const)('%s for good is told as such', async kind => {
    await start()
    fake.fault({ kind })
    expect(await failure(client.command(order('SKIP'), run()))).toMatchObject({ reason: 'rate_limited', uncertain: false })
    expect(client.outbound.state).toBe('closed')
  })

  it.each([429, 200] as const)('waits until the bucket has refilled when it is answered by %i', async limitedBy => {
    await start({ tokensPerSecond: 100 }, { limitedBy, refillPerSecond: 100 })
    fake.tokens = 4
    await expect(client.readZone(zone('Lobby'), run())).resolves.toMatchObject({ name: 'Lobby' })
    const [first, second] = fake.calls
    expect(fake.calls).toHaveLength(2)
    // 9 tokens cost, 4 there, 100 more each second.
    expect((second?.at ?? 0) - (first?.at ?? 0)).toBeGreaterThanOrEqual(45)
  })

  it('does not ask at all for what would have to wait too long', async () => {
    await start({ tokensPerSecond: 5, patienceMs: 1_000 })
    fake.tokens = 10
    await client.readZone(zone('Lobby'), run())
    const error = await client.readZones(all(), run()).catch(e => e)
    expect(failureOf(error)).toMatchObject({ reason: 'rate_limited', uncertain: false })
    expect(error.retryAfterMs).toBeGreaterThan(6_000)
    expect(fake.calls).toHaveLength(1)
  })

  it('sweeps many accounts at 5 tokens a second without ever being limited by the provider', async () => {
    const many: World = world(
      Array.from({ length: 400 }, (_, n) => ({ name: `Siam Terrace ${n}`, locations: [{ name: 'A', zones: ['Bar', 'Hall'] }] })),
    )
    await start({ tokensPerSecond: 5, patienceMs: 1_000 }, { world: many, refillPerSecond: 5 })
    const polls = many.accounts.map(a =>
      client
        .readZones(all({ account: a.id, first: 2, locations: false, full: false }), run())
        .then(r => r.zones[0]?.detail, failureOf),
    )
    const outcomes = await Promise.all(polls)
    const count = (wanted: unknown) => outcomes.filter(o => o === wanted).length
    expect(count(true)).toBeGreaterThan(90)
    expect(count(true) + count(false)).toBe(400)
    expect(fake.calls).toHaveLength(400)
  })
})

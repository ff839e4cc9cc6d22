import { afterEach, describe, expect, it } from 'vitest'
import { NotDone, NotLeaving, type Run } from '../../engine/actor.ts'
import { type Kit, type KitEmit, testkit } from '../../engine/testkit.ts'
import type { ReadZones, ZoneCommand, ZoneReadingInput, ZonesReadInput } from '../../schemas/types.ts'
import { zoneKey } from '../../topics/catalog.ts'
import { soundtrackActor } from './actor.ts'
import { type SoundtrackClient, soundtrackClient } from './client.ts'
import { type FakeSoundtrack, startFakeSoundtrack, world } from './fake.ts'
import { soundtrackPorts } from './ports.ts'
import { SOUNDTRACK_SETTINGS } from './settings.ts'

const terrace = world([{ name: 'Siam Terrace', locations: [{ name: 'House', zones: ['Bar', { name: 'Spa', kind: 'trial' }] }] }])
const account = terrace.accounts[0]?.id as string
const [bar = '', spa = ''] = terrace.accounts.flatMap(a => a.locations.flatMap(l => l.zones.map(z => z.id)))

let fake: FakeSoundtrack
let client: SoundtrackClient
let ports: ReturnType<typeof soundtrackPorts>
async function start(options: { timeoutMs?: number; failures?: number } = {}) {
  const { timeoutMs = 2_000, failures = 3 } = options
  fake = await startFakeSoundtrack({ world: terrace, token: 't0k' })
  client = soundtrackClient({ url: fake.url, token: 't0k', timeoutMs, retry: { firstMs: 1 }, breaker: { failures } })
  ports = soundtrackPorts(client)
}
afterEach(async () => {
  await client.close()
  await fake.close()
})

const run: Run = { attempt: 'a', key: 'k', notAfter: null, signal: new AbortController().signal, leave: () => {} }
const all: ReadZones = { account, zone: null, first: 2, locations: false, places: false, full: true }
const order = (kind: ZoneCommand['kind'], zone = bar, volume: number | null = null): ZoneCommand => {
  return { id: 'c1', venue: 'main:1', account, zone, kind, volume, notAfter: Date.now() + 60_000 }
}

/** Runs what an actor has started, with the ports, until nothing is under way. Returns what it emitted. */
async function settle(kit: Kit<'SoundtrackState'>): Promise<KitEmit[]> {
  const emitted: KitEmit[] = []
  for (let next = kit.started[0]; next !== undefined; next = kit.started[0]) {
    const { attempt, effect, input } = next
    const port = ports[effect as keyof typeof ports] as (input: unknown, run: Run) => Promise<object>
    try {
      emitted.push(...kit.complete(attempt, await port(input, run)).emits)
    } catch (error) {
      emitted.push(...kit.end(attempt, error instanceof NotDone ? 'NOT_DONE' : 'UNKNOWN', String(error)).emits)
    }
  }
  return emitted
}

describe('through ports', () => {
  const kitOf = (key: string) => testkit(soundtrackActor(SOUNDTRACK_SETTINGS), { key, now: Date.now() })
  const command = (kit: Kit<'SoundtrackState'>, ...given: Parameters<typeof order>) => {
    kit.handle('ZoneCommand', order(...given))
    return settle(kit)
  }

  it('an account is polled, and its venue sees every zone', async () => {
    await start()
    const kit = kitOf(account)
    kit.handle('WatchVenue', { venue: 'main:1', account })
    kit.fire('poll')
    const emitted = await settle(kit)
    expect(emitted.find(e => e.type === 'ZoneSnapshot')).toMatchObject({
      key: 'main:1',
      record: { complete: true, error: null, zones: [{ name: 'Bar', playback: 'playing', track: 'Slow Tide' }, { name: 'Spa' }] },
    })
    expect(emitted.find(e => e.type === 'SyncRun')).toMatchObject({ record: { outcome: 'OK' } })
  })

  it('a command is done, accepted, and seen in the zone', async () => {
    await start()
    const [result, snapshot] = await command(kitOf(zoneKey(account, bar)), 'SET_VOLUME', bar, 3)
    expect(result).toMatchObject({ type: 'ZoneResult', record: { outcome: 'ACCEPTED' } })
    expect(snapshot).toMatchObject({ type: 'ZoneSnapshot', record: { zones: [{ zone: bar, volume: 3 }] } })
    expect(fake.calls.map(c => c.operation)).toEqual(['setVolume', 'soundZone'])
  })

  it('a command that the player ignores is accepted, and the zone shows that it was not done', async () => {
    await start()
    fake.fault({ kind: 'no_effect', zone: bar })
    const [result, snapshot] = await command(kitOf(zoneKey(account, bar)), 'PAUSE')
    expect(result).toMatchObject({ record: { outcome: 'ACCEPTED' } })
    expect(snapshot).toMatchObject({ record: { zones: [{ playback: 'playing' }] } })
  })

  it('a command without control rights is refused', async () => {
    await start()
    const emitted = await command(kitOf(zoneKey(account, spa)), 'PAUSE', spa)
    expect(emitted).toMatchObject([{ record: { outcome: 'REFUSED', reason: 'permission', detail: 'Not found' } }])
  })

  it('a command without an answer is unknown, is not repeated, and the zone shows that it was done', async () => {
    await start({ timeoutMs: 60 })
    fake.fault({ kind: 'latency', ms: 30_000, operation: 'skipTrack' })
    const [result, snapshot] = await command(kitOf(zoneKey(account, bar)), 'SKIP')
    expect(result).toMatchObject({ record: { outcome: 'UNKNOWN', reason: 'provider_slow' } })
    expect(snapshot).toMatchObject({ record: { zones: [{ track: 'Paper Lanterns' }] } })
    expect(fake.calls.filter(c => c.operation === 'skipTrack')).toHaveLength(1)
  })

  it('a provider that is down makes its venue hear so, not that its zones are offline', async () => {
    await start()
    fake.fault({ kind: 'status' })
    const kit = kitOf(account)
    kit.handle('WatchVenue', { venue: 'main:1', account })
    kit.fire('poll')
    const emitted = await settle(kit)
    expect(emitted.filter(e => e.type === 'ZoneSnapshot')).toMatchObject([{ record: { error: 'provider_down', zones: [] } }])
  })
})

describe('ports', () => {
  it('let a late command pass as such', async () => {
    await start()
    const late = new NotLeaving('EXPIRED', 'too late')
    const leave = () => {
      throw late
    }
    await expect(ports.control(order('PAUSE'), { ...run, leave })).rejects.toBe(late)
    await expect(ports.read(all, { ...run, leave })).rejects.toBe(late)
  })

  it('say that a command was not done when it never left, so that it is tried again while it is wanted', async () => {
    await start({ failures: 1 })
    await fake.close()
    for (const kind of ['PAUSE', 'SKIP'] as const) {
      await expect(ports.control(order(kind), run)).rejects.toBeInstanceOf(NotDone)
    }
    expect(client.outbound.state).toBe('open')
  })

  it('leave it to the worker to repeat what may be done twice, and never a skip', async () => {
    await start({ failures: 10 })
    fake.fault({ kind: 'status' })
    const error = await Promise.resolve(ports.control(order('PAUSE'), run)).catch(e => e)
    expect(error).not.toBeInstanceOf(NotDone)
    expect(error).toMatchObject({ message: expect.stringMatching(/^provider_down: /), cause: { status: 503 } })
    expect(error).not.toBeInstanceOf(NotDone)
    await expect(ports.skip(order('SKIP'), run)).resolves.toMatchObject({
      accepted: false,
      uncertain: true,
      reason: 'provider_down',
    })
    expect(fake.calls.filter(c => c.operation === 'skipTrack')).toHaveLength(1)
  })

  // Each waits for its pause, of a second and more.
  it.each(['rate_limited', 'rate_limited_200'] as const)(
    'put a command off, and tell a read, when %s',
    { timeout: 30_000 },
    async kind => {
      await start()
      fake.fault({ kind })
      await expect(ports.control(order('SKIP'), run)).rejects.toBeInstanceOf(NotDone)
      await expect(ports.read(all, run)).resolves.toMatchObject({ error: 'rate_limited' })
    },
  )

  it('tell a zone that is not ours from a provider that is down', async () => {
    await start()
    fake.fault({ kind: 'forbidden', zone: bar, times: 1 })
    await expect(ports.read({ ...all, zone: bar }, run)).resolves.toMatchObject({ zones: [{ zone: bar, error: 'Forbidden' }] })
    await fake.close()
    await expect(ports.read({ ...all, zone: bar }, run)).resolves.toMatchObject({ zone: bar, error: 'provider_down' })
  })

  it('cut a large account between locations', async () => {
    await start()
    const zones: ZoneReadingInput[] = Array.from({ length: 1_200 }, (_, n) => ({
      zone: `z${n}`,
      name: '',
      location: `l${n % 7}`,
    }))
    const large = { ...client, readZones: async () => ({ zones, total: zones.length }) }
    const parts = (await soundtrackPorts(large).read(all, run)) as ZonesReadInput[]
    expect(parts.map(p => p.zones?.length)).toEqual([344, 343, 342, 171])
    const locations = parts.map(p => new Set(p.zones?.map(z => z.location)))
    expect(locations.reduce((sum, l) => sum + l.size, 0)).toBe(7)
  })
})

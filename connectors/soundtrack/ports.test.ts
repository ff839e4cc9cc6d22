import { afterEach, describe, expect, it, vi } from 'vitest'
import { NotDone, SendRefused, type Run } from '../../engine/actor.ts'
import { type Kit, type KitEmit, testkit } from '../../engine/testing/testkit.ts'
import type { ReadZones, ZoneCommand, ZoneReadingInput, ZonesReadInput } from '../../schemas/types.ts'
import { zoneKey } from '../../topics/catalog.ts'
import { soundtrackActor } from './actor.ts'
import { type SoundtrackClient, soundtrackClient } from './client.ts'
import { type FakeSoundtrack, startFakeSoundtrack, world } from './fake.ts'
import { soundtrackPorts } from './ports.ts'
import { SOUNDTRACK_SETTINGS } from './polling.ts'

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

const run: Run = { attempt: 'a', key: 'k', notAfter: null, signal: new AbortController().signal, beforeSend: () => {} }
const all: ReadZones = {
  account,
  zone: null,
  first: 2,
  locations: false,
  places: false,
  full: true,
  urgent: false,
  readAt: 0,
}
const order = (kind: ZoneCommand['kind'], zone = bar, volume: number | null = null): ZoneCommand => {
  return { id: 'c1', venue: 'main:1', account, zone, kind, volume, notAfter: Date.now() + 60_000 }
}

/** Runs what an actor has started, with the ports, until nothing is under way. Returns what it emitted. */
async function settle(kit: Kit<'SoundtrackState'>): Promise<KitEmit[]> {
  const emitted: KitEmit[] = []
  for (let next = kit.started[0]; next !== undefined; next = kit.started[0]) {
    const { attempt, effect, input } = next
    // A poll is always open: the one that has told something is enough.
    if (effect === 'poll' && emitted.length > 0) break
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
    const emitted = await settle(kit)
    expect(emitted.filter(e => e.type === 'ZoneSnapshot')).toMatchObject([{ record: { error: 'provider_down', zones: [] } }])
  })
})

describe('ports', () => {
  it('let a late command pass as such', async () => {
    await start()
    const late = new SendRefused('EXPIRED', 'too late')
    const beforeSend = () => {
      throw late
    }
    await expect(ports.control(order('PAUSE'), { ...run, beforeSend })).rejects.toBe(late)
    await expect(ports.read(all, { ...run, beforeSend })).rejects.toBe(late)
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

describe('polls', () => {
  /** As the worker does: again after what has nothing to tell. Resolves with what is told. */
  const polled = async (signal: AbortSignal): Promise<ZonesReadInput> => {
    for (;;) {
      try {
        const told = (await ports.poll({ ...all, readAt }, { ...run, signal })) as ZonesReadInput | readonly ZonesReadInput[]
        const first = (Array.isArray(told) ? told[0] : told) as ZonesReadInput
        if (first.error === undefined) readAt = Number(first.asOf)
        return first
      } catch (error) {
        if (!(error instanceof NotDone)) throw error
      }
    }
  }
  const reads = () => fake.calls.filter(c => c.operation === 'account').length
  const setting = { ...SOUNDTRACK_SETTINGS, quietMs: 40, gapMs: 10, failedMs: 30 }
  let stop: AbortController
  /** What the actor knows of the last reading. */
  let readAt = 0
  const begin = async (given: Partial<typeof SOUNDTRACK_SETTINGS> = {}) => {
    readAt = 0
    await start({ failures: 1_000 })
    stop = new AbortController()
    ports = soundtrackPorts(client, { settings: { ...setting, ...given } })
  }
  /** The next result, told by then or not. */
  const next = () => {
    const told: ZonesReadInput[] = []
    const over = polled(stop.signal).then(
      result => void told.push(result),
      error => {
        if (!stop.signal.aborted) throw error
      },
    )
    return { told, over }
  }
  const untilReads = (n: number) => vi.waitFor(() => expect(reads()).toBeGreaterThanOrEqual(n), { timeout: 5_000 })

  it('go on without a word while nothing is new, and tell what is', async () => {
    await begin()
    await expect(polled(stop.signal)).resolves.toMatchObject({ zones: [{ name: 'Bar', volume: 8 }, { name: 'Spa' }], total: 2 })
    const { told, over } = next()
    await untilReads(6)
    expect(told).toEqual([])
    const live = fake.zones.get(bar)
    if (live) live.volume = 3
    await over
    expect(told).toMatchObject([{ zones: [{ zone: bar, volume: 3 }, { zone: spa }] }])
  })

  it('tell the same again where a zone was told of on its own, and after some time', async () => {
    await begin({ tellMs: 400 })
    await polled(stop.signal)
    await ports.read({ ...all, zone: bar }, run)
    const [reads1, { told, over }] = [reads(), next()]
    await over
    expect([told, reads()]).toMatchObject([[{ total: 2 }], reads1 + 1])
    const began = Date.now()
    await polled(stop.signal)
    expect(Date.now() - began).toBeGreaterThan(300)
  })

  it('tell a failure once, with the time of the last good reading, and that it is over', async () => {
    await begin()
    const [{ asOf }, failing] = [await polled(stop.signal), next()]
    await untilReads(3)
    fake.fault({ kind: 'status' })
    await failing.over
    expect(failing.told).toMatchObject([{ error: 'provider_down' }])
    expect(Number(failing.told[0]?.sameAsOf)).toBeGreaterThan(Number(asOf))
    const { told, over } = next()
    await untilReads(reads() + 4)
    expect(told).toEqual([])
    fake.heal()
    await over
    expect(told).toMatchObject([{ total: 2 }])
  })

  it('tell all of it again after a zone could not be read on its own', async () => {
    await begin()
    await polled(stop.signal)
    fake.fault({ kind: 'status' })
    await expect(ports.read({ ...all, zone: bar }, run)).resolves.toMatchObject({ error: 'provider_down' })
    const { told, over } = next()
    fake.heal()
    await over
    expect(told).toMatchObject([{ total: 2 }])
  })

  it('have no result where they were given up, and tell the next time', async () => {
    await begin()
    fake.fault({ kind: 'latency', ms: 60_000 })
    const givenUp = new AbortController()
    const under = ports.poll(all, { ...run, signal: givenUp.signal })
    await untilReads(1)
    givenUp.abort()
    await expect(under).rejects.toThrow()
    fake.heal()
    await expect(polled(stop.signal)).resolves.toMatchObject({ total: 2 })
  })

  it('end when what is wanted has changed, and wait no longer than they are wanted', async () => {
    await begin({ quietMs: 60_000 })
    await polled(stop.signal)
    const { told, over } = next()
    await ports.hasten({ venue: '', account, zone: null, reason: 'renew' }, run)
    await over
    expect(told).toMatchObject([{ error: 'renew' }])
    readAt = 0 // another venue is to be told
    await polled(stop.signal)
    const waiting = next()
    stop.abort()
    await waiting.over
    expect(waiting.told).toEqual([])
  })

  it('are hastened for who asks, who hears in full how it is, and at once where the provider is short', async () => {
    await begin({ quietMs: 60_000 })
    await polled(stop.signal)
    const ask = () => ports.hasten({ venue: 'main:1', account, zone: null, reason: 'talking' }, run)
    const asked = next()
    await ask()
    await asked.over
    expect(asked.told).toMatchObject([{ zones: [{ zone: bar, detail: true }, { zone: spa }] }])
    client.budget.hold(60_000)
    const calls = reads()
    const limited = next()
    await ask()
    await limited.over
    expect([limited.told, reads()]).toMatchObject([[{ error: 'rate_limited' }], calls])
  })
})

import { describe, expect, it } from 'vitest'
import { type Kit, type KitStep, testkit } from '../../engine/testkit.ts'
import type { WatchVenueInput, ZoneCommandInput, ZoneReadingInput } from '../../schemas/types.ts'
import { zoneKey } from '../../topics/catalog.ts'
import { soundtrackActor } from './actor.ts'
import { SOUNDTRACK_SETTINGS } from './settings.ts'

const NOW = 1_750_000_000_000
const SECOND = 1_000
const MINUTE = 60 * SECOND

const kitOf = (key: string, settings = {}): Kit<'SoundtrackState'> =>
  testkit(soundtrackActor({ ...SOUNDTRACK_SETTINGS, ...settings }), { key, now: NOW })
const reading = (zone: string, more: Partial<ZoneReadingInput> = {}): ZoneReadingInput => ({
  zone,
  name: zone,
  online: true,
  ...more,
})
const snapshots = (step: KitStep) => step.emits.filter(e => e.type === 'ZoneSnapshot')
const of = (step: KitStep, type: string) => step.emits.filter(e => e.type === type).map(e => e.record)

describe('an account', () => {
  const watch = (kit: Kit<'SoundtrackState'>, more: Partial<WatchVenueInput> = {}) =>
    kit.handle('WatchVenue', { venue: 'main:1', account: 'acc', ...more })
  const sooner = (kit: Kit<'SoundtrackState'>, reason: string) =>
    kit.handle('PollSooner', { venue: 'main:1', account: 'acc', reason })
  const answer = (kit: Kit<'SoundtrackState'>, zones: ZoneReadingInput[], total: number | null = zones.length) =>
    kit.complete(kit.started[0]?.attempt as string, { account: 'acc', zones, total, asOf: kit.now })
  const fail = (kit: Kit<'SoundtrackState'>, error: string) =>
    kit.complete(kit.started[0]?.attempt as string, { account: 'acc', error, asOf: kit.now })
  /** Time from the start of the newest read to the next. */
  const wait = (kit: Kit<'SoundtrackState'>) => (kit.timers[0]?.at ?? 0) - (kit.state?.readAt ?? 0)
  const watched = (settings = {}, more: Partial<WatchVenueInput> = {}) => {
    const kit = kitOf('acc', settings)
    watch(kit, more)
    kit.fire('poll')
    return kit
  }

  it('is first read within seconds of being watched, each account at its own moment', () => {
    const moments = Array.from({ length: 20 }, (_, n) => {
      const kit = kitOf(`acc${n}`)
      kit.handle('WatchVenue', { venue: 'main:1', account: `acc${n}` })
      return (kit.timers[0]?.at ?? 0) - kit.now
    })
    expect(Math.max(...moments)).toBeLessThan(5_000)
    expect(new Set(moments).size).toBeGreaterThan(15)
  })

  it('is read in pages of the size that was last seen', () => {
    const kit = kitOf('acc')
    watch(kit)
    expect(kit.fire('poll').effects[0]).toMatchObject({
      effect: 'read',
      input: { account: 'acc', first: 4, locations: false, full: false },
    })
    answer(kit, [reading('a'), reading('b'), reading('c')], 7)
    expect(kit.fire('poll').effects[0]?.input).toMatchObject({ first: 7 })
  })

  it('is first read in a page of the announced size', () => {
    const kit = kitOf('acc')
    watch(kit, { zones: 12 })
    watch(kit, { venue: 'main:2', location: 'south', zones: 3 })
    expect(kit.fire('poll').effects[0]?.input).toMatchObject({ first: 15, locations: true })
  })

  it('tells its venue every zone', () => {
    const kit = watched()
    const step = answer(kit, [reading('a', { volume: 5 }), reading('b')])
    expect(snapshots(step)).toMatchObject([
      {
        topic: 'venue.inbox',
        key: 'main:1',
        record: { account: 'acc', complete: true, error: null, zones: [{ zone: 'a', volume: 5 }, { zone: 'b' }] },
      },
    ])
  })

  it('is read again ahead of the five minutes that a status stays fresh', () => {
    const kit = watched()
    answer(kit, [reading('a')])
    expect(wait(kit)).toBeLessThanOrEqual(4.5 * MINUTE)
    expect(wait(kit)).toBeGreaterThan(4 * MINUTE)
  })

  it('is read every two minutes for a venue of high priority', () => {
    const kit = watched({}, { priority: 'High' })
    answer(kit, [reading('a')])
    expect(wait(kit)).toBe(2 * MINUTE)
  })

  it('is read at once, and in full, when somebody talks about it, and every half minute for a while', () => {
    const kit = watched()
    answer(kit, [reading('a')])
    kit.advance(MINUTE)
    expect(sooner(kit, 'talking').effects[0]?.input).toMatchObject({ full: true })
    answer(kit, [reading('a')])
    for (let n = 0; n < 5; n++) {
      expect(wait(kit)).toBe(30 * SECOND)
      kit.fire('poll')
      answer(kit, [reading('a')])
    }
    kit.fire('poll')
    answer(kit, [reading('a')])
    expect(wait(kit)).toBeGreaterThan(4 * MINUTE)
  })

  it('is not read more often than every five seconds, whoever asks', () => {
    const kit = watched()
    answer(kit, [reading('a')])
    expect(sooner(kit, 'talking').effects).toEqual([])
    expect(wait(kit)).toBe(5 * SECOND)
    kit.fire('poll')
    expect(sooner(kit, 'talking').effects).toEqual([])
    answer(kit, [reading('a')])
    expect(wait(kit)).toBe(5 * SECOND)
  })

  it('is read once more for a refresh, without keeping the attention', () => {
    const kit = watched()
    answer(kit, [reading('a')])
    kit.advance(MINUTE)
    expect(sooner(kit, 'refresh').effects).toHaveLength(1)
    answer(kit, [reading('a')])
    expect(wait(kit)).toBeGreaterThan(4 * MINUTE)
  })

  it('tells its venues that it could not be read, and why, and backs off', () => {
    const kit = watched()
    const waits: number[] = []
    for (let n = 0; n < 6; n++) {
      const step = fail(kit, 'provider_down')
      expect(snapshots(step)).toMatchObject([{ key: 'main:1', record: { error: 'provider_down', zones: [], complete: false } }])
      waits.push(wait(kit))
      kit.fire('poll')
    }
    expect(waits[0]).toBeLessThanOrEqual(30 * SECOND)
    expect(waits[1]).toBeGreaterThan(waits[0] ?? 0)
    expect(Math.max(...waits)).toBeLessThanOrEqual(4.5 * MINUTE)
    answer(kit, [reading('a')])
    expect(kit.state?.failures).toBe(0)
    expect(wait(kit)).toBeGreaterThan(4 * MINUTE)
  })

  it('backs off further when the tokens do not suffice, even while it is talked about', () => {
    const kit = watched()
    kit.handle('PollSooner', { venue: 'main:1', account: 'acc', reason: 'talking' })
    fail(kit, 'rate_limited')
    kit.fire('poll')
    for (let n = 0; n < 10; n++) {
      fail(kit, 'rate_limited')
      if (n < 4) expect(wait(kit)).toBeLessThanOrEqual(MINUTE)
      kit.fire('poll')
    }
    fail(kit, 'rate_limited')
    expect(wait(kit)).toBeGreaterThan(7 * MINUTE)
    expect(wait(kit)).toBeLessThanOrEqual(10 * MINUTE)
  })

  it('goes on when a read ended without a result', () => {
    const kit = watched()
    const step = kit.end(kit.started[0]?.attempt as string, 'UNKNOWN', 'the worker that started it is gone')
    expect(snapshots(step)).toMatchObject([{ record: { error: 'provider_slow' } }])
    expect(kit.fire('poll').effects).toHaveLength(1)
  })

  it('splits an account with many venues by location, over the parts of a read', () => {
    const kit = kitOf('acc')
    watch(kit, { location: 'north' })
    watch(kit, { venue: 'main:2', location: 'south' })
    kit.fire('poll')
    const part = (zones: ZoneReadingInput[]) => ({ account: 'acc', zones, total: 3, asOf: kit.now })
    const parts = [
      part([reading('a', { location: 'north' }), reading('b', { location: 'north' })]),
      part([reading('c', { location: 'south' })]),
    ]
    const step = kit.complete(kit.started[0]?.attempt as string, parts)
    expect(snapshots(step).map(e => [e.key, e.record.zones.map((z: { zone: string }) => z.zone), e.record.complete])).toEqual([
      ['main:1', ['a', 'b'], true],
      ['main:2', ['c'], true],
    ])
    expect(kit.state).toMatchObject({ expected: 3, reading: null })
    expect(kit.timers).toHaveLength(1)
  })

  it('does not guess whose zone it is: says so to the venues, and alerts once', () => {
    const kit = kitOf('acc')
    watch(kit)
    watch(kit, { venue: 'main:2' })
    kit.fire('poll')
    const zones = [reading('a', { location: 'north' }), reading('b', { location: 'south' })]
    const first = answer(kit, zones)
    expect(snapshots(first).map(e => [e.key, e.record.error])).toEqual([
      ['main:1', 'ambiguous'],
      ['main:2', 'ambiguous'],
    ])
    expect(of(first, 'Alert')).toMatchObject([{ kind: 'soundtrack_ambiguous', resolved: false }])
    kit.fire('poll')
    expect(of(answer(kit, zones), 'Alert')).toEqual([])
    watch(kit, { location: 'north' })
    watch(kit, { venue: 'main:2', location: 'south' })
    kit.fire('poll')
    const mended = answer(kit, zones)
    expect(of(mended, 'Alert')).toMatchObject([{ resolved: true }])
    expect(snapshots(mended).map(e => e.key)).toEqual(['main:1', 'main:2'])
  })

  it('is read with the names of its locations while a venue has none, and split by them', () => {
    const kit = kitOf('acc')
    watch(kit, { name: 'Coral Sands', address: 'Lane 101' })
    watch(kit, { venue: 'main:2', name: 'Blue Heron', address: 'Lane 102' })
    expect(kit.fire('poll').effects[0]?.input).toMatchObject({ locations: true, places: true })
    const step = answer(kit, [
      reading('a', { location: 'north', locationName: 'Coral Sands' }),
      reading('b', { location: 'south', locationName: 'House', locationAddress: 'Lane 102, Krabi' }),
    ])
    expect(snapshots(step).map(e => [e.key, e.record.zones.map((z: { zone: string }) => z.zone)])).toEqual([
      ['main:1', ['a']],
      ['main:2', ['b']],
    ])
    expect(of(step, 'Alert')).toEqual([])
    watch(kit, { location: 'north' })
    watch(kit, { venue: 'main:2', location: 'south' })
    expect(kit.fire('poll').effects[0]?.input).toMatchObject({ locations: true, places: false })
  })

  it('writes polls to the synchronisation log when the outcome changes, and otherwise every half hour', () => {
    const kit = watched()
    const runs: string[][] = []
    const poll = (step: KitStep) => {
      runs.push(of(step, 'SyncRun').map(r => r.outcome))
      kit.fire('poll')
    }
    poll(answer(kit, [reading('a')]))
    poll(answer(kit, [reading('a')]))
    poll(fail(kit, 'provider_down'))
    poll(fail(kit, 'provider_down'))
    poll(answer(kit, [reading('a')]))
    expect(runs).toEqual([['OK'], [], ['FAILED'], [], ['OK']])
    let polls = 0
    for (; runs.at(-1)?.length !== 0 || polls === 0; polls++) poll(answer(kit, [reading('a')]))
    for (; runs.at(-1)?.length === 0; polls++) poll(answer(kit, [reading('a')]))
    expect(polls).toBeGreaterThan(5)
    expect(polls).toBeLessThan(9)
  })

  it('is left alone when nobody wants it any more', () => {
    const kit = watched()
    watch(kit, { stop: true })
    expect(snapshots(answer(kit, [reading('a')]))).toEqual([])
    expect(kit.state).toBeNull()
    expect(kit.timers).toEqual([])
  })

  it('changes nothing when the same venue is announced again', () => {
    const kit = watched()
    answer(kit, [reading('a')])
    const timers = kit.timers
    watch(kit)
    expect(kit.timers).toEqual(timers)
  })

  it('keeps a hundred venues, and its state within bounds', () => {
    const kit = kitOf('acc')
    const location = (n: number) => `TG9jYXRpb24sLDF${String(n).padStart(45, '0')}`
    for (let n = 0; n < 100; n++) watch(kit, { venue: `main:venue-${n}`, location: location(n) })
    expect(watch(kit, { venue: 'main:one-too-many', location: 'x' }).result).toBe('poisoned')
    expect(kit.state?.venues).toHaveLength(100)
    const named = kitOf('acc')
    const long = 'Coral Sands Hotel and Residences, Lane 101 of the Long Road, Bangkok '
    for (let n = 0; n < 100; n++)
      watch(named, { venue: `main:venue-${n}`, name: long + n, address: `โรงแรมหาดทรายปะการัง ${long}` })
    expect(named.state?.venues).toHaveLength(100)
  })

  it('divides its times by the time scale', () => {
    const kit = watched({ timeScale: 10 })
    answer(kit, [reading('a')])
    expect(wait(kit)).toBeLessThanOrEqual(27 * SECOND)
  })
})

describe('a zone', () => {
  const command = (more: Partial<ZoneCommandInput> = {}): ZoneCommandInput => ({
    id: 'c1',
    venue: 'main:1',
    account: 'acc',
    zone: 'z1',
    kind: 'SET_VOLUME',
    volume: 5,
    notAfter: NOW + MINUTE,
    ...more,
  })
  const kitZ = () => kitOf(zoneKey('acc', 'z1'))
  const done = (kit: Kit<'SoundtrackState'>, more: object = {}) =>
    kit.complete(kit.started[0]?.attempt as string, { command: 'c1', accepted: true, at: kit.now, ...more })
  const read = (kit: Kit<'SoundtrackState'>, more: object = { zones: [reading('z1', { volume: 5 })] }) =>
    kit.complete(kit.started[0]?.attempt as string, { account: 'acc', zone: 'z1', asOf: kit.now, ...more })

  it('does a command, tells what became of it, and reads the zone at once', () => {
    const kit = kitZ()
    const step = kit.handle('ZoneCommand', command())
    expect(step.effects).toMatchObject([{ effect: 'control', notAfter: NOW + MINUTE, input: { zone: 'z1', volume: 5 } }])
    const accepted = done(kit)
    expect(accepted.emits).toMatchObject([
      { topic: 'venue.inbox', key: 'main:1', type: 'ZoneResult', record: { command: 'c1', zone: 'z1', outcome: 'ACCEPTED' } },
    ])
    expect(accepted.effects).toMatchObject([{ effect: 'read', input: { account: 'acc', zone: 'z1', full: true } }])
    expect(snapshots(read(kit))).toMatchObject([
      { key: 'main:1', record: { complete: false, zones: [{ zone: 'z1', volume: 5 }] } },
    ])
    expect(kit.state).toBeNull()
  })

  it('skips with an effect that is never repeated', () => {
    expect(kitZ().handle('ZoneCommand', command({ kind: 'SKIP', volume: null })).effects).toMatchObject([{ effect: 'skip' }])
    for (const kind of ['PLAY', 'PAUSE'] as const)
      expect(kitZ().handle('ZoneCommand', command({ kind, volume: null })).effects).toMatchObject([{ effect: 'control' }])
  })

  it('tells a refusal with its reason, and reads nothing', () => {
    const kit = kitZ()
    kit.handle('ZoneCommand', command())
    const step = done(kit, { accepted: false, reason: 'permission', detail: 'Not found' })
    expect(step.emits).toMatchObject([{ record: { outcome: 'REFUSED', reason: 'permission', detail: 'Not found' } }])
    expect(step.effects).toEqual([])
    expect(kit.state).toBeNull()
  })

  it('tells what may have been done as unknown, and looks', () => {
    const kit = kitZ()
    kit.handle('ZoneCommand', command())
    const step = done(kit, { accepted: false, uncertain: true, reason: 'provider_slow' })
    expect(step.emits).toMatchObject([{ record: { outcome: 'UNKNOWN', reason: 'provider_slow' } }])
    expect(step.effects).toMatchObject([{ effect: 'read' }])
  })

  it.each([
    ['UNKNOWN', 'UNKNOWN', 'provider_slow', 1],
    ['EXPIRED', 'EXPIRED', '', 0],
    ['NOT_DONE', 'REFUSED', 'provider_down', 0],
  ] as const)('tells an attempt that ended %s as %s', (ended, outcome, reason, reads) => {
    const kit = kitZ()
    const { effects } = kit.handle('ZoneCommand', command())
    const step = kit.end(effects[0]?.attempt as string, ended, 'why')
    expect(step.emits).toMatchObject([{ type: 'ZoneResult', record: { command: 'c1', outcome, reason, detail: 'why' } }])
    expect(step.effects).toHaveLength(reads)
  })

  it('ignores a result that comes after the command was told as unknown', () => {
    const kit = kitZ()
    const attempt = kit.handle('ZoneCommand', command()).effects[0]?.attempt as string
    kit.end(attempt, 'UNKNOWN', 'why')
    expect(kit.complete(attempt, { command: 'c1', accepted: true, at: kit.now }).emits).toEqual([])
    expect(snapshots(read(kit))).toHaveLength(1)
  })

  it('refuses what makes no sense, and what is too late, without asking the provider', () => {
    const kit = kitZ()
    const refusals = [
      kit.handle('ZoneCommand', command({ kind: 'UNKNOWN' })),
      kit.handle('ZoneCommand', command({ volume: 17 })),
      kit.handle('ZoneCommand', command({ volume: null })),
      kit.handle('ZoneCommand', command({ notAfter: NOW - 1 })),
    ]
    expect(refusals.flatMap(step => step.effects)).toEqual([])
    expect(refusals.map(step => step.emits[0]?.record.outcome)).toEqual(['REFUSED', 'REFUSED', 'REFUSED', 'EXPIRED'])
    expect(kit.state).toBeNull()
  })

  it('does commands in order, reads after the last, and takes no endless number', () => {
    const kit = kitZ()
    for (let n = 0; n < 32; n++) kit.handle('ZoneCommand', command({ id: `c${n}`, volume: n % 17 }))
    const tooMany = kit.handle('ZoneCommand', command({ id: 'c32' }))
    expect(tooMany.emits).toMatchObject([{ record: { outcome: 'REFUSED', reason: 'busy' } }])
    const told: string[] = []
    for (let n = 0; n < 32; n++) told.push(...of(done(kit), 'ZoneResult').map(r => r.command))
    expect(told).toEqual(Array.from({ length: 32 }, (_, n) => `c${n}`))
    expect(kit.started).toMatchObject([{ effect: 'read' }])
    read(kit)
    expect(kit.state).toBeNull()
  })

  it('is read when asked, once more when asked again meanwhile, also behind a command', () => {
    const kit = kitZ()
    const ask = () => kit.handle('PollSooner', { venue: 'main:1', account: 'acc', zone: 'z1', reason: 'verify' })
    expect(ask().effects).toHaveLength(1)
    kit.handle('ZoneCommand', command())
    expect(ask().effects).toEqual([])
    expect(ask().effects).toEqual([])
    expect(read(kit).effects).toMatchObject([{ effect: 'read' }])
    expect(done(kit).effects).toEqual([])
    expect(snapshots(read(kit))).toHaveLength(1)
    expect(kit.state).toBeNull()
  })

  it('tells why it could not be read', () => {
    const kit = kitZ()
    const ask = () => kit.handle('PollSooner', { venue: 'main:1', account: 'acc', zone: 'z1' })
    ask()
    expect(snapshots(read(kit, { error: 'provider_down' }))).toMatchObject([{ record: { error: 'provider_down', zones: [] } }])
    ask()
    const refused = read(kit, { zones: [{ zone: 'z1', name: '', error: 'Forbidden' }] })
    expect(snapshots(refused)).toMatchObject([{ record: { error: null, zones: [{ zone: 'z1', error: 'Forbidden' }] } }])
    const { effects } = ask()
    expect(snapshots(kit.end(effects[0]?.attempt as string, 'UNKNOWN', ''))).toMatchObject([
      { record: { error: 'provider_slow' } },
    ])
    expect(kit.state).toBeNull()
  })

  it('is read under its own key, wherever the wish for it arrives, and its account has the attention', () => {
    const kit = kitOf('acc')
    kit.handle('WatchVenue', { venue: 'main:1', account: 'acc' })
    kit.fire('poll')
    kit.complete(kit.started[0]?.attempt as string, { account: 'acc', zones: [reading('z1')], total: 1, asOf: kit.now })
    const step = kit.handle('PollSooner', { venue: 'main:1', account: 'acc', zone: 'z1', reason: 'verify' })
    expect(step.effects).toEqual([])
    expect(step.emits).toMatchObject([
      { topic: 'soundtrack.inbox', key: zoneKey('acc', 'z1'), record: { zone: 'z1', reason: 'verify' } },
    ])
    expect((kit.timers[0]?.at ?? 0) - (kit.state?.readAt ?? 0)).toBe(30 * SECOND)
  })
})

import { describe, expect, it } from 'vitest'
import { type Kit, type KitStep, testkit } from '../../engine/testing/testkit.ts'
import type { WatchVenueInput, ZoneCommandInput, ZoneReadingInput } from '../../schemas/types.ts'
import { zoneKey } from '../../topics/catalog.ts'
import { soundtrackActor } from './actor.ts'
import { SOUNDTRACK_SETTINGS } from './polling.ts'

const NOW = 1_750_000_000_000
const MINUTE = 60_000

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
  const open = (kit: Kit<'SoundtrackState'>) => kit.started[0]?.attempt as string
  const answer = (kit: Kit<'SoundtrackState'>, zones: ZoneReadingInput[], total: number | null = zones.length) =>
    kit.complete(open(kit), { account: 'acc', zones, total, asOf: kit.now })
  const fail = (kit: Kit<'SoundtrackState'>, error: string, more: object = {}) =>
    kit.complete(open(kit), { account: 'acc', error, asOf: kit.now, ...more })
  const renew = (kit: Kit<'SoundtrackState'>) => fail(kit, 'renew')
  const watched = (settings = {}, more: Partial<WatchVenueInput> = {}) => {
    const kit = kitOf('acc', settings)
    watch(kit, more)
    return kit
  }

  it('is polled from when it is watched: one attempt that is always open, until a day has passed', () => {
    const kit = kitOf('acc')
    const step = watch(kit)
    expect(step.effects).toMatchObject([
      {
        effect: 'poll',
        input: { account: 'acc', first: 4, locations: false, urgent: false, readAt: 0 },
        notAfter: kit.now + 24 * 60 * MINUTE,
      },
    ])
    expect(kit.timers).toEqual([])
    const [next] = kit.end(open(kit), 'EXPIRED').effects
    expect(next).toMatchObject({ effect: 'poll', notAfter: kit.now + 24 * 60 * MINUTE })
  })

  it('is read in pages of the size that was last seen, and says when that was', () => {
    const kit = watched()
    const step = answer(kit, [reading('a'), reading('b'), reading('c')], 7)
    expect(step.effects[0]?.input).toMatchObject({ first: 7, readAt: kit.now - 1 })
  })

  it('is first read in a page of the announced size', () => {
    expect(watched({}, { zones: 12 }).started[0]?.input).toMatchObject({ first: 12 })
  })

  it('tells its venue every zone, and for how long that stands where nothing else is told', () => {
    const kit = watched()
    const step = answer(kit, [reading('a', { volume: 5 }), reading('b')])
    const asOf = kit.now - 1
    expect(snapshots(step)).toMatchObject([
      {
        topic: 'venue.inbox',
        key: 'main:1',
        record: {
          account: 'acc',
          complete: true,
          error: null,
          zones: [{ zone: 'a', volume: 5 }, { zone: 'b' }],
          asOf,
          standsUntil: asOf + 90 * MINUTE,
        },
      },
    ])
  })

  it('says that a venue of high priority is among its own', () => {
    expect(watched({}, { priority: 'High' }).started[0]?.input).toMatchObject({ urgent: true })
  })

  it('begins its poll anew when others want it read, once for all of them, as one never read', () => {
    const kit = watched()
    answer(kit, [reading('a')])
    const asks = [watch(kit, { venue: 'main:2', location: 'south' }), watch(kit, { venue: 'main:3', location: 'east' })]
    expect(asks.flatMap(step => step.emits)).toMatchObject([
      { topic: 'soundtrack.inbox', key: 'acc:', type: 'PollSooner', record: { account: 'acc', reason: 'renew' } },
    ])
    const step = renew(kit)
    expect(step.emits).toEqual([])
    expect(step.effects[0]?.input).toMatchObject({ locations: true, places: true, readAt: 0 })
    expect(watch(kit, { venue: 'main:4', location: 'west' }).emits).toHaveLength(1)
  })

  it('passes the wish for a reading on to where its open poll does not keep it waiting', () => {
    const kit = watched()
    const wish = { venue: 'main:1', account: 'acc', reason: 'talking' }
    const step = kit.handle('PollSooner', wish)
    expect(step.effects).toEqual([])
    expect(step.emits).toMatchObject([{ topic: 'soundtrack.inbox', key: 'acc:', record: wish }])
    expect(kitOf('acc').handle('PollSooner', wish).emits).toEqual([])

    const helper = kitOf(zoneKey('acc', ''))
    const [hasten] = helper.handle('PollSooner', wish).effects
    expect(hasten).toMatchObject({ effect: 'hasten', input: wish })
    helper.complete(hasten?.attempt as string, { account: 'acc', zone: '', asOf: helper.now })
    expect([helper.state, helper.started]).toEqual([null, []])
    const [failing] = helper.handle('PollSooner', wish).effects
    expect(helper.end(failing?.attempt as string, 'NOT_DONE').result).not.toBe('poisoned')
    expect(helper.started).toEqual([])
  })

  it('tells its venues that it could not be read, why, and when all was still as they know it; and goes on', () => {
    const kit = watched()
    const step = fail(kit, 'provider_down', { sameAsOf: NOW - MINUTE })
    expect(snapshots(step)).toMatchObject([
      {
        key: 'main:1',
        record: { error: 'provider_down', zones: [], complete: false, sameAsOf: NOW - MINUTE, standsUntil: null },
      },
    ])
    expect(step.effects).toMatchObject([{ effect: 'poll' }])
  })

  it('goes on when a poll ended without a result', () => {
    const kit = watched()
    const step = kit.end(open(kit), 'UNKNOWN', 'the worker that started it is gone')
    expect(snapshots(step)).toMatchObject([{ record: { error: 'provider_slow' } }])
    expect(step.effects).toHaveLength(1)
  })

  it('splits an account with many venues by location, over the parts of a read', () => {
    const kit = kitOf('acc')
    watch(kit, { location: 'north' })
    watch(kit, { venue: 'main:2', location: 'south' })
    const part = (zones: ZoneReadingInput[]) => ({ account: 'acc', zones, total: 3, asOf: kit.now })
    const parts = [
      part([reading('a', { location: 'north' }), reading('b', { location: 'north' })]),
      part([reading('c', { location: 'south' })]),
    ]
    const step = kit.complete(open(kit), parts)
    expect(snapshots(step).map(e => [e.key, e.record.zones.map((z: { zone: string }) => z.zone), e.record.complete])).toEqual([
      ['main:1', ['a', 'b'], true],
      ['main:2', ['c'], true],
    ])
    expect(kit.state).toMatchObject({ expected: 3 })
    expect(step.effects).toHaveLength(1)
  })

  it('does not guess whose zone it is: says so to the venues, and alerts once', () => {
    const kit = kitOf('acc')
    watch(kit)
    watch(kit, { venue: 'main:2' })
    renew(kit)
    const zones = [reading('a', { location: 'north' }), reading('b', { location: 'south' })]
    const first = answer(kit, zones)
    expect(snapshots(first).map(e => [e.key, e.record.error])).toEqual([
      ['main:1', 'ambiguous'],
      ['main:2', 'ambiguous'],
    ])
    expect(of(first, 'Alert')).toMatchObject([{ kind: 'soundtrack_ambiguous', resolved: false }])
    expect(of(answer(kit, zones), 'Alert')).toEqual([])
    watch(kit, { location: 'north' })
    watch(kit, { venue: 'main:2', location: 'south' })
    renew(kit)
    const mended = answer(kit, zones)
    expect(of(mended, 'Alert')).toMatchObject([{ resolved: true }])
    expect(snapshots(mended).map(e => e.key)).toEqual(['main:1', 'main:2'])
  })

  it('says nothing of whose zone it is by a reading that began before a venue came, and is read anew', () => {
    const kit = kitOf('acc')
    watch(kit)
    watch(kit, { venue: 'main:2' })
    const step = answer(kit, [reading('a'), reading('b')])
    expect([snapshots(step), of(step, 'Alert')]).toEqual([[], []])
    expect(step.effects).toMatchObject([{ effect: 'poll', input: { readAt: 0, places: true } }])
  })

  it('is read with the names of its locations while a venue has none, and split by them', () => {
    const kit = kitOf('acc')
    watch(kit, { name: 'Coral Sands', address: 'Lane 101' })
    watch(kit, { venue: 'main:2', name: 'Blue Heron', address: 'Lane 102' })
    expect(renew(kit).effects[0]?.input).toMatchObject({ locations: true, places: true })
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
    expect(renew(kit).effects[0]?.input).toMatchObject({ locations: true, places: false })
  })

  it('writes polls to the synchronisation log when the outcome changes, and otherwise every half hour', () => {
    const kit = watched()
    const runs = (step: KitStep) => of(step, 'SyncRun').map(r => r.outcome)
    const outcomes = [
      answer(kit, [reading('a')]),
      answer(kit, [reading('a')]),
      fail(kit, 'provider_down'),
      fail(kit, 'provider_down'),
      answer(kit, [reading('a')]),
    ].map(runs)
    expect(outcomes).toEqual([['OK'], [], ['FAILED'], [], ['OK']])
    kit.advance(29 * MINUTE)
    expect(runs(answer(kit, [reading('a')]))).toEqual([])
    kit.advance(MINUTE)
    expect(runs(answer(kit, [reading('a')]))).toEqual(['OK'])
  })

  it('is left alone when nobody wants it any more', () => {
    const kit = watched()
    expect(watch(kit, { stop: true }).emits).toMatchObject([{ key: 'acc:', record: { reason: 'renew' } }])
    expect(snapshots(renew(kit))).toEqual([])
    expect([kit.state, kit.started, kit.timers]).toEqual([null, [], []])
    const reading1 = watched()
    watch(reading1, { stop: true })
    expect(snapshots(answer(reading1, [reading('a')]))).toEqual([])
    expect([reading1.state, reading1.started]).toEqual([null, []])
  })

  it('changes nothing when the same venue is announced again', () => {
    const kit = watched()
    answer(kit, [reading('a')])
    const before = kit.state
    expect(watch(kit)).toMatchObject({ emits: [], effects: [] })
    expect(kit.state).toEqual(before)
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

  it('tells the same again in few records and bytes', () => {
    const kit = watched()
    answer(kit, [reading('a'), reading('b')])
    kit.advance(60 * MINUTE)
    const step = answer(kit, [reading('a'), reading('b')])
    expect([step.emits.map(e => e.type), step.effects.length, kit.timers]).toEqual([['ZoneSnapshot', 'SyncRun'], 1, []])
    expect(kit.bytes).toBeLessThan(500)
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

  it.each([
    ['a code', 'no answer', 'rate_limited', 'rate_limited'],
    ['its reason alone, as written before there were codes', 'rate_limited: no tokens left', null, 'rate_limited'],
    ['a code that is no reason of the provider', 'forbidden: no', 'forbidden', 'provider_down'],
    ['words that only look like one', 'forbidden: no', null, 'provider_down'],
    ['words without a code', 'rate_limited', null, 'provider_down'],
  ] as const)('takes the reason of the end from %s', (_, words, code, reason) => {
    const kit = kitZ()
    const { effects } = kit.handle('ZoneCommand', command())
    const step = kit.end(effects[0]?.attempt as string, 'NOT_DONE', words, code)
    expect(step.emits).toMatchObject([{ record: { outcome: 'REFUSED', reason, detail: words } }])
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

  it('is read under its own key, wherever the wish for it arrives', () => {
    const kit = kitOf('acc')
    kit.handle('WatchVenue', { venue: 'main:1', account: 'acc' })
    const step = kit.handle('PollSooner', { venue: 'main:1', account: 'acc', zone: 'z1', reason: 'verify' })
    expect(step.effects).toEqual([])
    expect(step.emits).toMatchObject([
      { topic: 'soundtrack.inbox', key: zoneKey('acc', 'z1'), record: { zone: 'z1', reason: 'verify' } },
    ])
  })
})

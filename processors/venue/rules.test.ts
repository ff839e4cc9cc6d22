import { describe, expect, it } from 'vitest'
import type { ZoneRequestKind, ZoneSlot } from '../../schemas/types.ts'
import { plan, shows, trackMark, wrongVolume } from './rules.ts'
import { newZone } from './zones.ts'

const zone = (more: Partial<ZoneSlot> = {}): ZoneSlot => ({ ...newZone(1, 'z1', 'Lobby'), status: 'ONLINE', volume: 8, ...more })
const wish = (kind: ZoneRequestKind, value: number | null = null) => ({ kind, value })
const set = (from: number | null, to: number) => ({ type: 'send', command: 'SET_VOLUME', from, to })

describe('the plan for a zone', () => {
  it.each([
    ['up by 2 where no steps are said', wish('VOLUME_UP'), zone(), 16, set(8, 10)],
    ['up by what is said', wish('VOLUME_UP', 5), zone(), 16, set(8, 13)],
    ['up to the cap and no further', wish('VOLUME_UP', 5), zone(), 10, set(8, 10)],
    ['down by 2', wish('VOLUME_DOWN'), zone(), 16, set(8, 6)],
    ['down to 0 and no further', wish('VOLUME_DOWN', 12), zone(), 16, set(8, 0)],
    ['down from above the cap', wish('VOLUME_DOWN'), zone({ volume: 16 }), 10, set(16, 14)],
    ['set', wish('VOLUME_SET', 3), zone(), 16, set(8, 3)],
    ['mute', wish('MUTE'), zone(), 16, set(8, 0)],
    ['unmute to what it was', wish('UNMUTE'), zone({ volume: 0, formerVolume: 11 }), 16, set(0, 11)],
    ['unmute to 8 where that is unknown', wish('UNMUTE'), zone({ volume: 0 }), 16, set(0, 8)],
    ['unmute within the cap', wish('UNMUTE'), zone({ volume: 0, formerVolume: 11 }), 9, set(0, 9)],
    ['pause', wish('PAUSE'), zone(), 16, { type: 'send', command: 'PAUSE', from: null, to: null }],
  ] as const)('%s', (_what, request, at, cap, expected) => {
    expect(plan(request, at, true, cap)).toEqual(expected)
  })

  it.each([
    ['set to what it is', wish('VOLUME_SET', 8), zone(), 8],
    ['mute what is muted', wish('MUTE'), zone({ volume: 0 }), 0],
    ['unmute what sounds', wish('UNMUTE'), zone({ formerVolume: 12 }), 8],
    ['down from 0', wish('VOLUME_DOWN'), zone({ volume: 0 }), 0],
  ] as const)('needs no command: %s', (_what, request, at, volume) => {
    expect(plan(request, at, true, 16)).toMatchObject({ type: 'end', outcome: 'CONFIRMED', from: volume, to: volume })
  })

  it('refuses to go up from the cap', () => {
    for (const volume of [10, 12]) {
      const planned = plan(wish('VOLUME_UP'), zone({ volume }), true, 10)
      expect(planned).toMatchObject({
        type: 'end',
        outcome: 'REFUSED',
        reason: 'cap',
        detail: 'the cap is 10 of 16',
        from: volume,
      })
    }
  })

  it('reads the zone first where the present volume, track or status matters, and only there', () => {
    for (const kind of ['VOLUME_UP', 'VOLUME_DOWN', 'UNMUTE', 'SKIP'] as const) {
      expect(plan(wish(kind), zone(), false, 16)).toEqual({ type: 'read' })
    }
    for (const kind of ['PLAY', 'PAUSE', 'MUTE'] as const) expect(plan(wish(kind), zone(), false, 16).type).toBe('send')
    expect(plan(wish('PLAY'), zone({ status: 'OFFLINE' }), false, 16)).toEqual({ type: 'read' })
  })

  it('claims no volume from before that it has not just read', () => {
    expect(plan(wish('VOLUME_SET', 8), zone(), false, 16)).toEqual(set(null, 8))
  })

  it.each([
    ['', 'offline'],
    ['unpaired', 'unpaired'],
    ['no_subscription', 'subscription'],
    ['expired', 'subscription'],
  ])('refuses at a zone that is offline (%s): %s', (detail, reason) => {
    expect(plan(wish('PLAY'), zone({ status: 'OFFLINE', detail }), true, 16)).toMatchObject({ outcome: 'REFUSED', reason })
  })

  it('tries where the status is unknown', () => {
    expect(plan(wish('PLAY'), zone({ status: 'UNKNOWN' }), false, 16).type).toBe('send')
  })

  it('cannot move a volume that the zone does not show', () => {
    expect(plan(wish('VOLUME_UP'), zone({ volume: null }), true, 16)).toMatchObject({
      outcome: 'REFUSED',
      reason: 'volume_unknown',
    })
  })
})

describe('a volume that is asked for', () => {
  it.each([
    [17, 16, 'invalid'],
    [-1, 16, 'invalid'],
    [null, 16, 'invalid'],
    [11, 10, 'cap'],
    [10, 10, undefined],
  ])('%s under a cap of %i: %s', (value, cap, reason) => {
    expect(wrongVolume('VOLUME_SET', value, cap)?.reason).toBe(reason)
  })
})

describe('what proves a skip', () => {
  const before = zone({ track: 'Slow Tide', startedAt: 1000 })
  it.each([
    ['the same track', before, false],
    ['another start', zone({ track: 'Slow Tide', startedAt: 2000 }), true],
    ['the same title, its start not shown', zone({ track: 'Slow Tide', startedAt: null }), false],
    ['the same title cut shorter', zone({ track: 'Slow …', startedAt: null }), false],
    ['another title', zone({ track: 'Fast Lane', startedAt: null }), true],
    ['nothing shown', zone({ track: null, startedAt: null }), false],
  ])('%s: %s', (_what, after, proven) => {
    expect(shows(after, 'SKIP', null, trackMark(before))).toBe(proven)
  })
})

import { describe, expect, it } from 'vitest'
import { recordSchema } from '../../schemas/index.ts'
import type { ZoneReading, ZoneReadingInput } from '../../schemas/types.ts'
import { MINUTE, NOW, offline, playing } from './testing/fixture.ts'
import { aged, condition, isDoubtful, newZone, observe } from './zones.ts'

/** As it comes from the log, with defaults. */
function reading(input: ZoneReadingInput): ZoneReading {
  const { type } = recordSchema('ZoneSnapshot')
  return type.fromBuffer(type.toBuffer({ account: 'a', zones: [input], asOf: 0 })).zones[0]
}
const at = (minutes: number) => NOW + minutes * MINUTE
const history = (...readings: ZoneReadingInput[]) =>
  readings.reduce((zone, input, n) => observe(zone, reading(input), at(n)), newZone(1, 'z1', 'Lobby'))

describe('what a reading says', () => {
  it.each([
    ['online', playing('z1'), 'ONLINE', ''],
    ['muted at the player', playing('z1', { statusCode: 'PLAYER_MUTED' }), 'ONLINE', 'muted'],
    ['muted by volume', playing('z1', { volume: 0 }), 'ONLINE', 'muted'],
    ['offline', offline('z1'), 'OFFLINE', ''],
    ['expired before offline', offline('z1', { subscription: 'EXPIRED' }), 'OFFLINE', 'expired'],
    [
      'no subscription before expired',
      offline('z1', { subscription: 'INACTIVE', statusCode: 'SUBSCRIPTION_EXPIRED' }),
      'OFFLINE',
      'no_subscription',
    ],
    ['unpaired before all', playing('z1', { paired: false, subscription: 'INACTIVE' }), 'OFFLINE', 'unpaired'],
    ['unpaired by its code', playing('z1', { paired: null, online: null, statusCode: 'NOT_PAIRED' }), 'OFFLINE', 'unpaired'],
    [
      'paired without a device is not unpaired',
      playing('z1', { online: false, playback: 'unpaired', statusCode: 'NOT_PAIRED' }),
      'OFFLINE',
      '',
    ],
    ['a cancelled subscription runs to its end', playing('z1', { subscription: 'CANCELLED' }), 'ONLINE', ''],
  ])('%s', (_what, input, status, detail) => {
    expect(condition(reading(input))).toEqual({ status, detail })
  })

  it('nothing when it failed, or says neither', () => {
    expect(condition(reading(playing('z1', { error: 'Forbidden' })))).toBeNull()
    expect(condition(reading({ zone: 'z1', name: 'Lobby' }))).toBeNull()
  })
})

describe('a zone over its readings', () => {
  it('goes online at once and offline by two readings, since the first of them', () => {
    expect(history(playing('z1'))).toMatchObject({ status: 'ONLINE', since: at(0), lastSeen: at(0) })
    expect(history(playing('z1'), offline('z1'))).toMatchObject({ status: 'ONLINE', suspectAt: at(1), asOf: at(1) })
    expect(history(playing('z1'), offline('z1'), offline('z1'))).toMatchObject({
      status: 'OFFLINE',
      since: at(1),
      lastSeen: at(0),
      asOf: at(2),
      suspectAt: null,
    })
  })

  it('stays online when the second reading is online again', () => {
    const zone = history(playing('z1'), offline('z1'), playing('z1'), offline('z1'))
    expect(zone).toMatchObject({ status: 'ONLINE', since: at(0), suspectAt: at(3) })
  })

  it('was never online when it is first read as offline: unknown until the second reading', () => {
    expect(history(offline('z1')).status).toBe('UNKNOWN')
    expect(history(offline('z1'), offline('z1'))).toMatchObject({ status: 'OFFLINE', lastSeen: null })
  })

  it('keeps what was last known, with its time, when a reading fails', () => {
    const zone = history(playing('z1', { volume: 5 }), playing('z1', { error: 'Not found', online: null }))
    expect(zone).toMatchObject({ status: 'ONLINE', volume: 5, asOf: at(0), failed: 'not_found' })
  })

  it('is not moved by a reading that is older, or the same again', () => {
    const zone = history(playing('z1'), offline('z1'))
    expect(observe(zone, reading(offline('z1')), at(1))).toBe(zone)
    expect(observe(zone, reading(playing('z1')), at(0))).toBe(zone)
  })

  it('becomes unknown only when it has not been read for too long', () => {
    const zone = history(playing('z1'))
    expect(aged(zone, at(15), 15 * MINUTE)).toBe(zone)
    expect(aged(zone, at(16), 15 * MINUTE)).toMatchObject({ status: 'UNKNOWN', lastSeen: at(0), asOf: at(0) })
  })

  it('remembers the volume it had before it went to 0', () => {
    expect(history(playing('z1', { volume: 11 }), playing('z1', { volume: 0 }), playing('z1', { volume: 0 })).formerVolume).toBe(
      11,
    )
  })

  it('keeps what a reading without details does not say, a track only as long as it can be playing', () => {
    const light = {
      detail: false,
      track: null,
      artist: null,
      source: null,
      trackStartedAt: null,
      subscription: null,
      statusCode: null,
    }
    const known = playing('z1', { source: 'Beach Mix' })
    const soon = history(known, playing('z1', { ...light, volume: 3 }))
    expect(soon).toMatchObject({
      status: 'ONLINE',
      volume: 3,
      track: 'Slow Tide',
      source: 'Beach Mix',
      asOf: at(1),
      detailAt: at(0),
    })
    const later = history(known, ...Array.from({ length: 4 }, () => playing('z1', light)))
    expect(later).toMatchObject({ track: null, artist: null, startedAt: null, source: 'Beach Mix' })
  })

  it('keeps an expired subscription and a muted player that such a reading does not show', () => {
    const light = { detail: false, subscription: null, statusCode: null }
    const expired = offline('z1', { subscription: 'EXPIRED' })
    expect(history(expired, expired, playing('z1', light))).toMatchObject({ status: 'OFFLINE', detail: 'expired' })
    expect(history(expired, expired, playing('z1'))).toMatchObject({ status: 'ONLINE', detail: '' })
    const muted = playing('z1', { statusCode: 'PLAYER_MUTED' })
    expect(history(muted, playing('z1', light)).detail).toBe('muted')
    expect(history(playing('z1', { volume: 0 }), playing('z1', light)).detail).toBe('')
  })

  it('is watched closely while it is suspect or flapping, for ten minutes', () => {
    expect(isDoubtful(history(playing('z1'), offline('z1')), at(2))).toBe(true)
    const steady = history(playing('z1'), offline('z1'), offline('z1'))
    expect(isDoubtful(steady, at(3))).toBe(false)
    const flapping = history(playing('z1'), offline('z1'), playing('z1'), offline('z1'), playing('z1'))
    expect(isDoubtful(flapping, at(5))).toBe(true)
    expect(isDoubtful(flapping, at(12))).toBe(false)
  })
})

import { describe, expect, test } from 'vitest'
import { afterSupportTime, daysBetween, openingOf } from './support-hours.ts'
import { HOUR_MS, MINUTE_MS } from './time.ts'
import { clock, dayOf, instantOf, isTimeZone, localAt, offsetAt, timeOfDay } from './time-zone.ts'

const bangkok = (hour: number, minute = 0) => Date.UTC(2025, 5, 18, hour - 7, minute)
/** Berlin leaves out 02:00 to 03:00 on 30 March 2025. */
const SPRING = Date.UTC(2025, 2, 30)

describe('local time', () => {
  test('of a zone, and of an offset', () => {
    expect(clock(bangkok(9, 5), 'Asia/Bangkok')).toBe('09:05')
    expect(clock(bangkok(9, 5), '+08:30')).toBe('10:35')
    expect(clock(bangkok(9, 5), '-03:30')).toBe('22:35')
    expect(clock(bangkok(9, 5), 'UTC')).toBe('02:05')
    expect(dayOf(bangkok(1), 'Asia/Bangkok')).toBe('18/06')
    expect(dayOf(bangkok(1), 'UTC')).toBe('17/06')
  })

  test('with summer time', () => {
    expect(offsetAt('Europe/Berlin', SPRING)).toBe(HOUR_MS)
    expect(offsetAt('Europe/Berlin', SPRING + 12 * HOUR_MS)).toBe(2 * HOUR_MS)
    for (const at of [SPRING, SPRING + 30 * MINUTE_MS, SPRING + HOUR_MS, SPRING + 5 * HOUR_MS])
      expect(instantOf('Europe/Berlin', localAt('Europe/Berlin', at))).toBe(at)
    // 02:30 is left out: the clock shows 03:30 then.
    expect(clock(instantOf('Europe/Berlin', SPRING + 2.5 * HOUR_MS), 'Europe/Berlin')).toBe('03:30')
  })

  test('of no zone is refused', () => {
    expect(isTimeZone('Mars/Olympus')).toBe(false)
    expect(isTimeZone('+07:00')).toBe(true)
    expect(() => offsetAt('Mars/Olympus', 0)).toThrow(RangeError)
  })

  test.each([
    ['08:00', 8 * HOUR_MS],
    ['24:00', 24 * HOUR_MS],
    ['24:01', null],
    ['8:00', null],
    ['08:60', null],
    ['', null],
  ])('"%s" is %s ms after midnight', (text, ms) => {
    expect(timeOfDay(text)).toBe(ms)
  })
})

describe('support hours', () => {
  const berlin = { from: '09:00', to: '17:00', zone: 'Europe/Berlin' }
  const local = (at: number) => `${dayOf(at, berlin.zone)} ${clock(at, berlin.zone)}`

  test('count while support is open, over the change to summer time as well', () => {
    const saturday = instantOf(berlin.zone, SPRING - 8 * HOUR_MS)
    expect(local(saturday)).toBe('29/03 16:00')
    expect(local(afterSupportTime(30 * MINUTE_MS, saturday, berlin))).toBe('29/03 16:30')
    expect(local(afterSupportTime(HOUR_MS, saturday, berlin))).toBe('29/03 17:00')
    expect(local(afterSupportTime(2 * HOUR_MS, saturday, berlin))).toBe('30/03 10:00')
    expect(daysBetween(saturday, afterSupportTime(2 * HOUR_MS, saturday, berlin), berlin.zone)).toBe(1)
    expect(local(afterSupportTime(17 * HOUR_MS + MINUTE_MS, saturday, berlin))).toBe('01/04 09:01')
  })

  test('that are none are refused with what is wrong', () => {
    expect(() => openingOf({ from: '8', to: '21:00', zone: 'UTC' })).toThrow(/"8" to "21:00"/)
    expect(() => openingOf({ from: '21:00', to: '08:00', zone: 'UTC' })).toThrow(/"21:00" to "08:00"/)
    expect(() => openingOf({ from: '08:00', to: '21:00', zone: 'Mars/Olympus' })).toThrow(/Mars\/Olympus/)
    expect(openingOf({ from: '00:00', to: '24:00', zone: '-01:00' })).toEqual({ open: 0, close: 24 * HOUR_MS })
  })
})

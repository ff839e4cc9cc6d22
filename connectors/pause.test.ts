import { describe, expect, it } from 'vitest'
import { counter, Pause, pauseMs, retryAfterOf } from './pause.ts'

describe('a pause', () => {
  const at = (options: { firstMs?: number; mostMs?: number; random?: () => number } = {}) => {
    const clock = { ms: 0 }
    return { clock, pause: new Pause({ now: () => clock.ms, random: () => 0, ...options }) }
  }

  it('grows with each limit in a row, up to its most, and begins anew after a good answer', () => {
    const { clock, pause } = at()
    const told = Array.from({ length: 9 }, () => {
      const ms = pause.limited(clock.ms)
      clock.ms += ms
      expect(pause.left).toBe(0)
      return ms / 1000
    })
    expect(told).toEqual([1, 2, 4, 8, 16, 30, 30, 30, 30])
    pause.passed(clock.ms)
    expect(pause.limited(clock.ms)).toBe(1_000)
  })

  it('is a second at least, whatever is set or told', () => {
    const { pause } = at({ firstMs: 1, mostMs: 2 })
    expect(pause.limited(0, 20)).toBe(1_000)
    expect(pauseMs(1, { firstMs: 0 })).toBe(1_000)
  })

  it('is as long as the provider says, where that is longer', () => {
    const { clock, pause } = at()
    expect(pause.limited(0, 90_000)).toBe(90_000)
    clock.ms = 500
    expect(pause.limited(0, 120_000), 'one that was on its way').toBe(120_000)
  })

  it('counts those that were on their way as one', () => {
    const { clock, pause } = at()
    clock.ms = 100
    for (const sentAt of [10, 20, 30]) pause.limited(sentAt)
    expect(pause.left).toBe(1_000)
    pause.passed(50) // it left before
    clock.ms = 1_100
    expect(pause.limited(1_100)).toBe(2_000)
  })

  it('is longer by up to a quarter, by chance', () => {
    const { pause } = at({ random: () => 0.999 })
    expect(pause.limited(0)).toBe(1_250)
  })
})

it.each([
  ['7', 7_000],
  ['0', 0],
  ['Thu, 01 Jan 2026 00:00:30 GMT', 30_000],
  ['Wed, 31 Dec 2025 00:00:30 GMT', null],
  ['soon', null],
  ['-3', null],
  ['1.5', null],
  [undefined, null],
])('Retry-After %s is %s ms', (value, ms) => {
  const headers = new Headers(value === undefined ? {} : { 'retry-after': value })
  expect(retryAfterOf(headers, Date.UTC(2026, 0, 1))).toBe(ms)
})

it('a counter forgets the oldest', () => {
  const count = counter(2)
  expect(['a', 'a', 'b', 'c', 'a'].map(count)).toEqual([1, 2, 1, 1, 1])
})

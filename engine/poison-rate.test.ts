import { describe, expect, it } from 'vitest'
import { PoisonRate } from './poison-rate.ts'

const NOW = 1_700_000_000_000

describe('a poison rate', () => {
  it('is too much with more than 20 keys and more than 1 % within a minute', () => {
    const rate = new PoisonRate()
    for (let n = 0; n < 20; n++) {
      rate.handled(NOW)
      rate.poisoned(`key-${n}`, NOW)
    }
    expect(rate.tooMuch()).toBeNull()
    rate.handled(NOW)
    rate.poisoned('another', NOW)
    expect(rate.tooMuch()).toBe('21 keys and 21 of 21 records failed within a minute')
    for (let n = 0; n < 2_100; n++) rate.handled(NOW)
    expect(rate.tooMuch()).toBeNull()
  })

  it('never stops for one key, however often it fails', () => {
    const rate = new PoisonRate()
    for (let n = 0; n < 100_000; n++) {
      rate.handled(NOW + n)
      rate.poisoned('one', NOW + n)
    }
    expect(rate.tooMuch()).toBeNull()
  })

  it('forgets what is more than a minute old, and sees what lies around the turn of one', () => {
    const rate = new PoisonRate()
    const fail = (from: number, at: number) => {
      for (let n = from; n < from + 12; n++) {
        rate.handled(at)
        rate.poisoned(`key-${n}`, at)
      }
    }
    fail(0, NOW)
    fail(12, NOW + 59_000)
    expect(rate.tooMuch()).toMatch(/^24 keys/)
    rate.handled(NOW + 61_000)
    expect(rate.tooMuch()).toBeNull()
  })
})

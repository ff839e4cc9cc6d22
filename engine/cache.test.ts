import { describe, expect, it } from 'vitest'
import { Cache } from './cache.ts'

describe('a cache', () => {
  it('knows a null from nothing', () => {
    const cache = new Cache<string>(1_000_000)
    cache.set('none', null, 0)
    expect([cache.get('none'), cache.get('other')]).toEqual([null, undefined])
  })

  it('holds no more than its bytes, whatever the size of its entries', () => {
    for (const bytes of [10, 1_000, 100_000]) {
      const cache = new Cache<number>(1_000_000)
      for (let n = 0; n < 5_000; n++) cache.set(`key-${n}`, n, bytes)
      expect(cache.size * bytes).toBeLessThanOrEqual(1_000_000 + bytes)
      expect(cache.size).toBeGreaterThan(0)
    }
  })

  it('keeps what is used and drops what is not', () => {
    const cache = new Cache<number>(100_000)
    cache.set('used', 1, 100)
    cache.set('unused', 2, 100)
    for (let n = 0; n < 1_000; n++) {
      cache.set(`key-${n}`, n, 100)
      cache.get('used')
    }
    expect([cache.get('used'), cache.get('unused')]).toEqual([1, undefined])
  })

  it('counts an entry that is set again once', () => {
    const cache = new Cache<number>(10_000)
    cache.set('first', 0, 100)
    for (let n = 0; n < 1_000; n++) cache.set('same', n, 100)
    expect([cache.get('first'), cache.get('same')]).toEqual([0, 999])
  })
})

import { describe, expect, it } from 'vitest'
import { CacheBudget } from './generational-cache.ts'

describe('a cache', () => {
  it('knows a null from nothing', () => {
    const cache = new CacheBudget(1_000_000).open<string>()
    cache.set('none', null, 0)
    expect([cache.get('none'), cache.get('other')]).toEqual([null, undefined])
  })

  it('holds no more than its bytes, whatever the size of its entries', () => {
    for (const bytes of [10, 1_000, 100_000]) {
      const cache = new CacheBudget(1_000_000).open<number>()
      for (let n = 0; n < 5_000; n++) cache.set(`key-${n}`, n, bytes)
      expect(cache.size * bytes).toBeLessThanOrEqual(1_000_000 + bytes)
      expect(cache.size).toBeGreaterThan(0)
    }
  })

  it('keeps what is used and drops what is not', () => {
    const cache = new CacheBudget(100_000).open<number>()
    cache.set('used', 1, 100)
    cache.set('unused', 2, 100)
    for (let n = 0; n < 1_000; n++) {
      cache.set(`key-${n}`, n, 100)
      cache.get('used')
    }
    expect([cache.get('used'), cache.get('unused')]).toEqual([1, undefined])
  })

  it('counts an entry that is set again once', () => {
    const cache = new CacheBudget(10_000).open<number>()
    cache.set('first', 0, 100)
    for (let n = 0; n < 1_000; n++) cache.set('same', n, 100)
    expect([cache.get('first'), cache.get('same')]).toEqual([0, 999])
  })
})

describe('caches of one budget', () => {
  const filled = (count: number) => {
    const budget = new CacheBudget(1_000_000)
    return { budget, caches: Array.from({ length: count }, () => budget.open<number>()) }
  }

  it('hold no more than its bytes together, however many they are', () => {
    const { caches } = filled(50)
    for (let n = 0; n < 50_000; n++) caches[n % 50]?.set(`key-${n}`, n, 500)
    const all = caches.reduce((sum, { size }) => sum + size, 0)
    expect(all * 1_000).toBeLessThanOrEqual(1_001_000)
    expect(all * 1_000).toBeGreaterThan(490_000)
  })

  it('keep what is used beside one that is flooded, and give all of it to the one that is used', () => {
    const { caches } = filled(3)
    const [steady, idle, flooded] = caches
    steady?.set('used', 1, 500)
    for (let n = 0; n < 100; n++) idle?.set(`key-${n}`, n, 500)
    for (let n = 0; n < 5_000; n++) {
      flooded?.set(`key-${n}`, n, 500)
      steady?.get('used')
    }
    expect([steady?.get('used'), idle?.size]).toEqual([1, 0])
    expect(flooded?.size).toBeGreaterThan(490)
  })

  it('give back what a cache held that is cleared or closed', () => {
    const { budget, caches } = filled(2)
    const [kept, other] = caches
    kept?.set('used', 1, 500)
    for (let n = 0; n < 20; n++) {
      for (let i = 0; i < 400; i++) other?.set(`key-${i}`, i, 500)
      other?.clear()
      expect(other?.size).toBe(0)
    }
    const third = budget.open<number>()
    for (let i = 0; i < 400; i++) third.set(`key-${i}`, i, 500)
    third.close()
    for (let i = 0; i < 400; i++) other?.set(`key-${i}`, i, 500)
    expect(kept?.get('used')).toBe(1)
  })
})

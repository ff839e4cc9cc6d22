import { setTimeout as sleep } from 'node:timers/promises'
import { describe, expect, it, vi } from 'vitest'
import { MemoryCache } from './cache.ts'
import { ReadThroughCache } from './read-through.ts'
import { entry, readThrough } from './testing/suite.ts'

describe('reading through', () => {
  it('loads once for all who ask at once, then not again', async () => {
    const hot = new ReadThroughCache(new MemoryCache())
    const load = vi.fn(async () => {
      await sleep(5)
      return { value: { name: 'Blue Lagoon' }, version: 3 }
    })
    const all = await Promise.all([1, 2, 3].map(() => readThrough(hot, 'venue', 'main:v1', load)))
    expect(all).toEqual(Array(3).fill({ name: 'Blue Lagoon' }))
    expect(await readThrough(hot, 'venue', 'main:v1', load)).toEqual({ name: 'Blue Lagoon' })
    expect(load).toHaveBeenCalledTimes(1)
    expect(hot.stats().get('venue')).toEqual({ hits: 1, misses: 3, failures: 0 })
  })

  it('does not keep what came too late, nor what is not there', async () => {
    const cache = new MemoryCache()
    const hot = new ReadThroughCache(cache)
    expect(
      await readThrough(hot, 'venue', 'v', async () => {
        await cache.put([entry('v', 9, 'newer')])
        return { value: 'older', version: 8 }
      }),
    ).toBe('older')
    expect(await readThrough(hot, 'venue', 'v', async () => null)).toBe('newer')
    expect(await readThrough(hot, 'venue', 'nobody', async () => null)).toBeNull()
  })

  it('an error of the load is told, and the next one loads again', async () => {
    const hot = new ReadThroughCache(new MemoryCache())
    await expect(readThrough(hot, 'venue', 'v', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
    expect(await readThrough(hot, 'venue', 'v', async () => ({ value: 1, version: 1 }))).toBe(1)
  })
})

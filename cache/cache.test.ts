import { expect, it } from 'vitest'
import { KINDS, MemoryCache } from './cache.ts'
import { cacheSuite, entry } from './testing/suite.ts'

cacheSuite('the cache in this process', () => new MemoryCache())

it('the cache in this process is bounded, and lets go of what was used longest ago', async () => {
  const cache = new MemoryCache(2)
  await cache.put([entry('a', 1, 'a'), entry('b', 1, 'b')])
  await cache.get('venue', 'a')
  await cache.put([entry('c', 1, 'c')])
  expect([await cache.get('venue', 'a'), await cache.get('venue', 'b')]).toEqual(['"a"', null])
})

it('no key holds personal data: an id, and what is asked for', () => {
  for (const { key } of Object.values(KINDS)) expect(key('main:v1')).toMatch(/^v1:[a-z_]+:\{?main:v1\}?$/)
})

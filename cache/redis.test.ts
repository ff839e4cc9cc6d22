import { randomUUID } from 'node:crypto'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connectRedis } from '../test/stack/redis.ts'
import { describeWithStack } from '../test/stack/vitest.ts'
import { KINDS, type Kind } from './cache.ts'
import { RedisCache } from './redis.ts'
import { cacheSuite, entry } from './testing/suite.ts'

await describeWithStack('on a real Redis', ({ REDIS_URL }) => {
  let shared: Redis
  beforeAll(async () => {
    shared = await connectRedis(REDIS_URL, 2_000)
  })
  afterAll(() => shared.disconnect())
  cacheSuite('the cache', () => new RedisCache(shared))

  it('every key has a time to live', async () => {
    const id = randomUUID()
    const kinds = Object.keys(KINDS) as Kind[]
    await new RedisCache(shared).put(kinds.flatMap(kind => [entry(id, 1, kind, kind), entry(`${id}x`, 1, null, kind)]))
    for (const kind of kinds) {
      const left = await shared.pttl(KINDS[kind].key(id))
      expect(left / KINDS[kind].ttlMs).toBeGreaterThan(0.89)
      expect(left / KINDS[kind].ttlMs).toBeLessThan(1.11)
      expect(await shared.pttl(KINDS[kind].key(`${id}x`))).toBeGreaterThan(0)
    }
  })
})

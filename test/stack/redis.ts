import { once } from 'node:events'
import type { Redis } from 'ioredis'
import { openRedis } from '../../cache/redis.ts'

/** A connection that can be used at once. The service's own fails while it is not connected. */
export async function connectRedis(url: string, timeoutMs = 5_000): Promise<Redis> {
  const redis = openRedis(url, { timeoutMs, onError: () => {} })
  if (redis.status !== 'ready') await once(redis, 'ready')
  return redis
}

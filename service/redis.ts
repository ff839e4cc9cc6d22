/** Cached lookups, in Redis or in this process. */
import type { Redis } from 'ioredis'
import { startProjection } from '../engine/projection.ts'
import { MemoryCache } from '../cache/cache.ts'
import { type ReadThrough, ReadThroughCache } from '../cache/read-through.ts'
import { openRedis, RedisCache } from '../cache/redis.ts'
import { CACHED, entriesOf } from '../sinks/redis/store.ts'
import type { Decoded } from '../topics/codec.ts'
import type { LogRecord } from '../topics/log.ts'
import type { Parts } from './parts.ts'

/** A look-up that takes longer is made in the serving store. */
const API_REDIS_MS = 50
export const SINK_REDIS_MS = 5_000

export function openRedisOf({ logger, closers }: Parts, url: string, timeoutMs: number): Redis {
  let reported = false
  const onError = (error: Error) => {
    if (!reported) logger.warn({ reason: error.message }, 'Redis cannot be reached')
    reported = true
  }
  const redis = openRedis(url, { timeoutMs, onError })
  redis.on('ready', () => {
    reported = false
  })
  closers.push(() => redis.disconnect())
  return redis
}

/** Cached lookups: in Redis, which the sink fills; otherwise in this process, filled from the log. */
export async function startHot(parts: Parts): Promise<{ hot: ReadThrough; redis: Redis | null }> {
  const { settings, log, codec, closers, onError } = parts
  if (settings.redisUrl !== null) {
    const redis = openRedisOf(parts, settings.redisUrl, API_REDIS_MS)
    return { hot: new ReadThroughCache(new RedisCache(redis)), redis }
  }
  const cache = new MemoryCache()
  for (const topic of CACHED) {
    const apply = (_key: string, decoded: Decoded | null, record: LogRecord) => void cache.put(entriesOf(record, decoded))
    const projection = startProjection({ log, codec, topic, apply, onError: error => onError('hot look-ups', error) })
    closers.push(() => projection.close())
  }
  return { hot: new ReadThroughCache(cache), redis: null }
}

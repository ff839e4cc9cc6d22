/** The cache in Redis: one hash per key, with the version `v` and the JSON `j`. */
import { type ChainableCommander, Redis, type Result } from 'ioredis'
import { type Cache, type Entry, jittered, KINDS, type Kind, TOMBSTONE_MS } from './cache.ts'

/** KEYS: key. ARGV: version, JSON or empty for a deletion, TTL in ms. */
const PUT = `
local v = redis.call('HGET', KEYS[1], 'v')
if v then
  local held, offered = tonumber(v), tonumber(ARGV[1])
  if held > offered or (held == offered and redis.call('HEXISTS', KEYS[1], 'j') == 1) then return 0 end
end
if ARGV[2] == '' then
  redis.call('HDEL', KEYS[1], 'j')
  redis.call('HSET', KEYS[1], 'v', ARGV[1])
else
  redis.call('HSET', KEYS[1], 'v', ARGV[1], 'j', ARGV[2])
end
redis.call('PEXPIRE', KEYS[1], ARGV[3])
return 1`
const INVALIDATE = `
if redis.call('HDEL', KEYS[1], 'j') == 1 then redis.call('PEXPIRE', KEYS[1], ARGV[1]) end
return 1`
/** Moves a position from ARGV[1] to ARGV[2], with a TTL of ARGV[3] ms. When a position is lost, its keys are filled again. */
const MOVE = `
local at = redis.call('GET', KEYS[1]) or '0'
if at ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3])
return 1`

declare module 'ioredis' {
  interface RedisCommander<Context> {
    putVersioned(key: string, version: number, json: string, ttl: number): Result<number, Context>
    dropValue(key: string, ttl: number): Result<number, Context>
    movePosition(key: string, from: number, to: number, ttl: number): Result<number, Context>
  }
}

/**
 * A connection that fails at once while Redis is unreachable, and reconnects by itself.
 * @param timeoutMs time-out of a command
 */
export function openRedis(url: string, { timeoutMs, onError }: { timeoutMs: number; onError: (error: Error) => void }): Redis {
  const redis = new Redis(url, {
    commandTimeout: timeoutMs,
    connectTimeout: 2_000,
    maxRetriesPerRequest: 0,
    enableOfflineQueue: false,
    enableAutoPipelining: true, // commands of one tick go out together
    retryStrategy: tries => Math.min(50 * 2 ** tries, 2_000),
    connectionName: 'bma-social',
  })
  redis.on('error', onError)
  redis.defineCommand('putVersioned', { numberOfKeys: 1, lua: PUT })
  redis.defineCommand('dropValue', { numberOfKeys: 1, lua: INVALIDATE })
  redis.defineCommand('movePosition', { numberOfKeys: 1, lua: MOVE })
  return redis
}

/** Adds entries to a pipeline. */
export function putAll(pipeline: ChainableCommander, entries: readonly Entry[]): void {
  for (const { kind, id, version, json } of entries) {
    const { key, ttlMs } = KINDS[kind]
    pipeline.putVersioned(key(id), version, json ?? '', jittered(json === null ? TOMBSTONE_MS : ttlMs))
  }
}

/** Runs a pipeline. @throws the first error of its commands */
export async function run(pipeline: ChainableCommander): Promise<unknown[]> {
  const answers = (await pipeline.exec()) ?? []
  return answers.map(([error, answer]) => {
    if (error !== null) throw error
    return answer
  })
}

export class RedisCache implements Cache {
  readonly #redis: Redis

  constructor(redis: Redis) {
    this.#redis = redis
  }

  async get(kind: Kind, id: string): Promise<string | null> {
    return this.#redis.hget(KINDS[kind].key(id), 'j')
  }

  async put(entries: readonly Entry[]): Promise<void> {
    const pipeline = this.#redis.pipeline()
    putAll(pipeline, entries)
    await run(pipeline)
  }

  async invalidate(kind: Kind, id: string): Promise<void> {
    await this.#redis.dropValue(KINDS[kind].key(id), TOMBSTONE_MS)
  }

  /** Drops the sink's positions too, so that it fills the cache again. */
  async flush(): Promise<void> {
    for await (const keys of this.#redis.scanStream({ match: 'v1:*', count: 1000 })) {
      if ((keys as string[]).length > 0) await this.#redis.unlink(...(keys as string[]))
    }
  }
}

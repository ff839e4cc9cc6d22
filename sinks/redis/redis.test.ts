import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import fc from 'fast-check'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { connectRedis } from '../../test/stack/redis.ts'
import { freePort, Server } from '../../test/stack/server.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { partitionKey } from '../../topics/log.ts'
import { type Batch, OwnershipLost, startSink } from '../sink.ts'
import { TestLog } from '../testing/log.ts'
import { type Cache, type Entry, KINDS, type Kind, MemoryCache } from './cache.ts'
import { Hot } from './hot.ts'
import { openRedis, RedisCache } from './redis.ts'
import { redisStore } from './store.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const AT = Date.UTC(2026, 4, 1)
const entry = (id: string, version: number, value: unknown, kind: Kind = 'venue'): Entry => ({
  kind,
  id,
  version,
  json: value === null ? null : JSON.stringify(value),
})

function cacheSuite(name: string, make: () => Cache): void {
  describe(name, () => {
    let cache: Cache
    let prefix = ''
    beforeEach(() => {
      cache = make()
      prefix = randomUUID()
    })
    const get = async (id: string) => JSON.parse((await cache.get('venue', id)) ?? 'null')

    it('keeps the newest, whatever the order', async () => {
      await cache.put([entry(prefix, 5, 'five')])
      await cache.put([entry(prefix, 4, 'four'), entry(prefix, 5, 'another five')])
      expect(await get(prefix)).toBe('five')
      await cache.put([entry(prefix, 6, 'six')])
      expect(await get(prefix)).toBe('six')
    })

    it('what was deleted does not come back by an older value', async () => {
      await cache.put([entry(prefix, 5, 'five')])
      await cache.put([entry(prefix, 7, null)])
      await cache.put([entry(prefix, 6, 'six')])
      expect(await get(prefix)).toBeNull()
      await cache.put([entry(prefix, 8, 'eight')])
      expect(await get(prefix)).toBe('eight')
    })

    it('invalidated, it takes what is as new or newer, and nothing older', async () => {
      await cache.put([entry(prefix, 5, 'five')])
      await cache.invalidate('venue', prefix)
      expect(await get(prefix)).toBeNull()
      await cache.put([entry(prefix, 4, 'four')])
      expect(await get(prefix)).toBeNull()
      await cache.put([entry(prefix, 5, 'five again')])
      expect(await get(prefix)).toBe('five again')
    })

    it('any order of writes is the newest of them', async () => {
      const write = fc.record({ id: fc.constantFrom('a', 'b'), version: fc.nat(9), deleted: fc.boolean() })
      await fc.assert(
        fc.asyncProperty(fc.array(write, { maxLength: 12 }), fc.uuid(), async (writes, run) => {
          const model = new Map<string, { version: number; deleted: boolean }>()
          for (const { id, version, deleted } of writes) {
            await cache.put([entry(run + id, version, deleted ? null : version)])
            const held = model.get(id)
            if (held === undefined || held.version < version || (held.version === version && held.deleted))
              model.set(id, { version, deleted })
          }
          for (const [id, { version, deleted }] of model) expect(await get(run + id)).toBe(deleted ? null : version)
        }),
        { numRuns: 60 },
      )
    })
  })
}

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

async function readThrough(hot: Hot, ...of: Parameters<Hot['readText']>): Promise<unknown> {
  return JSON.parse((await hot.readText(...of)) ?? 'null')
}

describe('reading through', () => {
  it('loads once for all who ask at once, then not again', async () => {
    const hot = new Hot(new MemoryCache())
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
    const hot = new Hot(cache)
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
    const hot = new Hot(new MemoryCache())
    await expect(readThrough(hot, 'venue', 'v', () => Promise.reject(new Error('away')))).rejects.toThrow('away')
    expect(await readThrough(hot, 'venue', 'v', async () => ({ value: 1, version: 1 }))).toBe(1)
  })
})

await describeWithStack('on a real Redis', ({ REDIS_URL }) => {
  const opened: Redis[] = []
  const open = async (url: string, timeoutMs = 2_000) => {
    const redis = await connectRedis(url, timeoutMs)
    opened.push(redis)
    return redis
  }
  afterAll(() => {
    for (const redis of opened) redis.disconnect()
  })
  let shared: Redis
  beforeAll(async () => {
    shared = await open(REDIS_URL)
  })
  cacheSuite('the cache', () => new RedisCache(shared))

  it('every key has a time to live', async () => {
    const id = randomUUID()
    const kinds = Object.keys(KINDS) as Kind[]
    await new RedisCache(shared).put(kinds.flatMap(kind => [entry(id, 1, kind, kind), entry(`${id}x`, 1, null, kind)]))
    for (const kind of kinds) {
      const left = await shared.pttl(KINDS[kind].key(id))
      expect(left / KINDS[kind].ttl).toBeGreaterThan(0.89)
      expect(left / KINDS[kind].ttl).toBeLessThan(1.11)
      expect(await shared.pttl(KINDS[kind].key(`${id}x`))).toBeGreaterThan(0)
    }
  })

  describe('filled from the log', () => {
    let server: Server
    let redis: Redis
    const startServer = async () => {
      const port = await freePort()
      server = new Server({
        name: 'redis',
        command: 'redis-server',
        args: ['--port', String(port), '--bind', '127.0.0.1', '--save', '', '--appendonly', 'no'],
        logFile: '/dev/null',
        ready: async () => {
          const probe = openRedis(`redis://127.0.0.1:${port}`, { timeoutMs: 500, onError: () => {} })
          try {
            await new Promise((resolve, reject) => probe.once('ready', resolve).once('error', reject))
            return true
          } finally {
            probe.disconnect()
          }
        },
      })
      await server.start()
      redis = await open(`redis://127.0.0.1:${port}`)
    }

    let log: TestLog
    const names = new Map<string, string>()
    const put = async (n: number) => {
      const venue = `main:v${n % 20}`
      names.set(venue, `Venue ${n}`)
      await log.put('venue.profiles', venue, 'VenueProfile', { venue, name: `Venue ${n}`, updatedAt: AT })
    }
    const equal = () =>
      vi.waitFor(
        async () => {
          for (const [venue, name] of names) {
            const json = await redis.hget(KINDS.venue.key(venue), 'j')
            expect((JSON.parse(json ?? '{}') as { name?: string }).name).toBe(name)
          }
        },
        { timeout: 15_000, interval: 50 },
      )

    it('equals the log: after a flush, a restart empty, a kill in the middle, and a server that hangs', {
      timeout: 60_000,
    }, async () => {
      await startServer()
      log = await TestLog.open()
      names.clear()
      const sink = await startSink({ log, codec: log.codec, store: redisStore(redis), logger: quiet })
      try {
        for (let n = 0; n < 100; n++) await put(n)
        await equal()
        await redis.flushall() // nothing is written afterwards: it is noticed all the same
        await equal()
        const writing = (async () => {
          for (let n = 100; n < 400; n++) {
            await put(n)
            await sleep(5)
          }
        })()
        await sleep(300)
        await server.kill()
        await vi.waitFor(() => expect(sink.status().status).toBe('down'), { timeout: 5_000 })
        await sleep(200)
        await server.start()
        await writing
        await equal()
        const quick = await open(`redis://${redis.options.host}:${redis.options.port}`, 50)
        const hot = new Hot(new RedisCache(quick))
        expect(await readThrough(hot, 'venue', 'main:v1', async () => null)).toMatchObject({ id: 'main:v1' })
        server.signal('SIGSTOP')
        const began = performance.now()
        expect(await readThrough(hot, 'venue', 'main:v1', async () => ({ value: 'from the store', version: 0 }))).toBe(
          'from the store',
        )
        expect(performance.now() - began).toBeLessThan(500)
        for (let n = 400; n < 420; n++) await put(n)
        await sleep(2_500)
        server.signal('SIGCONT')
        await equal()
        expect(sink.status().skipped).toBe(0)
        // Positions, too.
        for (const key of await redis.keys('*')) expect(await redis.pttl(key), key).toBeGreaterThan(0)
      } finally {
        await sink.close()
        await server.kill()
      }
    })
  })

  describe('the store of the sink', () => {
    const at = { topic: 'venue.profiles', partition: 0 }
    const batch = (from: number, next: number, venue: string, log: TestLog): Batch => {
      const value = log.codec.encode('venue.profiles', 'VenueProfile', { venue, name: `at ${next}`, updatedAt: AT })
      const record = { ...at, offset: next - 1, timestamp: AT, key: venue, value, headers: {} }
      return { partition: at, from, next, records: [{ record, decoded: log.codec.decode(value) }] }
    }

    it('moves a position once: whoever is late writes nothing', async () => {
      const log = await TestLog.open()
      await shared.del(`v1:sink:${partitionKey(at)}`)
      const store = redisStore(shared)
      const venue = randomUUID()
      expect(await store.claim([at])).toEqual([{ position: 0 }])
      await store.write([batch(0, 5, venue, log)])
      await expect(store.write([batch(0, 7, venue, log)])).rejects.toThrow(OwnershipLost)
      expect(JSON.parse((await shared.hget(KINDS.venue.key(venue), 'j')) as string)).toMatchObject({ name: 'at 5' })
      expect(await store.claim([at])).toEqual([{ position: 5 }])
      expect(await store.check?.([{ ...at, offset: 5 }])).toEqual([])
      await shared.del(`v1:sink:${partitionKey(at)}`)
      expect(await store.check?.([{ ...at, offset: 5 }])).toHaveLength(1)
    })

    it('values without their position are written again', async () => {
      const log = await TestLog.open()
      await shared.del(`v1:sink:${partitionKey(at)}`)
      const store = redisStore(shared)
      const venue = randomUUID()
      const move = vi.spyOn(shared, 'pipeline')
      move.mockImplementationOnce(() => {
        move.mockImplementationOnce(() => {
          throw new Error('cut off')
        })
        return Object.getPrototypeOf(shared).pipeline.call(shared)
      })
      await expect(store.write([batch(0, 5, venue, log)])).rejects.toThrow('cut off')
      move.mockRestore()
      await store.write([batch(0, 5, venue, log)])
      expect(await store.claim([at])).toEqual([{ position: 5 }])
    })
  })
})

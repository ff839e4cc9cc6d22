import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Redis } from 'ioredis'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { KINDS } from '../../cache/cache.ts'
import { ReadThroughCache } from '../../cache/read-through.ts'
import { openRedis, RedisCache } from '../../cache/redis.ts'
import { readThrough } from '../../cache/testing/suite.ts'
import { connectRedis } from '../../test/stack/redis.ts'
import { freePort, Server } from '../../test/stack/server.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { partitionKey } from '../../topics/log.ts'
import { startSink } from '../sink.ts'
import { type RecordBatch, OwnershipLost } from '../store.ts'
import { TestLog } from '../testing/log.ts'
import { redisStore } from './store.ts'

const quiet = { info: () => {}, warn: () => {}, error: () => {} }
const AT = Date.UTC(2026, 4, 1)

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
        const hot = new ReadThroughCache(new RedisCache(quick))
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
    const batch = (from: number, next: number, venue: string, log: TestLog): RecordBatch => {
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

import { randomUUID } from 'node:crypto'
import fastify, { type FastifyInstance } from 'fastify'
import { Redis } from 'ioredis'
import { afterEach, expect, test } from 'vitest'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { handleError } from '../problem.ts'
import { LIMITS, type LimitName } from './limits.ts'
import { rateLimits } from './rate-limits.ts'
import type { Principal } from './principal.ts'
import { deriveKey } from './tokens.ts'

const opened: FastifyInstance[] = []
const warnings: object[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(app => app.close()))
  warnings.length = 0
})

/** Counts as Redis does, without its clock; shared by every server it is given to. */
class FakeRedis {
  status = 'ready'
  broken: 'no' | 'refuses' | 'hangs' = 'no'
  asked = 0
  readonly counts = new Map<string, number>()
  multi() {
    const results: [null, unknown][] = []
    const chain = {
      set: (key: string, value: number) => {
        if (!this.counts.has(key)) this.counts.set(key, value)
        results.push([null, 'OK'])
        return chain
      },
      incrby: (key: string, by: number) => {
        this.counts.set(key, (this.counts.get(key) ?? 0) + by)
        results.push([null, this.counts.get(key)])
        return chain
      },
      pttl: () => {
        results.push([null, 60_000])
        return chain
      },
      exec: async () => {
        this.asked++
        if (this.broken === 'hangs') return new Promise<never>(() => {})
        if (this.broken === 'refuses') throw new Error('LOADING')
        await new Promise(setImmediate)
        return results
      },
    }
    return chain
  }
}

async function server(options: { redis?: FakeRedis | Redis; max?: Partial<Record<LimitName, number>> } = {}) {
  const app = fastify({ trustProxy: true })
  opened.push(app)
  app.setErrorHandler(handleError)
  app.decorateRequest('principal', null as never)
  app.addHook('onRequest', async request => {
    const { who } = request.headers
    if (typeof who === 'string') request.principal = { kind: 'user', id: who, scope: { tenant: 'main' } } as Principal
  })
  const limiter = rateLimits({
    redis: (options.redis as unknown as Redis) ?? null,
    max: options.max ?? {},
    key: deriveKey('key', 'addresses'),
    log: { warn: (o: object) => void warnings.push(o) } as never,
  })
  for (const name of Object.keys(LIMITS) as LimitName[]) {
    app.get(`/${name}`, { onRequest: limiter(name) }, async () => 'ok')
    app.get(`/${name}/another`, { onRequest: limiter(name) }, async () => 'ok')
  }
  await app.ready()
  return app
}

const ask = (app: FastifyInstance, url: string, headers: Record<string, string> = {}) => app.inject({ url, headers })
async function allowed(app: FastifyInstance, url: string, tries: number, headers: Record<string, string> = {}) {
  const answers = await Promise.all(Array.from({ length: tries }, () => ask(app, url, headers)))
  return answers.filter(({ statusCode }) => statusCode === 200).length
}

test.each(Object.entries(LIMITS))('%s: as many as documented, and no more', async (name, { max: documented }) => {
  // Requesting all of them would take longer than the window, so some of them must do.
  const max = Math.min(documented, 1_000)
  const app = await server(max < documented ? { max: { [name]: max } } : {})
  expect(await allowed(app, `/${name}`, max + 5, { who: 'nok' })).toBe(max)
})

test('the limits are those of the documentation', () => {
  expect(
    Object.fromEntries(Object.entries(LIMITS).map(([name, { max, windowMs }]) => [name, `${max} in ${windowMs / 1000} s`])),
  ).toEqual({
    search: '100 in 60 s',
    status: '1000 in 60 s',
    token: '600 in 60 s',
    sync: '10 in 60 s',
    email: '50 in 3600 s',
    login: '10 in 60 s',
    webhooks: '60000 in 60 s',
    other: '600 in 60 s',
  })
})

test('the response shows how many are left, and when to retry', async () => {
  const app = await server({ max: { sync: 2 } })
  const first = await ask(app, '/sync', { who: 'nok' })
  expect(first.headers).toMatchObject({ 'ratelimit-limit': '2', 'ratelimit-remaining': '1', 'ratelimit-reset': '60' })
  await ask(app, '/sync', { who: 'nok' })
  const refused = await ask(app, '/sync', { who: 'nok' })
  expect(refused.statusCode).toBe(429)
  expect(refused.headers).toMatchObject({ 'ratelimit-remaining': '0', 'content-type': expect.stringContaining('problem+json') })
  expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0)
  expect(refused.json()).toMatchObject({ status: 429, code: 'rate_limited' })
})

test('routes share the count of a limit; limits and principals are counted separately', async () => {
  const app = await server({ max: { sync: 2 } })
  expect(await allowed(app, '/sync', 1, { who: 'nok' })).toBe(1)
  expect(await allowed(app, '/sync/another', 3, { who: 'nok' })).toBe(1)
  expect(await allowed(app, '/sync', 3, { who: 'lek' })).toBe(2)
  expect(await allowed(app, '/search', 3, { who: 'nok' })).toBe(3)
})

test('requests without a token count by address', async () => {
  const app = await server({ max: { login: 2 } })
  const from = (ip: string) => ({ 'x-forwarded-for': ip })
  expect(await allowed(app, '/login', 3, from('192.0.2.1'))).toBe(2)
  expect(await allowed(app, '/login', 3, from('192.0.2.2'))).toBe(2)
  // An IPv6 network counts as one address.
  expect(await allowed(app, '/login', 2, from('2001:db8::1'))).toBe(2)
  expect(await allowed(app, '/login', 2, from('2001:db8::2'))).toBe(0)
})

test('processes that share a Redis count together, exactly, and ask it seldom', async () => {
  const redis = new FakeRedis()
  const apps = await Promise.all([server({ redis }), server({ redis })])
  let passed = 0
  for (let i = 0; i < 80; i++) {
    for (const app of apps) passed += await allowed(app, '/status', 10, { who: 'nok' })
  }
  expect(passed).toBe(1_000)
  expect(redis.asked).toBeLessThan(200)
  // Small limits are counted one by one.
  expect((await allowed(apps[0] as FastifyInstance, '/sync', 6)) + (await allowed(apps[1] as FastifyInstance, '/sync', 6))).toBe(
    10,
  )
  // The keys contain no addresses or ids.
  for (const key of redis.counts.keys()) expect(key).toMatch(/^limit:(status|sync):[\w-]{43}$/)
})

test.each(['refuses', 'hangs'] as const)('a Redis that %s does no harm: each process counts on its own', async broken => {
  const redis = new FakeRedis()
  redis.broken = broken
  const app = await server({ redis, max: { sync: 3 } })
  expect(await allowed(app, '/sync', 5)).toBe(3)
  const asked = redis.asked
  expect(await allowed(app, '/sync', 5)).toBe(0)
  expect(redis.asked).toBe(asked) // it is not asked for a while
  expect(warnings.length).toBeGreaterThan(0)
})

test('a Redis that is not connected is not waited for', async () => {
  const redis = new FakeRedis()
  redis.status = 'reconnecting'
  const app = await server({ redis, max: { sync: 3 } })
  expect(await allowed(app, '/sync', 5)).toBe(3)
  expect(redis.asked).toBe(0)
})

await describeWithStack('rate limits on a real Redis', ({ REDIS_URL }) => {
  test('are counted across processes, and forgotten when the window ends', async () => {
    const redis = new Redis(REDIS_URL)
    const [who, name] = [randomUUID(), 'search']
    try {
      const before = await redis.keys(`limit:${name}:*`)
      const apps = await Promise.all([server({ redis, max: { search: 10 } }), server({ redis, max: { search: 10 } })])
      const passed = await Promise.all(apps.map(app => allowed(app, `/${name}`, 9, { who })))
      expect((passed[0] as number) + (passed[1] as number)).toBe(10)
      const keys = (await redis.keys(`limit:${name}:*`)).filter(key => !before.includes(key))
      expect(keys).toHaveLength(1)
      const left = await redis.pttl(keys[0] as string)
      expect(left).toBeGreaterThan(0)
      expect(left).toBeLessThanOrEqual(60_000)
      redis.disconnect()
      expect(await allowed(apps[0] as FastifyInstance, '/sync', 11, { who })).toBe(10)
    } finally {
      redis.disconnect()
    }
  })
})

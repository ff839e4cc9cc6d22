/** How often somebody may ask. */
import { createHmac, type KeyObject } from 'node:crypto'
import rateLimit, { normalizeIP } from '@fastify/rate-limit'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { Problem } from '../problem.ts'
import { Counters } from './counters.ts'
import { nameOf } from './principal.ts'

const MINUTE = 60 * 1000

/** Each counts by itself, for each who asks: by user, key or token, and by address where there is none. */
export const LIMITS = {
  /** Lists and searches of venues. */
  search: { max: 100, windowMs: MINUTE },
  /** A venue, its zones, a conversation. */
  status: { max: 1_000, windowMs: MINUTE },
  /** Refreshing what comes from outside. */
  sync: { max: 10, windowMs: MINUTE },
  /** Sending e-mail. */
  email: { max: 50, windowMs: 60 * MINUTE },
  login: { max: 10, windowMs: MINUTE },
  /** Tokens that are none, by address. */
  token: { max: 600, windowMs: MINUTE },
  /** Of those whose signature is still to be checked. Providers have few addresses, and all traffic comes from them. */
  webhooks: { max: 60_000, windowMs: MINUTE },
  other: { max: 600, windowMs: MINUTE },
} as const satisfies Readonly<Record<string, { readonly max: number; readonly windowMs: number }>>
export type LimitName = keyof typeof LIMITS

/** A hook for each limit; it throws the refusal. */
export type Limiter = (limit: LimitName) => (request: FastifyRequest, reply: FastifyReply) => Promise<unknown>

/**
 * @param redis where all processes count together; null counts in this one
 * @param max other limits than those above, in the same windows
 * @param key of the digests of addresses, which are not kept
 */
export async function rateLimits(
  app: FastifyInstance,
  options: { redis: Redis | null; max: Partial<Record<LimitName, number>>; key: KeyObject; log: Pick<Logger, 'warn'> },
): Promise<Limiter> {
  const { redis, max, key, log } = options
  const counters = new Counters(redis, log)
  const store = class {
    constructor() {
      // biome-ignore lint/correctness/noConstructorReturn: the plugin makes its store itself, and there is one for all limits
      return counters
    }
  } as unknown as new () => Counters
  await app.register(rateLimit, {
    global: false,
    enableDraftSpec: true,
    store,
    errorResponseBuilder: (_, { max, after }) =>
      new Problem('rate_limited', `no more than ${max} of these: try again in ${after}`),
  })
  // An address is personal, and so may be the id that the CRM gives somebody: neither is in a key.
  const who = ({ principal, ip }: FastifyRequest) =>
    createHmac('sha256', key)
      .update(principal === null ? normalizeIP(ip) : nameOf(principal))
      .digest('base64url')
  const hookOf = (name: LimitName): ReturnType<Limiter> => {
    const { max: usual, windowMs } = LIMITS[name]
    const hook = app.rateLimit({
      max: max[name] ?? usual,
      timeWindow: windowMs,
      keyGenerator: request => `${name}:${who(request)}`,
    })
    return (request, reply) => hook.call(app, request as never, reply as never) as Promise<unknown>
  }
  const hooks = new Map((Object.keys(LIMITS) as LimitName[]).map(name => [name, hookOf(name)]))
  return name => hooks.get(name) as ReturnType<Limiter>
}

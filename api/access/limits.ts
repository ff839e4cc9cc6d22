/** How often somebody may ask. */
import { createHmac, type KeyObject } from 'node:crypto'
import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { Problem } from '../problem.ts'
import { type Counted, Counters } from './counters.ts'
import { nameOf, type Principal } from './principal.ts'

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

/** A hook for each limit; what it refuses it hands over as a Problem. Where all is counted in this process, it does so at once. */
export type Limiter = (limit: LimitName) => onRequestHookHandler

/** Addresses whose names are kept. */
const MOST_NAMES = 10_000

/**
 * @param redis where all processes count together; null counts in this one
 * @param max other limits than those above, in the same windows
 * @param key of the digests of addresses, which are not kept
 */
export function rateLimits(options: {
  redis: Redis | null
  max: Partial<Record<LimitName, number>>
  key: KeyObject
  log: Pick<Logger, 'warn'>
}): Limiter {
  const counters = new Counters(options.redis, options.log)
  const who = nameless(options.key)
  const hookOf = (name: LimitName): onRequestHookHandler => {
    const { windowMs } = LIMITS[name]
    const max = options.max[name] ?? LIMITS[name].max
    return (request, reply, done) => {
      const counted = counters.count(`${name}:${who(request)}`, windowMs, max)
      if (counted instanceof Promise) counted.then(so => done(tell(reply, so, max)), done)
      else done(tell(reply, counted, max))
    }
  }
  const hooks = new Map((Object.keys(LIMITS) as LimitName[]).map(name => [name, hookOf(name)]))
  return name => hooks.get(name) as onRequestHookHandler
}

/** Says how many are left (draft-ietf-httpapi-ratelimit-headers), and refuses what is beyond. */
function tell(reply: FastifyReply, { count, endsInMs }: Counted, max: number): Problem | undefined {
  const seconds = Math.ceil(endsInMs / 1000)
  reply.header('ratelimit-limit', max)
  reply.header('ratelimit-remaining', Math.max(0, max - count))
  reply.header('ratelimit-reset', seconds)
  if (count <= max) return undefined
  return new Problem('rate_limited', `no more than ${max} of these: try again in ${seconds} s`, { retryAfter: seconds })
}

/**
 * A name of whoever asks that says nothing of them: an address is personal, and so may be the id that the CRM gives somebody. It is
 * made once of each principal and address, for as long as they are known.
 */
function nameless(key: KeyObject): (request: FastifyRequest) => string {
  const ofPrincipals = new WeakMap<Principal, string>()
  /** The oldest first. */
  const ofAddresses = new Map<string, string>()
  const digest = (text: string) => createHmac('sha256', key).update(text).digest('base64url')
  return ({ principal, ip }) => {
    const known = principal === null ? ofAddresses.get(ip) : ofPrincipals.get(principal)
    if (known !== undefined) return known
    const made = digest(principal === null ? normalizeIP(ip) : nameOf(principal))
    if (principal !== null) ofPrincipals.set(principal, made)
    else {
      if (ofAddresses.size >= MOST_NAMES) ofAddresses.delete(ofAddresses.keys().next().value as string)
      ofAddresses.set(ip, made)
    }
    return made
  }
}

/** Enforces the rate limits. */
import { createHmac, type KeyObject } from 'node:crypto'
import { normalizeIP } from '@fastify/rate-limit'
import type { FastifyReply, FastifyRequest, onRequestHookHandler } from 'fastify'
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { Problem } from '../problem.ts'
import { type Counted, Counters } from './counters.ts'
import { LIMIT_NAMES, LIMITS, type LimitName } from './limits.ts'
import { type Principal, principalKey } from './principal.ts'
import './route-config.ts'

/** A hook for each limit, which passes on a Problem when the limit is exceeded. Without Redis it does not yield. */
export type Limiter = (limit: LimitName) => onRequestHookHandler

/** Addresses whose digests are cached. */
const MAX_ADDRESSES = 10_000

/**
 * @param redis shares the counts between processes; null counts in this process
 * @param max overrides of the limits, within the same windows
 * @param key of the digests of addresses, which are not stored
 */
export function rateLimits(options: {
  redis: Redis | null
  max: Partial<Record<LimitName, number>>
  key: KeyObject
  log: Pick<Logger, 'warn'>
}): Limiter {
  const counters = new Counters(options.redis, options.log)
  const who = anonymousNames(options.key)
  const hookOf = (name: LimitName): onRequestHookHandler => {
    const { windowMs } = LIMITS[name]
    const max = options.max[name] ?? LIMITS[name].max
    return (request, reply, done) => {
      const counted = counters.count(`${name}:${who(request)}`, windowMs, max)
      if (counted instanceof Promise) counted.then(result => done(check(reply, result, max)), done)
      else done(check(reply, counted, max))
    }
  }
  const hooks = new Map(LIMIT_NAMES.map(name => [name, hookOf(name)]))
  return name => hooks.get(name) as onRequestHookHandler
}

/** Sets the headers of draft-ietf-httpapi-ratelimit-headers. @returns a problem if the limit is exceeded */
function check(reply: FastifyReply, { count, endsInMs }: Counted, max: number): Problem | undefined {
  const seconds = Math.ceil(endsInMs / 1000)
  reply.header('ratelimit-limit', max)
  reply.header('ratelimit-remaining', Math.max(0, max - count))
  reply.header('ratelimit-reset', seconds)
  if (count <= max) return undefined
  return new Problem('rate_limited', `rate limit of ${max} exceeded: try again in ${seconds} s`, { retryAfter: seconds })
}

/**
 * Names requesters by a digest: addresses are personal data, and so may be the CRM's user ids. Each digest is computed once per
 * principal or address while that is cached.
 */
function anonymousNames(key: KeyObject): (request: FastifyRequest) => string {
  const ofPrincipals = new WeakMap<Principal, string>()
  /** Oldest first. */
  const ofAddresses = new Map<string, string>()
  const digest = (text: string) => createHmac('sha256', key).update(text).digest('base64url')
  return ({ principal, ip }) => {
    const known = principal === null ? ofAddresses.get(ip) : ofPrincipals.get(principal)
    if (known !== undefined) return known
    const made = digest(principal === null ? normalizeIP(ip) : principalKey(principal))
    if (principal !== null) ofPrincipals.set(principal, made)
    else {
      if (ofAddresses.size >= MAX_ADDRESSES) ofAddresses.delete(ofAddresses.keys().next().value as string)
      ofAddresses.set(ip, made)
    }
    return made
  }
}

/**
 * Who sees how the service is doing inside: metrics, the document of the API, what is wrong with a dependency. By default those on this
 * machine, Prometheus with METRICS_TOKEN, and whoever may see the settings; with PUBLIC_DETAILS, everybody.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { tokenOf } from './access/authentication.ts'
import type { Identities } from './access/identities.ts'
import { may, seesEverything } from './access/principal.ts'
import { Problem } from './problem.ts'

export interface InsiderOptions {
  /** Everybody is one. */
  readonly publicDetails?: boolean
  /** Lets a program in that is none of the API's. */
  readonly metricsToken?: string | null
}

export type IsInsider = (request: FastifyRequest) => Promise<boolean>

/** @param identities null where there are no tokens */
export function insiders(
  { publicDetails = false, metricsToken = null }: InsiderOptions,
  identities: Identities | null,
): IsInsider {
  const own = metricsToken === null ? null : digest(metricsToken)
  return async request => {
    if (publicDetails || isLocal(request)) return true
    const token = tokenOf(request)
    if (token === null) return false
    if (own !== null && timingSafeEqual(digest(token), own)) return true
    const principal = (await identities?.of(token, request.ip)) ?? null
    return principal !== null && may(principal, 'settings:read') && seesEverything(principal)
  }
}

/** Pages and numbers that are for insiders alone. */
const INSIDE = /^\/(?:metrics|openapi\.json|docs(?:\/.*)?)$/

export function keepInside(app: FastifyInstance, isInsider: IsInsider): void {
  const outside = () =>
    new Problem('unauthorized', 'this is for those who run the service: send METRICS_TOKEN, or a token that may see its settings')
  app.addHook('onRequest', (request, _reply, done) => {
    if (!INSIDE.test(request.routeOptions.url ?? '')) return done()
    isInsider(request).then(inside => done(inside ? undefined : outside()), done)
  })
}

/**
 * Whether a request comes from this machine and on nobody else's behalf: no proxy says for whom it asks, and no page of another site
 * has had its name point here (DNS rebinding).
 */
export function isLocal({ ip, headers }: FastifyRequest): boolean {
  if (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined) return false
  const host = headers.host ?? ''
  return /^(?:::ffff:)?127\.|^::1$/.test(ip) && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i.test(host)
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}

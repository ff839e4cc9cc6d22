/**
 * Who sees internals of the service: metrics, the OpenAPI document, what is wrong with a dependency. By default requests from this
 * machine, with METRICS_TOKEN, or from principals who may read the settings; with PUBLIC_DETAILS, everybody.
 */
import { hash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { tokenOf } from './access/authentication.ts'
import type { Identities } from './access/identities.ts'
import { hasPermission, isInstallationWide } from './access/principal.ts'
import { Problem } from './problem.ts'
import { permissions as settings } from './routes/settings.ts'

export interface InsiderOptions {
  /** Everybody is an insider. */
  readonly publicDetails?: boolean
  /** The bearer token of a monitoring system. */
  readonly metricsToken?: string | null
}

export type IsInsider = (request: FastifyRequest) => Promise<boolean>

/** @param identities null in a process without the API, which has no tokens */
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
    return principal !== null && hasPermission(principal, settings.READ) && isInstallationWide(principal)
  }
}

const RESTRICTED = /^\/(?:metrics|openapi\.json|docs(?:\/.*)?)$/

/** Refuses metrics and API documentation to everybody else. */
export function restrictToInsiders(app: FastifyInstance, isInsider: IsInsider): void {
  const refused = () =>
    new Problem('unauthorized', 'restricted to operators: send METRICS_TOKEN, or a token with the permission settings:read')
  app.addHook('onRequest', (request, _reply, done) => {
    if (!RESTRICTED.test(request.routeOptions.url ?? '')) return done()
    isInsider(request).then(inside => done(inside ? undefined : refused()), done)
  })
}

/**
 * Whether a request comes from this machine, and neither through a proxy on behalf of somebody else, nor from a page of another site
 * whose name resolves to this machine (DNS rebinding).
 */
export function isLocal({ ip, headers }: FastifyRequest): boolean {
  if (headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined) return false
  const host = headers.host ?? ''
  return /^(?:::ffff:)?127\.|^::1$/.test(ip) && /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])(?::\d{1,5})?$/i.test(host)
}

function digest(text: string): Buffer {
  return hash('sha256', text, 'buffer')
}

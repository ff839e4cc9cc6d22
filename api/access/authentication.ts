/**
 * What every protected request passes, in this order:
 *
 *   request ─▶ token? 401 ─▶ rate limit? 429 ─▶ permission? 403 ─▶ route
 *
 * A protected route must declare a permission, or that it is public: otherwise the server refuses to start.
 */
import type { FastifyContextConfig, FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import { Problem } from '../problem.ts'
import { addAuditHooks } from './audit-hooks.ts'
import type { AuditTrail } from './audit-trail.ts'
import type { Identities } from './identities.ts'
import { hasPermission, isInstallationWide } from './principal.ts'
import type { Limiter } from './rate-limits.ts'
import './route-config.ts'

export interface AuthOptions {
  readonly identities: Identities
  readonly limiter: Limiter
  readonly trail: AuditTrail
  /** Also accepts the token wherever ClickHouse's clients put a password. */
  readonly passwords?: boolean
}

const PROTECTED_PATHS = ['/api', '/clickhouse']

/** Whether a URL, as it was received, leads to a protected path. */
export function isProtected(url: string): boolean {
  const first = /^\/[^/?#]*/.exec(url)?.[0] ?? ''
  return PROTECTED_PATHS.includes(decoded(first))
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** Requires authentication of every request in this scope. With a cached token and local counters it does not yield. */
export function requireAuth(scope: FastifyInstance, { identities, limiter, trail, passwords = false }: AuthOptions): void {
  scope.addHook('onRoute', route => void authenticated.add(route))
  addAuditHooks(scope, trail)
  scope.addHook('onRequest', (request, reply, done) => {
    reply.header('cache-control', 'no-store')
    const { config } = request.routeOptions
    const { limit = 'other' } = config
    const enter = () =>
      limiter(typeof limit === 'function' ? limit(request) : limit).call(scope, request, reply, refusal =>
        done(refusal ?? forbidden(request, config)),
      )
    if (config.public) return enter()
    const token = tokenOf(request, passwords)
    const known = token === null ? null : identities.cached(token)
    if (known === null) return void authenticate(request, identities, token).then(enter, done)
    request.principal = known
    enter()
  })
}

/** Why an authenticated principal may not use this route; undefined if they may. */
function forbidden(
  request: FastifyRequest,
  { permission, installationWide, public: open }: FastifyContextConfig,
): Problem | undefined {
  if (open || request.is404) return undefined
  const { principal } = request
  if (permission === undefined || !hasPermission(principal, permission)) {
    const { role } = principal
    return new Problem('forbidden', `requires the permission "${permission?.name}", which the role "${role}" does not have`)
  }
  if (installationWide && !isInstallationWide(principal))
    return new Problem('forbidden', 'requires an installation-wide scope; yours is limited to a tenant, or to some venues')
  return undefined
}

/** Routes in a scope that requires authentication. */
const authenticated = new WeakSet<RouteOptions>()

/** Sets the request's principal. @throws {Problem} `unauthorized` without a valid token */
export async function authenticate(request: FastifyRequest, identities: Identities, token = tokenOf(request)): Promise<void> {
  const principal = token === null ? null : await identities.of(token, request.ip)
  if (principal === null) throw new Problem('unauthorized', 'send a valid token as "Authorization: Bearer <token>"')
  request.principal = principal
}

/** The token of a request, null without one. @param passwords also looks where ClickHouse's clients put a password */
export function tokenOf({ headers, query }: FastifyRequest, passwords = false): string | null {
  const { authorization = '' } = headers
  const bearer = /^Bearer +(\S+) *$/i.exec(authorization)?.[1]
  if (bearer !== undefined) return bearer
  if (!passwords) return null
  const basic = /^Basic +(\S+) *$/i.exec(authorization)?.[1]
  const given = [
    basic === undefined
      ? undefined
      : Buffer.from(basic, 'base64')
          .toString()
          .replace(/^[^:]*:?/, ''),
    headers['x-clickhouse-key'],
    (query as { password?: unknown } | undefined)?.password,
  ]
  return given.find((one): one is string => typeof one === 'string' && one !== '') ?? null
}

/** Call before any route is added. @throws at the start, if a protected route can be reached without a permission */
export function assertRoutesProtected(app: FastifyInstance): void {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => void routes.push(route))
  app.addHook('onReady', async () => {
    const open = routes.filter(route => isProtected(route.url) && !isSecured(route))
    if (open.length === 0) return
    const names = open.map(({ method, url }) => `${method} ${url}`).join(', ')
    throw new Error(`unprotected routes: ${names}; add them in a scope with requireAuth(), with config: { permission }`)
  })
}

function isSecured(route: RouteOptions): boolean {
  const { permission, public: open } = route.config ?? {}
  return authenticated.has(route) && (permission !== undefined || open === true || isPreflight(route))
}

/** The CORS plugin's route for OPTIONS requests: it answers 404, and only after authentication. */
function isPreflight({ method, url }: RouteOptions): boolean {
  return method === 'OPTIONS' && url.endsWith('*')
}

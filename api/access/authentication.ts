/**
 * The door of everything that is not for everybody. In this order:
 *
 *   request ─▶ token? 401 ─▶ too often? 429 ─▶ permission? 403 ─▶ route
 *
 * Nothing in it is reachable that does not name a permission (or says that it is public): the server refuses to start.
 */
import type { FastifyContextConfig, FastifyInstance, FastifyRequest, RouteOptions } from 'fastify'
import { Problem } from '../problem.ts'
import type { AuditTrail } from './audit-trail.ts'
import { auditRequests } from './audit-hooks.ts'
import type { Identities } from './identities.ts'
import type { Limiter } from './limits.ts'
import { may, seesEverything } from './principal.ts'

export interface DoorOptions {
  readonly identities: Identities
  readonly limiter: Limiter
  readonly trail: AuditTrail
  /** Takes the token in every way in which ClickHouse's clients send a password, too. */
  readonly passwords?: boolean
}

/** Paths behind the door. */
const PROTECTED = ['/api', '/clickhouse']

/** Whether an address, as it came, leads behind the door. */
export function isProtected(url: string): boolean {
  const first = /^\/[^/?#]*/.exec(url)?.[0] ?? ''
  return PROTECTED.includes(decoded(first))
}

function decoded(part: string): string {
  try {
    return decodeURIComponent(part)
  } catch {
    return part
  }
}

/** Puts a door before everything in this scope. Whoever is known, and counted in this process, passes it at once. */
export function closeDoor(scope: FastifyInstance, { identities, limiter, trail, passwords = false }: DoorOptions): void {
  scope.addHook('onRoute', route => void behind.add(route))
  auditRequests(scope, trail)
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
    const known = token === null ? null : identities.known(token)
    if (known === null) return void admit(request, identities, token).then(enter, done)
    request.principal = known
    enter()
  })
}

/** Why somebody who is known may not do this. */
function forbidden(request: FastifyRequest, { permission, whole, public: open }: FastifyContextConfig): Problem | undefined {
  if (open || request.is404) return undefined
  const { principal } = request
  if (permission === undefined || !may(principal, permission)) {
    const { role } = principal
    return new Problem('forbidden', `this needs the permission "${permission}", which the role "${role}" does not have`)
  }
  if (whole && !seesEverything(principal))
    return new Problem('forbidden', 'this is of the whole installation, of which you may see a part')
  return undefined
}

const behind = new WeakSet<RouteOptions>()

/** Finds out who asks. @throws {Problem} when the request brings no good token. */
export async function admit(request: FastifyRequest, identities: Identities, token = tokenOf(request)): Promise<void> {
  const principal = token === null ? null : await identities.of(token, request.ip)
  if (principal === null) throw new Problem('unauthorized', 'send a valid token as "Authorization: Bearer <token>"')
  request.principal = principal
}

/** The token that a request brings. @param passwords whether it may come as a password */
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

/** To be called before any route is added. @throws at the start, when there are routes that could be reached by everybody. */
export function requirePermissions(app: FastifyInstance): void {
  const routes: RouteOptions[] = []
  app.addHook('onRoute', route => void routes.push(route))
  app.addHook('onReady', async () => {
    const open = routes.filter(route => isProtected(route.url) && !isSecured(route))
    if (open.length === 0) return
    const names = open.map(({ method, url }) => `${method} ${url}`).join(', ')
    throw new Error(`routes without a door or a permission: ${names}; give each config: { permission } behind the door`)
  })
}

function isSecured(route: RouteOptions): boolean {
  const { permission, public: open } = route.config ?? {}
  return behind.has(route) && (permission !== undefined || open === true || isPreflight(route))
}

/** The route that answers OPTIONS where other origins may ask: it finds nothing, and is behind the door. */
function isPreflight({ method, url }: RouteOptions): boolean {
  return method === 'OPTIONS' && url.endsWith('*')
}

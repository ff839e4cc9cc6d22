/** Which requests are audited, and their events. */
import { randomUUID } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { AuditEvent, AuditTrail } from './audit-trail.ts'
import type { Principal } from './principal.ts'
import './route-config.ts'

/** Audits the requests of this scope. */
export function addAuditHooks(scope: FastifyInstance, trail: Pick<AuditTrail, 'add' | 'record' | 'accept'>): void {
  scope.addHook('onRequest', (request, reply, done) => {
    request.audited = {}
    // For requests that are never answered: the connection was lost, or hijacked.
    reply.raw.on('close', () => {
      if (request.audited.recorded !== true && isAudited(request, reply)) trail.add(eventOf(request, reply.statusCode))
    })
    done()
  })
  scope.addHook('preHandler', (request, _reply, done) => {
    if (isWrite(request)) trail.accept(eventOf(request, 0, 'accepted')).then(() => done(), done)
    else done()
  })
  scope.addHook('onSend', (request, reply, _payload, done) => {
    // Null if it was refused before the hook above.
    if (request.audited === null || request.audited.recorded === true || !isAudited(request, reply)) return done()
    request.audited.recorded = true
    const event = eventOf(request, reply.statusCode)
    trail.record(event, refusal => {
      if (refusal === undefined) return done()
      // A write was accepted in the log beforehand, and an error shows nothing: the outcome may be recorded later.
      if (isWrite(request) || event.status >= 400) {
        trail.add(event)
        return done()
      }
      trail.add({ ...event, outcome: outcomeOf(503), status: 503 })
      reply.removeHeader('etag')
      done(refusal)
    })
  })
}

function isRead({ method }: FastifyRequest): boolean {
  return method === 'GET' || method === 'HEAD' || method === 'OPTIONS'
}

function isWrite(request: FastifyRequest): boolean {
  return !request.is404 && (request.routeOptions.config.write ?? !isRead(request))
}

function isAudited(request: FastifyRequest, reply: FastifyReply): boolean {
  const { statusCode } = reply
  if (statusCode === 401 || statusCode === 403) return true
  const { personal, audited } = request.routeOptions.config
  const wanted = personal === true || audited === true || request.audited.object !== undefined
  return !request.is404 && (wanted || !isRead(request))
}

function eventOf(request: FastifyRequest, status: number, outcome = outcomeOf(status)): AuditEvent {
  const { object, command = null, before = null, after = null } = request.audited
  const principal: Principal | null = request.principal
  return {
    id: randomUUID(),
    actor: principal?.id ?? '',
    actorKind: principal?.kind ?? 'none',
    role: principal?.role ?? '',
    action: actionOf(request),
    object: object ?? idOf(request, principal),
    outcome,
    status,
    personal: request.routeOptions.config.personal === true,
    requestId: request.id,
    command,
    before,
    after,
    at: Date.now(),
  }
}

/** The id in the path, if it has the form of our ids: a path may hold anything. */
function idOf({ params }: FastifyRequest, principal: Principal | null): string | null {
  const { id } = (params ?? {}) as { id?: string }
  return id !== undefined && principal !== null && id.startsWith(`${principal.scope.tenant}:`) ? id : null
}

function outcomeOf(status: number): string {
  if (status === 202) return 'accepted'
  if (status < 400) return 'done'
  if (status === 401 || status === 403) return 'denied'
  return status < 500 ? 'refused' : 'failed'
}

const VERBS: Readonly<Record<string, string>> = {
  POST: 'create',
  PUT: 'replace',
  PATCH: 'change',
  DELETE: 'remove',
}

const actions = new WeakMap<object, string>()

/** The name of the operation that a request performs, made once per route. */
export function actionOf({ method, routeOptions: { config, url = '' }, is404 }: FastifyRequest): string {
  if (is404) return 'none'
  const known = config.action ?? actions.get(config)
  if (known !== undefined) return known
  const action = nameOf(method, url)
  actions.set(config, action)
  return action
}

/** `conversations.reply` of POST /api/v1/conversations/:id/reply, `users.change` of PATCH /api/v1/users/:id. */
function nameOf(method: string, url: string): string {
  const parts = url.split('/').filter(part => part !== '' && part !== 'api' && part !== 'v1')
  const names = parts.filter(part => !part.startsWith(':'))
  if (method === 'GET' || method === 'HEAD') return [...names, parts.at(-1)?.startsWith(':') ? 'read' : 'list'].join('.')
  if (method === 'POST' && names.length > 1) return names.join('.')
  return [...names, VERBS[method] ?? method.toLowerCase()].join('.')
}

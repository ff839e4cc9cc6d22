/**
 * The audit trail: who did what through the API, as records of the topic `audit.log`, whose hashes the Postgres sink chains.
 *
 *   read      ─▶ answer ─▶ buffer ─▶ log            (a read waits for nothing)
 *   write     ─▶ log: let in, status 0 ─▶ route ─▶ answer ─▶ buffer ─▶ log
 *                 └ not taken: 503, and nothing was done
 *
 * No personal data: ids, names of operations, digests.
 */
import { randomUUID } from 'node:crypto'
import { setTimeout as sleep } from 'node:timers/promises'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Logger } from 'pino'
import { Counter, Gauge, type Registry } from 'prom-client'
import { messageOf } from '../../engine/errors.ts'
import type { RecordInputs } from '../../schemas/types.ts'
import { auditLog } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Append, Log } from '../../topics/log.ts'
import { Problem } from '../problem.ts'
import { inTime } from './deadline.ts'
import type { Principal } from './principal.ts'

type AuditEvent = RecordInputs['AuditEvent']

/** More than that is not kept while the log takes nothing. */
const MOST_WAITING = 10_000
const BATCH = 500
const LINGER_MS = 20
const RETRY_MS = 1_000
/** A write is refused when the log has not taken its event by then. */
const APPEND_MS = 5_000
/** What closing waits for the log. */
const CLOSE_MS = 5_000
/** Whoever has no token may ask at will: so many of their refusals are kept each minute, and the rest counted. */
const STRANGERS_PER_MINUTE = 300

export interface AuditStatus {
  /** Events that are not in the log yet. */
  readonly waiting: number
  /** Events that were lost, since too many waited. */
  readonly dropped: number
  /** Why the log takes none now; null where it does. */
  readonly failing: string | null
}

export class AuditTrail {
  readonly #log: Log
  readonly #codec: Codec
  readonly #logger: Pick<Logger, 'error'>
  readonly #waiting: Append[] = []
  #flushing: Promise<void> | null = null
  #retry: NodeJS.Timeout | null = null
  #failing: string | null = null
  #dropped = 0
  #closing = false
  #strangers = { since: 0, count: 0 }
  readonly #lost: Counter<'reason'>

  constructor(options: { log: Log; codec: Codec; logger: Pick<Logger, 'error'>; registry: Registry }) {
    const { log, codec, logger, registry } = options
    this.#log = log
    this.#codec = codec
    this.#logger = logger
    const registers = [registry]
    this.#lost = new Counter({
      name: 'app_audit_lost_total',
      help: 'Events that are not in the audit trail: full, while the log took none; stranger, refused without a token; invalid',
      labelNames: ['reason'] as const,
      registers,
    })
    const waiting = () => this.#waiting.length
    new Gauge({
      name: 'app_audit_waiting',
      help: 'Events that are not in the log yet',
      registers,
      collect() {
        this.set(waiting())
      },
    })
  }

  status(): AuditStatus {
    return { waiting: this.#waiting.length, dropped: this.#dropped, failing: this.#failing }
  }

  /** Durable once resolved. @throws {Problem} `unavailable` when the log does not take it. */
  async begin(event: AuditEvent): Promise<void> {
    try {
      await inTime(this.#log.append([this.#record(event)]), APPEND_MS)
    } catch (error) {
      this.#logger.error(
        { reason: messageOf(error), requestId: event.requestId },
        'the log takes no audit event: refused a write',
      )
      throw new Problem('unavailable', 'the audit trail cannot be written now, and nothing was done: try again')
    }
  }

  /** Is in the log soon. */
  add(event: AuditEvent): void {
    if (event.actor === '' && this.#isOneTooMany(event.at)) return void this.#lost.inc({ reason: 'stranger' })
    if (this.#waiting.length >= MOST_WAITING) {
      this.#dropped++
      return void this.#lost.inc({ reason: 'full' })
    }
    try {
      this.#waiting.push(this.#record(event))
    } catch (error) {
      this.#logger.error({ err: error, action: event.action }, 'an audit event is not one: a route set something odd')
      return void this.#lost.inc({ reason: 'invalid' })
    }
    if (this.#retry === null) this.#flushing ??= this.#flush()
  }

  /** Writes what waits, as far as the log takes it. */
  async close(): Promise<void> {
    this.#closing = true
    this.#stopRetrying()
    this.#flushing ??= this.#flush()
    await inTime(this.#flushing, CLOSE_MS).catch(() => {}) // what is left is told below
    this.#stopRetrying()
    if (this.#waiting.length > 0) {
      this.#logger.error({ events: this.#waiting.length, reason: this.#failing }, 'audit events are lost: the log took none')
    }
  }

  /** Never rejects. */
  async #flush(): Promise<void> {
    // A moment later, so that what comes together is written together.
    if (!this.#closing) await sleep(LINGER_MS)
    try {
      while (this.#waiting.length > 0) {
        const batch = this.#waiting.slice(0, BATCH)
        await this.#log.append(batch)
        this.#waiting.splice(0, batch.length)
        this.#failing = null
      }
    } catch (error) {
      if (this.#failing === null) this.#logger.error({ reason: messageOf(error) }, 'the log takes no audit events: they wait')
      this.#failing = messageOf(error)
      this.#retry = setTimeout(() => {
        this.#retry = null
        this.#flushing = this.#flush()
      }, RETRY_MS).unref()
    } finally {
      this.#flushing = null
    }
  }

  #stopRetrying(): void {
    clearTimeout(this.#retry ?? undefined)
    this.#retry = null
  }

  #record(event: AuditEvent): Append {
    const value = this.#codec.encode(auditLog.name, 'AuditEvent', event)
    return { topic: auditLog.name, key: event.actor === '' ? 'none' : event.actor, value }
  }

  #isOneTooMany(now: number): boolean {
    if (now - this.#strangers.since > 60_000) this.#strangers = { since: now, count: 0 }
    return ++this.#strangers.count > STRANGERS_PER_MINUTE
  }
}

/** Hooks that write down what happens in a part of the server. */
export function auditRequests(scope: FastifyInstance, trail: AuditTrail): void {
  scope.addHook('onRequest', (request, reply, done) => {
    request.audited = {}
    // Comes for a connection that was lost, too.
    reply.raw.once('close', () => {
      if (isAudited(request, reply)) trail.add(eventOf(request, outcomeOf(reply.statusCode), reply.statusCode))
    })
    done()
  })
  scope.addHook('preHandler', (request, _reply, done) => {
    if (isWrite(request)) trail.begin(eventOf(request, 'accepted', 0)).then(() => done(), done)
    else done()
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
  const { personal, permission } = request.routeOptions.config
  // A statement may come by GET, too; and what a route names as its object is written down however it was asked for.
  const asked = personal === true || permission === 'analytics:query' || request.audited.object !== undefined
  return !request.is404 && (asked || !isRead(request))
}

function eventOf(request: FastifyRequest, outcome: string, status: number): AuditEvent {
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

/** The id in the path, where it has the form of ours: a path may hold anything. */
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

/** The name of what a request does. It is the route's. */
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

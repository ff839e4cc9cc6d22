/**
 * The HTTP server: webhooks that put what they bring into the log, the API that reads the serving store, health, metrics.
 *
 *   request ─▶ id, headers ─▶ (door, under /api and /clickhouse) ─▶ body ─▶ schema ─▶ route ─▶ schema ─▶ answer ─▶ log line, metrics, audit
 */
import { type KeyObject, randomBytes, randomUUID } from 'node:crypto'
import { once } from 'node:events'
import { createServer, METHODS } from 'node:http'
import type { AddressInfo, ListenOptions } from 'node:net'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import type { Redis } from 'ioredis'
import type pg from 'pg'
import type { Codec } from '../topics/codec.ts'
import type { Log, Position } from '../topics/log.ts'
import { type ClickHouseRouteOptions, clickhouseRoute } from './clickhouse.ts'
import type { ErasedRows } from './erasures.ts'
import { type Dependencies, healthRoutes } from './health.ts'
import { type InsiderOptions, insiders, keepInside } from './insiders.ts'
import { jsonBodies } from './json.ts'
import { liveRoutes } from './live.ts'
import { type Refusal, refusals } from './methods.ts'
import { type Metrics, serveMetrics, type Workers } from './metrics.ts'
import { serveOpenApi } from './openapi.ts'
import { keyRoutes } from './people/api-keys.ts'
import { type AuditStatus, AuditTrail } from './people/audit.ts'
import { admit, closeDoor, isProtected, requirePermissions } from './people/door.ts'
import { type Fingerprint, fingerprints } from './people/fingerprint.ts'
import { allowOrigins, secureHeaders } from './people/headers.ts'
import { Identities } from './people/identities.ts'
import { LIMITS, type LimitName, rateLimits } from './people/limits.ts'
import { loginRoutes } from './people/login.ts'
import { Throttle } from './people/throttle.ts'
import { deriveKey, type JwtSettings, Tokens } from './people/tokens.ts'
import { userRoutes } from './people/users.ts'
import { handleError, Problem } from './problem.ts'
import { refuseExpectations, refuseUnreadable } from './refusals.ts'
import { logRequests } from './request-log.ts'
import { Commands } from './commands.ts'
import type { Hot } from './hot.ts'
import { auditRoutes, type PublicSettings } from './routes/audit.ts'
import { conversationRoutes } from './routes/conversations.ts'
import { quarantineRoutes } from './routes/quarantine.ts'
import { taskRoutes } from './routes/tasks.ts'
import { operationsRoutes } from './routes/operations.ts'
import { personRoutes } from './routes/persons.ts'
import { venueRoutes } from './routes/venues.ts'
import { Threads } from './threads.ts'
import { type TaskActor, TaskList } from './tasks.ts'
import type { Api } from './types.ts'
import { type ApiChannel, channelWebhook } from './webhooks/channel.ts'

export interface ServerOptions extends InsiderOptions {
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
  /** Another port of this process alone, for its metrics and health: then `port` is shared with other processes of this machine. */
  readonly ownPort?: number | null
  readonly log: Log
  readonly logger: FastifyBaseLogger
  /** What `/readyz` asks. */
  readonly dependencies: Dependencies
  /** Positions of those that read the log without a group, for the lag metrics, by the name of the reader. */
  readonly readers?: Readonly<Record<string, () => readonly Position[]>>
  /** Workers of this process, for the metrics and the tasks. */
  readonly workers?: Workers
  /** Look-ups that are kept close by; null reads the serving store each time. */
  readonly hot?: Hot | null
  /** What has changed in the serving store; without, conversations are read anew each time, and people after half a minute. */
  readonly changes?: Changes | null
  /** Addresses of proxies whose X-Forwarded-For and X-Forwarded-Proto are believed; none otherwise. */
  readonly trustedProxies?: readonly string[]
}

export interface ApiOptions extends ServerOptions {
  /** The installation's own token, of role admin; null where there is none. */
  readonly adminToken: string | null
  /** How the CRM signs its tokens; null where there is none. */
  readonly jwt?: JwtSettings | null
  /** Signs our own tokens: the same in every process, and over restarts. Where it is not given, sessions end with the process. */
  readonly sessionKey?: Buffer | string
  /** Origins whose pages may ask, such as `https://crm.example.com`; none otherwise. */
  readonly corsOrigins?: readonly string[]
  /** Where what was answered is written down until the log has it; without, answers wait for the log. */
  readonly auditFolder?: string | null
  /** A connected client, where rate limits are counted over all processes; null counts in this one. */
  readonly redis?: Redis | null
  /** Other rate limits than the usual, requests per window of each. */
  readonly limits?: Partial<Record<LimitName, number>>
  /** The message channels that are configured. */
  readonly channels: readonly ApiChannel[]
  /** Where analysts' statements go; null where there is no ClickHouse. */
  readonly clickhouse?: ClickHouseRouteOptions | null
  /** Actors of the installation, whichever process has their tasks. */
  readonly actors?: readonly TaskActor[]
  /** What `/settings` tells. */
  readonly settings?: PublicSettings
  readonly tenantKey: Buffer | string
  readonly codec: Codec
  /** A pool of its own, with a statement time-out: reads never wait behind the sink's writes. */
  readonly pool: pg.Pool
  /** What is left of somebody in the serving store. */
  readonly erased: ErasedRows
  /** Adds routes, such as a page at `/`. */
  readonly extend?: (app: FastifyInstance) => void | Promise<void>
}

/** What changes in the serving store, whichever process changes it. */
export interface Changes {
  listen(listener: {
    /** From now on nothing is missed. */
    begun(): void
    /** Rows of these conversations, null for all of them. */
    changed(conversations: readonly string[] | null): void
    people(): void
    lost(): void
  }): { close(): Promise<void> }
  /** Tells the others that users or keys have changed. */
  people(): Promise<void>
}

export interface ApiServer {
  readonly url: string
  /** Of this process alone, where it shares the other with others. */
  readonly ownUrl: string | null
  /** Takes no more requests, and resolves once those under way are answered. */
  close(): Promise<void>
}

/** What the routes under /api are given. */
type RouteContext = ApiOptions & {
  tokens: Tokens
  throttle: Throttle
  identities: Identities
  commands: Commands
  tasks: TaskList
  threads: Threads
  fingerprint: Fingerprint
  bookmarks: KeyObject
}

/** Every group of routes under /api/v1. */
const ROUTES: readonly ((app: Api, context: RouteContext) => void)[] = [
  venueRoutes,
  conversationRoutes,
  operationsRoutes,
  personRoutes,
  quarantineRoutes,
  taskRoutes,
  auditRoutes,
  liveRoutes,
  loginRoutes,
  userRoutes,
  keyRoutes,
]

/**
 * Starts the server.
 * @throws when the port is taken, or a route under /api could be reached without a permission.
 */
export async function startApi(options: ApiOptions): Promise<ApiServer & { audit(): AuditStatus }> {
  const { adminToken, log, codec, logger, pool, sessionKey = randomBytes(32) } = options
  const tokens = new Tokens(sessionKey, options.jwt ?? null)
  const identities = new Identities({
    adminToken,
    tokens,
    pool,
    log: logger,
    guesses: options.limits?.token ?? LIMITS.token.max,
    tell: options.changes?.people,
  })
  const throttle = new Throttle(pool, deriveKey(sessionKey, 'login failures'))
  const { app, metrics, refusal } = await buildServer(options, identities)
  const { auditFolder: folder = null } = options
  const trail = await AuditTrail.open({ log, codec, logger, registry: metrics.registry, folder })
  const limiter = rateLimits({
    redis: options.redis ?? null,
    max: options.limits ?? {},
    key: deriveKey(sessionKey, 'addresses'),
    log: logger,
  })
  const commands = new Commands({ log, codec, pool })
  const fingerprint = fingerprints(deriveKey(options.tenantKey, 'audit'))
  const tasks = new TaskList({ log, codec, actors: options.actors ?? [], workers: options.workers ?? {} })
  const threads = new Threads()
  const listening = options.changes?.listen({
    begun: () => {
      threads.begun()
      identities.forget()
    },
    changed: conversations => threads.changed(conversations),
    people: () => identities.forget(),
    lost: () => threads.lost(),
  })
  const context = {
    ...options,
    threads,
    tokens,
    throttle,
    identities,
    commands,
    tasks,
    fingerprint,
    bookmarks: deriveKey(sessionKey, 'bookmarks'),
  }

  /** A part of the server that nobody enters without a token. */
  const guarded = (prefix: string, routes: (scope: FastifyInstance) => void, passwords = false) =>
    app.register(
      async scope => {
        await allowOrigins(scope, options.corsOrigins ?? [])
        closeDoor(scope, { identities, limiter, trail, passwords })
        // Before the body is read: of what type it is does not matter any more.
        scope.addHook('onRequest', (request, reply, done) => done(request.is404 ? refusal(request, reply) : undefined))
        scope.setNotFoundHandler((request, reply) => handleError(refusal(request, reply), request, reply))
        routes(scope)
      },
      { prefix },
    )
  guarded('/api', scope => {
    for (const routes of ROUTES) scope.register(async v1 => routes(v1 as Api, context), { prefix: '/v1' })
  })

  const { clickhouse = null, channels } = options
  if (clickhouse !== null) guarded('/clickhouse', scope => clickhouseRoute(scope, clickhouse), true)

  const webhook = (routes: (scope: Api) => void) =>
    app.register(async scope => {
      scope.addHook('onRequest', limiter('webhooks'))
      routes(scope as Api)
    })
  for (const channel of channels) {
    const { webhook: received } = channel
    if (received !== null) webhook(scope => channelWebhook(scope, received, { ...options, metrics }))
  }

  if (options.extend !== undefined) await options.extend(app)
  const { url, ownUrl, close } = await listen(app, options)
  return {
    url,
    ownUrl,
    audit: () => trail.status(),
    close: async () => {
      await close()
      commands.close()
      await listening?.close()
      await trail.close()
    },
  }
}

/** Starts a server of health and metrics, for a process without the API. @throws when the port is taken. */
export async function startHealth(options: ServerOptions): Promise<ApiServer> {
  const { app } = await buildServer(options, null)
  return listen(app, options)
}

async function listen(app: FastifyInstance, { host, port, ownPort = null }: ServerOptions): Promise<ApiServer> {
  if (ownPort === null) return { url: await app.listen({ host, port }), ownUrl: null, close: () => app.close() }
  // The system gives each connection to one of those that listen.
  const shared: ListenOptions = { host, port, reusePort: true }
  const url = await app.listen(shared)
  const own = createServer({ requireHostHeader: false }, app.routing)
  own.listen({ host, port: ownPort })
  await once(own, 'listening')
  const ownUrl = new URL(url)
  ownUrl.port = String((own.address() as AddressInfo).port)
  const close = async () => {
    await Promise.all([new Promise(closed => own.close(closed)), app.close()])
  }
  return { url, ownUrl: ownUrl.origin, close }
}

/** @param identities null where nothing is behind a door */
async function buildServer(
  options: ServerOptions,
  identities: Identities | null,
): Promise<{ app: FastifyInstance; metrics: Metrics; refusal: Refusal }> {
  let secure: Awaited<ReturnType<typeof secureHeaders>> = () => {}
  const handleBadUrl = async (error: Error, request: FastifyRequest, reply: FastifyReply) => {
    secure(request, reply)
    try {
      if (identities !== null && isProtected(request.url)) await admit(request, identities)
    } catch (refusal) {
      return handleError(refusal, request, reply)
    }
    return handleError(error, request, reply)
  }
  const app = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }), // request-log.ts does it, without the query
    childLoggerFactory: logger => logger, // lines of a request name it themselves
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // what still comes is answered, and its connection closed
    http: { requireHostHeader: false }, // it is asked for below, so that its refusal is a problem, too
    clientErrorHandler: refuseUnreadable,
    trustProxy: [...(options.trustedProxies ?? [])],
    genReqId: request => knownId(request.headers['x-request-id']) ?? randomUUID(),
    routerOptions: { maxParamLength: 500 },
    frameworkErrors: (error, request, reply) => void handleBadUrl(error, request, reply),
  })
  // Every method there is, so that a request with an odd one meets the hooks too.
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  jsonBodies(app)
  app.decorateRequest('principal', null as never)
  app.decorateRequest('audited', null as never)
  app.setErrorHandler(handleError)
  // Comes from where files are looked for, too, and then no door was passed.
  app.setNotFoundHandler(async (request, reply) => {
    if (identities !== null && isProtected(request.url)) await admit(request, identities)
    throw refusal(request, reply)
  })
  refuseExpectations(app.server)
  const refusal = refusals(app)
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    const hostless = request.headers.host === undefined && request.raw.httpVersion === '1.1'
    done(hostless ? new Problem('invalid_request', 'a request of HTTP/1.1 names its Host') : undefined)
  })
  secure = await secureHeaders(app)
  logRequests(app)
  app.addHook('onRequest', (request, reply, done) =>
    done(request.is404 && !isProtected(request.url) ? refusal(request, reply) : undefined),
  )
  const isInsider = insiders(options, identities)
  keepInside(app, isInsider)
  requirePermissions(app)
  await serveOpenApi(app)
  const { log, readers = {}, workers = {} } = options
  const metrics = serveMetrics(app, { log, readers, workers, lookUps: () => options.hot?.stats?.() ?? new Map() })
  healthRoutes(app as Api, { ...options, isInsider })
  return { app, metrics, refusal }
}

/** A request id that a proxy gave, when it is fit to be logged. */
function knownId(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && /^[\w-]{8,100}$/.test(header) ? header : null
}

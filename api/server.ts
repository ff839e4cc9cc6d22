/**
 * The HTTP server: webhooks that put what they bring into the log, the API that reads the serving store, health, metrics.
 *
 *   request ─▶ id ─▶ (token, under /api) ─▶ body ─▶ schema ─▶ route ─▶ schema ─▶ headers ─▶ answer ─▶ log line, metrics
 */
import { randomUUID } from 'node:crypto'
import { METHODS } from 'node:http'
import fastify, {
  type FastifyBaseLogger,
  type FastifyInstance,
  type FastifyReply,
  type FastifyRequest,
  LogController,
} from 'fastify'
import type pg from 'pg'
import type { TaskStatus } from '../engine/worker.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log, Position } from '../topics/log.ts'
import { bearer } from './auth.ts'
import { type Dependencies, healthRoutes } from './health.ts'
import { type Metrics, serveMetrics } from './metrics.ts'
import { serveOpenApi } from './openapi.ts'
import { handleError, sendProblem } from './problem.ts'
import { logRequests } from './request-log.ts'
import { conversationRoutes } from './routes/conversations.ts'
import { operationsRoutes } from './routes/operations.ts'
import { venueRoutes } from './routes/venues.ts'
import type { Api } from './types.ts'
import { whatsappWebhook } from './webhooks/whatsapp.ts'

export interface ServerOptions {
  readonly host: string
  /** 0 for any that is free. */
  readonly port: number
  readonly log: Log
  readonly logger: FastifyBaseLogger
  /** What `/readyz` asks. */
  readonly dependencies: Dependencies
  /** Positions of those that read the log without a group, for the lag metrics, by the name of the reader. */
  readonly readers?: Readonly<Record<string, () => readonly Position[]>>
  /** Workers of this process, for the metrics. */
  readonly workers?: Readonly<Record<string, () => readonly TaskStatus[]>>
}

export interface ApiOptions extends ServerOptions {
  /** Bearer token of `/api`; null lets nobody in. */
  readonly adminToken: string | null
  /** Null where WhatsApp is not configured: then there is no such webhook. */
  readonly whatsapp: { readonly appSecret: string; readonly verifyToken: string } | null
  readonly tenantKey: Buffer | string
  readonly codec: Codec
  /** A pool of its own, with a statement time-out: reads never wait behind the sink's writes. */
  readonly pool: pg.Pool
  /** Adds routes, such as a page at `/`. */
  readonly extend?: (app: FastifyInstance) => void | Promise<void>
}

export interface ApiServer {
  readonly url: string
  /** Takes no more requests, and resolves once those under way are answered. */
  close(): Promise<void>
}

/** Starts the server. @throws when the port is taken. */
export async function startApi(options: ApiOptions): Promise<ApiServer> {
  const authorized = bearer(options.adminToken)
  const { app, metrics } = buildServer(options, authorized)
  await addApi(app, metrics, authorized, options)
  return listen(app, options)
}

/** Starts a server of health and metrics, for a process without the API. @throws when the port is taken. */
export function startHealth(options: ServerOptions): Promise<ApiServer> {
  return listen(buildServer(options, bearer(null)).app, options)
}

async function listen(app: FastifyInstance, { host, port }: ServerOptions): Promise<ApiServer> {
  const url = await app.listen({ host, port })
  return { url, close: () => app.close() }
}

type Authorized = ReturnType<typeof bearer>

function buildServer(options: ServerOptions, authorized: Authorized): { app: FastifyInstance; metrics: Metrics } {
  const handleBadUrl = async (error: Error, request: FastifyRequest, reply: FastifyReply) => {
    if (request.url.startsWith('/api') && (await authorized(request, reply)) !== undefined) return
    handleError(error, request, reply)
  }
  const app = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }), // request-log.ts does it, without the query
    bodyLimit: 64 * 1024,
    requestTimeout: 30_000,
    forceCloseConnections: 'idle',
    genReqId: request => knownId(request.headers['x-request-id']) ?? randomUUID(),
    routerOptions: { maxParamLength: 500 },
    frameworkErrors: (error, request, reply) => void handleBadUrl(error, request, reply),
  })
  // Every method there is, so that a request with an odd one meets the hooks too.
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  app.setErrorHandler(handleError)
  app.setNotFoundHandler(notFound)
  app.addHook('onRequest', async (request, reply) => {
    reply.headers({ 'x-request-id': request.id, 'x-content-type-options': 'nosniff', 'referrer-policy': 'no-referrer' })
  })
  logRequests(app)
  serveOpenApi(app)
  const { log, readers = {}, workers = {} } = options
  const metrics = serveMetrics(app, { log, readers, workers })
  healthRoutes(app as Api, options)
  return { app, metrics }
}

async function addApi(app: FastifyInstance, metrics: Metrics, authorized: Authorized, options: ApiOptions): Promise<void> {
  app.register(
    async scope => {
      scope.addHook('onRequest', authorized)
      scope.addHook('onRequest', async (_, reply) => void reply.header('cache-control', 'no-store'))
      scope.setNotFoundHandler(notFound)
      for (const routes of [venueRoutes, conversationRoutes, operationsRoutes]) {
        scope.register(async v1 => routes(v1 as Api, options), { prefix: '/v1' })
      }
    },
    { prefix: '/api' },
  )
  const { whatsapp } = options
  if (whatsapp !== null) {
    app.register(async scope => whatsappWebhook(scope as Api, { ...options, ...whatsapp, metrics }))
  }
  if (options.extend !== undefined) await options.extend(app)
}

function notFound(request: FastifyRequest, reply: FastifyReply): FastifyReply {
  return sendProblem(reply, 'not_found', `no route for ${request.method} ${request.url.split('?')[0]}`)
}

/** A request id that a proxy gave, when it is fit to be logged. */
function knownId(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && /^[\w-]{8,100}$/.test(header) ? header : null
}

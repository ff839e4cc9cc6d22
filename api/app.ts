/** The Fastify instance with everything that all routes share: request ids, headers, JSON, errors, logs, metrics, health, OpenAPI. */
import { randomUUID } from 'node:crypto'
import { METHODS } from 'node:http'
import fastify, { type FastifyInstance, type FastifyReply, type FastifyRequest, LogController } from 'fastify'
import { assertRoutesProtected, authenticate, isProtected } from './access/authentication.ts'
import { secureHeaders } from './access/headers.ts'
import type { Identities } from './access/identities.ts'
import { handleClientError, refuseOtherExpectations } from './client-errors.ts'
import { healthRoutes } from './health.ts'
import { insiders, restrictToInsiders } from './insiders.ts'
import { acceptJsonOnly } from './json.ts'
import { type Metrics, serveMetrics } from './metrics.ts'
import { serveOpenApi } from './openapi.ts'
import type { ServerOptions } from './options.ts'
import { handleError, Problem } from './problem.ts'
import { addRequestLog } from './request-log.ts'
import type { Api } from './types.ts'
import { type UnmatchedProblem, unmatchedRoutes } from './unmatched.ts'

const MAX_BODY_BYTES = 64 * 1024
const REQUEST_TIMEOUT_MS = 30_000
const MAX_PARAM_CHARS = 500

/** @param identities null if no route requires authentication */
export async function buildApp(
  options: ServerOptions,
  identities: Identities | null,
): Promise<{ app: FastifyInstance; metrics: Metrics; unmatched: UnmatchedProblem }> {
  let secure: Awaited<ReturnType<typeof secureHeaders>> = () => {}
  const handleBadUrl = async (error: Error, request: FastifyRequest, reply: FastifyReply) => {
    secure(request, reply)
    try {
      if (identities !== null && isProtected(request.url)) await authenticate(request, identities)
    } catch (refusal) {
      return handleError(refusal, request, reply)
    }
    return handleError(error, request, reply)
  }
  const app = fastify({
    loggerInstance: options.logger,
    logController: new LogController({ disableRequestLogging: true }), // request-log.ts does it, without query values
    childLoggerFactory: logger => logger, // log lines name their request themselves
    bodyLimit: MAX_BODY_BYTES,
    requestTimeout: REQUEST_TIMEOUT_MS,
    forceCloseConnections: 'idle',
    return503OnClosing: false, // requests that still arrive are answered, and their connections closed
    http: { requireHostHeader: false }, // required below instead, so that the refusal is a problem too
    clientErrorHandler: handleClientError,
    trustProxy: [...(options.trustedProxies ?? [])],
    genReqId: request => trustedId(request.headers['x-request-id']) ?? randomUUID(),
    routerOptions: { maxParamLength: MAX_PARAM_CHARS },
    frameworkErrors: (error, request, reply) => void handleBadUrl(error, request, reply),
  })
  // All methods, so that requests with an unusual one pass the hooks too.
  for (const method of METHODS) if (!app.supportedMethods.includes(method)) app.addHttpMethod(method)
  acceptJsonOnly(app)
  app.decorateRequest('principal', null as never)
  app.decorateRequest('audited', null as never)
  app.setErrorHandler(handleError)
  // Static file routes end here too, without having passed authentication.
  app.setNotFoundHandler(async (request, reply) => {
    if (identities !== null && isProtected(request.url)) await authenticate(request, identities)
    throw unmatched(request, reply)
  })
  refuseOtherExpectations(app.server)
  const unmatched = unmatchedRoutes(app)
  app.addHook('onRequest', (request, reply, done) => {
    reply.header('x-request-id', request.id)
    const hostless = request.headers.host === undefined && request.raw.httpVersion === '1.1'
    done(hostless ? new Problem('invalid_request', 'HTTP/1.1 requires a Host header') : undefined)
  })
  secure = await secureHeaders(app)
  addRequestLog(app)
  app.addHook('onRequest', (request, reply, done) =>
    done(request.is404 && !isProtected(request.url) ? unmatched(request, reply) : undefined),
  )
  const isInsider = insiders(options, identities)
  restrictToInsiders(app, isInsider)
  assertRoutesProtected(app)
  await serveOpenApi(app)
  const { log, readers = {}, workers = {} } = options
  const metrics = serveMetrics(app, { log, readers, workers, lookUps: () => options.hot?.stats?.() ?? new Map() })
  healthRoutes(app as Api, { ...options, isInsider })
  return { app, metrics, unmatched }
}

/** A request id set by a proxy, if it is safe to log. */
function trustedId(header: string | string[] | undefined): string | null {
  return typeof header === 'string' && /^[\w-]{8,100}$/.test(header) ? header : null
}

/**
 * The HTTP server: webhooks that append what they receive to the log, the API that reads Postgres, health, metrics.
 *
 *   request ─▶ id, headers ─▶ authentication (under /api and /clickhouse) ─▶ body ─▶ schema ─▶ route ─▶ schema ─▶ response
 *                                                                                             └─▶ log line, metrics, audit
 */
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import { createServer } from 'node:http'
import type { AddressInfo, ListenOptions } from 'node:net'
import type { FastifyInstance } from 'fastify'
import { type AuditStatus, AuditTrail } from './access/audit-trail.ts'
import { requireAuth } from './access/authentication.ts'
import { fingerprints } from './access/fingerprint.ts'
import { allowOrigins } from './access/headers.ts'
import { Identities } from './access/identities.ts'
import { LIMITS } from './access/limits.ts'
import { rateLimits } from './access/rate-limits.ts'
import { Throttle } from './access/throttle.ts'
import { deriveKey, Tokens } from './access/tokens.ts'
import { clickhouseRoute } from './analytics/clickhouse.ts'
import { buildApp } from './app.ts'
import { Commands } from './commands.ts'
import { ConversationCache } from './conversation-cache.ts'
import type { ApiOptions, ApiServer, ServerOptions } from './options.ts'
import { handleError } from './problem.ts'
import { COMMAND_TARGETS, PERMISSIONS, ROUTES, type RouteContext } from './routes/index.ts'
import { TaskList } from './tasks.ts'
import type { Api } from './types.ts'
import { channelWebhook } from './webhooks/channel.ts'

export type { ApiOptions, ApiServer, Changes, ServerOptions } from './options.ts'

/**
 * Starts the server.
 * @throws if the port is in use, or a protected route declares no permission
 */
export async function startApi(options: ApiOptions): Promise<ApiServer & { audit(): AuditStatus }> {
  const { adminToken, log, codec, logger, pool, sessionKey = randomBytes(32) } = options
  const tokens = new Tokens(sessionKey, options.jwt ?? null)
  const identities = new Identities({
    adminToken,
    tokens,
    pool,
    log: logger,
    maxBadTokens: options.limits?.token ?? LIMITS.token.max,
    notify: options.changes?.people,
  })
  const { app, metrics, unmatched } = await buildApp(options, identities)
  const trail = await AuditTrail.open({ log, codec, logger, registry: metrics.registry, folder: options.auditFolder ?? null })
  const limiter = rateLimits({
    redis: options.redis ?? null,
    max: options.limits ?? {},
    key: deriveKey(sessionKey, 'addresses'),
    log: logger,
  })
  const commands = new Commands({ log, codec, pool, targets: COMMAND_TARGETS })
  const conversations = new ConversationCache()
  const context: RouteContext = {
    ...options,
    tokens,
    throttle: new Throttle(pool, deriveKey(sessionKey, 'login failures')),
    identities,
    commands,
    conversations,
    tasks: new TaskList({ log, codec, actors: options.actors ?? [], workers: options.workers ?? {} }),
    fingerprint: fingerprints(deriveKey(options.tenantKey, 'audit')),
    bookmarks: deriveKey(sessionKey, 'bookmarks'),
    permissions: PERMISSIONS,
  }
  const listening = followChanges(options, conversations, identities)

  /** Routes that require authentication. */
  const guarded = (prefix: string, routes: (scope: FastifyInstance) => void, passwords = false) =>
    app.register(
      async scope => {
        await allowOrigins(scope, options.corsOrigins ?? [])
        requireAuth(scope, { identities, limiter, trail, passwords })
        // Before the body is read, so that its type does not matter.
        scope.addHook('onRequest', (request, reply, done) => done(request.is404 ? unmatched(request, reply) : undefined))
        scope.setNotFoundHandler((request, reply) => handleError(unmatched(request, reply), request, reply))
        routes(scope)
      },
      { prefix },
    )
  guarded('/api', scope => {
    for (const { routes } of ROUTES) scope.register(async v1 => routes(v1 as Api, context), { prefix: '/v1' })
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

/** Starts a server of health and metrics, for a process without the API. @throws if the port is in use */
export async function startHealth(options: ServerOptions): Promise<ApiServer> {
  const { app } = await buildApp(options, null)
  return listen(app, options)
}

/** Drops from the caches what changes in Postgres. */
function followChanges({ changes }: ApiOptions, conversations: ConversationCache, identities: Identities) {
  return changes?.listen({
    begun: () => {
      conversations.begun()
      identities.forget()
    },
    changed: ids => conversations.changed(ids),
    people: () => identities.forget(),
    lost: () => conversations.lost(),
  })
}

async function listen(app: FastifyInstance, { host, port, ownPort = null }: ServerOptions): Promise<ApiServer> {
  if (ownPort === null) return { url: await app.listen({ host, port }), ownUrl: null, close: () => app.close() }
  // The system distributes connections among the processes that listen.
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

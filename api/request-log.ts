import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { masked } from './masks.ts'
import { actionOf } from './access/audit-hooks.ts'
import type { Principal } from './access/principal.ts'

/** Query parameters whose values hold no personal data. */
const LOGGED_PARAMETERS = new Set(['limit', 'channel'])

/** Requested every few seconds. */
const QUIET_ROUTES = new Set(['/healthz', '/readyz', '/metrics'])

/** Logs one line per request, once it is answered. Query values may be personal or secret, and are redacted. */
export function addRequestLog(app: FastifyInstance): void {
  const log: FastifyBaseLogger & { isLevelEnabled?(level: string): boolean } = app.log
  app.addHook('onResponse', (request, reply, done) => {
    const principal: Principal | null = request.principal
    const { url: route = '' } = request.routeOptions
    const level = QUIET_ROUTES.has(route) ? 'debug' : 'info'
    if (log.isLevelEnabled?.(level) === false) return done()
    request.log[level](
      {
        requestId: request.id,
        method: request.method,
        url: redactedUrl(request.url),
        status: reply.statusCode,
        ...(principal === null ? {} : { user_id: withoutAddress(principal.id), action: actionOf(request) }),
        duration_ms: Math.round(reply.elapsedTime * 10) / 10,
      },
      'request',
    )
    done()
  })
}

/** The CRM may use e-mail addresses as user ids. */
function withoutAddress(id: string): string | null {
  return id.includes('@') ? masked(id) : id
}

export function redactedUrl(url: string): string {
  const mark = url.indexOf('?')
  if (mark < 0) return url
  const query = [...new URLSearchParams(url.slice(mark + 1))].map(
    ([name, value]) => `${encodeURIComponent(name)}=${LOGGED_PARAMETERS.has(name) ? encodeURIComponent(value) : '[redacted]'}`,
  )
  return `${url.slice(0, mark)}?${query.join('&')}`
}

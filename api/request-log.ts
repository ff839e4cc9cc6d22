import type { FastifyBaseLogger, FastifyInstance } from 'fastify'
import { masked } from './masks.ts'
import { actionOf } from './access/audit-hooks.ts'
import type { Principal } from './access/principal.ts'

/** Query parameters that say nothing about a person. */
const OPEN = new Set(['limit', 'channel'])

/** What is asked every few seconds. */
const QUIET = new Set(['/healthz', '/readyz', '/metrics'])

/** One line per request, once it is answered. Values in the query may be personal or secret: they are left out. */
export function logRequests(app: FastifyInstance): void {
  const log: FastifyBaseLogger & { isLevelEnabled?(level: string): boolean } = app.log
  app.addHook('onResponse', (request, reply, done) => {
    const principal: Principal | null = request.principal
    const { url: route = '' } = request.routeOptions
    const level = QUIET.has(route) ? 'debug' : 'info'
    // Where it is not told, it is not made either.
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

/** The CRM may know people by their e-mail address. */
function withoutAddress(id: string): string | null {
  return id.includes('@') ? masked(id) : id
}

export function redactedUrl(url: string): string {
  const mark = url.indexOf('?')
  if (mark < 0) return url
  const query = [...new URLSearchParams(url.slice(mark + 1))].map(
    ([name, value]) => `${encodeURIComponent(name)}=${OPEN.has(name) ? encodeURIComponent(value) : '[redacted]'}`,
  )
  return `${url.slice(0, mark)}?${query.join('&')}`
}

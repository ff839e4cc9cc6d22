import type { FastifyInstance } from 'fastify'
import { masked } from './masks.ts'
import { actionOf } from './people/audit.ts'
import type { Principal } from './people/principal.ts'

/** Query parameters that say nothing about a person. */
const OPEN = new Set(['limit', 'channel'])

/** One line per request, once it is answered. Values in the query may be personal or secret: they are left out. */
export function logRequests(app: FastifyInstance): void {
  app.addHook('onResponse', (request, reply, done) => {
    const principal: Principal | null = request.principal
    const quiet = ['/healthz', '/readyz', '/metrics'].includes(request.routeOptions.url ?? '')
    request.log[quiet ? 'debug' : 'info'](
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

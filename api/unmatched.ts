/** Requests that match no route: 405 with `Allow` if the path exists with other methods, otherwise 404. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from './problem.ts'

/** The problem of a request that matches no route. */
export type UnmatchedProblem = (request: FastifyRequest, reply: FastifyReply) => Problem

/** Call before any route is added. */
export function unmatchedRoutes(app: FastifyInstance): UnmatchedProblem {
  const methods = new Map<string, Set<string>>()
  const slashed = new Set<string>()
  app.addHook('onRoute', ({ url, method }) => {
    const taken = [method].flat()
    // Static files and CORS preflights match any path.
    if (url.includes('*')) return
    // The root of a prefix matches with and without a slash, but is announced only once.
    const name = url.length > 1 && url.endsWith('/') ? url.slice(0, -1) : url
    if (name !== url) slashed.add(name)
    methods.set(name, new Set([...(methods.get(name) ?? []), ...taken]))
  })
  let patterns: { readonly pattern: RegExp; readonly taken: ReadonlySet<string> }[] | undefined
  const allowed = (path: string): string[] => {
    patterns ??= [...methods].map(([url, taken]) => ({ pattern: patternOf(url, slashed.has(url)), taken }))
    return [...new Set(patterns.flatMap(({ pattern, taken }) => (pattern.test(path) ? [...taken] : [])))].sort()
  }
  return (request, reply) => {
    const path = request.url.split('?')[0] as string
    const taken = allowed(decoded(path))
    if (taken.length === 0 || taken.includes(request.method))
      return new Problem('not_found', `no route for ${request.method} ${path}`)
    reply.header('allow', taken.join(', '))
    return new Problem('method_not_allowed', `${path} does not allow ${request.method}; it allows ${taken.join(', ')}`)
  }
}

function patternOf(url: string, slash: boolean): RegExp {
  const parts = url.split('/').map(part => (part.startsWith(':') ? '[^/]+' : RegExp.escape(part)))
  return new RegExp(`^${parts.join('/')}${slash ? '/?' : ''}$`)
}

/** Decoded as the router does: an encoded slash does not separate. */
function decoded(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

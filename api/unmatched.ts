/** What a path that is there does not take is 405 with what it does take; a path that is not there is 404. */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { Problem } from './problem.ts'

/** Why a request that no route takes is refused. */
export type Refusal = (request: FastifyRequest, reply: FastifyReply) => Problem

/** Knows every route that is added from now on. */
export function refusals(app: FastifyInstance): Refusal {
  const methods = new Map<string, Set<string>>()
  const slashed = new Set<string>()
  app.addHook('onRoute', ({ url, method }) => {
    const taken = [method].flat()
    // Files, and the answer to other origins, are looked for under any path.
    if (url.includes('*')) return
    // The root of a prefix is there with a slash and without, and told of only once.
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
    return new Problem('method_not_allowed', `${path} does not take ${request.method}: it takes ${taken.join(', ')}`)
  }
}

function patternOf(url: string, slash: boolean): RegExp {
  const parts = url.split('/').map(part => (part.startsWith(':') ? '[^/]+' : RegExp.escape(part)))
  return new RegExp(`^${parts.join('/')}${slash ? '/?' : ''}$`)
}

/** As routes are looked up: a slash that is encoded is none. */
function decoded(path: string): string {
  try {
    return decodeURI(path)
  } catch {
    return path
  }
}

/**
 * Who may use the demo's routes: anyone at this machine. They write messages as anybody and ask for no token, so they are
 * kept from other machines and from pages of other sites that a browser here has open.
 */
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import { isLocal } from '../api/insiders.ts'

/** Requests a minute in all: more than a person at the page makes. */
const MOST_A_MINUTE = 600

/** Must be called in a separate scope, before its routes. */
export async function guard(scope: FastifyInstance, most = MOST_A_MINUTE): Promise<void> {
  scope.addHook('onRequest', async (request, reply) => {
    const refusal = refusalOf(request)
    if (refusal !== null) return reply.code(403).send({ detail: refusal })
  })
  await scope.register(rateLimit, { max: most, timeWindow: '1 minute', keyGenerator: () => 'demo' })
}

function refusalOf(request: FastifyRequest): string | null {
  if (!isLocal(request)) return 'the demo answers this machine only, at the address that was printed'
  const { origin, host } = request.headers
  return origin === undefined || origin === `http://${host}` ? null : 'the demo takes nothing from pages of other sites'
}

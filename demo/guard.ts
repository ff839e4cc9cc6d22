/**
 * Who may use the demo's routes: whoever sits at this machine. They write messages as anybody and ask for no token, so they are
 * kept from other machines and from pages of other sites that a browser here has open.
 */
import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'

/** Requests a minute in all: more than a person at the page makes. */
const MOST_A_MINUTE = 600

/** To be called in a scope of its own, before its routes. */
export async function guard(scope: FastifyInstance, most = MOST_A_MINUTE): Promise<void> {
  scope.addHook('onRequest', async (request, reply) => {
    const refusal = refusalOf(request)
    if (refusal !== null) return reply.code(403).send({ detail: refusal })
  })
  await scope.register(rateLimit, { max: most, timeWindow: '1 minute', keyGenerator: () => 'demo' })
}

function refusalOf({ socket, headers }: FastifyRequest): string | null {
  const passedOn = headers['x-forwarded-for'] !== undefined || headers.forwarded !== undefined
  if (passedOn || !isLoopbackAddress(socket.remoteAddress ?? '')) return 'the demo answers this machine only'
  // A name that somebody else resolves to this machine (DNS rebinding) would make their page one of ours.
  if (!isHere(headers.host ?? '')) return `the demo is not at "${headers.host ?? ''}": use the address that was printed`
  const { origin } = headers
  if (origin !== undefined && origin !== `http://${headers.host}`) return 'the demo takes nothing from pages of other sites'
  return null
}

function isLoopbackAddress(address: string): boolean {
  return address === '::1' || /^(::ffff:)?127\./.test(address)
}

function isHere(host: string): boolean {
  return /^(localhost|127\.0\.0\.1|\[::1\])(:\d{1,5})?$/i.test(host)
}

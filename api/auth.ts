import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { sendProblem } from './problem.ts'

/**
 * A hook that lets pass who brings the token, as `Authorization: Bearer …`, and answers 401 to all others.
 * @param token null lets nobody pass
 */
export function bearer(token: string | null) {
  const wanted = token === null || token === '' ? null : digest(token)
  return async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply | undefined> => {
    const given = /^Bearer +(\S+) *$/i.exec(request.headers.authorization ?? '')?.[1]
    // Digests have one length, so that the comparison takes the same time whatever was sent.
    if (given !== undefined && wanted !== null && timingSafeEqual(digest(given), wanted)) return undefined
    return sendProblem(reply, 'unauthorized', 'send a valid token as "Authorization: Bearer <token>"')
  }
}

function digest(text: string): Buffer {
  return createHash('sha256').update(text).digest()
}

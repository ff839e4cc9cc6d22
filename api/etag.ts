import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'

/**
 * Gives the answer its ETag.
 * @returns whether the client has it already (RFC 9110, 13.1.2: weak comparison with any of the listed tags)
 */
export function hasAlready(request: FastifyRequest, reply: FastifyReply, body: object | string): boolean {
  const text = typeof body === 'string' ? body : JSON.stringify(body)
  const etag = `"${hash('sha256', text, 'base64url').slice(0, 22)}"`
  reply.header('etag', etag).header('cache-control', 'private, no-cache')
  const known = request.headers['if-none-match']
  return known?.split(',').some(tag => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag) ?? false
}

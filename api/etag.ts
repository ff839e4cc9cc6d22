import { hash } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import type { KeptText } from '../cache/cache.ts'

/** Sends cached JSON, whose tag is computed once. */
export function sendCached(request: FastifyRequest, reply: FastifyReply, kept: KeptText): FastifyReply {
  kept.etag ??= etagOf(kept.json)
  return sendWithEtag(request, reply, kept.json, kept.etag)
}

/** Sends JSON, or 304 if the client has it already (RFC 9110, 13.1.2: weak comparison with any of the listed tags). */
export function sendWithEtag(request: FastifyRequest, reply: FastifyReply, json: string, etag = etagOf(json)): FastifyReply {
  reply.header('etag', etag).header('cache-control', 'private, no-cache')
  const known = request.headers['if-none-match']
  if (known?.split(',').some(tag => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag)) return reply.code(304).send()
  return reply.type('application/json; charset=utf-8').serializer(asItIs).send(json)
}

const asItIs = (json: unknown) => json as string

function etagOf(json: string): string {
  return `"${hash('sha256', json, 'base64url').slice(0, 22)}"`
}

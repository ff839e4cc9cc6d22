/** Errors as clients see them: `application/problem+json` (RFC 9457) with a stable code. */
import { STATUS_CODES } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import pg from 'pg'
import { type Static, Type } from 'typebox'

/** Every error code, and its status. */
const CODES = {
  invalid_request: 400,
  invalid_cursor: 400,
  invalid_body: 400,
  unauthorized: 401,
  invalid_signature: 401,
  invalid_credentials: 401,
  forbidden: 403,
  not_found: 404,
  method_not_allowed: 405,
  request_timeout: 408,
  conflict: 409,
  command_refused: 409,
  payload_too_large: 413,
  uri_too_long: 414,
  unsupported_media_type: 415,
  expectation_failed: 417,
  idempotency_key_reused: 422,
  command_failed: 422,
  invalid_record: 422,
  invalid_offset: 422,
  rate_limited: 429,
  header_too_large: 431,
  internal: 500,
  unavailable: 503,
} as const
export type ProblemCode = keyof typeof CODES

export const ProblemBody = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  code: Type.String({ enum: Object.keys(CODES) }),
  detail: Type.String(),
})

export class Problem extends Error {
  readonly code: ProblemCode
  /** Seconds after which the request may be retried. */
  readonly retryAfter: number | null
  constructor(code: ProblemCode, detail: string, options: ErrorOptions & { retryAfter?: number } = {}) {
    super(detail, options)
    this.code = code
    this.retryAfter = options.retryAfter ?? null
  }
}

export function sendProblem(reply: FastifyReply, code: ProblemCode, detail: string): FastifyReply {
  const status = CODES[code]
  if (status === 401) reply.header('www-authenticate', 'Bearer')
  if (status === 503) reply.header('retry-after', '5')
  // Serialized here: the response schemas of routes do not describe errors.
  return reply.code(status).serializer(asItIs).type('application/problem+json').send(problemBody(code, detail).json)
}

const asItIs = (json: unknown) => json as string

/** The body of a problem. */
export function problemBody(code: ProblemCode, detail: string): { status: number; title: string; json: string } {
  const status = CODES[code]
  const title = STATUS_CODES[status] ?? 'Error'
  const body: Static<typeof ProblemBody> = { type: `urn:bma-social:problem:${code}`, title, status, code, detail }
  return { status, title, json: JSON.stringify(body) }
}

/** Error handler of the server. Responses tell clients what they can act on, and nothing about internals. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { code, detail } = problemOf(error)
  if (error instanceof Problem && error.retryAfter !== null) reply.header('retry-after', error.retryAfter)
  if (CODES[code] >= 500) request.log.error({ err: error, requestId: request.id }, 'request failed')
  return sendProblem(reply, code, detail ?? `request ${request.id} failed; see the service's log`)
}

function problemOf(error: unknown): { code: ProblemCode; detail?: string } {
  if (error instanceof Problem) return { code: error.code, detail: error.message }
  if (isUnavailable(error)) return { code: 'unavailable', detail: 'the database is unreachable: try again' }
  // Class 22, data exception: a value that Postgres cannot store, such as a NUL character.
  if (error instanceof pg.DatabaseError && error.code?.startsWith('22')) {
    return { code: 'invalid_request', detail: 'a parameter contains invalid characters' }
  }
  const { statusCode, message } = error as { statusCode?: number; message?: string }
  if (statusCode === 413) return { code: 'payload_too_large', detail: 'the body is too large for this route' }
  if (statusCode === 414) return { code: 'uri_too_long', detail: 'a path parameter is too long' }
  if (statusCode === 408) return { code: 'request_timeout', detail: 'the request was not received in time' }
  if (statusCode === 415) return { code: 'unsupported_media_type', detail: 'this route does not accept this content type' }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return { code: 'invalid_request', detail: message ?? 'the request is not valid' }
  }
  return { code: 'internal' }
}

/** Connection refused, lost or timed out; a server that is shutting down (57P), out of resources (53), or cancelled a statement. */
function isUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return /^(57|53|08)/.test(error.code ?? '')
  if (!(error instanceof Error)) return false
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return (
    /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH)$/.test(code) ||
    /^(Connection terminated|timeout exceeded when trying to connect)/.test(error.message)
  )
}

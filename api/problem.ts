/** Errors as clients see them: `application/problem+json` (RFC 9457) with a stable code. */
import { STATUS_CODES } from 'node:http'
import type { FastifyReply, FastifyRequest } from 'fastify'
import pg from 'pg'
import { type Static, Type } from 'typebox'

/** Every code there is, and its status. */
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
  /** Seconds after which it may be tried again. */
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
  // Written here: a route's response schema says nothing of errors.
  return reply.code(status).serializer(asItIs).type('application/problem+json').send(problemBody(code, detail).json)
}

const asItIs = (json: unknown) => json as string

/** A problem as it is sent. */
export function problemBody(code: ProblemCode, detail: string): { status: number; title: string; json: string } {
  const status = CODES[code]
  const title = STATUS_CODES[status] ?? 'Error'
  const body: Static<typeof ProblemBody> = { type: `urn:bma-social:problem:${code}`, title, status, code, detail }
  return { status, title, json: JSON.stringify(body) }
}

/** Error handler of the server. Clients learn what they can do something about, and nothing of what went on inside. */
export function handleError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  const { code, detail } = problemOf(error)
  if (error instanceof Problem && error.retryAfter !== null) reply.header('retry-after', error.retryAfter)
  if (CODES[code] >= 500) request.log.error({ err: error, requestId: request.id }, 'request failed')
  return sendProblem(reply, code, detail ?? `request ${request.id} failed; it is in the service's log`)
}

function problemOf(error: unknown): { code: ProblemCode; detail?: string } {
  if (error instanceof Problem) return { code: error.code, detail: error.message }
  if (isUnavailable(error)) return { code: 'unavailable', detail: 'the database cannot be reached now' }
  // Class 22, data exception: a value that Postgres has no place for, such as a NUL in a text.
  if (error instanceof pg.DatabaseError && error.code?.startsWith('22')) {
    return { code: 'invalid_request', detail: 'a parameter holds characters that no value here has' }
  }
  const { statusCode, message } = error as { statusCode?: number; message?: string }
  if (statusCode === 413) return { code: 'payload_too_large', detail: 'the body is larger than this route takes' }
  if (statusCode === 414) return { code: 'uri_too_long', detail: 'a part of the address is longer than any id' }
  if (statusCode === 408) return { code: 'request_timeout', detail: 'the request did not come in time' }
  if (statusCode === 415) return { code: 'unsupported_media_type', detail: 'the body is not of a type that this route takes' }
  if (statusCode !== undefined && statusCode >= 400 && statusCode < 500) {
    return { code: 'invalid_request', detail: message ?? 'the request is not valid' }
  }
  return { code: 'internal' }
}

/** Connections refused, lost or not to be had in time; a server that shuts down (57P), is full (53), or a statement cut off. */
function isUnavailable(error: unknown): boolean {
  if (error instanceof pg.DatabaseError) return /^(57|53|08)/.test(error.code ?? '')
  if (!(error instanceof Error)) return false
  const code = (error as NodeJS.ErrnoException).code ?? ''
  return (
    /^(ECONNREFUSED|ECONNRESET|EPIPE|ETIMEDOUT|ENOTFOUND|EHOSTUNREACH)$/.test(code) ||
    /^(Connection terminated|timeout exceeded when trying to connect)/.test(error.message)
  )
}

/** Errors in ClickHouse's format, which its clients parse. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { SqlRefused } from './parse.ts'
import { Problem, type ProblemCode } from '../problem.ts'

/** Codes of statements that are too deeply nested or too large: errors of the client, not of the server. */
const TOO_COMPLEX = new Set([167, 168, 306, 718])

/** An error that ClickHouse reported. */
export class ClickHouseError extends Error {
  readonly status: number
  constructor(status: number, text: string) {
    // The scope is our statement that contains theirs.
    super(text.replace(/:?\s*In scope SELECT formatQuerySingleLine\(unhex\([\s\S]*?(?= \([A-Z_]+\))/, ''))
    this.status = TOO_COMPLEX.has(codeOf(text)) ? 400 : status
  }
}

const STATUSES: Readonly<Record<number, number>> = {
  48: 501,
  60: 404,
  62: 400,
  73: 400,
  164: 403,
  168: 400,
  202: 503,
  210: 503,
  497: 403,
}

/** ClickHouse's codes of problems. */
const PROBLEM_CODES: Partial<Record<ProblemCode, readonly [status: number, code: number, name: string]>> = {
  unauthorized: [401, 516, 'AUTHENTICATION_FAILED'],
  forbidden: [403, 497, 'ACCESS_DENIED'],
  rate_limited: [429, 201, 'QUOTA_EXCEEDED'],
}

export function sendError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof SqlRefused) return send(reply, STATUSES[error.code] ?? 500, error.code, error.message)
  if (error instanceof ClickHouseError) return send(reply, error.status, codeOf(error.message), error.message)
  if (error instanceof Problem) {
    const [status, code, name] = PROBLEM_CODES[error.code] ?? [503, 210, 'NETWORK_ERROR']
    if (status === 401) reply.header('www-authenticate', 'Bearer')
    const said = code === 516 ? `Authentication failed: ${error.message}, or as the password` : error.message
    return send(reply, status, code, `Code: ${code}. DB::Exception: ${said} (${name})`)
  }
  const { statusCode = 500, message } = error as { statusCode?: number; message: string }
  if (statusCode === 413)
    return send(reply, 413, 62, 'Code: 62. DB::Exception: Syntax error: the statement is too long (SYNTAX_ERROR)')
  if (statusCode >= 500) request.log.error({ err: error, requestId: request.id }, 'request failed')
  const text = statusCode >= 500 ? `request ${request.id} failed; see the service's log` : message
  return send(reply, statusCode, 1002, `Code: 1002. DB::Exception: ${text} (UNKNOWN_EXCEPTION)`)
}

function codeOf(text: string): number {
  return Number(/Code: (\d+)\./.exec(text)?.[1] ?? 1002)
}

function send(reply: FastifyReply, status: number, code: number, text: string): FastifyReply {
  return reply
    .code(status)
    .header('x-clickhouse-exception-code', String(code))
    .type('text/plain; charset=UTF-8')
    .send(`${text.trimEnd()}\n`)
}

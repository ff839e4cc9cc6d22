/** Errors in the form in which ClickHouse has them, since its clients read them so. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import { SqlRefused } from './parse.ts'
import { Problem, type ProblemCode } from '../problem.ts'

/** Statements nested too deep or too large: theirs, and no fault of the server. */
const TOO_MUCH = new Set([167, 168, 306, 718])

/** An error of ClickHouse's own, passed on. */
export class Refusal extends Error {
  readonly status: number
  constructor(status: number, text: string) {
    // What is behind it is of a statement of ours about theirs.
    super(text.replace(/:?\s*In scope SELECT formatQuerySingleLine\(unhex\([\s\S]*?(?= \([A-Z_]+\))/, ''))
    this.status = TOO_MUCH.has(codeOf(text)) ? 400 : status
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

/** ClickHouse's codes of what the server's door says. */
const OF_PROBLEMS: Partial<Record<ProblemCode, readonly [status: number, code: number, name: string]>> = {
  unauthorized: [401, 516, 'AUTHENTICATION_FAILED'],
  forbidden: [403, 497, 'ACCESS_DENIED'],
  rate_limited: [429, 201, 'QUOTA_EXCEEDED'],
}

export function answerError(error: unknown, request: FastifyRequest, reply: FastifyReply): FastifyReply {
  if (error instanceof SqlRefused) return refuse(reply, STATUSES[error.code] ?? 500, error.code, error.message)
  if (error instanceof Refusal) return refuse(reply, error.status, codeOf(error.message), error.message)
  if (error instanceof Problem) {
    const [status, code, name] = OF_PROBLEMS[error.code] ?? [503, 210, 'NETWORK_ERROR']
    if (status === 401) reply.header('www-authenticate', 'Bearer')
    const said = code === 516 ? `Authentication failed: ${error.message}, or as the password` : error.message
    return refuse(reply, status, code, `Code: ${code}. DB::Exception: ${said} (${name})`)
  }
  const { statusCode = 500, message } = error as { statusCode?: number; message: string }
  if (statusCode === 413)
    return refuse(reply, 413, 62, 'Code: 62. DB::Exception: Syntax error: the statement is too long (SYNTAX_ERROR)')
  if (statusCode >= 500) request.log.error({ err: error, requestId: request.id }, 'request failed')
  const text = statusCode >= 500 ? `request ${request.id} failed; it is in the service's log` : message
  return refuse(reply, statusCode, 1002, `Code: 1002. DB::Exception: ${text} (UNKNOWN_EXCEPTION)`)
}

function codeOf(text: string): number {
  return Number(/Code: (\d+)\./.exec(text)?.[1] ?? 1002)
}

function refuse(reply: FastifyReply, status: number, code: number, text: string): FastifyReply {
  return reply
    .code(status)
    .header('x-clickhouse-exception-code', String(code))
    .type('text/plain; charset=UTF-8')
    .send(`${text.trimEnd()}\n`)
}

/**
 * ClickHouse's own HTTP interface for analysts, read only: any client of ClickHouse connects to it as to a server. The door in front
 * knows who asks; this lets through what only reads, with limits, and streams the answer.
 *
 *   client ─▶ door (token, analytics:query) ─▶ parameters ─▶ turn ─▶ statement checked ─▶ ClickHouse (readonly, limits) ─▶ client
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { encoded, readStatement } from './body.ts'
import { PARSING, StatementCheck } from './check.ts'
import { answerError, Refusal } from './errors.ts'
import { MOST_SQL, SqlRefused } from './parse.ts'
import { LIMITS, parametersOf } from './settings.ts'
import { Slots } from './slots.ts'
import { checkFormat, otherDatabase } from './sql.ts'
import { type Principal, permission } from '../access/principal.ts'

const QUERY = permission('analytics:query', ['admin', 'analyst'])
export const permissions = { QUERY }

export interface ClickHouseRouteOptions {
  /** Of the service's ClickHouse: user, password and, as its path, the database. */
  readonly url: string
  /**
   * The user of that server who may only read, with limits of its own; rejects with the reason why there is none. Without, it is the
   * embedded one, and `url`'s user asks, with `readonly` and our limits.
   */
  readonly analyst?: () => Promise<{ readonly name: string; readonly password: string }>
  /** A client that takes nothing of its answer for so long is cut off. */
  readonly silentMs?: number
}

type Parameters = readonly (readonly [string, string])[]

/** A client has so long for its next step. */
const SILENT_MS = 10_000
/** And so long for all of its answer. */
const LONGEST_MS = 300_000
const ANSWERED = /^(content-type|x-clickhouse-.*)$/

/** Adds the routes to a scope of their own, which has its prefix. */
export function clickhouseRoute(app: FastifyInstance, options: ClickHouseRouteOptions): void {
  const proxy = new ReadOnlyProxy(options)
  app.register(async scope => {
    scope.setErrorHandler(answerError)
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MOST_SQL }, (_request, body, done) => done(null, body))
    const config = {
      permission: QUERY,
      audited: true as const, // a statement may be sent by GET too
      installationWide: true as const,
      write: false,
      action: 'analytics.query',
    }
    scope.route({
      method: ['GET', 'POST'],
      url: '/',
      config,
      schema: { summary: "Read-only SQL over ClickHouse's own HTTP interface" },
      handler: (request, reply) => proxy.answer(request, reply),
    })
    // As ClickHouse has it: for everybody, before anyone has said who they are.
    const schema = { summary: 'Whether it answers' }
    scope.get('/ping', { config: { public: true }, schema }, async (_request, reply) => reply.type('text/plain').send('Ok.\n'))
  })
}

class ReadOnlyProxy {
  readonly #origin: URL
  readonly #database: string
  readonly #user: () => Promise<{ readonly name: string; readonly password: string }>
  /** Settings of every statement. */
  readonly #own: Parameters
  readonly #silentMs: number
  readonly #check: StatementCheck
  readonly #slots = new Slots()

  constructor({ url, analyst, silentMs = SILENT_MS }: ClickHouseRouteOptions) {
    const { origin, pathname, username, password } = new URL(url)
    this.#origin = new URL(origin)
    this.#database = decodeURIComponent(pathname.slice(1)) || 'default'
    this.#user = analyst ?? (async () => ({ name: decodeURIComponent(username), password: decodeURIComponent(password) }))
    // A user who may only read is so by its profile, and cannot set it.
    this.#own = analyst === undefined ? [['readonly', '1']] : []
    this.#silentMs = silentMs
    const bounds = Object.entries(LIMITS).map(([name, value]) => [name, String(value)] as const)
    this.#check = new StatementCheck(async (sql, parameters) => {
      const response = await this.#ask(sql, [...bounds, ...PARSING, ...parameters])
      const text = await response.text()
      if (!response.ok) throw new Refusal(response.status, text)
      return text
    }, this.#database)
  }

  async answer(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    const given = new URL(request.url, 'http://localhost').searchParams
    const sql = readStatement(request, given)
    if (sql.trim() === '') return reply.type('text/plain').send('Ok.\n')
    request.audited = { ...request.audited, object: `sha256:${createHash('sha256').update(sql).digest('hex')}` }
    const { passed, seconds } = this.#parameters(given, request)
    const { principal } = request as { principal?: Principal | null }
    const leave = await this.#slots.enter(principal ? `${principal.kind} ${principal.id}` : '', seconds * 1000, gone.signal)
    if (leave === null) throw new SqlRefused(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', 'Too many simultaneous queries')
    try {
      const canonical = await this.#check.canonical(
        sql,
        passed.filter(([name]) => name.startsWith('param_')),
      )
      const response = await this.#ask(canonical, passed, gone.signal)
      for (const [name, value] of response.headers) if (ANSWERED.test(name)) reply.header(name, value)
      reply.code(response.status)
      const body = Readable.fromWeb((response.body ?? new Blob([]).stream()) as import('node:stream/web').ReadableStream)
      body.once('close', leave)
      this.#cutWhenSilent(reply)
      return reply.send(encoded(body, request, reply, given))
    } catch (error) {
      leave()
      if (error instanceof SqlRefused || error instanceof Refusal) throw error
      if (!gone.signal.aborted) request.log.warn({ requestId: request.id, reason: String(error) }, 'ClickHouse does not answer')
      throw new SqlRefused(210, 'NETWORK_ERROR', 'ClickHouse does not answer at the moment')
    }
  }

  /** Of a client that reads, the connection's count of bytes grows. One that reads a byte now and then is cut off in the end, too. */
  #cutWhenSilent({ raw }: FastifyReply): void {
    const { socket } = raw
    const began = performance.now()
    let [before, since] = [-1, began]
    const look = setInterval(() => {
      const now = performance.now()
      const written = socket?.bytesWritten ?? 0
      if (written !== before) [before, since] = [written, now]
      else if (now - since >= this.#silentMs && raw.writableLength > 0) raw.destroy()
      if (now - began >= LONGEST_MS) raw.destroy()
    }, this.#silentMs / 10)
    raw.once('close', () => clearInterval(look))
  }

  /** @throws {SqlRefused} */
  #parameters(given: URLSearchParams, { headers }: FastifyRequest): { passed: Parameters; seconds: number } {
    const { passed, seconds } = parametersOf(given)
    for (const database of [headers['x-clickhouse-database'], given.get('database')]) {
      if (typeof database === 'string' && database !== '' && database !== this.#database)
        throw otherDatabase(database, this.#database)
    }
    const format = headers['x-clickhouse-format'] ?? given.get('default_format')
    if (typeof format === 'string') {
      checkFormat(format)
      passed.set('default_format', format)
    }
    return { passed: [...passed], seconds }
  }

  async #ask(sql: string, parameters: Parameters, signal?: AbortSignal): Promise<Response> {
    const url = new URL(this.#origin)
    const all = new Map([...parameters, ['database', this.#database] as const, ...this.#own])
    url.search = new URLSearchParams([...all]).toString()
    const { name, password } = await this.#user().catch((error: Error) => {
      throw new SqlRefused(497, 'ACCESS_DENIED', error.message)
    })
    return await fetch(url, {
      method: 'POST',
      body: sql,
      headers: { authorization: `Basic ${Buffer.from(`${name}:${password}`).toString('base64')}`, 'accept-encoding': 'identity' },
      ...(signal === undefined ? {} : { signal }),
    })
  }
}

/**
 * ClickHouse's HTTP interface for analysts, read-only: any ClickHouse client can connect to it as to a server. Requests are
 * authenticated before; this allows only statements that read, limits them, and streams the response.
 *
 *   client ─▶ authentication (analytics:query) ─▶ parameters ─▶ slot ─▶ statement checked ─▶ ClickHouse (readonly, limits) ─▶ client
 */
import { createHash } from 'node:crypto'
import { Readable } from 'node:stream'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { compressed, readStatement } from './body.ts'
import { PARSING, StatementCheck } from './check.ts'
import { sendError, ClickHouseError } from './errors.ts'
import { MAX_SQL_BYTES, SqlRefused } from './parse.ts'
import { LIMITS, parametersOf } from './settings.ts'
import { Slots } from './slots.ts'
import { checkFormat, otherDatabase } from './sql.ts'
import { type Principal, permission } from '../access/principal.ts'

const QUERY = permission('analytics:query', ['admin', 'analyst'])
export const permissions = { QUERY }

export interface ClickHouseRouteOptions {
  /** URL of the service's ClickHouse with user, password and, as its path, the database. */
  readonly url: string
  /**
   * The server's read-only user; rejects with the reason if there is none. Without it, ClickHouse is embedded, and `url`'s user runs
   * the statements with `readonly`.
   */
  readonly analyst?: () => Promise<{ readonly name: string; readonly password: string }>
  /** A client that reads nothing of its response for this long is disconnected. */
  readonly idleMs?: number
}

type Parameters = readonly (readonly [string, string])[]

const CLIENT_IDLE_MS = 10_000
/** Maximum duration of a response. */
const MAX_RESPONSE_MS = 300_000
const PASSED_HEADERS = /^(content-type|x-clickhouse-.*)$/

/** Adds the routes; the scope has the prefix. */
export function clickhouseRoute(app: FastifyInstance, options: ClickHouseRouteOptions): void {
  const proxy = new ReadOnlyProxy(options)
  app.register(async scope => {
    scope.setErrorHandler(sendError)
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MAX_SQL_BYTES }, (_request, body, done) => done(null, body))
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
      handler: (request, reply) => proxy.handle(request, reply),
    })
    // As in ClickHouse, without authentication.
    const schema = { summary: 'Liveness check of ClickHouse clients' }
    scope.get('/ping', { config: { public: true }, schema }, async (_request, reply) => reply.type('text/plain').send('Ok.\n'))
  })
}

class ReadOnlyProxy {
  readonly #origin: URL
  readonly #database: string
  readonly #user: () => Promise<{ readonly name: string; readonly password: string }>
  /** Settings of every statement. */
  readonly #own: Parameters
  readonly #idleMs: number
  readonly #check: StatementCheck
  readonly #slots = new Slots()

  constructor({ url, analyst, idleMs = CLIENT_IDLE_MS }: ClickHouseRouteOptions) {
    const { origin, pathname, username, password } = new URL(url)
    this.#origin = new URL(origin)
    this.#database = decodeURIComponent(pathname.slice(1)) || 'default'
    this.#user = analyst ?? (async () => ({ name: decodeURIComponent(username), password: decodeURIComponent(password) }))
    // The read-only user has this in its profile, and may not set it.
    this.#own = analyst === undefined ? [['readonly', '1']] : []
    this.#idleMs = idleMs
    const bounds = Object.entries(LIMITS).map(([name, value]) => [name, String(value)] as const)
    this.#check = new StatementCheck(async (sql, parameters) => {
      const response = await this.#ask(sql, [...bounds, ...PARSING, ...parameters])
      const text = await response.text()
      if (!response.ok) throw new ClickHouseError(response.status, text)
      return text
    }, this.#database)
  }

  async handle(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    const closed = new AbortController()
    reply.raw.once('close', () => closed.abort())
    const given = new URL(request.url, 'http://localhost').searchParams
    const sql = readStatement(request, given)
    if (sql.trim() === '') return reply.type('text/plain').send('Ok.\n')
    request.audited = { ...request.audited, object: `sha256:${createHash('sha256').update(sql).digest('hex')}` }
    const { passed, seconds } = this.#parameters(given, request)
    const { principal } = request as { principal?: Principal | null }
    const release = await this.#slots.enter(principal ? `${principal.kind} ${principal.id}` : '', seconds * 1000, closed.signal)
    if (release === null) throw new SqlRefused(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', 'Too many simultaneous queries')
    try {
      const canonical = await this.#check.canonical(
        sql,
        passed.filter(([name]) => name.startsWith('param_')),
      )
      const response = await this.#ask(canonical, passed, closed.signal)
      for (const [name, value] of response.headers) if (PASSED_HEADERS.test(name)) reply.header(name, value)
      reply.code(response.status)
      const body = Readable.fromWeb((response.body ?? new Blob([]).stream()) as import('node:stream/web').ReadableStream)
      body.once('close', release)
      this.#disconnectWhenIdle(reply)
      return reply.send(compressed(body, request, reply, given))
    } catch (error) {
      release()
      if (error instanceof SqlRefused || error instanceof ClickHouseError) throw error
      if (!closed.signal.aborted)
        request.log.warn({ requestId: request.id, reason: String(error) }, 'ClickHouse does not respond')
      throw new SqlRefused(210, 'NETWORK_ERROR', 'ClickHouse does not respond: try again')
    }
  }

  /** Disconnects a client whose connection makes no progress, or whose response takes too long in total. */
  #disconnectWhenIdle({ raw }: FastifyReply): void {
    const { socket } = raw
    const began = performance.now()
    let [before, since] = [-1, began]
    const look = setInterval(() => {
      const now = performance.now()
      const written = socket?.bytesWritten ?? 0
      if (written !== before) [before, since] = [written, now]
      else if (now - since >= this.#idleMs && raw.writableLength > 0) raw.destroy()
      if (now - began >= MAX_RESPONSE_MS) raw.destroy()
    }, this.#idleMs / 10)
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

/**
 * ClickHouse's own HTTP interface for analysts, read only: any client of ClickHouse connects to it as to a server. The door in front
 * knows who asks; this lets through what only reads, with limits, and streams the answer.
 *
 *   client ─▶ door (token, analytics:query) ─▶ statement and settings checked ─▶ ClickHouse (readonly, limits) ─▶ client
 */
import { Readable } from 'node:stream'
import { gunzipSync } from 'node:zlib'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { checkFormat, checkSql, type Reach, SqlRefused } from './clickhouse-sql.ts'
import './people/principal.ts'

export interface ClickHouseRouteOptions {
  /** Of the service's ClickHouse: user, password and, as its path, the database. */
  readonly url: string
  /** A user of that server who may only read, with limits of its own. Without, `url`'s user asks, with `readonly` and our limits. */
  readonly readOnlyUser?: { readonly name: string; readonly password: string }
}

/** Most that one statement may take: seconds, bytes of memory, rows and bytes of its answer. */
const LIMITS: Readonly<Record<string, number>> = {
  max_execution_time: 30,
  max_memory_usage: 1024 ** 3,
  max_result_rows: 1_000_000,
  max_result_bytes: 128 * 1024 ** 2,
}
const STATEMENTS_AT_ONCE = 4
const MOST_SQL = 1024 * 1024
/** A database that is new is known after so long. */
const REACH_MS = 60_000

/** Parameters that are none of ClickHouse's settings, and are passed on. */
const PASSED = new Set(['query_id', 'default_format', 'compress'])
/** Those that are left out: who asks is known, and a statement has no session. */
const LEFT_OUT = new Set(
  'query user password quota_key role database session_id session_timeout session_check close_session stacktrace wait_end_of_query buffer_size enable_http_compression send_progress_in_http_headers http_headers_progress_interval_ms cancel_http_readonly_queries_on_client_close client_protocol_version log_comment log_queries result_overflow_mode'.split(
    ' ',
  ),
)
/** Settings that one may choose. */
const CHOSEN =
  /^(output_format_\w+|date_time_output_format|join_use_nulls|session_timezone|extremes|max_threads|max_block_size|limit|offset)$/
const ANSWERED = /^(content-type|x-clickhouse-.*)$/

/** Adds the routes to a scope of their own, which has its prefix. */
export function clickhouseRoute(app: FastifyInstance, options: ClickHouseRouteOptions): void {
  const proxy = new ReadOnlyProxy(options)
  app.register(async scope => {
    scope.removeAllContentTypeParsers()
    scope.addContentTypeParser('*', { parseAs: 'buffer', bodyLimit: MOST_SQL }, (_request, body, done) => done(null, body))
    const config = { permission: 'analytics:query' as const, whole: true as const, write: false, action: 'analytics.query' }
    scope.route({
      method: ['GET', 'POST'],
      url: '/',
      config,
      schema: { summary: "Read-only SQL over ClickHouse's own HTTP interface" },
      handler: (request, reply) => proxy.answer(request, reply),
    })
    const schema = { summary: 'Whether it answers' }
    scope.get('/ping', { config, schema }, async (_request, reply) => reply.type('text/plain').send('Ok.\n'))
  })
}

class ReadOnlyProxy {
  readonly #origin: URL
  readonly #database: string
  readonly #authorization: string
  readonly #settings: Readonly<Record<string, string>> | null
  #running = 0
  #reach: { readonly known: Reach; readonly until: number } | null = null

  constructor({ url, readOnlyUser }: ClickHouseRouteOptions) {
    const { origin, pathname, username, password } = new URL(url)
    const user = readOnlyUser ?? { name: decodeURIComponent(username), password: decodeURIComponent(password) }
    this.#origin = new URL(origin)
    this.#database = decodeURIComponent(pathname.slice(1)) || 'default'
    this.#authorization = `Basic ${Buffer.from(`${user.name}:${user.password}`).toString('base64')}`
    // A user who may only read may set nothing either.
    this.#settings = readOnlyUser === undefined ? { result_overflow_mode: 'throw', readonly: '1' } : null
  }

  async answer(request: FastifyRequest, reply: FastifyReply): Promise<unknown> {
    if (this.#running >= STATEMENTS_AT_ONCE) {
      return refuse(reply, new SqlRefused(202, 'TOO_MANY_SIMULTANEOUS_QUERIES', 'Too many simultaneous queries'))
    }
    const gone = new AbortController()
    reply.raw.once('close', () => gone.abort())
    this.#running++
    reply.raw.once('close', () => this.#running--)
    try {
      const given = new URL(request.url, 'http://localhost').searchParams
      const sql = sqlOf(request, given)
      if (sql.trim() === '') return reply.type('text/plain').send('Ok.\n')
      const passed = this.#parameters(given, request)
      checkSql(sql, await this.#known())
      const response = await this.#ask(sql, passed, gone.signal)
      for (const [name, value] of response.headers) if (ANSWERED.test(name)) reply.header(name, value)
      reply.code(response.status)
      return reply.send(response.body === null ? '' : Readable.fromWeb(response.body as import('node:stream/web').ReadableStream))
    } catch (error) {
      if (error instanceof SqlRefused) return refuse(reply, error)
      request.log.warn({ requestId: request.id, reason: String(error) }, 'ClickHouse does not answer')
      return refuse(reply, new SqlRefused(210, 'NETWORK_ERROR', 'ClickHouse does not answer at the moment'))
    }
  }

  /** @throws {SqlRefused} */
  #parameters(given: URLSearchParams, { headers }: FastifyRequest): URLSearchParams {
    const passed = new URLSearchParams({ database: this.#database })
    const limits = { ...LIMITS }
    for (const [name, value] of given) {
      if (name.startsWith('param_') || PASSED.has(name)) passed.set(name, value)
      else if (name in LIMITS) limits[name] = lower(Number(value), LIMITS[name] as number)
      else if (name === 'readonly' && Number(value) > 0) continue
      else if (CHOSEN.test(name)) {
        if (this.#settings !== null) passed.set(name, value)
      } else if (!LEFT_OUT.has(name)) throw new SqlRefused(164, 'READONLY', `Cannot modify '${name}' setting in readonly mode`)
    }
    const database = headers['x-clickhouse-database'] ?? given.get('database') ?? this.#database
    if (database !== this.#database && database !== 'default' && database !== '') {
      throw new SqlRefused(497, 'ACCESS_DENIED', `Not enough privileges: database ${database} is not offered to analysts`)
    }
    const format = headers['x-clickhouse-format'] ?? given.get('default_format')
    if (typeof format === 'string') {
      checkFormat(format)
      passed.set('default_format', format)
    }
    if (this.#settings !== null) {
      for (const [name, value] of Object.entries({ ...limits, ...this.#settings })) passed.set(name, String(value))
    }
    return passed
  }

  #ask(sql: string, parameters: URLSearchParams, signal?: AbortSignal): Promise<Response> {
    const url = new URL(this.#origin)
    url.search = parameters.toString()
    return fetch(url, {
      method: 'POST',
      body: sql,
      headers: { authorization: this.#authorization, 'accept-encoding': 'identity' },
      ...(signal === undefined ? {} : { signal }),
    })
  }

  /** What there is besides the tables: other versions have others. */
  async #known(): Promise<Reach> {
    const now = performance.now()
    if (this.#reach !== null && this.#reach.until > now) return this.#reach.known
    const names = async (sql: string) => {
      const response = await this.#ask(`${sql} FORMAT JSONCompactColumns`, new URLSearchParams())
      const text = await response.text()
      if (!response.ok) throw new Error(text)
      return ((JSON.parse(text) as string[][])[0] ?? []).filter(name => name !== this.#database)
    }
    const [tableFunctions, databases] = await Promise.all([
      names('SELECT lower(name) FROM system.table_functions'),
      names("SELECT name FROM system.databases WHERE lower(name) NOT IN ('system', 'information_schema')"),
    ])
    const known = { tableFunctions: new Set(tableFunctions), otherDatabases: new Set(databases) }
    this.#reach = { known, until: now + REACH_MS }
    return known
  }
}

/** @throws {SqlRefused} */
function sqlOf({ body, headers }: FastifyRequest, given: URLSearchParams): string {
  const encoding = headers['content-encoding']
  if (given.get('decompress') === '1' || (encoding !== undefined && encoding !== 'gzip' && encoding !== 'identity')) {
    throw new SqlRefused(48, 'NOT_IMPLEMENTED', 'a statement may be sent plainly or by gzip')
  }
  const bytes = Buffer.isBuffer(body) ? body : Buffer.alloc(0)
  try {
    const text = encoding === 'gzip' ? gunzipSync(bytes, { maxOutputLength: MOST_SQL }) : bytes
    return [given.get('query'), new TextDecoder('utf-8', { fatal: true }).decode(text)].filter(Boolean).join('\n')
  } catch (error) {
    throw new SqlRefused(62, 'SYNTAX_ERROR', `the statement cannot be read: ${(error as Error).message}`)
  }
}

function lower(wished: number, most: number): number {
  return wished > 0 ? Math.min(wished, most) : most
}

const STATUSES: Readonly<Record<number, number>> = { 48: 501, 62: 400, 73: 400, 164: 403, 202: 429, 210: 503, 497: 403 }

function refuse(reply: FastifyReply, { code, message }: SqlRefused): FastifyReply {
  return reply
    .code(STATUSES[code] ?? 500)
    .header('x-clickhouse-exception-code', String(code))
    .type('text/plain; charset=UTF-8')
    .send(`${message}\n`)
}

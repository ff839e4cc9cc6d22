/**
 * The process that runs chdb and answers over HTTP as a ClickHouse server does. It is separate because a crash in native code ends the
 * process.
 *
 *   node child.ts <folder> <port or 0> [place]
 *                                           place: where the folder is for the child; without it, where it is for all
 *                                           parent ─ipc─ child: {password} ─▶, ◀─ {port} once it listens; disconnected when the
 *                                           parent has ended
 */
import { timingSafeEqual } from 'node:crypto'
import { once } from 'node:events'
import { mkdirSync } from 'node:fs'
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import { createGunzip, createInflate, gzipSync } from 'node:zlib'
import { type Compression, readBlocks, writeBlocks } from '../../clickhouse/blocks.ts'
import { DATABASE, ChdbEngine, EngineError, type Outcome, type Statement } from './chdb.ts'
import { NativeUnsupported, nativeFor } from './native.ts'

const USER = 'default'
const MAX_BODY_BYTES = 256 * 1024 * 1024
const LAST_STATEMENTS_MS = 5_000
/** Parameters of the interface that are not settings. There are no sessions: statements are isolated. */
const NO_SETTINGS = new Set(
  'query database default_format user password quota_key query_id session_id session_timeout session_check stacktrace compress decompress wait_end_of_query buffer_size close_session role client_protocol_version network_compression_method network_compression_level network_zstd_compression_level'.split(
    ' ',
  ),
)
const CONTENT_TYPES: readonly (readonly [RegExp, string])[] = [
  [/^JSON.*EachRow/, 'application/x-ndjson; charset=UTF-8'],
  [/^JSON/, 'application/json; charset=UTF-8'],
  [/^CSV/, 'text/csv; charset=UTF-8; header=absent'],
  [/^(TabSeparated|TSV)/, 'text/tab-separated-values; charset=UTF-8'],
  [/^(Pretty|Vertical|Values|Markdown|XML)/, 'text/plain; charset=UTF-8'],
]

async function main(folder: string, port: number): Promise<void> {
  // Also if the parent was killed.
  process.on('disconnect', () => void end())
  for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => void end())
  const password = await new Promise<string>(resolve =>
    process.once('message', m => resolve((m as { password: string }).password)),
  )
  process.umask(0o077)
  mkdirSync(folder, { recursive: true })
  const engine = new ChdbEngine(await import('chdb'), folder)
  const server = createServer((request, response) => void answer(engine, password, request, response))
  server.requestTimeout = 0
  await new Promise<void>((resolve, reject) => server.once('error', reject).listen(port, '127.0.0.1', resolve))
  process.send?.({ port: (server.address() as AddressInfo).port })

  async function end(): Promise<void> {
    // A long-running statement is cut off: nothing that was answered is lost.
    setTimeout(() => process.kill(process.pid, 'SIGKILL'), LAST_STATEMENTS_MS).unref()
    await new Promise(resolve => server.close(resolve).closeIdleConnections())
    engine.close()
    process.exit(0)
  }
}

async function answer(engine: ChdbEngine, password: string, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  try {
    const url = new URL(request.url ?? '/', 'http://localhost')
    const { searchParams } = url
    if (url.pathname === '/ping' || url.pathname === '/replicas_status') return void response.end('Ok.\n')
    if (!['GET', 'POST', 'HEAD'].includes(request.method ?? '')) return void response.writeHead(405).end()
    if (request.method === 'GET' && !searchParams.has('query')) return void response.end('Ok.\n')
    authenticate(request, searchParams, password)
    const form = formOf(searchParams)
    const statement = await read(request, searchParams)
    const outcome = await engine.run(statement, gone.signal)
    const body = inForm(outcome, form)
    const zipped =
      searchParams.get('enable_http_compression') === '1' && /\bgzip\b/.test(request.headers['accept-encoding'] ?? '')
    response.writeHead(200, {
      'content-type': CONTENT_TYPES.find(([name]) => name.test(outcome.format))?.[1] ?? 'application/octet-stream',
      'x-clickhouse-format': outcome.format,
      'x-clickhouse-timezone': 'UTC',
      'x-clickhouse-server-display-name': 'embedded',
      'x-clickhouse-query-id': searchParams.get('query_id') ?? '',
      'x-clickhouse-summary': JSON.stringify({
        read_rows: String(outcome.readRows),
        read_bytes: String(outcome.readBytes),
        written_rows: String(outcome.writtenRows),
        written_bytes: String(outcome.writtenBytes),
        elapsed_ns: String(Math.round(outcome.elapsedMs * 1e6)),
      }),
      ...(zipped ? { 'content-encoding': 'gzip' } : {}),
    })
    if (form.blocks === null) return void response.end(zipped ? gzipSync(body) : body)
    for (const block of writeBlocks(body, form.blocks)) {
      if (!response.write(block)) await once(response, 'drain', { signal: gone.signal })
    }
    response.end()
  } catch (error) {
    fail(response, error, engine.version)
  }
}

interface Form {
  /** ClickHouse's own compression. */
  readonly blocks: Compression | null
  /** The client's protocol version; 0 for none. */
  readonly version: number
}

const COMPRESSIONS: Readonly<Record<string, Compression>> = { LZ4: 'lz4', LZ4HC: 'lz4', ZSTD: 'zstd', NONE: 'none' }

/** How the client wants the answer encoded. @throws {EngineError} */
function formOf(parameters: URLSearchParams): Form {
  const method = (parameters.get('network_compression_method') ?? 'LZ4').toUpperCase()
  const compression = Object.hasOwn(COMPRESSIONS, method) ? COMPRESSIONS[method] : undefined
  if (compression === undefined) throw new EngineError(432, `Unknown codec family code: ${method}`)
  const version = Number(parameters.get('client_protocol_version') ?? 0)
  if (!Number.isSafeInteger(version) || version < 0) throw new EngineError(36, 'client_protocol_version is not a version')
  return { blocks: isOn(parameters, 'compress') ? compression : null, version }
}

function inForm({ body, format, types }: Outcome, { version }: Form): Uint8Array {
  if (format !== 'Native' || version === 0) return body
  try {
    return nativeFor(version, body, types)
  } catch (error) {
    if (!(error instanceof NativeUnsupported)) throw error
    throw new EngineError(48, `${error.message} is not offered in format Native: cast it, or choose another format`)
  }
}

function isOn(parameters: URLSearchParams, name: string): boolean {
  return ['1', 'true'].includes(parameters.get(name) ?? '0')
}

/** Checks the password, in any of the ways that ClickHouse's clients send it. */
function authenticate({ headers }: IncomingMessage, parameters: URLSearchParams, password: string): void {
  const [kind, token = ''] = (headers.authorization ?? '').split(' ')
  const basic = kind?.toLowerCase() === 'basic' ? Buffer.from(token, 'base64').toString() : null
  const user = parameters.get('user') ?? headers['x-clickhouse-user'] ?? basic?.split(':')[0] ?? USER
  const given = parameters.get('password') ?? headers['x-clickhouse-key'] ?? basic?.slice(basic.indexOf(':') + 1) ?? ''
  const [a, b] = [Buffer.from(String(given)), Buffer.from(password)]
  if (user !== USER || a.length !== b.length || !timingSafeEqual(a, b)) {
    throw new EngineError(516, `Code: 516. DB::Exception: ${user}: Authentication failed. (AUTHENTICATION_FAILED)`)
  }
}

async function read(request: IncomingMessage, url: URLSearchParams): Promise<Statement> {
  const chunks: Buffer[] = []
  const query = url.get('query')
  if (query !== null) chunks.push(Buffer.from(`${query}\n`))
  const encoding = request.headers['content-encoding']
  const unzip = encoding === 'gzip' ? createGunzip() : encoding === 'deflate' ? createInflate() : null
  let size = 0
  for await (const chunk of unzip === null ? request : request.pipe(unzip)) {
    size += chunk.length
    if (size > MAX_BODY_BYTES) throw new EngineError(307, `the body is larger than ${MAX_BODY_BYTES} bytes`)
    chunks.push(chunk)
  }
  const settings: Record<string, string> = {}
  const whole = Buffer.concat(chunks)
  const head = query === null ? 0 : Buffer.byteLength(`${query}\n`)
  const body =
    isOn(url, 'decompress') && whole.length > head
      ? Buffer.concat([whole.subarray(0, head), readBlocks(whole.subarray(head), MAX_BODY_BYTES)])
      : whole
  const parameters: Record<string, string> = {}
  for (const [name, value] of url) {
    if (name.startsWith('param_')) parameters[name.slice(6)] = value
    else if (!NO_SETTINGS.has(name)) settings[name] = value
  }
  const { headers } = request
  return {
    body,
    format: String(headers['x-clickhouse-format'] ?? url.get('default_format') ?? 'TabSeparated'),
    database: String(headers['x-clickhouse-database'] ?? url.get('database') ?? DATABASE),
    settings,
    parameters,
  }
}

/** HTTP statuses of ClickHouse's codes, as its server has them; any other is 500. */
const STATUSES: readonly (readonly [status: number, codes: readonly number[]])[] = [
  [400, [6, 26, 27, 36, 38, 41, 42, 43, 53, 62, 72, 117, 130, 131, 457, 469]],
  [403, [164, 192, 193, 497, 516]],
  [404, [16, 46, 47, 50, 60, 81, 115]],
  [408, [159]],
  [413, [307]],
  [501, [48]],
]

function fail(response: ServerResponse, error: unknown, version: string): void {
  if (response.headersSent) return void response.destroy()
  const { code, message } = error instanceof EngineError ? error : new EngineError(1002, String(error))
  const text = message.startsWith('Code: ') ? message : `Code: ${code}. DB::Exception: ${message}`
  response.writeHead(STATUSES.find(([, codes]) => codes.includes(code))?.[0] ?? 500, {
    'content-type': 'text/plain; charset=UTF-8',
    'x-clickhouse-exception-code': String(code),
  })
  response.end(text.includes('(version ') ? `${text}\n` : `${text} (version ${version})\n`)
}

if (import.meta.main) await main(process.argv[4] ?? (process.argv[2] as string), Number(process.argv[3]))

/** Errors that Node reports before there is a request, sent as problems like all others. */
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError } from 'fastify'
import { type ProblemCode, problemBody } from './problem.ts'

const HEADERS = { 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

const REASONS: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['header_too_large', 'URL and headers together must not exceed 16 KB'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'the request was not received in time'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['payload_too_large', 'the chunk extensions are too large'],
}

/** For a request that cannot be parsed. */
export function handleClientError(error: ConnectionError, socket: Socket & { _httpMessage?: ServerResponse | null }): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  // A response that has begun cannot become another one.
  if (!socket.writable || socket._httpMessage?.headersSent === true) return void socket.destroy(error)
  const [code, detail] = REASONS[error.code] ?? ['invalid_request', 'not a valid HTTP/1.1 request']
  const { status, title, json } = problemBody(code, detail)
  const headers = { ...HEADERS, 'content-length': Buffer.byteLength(json), connection: 'close' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join('')}\r\n${json}`)
}

/** Refuses any expectation but `100-continue`. */
export function refuseOtherExpectations(server: Server): void {
  server.on('checkExpectation', (_request, response: ServerResponse) => {
    const { status, json } = problemBody('expectation_failed', 'only "Expect: 100-continue" is supported')
    response.writeHead(status, { ...HEADERS, 'content-length': Buffer.byteLength(json), connection: 'close' }).end(json)
  })
}

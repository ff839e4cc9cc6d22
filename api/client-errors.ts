/** What Node itself refuses, before there is a request: as problems, like everything else. */
import type { Server, ServerResponse } from 'node:http'
import type { Socket } from 'node:net'
import type { ConnectionError } from 'fastify'
import { type ProblemCode, problemBody } from './problem.ts'

const HEADERS = { 'content-type': 'application/problem+json', 'cache-control': 'no-store', 'x-content-type-options': 'nosniff' }

const REASONS: Readonly<Record<string, readonly [ProblemCode, string]>> = {
  HPE_HEADER_OVERFLOW: ['header_too_large', 'the address and the headers of a request may be 16 KB together'],
  ERR_HTTP_REQUEST_TIMEOUT: ['request_timeout', 'the request did not come in time'],
  HPE_CHUNK_EXTENSIONS_OVERFLOW: ['payload_too_large', 'the extensions of a chunk are too large'],
}

/** For a request that could not be read. */
export function refuseUnreadable(error: ConnectionError, socket: Socket & { _httpMessage?: ServerResponse | null }): void {
  if (error.code === 'ECONNRESET' || socket.destroyed) return
  // In the middle of an answer nothing else can be said.
  if (!socket.writable || socket._httpMessage?.headersSent === true) return void socket.destroy(error)
  const [code, detail] = REASONS[error.code] ?? ['invalid_request', 'the request is not one of HTTP/1.1']
  const { status, title, json } = problemBody(code, detail)
  const headers = { ...HEADERS, 'content-length': Buffer.byteLength(json), connection: 'close' }
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`)
  socket.end(`HTTP/1.1 ${status} ${title}\r\n${lines.join('')}\r\n${json}`)
}

/** A request that expects something else than to be asked for its body. */
export function refuseExpectations(server: Server): void {
  server.on('checkExpectation', (_request, response: ServerResponse) => {
    const { status, json } = problemBody('expectation_failed', 'only "Expect: 100-continue" is met here')
    response.writeHead(status, { ...HEADERS, 'content-length': Buffer.byteLength(json), connection: 'close' }).end(json)
  })
}

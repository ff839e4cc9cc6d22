import { Duplex } from 'node:stream'
import { expect, test } from 'vitest'
import { handleClientError } from './client-errors.ts'

/** A connection, and what was written to it. */
function connection(more: object = {}) {
  const written: string[] = []
  const socket = new Duplex({
    read() {},
    write(chunk, _encoding, done) {
      written.push(String(chunk))
      done()
    },
  })
  Object.assign(socket, more)
  socket.on('error', () => {}) // the error it is destroyed with
  return { socket: socket as never, raw: socket, written }
}
const failure = (code: string) => Object.assign(new Error(code), { code, bytesParsed: 0, rawPacket: {} }) as never

test.each([
  ['ERR_HTTP_REQUEST_TIMEOUT', 408, 'Request Timeout', 'request_timeout'],
  ['HPE_HEADER_OVERFLOW', 431, 'Request Header Fields Too Large', 'header_too_large'],
  ['HPE_CHUNK_EXTENSIONS_OVERFLOW', 413, 'Payload Too Large', 'payload_too_large'],
  ['HPE_INVALID_METHOD', 400, 'Bad Request', 'invalid_request'],
])('%s is a problem: %i', (code, status, title, problem) => {
  const { socket, raw, written } = connection()
  handleClientError(failure(code), socket)
  const [head = '', body = ''] = written.join('').split('\r\n\r\n')
  expect(head).toMatch(new RegExp(`^HTTP/1.1 ${status} ${title}\r\n`))
  expect(head).toContain('content-type: application/problem+json')
  expect(head).toContain(`content-length: ${Buffer.byteLength(body)}`)
  expect(JSON.parse(body)).toMatchObject({ status, title, code: problem })
  expect(raw.writableEnded).toBe(true)
})

test('nothing is sent on a lost connection, or in the middle of a response', () => {
  for (const [code, more] of [
    ['ECONNRESET', {}],
    ['HPE_INVALID_METHOD', { _httpMessage: { headersSent: true } }],
  ] as const) {
    const { socket, written } = connection(more)
    handleClientError(failure(code), socket)
    expect(written).toEqual([])
  }
})

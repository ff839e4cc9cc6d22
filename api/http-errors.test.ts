/** Refusals use HTTP's status codes, and are always problems. */
import { METHODS } from 'node:http'
import { connect } from 'node:net'
import type pg from 'pg'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { TestLog } from '../sinks/testing/log.ts'
import { type ApiServer, startApi } from './server.ts'
import { TOKEN, testOptions } from './testing/client.ts'
import { endless, pathOf, routesOf } from './testing/routes.ts'

let api: ApiServer

beforeAll(async () => {
  // No request here reaches the database.
  const pool = { query: async () => ({ rows: [], rowCount: 0 }) } as unknown as pg.Pool
  api = await startApi({ ...testOptions(await TestLog.open(), pool), clickhouse: { url: 'http://127.0.0.1:9' } })
})

afterAll(() => api.close())

interface Raw {
  readonly status: number
  readonly headers: Readonly<Record<string, string>>
  // biome-ignore lint/suspicious/noExplicitAny: a problem
  readonly body: any
}

/** A request that no client would send, and the whole response. */
function raw(text: string | readonly string[]): Promise<Raw> {
  const { hostname, port } = new URL(api.url)
  return new Promise((resolve, reject) => {
    let answer = ''
    const socket = connect(Number(port), hostname, () => {
      for (const part of [text].flat()) socket.write(part)
    })
    socket.setEncoding('utf8').on('data', data => {
      answer += data
    })
    socket.on('error', reject)
    socket.on('close', () => {
      const [head = '', ...rest] = answer.split('\r\n\r\n')
      const [line = '', ...lines] = head.split('\r\n')
      const headers = Object.fromEntries(
        lines.map(l => [l.slice(0, l.indexOf(':')).toLowerCase(), l.slice(l.indexOf(':') + 1).trim()]),
      )
      const json = /json/.test(headers['content-type'] ?? '') && rest.join('') !== ''
      resolve({ status: Number(line.split(' ')[1]), headers, body: json ? JSON.parse(rest.join('\r\n\r\n')) : null })
    })
  })
}

const ask = (method: string, path: string, token: string | null = TOKEN) =>
  raw(
    `${method} ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n${token === null ? '' : `Authorization: Bearer ${token}\r\n`}\r\n`,
  )

function expectProblem(answer: Raw, status: number, code: string, what: string): void {
  expect([what, answer.status]).toEqual([what, status])
  expect([what, answer.headers['content-type']]).toEqual([what, expect.stringContaining('application/problem+json')])
  expect([what, answer.body]).toEqual([what, expect.objectContaining({ status, code, type: `urn:bma-social:problem:${code}` })])
}

const NO_BODY = ['HEAD', 'CONNECT']

describe('a method that a path does not support', () => {
  test.each([
    ['PATCH', '/api/v1/venues', 'GET, HEAD'],
    ['POST', '/api/v1/alerts', 'GET, HEAD'],
    ['PUT', '/api/v1/venues/main%3Av1', 'GET, HEAD'],
    ['GET', '/api/v1/venues/main:v1/overrides/notes', 'DELETE, PUT'],
    ['DELETE', '/healthz', 'GET, HEAD'],
    ['TRACE', '/readyz', 'GET, HEAD'],
    ['QUERY', '/metrics', 'GET, HEAD'],
    ['PROPFIND', '/clickhouse/', 'GET, HEAD, POST'],
    ['DELETE', '/webhooks/whatsapp', 'GET, HEAD, POST'],
    ['POST', '/openapi.json', 'GET, HEAD'],
    ['POST', '/api/v1/live', 'GET'],
  ])('is 405, and says what it has: %s %s', async (method, path, allowed) => {
    const answer = await ask(method, path)
    expectProblem(answer, 405, 'method_not_allowed', path)
    expect(answer.headers.allow).toBe(allowed)
  })

  test('is refused on every path of the document, for every method', { timeout: 60_000 }, async () => {
    const byPath = Map.groupBy(await routesOf(api.url), route => pathOf(route))
    expect(byPath.size).toBeGreaterThan(40)
    for (const [path, routes] of byPath) {
      const taken = routes.map(({ method }) => method)
      for (const method of METHODS.filter(m => !NO_BODY.includes(m) && !taken.includes(m))) {
        const answer = await ask(method, path)
        expectProblem(answer, 405, 'method_not_allowed', `${method} ${path}`)
        expect(answer.headers.allow?.split(', ')).toEqual(expect.arrayContaining(taken))
      }
    }
  })

  test('under /api is refused after the token is checked', async () => {
    for (const method of ['PATCH', 'TRACE', 'QUERY'])
      expectProblem(await ask(method, '/api/v1/venues', null), 401, 'unauthorized', method)
  })

  test('differs from a path that does not exist', async () => {
    for (const path of ['/api/v1/nothing', '/nothing', '/healthz/more', '/api/v1/venues/a/b/c'])
      for (const method of ['GET', 'QUERY', 'PATCH'])
        expectProblem(await ask(method, path), 404, 'not_found', `${method} ${path}`)
  })
})

describe('a malformed request', () => {
  test.each([
    ['no HTTP at all', 'nonsense\r\n\r\n', 400, 'invalid_request'],
    ['a method that there is not', 'JUMP /healthz HTTP/1.1\r\nHost: x\r\n\r\n', 400, 'invalid_request'],
    [
      'two lengths',
      'POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n',
      400,
      'invalid_request',
    ],
    ['a header without a name', 'GET /healthz HTTP/1.1\r\nHost: x\r\n: y\r\n\r\n', 400, 'invalid_request'],
    ['no host', 'GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n', 400, 'invalid_request'],
    ['too many headers', `GET /healthz HTTP/1.1\r\nHost: x\r\nX: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'header_too_large'],
    ['an address that is too long', `GET /${'x'.repeat(20_000)} HTTP/1.1\r\nHost: x\r\n\r\n`, 431, 'header_too_large'],
    ['an expectation', 'GET /healthz HTTP/1.1\r\nHost: x\r\nExpect: tea\r\n\r\n', 417, 'expectation_failed'],
  ])('is a problem: %s', async (what, text, status, code) => {
    expectProblem(await raw(text), status, code, what)
  })

  const post = (headers: string, body: string) =>
    raw(
      `POST /api/v1/messages HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAuthorization: Bearer ${TOKEN}\r\n${headers}\r\nContent-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`,
    )
  test.each([
    [
      'a body that is too large',
      'Content-Type: application/json',
      JSON.stringify({ text: 'x'.repeat(70_000) }),
      413,
      'payload_too_large',
    ],
    ['a type that is none', 'Content-Type: x', '{}', 415, 'unsupported_media_type'],
    ['a type that is not taken', 'Content-Type: text/plain', '{}', 415, 'unsupported_media_type'],
    ['no JSON', 'Content-Type: application/json', '{', 400, 'invalid_request'],
    ['no body', 'Content-Type: application/json', '', 400, 'invalid_request'],
    ['a prototype', 'Content-Type: application/json', '{"__proto__":{"a":1}}', 400, 'invalid_request'],
  ])('is a problem: %s', async (what, headers, body, status, code) => {
    expectProblem(await post(headers, body), status, code, what)
  })

  test('is a problem: an id that is too long', async () => {
    expectProblem(await ask('GET', `/api/v1/venues/${'x'.repeat(600)}`), 414, 'uri_too_long', 'id')
    expectProblem(await ask('GET', '/api/v1/venues/%zz'), 400, 'invalid_request', 'escape')
  })
})

test('static files under any path change nothing', async () => {
  const pool = { query: async () => ({ rows: [], rowCount: 0 }) } as unknown as pg.Pool
  const one = await startApi({
    ...testOptions(await TestLog.open(), pool),
    extend: app => void app.get('/*', (_, reply) => reply.callNotFound()),
  })
  const before = api
  api = one
  try {
    expectProblem(await ask('GET', '/api/v1/login', null), 401, 'unauthorized', 'no token')
    expectProblem(await ask('GET', '/api/v1/nothing', null), 401, 'unauthorized', 'no token')
    const answer = await ask('GET', '/api/v1/login')
    expectProblem(answer, 405, 'method_not_allowed', 'GET')
    expect(answer.headers.allow).toBe('POST')
    expectProblem(await ask('GET', '/api/v1/nothing'), 404, 'not_found', 'no route')
    expectProblem(await ask('GET', '/nothing'), 404, 'not_found', 'no file')
    expectProblem(await ask('POST', '/nothing'), 404, 'not_found', 'no file')
  } finally {
    api = before
    await one.close()
  }
})

test('every error of every route is a problem', { timeout: 30_000 }, async () => {
  for (const route of (await routesOf(api.url)).filter(r => !endless(r) && r.path.startsWith('/api/'))) {
    const answer = await ask(route.method, pathOf(route), null)
    expectProblem(
      answer,
      route.path === '/api/v1/login' ? 400 : 401,
      route.path === '/api/v1/login' ? 'invalid_request' : 'unauthorized',
      route.path,
    )
  }
})

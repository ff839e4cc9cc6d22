import { once } from 'node:events'
import { connect } from 'node:net'
import type pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { TestLog } from '../sinks/testing/log.ts'
import { type ApiServer, startApi } from './server.ts'
import { testOptions, TOKEN } from './testing/client.ts'

const opened: ApiServer[] = []
afterEach(async () => {
  await Promise.all(opened.splice(0).map(api => api.close()))
})

const pool = { query: async () => ({ rows: [], rowCount: 0 }) } as unknown as pg.Pool

async function start(port: number): Promise<ApiServer> {
  const api = await startApi({ ...testOptions(await TestLog.open(), pool), port, ownPort: 0 })
  opened.push(api)
  return api
}

/** On a new connection. */
async function ask(url: string): Promise<string> {
  const { hostname, port } = new URL(url)
  const socket = connect(Number(port), hostname)
  socket.end(`GET /api/v1/me HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${TOKEN}\r\n\r\n`)
  let said = ''
  socket.on('data', chunk => (said += chunk))
  await once(socket, 'close')
  return said.slice(0, said.indexOf('\r\n'))
}

async function answered(api: ApiServer): Promise<number> {
  const metrics = await (await fetch(`${api.ownUrl}/metrics`)).text()
  return Number(/^http_requests_total\{method="GET",route="\/api\/v1\/me",status="200"\} (\d+)$/m.exec(metrics)?.[1] ?? 0)
}

test('servers share a port, and each has its own as well', { timeout: 30_000 }, async () => {
  const first = await start(0)
  const second = await start(Number(new URL(first.url).port))
  expect(second.url).toBe(first.url)
  expect(new Set([first.url, first.ownUrl, second.ownUrl]).size).toBe(3)
  const answers = await Promise.all(Array.from({ length: 100 }, () => ask(first.url)))
  expect(new Set(answers)).toEqual(new Set(['HTTP/1.1 200 OK']))
  const [one, other] = [await answered(first), await answered(second)]
  expect(one + other).toBe(100)
  expect(Math.min(one, other)).toBeGreaterThan(0)
  await opened.shift()?.close()
  expect(await ask(second.url)).toBe('HTTP/1.1 200 OK')
})

import { request as ask } from 'node:http'
import type pg from 'pg'
import { afterEach, expect, test } from 'vitest'
import { TestLog } from '../sinks/testing/log.ts'
import type { Role } from './access/principal.ts'
import { type ApiServer, startApi, startHealth } from './server.ts'
import { testOptions, tokenFor } from './testing/client.ts'

const started: ApiServer[] = []
afterEach(async () => {
  await Promise.all(started.splice(0).map(one => one.close()))
})

const METRICS_TOKEN = 'a-token-of-prometheus-of-the-tests'
const dependencies = { postgres: () => ({ status: 'degraded' as const, detail: 'ECONNREFUSED 10.0.0.7' }) }

async function start(more: object = {}): Promise<string> {
  const pool = { query: async () => ({ rows: [], rowCount: 0 }) } as unknown as pg.Pool
  const options = { ...testOptions(await TestLog.open(), pool), dependencies, trustedProxies: ['127.0.0.1'], ...more }
  const one = 'health' in more ? await startHealth(options) : await startApi(options)
  started.push(one)
  return one.url
}

/** A request that `fetch` would not send. */
function read(url: string, headers: Record<string, string> = {}): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const asked = ask(url, { headers }, response => {
      let text = ''
      response.setEncoding('utf8').on('data', part => {
        text += part
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    asked.on('error', reject).end()
  })
}

/** Statuses of the restricted routes, and whether details of a dependency are shown. */
async function sees(url: string, headers: Record<string, string> = {}) {
  const statuses = await Promise.all(
    ['/metrics', '/openapi.json', '/docs'].map(async path => (await read(url + path, headers)).status),
  )
  const { status, text } = await read(`${url}/readyz`, headers)
  expect([status, JSON.parse(text)]).toEqual([
    200,
    { status: 'ready', dependencies: { postgres: { status: 'degraded', detail: expect.any(String) } } },
  ])
  expect((await read(`${url}/healthz`, headers)).status).toBe(200)
  return [...statuses.map(one => one < 400), text.includes('ECONNREFUSED')]
}

const ALL = [true, true, true, true]
const NONE = [false, false, false, false]
const STRANGER = { 'x-forwarded-for': '203.0.113.7' }

test('requests from this machine are insiders, those from elsewhere are not', async () => {
  const url = await start()
  expect(await sees(url)).toEqual(ALL)
  expect(await sees(url, STRANGER)).toEqual(NONE)
  expect(await sees(url, { forwarded: 'for=203.0.113.7' })).toEqual(NONE)
  // The name of another site that resolves to this machine.
  expect(await sees(url, { host: 'rebound.example' })).toEqual(NONE)
  expect(await sees(url, { host: 'localhost:3000' })).toEqual(ALL)
})

test('requests from elsewhere need a token: METRICS_TOKEN, or one that may read the settings', async () => {
  const url = await start({ metricsToken: METRICS_TOKEN })
  const as = (token: string) => sees(url, { ...STRANGER, authorization: `Bearer ${token}` })
  expect(await as(METRICS_TOKEN)).toEqual(ALL)
  expect(await as(`${METRICS_TOKEN}x`)).toEqual(NONE)
  const roles: readonly Role[] = ['admin', 'ops', 'agent', 'analyst']
  for (const role of roles)
    expect([role, await as(await tokenFor({ role }))]).toEqual([role, ['admin', 'ops'].includes(role) ? ALL : NONE])
  expect(await as(await tokenFor({ role: 'admin', venues: ['main:v1'] }))).toEqual(NONE)
  expect(await as(await tokenFor({ role: 'admin', tenant: 'other' }))).toEqual(NONE)
  expect((await read(`${url}/metrics`, STRANGER)).text).toContain('"code":"unauthorized"')
})

test('with PUBLIC_DETAILS everybody is an insider', async () => {
  expect(await sees(await start({ publicDetails: true }), STRANGER)).toEqual(ALL)
})

test('a process without the API applies the same rules', async () => {
  const url = await start({ health: true, metricsToken: METRICS_TOKEN })
  expect(await sees(url)).toEqual(ALL)
  expect(await sees(url, STRANGER)).toEqual(NONE)
  expect(await sees(url, { ...STRANGER, authorization: `Bearer ${METRICS_TOKEN}` })).toEqual(ALL)
})

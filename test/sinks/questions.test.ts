/** The questions of docs/ANALYTICS.md by the ways that analysts have: a stock client through the API, and the prompt. */
import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { createClient } from '@clickhouse/client'
import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { clickhouseRoute } from '../../api/analytics/clickhouse.ts'
import { fill, QUESTIONS, randomOf, type Servers, startServers } from '../../sinks/clickhouse/testing/fixture.ts'
import { clickhouseStore } from '../../sinks/clickhouse/store.ts'
import { worldOf } from '../../sinks/clickhouse/testing/world.ts'

let servers: Servers
let app: FastifyInstance
let url: string

beforeAll(async () => {
  servers = await startServers()
  await fill(clickhouseStore({ client: servers.client, pool: servers.pool }), worldOf(servers.codec), randomOf(1))
  app = fastify({ forceCloseConnections: true })
  app.register(async scope => clickhouseRoute(scope, { url: servers.clickhouse.url }), { prefix: '/clickhouse' })
  url = await app.listen({ host: '127.0.0.1', port: 0 })
})
afterAll(async () => {
  await app.close()
  await servers.stop()
})

test('through POST /clickhouse/ by a stock client', async () => {
  const analyst = createClient({ url, pathname: '/clickhouse', password: 'token' })
  try {
    for (const { question, sql, answer } of QUESTIONS) {
      const { stream } = await analyst.exec({ query: `${sql} FORMAT Markdown` })
      expect(await text(stream), question).toBe(answer)
    }
  } finally {
    await analyst.close()
  }
})

test('through npm run sql', async () => {
  const prompt = spawn(process.execPath, [join(import.meta.dirname, '../../cli/sql.ts'), '--format', 'Markdown'], {
    env: { ...process.env, DATA_DIR: servers.dataDir, CLICKHOUSE_URL: '' },
    stdio: ['pipe', 'pipe', 'inherit'],
  })
  prompt.stdin.end(QUESTIONS.map(({ sql }) => `${sql};`).join('\n'))
  expect(await text(prompt.stdout)).toBe(QUESTIONS.map(({ answer }) => answer).join(''))
})

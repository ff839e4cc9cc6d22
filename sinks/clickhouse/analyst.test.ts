import { mkdtempSync, rmSync } from 'node:fs'
import { createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import type { ClickHouseClient } from '@clickhouse/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { analystSql, analystsOf } from './analyst.ts'
import { clickHouseClient } from './client.ts'
import { type EmbeddedClickHouse, startEmbeddedClickHouse } from './embedded.ts'

let dataDir: string
let server: EmbeddedClickHouse
let client: ClickHouseClient

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'analyst-'))
  server = await startEmbeddedClickHouse({ dataDir, log: { info: () => {}, warn: () => {} } })
  client = clickHouseClient(server.url)
})

afterAll(async () => {
  await client.close()
  await server.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

test.each(analystSql('bma', "it's"))('ClickHouse can read: %s', async sql => {
  const asked = client.query({
    query: 'SELECT formatQuerySingleLine({sql:String})',
    query_params: { sql },
    format: 'TabSeparated',
  })
  expect(await (await asked).text()).toMatch(/^(CREATE|ALTER|GRANT) /)
})

test('where there is no such user, nobody asks, and it is said what to do', async () => {
  const analysts = analystsOf(server.url, 'secret')
  await expect(analysts.user()).rejects.toThrow('analysts are refused: there is no user bma_analyst_default')
  expect(analysts.refused()).toMatch('CLICKHOUSE_DEFAULT_ACCESS_MANAGEMENT=1')
})

test('a user who may do more than read is not taken', async () => {
  const { origin } = new URL(server.url)
  const front = createServer((request, response) => {
    // Whoever asks is the owner.
    const asked = new URL(request.url ?? '/', origin)
    asked.searchParams.delete('user')
    void fetch(asked, {
      method: request.method ?? 'POST',
      headers: { authorization: `Basic ${btoa(new URL(server.url).username + ':' + new URL(server.url).password)}` },
      ...(request.method === 'POST' ? { body: Readable.toWeb(request) as never, duplex: 'half' as const } : {}),
    }).then(async answer => {
      const code = answer.headers.get('x-clickhouse-exception-code')
      response.writeHead(answer.status, code === null ? {} : { 'x-clickhouse-exception-code': code })
      response.end(Buffer.from(await answer.arrayBuffer()))
    })
  })
  await new Promise<void>(resolve => front.listen(0, '127.0.0.1', resolve))
  try {
    const url = `http://x:y@127.0.0.1:${(front.address() as AddressInfo).port}/default`
    await expect(analystsOf(url, 'secret').user()).rejects.toThrow('the user bma_analyst_default may run: CREATE TABLE')
  } finally {
    front.close()
    await client.command({ query: 'DROP TABLE IF EXISTS analyst_probe' })
  }
})

test('another fault is told', async () => {
  const analysts = analystsOf('http://127.0.0.1:1', 'secret')
  await expect(analysts.user()).rejects.toThrow('ECONNREFUSED')
  expect(analysts.refused()).toMatch('ECONNREFUSED')
})

import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { analystSql, ensureAnalyst } from './analyst.ts'
import { openClickHouse } from './client.ts'
import { type EmbeddedClickHouse, startEmbeddedClickHouse } from './embedded.ts'

let dataDir: string
let server: EmbeddedClickHouse
let client: ClickHouseClient

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'analyst-'))
  server = await startEmbeddedClickHouse({ dataDir, log: { info: () => {}, warn: () => {} } })
  client = openClickHouse(server.url)
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

test('nothing of it is in the way where our own user may not make users', async () => {
  expect(await ensureAnalyst(client, 'secret')).toBeNull()
})

test('another fault is told', async () => {
  const nobody = openClickHouse('http://127.0.0.1:1')
  await expect(ensureAnalyst(nobody, 'secret')).rejects.toThrow('ECONNREFUSED')
  await nobody.close()
})

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { clickHouseClient, selectRows } from './client.ts'
import { type EmbeddedClickHouse, startEmbeddedClickHouse } from './embedded.ts'

let dataDir: string
let server: EmbeddedClickHouse
let owner: ClickHouseClient

beforeEach(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'confined-'))
  writeFileSync(join(dataDir, 'admin.token'), 'canary-of-a-token', { mode: 0o600 })
  process.env.SECRET_OF_THE_SERVICE = 'canary-of-the-environment'
  server = await startEmbeddedClickHouse({ dataDir, log: { info: () => {}, warn: () => {} } })
  owner = clickHouseClient(server.url)
})
afterEach(async () => {
  delete process.env.SECRET_OF_THE_SERVICE
  await owner.close()
  await server.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

const childPid = () => JSON.parse(readFileSync(join(dataDir, 'clickhouse.json'), 'utf8')).pid as number
const read = async (file: string) => (await selectRows<{ x: string }>(owner, `SELECT file('${file}') AS x`))[0]?.x

test('the environment of the child has nothing of ours, and no password', async () => {
  const environment = await read('/proc/self/environ')
  expect(environment).toContain('HOME=/')
  expect(environment).not.toContain('canary-of-the-environment')
  expect(environment).not.toContain(decodeURIComponent(new URL(server.url).password))
})

test.runIf(process.getuid?.() === 0)('as another user it reads none of our files, and writes in its folder alone', async () => {
  const uid = statSync(`/proc/${childPid()}`).uid
  expect(uid).not.toBe(0)
  expect(statSync(join(dataDir, 'clickhouse')).uid).toBe(uid)
  for (const file of ['admin.token', 'clickhouse.json'])
    await expect(read(join(dataDir, file))).rejects.toThrow(/denied|CANNOT_OPEN/i)
  for (const file of [join(dataDir, 'out.csv'), join(import.meta.dirname, 'out.csv')]) {
    await expect(owner.command({ query: `INSERT INTO FUNCTION file('${file}', 'CSV', 'a Int8') VALUES (1)` })).rejects.toThrow()
  }
  await owner.command({ query: 'CREATE TABLE kept (a Int8) ENGINE = MergeTree ORDER BY a' })
})

test.runIf(process.getuid?.() === 0)('the folder of the installation stays for us alone', () => {
  expect(statSync(dataDir).mode & 0o777).toBe(0o700)
})

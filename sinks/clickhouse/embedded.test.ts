import { type ChildProcess, spawn } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import type { ClickHouseClient } from '@clickhouse/client'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { clickHouseClient, selectRows } from './client.ts'
import { type EmbeddedClickHouse, runningOn, startEmbeddedClickHouse } from './embedded.ts'
import { readInsert } from './chdb.ts'

const quiet = { info: () => {}, warn: () => {} }
const PATIENT = { timeout: 20_000, interval: 20 }
const undo: (() => unknown)[] = []
let dataDir: string

beforeEach(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'embedded-'))
  undo.push(() => rmSync(dataDir, { recursive: true, force: true }))
})
afterEach(async () => {
  for (const step of undo.splice(0).reverse()) await step()
})

async function started(): Promise<{ server: EmbeddedClickHouse; client: ClickHouseClient }> {
  const server = await startEmbeddedClickHouse({ dataDir, log: quiet })
  undo.push(() => server.stop())
  const client = clickHouseClient(server.url)
  undo.push(() => client.close())
  return { server, client }
}

function childPid(): number {
  return JSON.parse(readFileSync(join(dataDir, 'clickhouse.json'), 'utf8')).pid
}

function alive(pid: number): boolean {
  try {
    return process.kill(pid, 0)
  } catch {
    return false
  }
}

/** Another process that starts the server of this folder; its id. */
async function elsewhere(): Promise<ChildProcess> {
  const script = `
    const { startEmbeddedClickHouse } = await import(${JSON.stringify(join(import.meta.dirname, 'embedded.ts'))})
    await startEmbeddedClickHouse({ dataDir: ${JSON.stringify(dataDir)}, log: { info() {}, warn() {} } })
    console.log('ready')
    setInterval(() => {}, 1000)`
  const child = spawn(process.execPath, ['--input-type=module', '-e', script], { stdio: ['ignore', 'pipe', 'inherit'] })
  undo.push(() => child.kill('SIGKILL'))
  await new Promise<void>((resolve, reject) => {
    child.stdout?.once('data', () => resolve())
    child.once('exit', code => reject(new Error(`ended with ${code}`)))
  })
  return child
}

test('keeps its data over a stop, and over a kill of the child, which is started again at the same address', async () => {
  const { server, client } = await started()
  await client.command({ query: 'CREATE TABLE kept (n UInt8) ENGINE = MergeTree ORDER BY n' })
  await client.insert({ table: 'kept', values: [{ n: 7 }], format: 'JSONEachRow' })
  const pid = childPid()
  process.kill(pid, 'SIGKILL')
  await vi.waitFor(async () => expect(await selectRows(client, 'SELECT n FROM kept')).toEqual([{ n: 7 }]), PATIENT)
  expect(childPid()).not.toBe(pid)
  const last = childPid()
  await server.stop()
  expect(alive(last)).toBe(false)
  const again = await started()
  expect(await selectRows(again.client, 'SELECT n FROM kept')).toEqual([{ n: 7 }])
})

test('listens on loopback only, wants the password, and tells it to nobody else', async () => {
  const { server } = await started()
  const url = new URL(server.url)
  expect(url.hostname).toBe('127.0.0.1')
  expect(statSync(join(dataDir, 'clickhouse.json')).mode & 0o777).toBe(0o600)
  const answer = await fetch(`${url.origin}/?query=SELECT+1`)
  expect([answer.status, answer.headers.get('x-clickhouse-exception-code')]).toEqual([403, '516'])
  expect(await (await fetch(`${url.origin}/ping`)).text()).toBe('Ok.\n')
})

test('ends when the process that started it is killed, and the next one takes the folder over', async () => {
  const parent = await elsewhere()
  const pid = childPid()
  expect(runningOn(dataDir)).toMatch(/^http:/)
  await expect(startEmbeddedClickHouse({ dataDir, log: quiet })).rejects.toThrow(`process ${parent.pid} uses the ClickHouse`)
  expect(alive(pid)).toBe(true)
  parent.kill('SIGKILL')
  const { client } = await started()
  expect(childPid()).not.toBe(pid)
  expect(await selectRows(client, 'SELECT 1 AS x')).toEqual([{ x: 1 }])
})

test('leaves alone a process that has the id of an old child', async () => {
  const stranger = spawn('sleep', ['60'], { stdio: 'ignore' })
  undo.push(() => stranger.kill())
  writeFileSync(join(dataDir, 'clickhouse.json'), JSON.stringify({ pid: stranger.pid, owner: process.pid, url: 'http://x' }))
  expect(runningOn(dataDir)).toBeNull()
  await started()
  expect(alive(stranger.pid as number)).toBe(true)
})

test('speaks as ClickHouse does: formats, settings, parameters, compression, errors', async () => {
  const { server, client } = await started()
  const { origin, username, password } = new URL(server.url)
  const ask = (query: string, init: RequestInit = {}) =>
    fetch(`${origin}/?${query}`, {
      method: 'POST',
      ...init,
      headers: { 'x-clickhouse-user': username, 'x-clickhouse-key': password, ...init.headers },
    })

  const json = await ask('default_format=JSON&max_threads=1&param_n=41', {
    body: "SELECT {n:Int32} + 1 AS x, getSetting('max_threads') AS t",
  })
  expect(json.headers.get('x-clickhouse-format')).toBe('JSON')
  expect(await json.json()).toMatchObject({ data: [{ x: 42, t: 1 }] })
  const named = await ask('', { body: 'SELECT 1 AS a FORMAT CSVWithNames' })
  expect([named.headers.get('x-clickhouse-format'), await named.text()]).toEqual(['CSVWithNames', '"a"\n1\n'])

  await client.command({ query: 'CREATE TABLE t (`a b` Int32, s String) ENGINE = MergeTree ORDER BY s' })
  await ask('query=' + encodeURIComponent('INSERT INTO t FORMAT JSONEachRow'), {
    body: gzipSync('{"a b":1,"s":"ร้าน"}\n'),
    headers: { 'content-encoding': 'gzip' },
  })
  await ask('', { body: 'INSERT INTO t (`a b`, s) FORMAT CSV\n2,two\n' })
  await ask('', { body: "INSERT INTO t (`a b`, s) VALUES (3, 'three')" })
  const row = await (await ask('', { body: "SELECT toInt32(4), 'four' FORMAT RowBinary" })).arrayBuffer()
  const summary = await ask('query=' + encodeURIComponent('INSERT INTO t (`a b`, s) FORMAT RowBinary'), { body: row })
  expect([summary.status, await summary.text()]).toEqual([200, ''])
  expect(await selectRows(client, 'SELECT * FROM t ORDER BY 1')).toEqual([
    { 'a b': 1, s: 'ร้าน' },
    { 'a b': 2, s: 'two' },
    { 'a b': 3, s: 'three' },
    { 'a b': 4, s: 'four' },
  ])
  const wrong = await ask('', { body: 'SELECT * FROM nothing' })
  expect([wrong.status, wrong.headers.get('x-clickhouse-exception-code')]).toEqual([404, '60'])
  expect(await wrong.text()).toMatch(/^Code: 60\. DB::Exception: .*\(UNKNOWN_TABLE\) \(version 2\d\..*\)\n$/s)
  await expect(selectRows(client, 'SELEC')).rejects.toMatchObject({ code: '62', type: 'SYNTAX_ERROR' })
})

test('a setting or a parameter of one statement is not seen by another', async () => {
  const { client } = await started()
  const setting = "SELECT getSetting('max_threads') AS n"
  const before = await selectRows(client, setting)
  await client.query({ query: setting, clickhouse_settings: { max_threads: 77 } })
  await client.command({ query: 'SET max_threads = 78' })
  await client.command({ query: 'USE system' })
  expect(await selectRows(client, setting)).toEqual(before)
  expect(await selectRows(client, 'SELECT currentDatabase() AS db')).toEqual([{ db: 'default' }])
})

test('tables of a folder from before, in another database, move with their rows; views are left to the migrations', async () => {
  const before = await startEmbeddedClickHouse({ dataDir, log: quiet })
  const old = clickHouseClient(before.url)
  for (const query of [
    'CREATE DATABASE analytics',
    'CREATE TABLE analytics.rows (n UInt8) ENGINE = MergeTree ORDER BY n',
    'CREATE TABLE analytics.schema_migrations (name String) ENGINE = MergeTree ORDER BY name',
    'CREATE TABLE analytics.sums (n UInt64) ENGINE = MergeTree ORDER BY n',
    'CREATE MATERIALIZED VIEW analytics.feed TO analytics.sums AS SELECT sum(n) AS n FROM analytics.rows',
    'CREATE VIEW analytics.v AS SELECT n FROM analytics.rows',
    'INSERT INTO analytics.rows VALUES (7)',
  ])
    await old.command({ query })
  await old.close()
  await before.stop()
  const { client } = await started()
  expect(await selectRows(client, 'SELECT n FROM rows')).toEqual([{ n: 7 }])
  const tables = await selectRows<{ name: string }>(
    client,
    "SELECT name FROM system.tables WHERE database = 'default' ORDER BY name",
  )
  expect(tables.map(({ name }) => name)).toEqual(['rows', 'sums'])
  expect(await selectRows(client, "SELECT name FROM system.databases WHERE name = 'analytics'")).toEqual([])
})

test('an INSERT and its data are told apart', () => {
  const parts = (sql: string) => {
    const found = readInsert(Buffer.from(sql))
    return found && { ...found, values: found.values.toString() }
  }
  expect(parts('INSERT INTO t FORMAT CSV\n1,2\n')).toEqual({ table: 't', columns: null, format: 'CSV', values: '1,2\n' })
  expect(parts('insert into `d`.`t` (`a`, b) format JSONEachRow {"a":1}')).toEqual({
    table: '`d`.`t`',
    columns: ['a', 'b'],
    format: 'JSONEachRow',
    values: '{"a":1}',
  })
  expect(parts('INSERT INTO t VALUES (1)')).toBeNull()
  expect(parts('INSERT INTO t SELECT 1 FORMAT CSV')).toBeNull()
  expect(parts('SELECT 1')).toBeNull()
})

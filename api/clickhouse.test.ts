import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedClickHouse, startEmbeddedClickHouse } from '../sinks/clickhouse/embedded.ts'
import { clickhouseRoute } from './clickhouse.ts'

const quiet = { info: () => {}, warn: () => {} }
let dataDir: string
let server: EmbeddedClickHouse
let app: FastifyInstance
let url: string
let analyst: ClickHouseClient
let owner: ClickHouseClient

const log = { level: ClickHouseLogLevel.OFF }

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'proxy-'))
  server = await startEmbeddedClickHouse({ dataDir, log: quiet })
  owner = createClient({ url: server.url, log })
  await owner.command({ query: 'CREATE TABLE seen (id UInt32, name String, format String) ENGINE = MergeTree ORDER BY id' })
  await owner.insert({
    table: 'seen',
    values: [
      { id: 1, name: "it's; -- not /* a comment */" },
      { id: 2, name: 'ร้าน' },
    ],
    format: 'JSONEachRow',
  })
  app = fastify({ forceCloseConnections: true })
  app.register(async scope => clickhouseRoute(scope, { url: server.url }), { prefix: '/clickhouse' })
  url = await app.listen({ host: '127.0.0.1', port: 0 })
  analyst = createClient({ url, pathname: '/clickhouse', password: 'token', log })
})

afterAll(async () => {
  await analyst.close()
  await app.close()
  await owner.close()
  await server.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

async function ask(sql: string, parameters: Record<string, string> = {}) {
  const response = await fetch(`${url}/clickhouse/?${new URLSearchParams(parameters)}`, { method: 'POST', body: sql })
  return { status: response.status, headers: response.headers, text: await response.text() }
}

const READING = [
  'SELECT count() FROM seen',
  "SELECT 'a\\'; DROP TABLE seen; SELECT '",
  'WITH 1 AS x SELECT x FROM seen; ',
  '(SELECT 1) UNION ALL (SELECT 2)',
  "SELECT 'file(x); DROP TABLE seen', `name` FROM seen -- and so on",
  'SELECT 1 /* DROP */ # no\n',
  "SELECT format('{} {}', 1, 2), uniqMergeIf(s, 1) FROM (SELECT uniqState(id) AS s FROM seen)",
  'SELECT * FROM numbers(3)',
  'SELECT id FROM seen FORMAT Vertical',
  'EXPLAIN SELECT 1',
  'EXPLAIN PLAN header = 1, actions = 1 SELECT id FROM seen',
  'EXPLAIN AST SELECT 1',
  'SHOW TABLES',
  "SHOW TABLES LIKE 's%'",
  'SHOW CREATE TABLE seen',
  'DESCRIBE TABLE seen',
  'DESC (SELECT 1 AS x)',
  'EXISTS TABLE seen',
  "SELECT name FROM system.columns WHERE table = 'seen'",
]

test.each(READING)('lets through %s', async sql => {
  const answer = await ask(sql)
  expect(answer.text).not.toMatch(/DB::Exception/)
  expect(answer.status).toBe(200)
})

const WRITING = [
  "INSERT INTO seen VALUES (3, 'x', '')",
  'INSERT INTO seen SELECT 3, name, name FROM seen',
  'ALTER TABLE seen DELETE WHERE 1',
  'DELETE FROM seen WHERE 1',
  'UPDATE seen SET id = 3 WHERE 1',
  'DROP TABLE seen',
  'TRUNCATE TABLE seen',
  'CREATE TABLE other (a Int8) ENGINE = Memory',
  'CREATE TEMPORARY TABLE other (a Int8)',
  'CREATE FUNCTION f AS x -> x',
  'RENAME TABLE seen TO other',
  'OPTIMIZE TABLE seen FINAL',
  'SYSTEM STOP MERGES',
  'ATTACH TABLE seen',
  'DETACH TABLE seen',
  'KILL QUERY WHERE 1',
  'SET readonly = 0',
  'SET max_threads = 1',
  'USE system',
  "BACKUP TABLE seen TO File('x')",
  "RESTORE TABLE seen FROM File('x')",
  'GRANT ALL ON *.* TO default',
  'CREATE USER x',
  'CHECK TABLE seen',
  'SELECT 1 SETTINGS readonly = 0',
  'SELECT 1 SETTINGS max_memory_usage = 0',
  "SELECT 1 INTO OUTFILE '{dir}/out.csv'",
  "EXPLAIN SELECT 1 INTO OUTFILE '{dir}/out.csv'",
  "SELECT 1 INTO/**/OUTFILE '{dir}/out.csv'",
  'SELECT 1; SELECT 2',
  'SELECT 1; DROP TABLE seen',
  'EXPLAIN DROP TABLE seen',
  'EXPLAIN AST INSERT INTO seen VALUES (1)',
  'SHOW GRANTS',
  'SHOW PROCESSLIST',
  'SHOW CREATE USER default',
]

const REACHING = [
  "SELECT * FROM file('{dir}/secret.csv', 'CSV', 'a Int8')",
  "SELECT * FROM FILE ('{dir}/secret.csv', 'CSV', 'a Int8')",
  "SELECT * FROM `file`('{dir}/secret.csv', 'CSV', 'a Int8')",
  "SELECT * FROM /**/ file -- x\n ('{dir}/secret.csv', 'CSV', 'a Int8')",
  "SELECT file('{dir}/secret.csv')",
  'SELECT * FROM `{dir}/secret.csv`',
  "SELECT * FROM '{dir}/secret.csv'",
  'SELECT * FROM default.`{dir}/secret.csv`',
  'DESCRIBE default.`{dir}/secret.csv`',
  "DESCRIBE file('{dir}/secret.csv')",
  "DESC TABLE url('http://127.0.0.1:1/')",
  "DESC (SELECT * FROM file('{dir}/secret.csv'))",
  "SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a Int8')",
  "SELECT * FROM s3('http://127.0.0.1:1/bucket/a', 'CSV', 'a Int8')",
  "SELECT * FROM remote('127.0.0.1:1', 'system.one')",
  "SELECT * FROM remoteSecure('127.0.0.1:1', 'system.one')",
  "SELECT * FROM cluster('default', system.one)",
  "SELECT * FROM executable('x.sh', 'CSV', 'a Int8')",
  "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
  "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
  "SELECT * FROM sqlite('{dir}/x', 'y')",
  "SELECT * FROM merge('system', '.*')",
  "SELECT * FROM view(SELECT * FROM file('{dir}/secret.csv', 'CSV', 'a Int8'))",
  "SELECT (SELECT * FROM file('{dir}/secret.csv', 'CSV', 'a Int8'))",
  "SELECT * FROM format(CSV, 'a Int8', '1')",
  "SELECT * FROM dictionary('x')",
  "SELECT dictGet('x', 'y', 1)",
  "SELECT aiGenerate('x')",
  'SELECT sleep(3)',
  'SELECT * FROM system.processes',
  'SELECT * FROM system . `processes`',
  'SELECT * FROM {db:Identifier}.processes',
  'SELECT * FROM system.named_collections',
  'SELECT ‘x’',
  'SELECT $$x$$',
  'SELECT 1 /* a /* b */ , sleep(3) /* */ */',
  'SELECT 1 FORMAT Template',
]

test.each([...WRITING, ...REACHING])('refuses %s', async given => {
  writeFileSync(join(dataDir, 'secret.csv'), '1\n')
  const answer = await ask(given.replace('{dir}', dataDir), { param_db: 'system' })
  expect(answer.status).toBeGreaterThanOrEqual(400)
  expect(answer.status).toBeLessThan(500)
  expect(answer.text).toMatch(/^Code: \d+\. DB::Exception: /)
  expect(answer.headers.get('x-clickhouse-exception-code')).toBe(/\d+/.exec(answer.text)?.[0])
  expect(existsSync(join(dataDir, 'out.csv'))).toBe(false)
  expect(await (await owner.query({ query: 'SELECT count() FROM seen', format: 'TabSeparated' })).text()).toBe('2\n')
})

test('other databases of the server are not for analysts', async () => {
  for (const query of ['CREATE DATABASE other', 'CREATE TABLE other.secrets (a Int8) ENGINE = Memory'])
    await owner.command({ query })
  const apart = fastify()
  await apart.register(async scope => clickhouseRoute(scope, { url: server.url }), { prefix: '/clickhouse' })
  for (const name of ['other.secrets', '`other`.secrets', '"other" . secrets']) {
    const { body } = await apart.inject({ method: 'POST', url: '/clickhouse/', payload: `SELECT * FROM ${name}` })
    expect(body).toContain('database other is not offered to analysts')
  }
  await apart.close()
})

test('a write is refused as ClickHouse refuses it', async () => {
  await expect(analyst.insert({ table: 'seen', values: [{ id: 3 }], format: 'JSONEachRow' })).rejects.toMatchObject({
    code: '164',
    type: 'READONLY',
  })
  await expect(analyst.command({ query: 'DROP TABLE seen' })).rejects.toMatchObject({ code: '164', type: 'READONLY' })
})

test.each([
  ['readonly', '0'],
  ['allow_ddl', '1'],
  ['max_execution_time_', '1'],
  ['format_template_resultset', '/etc/passwd'],
  ['decompress', '1'],
  ['database', 'system'],
  ['default_format', 'Template'],
])('refuses the parameter %s=%s', async (name, value) => {
  const answer = await ask('SELECT 1', { [name]: value })
  expect(answer.text).toMatch(/^Code: \d+\. DB::Exception: /)
})

test('a stock client reads through it: types, parameters, formats, errors', async () => {
  expect(await analyst.ping()).toEqual({ success: true })
  const rows = await analyst.query({
    query: 'SELECT id, name FROM seen WHERE id >= {least:UInt32} ORDER BY id',
    query_params: { least: 1 },
    format: 'JSONEachRow',
    clickhouse_settings: { output_format_json_quote_64bit_integers: 1, max_execution_time: 3600 },
  })
  expect(await rows.json()).toEqual([
    { id: 1, name: "it's; -- not /* a comment */" },
    { id: 2, name: 'ร้าน' },
  ])
  const limit = await ask("SELECT getSetting('max_execution_time'), getSetting('readonly')", { max_execution_time: '3600' })
  expect(limit.text).toBe('30\t1\n')
  await expect(analyst.query({ query: 'SELECT nothing FROM seen' })).rejects.toMatchObject({ code: '47' })
})

test('a query in the address, and one sent by gzip', async () => {
  const get = await fetch(`${url}/clickhouse/?query=${encodeURIComponent('SELECT 1 AS x')}&default_format=JSONCompact`)
  expect(get.headers.get('x-clickhouse-format')).toBe('JSONCompact')
  expect(((await get.json()) as { data: unknown }).data).toEqual([[1]])
  const body = gzipSync('SELECT 2')
  const post = await fetch(`${url}/clickhouse`, { method: 'POST', body, headers: { 'content-encoding': 'gzip' } })
  expect(await post.text()).toBe('2\n')
})

test('what takes too much is ended', async () => {
  const memory = await ask('SELECT groupArray(toString(number)) FROM numbers(100000000)', { max_memory_usage: '10000000' })
  expect(memory.headers.get('x-clickhouse-exception-code')).toBe('241')
  const time = await ask('SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)', { max_execution_time: '1' })
  expect(time.headers.get('x-clickhouse-exception-code')).toBe('159')
  const rows = await ask('SELECT * FROM numbers(2000000)')
  expect(rows.headers.get('x-clickhouse-exception-code')).toBe('396')
})

test('a client that goes away takes its query with it', async () => {
  const gone = new AbortController()
  const asked = fetch(`${url}/clickhouse/`, {
    method: 'POST',
    body: 'SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)',
    signal: gone.signal,
  })
  const running = async () => {
    const result = await owner.query({
      query: "SELECT count() FROM system.processes WHERE query LIKE '%numbers(10000%' AND query NOT LIKE '%processes%'",
      format: 'TabSeparated',
    })
    return Number(await result.text())
  }
  await expect.poll(running, { timeout: 5_000 }).toBe(1)
  gone.abort()
  await expect(asked).rejects.toThrow()
  await expect.poll(running, { timeout: 5_000 }).toBe(0)
})

test('says so while ClickHouse is away', async () => {
  const alone = fastify()
  clickhouseRoute(alone, { url: 'http://default:x@127.0.0.1:1/analytics' })
  const answer = await alone.inject({
    method: 'POST',
    url: '/',
    payload: 'SELECT 1',
    headers: { 'content-type': 'text/plain' },
  })
  expect([answer.statusCode, answer.headers['x-clickhouse-exception-code']]).toEqual([503, '210'])
  await alone.close()
})

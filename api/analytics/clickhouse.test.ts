import { chmodSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { gzipSync } from 'node:zlib'
import { type ClickHouseClient, ClickHouseLogLevel, createClient } from '@clickhouse/client'
import fastify, { type FastifyInstance } from 'fastify'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { readBlocks, writeBlocks } from '../../clickhouse/blocks.ts'
import { type EmbeddedClickHouse, startEmbeddedClickHouse } from '../../sinks/clickhouse/embedded.ts'
import { isFunction, listedFunctions } from './allowlist.ts'
import { CONCURRENCY } from './slots.ts'
import { clickhouseRoute } from './clickhouse.ts'
import type { AuditTrail, AuditEvent } from '../access/audit-trail.ts'
import { addAuditHooks } from '../access/audit-hooks.ts'
import { Problem } from '../problem.ts'
import { ATTACKS, PARAMETERS } from '../testing/attacks.ts'
import { STATEMENTS } from '../testing/questions.ts'

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

test.each(STATEMENTS)('allows %s', async sql => {
  const answer = await ask(sql)
  expect(answer.text).not.toMatch(/DB::Exception/)
  expect(answer.status).toBe(200)
  // The canonical text is run: its result is the same, including the names of columns.
  if (/FORMAT|^(USE|EXPLAIN|EXISTS)|now\(|readonly|# no/.test(sql)) return
  const { stream } = await owner.exec({ query: `${sql.replace(/;\s*$| -- and so on$/, '')} FORMAT JSONCompact` })
  const theirs = JSON.parse(await text(stream))
  const ours = JSON.parse((await ask(sql, { default_format: 'JSONCompact' })).text)
  expect([ours.meta, ours.data]).toEqual([theirs.meta, theirs.data])
})

describe('attacks', () => {
  const CANARY = 'canary-of-a-secret'
  let folder: string

  beforeAll(async () => {
    folder = mkdtempSync(join(tmpdir(), 'attacked-'))
    chmodSync(folder, 0o777) // only the check prevents writing
    writeFileSync(join(folder, 'secret.csv'), `${CANARY}\n`, { mode: 0o666 })
  })
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  test('there are more than 300, none twice', () => {
    expect(ATTACKS.length).toBeGreaterThan(300)
    expect(new Set(ATTACKS).size).toBe(ATTACKS.length)
  })

  test.each(ATTACKS.map(attack => [attack.slice(0, 120), attack] as const))('refuses %s', async (_name, attack) => {
    const answer = await ask(attack.replaceAll('{dir}', folder), { param_db: 'system', param_table: '/etc/hostname' })
    expect(answer.status).toBeGreaterThanOrEqual(400)
    expect(answer.status).toBeLessThan(500)
    expect(answer.text).toMatch(/^Code: \d+\. DB::Exception: /)
    expect(answer.text).not.toContain(CANARY)
    expect(answer.headers.get('x-clickhouse-exception-code')).toBe(/\d+/.exec(answer.text)?.[0])
    expect(readdirSync(folder)).toEqual(['secret.csv'])
  })

  test('a statement that is too long is refused', async () => {
    const answer = await ask(`SELECT ${','.repeat(1_040_000)}`)
    expect([answer.status, answer.headers.get('x-clickhouse-exception-code')]).toEqual([413, '62'])
  })

  test('nothing has changed', async () => {
    const all = await owner.query({ query: 'SELECT count() FROM seen', format: 'TabSeparated' })
    expect(await all.text()).toBe('2\n')
    const tables = await owner.query({ query: "SHOW TABLES WHERE name != 'secret.csv'", format: 'TabSeparated' })
    expect(await tables.text()).toBe('seen\n')
  })
})

test('every allowed function exists in ClickHouse, and none has access to the outside', async () => {
  const asked = await owner.query({
    query: 'SELECT name FROM system.functions UNION ALL SELECT name FROM system.table_functions',
    format: 'JSONEachRow',
  })
  const names = (await asked.json<{ name: string }>()).map(({ name }) => name)
  const ofParser = ['exists', 'lambda', 'countDistinct', 'untuple', 'grouping', 'caseWithExpr']
  const known = new Set([...names, ...ofParser].map(name => name.toLowerCase()))
  expect(listedFunctions().filter(name => !known.has(name.toLowerCase()))).toEqual([])
  for (const name of [
    'file',
    'sleep',
    'sleepEachRow',
    'dictGet',
    'joinGet',
    'aiGenerate',
    'getServerSetting',
    'formatRow',
    'url',
    'eval',
  ])
    expect(isFunction(name), name).toBe(false)
  for (const name of ['uniqExactIfMerge', 'sumMapState', 'groupUniqArrayMerge', 'quantileExactInclusiveOrNullIf', 'COUNT'])
    expect(isFunction(name), name).toBe(true)
})

test('other databases of the server are not available', async () => {
  for (const query of ['CREATE DATABASE other', 'CREATE TABLE other.secrets (a Int8) ENGINE = Memory'])
    await owner.command({ query })
  const apart = fastify()
  await apart.register(async scope => clickhouseRoute(scope, { url: server.url }), { prefix: '/clickhouse' })
  for (const name of ['other.secrets', '`other`.secrets', '"other" . secrets']) {
    const { body } = await apart.inject({ method: 'POST', url: '/clickhouse/', payload: `SELECT * FROM ${name}` })
    expect(body).toContain('database other is not available to analysts')
  }
  await apart.close()
})

test("a write is refused with ClickHouse's error", async () => {
  await expect(analyst.insert({ table: 'seen', values: [{ id: 3 }], format: 'JSONEachRow' })).rejects.toMatchObject({
    code: '164',
    type: 'READONLY',
  })
  await expect(analyst.command({ query: 'DROP TABLE seen' })).rejects.toMatchObject({ code: '164', type: 'READONLY' })
})

test.each(PARAMETERS)('refuses the parameter %s=%s', async (name, value) => {
  const answer = await ask('SELECT 1', { [name]: value })
  expect(answer.status).toBeGreaterThanOrEqual(400)
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
  const threads = await ask("SELECT getSetting('max_threads'), getSetting('max_block_size')", {
    max_threads: '9999',
    max_block_size: '7',
  })
  expect(threads.text).toBe('8\t7\n')
  await expect(analyst.query({ query: 'SELECT nothing FROM seen' })).rejects.toMatchObject({ code: '47' })
})

test('a query in the URL, and one compressed with gzip', async () => {
  const get = await fetch(`${url}/clickhouse/?query=${encodeURIComponent('SELECT 1 AS x')}&default_format=JSONCompact`)
  expect(get.headers.get('x-clickhouse-format')).toBe('JSONCompact')
  expect(((await get.json()) as { data: unknown }).data).toEqual([[1]])
  const body = gzipSync('SELECT 2')
  const post = await fetch(`${url}/clickhouse`, { method: 'POST', body, headers: { 'content-encoding': 'gzip' } })
  expect(await post.text()).toBe('2\n')
})

test('a statement that exceeds a limit is ended', async () => {
  const memory = await ask('SELECT groupArray(toString(number)) FROM numbers(100000000)', { max_memory_usage: '10000000' })
  expect(memory.headers.get('x-clickhouse-exception-code')).toBe('241')
  const time = await ask('SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)', { max_execution_time: '1' })
  expect(time.headers.get('x-clickhouse-exception-code')).toBe('159')
  const rows = await ask('SELECT * FROM numbers(2000000)')
  expect(rows.headers.get('x-clickhouse-exception-code')).toBe('396')
})

test('disconnecting cancels the query', async () => {
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

test('statements beyond the limit wait for a slot, and fail if none is free in time', {
  timeout: 30_000,
}, async () => {
  const slow = 'SELECT count() FROM numbers(1000000000000) WHERE NOT ignore(number)'
  const busy = Array.from({ length: CONCURRENCY.each }, () => ask(slow, { max_execution_time: '2' }))
  const [soon, late] = await Promise.all([
    ask('SELECT 1', { max_execution_time: '1' }),
    ask('SELECT 1', { max_execution_time: '20' }),
  ])
  expect([soon.status, soon.headers.get('x-clickhouse-exception-code')]).toEqual([503, '202'])
  expect(soon.text).toMatch(/^Code: 202\. DB::Exception: .*\(TOO_MANY_SIMULTANEOUS_QUERIES\)/)
  expect([late.status, late.text]).toEqual([200, '1\n'])
  for (const { headers } of await Promise.all(busy)) expect(headers.get('x-clickhouse-exception-code')).toBe('159')
})

test('a client that reads nothing is disconnected, and blocks nobody', { timeout: 30_000 }, async () => {
  const impatient = fastify({ forceCloseConnections: true })
  impatient.register(async scope => clickhouseRoute(scope, { url: server.url, idleMs: 500 }), { prefix: '/clickhouse' })
  const { port } = new URL(await impatient.listen({ host: '127.0.0.1', port: 0 }))
  const sql = "SELECT repeat('x', 1000) FROM numbers(31000)"
  const silent = Array.from({ length: CONCURRENCY.each }, () => {
    const socket = connect(Number(port), '127.0.0.1').pause()
    socket.write(
      `POST /clickhouse/ HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: ${sql.length}\r\n\r\n${sql}`,
    )
    return socket
  })
  try {
    const response = await fetch(`http://127.0.0.1:${port}/clickhouse/`, { method: 'POST', body: 'SELECT 1' })
    expect(await response.text()).toBe('1\n')
    const connections = () => new Promise<number>(resolve => impatient.server.getConnections((_, count) => resolve(count)))
    await expect.poll(connections, { timeout: 10_000 }).toBeLessThanOrEqual(1)
  } finally {
    for (const socket of silent) socket.destroy()
    await impatient.close()
  }
})

test('a response has the requested compression', async () => {
  const sql = 'SELECT number, toString(number) FROM numbers(300000)'
  const plain = Buffer.from(await (await fetch(`${url}/clickhouse/`, { method: 'POST', body: sql })).arrayBuffer())
  for (const method of ['', 'LZ4', 'ZSTD', 'NONE']) {
    const parameters = new URLSearchParams({ compress: '1', ...(method === '' ? {} : { network_compression_method: method }) })
    const answer = await fetch(`${url}/clickhouse/?${parameters}`, { method: 'POST', body: sql })
    const blocks = Buffer.from(await answer.arrayBuffer())
    expect(readBlocks(blocks, 100_000_000).equals(plain), method).toBe(true)
    expect(blocks.length < plain.length, method).toBe(method !== 'NONE')
  }
  for (const encoding of ['gzip', 'deflate', 'br', 'zstd']) {
    const answer = await fetch(`${url}/clickhouse/?enable_http_compression=1`, {
      method: 'POST',
      body: sql,
      headers: { 'accept-encoding': encoding },
    })
    expect(answer.headers.get('content-encoding')).toBe(encoding)
    expect(await answer.text()).toBe(plain.toString())
  }
  const sent = Buffer.concat([...writeBlocks(Buffer.from('SELECT 7'), 'lz4')])
  const answer = await fetch(`${url}/clickhouse/?decompress=1`, { method: 'POST', body: sent })
  expect(await answer.text()).toBe('7\n')
  sent[30] = (sent[30] as number) ^ 1
  const damaged = await fetch(`${url}/clickhouse/?decompress=1`, { method: 'POST', body: sent })
  expect([damaged.status, await damaged.text()]).toEqual([400, expect.stringContaining('checksum')])
})

test('only one database is listed and read', async () => {
  expect((await ask('SELECT currentDatabase()')).text).toBe('default\n')
  const tables = (await ask("SELECT name FROM system.tables WHERE database = 'default' ORDER BY name")).text.trim().split('\n')
  expect((await ask('SHOW TABLES')).text.trim().split('\n')).toEqual(tables)
  expect(tables).toContain('seen')
  for (const table of tables.filter(name => /^\w+$/.test(name))) {
    expect((await ask(`SELECT count() FROM default.${table}`, { database: 'default' })).status).toBe(200)
  }
  const other = await ask('SELECT 1', { database: 'analytics' })
  expect([other.status, other.text]).toEqual([403, expect.stringContaining('use the database default')])
})

test('a parser error gives the position in the original statement', async () => {
  const answer = await ask('SELECT 1 FROM WHERE 2')
  expect([answer.status, answer.headers.get('x-clickhouse-exception-code')]).toEqual([400, '62'])
  expect(answer.text).toMatch(/failed at position 21/)
  expect(answer.text).not.toMatch(/unhex|formatQuery/)
})

test('each statement is in the audit trail by its digest, however it was sent, and never with its text', async () => {
  const events: AuditEvent[] = []
  const trail: Pick<AuditTrail, 'add' | 'record' | 'accept'> = {
    accept: async () => {},
    add: event => void events.push(event),
    record: (event, recorded) => {
      events.push(event)
      recorded()
    },
  }
  const audited = fastify()
  audited.decorateRequest('principal', null as never)
  audited.decorateRequest('audited', null as never)
  await audited.register(
    async scope => {
      addAuditHooks(scope, trail)
      clickhouseRoute(scope, { url: server.url })
    },
    { prefix: '/clickhouse' },
  )
  const at = await audited.listen({ host: '127.0.0.1', port: 0 })
  const digest = (sql: string) => `sha256:${createHash('sha256').update(sql).digest('hex')}`
  try {
    await fetch(`${at}/clickhouse/?query=SELECT+'a'`)
    await fetch(`${at}/clickhouse/`, { method: 'POST', body: "SELECT 'b'" })
    await fetch(`${at}/clickhouse/?query=DROP+TABLE+seen`)
    await expect.poll(() => events.length).toBe(3)
    expect(events.map(({ action, object, outcome }) => [action, object, outcome])).toEqual([
      ['analytics.query', digest("SELECT 'a'"), 'done'],
      ['analytics.query', digest("SELECT 'b'"), 'done'],
      ['analytics.query', digest('DROP TABLE seen'), 'denied'],
    ])
    expect(JSON.stringify(events)).not.toContain('SELECT')
  } finally {
    await audited.close()
  }
})

test("errors of authentication have ClickHouse's form", async () => {
  const closed = fastify({ forceCloseConnections: true })
  await closed.register(
    async scope => {
      scope.addHook('onRequest', async ({ headers }) => {
        if (headers.authorization === undefined) throw new Problem('unauthorized', 'send a valid token')
        if (headers.authorization === 'often') throw new Problem('rate_limited', 'too often')
        throw new Problem('forbidden', 'not for you')
      })
      clickhouseRoute(scope, { url: server.url })
    },
    { prefix: '/clickhouse' },
  )
  const asks = async (authorization?: string) => {
    const headers = authorization === undefined ? {} : { authorization }
    const {
      statusCode,
      headers: sent,
      body,
    } = await closed.inject({ method: 'GET', url: '/clickhouse/?query=SELECT+1', headers })
    expect(body).toMatch(/^Code: \d+\. DB::Exception: .* \([A-Z_]+\)\n$/)
    return [statusCode, sent['x-clickhouse-exception-code']]
  }
  expect(await asks()).toEqual([401, '516'])
  expect(await asks('x')).toEqual([403, '497'])
  expect(await asks('often')).toEqual([429, '201'])
  await closed.close()
})

test('without a read-only user no statement is run', async () => {
  const refusing = fastify()
  clickhouseRoute(refusing, { url: server.url, analyst: () => Promise.reject(new Error('analysts are refused: no user')) })
  const answer = await refusing.inject({
    method: 'POST',
    url: '/',
    payload: 'SELECT 1',
    headers: { 'content-type': 'text/plain' },
  })
  expect([answer.statusCode, answer.headers['x-clickhouse-exception-code']]).toEqual([403, '497'])
  expect(answer.body).toContain('analysts are refused: no user')
  await refusing.close()
})

test('reports that ClickHouse is unreachable', async () => {
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

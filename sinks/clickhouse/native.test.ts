import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { type EmbeddedClickHouse, startEmbeddedClickHouse } from './embedded.ts'

let dataDir: string
let server: EmbeddedClickHouse

beforeAll(async () => {
  dataDir = mkdtempSync(join(tmpdir(), 'native-'))
  server = await startEmbeddedClickHouse({ dataDir, log: { info: () => {}, warn: () => {} } })
})
afterAll(async () => {
  await server.stop()
  rmSync(dataDir, { recursive: true, force: true })
})

async function ask(sql: string, version?: number) {
  const { origin, username, password } = new URL(server.url)
  const parameters = new URLSearchParams({ default_format: 'Native' })
  if (version !== undefined) parameters.set('client_protocol_version', String(version))
  const response = await fetch(`${origin}/?${parameters}`, {
    method: 'POST',
    body: sql,
    headers: { 'x-clickhouse-user': username, 'x-clickhouse-key': password },
  })
  return { status: response.status, bytes: Buffer.from(await response.arrayBuffer()) }
}

/** Each in a column of its own, so that the mark before the second says that the first was walked to its end. */
const VALUES = [
  'toUInt8(1), toInt256(2), toFloat64(3), toBFloat16(1), toDecimal32(1, 2), toDecimal64(1, 2), toDecimal128(1, 2), toDecimal256(1, 2)',
  "toDate('2026-01-01'), toDate32('2026-01-01'), toDateTime('2026-01-01 00:00:00'), toDateTime64(1, 3, 'Asia/Bangkok')",
  "'text', repeat('x', 300), toFixedString('ab', 5), '', true, NULL, toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), toIPv4('1.2.3.4'), toIPv6('::1')",
  "CAST('a', 'Enum8(\\'a\\' = 1, \\'b, (c\\' = 2)'), CAST('a', 'Enum16(\\'a\\' = 1000)'), toIntervalDay(1)",
  "[1, 2], [[1], []], ['a', 'b'], emptyArrayString(), map('a', 1, 'b', 2), tuple(), (1, 'b', [3]), CAST((1, 'x'), 'Tuple(a Int8, `b c` String)')",
  "toNullable('x'), [NULL, 1], CAST(NULL, 'Nullable(String)'), toLowCardinality('x'), CAST('x', 'LowCardinality(Nullable(String))')",
  "[toLowCardinality('a'), 'b'], CAST([], 'Array(LowCardinality(String))'), map(toLowCardinality('a'), [toLowCardinality('b')])",
  '(1., 2.)::Point, [(1., 2.)]::Ring, [[(1., 2.)]]::Polygon, [[[(1., 2.)]]]::MultiPolygon',
]

test.each(VALUES)('a client of the protocol has its blocks of %s', async values => {
  const sql = `SELECT ${values} FROM numbers(3)`
  const file = await ask(sql)
  const client = await ask(sql, 54_460)
  expect([file.status, client.status]).toEqual([200, 200])
  // It is the same but for the info before it, and a mark behind each column's type.
  const types = JSON.parse((await ask(`${sql} FORMAT JSONCompact`)).bytes.toString()).meta.map(
    (one: { type: string }) => one.type,
  )
  const parts = [Buffer.from('010002ffffffff00', 'hex')]
  let at = 0
  for (const type of types as string[]) {
    const end = file.bytes.indexOf(lengthOf(type) + type, at) + lengthOf(type).length + Buffer.byteLength(type)
    parts.push(file.bytes.subarray(at, end), Buffer.from([0]))
    at = end
  }
  expect(client.bytes.equals(Buffer.concat([...parts, file.bytes.subarray(at)]))).toBe(true)
})

function lengthOf(type: string): string {
  return String.fromCharCode(Buffer.byteLength(type))
}

test('a time keeps its zone, which a file leaves out', async () => {
  const sql = "SELECT toDateTime('2026-01-01 00:00:00', 'Asia/Bangkok') AS a, toDateTime(0) AS b, 'x' AS c"
  expect((await ask(sql)).bytes.includes('Asia/Bangkok')).toBe(false)
  for (const statement of [sql, `${sql} FORMAT Native`]) {
    const { bytes } = await ask(statement, 54_460)
    expect(bytes.includes("\x01a\x18DateTime('Asia/Bangkok')\0")).toBe(true)
    expect(bytes.includes('\x01b\x08DateTime\0')).toBe(true)
    expect(bytes.subarray(-12).toString()).toBe('\x01c\x06String\0\x01x')
  }
})

test('no rows, and many blocks', async () => {
  const none = await ask("SELECT 1 AS a, 'x' AS b WHERE 0", 54_460)
  expect(none.status).toBe(200)
  const sql = 'SELECT number, toLowCardinality(toString(number % 3)) AS s, [s] FROM numbers(200000)'
  const [file, client] = [await ask(sql), await ask(sql, 54_460)]
  const blocks = (client.bytes.length - file.bytes.length) / (8 + 3)
  expect(Number.isInteger(blocks) && blocks > 1).toBe(true)
})

test('what cannot be written so is refused, not sent in another form', async () => {
  for (const sql of ['SELECT uniqState(1)', "SELECT '{}'::JSON", 'SELECT 1::Dynamic', 'SELECT 1::Variant(Int8, String)']) {
    expect((await ask(sql)).status, sql).toBe(200)
    const { status, bytes } = await ask(sql, 54_460)
    expect(status, sql).toBe(501)
    expect(bytes.toString()).toMatch(/^Code: 48\. DB::Exception: the type \w+/)
  }
  expect((await ask("SELECT toLowCardinality('a')", 54_000)).status).toBe(501)
})

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { split } from './sql.ts'
import { startEmbeddedClickHouse } from '../sinks/clickhouse/embedded.ts'

const quiet = { info: () => {}, warn: () => {} }
let dataDir: string

beforeAll(() => {
  dataDir = mkdtempSync(join(tmpdir(), 'sql-'))
})
afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

async function sql(input: string, ...args: string[]): Promise<{ code: number; out: string; err: string }> {
  const child = spawn(process.execPath, [join(import.meta.dirname, 'sql.ts'), ...args], {
    cwd: dataDir,
    env: { ...process.env, DATA_DIR: dataDir, CLICKHOUSE_URL: '', NODE_OPTIONS: '' },
  })
  let [out, err] = ['', '']
  child.stdout.on('data', chunk => (out += chunk))
  child.stderr.on('data', chunk => (err += chunk))
  child.stdin.end(input)
  const code = await new Promise<number>(resolve => child.once('close', resolve))
  return { code, out, err }
}

test('answers standard input, on a ClickHouse started for it, and keeps what was made', async () => {
  const made = await sql(
    "CREATE TABLE t (a Int8) ENGINE = MergeTree ORDER BY a; INSERT INTO t VALUES (7); SELECT a, ';' FROM t",
    '--format',
    'CSV',
  )
  expect(made).toEqual({ code: 0, out: '7,";"\n', err: '' })
  expect((await sql('SELECT a FROM t;')).out).toContain('│ 7 │')
})

test('asks the one that runs', async () => {
  const server = await startEmbeddedClickHouse({ dataDir, log: quiet })
  try {
    expect(await sql('SELECT 1 AS x FORMAT JSONEachRow')).toEqual({ code: 0, out: '{"x":1}\n', err: '' })
    expect(server.status().status).toBe('up')
  } finally {
    await server.stop()
  }
})

test('ends at the first fault, with 1', async () => {
  const { code, out, err } = await sql('SELECT nothing; SELECT 2')
  expect([code, out]).toEqual([1, ''])
  expect(err).toContain('UNKNOWN_IDENTIFIER')
})

test('a statement ends with a semicolon, but not inside of strings and comments', () => {
  expect(split("SELECT ';', `;` -- ;\n; /* ; */ SELECT 2; SEL")).toEqual({
    statements: ["SELECT ';', `;` -- ;", '/* ; */ SELECT 2'],
    rest: ' SEL',
  })
  expect(split('; -- only this\n;').statements).toEqual([])
})

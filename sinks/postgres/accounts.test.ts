import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { startTestPostgres, type TestPostgres } from './testing/postgres.ts'

const FOLDER = join(import.meta.dirname, 'migrations')
let postgres: TestPostgres
let pool: pg.Pool

beforeAll(async () => {
  postgres = await startTestPostgres({ migrated: false })
  pool = postgres.pool
}, 60_000)

afterAll(async () => {
  await postgres.close()
})

const apply = async (wanted: (number: number) => boolean) => {
  for (const file of readdirSync(FOLDER).sort())
    if (wanted(Number(file.slice(0, 4)))) await pool.query(readFileSync(join(FOLDER, file), 'utf8'))
}

test('accounts, keys and commands of before keep whose they are', async () => {
  await apply(number => number < 5)
  await pool.query(`INSERT INTO users (id, tenant, email, name, role) VALUES
    ('crm-nok', 'main', 'nok@example.com', 'Nok', 'admin'), ('other:lek', 'other', 'lek@example.com', 'Lek', 'ops')`)
  await pool.query(`INSERT INTO customers (id, tenant, name) VALUES ('00000000-0000-4000-8000-000000000001', 'main', 'C')`)
  await pool.query(`INSERT INTO leads (customer_id, assigned_to) VALUES ('00000000-0000-4000-8000-000000000001', 'crm-nok')`)
  const keys = [
    ['a', 'crm-nok'], // of an account
    ['b', 'a'], // made with its key
    ['c', 'b'],
    ['d', 'admin-token'],
    ['e', 'crm-passing'], // of somebody without an account
    ['f', 'd'],
  ]
  for (const [id, by] of keys)
    await pool.query(
      "INSERT INTO api_keys (id, hash, tenant, name, role, created_by) VALUES ($1, '\\x00', 'main', 'k', 'ops', $2)",
      [id, by],
    )
  for (const [n, by] of ['admin-token', 'a', 'crm-nok', 'other:lek', 'crm-passing'].entries())
    await pool.query(
      `INSERT INTO commands (id, principal, idempotency_key, request_hash, action, target, object) VALUES ($1, $2, 'k', '\\x00', 'x', 'venue', 'v')`,
      [String(n), by],
    )
  await apply(number => number === 5)
  const owned = await pool.query('SELECT id, owner, made_with FROM api_keys ORDER BY id')
  expect(owned.rows.map(({ id, owner, made_with }) => [id, owner, made_with])).toEqual([
    ['a', 'crm-nok', null],
    ['b', 'crm-nok', 'a'],
    ['c', 'crm-nok', 'b'],
    ['d', null, null],
    ['e', null, null],
    ['f', null, 'd'],
  ])
  const given = await pool.query('SELECT principal FROM commands ORDER BY id')
  expect(given.rows.map(row => row.principal)).toEqual([
    'token:main:admin-token',
    'key:main:a',
    'user:main:crm-nok',
    'user:other:other:lek',
    'user:main:crm-passing',
  ])
  await pool.query("INSERT INTO users (id, tenant, email, name, role) VALUES ('crm-nok', 'other', 'n@example.com', 'N', 'ops')")
  await pool.query("DELETE FROM users WHERE tenant = 'main' AND id = 'crm-nok'")
  expect((await pool.query('SELECT tenant, assigned_to FROM leads')).rows).toEqual([{ tenant: 'main', assigned_to: null }])
})

/**
 * Numbered migrations, `migrations/0001_name.sql` and up, each applied once and in order. ClickHouse has no transactions for them: every
 * statement is repeatable, and an interrupted migration is applied again from its beginning. Processes that start at once wait for each
 * other in Postgres.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type { ClickHouseClient } from '@clickhouse/client'
import type pg from 'pg'

/** Key of the advisory lock. */
const MIGRATING = 7_240_532

/** Brings ClickHouse to the newest schema. Returns the names of the migrations it applied. */
export async function migrateClickHouse({ client, pool }: { client: ClickHouseClient; pool: pg.Pool }): Promise<string[]> {
  const lock = await pool.connect()
  try {
    await lock.query("SELECT set_config('statement_timeout', '0', false), pg_advisory_lock($1)", [MIGRATING])
    return await apply(client)
  } finally {
    lock.release(true) // the lock is released with the connection
  }
}

async function apply(client: ClickHouseClient): Promise<string[]> {
  await client.command({
    query: `CREATE TABLE IF NOT EXISTS schema_migrations (name String, applied_at DateTime('UTC') DEFAULT now())
      ENGINE = MergeTree ORDER BY name`,
  })
  const applied = await client.query({ query: 'SELECT DISTINCT name FROM schema_migrations', format: 'JSONEachRow' })
  const before = new Set((await applied.json<{ name: string }>()).map(({ name }) => name))
  const due = migrations().filter(({ name }) => !before.has(name))
  for (const { name, statements } of due) {
    for (const query of statements) await client.command({ query })
    await client.insert({ table: 'schema_migrations', values: [{ name }], format: 'JSONEachRow' })
  }
  return due.map(({ name }) => name)
}

export function migrations(): { name: string; statements: string[] }[] {
  const folder = join(import.meta.dirname, 'migrations')
  return readdirSync(folder)
    .filter(file => file.endsWith('.sql'))
    .sort()
    .map(file => ({ name: file.slice(0, -4), statements: statementsOf(readFileSync(join(folder, file), 'utf8')) }))
}

/** A statement ends with a semicolon at the end of a line. */
function statementsOf(sql: string): string[] {
  return sql
    .replace(/^\s*--.*$/gm, '')
    .split(/;\s*$/m)
    .map(statement => statement.trim())
    .filter(statement => statement !== '')
}

/**
 * Numbered migrations, `migrations/0001_name.sql` and up, each applied once and in order. All that are due run in one
 * transaction under an advisory lock, so that several processes may start at once.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import type pg from 'pg'

const folder = join(import.meta.dirname, 'migrations')
const MIGRATING = 7_240_530

/** Brings the database to the newest schema. Returns the names of the migrations it applied. */
export async function migrate(pool: pg.Pool): Promise<string[]> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    await client.query("SELECT pg_advisory_xact_lock($1), set_config('statement_timeout', '0', true)", [MIGRATING])
    await client.query(
      'CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, applied_at timestamptz NOT NULL DEFAULT now())',
    )
    const { rows } = await client.query<{ name: string }>('SELECT name FROM schema_migrations')
    const applied = new Set(rows.map(row => row.name))
    const due = migrations().filter(name => !applied.has(name))
    for (const name of due) {
      await client.query(readFileSync(join(folder, name), 'utf8'))
      await client.query('INSERT INTO schema_migrations (name) VALUES ($1)', [name])
    }
    await client.query('COMMIT')
    client.release()
    return due
  } catch (error) {
    client.release(true) // rolls back
    throw error
  }
}

function migrations(): string[] {
  return readdirSync(folder)
    .filter(name => /^\d{4}_\w+\.sql$/.test(name))
    .sort()
}

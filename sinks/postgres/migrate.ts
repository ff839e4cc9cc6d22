/**
 * Numbered migrations, `migrations/0001_name.sql` and up, each applied once and in order. All that are due run in one
 * transaction under an advisory lock, so that several processes may start at once.
 */
import { join } from 'node:path'
import { runner } from 'node-pg-migrate'
import type pg from 'pg'

const TABLE = 'migrations'
/** Databases of the first release kept theirs in another table. */
const ADOPT = `
  DO $$ BEGIN
    PERFORM pg_advisory_xact_lock(7240530);
    IF to_regclass('schema_migrations') IS NULL THEN RETURN; END IF;
    CREATE TABLE ${TABLE} (id serial PRIMARY KEY, name varchar(255) NOT NULL, run_on timestamp NOT NULL);
    INSERT INTO ${TABLE} (name, run_on) SELECT replace(name, '.sql', ''), applied_at FROM schema_migrations ORDER BY name;
    DROP TABLE schema_migrations;
  END $$`
const silent = { info: () => {}, warn: () => {}, error: () => {} }

/** Brings the database to the newest schema. Returns the names of the migrations it applied. */
export async function migrate(pool: pg.Pool): Promise<string[]> {
  const client = await pool.connect()
  try {
    await client.query("SELECT set_config('statement_timeout', '0', false)")
    await client.query(ADOPT)
    const applied = await runner({
      dbClient: client,
      dir: join(import.meta.dirname, 'migrations'),
      direction: 'up',
      migrationsTable: TABLE,
      checkOrder: true,
      advisoryLockMode: 'wait',
      logger: silent,
    })
    client.release(true) // with its settings
    return applied.map(({ name }) => name)
  } catch (error) {
    client.release(true)
    throw error
  }
}

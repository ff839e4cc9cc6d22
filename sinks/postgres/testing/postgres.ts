/** For tests: a Postgres of their own, in a folder that is gone with it. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type pg from 'pg'
import { startEmbeddedPostgres } from '../embedded.ts'
import { migrate } from '../migrate.ts'
import { openPool } from '../pool.ts'

export interface TestPostgres {
  readonly url: string
  readonly pool: pg.Pool
  close(): Promise<void>
}

/** @param migrated false: without a schema; the rest is of `openPool` */
export async function startTestPostgres({
  migrated = true,
  ...settings
}: {
  migrated?: boolean
  max?: number
  statementTimeoutMs?: number
} = {}): Promise<TestPostgres> {
  const log = { info: () => {}, warn: () => {} }
  const dataDir = mkdtempSync(join(tmpdir(), 'postgres-'))
  const server = await startEmbeddedPostgres({ dataDir, log })
  const pool = openPool({ url: server.url, log, ...settings })
  if (migrated) await migrate(pool)
  return {
    url: server.url,
    pool,
    async close() {
      await pool.end()
      await server.stop()
      rmSync(dataDir, { recursive: true, force: true })
    },
  }
}

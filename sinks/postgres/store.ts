/**
 * The serving store: records as rows in Postgres, exactly once in effect. Positions move in the transaction of the rows by
 * compare-and-set:
 *
 *   BEGIN · position = next WHERE position = the one read · rows · COMMIT
 *                  └ not all updated: another process has some. Roll back.
 */
import pg from 'pg'
import type { Topic } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import type { Store } from '../store.ts'
import { Months } from './months.ts'
import { claimPositions, LIMITS, movePositions, transact } from './positions.ts'
import { isProjected, project } from './project.ts'
import { keptFrom } from './retention.ts'
import { RowBatch } from './row-batch.ts'

/** Commits need not reach the disk: a crash of the machine loses rows and position together, and the log still has the records. */
const SETTINGS = `${LIMITS}; SET LOCAL synchronous_commit = off`

/**
 * @param name of its positions
 * @param monthly whether tables are partitioned by month
 * @param keepDays how long messages and the archive are kept; null for ever
 */
export function postgresStore({
  pool,
  codec,
  name = 'postgres',
  topics,
  monthly = true,
  keepDays = null,
}: {
  pool: pg.Pool
  codec: Codec
  name?: string
  topics: readonly Topic[]
  monthly?: boolean
  keepDays?: number | null
}): Store {
  const months = new Months()
  const kept = new Set<string>()
  return {
    name,
    topics,
    wants: isProjected,
    claim: partitions => claimPositions(pool, name, partitions),
    refuses: isDataError,
    write: async batches => {
      const batch = new RowBatch(keptFrom(keepDays, Date.now()))
      for (const { records } of batches) {
        for (const { record, decoded } of records) project(batch, record, decoded, codec)
      }
      if (monthly) await months.make(pool, batch.rows(), Date.now())
      await keepSchemas(pool, batch.schemas, kept)
      const stale = await transact(pool, async client => {
        await client.query(SETTINGS)
        await movePositions(client, name, batches, 'position = held.next')
        return batch.write(client)
      })
      return { stale }
    },
  }
}

/** In transactions of their own: two writers may meet a new schema at once, and neither should wait for the other. */
async function keepSchemas(pool: pg.Pool, met: ReadonlyMap<string, string>, kept: Set<string>): Promise<void> {
  for (const [fingerprint, schema] of met) {
    if (kept.has(fingerprint)) continue
    await pool.query('INSERT INTO schemas VALUES ($1, $2) ON CONFLICT DO NOTHING', [Buffer.from(fingerprint, 'hex'), schema])
    kept.add(fingerprint)
  }
}

/** Whether the data itself is wrong, by SQLSTATE class: out of range, a violated constraint, too large for an index. */
function isDataError(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(22|23|54)/.test(error.code ?? '')
}

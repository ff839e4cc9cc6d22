/** Positions of sinks, in Postgres: read at the start, and moved only from where they were read. */
import type pg from 'pg'
import { partitionKey, type TopicPartition } from '../../topics/log.ts'
import { type RecordBatch, type StartPosition, OwnershipLost } from '../store.ts'

/** Shorter than the 30 s session timeout, so a writer that has lost its partition never blocks the new owner. */
export const LIMITS =
  "SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '15s'; SET LOCAL idle_in_transaction_session_timeout = '10s'"

/** Positions of these partitions, in the same order; created if there are none. */
export async function claimPositions(
  pool: pg.Pool,
  sink: string,
  partitions: readonly TopicPartition[],
): Promise<StartPosition[]> {
  const where = [sink, partitions.map(p => p.topic), partitions.map(p => p.partition)]
  await pool.query(
    `INSERT INTO sink_positions (sink, topic, partition, position)
     SELECT $1, topic, partition, 0 FROM unnest($2::text[], $3::int[]) AS p (topic, partition) ORDER BY 2, 3 ON CONFLICT DO NOTHING`,
    where,
  )
  const { rows } = await pool.query<TopicPartition & { position: string; until: string | null }>(
    `SELECT topic, partition, position, until FROM sink_positions
     JOIN unnest($2::text[], $3::int[]) AS p (topic, partition) USING (topic, partition) WHERE sink = $1`,
    where,
  )
  const claims = new Map(
    rows.map(row => [
      partitionKey(row),
      { position: Number(row.position), ...(row.until === null ? {} : { until: Number(row.until) }) },
    ]),
  )
  return partitions.map(partition => claims.get(partitionKey(partition)) as StartPosition)
}

export interface Moved extends TopicPartition {
  /** End of the range that was open before; null if none was. */
  readonly before: string | null
}

/**
 * Moves the positions if all of them are still where these batches begin. They are locked in a fixed order, so that two writers never
 * deadlock.
 * @param change SQL over `held`: its `next`
 * @throws {OwnershipLost}
 */
export async function movePositions(
  client: pg.ClientBase,
  sink: string,
  batches: readonly RecordBatch[],
  change: string,
): Promise<Moved[]> {
  const { rows } = await client.query<Moved>(
    `WITH b AS (SELECT * FROM unnest($2::text[], $3::int[], $4::bigint[], $5::bigint[]) AS b (topic, partition, first, next)),
       held AS (SELECT topic, partition, next, until FROM sink_positions p JOIN b USING (topic, partition)
         WHERE sink = $1 AND position = first AND (until IS NULL OR until = next) ORDER BY topic, partition FOR UPDATE OF p)
     UPDATE sink_positions p SET ${change} FROM held
     WHERE p.sink = $1 AND p.topic = held.topic AND p.partition = held.partition RETURNING p.topic, p.partition, held.until AS before`,
    [
      sink,
      batches.map(b => b.partition.topic),
      batches.map(b => b.partition.partition),
      batches.map(b => b.from),
      batches.map(b => b.next),
    ],
  )
  if (rows.length === batches.length) return rows
  const moved = new Set(rows.map(partitionKey))
  throw new OwnershipLost(batches.map(b => b.partition).filter(partition => !moved.has(partitionKey(partition))))
}

/** Runs `work` in a transaction. @throws what it throws, after a rollback; a connection that cannot roll back is discarded. */
export async function transact<T>(pool: pg.Pool, work: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const done = await work(client)
    await client.query('COMMIT')
    client.release()
    return done
  } catch (error) {
    const rolledBack = await client.query('ROLLBACK').then(
      () => true,
      () => false,
    )
    client.release(!rolledBack)
    throw error
  }
}

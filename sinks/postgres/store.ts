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
import { partitionKey, type TopicPartition } from '../../topics/log.ts'
import { type Batch as RecordBatch, type Claim, OwnershipLost, type Store } from '../sink.ts'
import { Batch } from './batch.ts'
import { Months } from './months.ts'
import { keep, PROJECTED, project, projectDeletion } from './project.ts'

/**
 * Time-outs below the session time-out of 30 s, so that nobody is waited for who has lost the partition. A commit need not reach
 * the disk before it counts: a machine that crashes loses rows and position together, and the log has them still.
 */
const LIMITS =
  "SET LOCAL synchronous_commit = off; SET LOCAL lock_timeout = '5s'; SET LOCAL statement_timeout = '15s'; SET LOCAL idle_in_transaction_session_timeout = '10s'"

/**
 * @param name of its positions
 * @param monthly false where no table is partitioned
 */
export function postgresStore({
  pool,
  codec,
  name = 'postgres',
  topics,
  monthly = true,
}: {
  pool: pg.Pool
  codec: Codec
  name?: string
  topics: readonly Topic[]
  monthly?: boolean
}): Store {
  const months = new Months()
  const kept = new Set<string>()
  return {
    name,
    topics,
    wants: (topic, type) => PROJECTED.get(topic)?.includes(type) ?? PROJECTED.get(topic) === null,
    claim: partitions => claim(pool, name, partitions),
    refuses: isDataError,
    write: async batches => {
      const batch = new Batch()
      for (const { records } of batches) {
        for (const { record, decoded } of records) {
          keep(batch, record, codec)
          if (decoded === null) projectDeletion(batch, record)
          else project(batch, record, decoded)
        }
      }
      if (monthly) await months.make(pool, batch.rows(), Date.now())
      await keepSchemas(pool, batch.schemas, kept)
      return { stale: await transact(pool, client => write(client, name, batches, batch)) }
    },
  }
}

async function write(client: pg.ClientBase, name: string, batches: readonly RecordBatch[], batch: Batch): Promise<number> {
  await client.query(LIMITS)
  const { rows } = await client.query<TopicPartition>(
    `UPDATE sink_positions p SET position = n.next
     FROM UNNEST($2::text[], $3::integer[], $4::bigint[], $5::bigint[]) AS n (topic, partition, "from", next)
     WHERE p.sink = $1 AND p.topic = n.topic AND p.partition = n.partition AND p.position = n."from"
     RETURNING p.topic, p.partition`,
    [
      name,
      batches.map(b => b.partition.topic),
      batches.map(b => b.partition.partition),
      batches.map(b => b.from),
      batches.map(b => b.next),
    ],
  )
  if (rows.length < batches.length) {
    const moved = new Set(rows.map(partitionKey))
    throw new OwnershipLost(batches.map(b => b.partition).filter(p => !moved.has(partitionKey(p))))
  }
  return batch.write(client)
}

/** In a transaction of their own: two lanes may be the first to meet one, and neither should wait for the other. */
async function keepSchemas(pool: pg.Pool, met: ReadonlyMap<string, string>, kept: Set<string>): Promise<void> {
  for (const [fingerprint, schema] of met) {
    if (kept.has(fingerprint)) continue
    await pool.query('INSERT INTO schemas VALUES ($1, $2) ON CONFLICT DO NOTHING', [Buffer.from(fingerprint, 'hex'), schema])
    kept.add(fingerprint)
  }
}

async function claim(pool: pg.Pool, name: string, partitions: readonly TopicPartition[]): Promise<Claim[]> {
  const where = [name, partitions.map(p => p.topic), partitions.map(p => p.partition)]
  await pool.query(
    'INSERT INTO sink_positions SELECT $1, p.*, 0 FROM UNNEST($2::text[], $3::integer[]) AS p ORDER BY 2, 3 ON CONFLICT DO NOTHING',
    where,
  )
  const { rows } = await pool.query<TopicPartition & { position: string }>(
    `SELECT topic, partition, position FROM sink_positions
     WHERE sink = $1 AND (topic, partition) IN (SELECT * FROM UNNEST($2::text[], $3::integer[]))`,
    where,
  )
  const found = new Map(rows.map(row => [partitionKey(row), Number(row.position)]))
  return partitions.map(p => ({ position: found.get(partitionKey(p)) as number }))
}

/** @throws what the work throws, after rolling back; a connection that cannot even do that is not used again. */
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

/** SQLSTATE classes of what is wrong with the data itself: out of range, a constraint, larger than an index takes. */
function isDataError(error: unknown): boolean {
  return error instanceof pg.DatabaseError && /^(22|23|54)/.test(error.code ?? '')
}

/**
 * ClickHouse as a store of the sink: every record's rows exactly once in effect, without transactions. A range of offsets is recorded
 * in Postgres before it is inserted, and repeated exactly until it is complete:
 *
 *   (a) until = next        WHERE position = from AND until is open or the same     no row updated: another writer has it
 *   (b) INSERT per table    under the token <topic>:<partition>:<from>-<next>:<table>, and not after (a) + 60 s
 *   (c) position = next     WHERE position = from AND until = next                  no row updated: another writer has done it
 *
 * A writer that stalls and resumes cannot corrupt anything:
 *   before (a)               its position is no longer there: (a) updates nothing, and nothing is inserted
 *   between (a) and (b)      another writer has already inserted the same range, so ClickHouse's deduplication token discards this
 *                            insert. The server keeps the newest 10 000 tokens of a table and refuses inserts past their deadline,
 *                            by its own clock, so no token is forgotten while its insert could still arrive
 *   within (b)               the same, table by table; roll-ups are fed again, but hold sets, which do not grow by that
 *   between (b) and (c)      (c) updates nothing, or does what the other writer would do
 * A server that is killed may keep a token without its rows, so after a repeated insert the rows are looked for. A batch lies within
 * one month of log time: one block of one partition per table. ClickHouse does not sync every insert: rows that a machine had not yet
 * written when it lost power are lost; `reconcile` shows it, and the log has them.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import Bottleneck from 'bottleneck'
import type pg from 'pg'
import { topicNamed } from '../../topics/catalog.ts'
import { partitionKey } from '../../topics/log.ts'
import { claimPositions, LIMITS, movePositions, transact } from '../postgres/positions.ts'
import type { RecordBatch, SinkRecord, Store } from '../store.ts'
import { selectRows } from './client.ts'
import { isProjected, PROJECTED, project } from './project.ts'
import { TABLES } from './tables/index.ts'
import { ORIGIN_COLUMNS, type Row, type Table } from './tables/table.ts'

const SINK = 'clickhouse'
/** How long after (a) an insert may begin. Inserting 10 000 blocks into one table takes longer. */
const FENCE_MS = 60_000
/** Records of one batch. ClickHouse splits only far larger inserts into several blocks. */
const MAX_RECORDS = 50_000
const MAX_CONCURRENT_INSERTS = 4
/** How often one block may be lost, by a server killed between keeping its token and its rows, before it is an error. */
const MAX_LOST = 5

export interface ClickHouseStoreOptions {
  readonly client: ClickHouseClient
  /** Of the database that keeps the positions. */
  readonly pool: pg.Pool
}

export function clickhouseStore({ client, pool }: ClickHouseStoreOptions): Store {
  const inserts = new Bottleneck({ maxConcurrent: MAX_CONCURRENT_INSERTS })
  const clock = serverClock(client)
  /** The name of the positions of this ClickHouse, among others that the same Postgres may know. */
  let sink = ''

  return {
    name: SINK,
    topics: PROJECTED.map(topicNamed),
    wants: isProjected,
    cut: sameMonth,

    async claim(partitions) {
      await clock.measure()
      if (sink === '') sink = await recognise(client, pool)
      return claimPositions(pool, sink, partitions)
    },

    async write(batches) {
      const notAfter = clock.now() + FENCE_MS
      const blocks = batches.flatMap(batch =>
        [...project(batch.records, notAfter)].map(([table, rows]): Block => ({ batch, table, rows })),
      )
      const repeated = blocks.length === 0 ? new Set() : await begin(pool, sink, batches)
      try {
        await Promise.all(
          blocks.map(block => inserts.schedule(() => insert(client, block, repeated.has(partitionKey(block.batch.partition))))),
        )
      } catch (error) {
        await clock.measure()
        throw error
      }
      await finish(pool, sink, batches)
      return { stale: 0 }
    },
  }
}

/** How many of these are in the month of the first, by log time. */
export function sameMonth(records: readonly SinkRecord[]): number {
  const first = records[0]
  if (first === undefined) return 0
  const month = monthOf(first)
  const other = records.findIndex(readable => monthOf(readable) !== month)
  return Math.min(other === -1 ? records.length : other, MAX_RECORDS)
}

function monthOf({ record }: SinkRecord): number {
  const at = new Date(record.timestamp)
  return at.getUTCFullYear() * 12 + at.getUTCMonth()
}

/** Rows of one batch for one table. */
interface Block {
  readonly batch: RecordBatch
  readonly table: Table
  readonly rows: readonly Row[]
}

async function insert(client: ClickHouseClient, block: Block, repeated: boolean): Promise<void> {
  const { partition, from, next } = block.batch
  const token = `${partitionKey(partition)}:${from}-${next}:${block.table.name}`
  await insertAs(client, block, token)
  for (let n = 1; repeated && !(await isThere(client, block)); n++) {
    if (n > MAX_LOST) throw new Error(`ClickHouse accepts ${token} and does not keep it`)
    await insertAs(client, block, `${token}:${n}`)
  }
}

async function insertAs(client: ClickHouseClient, { table, rows }: Block, token: string): Promise<void> {
  await client.insert({
    table: table.name,
    columns: [...table.columns, ...ORIGIN_COLUMNS] as unknown as [string, ...string[]],
    values: rows,
    format: 'JSONCompactEachRow',
    clickhouse_settings: {
      insert_deduplicate: 1,
      insert_deduplication_token: token,
      // The roll-ups get what the table already has, too.
      deduplicate_blocks_in_dependent_materialized_views: 1,
      async_insert: 0,
      // One block, regardless of the number of cores.
      input_format_parallel_parsing: 0,
      // A roll-up of late events has rows of several months.
      max_partitions_per_insert_block: '0',
    },
  })
}

/** Whether the block is there: as a whole, or not at all. */
async function isThere(client: ClickHouseClient, { batch, table }: Block): Promise<boolean> {
  const { partition, from, next } = batch
  const result = await client.query({
    query: `SELECT 1 FROM ${table.name} WHERE log_topic = {topic:String} AND log_partition = {partition:UInt16}
      AND log_offset >= {from:UInt64} AND log_offset < {next:UInt64} LIMIT 1`,
    query_params: { ...partition, from, next },
    clickhouse_settings: { select_sequential_consistency: '1' },
    format: 'JSONEachRow',
  })
  return (await result.json()).length > 0
}

/** The server's clock, by our monotonic one: a writer that was suspended sees an earlier time, never a later one. */
function serverClock(client: ClickHouseClient) {
  let ahead = 0
  return {
    async measure(): Promise<void> {
      const [row] = await selectRows<{ ms: string }>(client, 'SELECT toUnixTimestamp64Milli(now64(3)) AS ms')
      ahead = Number(row?.ms) - performance.now()
    },
    now: () => performance.now() + ahead,
  }
}

/**
 * The name under which Postgres keeps the positions of this ClickHouse. A new one starts at the beginning of the log.
 * @throws when it has rows but Postgres has no positions of it: every row would be inserted twice
 */
async function recognise(client: ClickHouseClient, pool: pg.Pool): Promise<string> {
  const [row] = await selectRows<{ id: string }>(client, 'SELECT id FROM store_identity LIMIT 1')
  if (row === undefined) throw new Error('the schema of ClickHouse is incomplete: it has no identity; migrate it first')
  const sink = `${SINK}.${row.id}`
  const { rowCount } = await pool.query('SELECT 1 FROM sink_positions WHERE sink = $1 LIMIT 1', [sink])
  if (rowCount !== 0) return sink
  for (const { name } of TABLES) {
    const rows = await selectRows(client, `SELECT 1 FROM ${name} LIMIT 1`)
    if (rows.length > 0)
      throw new Error(
        `ClickHouse has rows in ${name}, and Postgres does not know how far it was filled: bring that Postgres back, or empty ClickHouse`,
      )
  }
  return sink
}

/** (a): from here on these ranges are repeated until they are complete. Returns the partitions whose range was begun before. @throws {OwnershipLost} */
async function begin(pool: pg.Pool, sink: string, batches: readonly RecordBatch[]): Promise<Set<string>> {
  const rows = await transact(pool, async client => {
    await client.query(LIMITS)
    return movePositions(client, sink, batches, 'until = held.next')
  })
  return new Set(rows.filter(({ before }) => before !== null).map(partitionKey))
}

/** (c). If it is lost with the machine's power, the range is repeated. @throws {OwnershipLost} */
async function finish(pool: pg.Pool, sink: string, batches: readonly RecordBatch[]): Promise<void> {
  await transact(pool, async client => {
    await client.query(`${LIMITS}; SET LOCAL synchronous_commit = off`)
    await movePositions(client, sink, batches, 'position = held.next, until = NULL')
  })
}

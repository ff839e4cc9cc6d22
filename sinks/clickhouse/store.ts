/**
 * ClickHouse as a store of the sink: every record's rows once in effect, though its inserts are in no transaction. A range of
 * offsets is written down in Postgres before it is inserted, and is repeated exactly until it is through:
 *
 *   (a) until = next        WHERE position = from AND until is open or the same     none updated: another has it
 *   (b) INSERT per table    under the token <topic>:<partition>:<from>-<next>:<table>, and not after (a) + 60 s
 *   (c) position = next     WHERE position = from AND until = next                  none updated: another has done it
 *
 * Whoever stops, for however long, changes nothing by going on:
 *   before (a)               its position is no longer there: (a) updates nothing, and nothing is inserted
 *   between (a) and (b)      the range it inserts is the one that another has repeated: the token drops it. The server keeps the
 *                            newest 10 000 tokens of a table, and past its deadline the insert is refused, by the server's clock:
 *                            so no token is forgotten while it could still come
 *   within (b)               the same, table by table; roll-ups are fed again, and hold sets, which do not grow by that
 *   between (b) and (c)      (c) updates nothing, or does what the other would do
 * A server that is killed may have kept a token without its rows: so a range that is repeated is looked for after its insert.
 * A batch lies in one month of the log's time: one block of one partition per table. What a machine that loses power had not
 * yet put on its disk is lost to ClickHouse (it does not sync every insert); `reconcile` and the log tell.
 */
import type { ClickHouseClient } from '@clickhouse/client'
import Bottleneck from 'bottleneck'
import type pg from 'pg'
import { topicNamed } from '../../topics/catalog.ts'
import { partitionKey } from '../../topics/log.ts'
import { claimPositions, LIMITS, movePositions, transact } from '../postgres/positions.ts'
import type { RecordBatch, SinkRecord, Store } from '../store.ts'
import { selectRows } from './client.ts'
import { PROJECTED, project } from './project.ts'
import { type Row, type TableKey, TABLES } from './tables.ts'

const SINK = 'clickhouse'
/** How long after (a) an insert may begin. 10 000 blocks of one table take longer. */
const FENCE_MS = 60_000
/** Records of one batch: one block each, far below where ClickHouse splits an insert. */
const MOST_RECORDS = 50_000
const INSERTS_AT_ONCE = 4
/** How often a server is killed between keeping a token and its rows, for one block, before that is no accident. */
const MOST_LOST = 5

export interface ClickHouseStoreOptions {
  readonly client: ClickHouseClient
  /** Where the positions are. */
  readonly pool: pg.Pool
}

export function clickhouseStore({ client, pool }: ClickHouseStoreOptions): Store {
  const inserts = new Bottleneck({ maxConcurrent: INSERTS_AT_ONCE })
  const clock = serverClock(client)
  /** Name of the positions: of this ClickHouse, whichever others the same Postgres knows. */
  let sink = ''

  return {
    name: SINK,
    topics: [...PROJECTED.keys()].map(topicNamed),
    wants: (topic, type) => PROJECTED.get(topic)?.includes(type) === true,
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

/** How many of these lie in the month of the first, by the log's time. */
export function sameMonth(records: readonly SinkRecord[]): number {
  const first = records[0]
  if (first === undefined) return 0
  const month = monthOf(first)
  const other = records.findIndex(readable => monthOf(readable) !== month)
  return Math.min(other === -1 ? records.length : other, MOST_RECORDS)
}

function monthOf({ record }: SinkRecord): number {
  const at = new Date(record.timestamp)
  return at.getUTCFullYear() * 12 + at.getUTCMonth()
}

/** Rows of one batch for one table. */
interface Block {
  readonly batch: RecordBatch
  readonly table: TableKey
  readonly rows: readonly Row[]
}

async function insert(client: ClickHouseClient, block: Block, repeated: boolean): Promise<void> {
  const { partition, from, next } = block.batch
  const token = `${partitionKey(partition)}:${from}-${next}:${TABLES[block.table].name}`
  await insertAs(client, block, token)
  for (let n = 1; repeated && !(await isThere(client, block)); n++) {
    if (n > MOST_LOST) throw new Error(`ClickHouse takes ${token} and does not keep it`)
    await insertAs(client, block, `${token}:${n}`)
  }
}

async function insertAs(client: ClickHouseClient, { table, rows }: Block, token: string): Promise<void> {
  const { name, columns } = TABLES[table]
  await client.insert({
    table: name,
    columns: columns as [string, ...string[]],
    values: rows,
    format: 'JSONCompactEachRow',
    clickhouse_settings: {
      insert_deduplicate: 1,
      insert_deduplication_token: token,
      // What the table has already goes to the roll-ups all the same.
      deduplicate_blocks_in_dependent_materialized_views: 1,
      async_insert: 0,
      // One block, whatever the number of cores.
      input_format_parallel_parsing: 0,
      // A roll-up of late events has rows of several months.
      max_partitions_per_insert_block: '0',
    },
  })
}

/** A block is there as a whole or not at all. */
async function isThere(client: ClickHouseClient, { batch, table }: Block): Promise<boolean> {
  const { partition, from, next } = batch
  const result = await client.query({
    query: `SELECT 1 FROM ${TABLES[table].name} WHERE log_topic = {topic:String} AND log_partition = {partition:UInt16}
      AND log_offset >= {from:UInt64} AND log_offset < {next:UInt64} LIMIT 1`,
    query_params: { ...partition, from, next },
    clickhouse_settings: { select_sequential_consistency: '1' },
    format: 'JSONEachRow',
  })
  return (await result.json()).length > 0
}

/** The server's clock, by our monotonic one: a writer that was stopped knows an earlier time than it is, never a later one. */
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
 * The name under which Postgres keeps the positions of this ClickHouse. A new one begins with the log.
 * @throws where it has rows and Postgres has no positions of it: every row would be inserted twice
 */
async function recognise(client: ClickHouseClient, pool: pg.Pool): Promise<string> {
  const [row] = await selectRows<{ id: string }>(client, 'SELECT id FROM store_identity LIMIT 1')
  if (row === undefined) throw new Error('the schema of ClickHouse is incomplete: it has no identity; migrate it first')
  const sink = `${SINK}.${row.id}`
  const { rowCount } = await pool.query('SELECT 1 FROM sink_positions WHERE sink = $1 LIMIT 1', [sink])
  if (rowCount !== 0) return sink
  for (const { name } of Object.values(TABLES)) {
    const rows = await selectRows(client, `SELECT 1 FROM ${name} LIMIT 1`)
    if (rows.length > 0)
      throw new Error(
        `ClickHouse has rows in ${name}, and Postgres does not know how far it was filled: bring that Postgres back, or empty ClickHouse`,
      )
  }
  return sink
}

/** (a): from here on these ranges are repeated until they are through. Returns the partitions whose range was begun before. @throws {OwnershipLost} */
async function begin(pool: pg.Pool, sink: string, batches: readonly RecordBatch[]): Promise<Set<string>> {
  const rows = await transact(pool, async client => {
    await client.query(LIMITS)
    return movePositions(client, sink, batches, 'until = held.next')
  })
  return new Set(rows.filter(({ before }) => before !== null).map(partitionKey))
}

/** (c). A server that forgets it for lack of power has the range repeated. @throws {OwnershipLost} */
async function finish(pool: pg.Pool, sink: string, batches: readonly RecordBatch[]): Promise<void> {
  await transact(pool, async client => {
    await client.query(`${LIMITS}; SET LOCAL synchronous_commit = off`)
    await movePositions(client, sink, batches, 'position = held.next, until = NULL')
  })
}

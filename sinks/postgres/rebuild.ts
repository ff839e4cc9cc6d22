/**
 * Rebuilds the tables from the log, beside the current ones, which stay readable until the new rows replace them in one transaction:
 *
 *   schema `rebuild` ◀─ sink `rebuild` ◀─ log        (the serving sink keeps running)
 *   BEGIN · lock its positions · read up to them · replace tables that the log has completely, update the others · COMMIT
 *
 * Where the log keeps records for a limited time, conversations and messages above all, rows are updated and none is deleted.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import type { Logger } from 'pino'
import type { Topic } from '../../topics/catalog.ts'
import type { Codec } from '../../topics/codec.ts'
import { type Log, type Position, partitionKey } from '../../topics/log.ts'
import { type Sink, startSink } from '../sink.ts'
import { tellChanged } from './changes.ts'
import { eraseAgain } from './erasures.ts'
import { transact } from './positions.ts'
import { postgresTopics } from './sink.ts'
import { postgresStore } from './store.ts'
import { TABLES } from './tables/index.ts'
import type { Table } from './tables/table.ts'

const SCHEMA = 'rebuild'
/** Key of the advisory lock. */
const REBUILDING = 7_240_533

/** Copies of these are made from the log. */
const REBUILT = TABLES.filter(({ rebuild }) => rebuild !== 'skip')
/** What else the sink writes. Of these only positions are taken over; the rest stays as it is. */
const SCRATCH = ['sink_positions', 'erased_letters', ...TABLES.filter(table => !REBUILT.includes(table)).map(({ name }) => name)]

export interface Rebuilt {
  /** Rows made from the log, by table. */
  readonly rows: Readonly<Record<string, number>>
  readonly seconds: number
}

/**
 * @param url of the database; it must have been migrated
 * @param live the name under which the serving sink keeps its positions
 * @throws when another rebuild is running
 */
export async function rebuild(options: {
  log: Log
  codec: Codec
  url: string
  logger: Pick<Logger, 'info' | 'warn' | 'error'>
  live?: string
  topics?: readonly Topic[]
  keepDays?: number | null
}): Promise<Rebuilt> {
  const { log, codec, url, logger, live = 'postgres', topics = postgresTopics, keepDays = null } = options
  const began = performance.now()
  const pool = new pg.Pool({ connectionString: url, options: `-c search_path=${SCHEMA},public`, application_name: SCHEMA })
  pool.on('error', error => logger.warn({ reason: error.message }, 'a connection to Postgres was lost'))
  const lock = await pool.connect()
  try {
    const { rows } = await lock.query('SELECT pg_try_advisory_lock($1) AS mine', [REBUILDING])
    if (rows[0]?.mine !== true) throw new Error('another rebuild of this database is running')
    await makeTables(pool)
    const store = postgresStore({ pool, codec, name: SCHEMA, topics, monthly: false, keepDays })
    const sink = await startSink({ log, codec, store, logger, instance: `${SCHEMA}-${process.pid}` })
    try {
      await reach(sink, await endsOf(log, topics))
      await makeMonths(pool)
      const made = await transact(pool, client => takeOver(client, sink, live))
      await pool.query(`DROP SCHEMA ${SCHEMA} CASCADE`)
      return { rows: made, seconds: (performance.now() - began) / 1000 }
    } finally {
      await sink.close()
    }
  } finally {
    lock.release(true)
    await pool.end()
  }
}

/** Creates tables like the public ones, without partitions. */
async function makeTables(pool: pg.Pool): Promise<void> {
  const names = REBUILT.map(({ name }) => name).concat(SCRATCH)
  const made = names.map(name => `CREATE TABLE ${SCHEMA}.${name} (LIKE public.${name} INCLUDING ALL)`)
  await pool.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE; CREATE SCHEMA ${SCHEMA}; ${made.join('; ')}`)
}

async function makeMonths(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('SET search_path = public')
    for (const { name, monthly } of REBUILT) {
      if (monthly === undefined) continue
      await client.query(
        `SELECT make_month($1, $2, m::date)
         FROM (SELECT DISTINCT date_trunc('month', ${monthly} AT TIME ZONE 'UTC') AS m FROM ${SCHEMA}.${name}
           WHERE ${monthly} >= '2020-01-01' AND ${monthly} < now() + interval '3 months') AS months`,
        [name, monthly],
      )
    }
  } finally {
    client.release(true) // with its search path
  }
}

async function endsOf(log: Log, topics: readonly Topic[]): Promise<Position[]> {
  const ends = await Promise.all(
    topics.map(async ({ name }) =>
      (await log.ends(name)).map(({ partition, high }) => ({ topic: name, partition, offset: high })),
    ),
  )
  return ends.flat()
}

/** Waits until the sink has reached these positions. */
async function reach(sink: Sink, positions: readonly Position[]): Promise<void> {
  for (;;) {
    const reached = new Map(sink.positions().map(p => [partitionKey(p), p.offset]))
    if (positions.every(p => (reached.get(partitionKey(p)) ?? -1) >= p.offset)) return
    await sleep(20)
  }
}

/** The serving sink's positions are locked meanwhile, so none of its rows is lost: it continues from the newer position of both. */
async function takeOver(client: pg.ClientBase, sink: Sink, live: string): Promise<Record<string, number>> {
  const { rows } = await client.query<{ topic: string; partition: number; position: string }>(
    'SELECT topic, partition, position FROM public.sink_positions WHERE sink = $1 ORDER BY topic, partition FOR UPDATE',
    [live],
  )
  await reach(
    sink,
    rows.map(({ topic, partition, position }) => ({ topic, partition, offset: Number(position) })),
  )
  await sink.close()
  const made: Record<string, number> = {}
  for (const table of REBUILT) {
    if (table.rebuild === 'replace') await client.query(`DELETE FROM public.${table.name}`)
    made[table.name] = await copy(client, table, onConflict(table))
  }
  await client.query(
    `UPDATE public.sink_positions p SET position = r.position FROM ${SCHEMA}.sink_positions r
     WHERE p.sink = $1 AND r.sink = $2 AND p.topic = r.topic AND p.partition = r.partition AND p.position < r.position`,
    [live, SCHEMA],
  )
  // The serving sink will not read what this one has read, such as an order to erase.
  await client.query('SET LOCAL search_path = public')
  await eraseAgain(client, null)
  await tellChanged(client, null)
  return made
}

async function copy(client: pg.ClientBase, { name, columns }: Table, conflict: string): Promise<number> {
  const list = Object.keys(columns).map(quoted).join(', ')
  const { rowCount } = await client.query(
    `INSERT INTO public.${name} AS t (${list}) SELECT ${list} FROM ${SCHEMA}.${name} ${conflict}`,
  )
  return rowCount ?? 0
}

function onConflict({ key, columns, rebuild, merged }: Table): string {
  if (rebuild === 'replace') return ''
  if (rebuild === 'add') return 'ON CONFLICT DO NOTHING'
  const set = Object.keys(columns)
    .filter(column => !key.includes(column))
    .map(column => `${quoted(column)} = ${merged?.(column) ?? `excluded.${quoted(column)}`}`)
  return `ON CONFLICT (${key.map(quoted).join(', ')}) DO UPDATE SET ${set.join(', ')}`
}

function quoted(column: string): string {
  return `"${column}"`
}

/**
 * Makes the tables anew from the log, beside the old ones, which stay readable until all of it is there at once:
 *
 *   schema `rebuild` ◀─ sink `rebuild` ◀─ log        (the serving sink goes on)
 *   BEGIN · lock its positions · read on to where they are · replace what the log has whole, update the archive · COMMIT
 *
 * What the log keeps for a time only, conversations and their messages above all, is updated and never thinned out.
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
import { postgresTopics } from './sink.ts'
import { transact } from './positions.ts'
import { postgresStore } from './store.ts'
import * as tables from './tables.ts'
import type { Table } from './tables.ts'

const SCHEMA = 'rebuild'
const REBUILDING = 7_240_533

/** All of them is in the log: compacted, or kept for ever. */
const REPLACED: readonly Table[] = [
  tables.venues,
  tables.zones,
  tables.venueEvents,
  tables.conversationEvents,
  tables.syncRuns,
  tables.syncRefusals,
]
/** The log has let go of some of these. */
const UPDATED: readonly Table[] = [
  tables.schemas,
  tables.archive,
  tables.conversations,
  tables.messages,
  tables.notes,
  tables.issues,
  tables.alerts,
  tables.deadLetters,
  tables.erasures,
  tables.erasedMessages,
]
/** What else the sink writes: where it stands, reports that wait, the audit trail. All but the first stay as they are. */
const BESIDE = ['sink_positions', 'message_reports', 'audit_log', 'erased_letters']

export interface Rebuilt {
  /** Rows by table, as the log makes them. */
  readonly rows: Readonly<Record<string, number>>
  readonly seconds: number
}

/**
 * @param url of the database, which has been migrated
 * @param live name of the positions that the serving sink has
 * @throws when another rebuild is under way
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
    if (rows[0]?.mine !== true) throw new Error('another rebuild of this database is under way')
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

/** Tables like the public ones, without partitions. */
async function makeTables(pool: pg.Pool): Promise<void> {
  const names = [...REPLACED, ...UPDATED].map(t => t.name).concat(BESIDE)
  const made = names.map(name => `CREATE TABLE ${SCHEMA}.${name} (LIKE public.${name} INCLUDING ALL)`)
  await pool.query(`DROP SCHEMA IF EXISTS ${SCHEMA} CASCADE; CREATE SCHEMA ${SCHEMA}; ${made.join('; ')}`)
}

async function makeMonths(pool: pg.Pool): Promise<void> {
  const client = await pool.connect()
  try {
    await client.query('SET search_path = public')
    for (const { name, monthly } of UPDATED) {
      if (monthly === undefined) continue
      await client.query(
        `SELECT make_month($1, $2, m::date)
         FROM (SELECT DISTINCT date_trunc('month', ${monthly} AT TIME ZONE 'UTC') AS m FROM ${SCHEMA}.${name}
           WHERE ${monthly} >= '2020-01-01' AND ${monthly} < now() + interval '3 months') AS months`,
        [name, monthly],
      )
    }
  } finally {
    client.release(true) // its search path goes with it
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

/** Waits until the sink has come to these positions. */
async function reach(sink: Sink, positions: readonly Position[]): Promise<void> {
  for (;;) {
    const reached = new Map(sink.positions().map(p => [partitionKey(p), p.offset]))
    if (positions.every(p => (reached.get(partitionKey(p)) ?? -1) >= p.offset)) return
    await sleep(20)
  }
}

/** Nobody moves the serving sink's positions meanwhile, so nothing of it is lost: it goes on from the newer of both. */
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
  for (const table of REPLACED) {
    await client.query(`DELETE FROM public.${table.name}`)
    made[table.name] = await copy(client, table, '')
  }
  for (const table of UPDATED) made[table.name] = await copy(client, table, onConflict(table))
  await client.query(
    `UPDATE public.sink_positions p SET position = r.position FROM ${SCHEMA}.sink_positions r
     WHERE p.sink = $1 AND r.sink = $2 AND p.topic = r.topic AND p.partition = r.partition AND p.position < r.position`,
    [live, SCHEMA],
  )
  // The serving sink does not read any more what this one has read: an order to erase, above all.
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

function onConflict(table: Table): string {
  const rest = Object.keys(table.columns).filter(column => !table.key.includes(column))
  if (table === tables.archive || table === tables.schemas || table === tables.erasedMessages) return 'ON CONFLICT DO NOTHING'
  const set = rest.map(
    column => `${quoted(column)} = ${table === tables.messages ? newest(column) : `excluded.${quoted(column)}`}`,
  )
  return `ON CONFLICT (${table.key.map(quoted).join(', ')}) DO UPDATE SET ${set.join(', ')}`
}

/** The log may have let go of what became of a message. */
function newest(column: string): string {
  if (column === 'provider_id') return 'coalesce(excluded.provider_id, t.provider_id)'
  const old = `CASE WHEN status_rank(t.status) > status_rank(excluded.status) THEN t."${column}" ELSE excluded."${column}" END`
  return ['status', 'reason', 'error_code'].includes(column) ? old : `excluded."${column}"`
}

function quoted(column: string): string {
  return `"${column}"`
}

/**
 * How long messages and the archive are kept: a month is dropped once its last day is old enough. The sink writes nothing older, so
 * that records the log still has, or brings late, do not create the month again.
 */
import { DAY_MS } from '../../domain/time.ts'
import type pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { tellChanged } from './changes.ts'
import { transact } from './positions.ts'
import { TABLES } from './tables/index.ts'
import { isoTime } from './values.ts'

/** How often old months are looked for. */
const INTERVAL_MS = 6 * 60 * 60_000
/** Gives up behind longer reads and writes, so that nothing queues up behind the drop; the next round tries again. */
const LOCK_TIMEOUT_MS = 2_000

/** The time from which on rows are kept, ms: the first of a month. @param days null keeps all */
export function keptFrom(days: number | null, now: number): number {
  if (days === null) return Number.NEGATIVE_INFINITY
  const oldest = new Date(now - days * DAY_MS)
  return Date.UTC(oldest.getUTCFullYear(), oldest.getUTCMonth())
}

/** Drops older months, and returns the names of the dropped partitions. */
export async function dropMonths(pool: pg.Pool, days: number, now: number): Promise<string[]> {
  const from = isoTime(keptFrom(days, now))
  const dropped: string[] = []
  for (const { name, monthly } of TABLES.filter(({ ages }) => ages)) {
    const { rows } = await pool.query<{ partition: string }>(
      `SELECT c.relname AS partition FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
       WHERE i.inhparent = to_regclass($1) AND c.relname ~ ('^' || $1 || '_\\d{4}_\\d{2}$')
         AND to_date(right(c.relname, 7), 'YYYY_MM') < ($2::timestamptz AT TIME ZONE 'UTC')::date ORDER BY 1`,
      [name, from],
    )
    for (const { partition } of rows) {
      await transact(pool, async client => {
        await client.query(`SET LOCAL lock_timeout = ${LOCK_TIMEOUT_MS}`)
        await client.query(`DROP TABLE IF EXISTS ${partition}`)
      })
      dropped.push(partition)
    }
    await pool.query(`DELETE FROM ${name}_default WHERE ${monthly} < $1`, [from])
  }
  await tellChanged(pool, null)
  return dropped
}

/** Drops old months, now and periodically. */
export function startRetention(options: { pool: pg.Pool; days: number; logger: Pick<Logger, 'info' | 'warn'> }): {
  close(): Promise<void>
} {
  const { pool, days, logger } = options
  let looking = Promise.resolve()
  const look = async () => {
    try {
      const dropped = await dropMonths(pool, days, Date.now())
      if (dropped.length > 0) logger.info({ dropped }, `dropped months older than ${days} days`)
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'old months could not be dropped; trying again later')
    }
  }
  const next = () => {
    looking = looking.then(look)
  }
  next()
  const timer = setInterval(next, INTERVAL_MS).unref()
  return {
    close: () => {
      clearInterval(timer)
      return looking
    },
  }
}

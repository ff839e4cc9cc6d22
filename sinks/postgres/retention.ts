/**
 * How long messages and the archive of what conversations were made from are kept: whole months are dropped once their last day is old
 * enough. The sink writes nothing that is older, so that what the log still has, or brings late, does not make a month anew.
 */
import type pg from 'pg'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { tellChanged } from './changes.ts'
import { archive, isoTime, messages } from './tables.ts'
import { transact } from './positions.ts'

const DAY = 24 * 60 * 60_000
/** How often it is looked for months that are too old. */
const LOOK_MS = 6 * 60 * 60_000
/** Whoever reads or writes for longer is not kept waiting behind this: it is tried again. */
const LOCK_MS = 2_000

/** The time from which on rows are kept, ms: the first of a month. @param days null for all of them */
export function keptFrom(days: number | null, now: number): number {
  if (days === null) return Number.NEGATIVE_INFINITY
  const oldest = new Date(now - days * DAY)
  return Date.UTC(oldest.getUTCFullYear(), oldest.getUTCMonth())
}

/** Drops what is older, and returns the names of the partitions that went. */
export async function dropMonths(pool: pg.Pool, days: number, now: number): Promise<string[]> {
  const from = isoTime(keptFrom(days, now))
  const dropped: string[] = []
  for (const { name, monthly } of [messages, archive]) {
    const { rows } = await pool.query<{ partition: string }>(
      `SELECT c.relname AS partition FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
       WHERE i.inhparent = to_regclass($1) AND c.relname ~ ('^' || $1 || '_\\d{4}_\\d{2}$')
         AND to_date(right(c.relname, 7), 'YYYY_MM') < ($2::timestamptz AT TIME ZONE 'UTC')::date ORDER BY 1`,
      [name, from],
    )
    for (const { partition } of rows) {
      await transact(pool, async client => {
        await client.query(`SET LOCAL lock_timeout = ${LOCK_MS}`)
        await client.query(`DROP TABLE IF EXISTS ${partition}`)
      })
      dropped.push(partition)
    }
    await pool.query(`DELETE FROM ${name}_default WHERE ${monthly} < $1`, [from])
  }
  await tellChanged(pool, null)
  return dropped
}

/** Drops what is too old, now and from time to time. */
export function startRetention(options: { pool: pg.Pool; days: number; logger: Pick<Logger, 'info' | 'warn'> }): {
  close(): Promise<void>
} {
  const { pool, days, logger } = options
  let looking = Promise.resolve()
  const look = async () => {
    try {
      const dropped = await dropMonths(pool, days, Date.now())
      if (dropped.length > 0) logger.info({ dropped }, `months older than ${days} days are dropped`)
    } catch (error) {
      logger.warn({ reason: messageOf(error) }, 'old months could not be dropped: tried again later')
    }
  }
  const next = () => {
    looking = looking.then(look)
  }
  next()
  const timer = setInterval(next, LOOK_MS).unref()
  return {
    close: () => {
      clearInterval(timer)
      return looking
    },
  }
}

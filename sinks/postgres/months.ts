/** Monthly partitions, made ahead of what is written into them. */
import type pg from 'pg'
import { isoTime, type Row, type Table } from './tables.ts'

/** Earlier months lie in the default partitions: nothing of this service is so old. */
const FIRST = Date.UTC(2020, 0)
const AHEAD = 3

export class Months {
  readonly #made = new Set<string>()

  /** Makes the partitions that these rows need, and those of the next months. */
  async make(pool: pg.Pool, tables: Iterable<readonly [Table, Iterable<Row>]>, now: number): Promise<void> {
    for (const [{ name, monthly }, rows] of tables) {
      if (monthly === undefined) continue
      const months = new Set(Array.from({ length: AHEAD + 1 }, (_, n) => monthOf(now, n)))
      const last = Date.parse(monthOf(now, AHEAD + 1))
      for (const row of rows) {
        const at = row[monthly] as number
        if (at >= FIRST && at < last) months.add(monthOf(at))
      }
      for (const month of months) {
        const key = `${name} ${month}`
        if (this.#made.has(key)) continue
        await pool.query('SELECT make_month($1, $2, $3)', [name, monthly, month])
        this.#made.add(key)
      }
    }
  }
}

/** First day of a month, as many months after that of `at`. */
function monthOf(at: number, later = 0): string {
  const date = new Date(isoTime(at))
  return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + later)).toISOString().slice(0, 10)
}

/** Monthly partitions, created before rows are written into them. */
import type pg from 'pg'
import type { Row, Table } from './tables/table.ts'
import { isoTime } from './values.ts'

/** Earlier rows go to the default partitions: nothing of this service is that old. */
const FIRST_MONTH_MS = Date.UTC(2020, 0)
const MONTHS_AHEAD = 3

export class Months {
  readonly #made = new Set<string>()

  /** Creates the partitions that these rows need, and those of the coming months. */
  async make(pool: pg.Pool, tables: Iterable<readonly [Table, Iterable<Row>]>, now: number): Promise<void> {
    for (const [{ name, monthly }, rows] of tables) {
      if (monthly === undefined) continue
      const months = new Set(Array.from({ length: MONTHS_AHEAD + 1 }, (_, n) => monthOf(now, n)))
      const last = Date.parse(monthOf(now, MONTHS_AHEAD + 1))
      for (const row of rows) {
        const at = row[monthly] as number
        if (at >= FIRST_MONTH_MS && at < last) months.add(monthOf(at))
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

/** The first day of the month that is `later` months after that of `at`. */
function monthOf(at: number, later = 0): string {
  const date = new Date(isoTime(at))
  return new Date(Date.UTC(date.getUTCFullYear(), date.getUTCMonth() + later)).toISOString().slice(0, 10)
}

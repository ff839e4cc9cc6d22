/**
 * What a table is to the sink: its columns and the records its rows are made from. The topics that are read, the inserts and the
 * checks of roll-ups are derived from the list in `index.ts`.
 *
 * Nothing personal gets through: texts become their lengths, providers' ids digests, and of an event only what is listed. A row is
 * made of its record alone, so that a batch that is repeated makes the same rows.
 */
import { deliveryRank } from '../../../domain/delivery-status.ts'
import type { RecordName, Records } from '../../../schemas/types.ts'
import type { Topic } from '../../../topics/catalog.ts'

export type Cell = string | number | null
export type Row = readonly Cell[]
/** A row by its columns. */
export type RowOf<C extends string> = Readonly<Record<C, Cell>>

export interface Source<C extends string, N extends RecordName> {
  readonly topics: readonly Topic[]
  /** The rows of a record with this key; an empty list if it makes none. */
  rows(value: Records[N], key: string): RowOf<C> | readonly RowOf<C>[]
}

/** A table of sums that the server keeps from the rows, and how to compute the same from the rows. */
export interface Rollup {
  readonly name: string
  /** Its column of time, and how long a row of it lasts. */
  readonly time: string
  readonly span: '1 HOUR' | '1 DAY'
  readonly keys: readonly string[]
  readonly value: string
  readonly raw: string
}

export interface TableDefinition<C extends string> {
  readonly name: string
  readonly columns: readonly C[]
  /** The records that make its rows, by type. */
  readonly from: { readonly [N in RecordName]?: Source<NoInfer<C>, N> }
  readonly rollups?: readonly Rollup[]
}

export type Table = TableDefinition<string>

/** Checks a definition's rows against its columns. */
export function defineTable<const C extends string>(definition: TableDefinition<C>): Table {
  return definition
}

/** Columns of every table, after its own: where the row comes from, and until when it may be written. */
export const ORIGIN_COLUMNS = ['logged_at', 'log_topic', 'log_partition', 'log_offset', 'not_after'] as const

const LAST_TIME_MS = Date.UTC(2200, 0, 1)

/** A time in ms as DateTime64(3) takes it, clamped to the years that it can express. */
export function timeText(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), LAST_TIME_MS)).toISOString().slice(0, -1).replace('T', ' ')
}

export function timeOrNull(ms: number | null): string | null {
  return ms === null ? null : timeText(ms)
}

/** Characters, as people count them. */
export function lengthOf(text: string): number {
  return [...text].length
}

export function statusOf(status: string): { status: string; rank: number } {
  return { status: status.toLowerCase(), rank: deliveryRank(status) }
}

/** As tables spell an enum's symbols. */
export function lower(symbol: string): string {
  return symbol.toLowerCase()
}

/**
 * What a table is to the sink: its columns, the records its rows are made from, and what removes them. Everything else, from the
 * topics that are read to what a rebuild replaces, is derived from the list in `index.ts`.
 */
import type pg from 'pg'
import type { RecordName, Records } from '../../../schemas/types.ts'
import type { Topic } from '../../../topics/catalog.ts'
import type { LogRecord } from '../../../topics/log.ts'

export type ColumnType = 'text' | 'integer' | 'bigint' | 'float8' | 'boolean' | 'timestamptz' | 'jsonb' | 'bytea'
export type Columns = Readonly<Record<string, ColumnType>>
/** As a record has it: times in ms, JSON as objects. */
export type Cell = string | number | boolean | Buffer | object | null
export type Row = Readonly<Record<string, Cell>>
export type RowOf<C extends Columns> = { readonly [K in keyof C]: Cell }

/** The record that a row is made from. */
export interface Origin {
  readonly topic: string
  readonly partition: number
  /** Its offset: of two rows with the same key, the higher version holds. */
  readonly version: number
  /** Log time, ms. */
  readonly timestamp: number
  readonly key: string
}

export interface Source<C extends Columns, N extends RecordName> {
  readonly topics: readonly Topic[]
  /** The rows of a record; an empty list if it makes none. */
  rows(value: Records[N], origin: Origin): RowOf<C> | readonly RowOf<C>[]
}

/** The rows of a batch, folded: one per key. */
export interface BatchRows {
  rowsOf(table: Table): readonly Row[]
}

export interface TableDefinition<C extends Columns> {
  readonly name: string
  readonly key: readonly (keyof C & string)[]
  readonly columns: C
  /** The records that make its rows, by type. */
  readonly from?: { readonly [N in RecordName]?: Source<NoInfer<C>, N> }
  /** Makes a row of every record on these topics, whatever its type, from its undecoded bytes. */
  readonly raw?: {
    readonly topics: readonly Topic[]
    row(record: LogRecord, content: { name: string; fingerprint: string; raw: Buffer }): RowOf<NoInfer<C>>
  }
  /** A tombstone on these topics deletes the row whose `id` is its key, or the parts of that key. */
  readonly deletedBy?: readonly Topic[]
  /** Rows are parts of what the record's key names, in this column: a newer record of the key deletes those it does not have. */
  readonly partOf?: keyof C & string
  /** Columns that an upsert leaves as they are in an existing row. */
  readonly kept?: readonly (keyof C & string)[]
  /** Column by whose month the table is partitioned. */
  readonly monthly?: keyof C & string
  /** Whether months are dropped once they are old enough. */
  readonly ages?: true
  /** Column with the conversation: whoever caches its rows is notified of changes, and erasures find them by it. */
  readonly conversation?: keyof C & string
  /** SQL: whether the erasure `e` of a conversation deletes its row `t`. */
  readonly erased?: string
  /** What an erasure `e` overwrites in rows `t` that stay. */
  readonly scrubbed?: { readonly set: string; readonly where: string }
  /**
   * What a rebuild does. `replace`: the log has all of it, so the table is made again. `update`: rows the log still has are written
   * over the old ones. `add`: only missing rows are added. `skip`: left alone.
   */
  readonly rebuild: 'replace' | 'update' | 'add' | 'skip'
  /** SQL: the value of a column when a rebuild updates the row `t` with `excluded`. The latter's by default. */
  merged?(column: string): string
  /** The columns by which rows of one batch are the same; the key by default. */
  readonly identity?: readonly (keyof C & string)[]
  /** What two rows of the same identity make; the later one by default. */
  fold?(earlier: Row, later: Row): Row
  /** Writes its rows in the transaction of the batch, instead of an upsert. Returns the number of stale rows. */
  write?(client: pg.ClientBase, batch: BatchRows): Promise<number>
}

export type Table = TableDefinition<Columns>

/** Checks a definition's rows against its columns. */
export function defineTable<const C extends Columns>(definition: TableDefinition<C>): Table {
  return definition as unknown as Table
}

export const text = 'text' as const
export const time = 'timestamptz' as const

/** As tables spell an enum's symbols. */
export function lower(symbol: string): string {
  return symbol.toLowerCase()
}

/** Which rows each record makes, derived from the tables. */
import type { SinkRecord } from '../store.ts'
import { TABLES } from './tables/index.ts'
import { type Cell, type Row, type RowOf, type Table, timeText } from './tables/table.ts'

/** A record type on a topic, as a table takes it. */
interface Taken {
  readonly table: Table
  rows(value: unknown, key: string): RowOf<string> | readonly RowOf<string>[]
}

/** By topic and record type. */
const TAKEN = takenBy(TABLES)

function takenBy(tables: readonly Table[]): ReadonlyMap<string, ReadonlyMap<string, readonly Taken[]>> {
  const topics = new Map<string, Map<string, Taken[]>>()
  for (const table of tables) {
    for (const [type, source] of Object.entries(table.from)) {
      for (const { name } of source.topics) {
        const types = topics.get(name) ?? new Map<string, Taken[]>()
        topics.set(name, types)
        types.set(type, [...(types.get(type) ?? []), { table, rows: source.rows as Taken['rows'] }])
      }
    }
  }
  return topics
}

/** Names of the topics that tables are made from. */
export const PROJECTED: readonly string[] = [...TAKEN.keys()]

/** Whether any table takes this record. */
export function isProjected(topic: string, type: string): boolean {
  return TAKEN.get(topic)?.has(type) === true
}

/**
 * The rows of a batch, by table. A tombstone makes none.
 * @param notAfter until when they may be written, ms of the server's clock
 */
export function project(records: readonly SinkRecord[], notAfter: number): Map<Table, Row[]> {
  const tables = new Map<Table, Row[]>()
  const until = Math.floor(notAfter / 1000)
  for (const { record, decoded } of records) {
    if (decoded === null) continue
    const { timestamp, topic, partition, offset, key } = record
    const origin = [timeText(timestamp), topic, partition, offset, until]
    for (const { table, rows } of TAKEN.get(topic)?.get(decoded.type) ?? []) {
      const all = tables.get(table) ?? []
      for (const row of [rows(decoded.value, key ?? '')].flat() as RowOf<string>[]) {
        all.push([...table.columns.map(column => cell(row[column])), ...origin])
      }
      if (all.length > 0) tables.set(table, all)
    }
  }
  return tables
}

function cell(value: Cell | undefined): Cell {
  if (typeof value === 'string') return value.toWellFormed()
  return value === undefined || (typeof value === 'number' && !Number.isFinite(value)) ? null : value
}

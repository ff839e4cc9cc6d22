/** Which rows each record makes, derived from the tables. */
import type { Codec, Decoded } from '../../topics/codec.ts'
import type { LogRecord } from '../../topics/log.ts'
import type { RowBatch } from './row-batch.ts'
import { TABLES } from './tables/index.ts'
import type { Origin, Row, Table } from './tables/table.ts'

/** A record type on a topic, as a table takes it. */
interface Taken {
  readonly table: Table
  rows(value: unknown, origin: Origin): Row | readonly Row[]
}

interface TopicTables {
  /** By record type. */
  readonly byType: Map<string, Taken[]>
  /** Tables that take every record, undecoded. */
  readonly raw: Table[]
  /** Tables whose rows a tombstone deletes. */
  readonly deleting: Table[]
}

const TOPICS = topicTables(TABLES)

function topicTables(tables: readonly Table[]): Map<string, TopicTables> {
  const topics = new Map<string, TopicTables>()
  const of = (topic: string) => {
    const known: TopicTables = topics.get(topic) ?? { byType: new Map(), raw: [], deleting: [] }
    topics.set(topic, known)
    return known
  }
  for (const table of tables) {
    for (const [type, source] of Object.entries(table.from ?? {})) {
      const taken = { table, rows: source.rows as Taken['rows'] }
      for (const { name } of source.topics) {
        const { byType } = of(name)
        byType.set(type, [...(byType.get(type) ?? []), taken])
      }
    }
    for (const { name } of table.raw?.topics ?? []) of(name).raw.push(table)
    for (const { name } of table.deletedBy ?? []) of(name).deleting.push(table)
  }
  return topics
}

/** Names of the topics that tables are made from. */
export const PROJECTED: readonly string[] = [...TOPICS.keys()]

/** Whether any table takes this record. */
export function isProjected(topic: string, type: string): boolean {
  const tables = TOPICS.get(topic)
  return tables !== undefined && (tables.raw.length > 0 || tables.byType.has(type))
}

/** Adds what a record says to the batch. `decoded` is null for a tombstone. */
export function project(batch: RowBatch, record: LogRecord, decoded: Decoded | null, codec: Codec): void {
  const tables = TOPICS.get(record.topic)
  if (tables === undefined) return
  if (record.value !== null && tables.raw.length > 0) keepRaw(batch, record, record.value, codec, tables.raw)
  const { topic, partition, offset: version, timestamp } = record
  if (decoded === null) {
    if (record.key !== null) for (const table of tables.deleting) batch.delete(table, record.key, version)
    return
  }
  const key = record.key ?? ''
  const origin = { topic, partition, version, timestamp, key }
  for (const { table, rows } of tables.byType.get(decoded.type) ?? []) {
    for (const row of [rows(decoded.value, origin)].flat() as Row[]) batch.put(table, row)
    // Parts that the record no longer has.
    if (table.partOf !== undefined) batch.delete(table, key, version)
  }
}

function keepRaw(batch: RowBatch, record: LogRecord, value: Buffer, codec: Codec, tables: readonly Table[]): void {
  const content = codec.unwrap(value)
  batch.schema(content.fingerprint, codec.schemaOf(value))
  for (const table of tables) if (table.raw !== undefined) batch.put(table, table.raw.row(record, content))
}

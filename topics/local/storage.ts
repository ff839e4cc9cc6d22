/**
 * What the log keeps, as rows: topics, partitions, record batches, and how far groups have come. All of it is synchronous;
 * what belongs together is written inside `database.transaction`.
 */
import type { Topic } from '../catalog.ts'
import { LogError, type LogRecord, type Position, partitionKey, type TopicPartition } from '../log.ts'
import { type EncodedBatch, decodeRecords, type ReadWindow } from '../records.ts'
import { checksumOf, damageOf } from './checksum.ts'
import type { Database } from './database.ts'
import { isFileDamage } from './sqlite-errors.ts'

export type TopicRow = Pick<Topic, 'name' | 'partitions' | 'cleanup' | 'retentionMs'>

export interface PartitionRow extends TopicPartition {
  readonly id: number
  low: number
  /** Next offset to be written. */
  high: number
  /** Log time of the newest record that it ever had. */
  timestamp: number
  /** Compaction has seen everything below this offset. */
  clean: number
  bytes: number
  /** Of these, what compaction has not seen. */
  dirtyBytes: number
}

/** A batch as it lies in the file. */
export interface StoredBatch extends EncodedBatch {
  readonly id: number
  /** Until when its tombstones stay, ms since the epoch; null where it has none, or compaction has not yet seen them. */
  readonly tombstonesUntil: number | null
}

/** A batch without its records. */
export type BatchInfo = Pick<StoredBatch, 'id' | 'lastOffset' | 'firstTimestamp' | 'maxTimestamp'> & { readonly bytes: number }

/** Beyond every offset that a log gives. */
const END = 2 ** 52

/** A column as a number that can be read, whatever it holds. */
const bounded = (column: string) => `max(-1, min(${column}, ${END}))`

export class Storage {
  readonly database: Database

  constructor(database: Database) {
    this.database = database
  }

  topics(): TopicRow[] {
    return this.database.all('SELECT name, partitions, cleanup, retention_ms AS retentionMs FROM topics')
  }

  /** Creates a topic, or takes over how long an existing one keeps its records. */
  saveTopic({ name, partitions, cleanup, retentionMs }: TopicRow): void {
    this.database.transaction(() => {
      this.database.run(
        `INSERT INTO topics VALUES (?, ?, ?, ?)
         ON CONFLICT DO UPDATE SET cleanup = excluded.cleanup, retention_ms = excluded.retention_ms`,
        name,
        partitions,
        cleanup,
        retentionMs,
      )
      for (let partition = 0; partition < partitions; partition++) {
        this.database.run('INSERT INTO partitions (topic, partition) VALUES (?, ?) ON CONFLICT DO NOTHING', name, partition)
      }
    })
  }

  /**
   * The partitions of a topic. An offset that no log gives is damage of its row, and says nothing of where the partition ends
   * but that it is behind what the row holds.
   */
  partitions(topic: string): PartitionRow[] {
    const rows = this.database.all<PartitionRow>(
      `SELECT p.id, topic, partition, low, clean, timestamp,
         max(high,
           coalesce(max(last_offset) FILTER (WHERE last_offset < ${END}) + 1, 0),
           coalesce((
             SELECT max(min(base_offset + count, ${END})) FROM batches
             WHERE partition_id = p.id AND (last_offset < 0 OR last_offset >= ${END})), 0)) AS high,
         total(bytes) AS bytes,
         total(bytes) FILTER (WHERE last_offset >= clean) AS dirtyBytes
       FROM partitions p LEFT JOIN batches ON partition_id = p.id
       WHERE topic = ? GROUP BY p.id ORDER BY partition`,
      topic,
    )
    return rows.map(row => ({ ...row, timestamp: this.#newestTime(row) }))
  }

  /** Log time of the newest record; of an older one where the newest are damaged. */
  #newestTime(partition: PartitionRow): number {
    try {
      return Math.max(partition.timestamp, this.batch(partition, partition.high - 1)?.maxTimestamp ?? 0)
    } catch (error) {
      if (error instanceof LogError && error.code === 'corrupt') return partition.timestamp // whoever reads it is told
      throw error
    }
  }

  /** Writes down what a partition's batches may no longer say. */
  savePartition({ id, low, high, timestamp, clean }: PartitionRow): void {
    this.database.run(
      'UPDATE partitions SET low = ?, high = ?, timestamp = ?, clean = ? WHERE id = ?',
      low,
      high,
      timestamp,
      clean,
      id,
    )
  }

  insertBatch({ id }: PartitionRow, batch: EncodedBatch, tombstonesUntil: number | null = null): void {
    const { baseOffset, lastOffset, count, firstTimestamp, maxTimestamp, blob } = batch
    this.database.run(
      `INSERT INTO batches (partition_id, base_offset, last_offset, count, first_timestamp, max_timestamp, bytes, crc,
         tombstones_until, records) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
      id,
      baseOffset,
      lastOffset,
      count,
      firstTimestamp,
      maxTimestamp,
      blob.length,
      checksumOf(id, { ...batch, tombstonesUntil }),
      tombstonesUntil,
      blob,
    )
  }

  removeBatch(id: number): void {
    this.database.run('DELETE FROM batches WHERE id = ?', id)
  }

  /** The batch that holds an offset, or the next one. @throws {LogError} `corrupt` when it is damaged. */
  batch(partition: PartitionRow, offset: number): StoredBatch | null {
    const row = this.#row(partition, offset)
    if (row === null) return null
    const { crc, records, ...fields } = row
    const batch = { ...fields, blob: Buffer.from(records.buffer, records.byteOffset, records.byteLength) }
    const damage = damageOf(partition, batch, crc)
    if (damage !== null) throw this.#damaged(partition, batch, damage)
    return batch
  }

  #row(partition: PartitionRow, offset: number): (StoredBatch & { crc: number; records: Uint8Array }) | null {
    try {
      const found = this.database.get<StoredBatch & { crc: number; records: Uint8Array }>(
        `SELECT id, base_offset AS baseOffset, last_offset AS lastOffset, count, first_timestamp AS firstTimestamp,
           max_timestamp AS maxTimestamp, tombstones_until AS tombstonesUntil, crc, records
         FROM batches WHERE partition_id = ? AND last_offset >= ? ORDER BY last_offset LIMIT 1`,
        partition.id,
        offset,
      )
      return found ?? null
    } catch (error) {
      if (!isRowDamage(error)) throw error
      // A number that no log writes.
      throw this.#damaged(partition, { baseOffset: offset, lastOffset: offset }, error.message)
    }
  }

  /** `decodeRecords`, with what is wrong as a LogError: then nothing of the batch is taken. */
  decode(partition: PartitionRow, batch: EncodedBatch, window: ReadWindow, into: LogRecord[]): void {
    const before = { ...window, taken: into.length }
    try {
      decodeRecords(partition, batch, window, into)
      const last = into.length > before.taken ? into[into.length - 1] : undefined
      if (last !== undefined && window.from > last.offset + 1) {
        throw new RangeError(`it ends with offset ${last.offset}, but says ${batch.lastOffset}`)
      }
    } catch (error) {
      into.length = before.taken
      Object.assign(window, { from: before.from, records: before.records, bytes: before.bytes })
      throw this.#damaged(partition, batch, (error as Error).message)
    }
  }

  /** Records of a partition that has never been compacted are missing. */
  missing(partition: PartitionRow, from: number, to: number): LogError {
    return this.#damaged(partition, { baseOffset: from, lastOffset: to - 1 }, 'there are no records')
  }

  /** All records of a batch. */
  records(partition: PartitionRow, batch: EncodedBatch): LogRecord[] {
    const records: LogRecord[] = []
    this.decode(partition, batch, { from: 0, records: batch.count, bytes: Number.POSITIVE_INFINITY }, records)
    return records
  }

  /** What the row says, without its records, of the batch that holds an offset, or the next one: unchecked. */
  batchInfo({ id }: PartitionRow, offset: number): BatchInfo | null {
    const found = this.database.get<BatchInfo>(
      `SELECT id, min(last_offset, ${END}) AS lastOffset, ${bounded('first_timestamp')} AS firstTimestamp,
         ${bounded('max_timestamp')} AS maxTimestamp, ${bounded('bytes')} AS bytes
       FROM batches WHERE partition_id = ? AND last_offset >= ? ORDER BY last_offset LIMIT 1`,
      id,
      offset,
    )
    return found ?? null
  }

  /** When the first tombstones of a partition may go; null where none are waiting. */
  tombstonesUntil({ id }: PartitionRow): number | null {
    const found = this.database.get<{ until: number | null }>(
      'SELECT min(tombstones_until) AS until FROM batches WHERE partition_id = ? AND tombstones_until IS NOT NULL',
      id,
    )
    return found?.until ?? null
  }

  /**
   * A new generation of a group, durable at once. What it had committed of topics that it no longer reads is forgotten: who reads
   * them now goes on from elsewhere, and nobody lags there.
   */
  newGeneration(group: string, member: string, topics: readonly string[]): number {
    this.database.transaction(() => {
      this.database.run(
        'DELETE FROM group_offsets WHERE "group" = ? AND topic NOT IN (SELECT value FROM json_each(?))',
        group,
        JSON.stringify(topics),
      )
      this.database.run(
        `INSERT INTO groups VALUES (?, 1, ?)
         ON CONFLICT DO UPDATE SET generation = generation + 1, member = excluded.member`,
        group,
        member,
      )
    })
    return this.database.get<{ generation: number }>('SELECT generation FROM groups WHERE name = ?', group)?.generation as number
  }

  groups(): string[] {
    return this.database.all<{ name: string }>('SELECT name FROM groups ORDER BY name').map(row => row.name)
  }

  saveOffsets(group: string, positions: readonly Position[]): void {
    for (const { topic, partition, offset } of positions) {
      this.database.run(
        'INSERT INTO group_offsets VALUES (?, ?, ?, ?) ON CONFLICT DO UPDATE SET offset = excluded.offset',
        group,
        topic,
        partition,
        offset,
      )
    }
  }

  groupOffsets(group: string): Position[] {
    return this.database
      .all<Position>('SELECT topic, partition, offset FROM group_offsets WHERE "group" = ? ORDER BY topic, partition', group)
      .map(({ topic, partition, offset }) => ({ topic, partition, offset }))
  }

  #damaged(
    partition: PartitionRow,
    { baseOffset, lastOffset }: Pick<EncodedBatch, 'baseOffset' | 'lastOffset'>,
    what: string,
  ): LogError {
    const where = `${partitionKey(partition)}, offsets ${baseOffset} to ${lastOffset}`
    return new LogError('corrupt', `${this.database.file} is damaged at ${where}: ${what}; restore it from a backup`)
  }
}

/** Whether one batch is damaged, and the rest of the file is as it was. */
export function isRowDamage(error: unknown): error is LogError {
  return error instanceof LogError && error.code === 'corrupt' && !isFileDamage(error)
}

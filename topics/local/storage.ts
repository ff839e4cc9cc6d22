/**
 * The rows of the log: topics, partitions, record batches, and the offsets of groups. Everything is synchronous; what belongs together is
 * written inside `database.transaction`.
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
  /** Log start offset. */
  low: number
  /** Log end offset: the next to be written. */
  high: number
  /** Log append time of the newest record that it ever had. */
  timestamp: number
  /** Compaction has processed everything below this offset. */
  clean: number
  bytes: number
  /** The part of these that compaction has not processed. */
  dirtyBytes: number
}

/** A batch as it is stored in the file. */
export interface StoredBatch extends EncodedBatch {
  readonly id: number
  /** Until when its tombstones stay, ms since the epoch; null if it has none, or compaction has not processed them. */
  readonly tombstonesUntil: number | null
}

/** A batch without its records. */
export type BatchInfo = Pick<StoredBatch, 'id' | 'lastOffset' | 'firstTimestamp' | 'maxTimestamp'> & { readonly bytes: number }

/** Beyond every offset that a log assigns. */
const OFFSET_LIMIT = 2 ** 52

/** SQL of a column, limited to numbers that can be read, whatever the row holds. */
const bounded = (column: string) => `max(-1, min(${column}, ${OFFSET_LIMIT}))`

export class Storage {
  readonly database: Database

  constructor(database: Database) {
    this.database = database
  }

  topics(): TopicRow[] {
    return this.database.all('SELECT name, partitions, cleanup, retention_ms AS retentionMs FROM topics')
  }

  /** Creates a topic, or changes the retention and cleanup policy of an existing one. */
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
   * The partitions of a topic. An offset that no log assigns is damage of its row, and does not say where the partition ends, except that
   * it is after the records of the row.
   */
  partitions(topic: string): PartitionRow[] {
    const rows = this.database.all<PartitionRow>(
      `SELECT p.id, topic, partition, low, clean, timestamp,
         max(high,
           coalesce(max(last_offset) FILTER (WHERE last_offset < ${OFFSET_LIMIT}) + 1, 0),
           coalesce((
             SELECT max(min(base_offset + count, ${OFFSET_LIMIT})) FROM batches
             WHERE partition_id = p.id AND (last_offset < 0 OR last_offset >= ${OFFSET_LIMIT})), 0)) AS high,
         total(bytes) AS bytes,
         total(bytes) FILTER (WHERE last_offset >= clean) AS dirtyBytes
       FROM partitions p LEFT JOIN batches ON partition_id = p.id
       WHERE topic = ? GROUP BY p.id ORDER BY partition`,
      topic,
    )
    return rows.map(row => ({ ...row, timestamp: this.#newestTime(row) }))
  }

  /** Log append time of the newest record; of an older one if the newest are damaged. */
  #newestTime(partition: PartitionRow): number {
    try {
      return Math.max(partition.timestamp, this.batch(partition, partition.high - 1)?.maxTimestamp ?? 0)
    } catch (error) {
      if (error instanceof LogError && error.code === 'corrupt') return partition.timestamp // reading it reports the damage
      throw error
    }
  }

  /** Saves what the remaining batches of a partition may no longer tell. */
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

  /** The batch that contains an offset, or the next one. @throws {LogError} `corrupt` when it is damaged. */
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
      // A number that no log writes cannot be read.
      throw this.#damaged(partition, { baseOffset: offset, lastOffset: offset }, error.message)
    }
  }

  /** Like `decodeRecords`, but reports damage as a LogError, and then takes nothing of the batch. */
  decode(partition: PartitionRow, batch: EncodedBatch, window: ReadWindow, into: LogRecord[]): void {
    const before = { ...window, taken: into.length }
    try {
      decodeRecords(partition, batch, window, into)
      const last = into.length > before.taken ? into[into.length - 1] : undefined
      if (last !== undefined && window.from > last.offset + 1) {
        throw new RangeError(`it ends at offset ${last.offset}, but its row says ${batch.lastOffset}`)
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

  /** The row, without its records, of the batch that contains an offset, or of the next one: unchecked. */
  batchInfo({ id }: PartitionRow, offset: number): BatchInfo | null {
    const found = this.database.get<BatchInfo>(
      `SELECT id, min(last_offset, ${OFFSET_LIMIT}) AS lastOffset, ${bounded('first_timestamp')} AS firstTimestamp,
         ${bounded('max_timestamp')} AS maxTimestamp, ${bounded('bytes')} AS bytes
       FROM batches WHERE partition_id = ? AND last_offset >= ? ORDER BY last_offset LIMIT 1`,
      id,
      offset,
    )
    return found ?? null
  }

  /** When the first tombstones of a partition may be removed; null if none are waiting. */
  tombstonesUntil({ id }: PartitionRow): number | null {
    const found = this.database.get<{ until: number | null }>(
      'SELECT min(tombstones_until) AS until FROM batches WHERE partition_id = ? AND tombstones_until IS NOT NULL',
      id,
    )
    return found?.until ?? null
  }

  /**
   * Starts a new generation of a group, durable at once. Its committed offsets of topics that it no longer reads are deleted: they would
   * show as lag.
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

/** Whether only one batch is damaged, and the rest of the file intact. */
export function isRowDamage(error: unknown): error is LogError {
  return error instanceof LogError && error.code === 'corrupt' && !isFileDamage(error)
}

/** What a sink needs of a store, and what it gives it. */
import type { Topic } from '../topics/catalog.ts'
import type { Decoded } from '../topics/codec.ts'
import { type LogRecord, type Position, partitionKey, type TopicPartition } from '../topics/log.ts'

/** A record that the store wants. `decoded` is null for a tombstone, which deletes what the key names. */
export interface SinkRecord {
  readonly record: LogRecord
  readonly decoded: Decoded | null
}

/** Consecutive records of a partition: those the store wants, of the offsets `from` (inclusive) to `next` (exclusive). */
export interface RecordBatch {
  readonly partition: TopicPartition
  readonly from: number
  readonly next: number
  readonly records: readonly SinkRecord[]
}

export interface StartPosition {
  /** Next offset to read. */
  readonly position: number
  /** Where a batch that was begun must end: it is repeated exactly. */
  readonly until?: number
}

export interface Store {
  readonly name: string
  readonly topics: readonly Topic[]
  wants(topic: string, type: string): boolean
  /**
   * Start positions of these partitions, in the same order; 0 if the store has none yet.
   * @throws when the store cannot be reached
   */
  claim(partitions: readonly TopicPartition[]): Promise<StartPosition[]>
  /**
   * Writes batches of different partitions and moves their positions from `from` to `next`.
   * @returns the number of stale rows: the store had newer ones
   * @throws {OwnershipLost} when another process has moved a position; then nothing is written
   */
  write(batches: readonly RecordBatch[]): Promise<{ stale: number }>
  /** How many of these records, from the first on, may share a batch; at least 1. All of them by default. */
  cut?(records: readonly SinkRecord[]): number
  /** Which of these positions the store has lost; asked now and then while nothing is written. */
  check?(positions: readonly Position[]): Promise<readonly TopicPartition[]>
  /** Whether the error is due to the record itself, so that a retry cannot help: then the record is skipped. */
  refuses?(error: unknown): boolean
}

/** Another process owns these partitions now. */
export class OwnershipLost extends Error {
  readonly partitions: readonly TopicPartition[]
  constructor(partitions: readonly TopicPartition[]) {
    super(`another process has taken over ${partitions.map(partitionKey).join(', ')}`)
    this.partitions = partitions
  }
}

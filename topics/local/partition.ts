/**
 * A partition in memory: where it starts and ends, and who waits for its records.
 */
import type { PartitionRow, TopicRow } from './storage.ts'

export interface Partition extends PartitionRow {
  /** Called when records were committed to it, and when the log closes. */
  readonly listeners: Set<() => void>
  /** It was never compacted: its offsets have no gaps. */
  readonly contiguous: boolean
  /** Small batches below this offset have been joined since the log was opened. */
  joined: number
}

export interface LocalTopic extends TopicRow {
  readonly owned: readonly Partition[]
}

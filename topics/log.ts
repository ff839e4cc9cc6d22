/**
 * The log: partitioned, ordered, durable topics with transactions. Two drivers implement it, `local/` (one SQLite file)
 * and `kafka/`; the simulator has a third, in memory. The engine knows nothing else about where records are stored.
 *
 *   append ──────────────▶ topic/partition ──read──▶ projections, restore, sinks
 *   join ▶ poll ▶ begin ▶ append … offsets ▶ commit        (one transaction per cycle, fenced by member and generation)
 */

export type Headers = Readonly<Record<string, string>>

/** A record as it is stored in the log. `offset` is below 2^53; `timestamp` is the log append time, ms since the epoch. */
export interface LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers: Headers
}

/** A record to append. Without a partition it goes to murmur2 of the key, modulo the topic's partitions. */
export interface Append {
  readonly topic: string
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers?: Headers | undefined
  readonly partition?: number | undefined
}

export interface TopicPartition {
  readonly topic: string
  readonly partition: number
}

/** A position: `offset` is the next offset to read. */
export interface Position extends TopicPartition {
  readonly offset: number
}

/**
 * What a poll returns for one partition: every committed record from `from` (inclusive) to `next` (exclusive). The ranges of a
 * partition follow one another without a gap, so that the caller can tell when something is missing.
 */
export interface Polled extends TopicPartition {
  /** Where the last range of this partition ended, or the offset given to `start`. */
  readonly from: number
  readonly next: number
  readonly records: readonly LogRecord[]
  /** Why the partition cannot be read now: there are no records then, and `next` is `from`. */
  readonly error: LogError | null
}

/** What a member was assigned. A transaction keeps the assignment that it was begun with, never a newer one. */
export interface Assignment {
  readonly group: string
  readonly member: string
  readonly generation: number
  readonly partitions: readonly TopicPartition[]
}

export interface JoinOptions {
  readonly group: string
  /** Every member of a group names the same topics. */
  readonly topics: readonly string[]
  /** A name of this worker that stays the same over restarts; the log fences the transactions of an earlier process of it. */
  readonly instance: string
  /** Assign the same partition number of every topic to the same member (co-partitioning), for consumers that join topics by key. */
  readonly copartitioned?: boolean
  /** Awaited before the member joins again: once it resolves, every open transaction has ended. Fetched records are dropped. */
  revoked(): Promise<void>
  /** A new assignment. A poll returns nothing of its partitions before `start`. */
  assigned(assignment: Assignment): void
}

export interface Membership {
  /**
   * Ends transactions that an earlier process of this instance left open (Kafka: InitProducerId). Comes before committed offsets are read.
   * @throws {LogError} `fenced` when a newer process has taken over.
   */
  fence(): Promise<void>
  /** Committed offsets of the group, once transactions that are still open on them have ended. Absent: never committed. */
  committed(partitions: readonly TopicPartition[]): Promise<Position[]>
  /** From now on `poll` returns records of this partition, from this offset on; what was fetched before is dropped. */
  start(position: Position): void
  /** `poll` returns no more of this partition; what was fetched is dropped. */
  stop(partition: TopicPartition): void
  /**
   * New records of started partitions, at most one range of each, with at most `max` records in total; at once when there are any,
   * otherwise empty after `wait` ms or on `wake`.
   *
   * A partition that cannot be read reports `error` after each failed attempt, and holds up no other. It is tried again from the same
   * offset with growing pauses (0.1 to 10 s) until it can be read, is stopped, or is started again. `gap`: the offset is below the log
   * start offset or beyond the log end offset, which no retry repairs; nothing is skipped.
   * @throws {LogError} only for what concerns all partitions: `closed`, `fenced`. Nothing was returned then: it comes again.
   */
  poll(options: { max: number; wait: number }): Promise<Polled[]>
  /** Ends a waiting `poll`. */
  wake(): void
  /** A transaction fenced by this assignment. One at a time; after one that failed, `fence` comes first. */
  begin(assignment: Assignment): Transaction
  /**
   * Until when (monotonic ms, `performance.now()`) this is certainly a member: the time at which the last good heartbeat was sent, plus
   * the shorter of session timeout and rebalance timeout, because either can move its tasks to another member.
   */
  lease(): number
  /** True when no other owner can be alive, so that whatever an earlier one had in progress is over. */
  readonly exclusive: boolean
  leave(): Promise<void>
}

export interface Transaction {
  append(record: Append): void
  /** Next offsets of the inputs; at least one in every transaction, because they are the fence. */
  offsets(positions: readonly Position[]): void
  /**
   * Resolves once all of it is durable, with the last offset appended per partition.
   * @throws {LogError} `fenced` (certainly not committed, ownership lost) or `unknown` (may or may not have been committed).
   */
  commit(): Promise<Map<string, number>>
  abort(): Promise<void>
}

export interface Ends {
  readonly partition: number
  /** Log start offset: the first that is still stored. */
  readonly low: number
  /** Log end offset: the next to be written. */
  readonly high: number
}

export interface Read {
  readonly records: LogRecord[]
  /** Where the next read starts; beyond the last record when the log has gaps. */
  readonly next: number
}

export interface Log {
  /** How much a transaction should hold, about, bytes: a larger one costs less per record, and blocks the process for longer. */
  readonly transactionBytes: number
  /** Resolves with the positions, once durable. Several records are not atomic: after a failure some of them may be stored. */
  append(records: readonly Append[]): Promise<Position[]>
  /**
   * Committed records of a partition from an offset on, without a group. Waits up to `wait` ms for the first.
   * An offset below the log start offset reads from there.
   */
  read(partition: TopicPartition, from: number, options?: { maxBytes?: number; wait?: number }): Promise<Read>
  ends(topic: string): Promise<Ends[]>
  /** The id of a topic: one that is deleted and created again has another. @throws {LogError} `no_topic` */
  topicId(topic: string): Promise<string>
  join(options: JoinOptions): Promise<Membership>
  /** Committed offsets of a group, for metrics. */
  groupOffsets(group: string): Promise<Position[]>
  groups(): Promise<string[]>
  /** How many requests of each kind this process has sent to the log's servers; absent when there are none. */
  requests?(): ReadonlyMap<string, number>
  close(): Promise<void>
}

export type LogErrorCode =
  | 'fenced' // ownership has moved: certainly not committed
  | 'unknown' // may or may not have been committed
  | 'too_large' // a record above the limit
  | 'unavailable' // cannot be reached or written to now
  | 'locked' // another process owns it
  | 'corrupt' // what is stored cannot be read
  | 'gap' // the offset to read is no longer in the log, or not yet
  | 'no_topic'
  | 'closed'

export class LogError extends Error {
  readonly code: LogErrorCode
  constructor(code: LogErrorCode, message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'LogError'
    this.code = code
  }
}

/** Key of a map over partitions. */
export function partitionKey({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`
}

/** Largest record (key, value and headers) that either driver accepts. */
export const MAX_RECORD_BYTES = 512 * 1024

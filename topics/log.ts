/**
 * The log: partitioned, ordered, durable topics with transactions. Two drivers implement it, `local/` (one SQLite file)
 * and Kafka; the simulator has a third, in memory. The engine knows nothing else of where records live.
 *
 *   append ──────────────▶ topic/partition ──read──▶ projections, restore, sinks
 *   join ▶ poll ▶ begin ▶ append … offsets ▶ commit        (one transaction a cycle, fenced by member and generation)
 */

export type Headers = Readonly<Record<string, string>>

/** A record as it lies in the log. `offset` is below 2^53; `timestamp` is the log's append time in ms since the epoch. */
export interface LogRecord {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly timestamp: number
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers: Headers
}

/** A record to be appended. The partition is murmur2 of the key over the topic's partitions where none is given. */
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
 * What a poll hands over of one partition: everything that is there for readers from `from` up to, and without, `next`. Ranges of
 * a partition follow one another without a gap, so that whoever takes them can tell when something is missing.
 */
export interface Polled extends TopicPartition {
  /** Where the last one of this partition ended, or where `start` has put it. */
  readonly from: number
  readonly next: number
  readonly records: readonly LogRecord[]
  /** Why the partition cannot be read at present: then there are no records, and `next` is `from`. */
  readonly error: LogError | null
}

/** What a member was given. A transaction carries the assignment that it was begun with, never a newer one. */
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
  /** A stable name of this worker over restarts; the log fences the transactions of an earlier life of it. */
  readonly instance: string
  /** Assign the same partition number of every topic to the same member (co-partitioning), for consumers that join topics by key. */
  readonly copartitioned?: boolean
  /** Awaited before the member joins anew: every open transaction has ended once it resolves. Fetched records are dropped. */
  revoked(): Promise<void>
  /** A new assignment. Nothing is polled of its partitions before `start`. */
  assigned(assignment: Assignment): void
}

export interface Membership {
  /**
   * Ends what an earlier life of this instance left open (Kafka: InitProducerId). Comes before committed offsets are read.
   * @throws {LogError} `fenced` when a newer life has taken over.
   */
  fence(): Promise<void>
  /** Stable committed offsets of the group: waits for open transactions that hold them. Absent: never committed. */
  committed(partitions: readonly TopicPartition[]): Promise<Position[]>
  /** From now on `poll` brings the records of this partition, from this offset on; what was fetched of it before is dropped. */
  start(position: Position): void
  /** `poll` brings no more of this partition, and drops what was fetched. */
  stop(partition: TopicPartition): void
  /**
   * What has come to started partitions, at most one range of each, with at most `max` records in all; at once when there is
   * something, otherwise empty after `wait` ms or on `wake`.
   *
   * A partition that cannot be read says so in `error`, each time an attempt has failed, and keeps up no other. It is tried again
   * from the same offset, ever more slowly (0.1 to 10 s), until it can be read, is stopped, or is started anew. `gap`: the offset
   * is below the first or beyond the last record, which no trying mends; nothing is passed over.
   * @throws {LogError} only what concerns all partitions: `closed`, `fenced`. Then nothing was handed over: it comes again.
   */
  poll(options: { max: number; wait: number }): Promise<Polled[]>
  /** Ends a waiting `poll`. */
  wake(): void
  /** A transaction fenced by this assignment. One at a time; after one that failed, `fence` comes first. */
  begin(assignment: Assignment): Transaction
  /**
   * Until when (monotonic ms, `performance.now()`) this member surely is one: when the last good heartbeat was sent, plus the
   * shorter of session time-out and rebalance time-out, for either can give its tasks away.
   */
  lease(): number
  /** True where no other owner can be alive, so that what an earlier one had under way is over. */
  readonly exclusive: boolean
  leave(): Promise<void>
}

export interface Transaction {
  append(record: Append): void
  /** Next offsets of the inputs; at least one in every transaction, for they are the fence. */
  offsets(positions: readonly Position[]): void
  /**
   * Resolves once all of it is durable, with the last offset appended per partition.
   * @throws {LogError} `fenced` (surely not committed, ownership lost) or `unknown` (may or may not have been committed).
   */
  commit(): Promise<Map<string, number>>
  abort(): Promise<void>
}

export interface Ends {
  readonly partition: number
  /** First offset that is still there. */
  readonly low: number
  /** Next offset to be written. */
  readonly high: number
}

export interface Read {
  readonly records: LogRecord[]
  /** Where to read on; beyond the last record where the log has gaps. */
  readonly next: number
}

export interface Log {
  /** What one transaction had better hold, bytes, about: more of it in one costs less, and keeps the process from other work. */
  readonly transactionBytes: number
  /** Durable once resolved, with the offsets. Several records are not taken as one: a failure may leave some of them. */
  append(records: readonly Append[]): Promise<Position[]>
  /**
   * Committed records of a partition from an offset on, without a group. Waits up to `wait` ms for the first.
   * An offset below the low end reads from the low end.
   */
  read(partition: TopicPartition, from: number, options?: { maxBytes?: number; wait?: number }): Promise<Read>
  ends(topic: string): Promise<Ends[]>
  /** An id that a topic has as long as it lives: one deleted and made again has another. @throws {LogError} `no_topic` */
  topicId(topic: string): Promise<string>
  join(options: JoinOptions): Promise<Membership>
  /** Committed offsets of a group, for metrics. */
  groupOffsets(group: string): Promise<Position[]>
  groups(): Promise<string[]>
  /** How many requests of each kind this process has sent to the servers of the log; absent where there are none. */
  requests?(): ReadonlyMap<string, number>
  close(): Promise<void>
}

export type LogErrorCode =
  | 'fenced' // ownership has moved: surely not committed
  | 'unknown' // may or may not have been committed
  | 'too_large' // a record above the limit
  | 'unavailable' // cannot be reached or written now
  | 'locked' // another process owns it
  | 'corrupt' // what is stored cannot be read
  | 'gap' // what was to be read is not there any more, or not yet
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

/** Largest record (key, value and headers) that either log takes, in bytes. */
export const MAX_RECORD_BYTES = 512 * 1024

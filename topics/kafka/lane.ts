/** Records on their way to one partition, outside transactions: what waits, and the record batch that is being sent. */
import { type Append, LogError, type TopicPartition } from '../log.ts'
import type { ProducerIdentity } from './batch.ts'
import { ErrorCode, KafkaError } from './errors.ts'
import { BATCH_BYTES } from './outbox.ts'

/** Records of one append for one partition, as many as fit into a batch. */
export interface Chunk {
  readonly records: Append[]
  bytes: number
  /** When they were appended, monotonic ms. */
  readonly since: number
  /** Shared by the chunks of one append and partition: once one has failed, those after it are not sent. */
  readonly outcome: { error: LogError | null }
  /** Goes in a batch of its own, because one with others was refused. */
  alone: boolean
  /** The offset of its first record. */
  readonly done: PromiseWithResolvers<number>
}

/** A record batch until the broker has taken or refused it. */
export interface PendingBatch {
  readonly lane: Lane
  readonly chunks: readonly Chunk[]
  readonly records: readonly Append[]
  readonly bytes: number
  readonly timestamp: number
  readonly timer: NodeJS.Timeout
  /** How often it was sent. */
  attempts: number
  /** How many of these requests are without an answer. */
  inFlight: number
  /** When the last was sent, monotonic ms. */
  sentAt: number
  /** It may have been appended, though no answer has said so. */
  uncertain: boolean
  cause: LogError | null
  settled: boolean
}

export interface Lane extends TopicPartition {
  readonly queue: Chunk[]
  batch: PendingBatch | null
  /** Whose sequence numbers its batches carry; null after a failure, when the next number is unknown. */
  producer: ProducerIdentity | null
  sequence: number
  /** The last batch took long: the next one goes in a request of its own. */
  slow: boolean
  retryMs: number
}

/** Codes that do not say whether the batch was appended. */
export const UNCERTAIN: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_SERVER_ERROR,
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.NETWORK_EXCEPTION,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
])
/** Codes after which a batch is sent again as it is. */
export const REPEATABLE: ReadonlySet<number> = new Set([
  ErrorCode.CORRUPT_MESSAGE,
  ErrorCode.BROKER_NOT_AVAILABLE,
  ErrorCode.REPLICA_NOT_AVAILABLE,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.THROTTLING_QUOTA_EXCEEDED,
  ...UNCERTAIN,
])
/** Codes of a broker that does not know the sequence numbers of this producer, or no longer does. */
export const PRODUCER_LOST: ReadonlySet<number> = new Set([
  ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
  ErrorCode.INVALID_PRODUCER_EPOCH,
  ErrorCode.INVALID_PRODUCER_ID_MAPPING,
  ErrorCode.UNKNOWN_PRODUCER_ID,
])

/** Takes the chunks of the next batch from a queue; those behind a chunk of the same append that failed fail with it. */
export function nextChunks(queue: Chunk[]): Chunk[] {
  const chunks: Chunk[] = []
  let bytes = 0
  for (let first = queue[0]; first !== undefined; first = queue[0]) {
    if (first.outcome.error !== null) {
      queue.shift()
      first.done.reject(first.outcome.error)
      continue
    }
    if (chunks.length > 0 && (bytes + first.bytes > BATCH_BYTES || first.alone || chunks[0]?.alone)) break
    chunks.push(first)
    bytes += first.bytes
    queue.shift()
  }
  return chunks
}

/** What a broker answered for a batch. Nobody else writes under a producer's id, so there is no fencing outside transactions. */
export function refusal(code: number): LogError {
  const error = new KafkaError(code)
  return error.code === 'fenced' ? new LogError('unavailable', error.message, { cause: error }) : error
}

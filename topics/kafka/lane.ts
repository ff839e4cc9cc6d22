/** Records on their way to one partition, outside transactions: what waits, and the record batch that is being sent. */
import { type Append, LogError, type TopicPartition } from '../log.ts'
import type { Sender } from './batch.ts'
import { CODE, KafkaError } from './errors.ts'
import { BATCH_BYTES } from './outbox.ts'

/** Records of one append for one partition, as many as fit a batch. */
export interface Piece {
  readonly records: Append[]
  bytes: number
  readonly since: number
  /** Shared by the pieces of one append and partition: once one has failed, those after it are not sent. */
  readonly fate: { error: LogError | null }
  /** In a batch of its own, for one with others was refused. */
  alone: boolean
  readonly done: PromiseWithResolvers<number>
}

/** A record batch on its way. */
export interface Batch {
  readonly lane: Lane
  readonly pieces: readonly Piece[]
  readonly records: readonly Append[]
  readonly bytes: number
  readonly timestamp: number
  readonly timer: NodeJS.Timeout
  /** How often it was sent, how many of these requests are under way, and when the last was sent. */
  attempts: number
  underWay: number
  sentAt: number
  /** It may have been appended, though nobody has said so. */
  uncertain: boolean
  cause: LogError | null
  settled: boolean
}

export interface Lane extends TopicPartition {
  readonly queue: Piece[]
  batch: Batch | null
  /** Under whose numbers it goes; null after a failure, for then the next number is not known. */
  sender: Sender | null
  sequence: number
  /** The last batch took long: the next one shares no request. */
  slow: boolean
  pause: number
}

/** Codes after which a batch is sent again as it is; those that do not say that it was not appended. */
export const UNCERTAIN: ReadonlySet<number> = new Set([-1, CODE.REQUEST_TIMED_OUT, 13, CODE.NOT_ENOUGH_REPLICAS_AFTER_APPEND])
export const AGAIN: ReadonlySet<number> = new Set([2, 8, 9, CODE.NOT_ENOUGH_REPLICAS, 74, 75, 89, ...UNCERTAIN])
/** The broker does not know the numbers of this sender (any more). */
export const SENDER_LOST: ReadonlySet<number> = new Set([45, CODE.INVALID_PRODUCER_EPOCH, CODE.INVALID_PRODUCER_ID_MAPPING, 59])

/** Takes from a queue what the next batch holds; what comes after a piece that failed fails with it. */
export function nextPieces(queue: Piece[]): Piece[] {
  const pieces: Piece[] = []
  let bytes = 0
  for (let first = queue[0]; first !== undefined; first = queue[0]) {
    if (first.fate.error !== null) {
      queue.shift()
      first.done.reject(first.fate.error)
      continue
    }
    if (pieces.length > 0 && (bytes + first.bytes > BATCH_BYTES || first.alone || pieces[0]?.alone)) break
    pieces.push(first)
    bytes += first.bytes
    queue.shift()
  }
  return pieces
}

/** What a broker answers of a batch. Nobody else writes under a sender's id, so there is no fencing outside transactions. */
export function refusal(code: number): LogError {
  const error = new KafkaError(code)
  return error.code === 'fenced' ? new LogError('unavailable', error.message, { cause: error }) : error
}

/** Errors of a cluster: the codes that brokers answer with, and what they mean to callers of the log. */
import { LogError } from '../log.ts'
import { protocolError } from './hardening.ts'

/** Error codes of the protocol that the driver tells apart (https://kafka.apache.org/protocol#protocol_error_codes). */
export const ErrorCode = {
  UNKNOWN_SERVER_ERROR: -1,
  OFFSET_OUT_OF_RANGE: 1,
  CORRUPT_MESSAGE: 2,
  UNKNOWN_TOPIC_OR_PARTITION: 3,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER_OR_FOLLOWER: 6,
  REQUEST_TIMED_OUT: 7,
  BROKER_NOT_AVAILABLE: 8,
  REPLICA_NOT_AVAILABLE: 9,
  MESSAGE_TOO_LARGE: 10,
  NETWORK_EXCEPTION: 13,
  NOT_ENOUGH_REPLICAS: 19,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
  ILLEGAL_GENERATION: 22,
  UNKNOWN_MEMBER_ID: 25,
  REBALANCE_IN_PROGRESS: 27,
  UNSUPPORTED_VERSION: 35,
  OUT_OF_ORDER_SEQUENCE_NUMBER: 45,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_TXN_STATE: 48,
  INVALID_PRODUCER_ID_MAPPING: 49,
  CONCURRENT_TRANSACTIONS: 51,
  KAFKA_STORAGE_ERROR: 56,
  UNKNOWN_PRODUCER_ID: 59,
  FETCH_SESSION_ID_NOT_FOUND: 70,
  INVALID_FETCH_SESSION_EPOCH: 71,
  FENCED_LEADER_EPOCH: 74,
  UNKNOWN_LEADER_EPOCH: 75,
  FENCED_INSTANCE_ID: 82,
  UNSTABLE_OFFSET_COMMIT: 88,
  THROTTLING_QUOTA_EXCEEDED: 89,
  PRODUCER_FENCED: 90,
  /** The transaction must be aborted; the producer may go on (KIP-890). */
  TRANSACTION_ABORTABLE: 120,
} as const

/** The partition's leader has moved, or is being elected: fresh metadata is needed. */
const STALE_METADATA: ReadonlySet<number> = new Set([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.KAFKA_STORAGE_ERROR,
])

/** Goes away by itself: a connection, a coordinator or a leader that is not available now. */
export function isRetriable(error: LogError): boolean {
  return error.code === 'unavailable' && !(error instanceof KafkaError && error.kafka === ErrorCode.TRANSACTION_ABORTABLE)
}

const FENCING: ReadonlySet<number> = new Set([
  ErrorCode.ILLEGAL_GENERATION,
  ErrorCode.UNKNOWN_MEMBER_ID,
  ErrorCode.INVALID_PRODUCER_EPOCH,
  // The coordinator has aborted the transaction, because it had timed out.
  ErrorCode.INVALID_TXN_STATE,
  ErrorCode.INVALID_PRODUCER_ID_MAPPING,
  ErrorCode.FENCED_INSTANCE_ID,
  ErrorCode.PRODUCER_FENCED,
])

/** An error that a broker answered with. */
export class KafkaError extends LogError {
  readonly kafka: number
  constructor(kafka: number, cause?: unknown) {
    const { type, message } = protocolError(kafka) as Error & { type: string }
    super(codeOf(kafka), `${type} (${kafka}): ${message}`, { cause })
    this.kafka = kafka
  }
}

function codeOf(kafka: number): LogError['code'] {
  if (FENCING.has(kafka)) return 'fenced'
  if (kafka === ErrorCode.MESSAGE_TOO_LARGE) return 'too_large'
  if (kafka === ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) return 'no_topic'
  return 'unavailable'
}

/** Any error as a LogError; one that a broker answered keeps its code. */
export function toLogError(error: unknown): LogError {
  if (error instanceof LogError) return error
  const { code, message } = error as { code?: unknown; message: string }
  const cause = (error as { cause?: unknown; originalError?: unknown }).originalError ?? (error as { cause?: unknown }).cause
  const inner = typeof code === 'number' ? code : (cause as { code?: unknown } | undefined)?.code
  if (typeof inner === 'number') return new KafkaError(inner, error)
  return new LogError('unavailable', message, { cause: error })
}

export function throwIfError(code: number): void {
  if (code !== 0) throw new KafkaError(code)
}

export function isStaleMetadata(code: number): boolean {
  return STALE_METADATA.has(code)
}

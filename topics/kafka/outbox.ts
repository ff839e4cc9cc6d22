/** Outgoing records: the partition of each, and how many go into one record batch. */
import { type Append, LogError, MAX_RECORD_BYTES, type TopicPartition } from '../log.ts'
import { partitionOf } from '../murmur2.ts'
import { payloadBytes } from '../records.ts'

/** Largest payload of a record batch: Kafka accepts batches of up to 1 MB (`max.message.bytes`). */
export const BATCH_BYTES = 900 * 1024
/** What a record takes beside its payload, at most about. */
export const RECORD_OVERHEAD_BYTES = 32
/** Payload of a request, about. */
const REQUEST_BYTES = 1024 * 1024

/** The partition of a record, and its bytes. @throws {LogError} `too_large`, `no_topic` */
export function place(record: Append, partitionsOf: (topic: string) => number): { partition: number; bytes: number } {
  const { topic, key } = record
  const bytes = payloadBytes(record)
  if (bytes > MAX_RECORD_BYTES) {
    throw new LogError('too_large', `a record of ${bytes} bytes for ${topic}: the limit is ${MAX_RECORD_BYTES}; split it`)
  }
  const partitions = partitionsOf(topic)
  const partition = record.partition ?? partitionOf(key, partitions)
  if (partition < 0 || partition >= partitions) throw new LogError('no_topic', `topic ${topic} has no partition ${partition}`)
  return { partition, bytes }
}

/** The records of one record batch. */
export interface OutgoingBatch extends TopicPartition {
  readonly records: Append[]
  bytes: number
}

/** The records of a transaction, by record batch: the batches of one round have different partitions. */
export class Outbox {
  readonly rounds: OutgoingBatch[][] = []
  readonly #partitions: (topic: string) => number
  /** The open batch of each partition, and its round. */
  readonly #open = new Map<string, (OutgoingBatch & { round: number })[]>()

  /** @param partitions of a topic. @throws {LogError} `no_topic` */
  constructor(partitions: (topic: string) => number) {
    this.#partitions = partitions
  }

  get empty(): boolean {
    return this.rounds.length === 0
  }

  /** @throws {LogError} `too_large`, `no_topic` */
  add(record: Append): OutgoingBatch {
    const { topic } = record
    const { partition, bytes } = place(record, this.#partitions)
    let open = this.#open.get(topic)
    if (open === undefined) {
      open = []
      this.#open.set(topic, open)
    }
    let part = open[partition]
    if (part === undefined || part.bytes + bytes + RECORD_OVERHEAD_BYTES > BATCH_BYTES) {
      const round: number = part === undefined ? 0 : part.round + 1
      part = { topic, partition, records: [], bytes: 0, round }
      open[partition] = part
      const others = this.rounds[round]
      if (others === undefined) this.rounds.push([part])
      else others.push(part)
    }
    part.records.push(record)
    part.bytes += bytes + RECORD_OVERHEAD_BYTES
    return part
  }

  /** The partitions that records go to, by topic. */
  topics(): Map<string, number[]> {
    return new Map([...this.#open].map(([topic, parts]) => [topic, parts.filter(Boolean).map(p => p.partition)]))
  }
}

/** Groups batches into requests of about 1 MB: small ones go together. */
export function inRequests<T>(batches: readonly T[], bytesOf: (batch: T) => number): T[][] {
  const requests: T[][] = []
  let total = 0
  for (const batch of batches) {
    const bytes = bytesOf(batch)
    const last = requests.at(-1)
    if (last === undefined || total + bytes > REQUEST_BYTES) {
      requests.push([batch])
      total = bytes
    } else {
      last.push(batch)
      total += bytes
    }
  }
  return requests
}

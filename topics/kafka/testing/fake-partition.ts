/** A partition of the fake cluster: its log, and how it misbehaves. */
import type { TopicPartition } from '../../log.ts'
import { ErrorCode } from '../errors.ts'

interface StoredBatch {
  readonly base: number
  readonly last: number
  readonly bytes: Buffer
  readonly producer: string
  readonly sequence: number
}

export class FakePartition implements TopicPartition {
  readonly topic: string
  readonly partition: number
  leader: number | null = 1
  /** Log start offset, and log end offset. */
  low = 0
  high = 0
  batches: StoredBatch[] = []
  /** The error code that every request of this kind is answered with; 0: none. */
  code: (api: 'Fetch' | 'Produce') => number = () => 0
  /** The error code that this batch is refused with; 0: it is accepted. */
  refuses: (batch: Buffer) => number = () => 0
  /** Requests that name it get no answer. */
  breaks = false
  /** A Produce request with a batch for it is answered once this resolves. */
  stall: Promise<unknown> | null = null
  /** Offsets of the fetches so far. */
  readonly fetches: number[] = []
  /** Number of records of each Produce request. */
  readonly produced: number[] = []

  readonly #arrived: () => void

  constructor({ topic, partition }: TopicPartition, arrived: () => void) {
    this.topic = topic
    this.partition = partition
    this.#arrived = arrived
  }

  /** Appends a batch as it was sent. */
  put(batch: Buffer): number {
    const bytes = Buffer.from(batch)
    const base = this.high
    bytes.writeBigInt64BE(BigInt(base), 0)
    this.high = base + bytes.readInt32BE(23) + 1
    const producer = `${bytes.readBigInt64BE(43)}:${bytes.readInt16BE(51)}`
    this.batches.push({ base, last: this.high - 1, bytes, producer, sequence: bytes.readInt32BE(53) })
    this.#arrived()
    return base
  }

  /** Like `put`, but once per producer and sequence number, and without gaps in the sequence. */
  append(batch: Buffer): { code: number; base: number } {
    const producer = `${batch.readBigInt64BE(43)}:${batch.readInt16BE(51)}`
    const sequence = batch.readInt32BE(53)
    const own = this.batches.filter(b => b.producer === producer)
    const known = own.find(b => b.sequence === sequence)
    if (known !== undefined) return { code: 0, base: known.base }
    const last = own.at(-1)
    const expected = last === undefined ? 0 : last.sequence + last.last - last.base + 1
    if (sequence !== expected) return { code: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, base: -1 }
    return { code: 0, base: this.put(batch) }
  }
}

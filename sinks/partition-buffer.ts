/** A partition assigned to this process: what was read ahead, and how far it is written. */
import { messageOf } from '../engine/errors.ts'
import { Moment } from '../engine/moment.ts'
import { type Log, type LogRecord, type Position, partitionKey, type Read, type TopicPartition } from '../topics/log.ts'

const READ_BYTES = 256 * 1024
export const READ_WAIT_MS = 1_000
/** Upper bounds of what waits to be written. A partition may always have one read waiting. */
const MAX_PARTITION_BYTES = 4 * 1024 * 1024
const MAX_TOTAL_BYTES = 64 * 1024 * 1024

/** Bytes waiting to be written, of all partitions. */
export interface Backlog {
  bytes: number
  /** Readers waiting for room. */
  readonly waiters: Set<() => void>
}

export class PartitionBuffer {
  readonly at: TopicPartition
  readonly key: string
  claimed = false
  /** Not claimed before this time (monotonic ms). */
  notBefore: number
  /** Next offset to write. */
  position = 0
  /** Where the next batch must end; null if it is free. */
  until: number | null = null
  /** When the oldest waiting record arrived (monotonic ms). */
  since = 0
  /** Records below this offset were skipped and logged. */
  skippedTo = 0
  failure: string | null = null
  readonly #backlog: Backlog
  readonly #dropped = new Moment()
  #reads: Read[] = []
  #bytes = 0

  constructor(at: TopicPartition, backlog: Backlog, notBefore = 0) {
    this.at = at
    this.key = partitionKey(at)
    this.#backlog = backlog
    this.notBefore = notBefore
  }

  /** Whether it is no longer assigned to this process. */
  get dropped(): boolean {
    return this.#dropped.over
  }

  get hasRecords(): boolean {
    return this.#reads.length > 0
  }

  /** Bytes waiting to be written. */
  get bytes(): number {
    return this.#bytes
  }

  get reached(): Position {
    return { ...this.at, offset: this.position }
  }

  /** Records waiting to be written, and the offset up to which they are complete. */
  waiting(): { records: LogRecord[]; next: number } {
    return { records: this.#reads.flatMap(r => r.records), next: this.#reads.at(-1)?.next ?? this.position }
  }

  /** Reads on from its position until it is dropped. */
  async read(log: Log, options: { arrived(): void; pause(failures: number): Promise<void> }): Promise<void> {
    let next = this.position
    let failures = 0
    while (!this.dropped) {
      try {
        if (!this.#hasRoom()) {
          await this.#waitForRoom()
          continue
        }
        const reading = log.read(this.at, next, { maxBytes: READ_BYTES, wait: READ_WAIT_MS })
        const read = await this.#dropped.or(reading)
        if (read === null || this.dropped) return
        failures = 0
        this.failure = null
        if (read.next === next) continue
        next = read.next
        if (!this.hasRecords) this.since = performance.now()
        this.#setReads([...this.#reads, read])
        options.arrived()
      } catch (error) {
        if (this.dropped) return
        this.failure = messageOf(error)
        await options.pause(failures++)
      }
    }
  }

  /** Everything below this offset is written. */
  advance(next: number): void {
    this.position = next
    if (this.until !== null && next >= this.until) this.until = null
    const left = this.#reads
      .filter(r => r.next > next)
      .map(r => ({ ...r, records: r.records.filter(({ offset }) => offset >= next) }))
    if (left.length < this.#reads.length) this.since = performance.now()
    this.#setReads(left)
    for (const wake of [...this.#backlog.waiters]) wake()
  }

  drop(): void {
    this.#dropped.come()
    this.#setReads([])
  }

  /** The rest of a batch that was begun is always read. */
  #hasRoom(): boolean {
    const last = this.#reads.at(-1)
    if (last === undefined || (this.until !== null && last.next < this.until)) return true
    return this.#bytes < MAX_PARTITION_BYTES && this.#backlog.bytes < MAX_TOTAL_BYTES
  }

  async #waitForRoom(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#backlog.waiters.add(resolve)
    await this.#dropped.or(promise)
    this.#backlog.waiters.delete(resolve)
  }

  #setReads(reads: Read[]): void {
    const bytes = reads.reduce((sum, { records }) => sum + sizeOf(records), 0)
    this.#backlog.bytes += bytes - this.#bytes
    this.#bytes = bytes
    this.#reads = reads
  }
}

/** Bytes of the values. */
export function sizeOf(records: readonly LogRecord[]): number {
  return records.reduce((sum, { value }) => sum + (value?.length ?? 0), 0)
}

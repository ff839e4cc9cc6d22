/** A partition that this process was given: what was read of it ahead, and how far it is written. */
import { messageOf } from '../engine/errors.ts'
import { Moment } from '../engine/moment.ts'
import { type Log, type LogRecord, type Position, partitionKey, type Read, type TopicPartition } from '../topics/log.ts'

const READ_BYTES = 256 * 1024
export const READ_WAIT_MS = 1_000
/** Most that waits to be written, of one partition and of all; of each, one read in any case. Bytes. */
const READ_AHEAD = { one: 4 * 1024 * 1024, all: 64 * 1024 * 1024 }

/** Bytes that wait to be written, of all partitions. */
export interface Backlog {
  bytes: number
  readonly room: Set<() => void>
}

export class Share {
  readonly at: TopicPartition
  readonly key: string
  claimed = false
  /** Not claimed before this moment (monotonic ms). */
  notBefore: number
  /** Next offset to be written. */
  position = 0
  /** Where the next batch has to end. */
  until: number | null = null
  /** When the oldest came that waits to be written (monotonic ms). */
  since = 0
  /** Records before this offset were skipped, and told of. */
  skippedTo = 0
  trouble: string | null = null
  readonly #backlog: Backlog
  readonly #gone = new Moment()
  #reads: Read[] = []
  #bytes = 0

  constructor(at: TopicPartition, backlog: Backlog, notBefore = 0) {
    this.at = at
    this.key = partitionKey(at)
    this.#backlog = backlog
    this.notBefore = notBefore
  }

  get gone(): boolean {
    return this.#gone.over
  }

  get waits(): boolean {
    return this.#reads.length > 0
  }

  /** That wait to be written. */
  get bytes(): number {
    return this.#bytes
  }

  get reached(): Position {
    return { ...this.at, offset: this.position }
  }

  /** Records that wait to be written, and the offset up to which that is all there is. */
  waiting(): { records: LogRecord[]; next: number } {
    return { records: this.#reads.flatMap(r => r.records), next: this.#reads.at(-1)?.next ?? this.position }
  }

  /** Reads on from its position until it has gone. */
  async read(log: Log, options: { arrived(): void; pause(failures: number): Promise<void> }): Promise<void> {
    let next = this.position
    let failures = 0
    while (!this.gone) {
      try {
        if (!this.#hasRoom()) {
          await this.#room()
          continue
        }
        const reading = log.read(this.at, next, { maxBytes: READ_BYTES, wait: READ_WAIT_MS })
        const read = await this.#gone.or(reading)
        if (read === null || this.gone) return // nobody wants it any more
        failures = 0
        this.trouble = null
        if (read.next === next) continue
        next = read.next
        if (!this.waits) this.since = performance.now()
        this.#keep([...this.#reads, read])
        options.arrived()
      } catch (error) {
        if (this.gone) return
        this.trouble = messageOf(error)
        await options.pause(failures++)
      }
    }
  }

  /** Everything before this offset is written. */
  advance(next: number): void {
    this.position = next
    if (this.until !== null && next >= this.until) this.until = null
    const left = this.#reads
      .filter(r => r.next > next)
      .map(r => ({ ...r, records: r.records.filter(({ offset }) => offset >= next) }))
    if (left.length < this.#reads.length) this.since = performance.now()
    this.#keep(left)
    for (const tell of [...this.#backlog.room]) tell()
  }

  drop(): void {
    this.#gone.come()
    this.#keep([])
  }

  /** What is needed to end a batch that was begun is read in any case. */
  #hasRoom(): boolean {
    const last = this.#reads.at(-1)
    if (last === undefined || (this.until !== null && last.next < this.until)) return true
    return this.#bytes < READ_AHEAD.one && this.#backlog.bytes < READ_AHEAD.all
  }

  async #room(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#backlog.room.add(resolve)
    await this.#gone.or(promise)
    this.#backlog.room.delete(resolve)
  }

  #keep(reads: Read[]): void {
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

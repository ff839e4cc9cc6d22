/** A place in a partition that is fetched ahead: what is queued is taken from `head` on, and fetched from `next` on. */
import { type LogError, type LogRecord, partitionKey, type Position } from '../log.ts'

/** Part of a partition that was fetched: everything that is for readers from where the last one ended up to `next`. */
export interface Piece {
  readonly records: readonly LogRecord[]
  readonly next: number
  readonly bytes: number
}

/** What is taken of a partition at once. */
export interface Range {
  readonly from: number
  readonly next: number
  readonly records: readonly LogRecord[]
}

const FIRST_PAUSE = 100
const LONGEST_PAUSE = 10_000

export class Cursor {
  readonly topic: string
  readonly partition: number
  readonly key: string
  /** Next offset to take. */
  head: number
  /** Next offset to fetch. */
  next: number
  /** The broker has answered for `next` at least once. */
  answered = false
  queued = 0
  /** Records that are queued. */
  count = 0
  /** An attempt at it failed; until then (monotonic ms) it is not fetched. */
  pausedUntil = 0
  /** Somebody finds out about it: it is not fetched meanwhile. */
  asking = false
  /** A fetch that it shared with others got no answer, which may be for its sake: the next one is its own. */
  suspect = false
  /** Attempts that failed in a row, and when the first of them did. */
  #failures = 0
  #failingSince = 0
  #error: LogError | null = null
  readonly #queue: { records: readonly LogRecord[]; at: number; next: number; bytes: number }[] = []

  constructor({ topic, partition, offset }: Position) {
    this.topic = topic
    this.partition = partition
    this.key = partitionKey({ topic, partition })
    this.head = offset
    this.next = offset
  }

  /** Nothing is queued, not even what holds nothing for readers. */
  get empty(): boolean {
    return this.head === this.next
  }

  add({ records, next, bytes }: Piece): void {
    if (next === this.next) return
    this.next = next
    const last = this.#queue.at(-1)
    if (records.length === 0 && last !== undefined) {
      last.next = next
      return
    }
    this.#queue.push({ records, at: 0, next, bytes })
    this.queued += bytes
    this.count += records.length
  }

  /** At most so many records, and no more once so many bytes of batches are reached; at least one where there is one. */
  take(max: number, maxBytes: number): Range & { readonly bytes: number } {
    const from = this.head
    const taken: LogRecord[] = []
    let bytes = 0
    for (
      let first = this.#queue[0];
      first !== undefined && (first.records.length === 0 || taken.length < max) && (taken.length === 0 || bytes < maxBytes);
      first = this.#queue[0]
    ) {
      const { records, at, next } = first
      const perRecord = records.length === 0 ? 0 : first.bytes / records.length
      const room = perRecord === 0 ? max : Math.max(1, Math.ceil((maxBytes - bytes) / perRecord))
      const end = Math.min(records.length, at + max - taken.length, at + room)
      for (let i = at; i < end; i++) taken.push(records[i] as LogRecord)
      bytes += (end - at) * perRecord
      if (end === records.length) {
        this.#queue.shift()
        this.queued -= first.bytes
        this.head = next
      } else {
        first.at = end
        this.head = (records[end - 1] as LogRecord).offset + 1
      }
    }
    this.count -= taken.length
    return { from, next: this.head, records: taken, bytes }
  }

  /** An attempt to fetch it failed. What is queued stays. @param quiet of attempts that fail for no longer than this, ms, nothing is said */
  fail(error: LogError, quiet: number): void {
    const now = performance.now()
    if (this.#failures++ === 0) this.#failingSince = now
    const pause = Math.min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** Math.min(this.#failures - 1, 20)) * (0.75 + Math.random() / 2)
    this.pausedUntil = now + Math.min(LONGEST_PAUSE, Math.max(FIRST_PAUSE, pause))
    if (now - this.#failingSince >= quiet) this.#error = error
  }

  /** It was fetched. */
  succeed(): void {
    this.answered = true
    this.suspect = false
    this.pausedUntil = 0
    this.#failures = 0
    this.#error = null
  }

  /** What the last attempt failed with and has not been told yet: it is told once all that was queued has been taken. */
  get telling(): LogError | null {
    return this.empty ? this.#error : null
  }

  /** As `telling`; it has been told then. */
  tell(): LogError | null {
    const error = this.telling
    if (error !== null) this.#error = null
    return error
  }
}

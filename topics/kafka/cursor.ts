/** A place in a partition that is fetched ahead: what is queued is taken from `head` on, and fetched from `next` on. */
import { type LogError, type LogRecord, partitionKey, type Position } from '../log.ts'
import type { EncodedBatch } from '../records.ts'
import { decompressed, type FetchedBatch, takeRecords } from './batch.ts'

/** OutgoingBatch of a partition that was fetched: everything that is for readers from where the last one ended up to `next`. */
export interface FetchedPart {
  readonly batches: readonly FetchedBatch[]
  readonly next: number
}

/** What is taken of a partition at once. */
export interface TakenRange {
  readonly from: number
  readonly next: number
  readonly records: LogRecord[]
}

/** A batch, how much of it is taken, and where what follows it begins. Null: nothing for readers up to there. */
interface Queued {
  readonly batch: FetchedBatch | null
  plain: EncodedBatch | null
  readonly passed: { bytes: number; records: number }
  next: number
}

/** Who reads it. */
export interface Subscriber {
  /** What is below the first record: read on from the first, or a `gap`. */
  readonly below: 'first' | 'gap'
  /** What is beyond the last record: waited for, or a `gap`. */
  readonly beyond: 'wait' | 'gap'
  /** It is still read. */
  holds(cursor: Cursor): boolean
  /** To these something came in, or something is wrong with them. */
  readonly onNews: (cursors: readonly Cursor[]) => void
}

const FIRST_PAUSE_MS = 100
const MAX_PAUSE_MS = 10_000

export class Cursor {
  readonly topic: string
  readonly partition: number
  readonly key: string
  readonly subscriber: Subscriber
  /** Next offset to take. */
  head: number
  /** Next offset to fetch. */
  next: number
  /** The broker has answered for `next` at least once. */
  answered = false
  /** The last answer brought nothing. */
  idle = false
  queued = 0
  /** Records that are queued, at most. */
  count = 0
  /** An attempt at it failed; until then (monotonic ms) it is not fetched. */
  pausedUntil = 0
  /** It is being looked into: not fetched meanwhile. */
  onHold = false
  /** A fetch that it shared with others got no answer, perhaps because of it: the next one is its own. */
  suspect = false
  /** Number of the last request that asked for it. */
  requestedAt = 0
  /** Attempts that failed in a row, and when the first of them did. */
  #failures = 0
  #failingSince = 0
  #error: LogError | null = null
  /** Where a batch begins that came whole and could not be read. */
  #unreadable: number | null = null
  readonly #queue: Queued[] = []

  constructor({ topic, partition, offset }: Position, subscriber: Subscriber) {
    this.topic = topic
    this.partition = partition
    this.key = partitionKey({ topic, partition })
    this.subscriber = subscriber
    this.head = offset
    this.next = offset
  }

  /** Nothing is queued, not even what holds nothing for readers. */
  get empty(): boolean {
    return this.head === this.next
  }

  get failing(): boolean {
    return this.#failures > 0
  }

  /** What begins at `next` or before it, and reaches beyond. */
  add({ batches, next }: FetchedPart): void {
    if (next <= this.next) return
    for (const batch of batches) {
      if (batch.lastOffset < this.next) continue
      this.#queue.push({ batch, plain: null, passed: { bytes: 0, records: 0 }, next: batch.lastOffset + 1 })
      this.queued += batch.blob.length
      this.count += batch.count
    }
    this.next = next
    const last = this.#queue.at(-1)
    if (last !== undefined) last.next = next
    else this.#queue.push({ batch: null, plain: null, passed: { bytes: 0, records: 0 }, next })
  }

  /** At most so many records, and no more once so many bytes of them are reached; at least one where there is one. */
  take(max: number, maxBytes: number): TakenRange & { readonly bytes: number } {
    const from = this.head
    const records: LogRecord[] = []
    const window = { from, records: max, bytes: maxBytes }
    for (let first = this.#queue[0]; first !== undefined; first = this.#queue[0]) {
      const { batch, passed } = first
      if (batch !== null) {
        if (window.records <= 0 || (records.length > 0 && window.bytes <= 0)) break
        const before = passed.records
        try {
          first.plain ??= decompressed(this, batch)
          takeRecords(this, first.plain, window, records, passed)
        } catch (error) {
          this.#refetch(error as LogError)
          break
        }
        this.count -= passed.records - before
        this.head = Math.max(this.head, window.from)
        if (passed.records < batch.count) break
        this.queued -= batch.blob.length
      }
      this.#queue.shift()
      this.head = first.next
      window.from = first.next
    }
    if (this.#unreadable !== null && this.head > this.#unreadable) this.#recover()
    return { from, next: this.head, records, bytes: maxBytes - window.bytes }
  }

  /** What is queued cannot be read from `head` on: it is fetched anew, after a pause. */
  #refetch(error: LogError): void {
    this.#queue.length = 0
    this.queued = 0
    this.count = 0
    this.next = this.head
    this.#unreadable = this.head
    this.fail(error, 0)
  }

  /** An attempt to fetch it failed. What is queued stays. @param quiet of attempts that fail for no longer than this, ms, nothing is said */
  fail(error: LogError, quiet: number): void {
    const now = performance.now()
    if (this.#failures++ === 0) this.#failingSince = now
    const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, 20)) * (0.75 + Math.random() / 2)
    this.pausedUntil = now + Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pause))
    if (now - this.#failingSince >= quiet) this.#error = error
  }

  /** It was fetched. What could not be read then has to be read before that is over. */
  succeed(): void {
    this.answered = true
    this.suspect = false
    if (this.#unreadable === null) this.#recover()
  }

  #recover(): void {
    this.pausedUntil = 0
    this.#failures = 0
    this.#error = null
    this.#unreadable = null
  }

  /** The error of the last attempt, unless it was reported: it is due once everything queued has been taken. */
  get pendingError(): LogError | null {
    return this.empty ? this.#error : null
  }

  /** As `pendingError`, which is reported by this. */
  takeError(): LogError | null {
    const error = this.pendingError
    if (error !== null) this.#error = null
    return error
  }
}

/** A reader's place in a partition that is fetched ahead: records are taken from `head` on, and fetched from `next` on. */
import { type LogError, type LogRecord, partitionKey, type Position } from '../log.ts'
import type { EncodedBatch } from '../records.ts'
import { decompressed, type FetchedBatch, takeRecords } from './batch.ts'

/** A fetched part of a partition: all committed records from the end of the last part up to `next`. */
export interface FetchedPart {
  readonly batches: readonly FetchedBatch[]
  readonly next: number
}

/** What one `take` returns. */
export interface TakenRange {
  readonly from: number
  readonly next: number
  readonly records: LogRecord[]
}

/** A batch, how much of it was taken, and where the next one starts. Null: no committed records up to there. */
interface Queued {
  readonly batch: FetchedBatch | null
  plain: EncodedBatch | null
  readonly passed: { bytes: number; records: number }
  next: number
}

/** The reader of a cursor. */
export interface Subscriber {
  /** Below the log start offset: continue from there, or report a `gap`. */
  readonly below: 'first' | 'gap'
  /** Beyond the log end offset: wait, or report a `gap`. */
  readonly beyond: 'wait' | 'gap'
  /** Whether the cursor is still read. */
  holds(cursor: Cursor): boolean
  /** Called for cursors that have new records or an error. */
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
  /** The last answer had no records. */
  idle = false
  /** Bytes that are queued. */
  queued = 0
  /** Records that are queued, at most. */
  count = 0
  /** Not fetched before this time, monotonic ms: the last attempt failed. */
  pausedUntil = 0
  /** It is being looked into: not fetched meanwhile. */
  onHold = false
  /** A fetch that it shared with others got no answer, perhaps because of it: the next one is its own. */
  suspect = false
  /** Number of the last request that asked for it. */
  requestedAt = 0
  /** Failed attempts in a row, and the time of the first. */
  #failures = 0
  #failingSince = 0
  #error: LogError | null = null
  /** Where a complete batch starts that could not be decoded. */
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

  /** Nothing is queued, not even a range without records. */
  get empty(): boolean {
    return this.head === this.next
  }

  get failing(): boolean {
    return this.#failures > 0
  }

  /** Queues a part that starts at `next` or before, and goes beyond it. */
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

  /** At most this many records, and none after this many bytes; at least one if there is one. */
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

  /** What is queued cannot be decoded from `head` on: it is fetched again after a pause. */
  #refetch(error: LogError): void {
    this.#queue.length = 0
    this.queued = 0
    this.count = 0
    this.next = this.head
    this.#unreadable = this.head
    this.fail(error, 0)
  }

  /** An attempt to fetch it failed. What is queued stays. @param quietMs errors are not reported before they have lasted this long */
  fail(error: LogError, quietMs: number): void {
    const now = performance.now()
    if (this.#failures++ === 0) this.#failingSince = now
    const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures - 1, 20)) * (0.75 + Math.random() / 2)
    this.pausedUntil = now + Math.min(MAX_PAUSE_MS, Math.max(FIRST_PAUSE_MS, pause))
    if (now - this.#failingSince >= quietMs) this.#error = error
  }

  /** It was fetched. A batch that could not be decoded must be decoded before the failure is over. */
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

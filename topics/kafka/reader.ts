/**
 * Reads partitions without a group, ahead of the caller. A partition that is read continuously keeps its cursor in a subscription; a
 * second reader of the same partition gets a cursor in another subscription.
 */
import { LogError, partitionKey, type Read, type TopicPartition } from '../log.ts'
import { decodeScanned } from './batch.ts'
import type { KafkaClient } from './client.ts'
import { ErrorCode, isStaleMetadata, isRetriable, KafkaError } from './errors.ts'
import { retry } from './retry.ts'
import type { Cursor } from './cursor.ts'
import type { Fetcher } from './fetcher.ts'
import { fetch } from './protocol.ts'
import { sessionless } from './session.ts'
import type { Subscription } from './subscription.ts'

const IDLE_MS = 2_000
/** A read of no more than this, without waiting, is a single fetch: nothing is fetched ahead. */
const SINGLE_FETCH_BYTES = 64 * 1024
const READ_BYTES = 1024 * 1024
/** How much longer to wait for a partition that cannot be reached. */
const UNREACHABLE_MS = 30_000
/** Connection of single fetches: they do not wait behind a long poll. */
const SINGLE_FETCH_CONNECTION = 4
const RETRY_MS = 10_000

export class Reader {
  readonly #client: KafkaClient
  readonly #fetcher: Fetcher
  readonly #onError: (what: string, error: unknown) => void
  readonly #subscriptions: Subscription[] = []
  /** Whether a cursor is being read, and when it was last read. */
  readonly #use = new WeakMap<Cursor, { busy: boolean; at: number }>()
  /** Ends the wait of the caller that waits for news of a cursor. */
  readonly #waiting = new Map<Cursor, () => void>()
  readonly #reaper: NodeJS.Timeout
  #closed = false

  /** @param client that of the fetcher; the caller closes both */
  constructor(client: KafkaClient, fetcher: Fetcher, onError: (what: string, error: unknown) => void) {
    this.#client = client
    this.#fetcher = fetcher
    this.#onError = onError
    this.#reaper = setInterval(() => this.#reap(), IDLE_MS).unref()
  }

  async read(partition: TopicPartition, from: number, { maxBytes = READ_BYTES, wait = 0 } = {}): Promise<Read> {
    this.#check()
    if (wait === 0 && maxBytes <= SINGLE_FETCH_BYTES) return this.#fetchOnce(partition, from, maxBytes)
    const { subscription, cursor } = this.#cursor(partition, from)
    const use = { busy: true, at: performance.now() }
    this.#use.set(cursor, use)
    const until = performance.now() + wait
    try {
      for (;;) {
        this.#check()
        if (!cursor.empty) {
          const at = cursor.head
          const { records, next } = cursor.take(Number.POSITIVE_INFINITY, maxBytes)
          subscription.wake()
          // The next batch is damaged.
          if (next === at && records.length === 0) continue
          // No records: there were only markers and aborted records.
          return { records, next }
        }
        const { pendingError } = cursor
        // Waits for a leader that moves, or a broker that cannot be reached.
        if (pendingError !== null && (!isUnreachable(pendingError) || performance.now() > until + UNREACHABLE_MS))
          throw cursor.takeError()
        const left = until - performance.now()
        if (cursor.answered && left <= 0) return { records: [], next: from }
        await this.#news(cursor, cursor.answered ? left : UNREACHABLE_MS)
      }
    } finally {
      use.busy = false
      use.at = performance.now()
    }
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#reaper)
    for (const subscription of this.#subscriptions) subscription.close()
    for (const wake of this.#waiting.values()) wake()
  }

  /** A single fetch at one offset. */
  async #fetchOnce(partition: TopicPartition, offset: number, maxBytes: number): Promise<Read> {
    const client = this.#client
    await client.track([partition.topic])
    return retry(RETRY_MS, isRetriable, async () => {
      const node = client.leader(partition)
      if (node === null) {
        await client.refresh()
        throw new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE)
      }
      const asking = sessionless(new Map([[partitionKey(partition), { ...partition, offset }]]))
      const broker = await client.broker(node, SINGLE_FETCH_CONNECTION)
      const [found] = (await client.send(broker, fetch(client.prefix, asking, 0, maxBytes, maxBytes))).partitions
      if (found === undefined) return { records: [], next: offset }
      if (found.errorCode === 0) {
        const { records, next, damage } = decodeScanned(partition, offset, found)
        if (damage !== null && next === offset) throw damage
        return { records, next }
      }
      if (found.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
        const [first] = await client.offsets([partition], 'earliest')
        if (first !== undefined && first.offset > offset) return this.#fetchOnce(partition, first.offset, maxBytes)
        return { records: [], next: offset }
      }
      if (isStaleMetadata(found.errorCode)) await client.refresh()
      throw new KafkaError(found.errorCode)
    })
  }

  /** The cursor that continues at this offset, or a new one. */
  #cursor(partition: TopicPartition, from: number): { subscription: Subscription; cursor: Cursor } {
    const now = performance.now()
    const idle = (cursor: Cursor, ms: number) => {
      const use = this.#use.get(cursor)
      return use === undefined || (!use.busy && now - use.at >= ms)
    }
    for (const subscription of this.#subscriptions) {
      const cursor = subscription.get(partition)
      if (cursor !== undefined && cursor.head === from && idle(cursor, 0)) return { subscription, cursor }
    }
    for (let i = 0; ; i++) {
      const subscription = this.#subscription(i)
      const there = subscription.get(partition)
      if (there === undefined || idle(there, IDLE_MS))
        return { subscription, cursor: subscription.add({ ...partition, offset: from }) }
    }
  }

  #subscription(i: number): Subscription {
    const there = this.#subscriptions[i]
    if (there !== undefined) return there
    const onNews = (cursors: readonly Cursor[]) => {
      for (const cursor of cursors) {
        this.#waiting.get(cursor)?.()
        const error = cursor.pendingError
        if (error !== null && isUnreachable(error)) this.#onError(`${cursor.key} cannot be read; retrying`, error)
      }
    }
    const subscription = this.#fetcher.subscribe({ below: 'first', beyond: 'wait', onNews })
    this.#subscriptions.push(subscription)
    return subscription
  }

  /** Stops fetching for cursors that nobody reads any more. */
  #reap(): void {
    const now = performance.now()
    for (const subscription of this.#subscriptions) {
      for (const cursor of [...subscription.cursors()]) {
        const use = this.#use.get(cursor)
        if (use !== undefined && !use.busy && now - use.at > IDLE_MS) subscription.remove(cursor)
      }
    }
  }

  async #news(cursor: Cursor, ms: number): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>()
    this.#waiting.set(cursor, resolve)
    const timer = setTimeout(resolve, ms)
    await promise
    clearTimeout(timer)
    this.#waiting.delete(cursor)
  }

  #check(): void {
    if (this.#closed) throw new LogError('closed', 'the log is closed')
  }
}

/** Whether the partition's leader is unavailable, rather than the partition unreadable. */
function isUnreachable(error: LogError): boolean {
  return error instanceof KafkaError ? isStaleMetadata(error.kafka) : isRetriable(error)
}

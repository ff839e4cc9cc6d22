/**
 * Reads partitions without a group, ahead of the caller. A partition that is read on and on keeps its place in a lane; a second
 * reader of the same partition gets a place in another lane.
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
/** A read of no more than this, without waiting, is a look at one place: nothing is fetched ahead. */
const LOOK_BYTES = 64 * 1024
const READ_BYTES = 1024 * 1024
/** A partition that cannot be reached is waited for so much longer, ms. */
const AWAY_MS = 30_000
/** Number of the connection for looks: they do not wait behind a long poll. */
const LOOKS = 4

export class Reader {
  readonly #client: KafkaClient
  readonly #fetcher: Fetcher
  readonly #onError: (what: string, error: unknown) => void
  readonly #lanes: Subscription[] = []
  /** Cursors by when they were last read, and whether somebody reads them now. */
  readonly #use = new WeakMap<Cursor, { busy: boolean; at: number }>()
  /** Who waits for something to come to a cursor. */
  readonly #waiting = new Map<Cursor, () => void>()
  readonly #reaper: NodeJS.Timeout
  #closed = false

  /** @param client that of the fetcher: both are closed by whoever has made them */
  constructor(client: KafkaClient, fetcher: Fetcher, onError: (what: string, error: unknown) => void) {
    this.#client = client
    this.#fetcher = fetcher
    this.#onError = onError
    this.#reaper = setInterval(() => this.#reap(), IDLE_MS).unref()
  }

  async read(partition: TopicPartition, from: number, { maxBytes = READ_BYTES, wait = 0 } = {}): Promise<Read> {
    this.#check()
    if (wait === 0 && maxBytes <= LOOK_BYTES) return this.#look(partition, from, maxBytes)
    const { lane, cursor } = this.#cursor(partition, from)
    const use = { busy: true, at: performance.now() }
    this.#use.set(cursor, use)
    const until = performance.now() + wait
    try {
      for (;;) {
        this.#check()
        if (!cursor.empty) {
          const at = cursor.head
          const { records, next } = cursor.take(Number.POSITIVE_INFINITY, maxBytes)
          lane.wake()
          // Its batch turned out to be damaged.
          if (next === at && records.length === 0) continue
          // Without records, only what is not for readers was there: markers, aborted records.
          return { records, next }
        }
        const { pendingError } = cursor
        // A leader that moves, or a broker that is away, is waited for.
        if (pendingError !== null && (!isAway(pendingError) || performance.now() > until + AWAY_MS)) throw cursor.takeError()
        const left = until - performance.now()
        if (cursor.answered && left <= 0) return { records: [], next: from }
        await this.#news(cursor, cursor.answered ? left : AWAY_MS)
      }
    } finally {
      use.busy = false
      use.at = performance.now()
    }
  }

  close(): void {
    this.#closed = true
    clearInterval(this.#reaper)
    for (const lane of this.#lanes) lane.close()
    for (const wake of this.#waiting.values()) wake()
  }

  /** One fetch of one place. */
  async #look(partition: TopicPartition, offset: number, maxBytes: number): Promise<Read> {
    const client = this.#client
    await client.track([partition.topic])
    return retry(10_000, isRetriable, async () => {
      const node = client.leader(partition)
      if (node === null) {
        await client.refresh()
        throw new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE)
      }
      const asking = sessionless(new Map([[partitionKey(partition), { ...partition, offset }]]))
      const broker = await client.broker(node, LOOKS)
      const [found] = (await client.send(broker, fetch(client.prefix, asking, 0, maxBytes, maxBytes))).partitions
      if (found === undefined) return { records: [], next: offset }
      if (found.errorCode === 0) {
        const { records, next, damage } = decodeScanned(partition, offset, found)
        if (damage !== null && next === offset) throw damage
        return { records, next }
      }
      if (found.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
        const [first] = await client.offsets([partition], 'earliest')
        if (first !== undefined && first.offset > offset) return this.#look(partition, first.offset, maxBytes)
        return { records: [], next: offset }
      }
      if (isStaleMetadata(found.errorCode)) await client.refresh()
      throw new KafkaError(found.errorCode)
    })
  }

  /** The place where this partition is read on, or a new one. */
  #cursor(partition: TopicPartition, from: number): { lane: Subscription; cursor: Cursor } {
    const now = performance.now()
    const idle = (cursor: Cursor, ms: number) => {
      const use = this.#use.get(cursor)
      return use === undefined || (!use.busy && now - use.at >= ms)
    }
    for (const lane of this.#lanes) {
      const cursor = lane.get(partition)
      if (cursor !== undefined && cursor.head === from && idle(cursor, 0)) return { lane, cursor }
    }
    for (let i = 0; ; i++) {
      const lane = this.#lane(i)
      const there = lane.get(partition)
      if (there === undefined || idle(there, IDLE_MS)) return { lane, cursor: lane.add({ ...partition, offset: from }) }
    }
  }

  #lane(i: number): Subscription {
    const there = this.#lanes[i]
    if (there !== undefined) return there
    const onNews = (cursors: readonly Cursor[]) => {
      for (const cursor of cursors) {
        this.#waiting.get(cursor)?.()
        const error = cursor.pendingError
        if (error !== null && isAway(error)) this.#onError(`${cursor.key} cannot be read; trying again`, error)
      }
    }
    const lane = this.#fetcher.subscribe({ below: 'first', beyond: 'wait', onNews })
    this.#lanes.push(lane)
    return lane
  }

  /** What nobody reads any more is not fetched any more. */
  #reap(): void {
    const now = performance.now()
    for (const lane of this.#lanes) {
      for (const cursor of [...lane.cursors()]) {
        const use = this.#use.get(cursor)
        if (use !== undefined && !use.busy && now - use.at > IDLE_MS) lane.remove(cursor)
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

/** It is the partition's leader that cannot be had, not the partition that cannot be read. */
function isAway(error: LogError): boolean {
  return error instanceof KafkaError ? isStaleMetadata(error.kafka) : isRetriable(error)
}

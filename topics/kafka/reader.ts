/**
 * Reads partitions without a group, ahead of the caller. A partition that is read on and on keeps its place in a lane, which
 * has connections of its own; a second reader of the same partition gets a place in another lane.
 */
import { LogError, type Read, type TopicPartition } from '../log.ts'
import { CODE, isMoved, isPassing, KafkaClient, KafkaError, type KafkaSettings, persist } from './client.ts'
import type { Cursor } from './cursor.ts'
import { Fetcher } from './fetcher.ts'
import { fetch } from './protocol.ts'

interface Lane {
  readonly client: KafkaClient
  readonly fetcher: Fetcher
}

const IDLE_MS = 2_000
/** A read of no more than this, without waiting, is a look at one place: nothing is fetched ahead. */
const LOOK_BYTES = 64 * 1024
const READ_BYTES = 1024 * 1024
/** A partition that cannot be reached is waited for so much longer, ms. */
const AWAY_MS = 30_000
/** A store or a list that is this much later is noticed by nobody. */
const PACE_MS = 20

export class Reader {
  readonly #kafka: KafkaSettings
  readonly #onError: (what: string, error: unknown) => void
  readonly #lanes: Lane[] = []
  /** Cursors by when they were last read, and whether somebody reads them now. */
  readonly #use = new WeakMap<Cursor, { busy: boolean; at: number }>()
  /** Who waits for something to come to a cursor. */
  readonly #waiting = new Map<Cursor, () => void>()
  readonly #reaper: NodeJS.Timeout
  #closed = false

  constructor(kafka: KafkaSettings, onError: (what: string, error: unknown) => void) {
    this.#kafka = kafka
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
          const { records, next } = cursor.take(Number.POSITIVE_INFINITY, maxBytes)
          lane.fetcher.go()
          // Without records, only what is not for readers was there: markers, aborted records.
          return { records: [...records], next }
        }
        const { telling } = cursor
        // A leader that moves, or a broker that is away, is waited for.
        if (telling !== null && (!isAway(telling) || performance.now() > until + AWAY_MS)) throw cursor.tell()
        const left = until - performance.now()
        if (cursor.answered && left <= 0) return { records: [], next: from }
        await this.#news(cursor, cursor.answered ? left : AWAY_MS)
      }
    } finally {
      use.busy = false
      use.at = performance.now()
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    clearInterval(this.#reaper)
    for (const { fetcher } of this.#lanes) fetcher.close()
    for (const wake of this.#waiting.values()) wake()
    await Promise.all(this.#lanes.map(({ client }) => client.close()))
  }

  /** One fetch of one place. */
  async #look(partition: TopicPartition, offset: number, maxBytes: number): Promise<Read> {
    const { client } = this.#lane(0)
    await client.use([partition.topic])
    return persist(10_000, isPassing, async () => {
      const node = client.leader(partition)
      if (node === null) {
        await client.refresh()
        throw new KafkaError(CODE.LEADER_NOT_AVAILABLE)
      }
      const [found] = await client.send(
        await client.broker(node),
        fetch(client.prefix, [{ ...partition, offset, maxBytes }], 0, maxBytes),
      )
      if (found !== undefined && found.damage !== null && found.next === offset) throw found.damage
      if (found === undefined || found.errorCode === 0) return { records: found?.records ?? [], next: found?.next ?? offset }
      if (found.errorCode === CODE.OFFSET_OUT_OF_RANGE) {
        const [first] = await client.offsets([partition], 'first')
        if (first !== undefined && first.offset > offset) return this.#look(partition, first.offset, maxBytes)
        return { records: [], next: offset }
      }
      if (isMoved(found.errorCode)) await client.refresh()
      throw new KafkaError(found.errorCode)
    })
  }

  /** The place where this partition is read on, or a new one. */
  #cursor(partition: TopicPartition, from: number): { lane: Lane; cursor: Cursor } {
    const now = performance.now()
    const idle = (cursor: Cursor, ms: number) => {
      const use = this.#use.get(cursor)
      return use === undefined || (!use.busy && now - use.at >= ms)
    }
    for (const lane of this.#lanes) {
      const cursor = lane.fetcher.get(partition)
      if (cursor !== undefined && cursor.head === from && idle(cursor, 0)) return { lane, cursor }
    }
    for (let i = 0; ; i++) {
      const lane = this.#lane(i)
      const there = lane.fetcher.get(partition)
      if (there === undefined || idle(there, IDLE_MS)) return { lane, cursor: lane.fetcher.add({ ...partition, offset: from }) }
    }
  }

  #lane(i: number): Lane {
    const there = this.#lanes[i]
    if (there !== undefined) return there
    const client = new KafkaClient(this.#kafka)
    const onNews = (cursors: readonly Cursor[]) => {
      for (const cursor of cursors) {
        this.#waiting.get(cursor)?.()
        const error = cursor.telling
        if (error !== null && isAway(error)) this.#onError(`${cursor.key} cannot be read; trying again`, error)
      }
    }
    const lane = { client, fetcher: new Fetcher({ client, below: 'first', beyond: 'wait', pace: PACE_MS, onNews }) }
    this.#lanes.push(lane)
    return lane
  }

  /** What nobody reads any more is not fetched any more. */
  #reap(): void {
    const now = performance.now()
    for (const { fetcher } of this.#lanes) {
      for (const cursor of [...fetcher.cursors()]) {
        const use = this.#use.get(cursor)
        if (use !== undefined && !use.busy && now - use.at > IDLE_MS) fetcher.remove(cursor)
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
  return error instanceof KafkaError ? isMoved(error.kafka) : isPassing(error)
}

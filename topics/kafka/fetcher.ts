/**
 * Fetches partitions ahead of whoever reads them, into bounded queues: one long poll per broker over all partitions that have
 * room. It is how members poll, and how partitions are read without a group.
 *
 *   add ─▶ cursor ─▶ fetch … fetch ─▶ queue ─▶ take ─▶ (room again) fetch …
 */
import { type LogError, type LogRecord, partitionKey, type Position, type TopicPartition } from '../log.ts'
import { CODE, isMoved, KafkaError, type KafkaClient, sleep } from './client.ts'
import { type Fetched, fetch, type Wanted } from './protocol.ts'

export interface FetcherSettings {
  readonly client: KafkaClient
  /** How long a broker waits for records where there are none, ms. */
  readonly wait?: number
  /** Between two fetches from a broker at least, ms, while they bring little: each costs the broker a look at every partition. */
  readonly pace?: number
  /** Bytes per partition and fetch; and per partition, bytes that may be queued before it is fetched again. */
  readonly partitionBytes?: number
  /** Bytes per fetch. */
  readonly maxBytes?: number
  /** To these something came in, or something is wrong with them. */
  readonly onNews: (cursors: readonly Cursor[]) => void
  readonly onError: (what: string, error: unknown) => void
}

/** A place in a partition: records from `head` on are queued up to `next`. */
export class Cursor {
  readonly topic: string
  readonly partition: number
  /** Next offset to take. */
  head: number
  /** Next offset to fetch. */
  next: number
  /** The broker has answered for `next` at least once. */
  answered = false
  /** The partition's records end here, as far as is known. */
  stable = 0
  error: LogError | null = null
  readonly #queue: { records: readonly LogRecord[]; at: number; next: number; bytes: number }[] = []
  queued = 0

  constructor({ topic, partition, offset }: Position) {
    this.topic = topic
    this.partition = partition
    this.head = offset
    this.next = offset
  }

  get empty(): boolean {
    return this.#queue.length === 0
  }

  add({ records, next, bytes }: Fetched): void {
    this.next = next
    if (records.length === 0 && this.#queue.length === 0) {
      this.head = next
      return
    }
    this.#queue.push({ records, at: 0, next, bytes })
    this.queued += bytes
  }

  /** Moves records into `into`, at most so many, and stops after so many bytes of batches; at least one where there is one. */
  take(max: number, maxBytes: number, into: LogRecord[]): number {
    let bytes = 0
    let taken = 0
    for (
      let first = this.#queue[0];
      first !== undefined && taken < max && (taken === 0 || bytes < maxBytes);
      first = this.#queue[0]
    ) {
      const { records, at, next } = first
      const perRecord = records.length === 0 ? 0 : first.bytes / records.length
      const room = perRecord === 0 ? max : Math.max(1, Math.ceil((maxBytes - bytes) / perRecord))
      const end = Math.min(records.length, at + max - taken, at + room)
      for (let i = at; i < end; i++) into.push(records[i] as LogRecord)
      taken += end - at
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
    return bytes
  }
}

const FIRST_WAIT = 10
const LITTLE = 64 * 1024

export class Fetcher {
  readonly #settings: Required<FetcherSettings>
  readonly #cursors = new Map<string, Cursor>()
  /** Brokers that are being asked. */
  readonly #asking = new Set<number>()
  #calm = 0
  #failed: Cursor[] = []
  #closed = false
  #looking = false

  constructor(settings: FetcherSettings) {
    this.#settings = { wait: 250, pace: 0, partitionBytes: 1024 * 1024, maxBytes: 10 * 1024 * 1024, ...settings }
  }

  get(partition: TopicPartition): Cursor | undefined {
    return this.#cursors.get(partitionKey(partition))
  }

  cursors(): IterableIterator<Cursor> {
    return this.#cursors.values()
  }

  /** From now on this partition is fetched, from this offset on. */
  add(position: Position): Cursor {
    const cursor = new Cursor(position)
    this.#cursors.set(partitionKey(position), cursor)
    // Others are likely to follow: what is asked now should not keep them waiting.
    this.#calm = performance.now() + 500
    this.go()
    return cursor
  }

  remove(partition: TopicPartition): void {
    this.#cursors.delete(partitionKey(partition))
  }

  clear(): void {
    this.#cursors.clear()
  }

  /** Those that cannot be fetched, since this was asked last. They are fetched no more. */
  failed(): Cursor[] {
    return this.#failed.splice(0)
  }

  /** Puts a cursor behind the others, so that they come first. */
  rotate(cursor: Cursor): void {
    const key = partitionKey(cursor)
    if (this.#cursors.get(key) !== cursor) return
    this.#cursors.delete(key)
    this.#cursors.set(key, cursor)
  }

  close(): void {
    this.#closed = true
    this.#cursors.clear()
  }

  /** Asks every broker that is not being asked and has something to be asked for. */
  go(): void {
    if (this.#closed || this.#looking) return
    this.#looking = true
    // Once for all cursors that are added in a row.
    queueMicrotask(() => {
      this.#looking = false
      void this.#ask()
    })
  }

  async #ask(): Promise<void> {
    const { client, onError } = this.#settings
    const wanted = this.#wanted()
    if (wanted.length === 0) return
    try {
      await client.use([...new Set(wanted.map(c => c.topic))])
    } catch (error) {
      if (this.#closed) return
      onError('metadata could not be read; trying again', error)
      await sleep(500)
      return this.go()
    }
    let lost = false
    for (const cursor of wanted) {
      const node = client.leader(cursor)
      if (node === null) lost = true
      else if (!this.#asking.has(node)) void this.#pump(node)
    }
    if (lost) {
      await sleep(100)
      await client.refresh().catch(() => {})
      this.go()
    }
  }

  #wanted(node?: number): Cursor[] {
    const { client, partitionBytes } = this.#settings
    const wanted: Cursor[] = []
    for (const cursor of this.#cursors.values()) {
      if (cursor.queued >= partitionBytes) continue
      if (node === undefined || client.leader(cursor) === node) wanted.push(cursor)
    }
    return wanted
  }

  /** Fetches from a broker until it leads nothing that is wanted. */
  async #pump(node: number): Promise<void> {
    const { client, wait, pace, partitionBytes, maxBytes, onNews, onError } = this.#settings
    this.#asking.add(node)
    try {
      for (let failures = 0; !this.#closed; ) {
        const cursors = this.#wanted(node)
        if (cursors.length === 0) return
        const asked = cursors.map(
          (c): Wanted => ({ topic: c.topic, partition: c.partition, offset: c.next, maxBytes: partitionBytes }),
        )
        const waitMs = performance.now() < this.#calm ? Math.min(wait, FIRST_WAIT) : wait
        const began = performance.now()
        try {
          const broker = await client.broker(node)
          const fetched = await client.send(broker, fetch(client.prefix, asked, waitMs, maxBytes))
          failures = 0
          const news = await this.#deliver(fetched, asked)
          if (news.length > 0) onNews(news)
          const early = began + pace - performance.now()
          if (early > 0 && fetched.reduce((sum, { bytes }) => sum + bytes, 0) < LITTLE) await sleep(early)
        } catch (error) {
          if (this.#closed || client.closed) return
          if (failures++ > 0) onError('records could not be fetched; trying again', error)
          await sleep(Math.min(1_000, 50 * 2 ** failures))
          await client.refresh().catch(() => {})
        }
      }
    } finally {
      this.#asking.delete(node)
      if (!this.#closed && this.#wanted().length > 0) this.go()
    }
  }

  async #deliver(fetched: readonly Fetched[], asked: readonly Wanted[]): Promise<Cursor[]> {
    const news: Cursor[] = []
    let stale = false
    const from = new Map(asked.map(a => [partitionKey(a), a.offset]))
    for (const part of fetched) {
      const key = partitionKey(part)
      const cursor = this.#cursors.get(key)
      // It may have been moved elsewhere while the answer was on its way.
      if (cursor === undefined || cursor.next !== from.get(key)) continue
      if (part.damage !== null) {
        this.#fail(cursor, part.damage)
        news.push(cursor)
      } else if (part.errorCode === 0) {
        const first = !cursor.answered
        cursor.answered = true
        cursor.stable = part.stable
        const moved = part.next > cursor.next
        cursor.add(part)
        if (first || moved) news.push(cursor)
      } else if (part.errorCode === CODE.OFFSET_OUT_OF_RANGE) {
        if (await this.#outside(cursor)) news.push(cursor)
      } else if (isMoved(part.errorCode)) stale = true
      else {
        this.#fail(cursor, new KafkaError(part.errorCode))
        news.push(cursor)
      }
    }
    if (stale) {
      await sleep(50)
      await this.#settings.client.refresh()
    }
    return news
  }

  #fail(cursor: Cursor, error: LogError): void {
    cursor.error = error
    this.#cursors.delete(partitionKey(cursor))
    this.#failed.push(cursor)
  }

  /** Below the first record: on from the first. Beyond the last, for a replica that has just become the leader: wait for it. */
  async #outside(cursor: Cursor): Promise<boolean> {
    const [start] = await this.#settings.client.offsets([cursor], 'first')
    if (start !== undefined && start.offset > cursor.next) {
      cursor.next = start.offset
      if (cursor.empty) cursor.head = start.offset
      return true
    }
    const news = !cursor.answered
    cursor.answered = true
    await sleep(50)
    return news
  }
}

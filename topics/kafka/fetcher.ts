/**
 * Fetches partitions ahead of whoever reads them, into bounded queues: one long poll per broker over all partitions that have
 * room. It is how members poll, and how partitions are read without a group.
 *
 *   add ─▶ cursor ─▶ fetch … fetch ─▶ queue ─▶ take ─▶ (room again) fetch …
 *                     └─ fails: told once the queue has been taken, and tried again after a pause of its own
 */
import { LogError, partitionKey, type Position, type TopicPartition } from '../log.ts'
import { CODE, isMoved, isPassing, KafkaError, type KafkaClient, logError, sleep } from './client.ts'
import { Cursor } from './cursor.ts'
import { type Fetched, fetch, type Wanted } from './protocol.ts'

export interface FetcherSettings {
  readonly client: Pick<
    KafkaClient,
    'prefix' | 'closed' | 'use' | 'knows' | 'trouble' | 'leader' | 'refresh' | 'broker' | 'send' | 'offsets'
  >
  /** What is below the first record: read on from the first, or a `gap`. */
  readonly below: 'first' | 'gap'
  /** What is beyond the last record: waited for, or a `gap`. */
  readonly beyond: 'wait' | 'gap'
  /** How long a broker waits for records where there are none, ms. */
  readonly wait?: number
  /** Between two fetches from a broker at least, ms, while they bring little: each costs the broker a look at every partition. */
  readonly pace?: number
  /** Bytes per partition and fetch; and per partition, bytes that may be queued before it is fetched again. */
  readonly partitionBytes?: number
  /** Bytes per fetch. */
  readonly maxBytes?: number
  /** A leader that moves, or a broker that starts anew, is there before long: until then nothing is said of it, ms. */
  readonly quiet?: number
  /** A replica that has just become the leader learns within this time, ms, how far its records are committed. */
  readonly catchUp?: number
  /** To these something came in, or something is wrong with them. */
  readonly onNews: (cursors: readonly Cursor[]) => void
}

const FIRST_WAIT = 10
const LITTLE = 64 * 1024

export class Fetcher {
  readonly #settings: Required<FetcherSettings>
  readonly #cursors = new Map<string, Cursor>()
  /** Brokers that are being asked. */
  readonly #asking = new Set<number>()
  /** Since when a cursor is seen beyond the last record, monotonic ms. */
  readonly #beyond = new WeakMap<Cursor, number>()
  #calm = 0
  #closed = false
  #looking = false
  #alarm: { at: number; timer: NodeJS.Timeout } | null = null

  constructor(settings: FetcherSettings) {
    this.#settings = {
      wait: 250,
      pace: 0,
      partitionBytes: 1024 * 1024,
      maxBytes: 10 * 1024 * 1024,
      quiet: 3_000,
      catchUp: 4_000,
      ...settings,
    }
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
    this.#cursors.set(cursor.key, cursor)
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

  /** Puts a cursor behind the others, so that they come first. */
  rotate(cursor: Cursor): void {
    if (!this.#isCurrent(cursor)) return
    this.#cursors.delete(cursor.key)
    this.#cursors.set(cursor.key, cursor)
  }

  close(): void {
    this.#closed = true
    this.#cursors.clear()
    clearTimeout(this.#alarm?.timer)
  }

  /** Asks every broker that is not being asked and has something to be asked for. */
  go(): void {
    if (this.#closed || this.#looking) return
    this.#looking = true
    // Once for all cursors that are added in a row.
    queueMicrotask(() => {
      this.#looking = false
      if (!this.#closed) this.#ask()
    })
  }

  #isCurrent(cursor: Cursor): boolean {
    return this.#cursors.get(cursor.key) === cursor
  }

  #ask(): void {
    const { client } = this.#settings
    const lost: Cursor[] = []
    for (const cursor of this.#wanted()) {
      const node = client.leader(cursor)
      if (node === null) lost.push(cursor)
      else if (!this.#asking.has(node)) void this.#pump(node)
    }
    if (lost.length > 0) void this.#find(lost)
    this.#setAlarm()
  }

  /** Those that have room, and are not to be left alone for now. */
  #wanted(node?: number): Cursor[] {
    const { client, partitionBytes } = this.#settings
    const now = performance.now()
    const wanted: Cursor[] = []
    for (const cursor of this.#cursors.values()) {
      if (cursor.queued >= partitionBytes || cursor.asking || cursor.pausedUntil > now) continue
      if (node === undefined || client.leader(cursor) === node) wanted.push(cursor)
    }
    return wanted
  }

  /** Looks again once the first of those that failed may be tried. */
  #setAlarm(): void {
    const now = performance.now()
    let at = Number.POSITIVE_INFINITY
    for (const { pausedUntil } of this.#cursors.values()) if (pausedUntil > now) at = Math.min(at, pausedUntil)
    if (this.#closed || at === Number.POSITIVE_INFINITY || (this.#alarm !== null && this.#alarm.at <= at)) return
    clearTimeout(this.#alarm?.timer)
    const ring = () => {
      this.#alarm = null
      this.go()
    }
    this.#alarm = { at, timer: setTimeout(ring, at - now + 1) }
  }

  /** Who leads them now. */
  async #find(lost: readonly Cursor[]): Promise<void> {
    const { client } = this.#settings
    for (const cursor of lost) cursor.asking = true
    let unreachable: LogError | null = null
    try {
      const topics = new Set(lost.map(c => c.topic))
      if ([...topics].every(topic => client.knows(topic))) await client.refresh()
      // What is wrong with one of the topics is none of the others' concern.
      else
        await client
          .use([...topics])
          .catch(error => (isPassing(error) && !(error instanceof KafkaError) ? Promise.reject(error) : null))
    } catch (error) {
      unreachable = logError(error)
    }
    for (const cursor of lost) {
      cursor.asking = false
      if (client.leader(cursor) !== null) continue
      const error = unreachable ?? client.trouble(cursor.topic) ?? new KafkaError(CODE.LEADER_NOT_AVAILABLE)
      this.#fail(cursor, error)
    }
    this.go()
  }

  /** Fetches from a broker until it leads nothing that is wanted. */
  async #pump(node: number): Promise<void> {
    const { wait, pace } = this.#settings
    this.#asking.add(node)
    try {
      while (!this.#closed) {
        const wanted = this.#wanted(node)
        for (const cursor of wanted) if (cursor.suspect) void this.#probe(node, cursor)
        const cursors = wanted.filter(cursor => !cursor.suspect)
        if (cursors.length === 0) return
        const waitMs = performance.now() < this.#calm ? Math.min(wait, FIRST_WAIT) : wait
        const began = performance.now()
        const bytes = await this.#fetch(node, cursors, waitMs)
        const early = began + pace - performance.now()
        if (early > 0 && bytes !== null && bytes < LITTLE) await sleep(early)
      }
    } finally {
      this.#asking.delete(node)
      if (this.#wanted().length > 0) this.go()
      this.#setAlarm()
    }
  }

  /** One that may be why a fetch got no answer, by itself: others go on meanwhile. */
  async #probe(node: number, cursor: Cursor): Promise<void> {
    cursor.asking = true
    await this.#fetch(node, [cursor], 0)
    cursor.asking = false
    this.go()
  }

  /** One request. The bytes that came; null where there was no answer. */
  async #fetch(node: number, cursors: readonly Cursor[], waitMs: number): Promise<number | null> {
    const { client, partitionBytes, maxBytes, onNews } = this.#settings
    const asked = cursors.map(
      (c): Wanted => ({ topic: c.topic, partition: c.partition, offset: c.next, maxBytes: partitionBytes }),
    )
    let shared = false
    try {
      const broker = await client.broker(node)
      shared = cursors.length > 1
      const fetched = await client.send(broker, fetch(client.prefix, asked, waitMs, maxBytes))
      const news = this.#deliver(fetched, cursors, asked)
      if (news.length > 0) onNews(news)
      return fetched.reduce((sum, { bytes }) => sum + bytes, 0)
    } catch (error) {
      if (this.#closed || client.closed) return null
      const failed = logError(error)
      for (const cursor of cursors) {
        cursor.suspect ||= shared
        this.#fail(cursor, failed)
      }
      await client.refresh().catch(() => {})
      return null
    }
  }

  /** What came goes to its cursors; each that failed is left alone for a while. */
  #deliver(fetched: readonly Fetched[], cursors: readonly Cursor[], asked: readonly Wanted[]): Cursor[] {
    const { client } = this.#settings
    const news: Cursor[] = []
    const places = new Map(cursors.map((cursor, i) => [cursor.key, { cursor, offset: asked[i]?.offset }]))
    let stale = false
    for (const part of fetched) {
      const { cursor, offset } = places.get(partitionKey(part)) ?? {}
      // It may have been stopped, or started elsewhere, while the answer was on its way.
      if (cursor === undefined || !this.#isCurrent(cursor) || cursor.next !== offset) continue
      if (part.errorCode === CODE.OFFSET_OUT_OF_RANGE) {
        void this.#outside(cursor)
      } else if (part.errorCode !== 0) {
        stale ||= isMoved(part.errorCode)
        this.#fail(cursor, new KafkaError(part.errorCode))
      } else {
        const first = !cursor.answered
        const moved = part.next > cursor.next
        if (part.damage === null || moved) cursor.succeed()
        this.#beyond.delete(cursor)
        cursor.add(part)
        if (part.damage !== null) this.#fail(cursor, part.damage)
        else if (first || moved) news.push(cursor)
      }
    }
    if (stale) void client.refresh().catch(() => {})
    this.#setAlarm()
    return news
  }

  /** It is tried again after a while; whoever reads it hears of it once that is to be told. */
  #fail(cursor: Cursor, error: LogError): void {
    const passing = error instanceof KafkaError ? isMoved(error.kafka) : isPassing(error)
    cursor.fail(error, passing ? this.#settings.quiet : 0)
    if (this.#isCurrent(cursor)) this.#settings.onNews([cursor])
    this.#setAlarm()
  }

  /** Its next offset is below the first record, or beyond the last. */
  async #outside(cursor: Cursor): Promise<void> {
    const { client, below, beyond, catchUp } = this.#settings
    cursor.asking = true
    try {
      const [[first], [high]] = await Promise.all([client.offsets([cursor], 'first'), client.offsets([cursor], 'high')])
      const at = cursor.next
      if (first === undefined || high === undefined) throw new KafkaError(CODE.LEADER_NOT_AVAILABLE)
      if (at < first.offset) {
        if (below === 'gap') throw belowFirst(cursor, first.offset)
        // All that was there is gone; what is queued is taken first.
        cursor.succeed()
        cursor.add({ records: [], next: first.offset, bytes: 0 })
        this.#settings.onNews([cursor])
      } else if (at > high.offset) {
        const since = this.#beyond.get(cursor) ?? performance.now()
        this.#beyond.set(cursor, since)
        if (beyond === 'gap' && performance.now() - since >= catchUp) throw beyondLast(cursor, high.offset)
        if (beyond === 'wait') {
          cursor.succeed()
          this.#settings.onNews([cursor])
        }
        cursor.pausedUntil = performance.now() + 250
      } else {
        this.#beyond.delete(cursor)
        cursor.pausedUntil = performance.now() + 50
      }
    } catch (error) {
      if (!this.#closed) this.#fail(cursor, logError(error))
    } finally {
      cursor.asking = false
      this.go()
    }
  }
}

function belowFirst({ key, next }: Cursor, first: number): LogError {
  const gone = first - next
  return new LogError(
    'gap',
    `${key}: offset ${next} is to be read next, but the first that is still there is ${first}: ${gone} offsets are gone`,
  )
}

function beyondLast({ key, next }: Cursor, high: number): LogError {
  return new LogError(
    'gap',
    `${key}: offset ${next} is to be read next, but the log ends before ${high}: the topic was made anew, or has lost its end`,
  )
}

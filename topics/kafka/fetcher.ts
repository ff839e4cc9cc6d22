/**
 * Fetches partitions ahead of whoever reads them, into bounded queues. All readers of a process share it: what comes of a
 * partition goes to each of them that has got as far.
 *
 *   add ─▶ cursor ─▶ fetch … fetch ─▶ queue ─▶ take ─▶ (room again) fetch …
 *                     └─ fails: told once the queue has been taken, and tried again after a pause of its own
 *
 * A long poll goes to each broker, over every partition that has room, at the offset of the reader that is furthest. What is added
 * to it, or has room again, does not wait for its end: another long poll, which asks for that as well, takes its place. What is
 * waited for holds up all that is behind it on a connection, so each way has its own:
 *
 *   two main ways   long polls, by turns
 *   a side way      short ones: readers that are behind others, and what comes while both main ways are taken
 */
import { LogError, partitionKey } from '../log.ts'
import type { KafkaClient } from './client.ts'
import { CODE, isMoved, isPassing, KafkaError, logError } from './errors.ts'
import { sleep } from './retry.ts'
import type { Cursor } from './cursor.ts'
import { type Fetched, fetch, type Wanted } from './protocol.ts'
import { FetchSession, once } from './session.ts'
import { Subscription, type SubscriptionSettings } from './subscription.ts'

export interface FetcherSettings {
  readonly client: Pick<
    KafkaClient,
    'prefix' | 'closed' | 'use' | 'knows' | 'trouble' | 'leader' | 'refresh' | 'broker' | 'send' | 'offsets'
  >
  /** How long a broker waits for records where there are none, ms. */
  readonly wait?: number
  /** Between two fetches on a way at least, ms, while they bring little: each costs the broker a look at every partition. */
  readonly pace?: number
  /** Bytes of a partition per fetch. */
  readonly partitionBytes?: number
  /** Bytes per fetch. */
  readonly maxBytes?: number
  /** A leader that moves, or a broker that starts anew, is there before long: until then nothing is said of it, ms. */
  readonly quiet?: number
  /** A replica that has just become the leader learns within this time, ms, how far its records are committed. */
  readonly catchUp?: number
}

/** What is asked of a partition, and for whom. */
interface Asked extends Wanted {
  readonly cursors: Cursor[]
}

interface Way {
  /** Of the connections to the broker. */
  readonly number: number
  readonly session: FetchSession | null
  readonly waitMs: number
  /** What the request under way asks for. */
  asked: ReadonlyMap<string, Asked>
  /** Fetches follow one another. */
  busy: boolean
  /** Between two of them. */
  resting: boolean
}

interface Ways {
  readonly mains: readonly [Way, Way]
  readonly side: Way
}

const NOTHING: ReadonlyMap<string, Asked> = new Map()
/** A short poll, ms. */
const SIDE_WAIT = 10
const LITTLE = 64 * 1024
/** Number of the connection for partitions that may break one. */
const PROBES = 3

export class Fetcher {
  readonly #settings: Required<FetcherSettings>
  readonly #subscriptions = new Set<Subscription>()
  /** By node. */
  readonly #ways = new Map<number, Ways>()
  /** Since when a cursor is seen beyond the last record, monotonic ms. */
  readonly #beyond = new WeakMap<Cursor, number>()
  #asks = 0
  #closed = false
  #looking = false
  #alarm: { at: number; timer: NodeJS.Timeout } | null = null

  constructor(settings: FetcherSettings) {
    this.#settings = {
      wait: 500,
      pace: 6,
      partitionBytes: 4 * 1024 * 1024,
      maxBytes: 10 * 1024 * 1024,
      quiet: 3_000,
      catchUp: 4_000,
      ...settings,
    }
  }

  subscribe(settings: SubscriptionSettings): Subscription {
    const subscription = new Subscription(
      settings,
      () => this.go(),
      closed => this.#subscriptions.delete(closed),
    )
    this.#subscriptions.add(subscription)
    return subscription
  }

  close(): void {
    this.#closed = true
    for (const subscription of this.#subscriptions) subscription.close()
    clearTimeout(this.#alarm?.timer)
  }

  /** Asks every broker for what is wanted of it and not being asked for. */
  go(): void {
    if (this.#closed || this.#looking) return
    this.#looking = true
    // Once for all cursors that are added in a row.
    queueMicrotask(() => {
      this.#looking = false
      if (!this.#closed) this.#ask()
    })
  }

  #ask(): void {
    const { client } = this.#settings
    const byNode = Map.groupBy(this.#wanted(), cursor => client.leader(cursor))
    for (const [node, cursors] of byNode) {
      if (node === null) {
        void this.#find(cursors)
        continue
      }
      const { mains, side } = this.#waysTo(node)
      if (mains.some(main => main.resting)) continue
      const free = mains.find(main => !main.busy)
      if (free !== undefined && this.#leaves(node, cursors)) void this.#pump(node, free, cursors)
      if (!side.busy && this.#leaves(node, cursors)) void this.#pump(node, side, cursors)
    }
    this.#setAlarm()
  }

  #waysTo(node: number): Ways {
    const there = this.#ways.get(node)
    if (there !== undefined) return there
    const idle = { asked: NOTHING, busy: false, resting: false }
    const { wait } = this.#settings
    const main = (number: number): Way => ({ number, session: new FetchSession(), waitMs: wait, ...idle })
    const side: Way = { number: 2, session: null, waitMs: Math.min(SIDE_WAIT, wait), ...idle }
    const ways: Ways = { mains: [main(0), main(1)], side }
    this.#ways.set(node, ways)
    return ways
  }

  /** Something of it is asked for on no way. */
  #leaves(node: number, cursors: readonly Cursor[]): boolean {
    const { mains, side } = this.#waysTo(node)
    return cursors.some(c => !c.asking && !isAsked(mains[0], c) && !isAsked(mains[1], c) && !isAsked(side, c))
  }

  #wanted(): Cursor[] {
    const now = performance.now()
    const wanted: Cursor[] = []
    for (const subscription of this.#subscriptions) wanted.push(...subscription.wanted(now))
    return wanted
  }

  #wantedOf(node: number): Cursor[] {
    return this.#wanted().filter(cursor => this.#settings.client.leader(cursor) === node)
  }

  /** Looks again once the first of those that failed may be tried. */
  #setAlarm(): void {
    const now = performance.now()
    let at = Number.POSITIVE_INFINITY
    for (const subscription of this.#subscriptions) {
      for (const { pausedUntil } of subscription.cursors()) if (pausedUntil > now) at = Math.min(at, pausedUntil)
    }
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

  /** Fetches on one way until nothing is left for it. */
  async #pump(node: number, way: Way, wanted: readonly Cursor[]): Promise<void> {
    const { pace } = this.#settings
    const { mains, side } = this.#waysTo(node)
    let cursors = wanted
    let began = 0
    way.busy = true
    while (!this.#closed) {
      for (const cursor of cursors) if (cursor.suspect && !cursor.asking) void this.#probe(node, cursor)
      way.asked = this.#choose(this.#waysTo(node), way, cursors)
      if (way.asked.size === 0) break
      // Readers that are behind, or what only another way can take now.
      if (this.#leaves(node, cursors)) this.go()
      began = performance.now()
      const bytes = await this.#fetch(node, way)
      way.asked = NOTHING
      const early = began + pace - performance.now()
      if (early > 0 && bytes !== null && bytes < LITTLE) {
        way.resting = true
        await sleep(early)
        way.resting = false
      }
      // A long poll takes over what it can.
      if (way === side && mains.some(main => !main.busy)) break
      cursors = this.#wantedOf(node)
    }
    way.busy = false
    if (began > 0) this.go()
  }

  /** What the next request on this way asks for. */
  #choose({ mains, side }: Ways, way: Way, cursors: readonly Cursor[]): Map<string, Asked> {
    const others = [...mains, side].filter(other => other !== way)
    const chosen = new Map<string, Asked>()
    let fresh = false
    for (const cursor of cursors) {
      const { topic, partition, key, next: offset } = cursor
      if (cursor.asking) continue
      const elsewhere = others.some(other => isAsked(other, cursor))
      // What another way is bringing does not come twice; what it waits for in vain goes along with the long poll.
      if (elsewhere && (way === side || !cursor.idle)) continue
      const there = chosen.get(key)
      if (there?.offset === offset) there.cursors.push(cursor)
      else if (there === undefined || isBefore(way !== side, cursor, there)) {
        chosen.set(key, { topic, partition, offset, cursors: [cursor] })
      } else continue
      fresh ||= !mains.some(main => main !== way && isAsked(main, cursor))
    }
    // The other long poll has all of it.
    if (!fresh) chosen.clear()
    for (const { cursors } of chosen.values()) for (const cursor of cursors) cursor.askedAt = ++this.#asks
    return chosen
  }

  /** One that may be why a fetch got no answer, by itself: others go on meanwhile. */
  async #probe(node: number, cursor: Cursor): Promise<void> {
    cursor.asking = true
    const { topic, partition, key, next: offset } = cursor
    const asked = new Map([[key, { topic, partition, offset, cursors: [cursor] }]])
    await this.#fetch(node, { number: PROBES, session: null, waitMs: 0, asked })
    cursor.asking = false
    this.go()
  }

  /** One request. The bytes that came; null where there was no answer. */
  async #fetch(node: number, way: Pick<Way, 'number' | 'session' | 'waitMs' | 'asked'>): Promise<number | null> {
    const { client, partitionBytes, maxBytes } = this.#settings
    const { number, session, asked } = way
    // Whoever has just begun wants to know whether there is anything at all.
    const begins = asked.values().some(({ cursors }) => cursors.some(cursor => !cursor.answered))
    const waitMs = begins ? Math.min(SIDE_WAIT, way.waitMs) : way.waitMs
    let shared = false
    try {
      const broker = await client.broker(node, number)
      shared = asked.size > 1
      const asking = session?.next(asked) ?? once(asked)
      const answer = await client.send(broker, fetch(client.prefix, asking, waitMs, partitionBytes, maxBytes))
      if (session?.answered(answer) === false) return 0
      this.#deliver(answer.partitions, asked)
      return answer.partitions.reduce((sum, { bytes }) => sum + bytes, 0)
    } catch (error) {
      session?.reset()
      if (this.#closed || client.closed) return null
      const failed = logError(error)
      for (const { cursors } of asked.values()) {
        for (const cursor of cursors) {
          cursor.suspect ||= shared
          this.#fail(cursor, failed)
        }
      }
      await client.refresh().catch(() => {})
      return null
    }
  }

  /** What came goes to all cursors that have got as far; each that failed is left alone for a while. */
  #deliver(fetched: readonly Fetched[], asked: ReadonlyMap<string, Asked>): void {
    const { client } = this.#settings
    const news = new Set<Cursor>()
    const came = new Set<string>()
    let stale = false
    for (const part of fetched) {
      const key = partitionKey(part)
      const question = asked.get(key)
      if (question === undefined) continue
      const { offset, cursors } = question
      came.add(key)
      stale ||= isMoved(part.errorCode)
      for (const subscription of this.#subscriptions) {
        const cursor = subscription.at(key)
        // It may have been stopped, or started elsewhere, while the answer was on its way.
        if (cursor === undefined || cursor.next < offset) continue
        if (!cursors.includes(cursor) && !subscription.takesAlong(cursor)) continue
        if (part.errorCode !== 0) {
          if (cursor.next !== offset) continue
          if (part.errorCode === CODE.OFFSET_OUT_OF_RANGE) void this.#outside(cursor)
          else this.#fail(cursor, new KafkaError(part.errorCode))
          continue
        }
        if (part.next > cursor.next) {
          cursor.idle = false
          cursor.succeed()
          cursor.add(part)
          news.add(cursor)
        } else if (cursor.next !== offset) continue
        else if (part.damage === null) this.#nothingNew(cursor, news)
        this.#beyond.delete(cursor)
        if (part.damage !== null) this.#fail(cursor, part.damage)
      }
    }
    for (const [key, { offset, cursors }] of asked) {
      if (came.has(key)) continue
      for (const cursor of cursors) if (cursor.next === offset && cursor.subscriber.holds(cursor)) this.#nothingNew(cursor, news)
    }
    if (stale) void client.refresh().catch(() => {})
    this.#setAlarm()
    for (const [{ onNews }, cursors] of Map.groupBy(news, cursor => cursor.subscriber)) onNews(cursors)
  }

  #nothingNew(cursor: Cursor, news: Set<Cursor>): void {
    if (!cursor.answered) news.add(cursor)
    cursor.idle = true
    if (!cursor.answered || cursor.failing || cursor.suspect) cursor.succeed()
  }

  /** It is tried again after a while; whoever reads it hears of it once that is to be told. */
  #fail(cursor: Cursor, error: LogError): void {
    const passing = error instanceof KafkaError ? isMoved(error.kafka) : isPassing(error)
    cursor.fail(error, passing ? this.#settings.quiet : 0)
    const { subscriber } = cursor
    if (subscriber.holds(cursor)) subscriber.onNews([cursor])
    this.#setAlarm()
  }

  /** Its next offset is below the first record, or beyond the last. */
  async #outside(cursor: Cursor): Promise<void> {
    const { client, catchUp } = this.#settings
    const { below, beyond, onNews } = cursor.subscriber
    cursor.asking = true
    try {
      const [[first], [high]] = await Promise.all([client.offsets([cursor], 'first'), client.offsets([cursor], 'high')])
      const at = cursor.next
      if (first === undefined || high === undefined) throw new KafkaError(CODE.LEADER_NOT_AVAILABLE)
      if (at < first.offset) {
        if (below === 'gap') throw belowFirst(cursor, first.offset)
        // All that was there is gone; what is queued is taken first.
        cursor.succeed()
        cursor.add({ batches: [], next: first.offset })
        onNews([cursor])
      } else if (at > high.offset) {
        const since = this.#beyond.get(cursor) ?? performance.now()
        this.#beyond.set(cursor, since)
        if (beyond === 'gap' && performance.now() - since >= catchUp) throw beyondLast(cursor, high.offset)
        if (beyond === 'wait') {
          cursor.succeed()
          onNews([cursor])
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

/** The request under way on it brings what comes next for this cursor. */
function isAsked({ asked }: Way, { key, next }: Cursor): boolean {
  return asked.get(key)?.offset === next
}

/** Of readers of one partition, the main ways serve whoever is furthest, the side way each in turn. */
function isBefore(main: boolean, cursor: Cursor, { offset, cursors }: Asked): boolean {
  return main ? cursor.next > offset : cursor.askedAt < (cursors[0] as Cursor).askedAt
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

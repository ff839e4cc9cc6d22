/** What a fetch brought, handed to every reader that has got as far; what it failed with, reported to those it concerns. */
import { LogError, partitionKey } from '../log.ts'
import type { KafkaClient } from './client.ts'
import type { Cursor } from './cursor.ts'
import { ErrorCode, isStaleMetadata, isRetriable, KafkaError, toLogError } from './errors.ts'
import type { Requested } from './fetch-connections.ts'
import type { FetchedPartition } from './protocol.ts'
import type { Subscription } from './subscription.ts'

export interface FetchDeliverySettings {
  readonly client: Pick<KafkaClient, 'refresh' | 'offsets'>
  readonly subscriptions: ReadonlySet<Subscription>
  /** Errors of leaders and brokers are not reported before they have lasted this long, ms. */
  readonly quiet: number
  /** A new leader learns within this time how far its records are committed, ms. */
  readonly catchUp: number
  /** A cursor was paused, or can be fetched again. */
  readonly onChange: () => void
}

const BEYOND_PAUSE_MS = 250
const MOVED_PAUSE_MS = 50

export class FetchDelivery {
  readonly #settings: FetchDeliverySettings
  /** Since when a cursor is seen beyond the log end offset, monotonic ms. */
  readonly #beyondSince = new WeakMap<Cursor, number>()
  #closed = false

  constructor(settings: FetchDeliverySettings) {
    this.#settings = settings
  }

  close(): void {
    this.#closed = true
  }

  /** Records go to all cursors that have got as far; each that failed is left alone for a while. */
  deliver(fetched: readonly FetchedPartition[], requested: ReadonlyMap<string, Requested>): void {
    const { client, subscriptions } = this.#settings
    const news = new Set<Cursor>()
    const answered = new Set<string>()
    let stale = false
    for (const part of fetched) {
      const key = partitionKey(part)
      const request = requested.get(key)
      if (request === undefined) continue
      answered.add(key)
      stale ||= isStaleMetadata(part.errorCode)
      for (const subscription of subscriptions) {
        const cursor = subscription.at(key)
        // It may have been stopped, or started elsewhere, while the answer was on its way.
        if (cursor === undefined || cursor.next < request.offset) continue
        if (!request.cursors.includes(cursor) && !subscription.hasRoomFor(cursor)) continue
        this.#deliverTo(cursor, part, request.offset, news)
      }
    }
    for (const [key, { offset, cursors }] of requested) {
      if (answered.has(key)) continue
      for (const cursor of cursors) if (cursor.next === offset && cursor.subscriber.holds(cursor)) this.#nothingNew(cursor, news)
    }
    if (stale) void client.refresh().catch(() => {})
    for (const [{ onNews }, cursors] of Map.groupBy(news, cursor => cursor.subscriber)) onNews(cursors)
  }

  /** It is tried again after a while; its reader hears of it once that is due. */
  fail(cursor: Cursor, error: LogError): void {
    const passing = error instanceof KafkaError ? isStaleMetadata(error.kafka) : isRetriable(error)
    cursor.fail(error, passing ? this.#settings.quiet : 0)
    const { subscriber } = cursor
    if (subscriber.holds(cursor)) subscriber.onNews([cursor])
    this.#settings.onChange()
  }

  #deliverTo(cursor: Cursor, part: FetchedPartition, offset: number, news: Set<Cursor>): void {
    if (part.errorCode !== 0) {
      if (cursor.next !== offset) return
      if (part.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) void this.#outOfRange(cursor)
      else this.fail(cursor, new KafkaError(part.errorCode))
      return
    }
    if (part.next > cursor.next) {
      cursor.idle = false
      cursor.succeed()
      cursor.add(part)
      news.add(cursor)
    } else if (cursor.next !== offset) return
    else if (part.damage === null) this.#nothingNew(cursor, news)
    this.#beyondSince.delete(cursor)
    if (part.damage !== null) this.fail(cursor, part.damage)
  }

  #nothingNew(cursor: Cursor, news: Set<Cursor>): void {
    if (!cursor.answered) news.add(cursor)
    cursor.idle = true
    if (!cursor.answered || cursor.failing || cursor.suspect) cursor.succeed()
  }

  /** Its next offset is below the log start offset, or beyond the log end offset. */
  async #outOfRange(cursor: Cursor): Promise<void> {
    const { client, catchUp, onChange } = this.#settings
    const { below, beyond, onNews } = cursor.subscriber
    cursor.onHold = true
    try {
      const [[start], [end]] = await Promise.all([client.offsets([cursor], 'earliest'), client.offsets([cursor], 'latest')])
      const at = cursor.next
      if (start === undefined || end === undefined) throw new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE)
      if (at < start.offset) {
        if (below === 'gap') throw belowStart(cursor, start.offset)
        // The records in between are gone; what is queued is taken first.
        cursor.succeed()
        cursor.add({ batches: [], next: start.offset })
        onNews([cursor])
      } else if (at > end.offset) {
        const since = this.#beyondSince.get(cursor) ?? performance.now()
        this.#beyondSince.set(cursor, since)
        if (beyond === 'gap' && performance.now() - since >= catchUp) throw beyondEnd(cursor, end.offset)
        if (beyond === 'wait') {
          cursor.succeed()
          onNews([cursor])
        }
        cursor.pausedUntil = performance.now() + BEYOND_PAUSE_MS
      } else {
        this.#beyondSince.delete(cursor)
        cursor.pausedUntil = performance.now() + MOVED_PAUSE_MS
      }
    } catch (error) {
      if (!this.#closed) this.fail(cursor, toLogError(error))
    } finally {
      cursor.onHold = false
      onChange()
    }
  }
}

function belowStart({ key, next }: Cursor, start: number): LogError {
  return new LogError(
    'gap',
    `${key}: offset ${next} is to be read next, but the log starts at ${start}: ${start - next} offsets are gone`,
  )
}

function beyondEnd({ key, next }: Cursor, end: number): LogError {
  return new LogError(
    'gap',
    `${key}: offset ${next} is to be read next, but the log ends at ${end}: the topic was created again, or has lost its end`,
  )
}

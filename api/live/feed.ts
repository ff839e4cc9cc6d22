/** Follows the log for all connections of this process, and keeps the newest updates of each partition. */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { Moment } from '../../engine/moment.ts'
import { type Codec, CodecError } from '../../topics/codec.ts'
import { type Log, LogError, type Read, type TopicPartition } from '../../topics/log.ts'
import type { Permission } from '../access/principal.ts'
import { Problem } from '../problem.ts'
import { type LiveSource, SOURCES, type Update } from './sources.ts'

/** An event as it is sent, and who may receive it. */
export interface LiveEvent {
  readonly event: string
  readonly permission: Permission
  readonly venue: string | null
  readonly owner: string
  readonly data: string
  readonly masked: string
}

/** Records of each partition that are kept in memory. */
export const KEPT_RECORDS = 500
const READ_BYTES = 256 * 1024
const READ_WAIT_MS = 1_000
const RETRY_MS = 1_000

/** A partition, and its newest events. */
export interface Followed {
  readonly at: TopicPartition
  readonly source: LiveSource
  /** Next offset to read. */
  end: number
  events: { readonly offset: number; readonly event: LiveEvent | null }[]
}

export class Feed {
  readonly #log: Log
  readonly #codec: Codec
  readonly #logger: Pick<Logger, 'warn'>
  readonly followed: Followed[] = []
  #starting: Promise<void> | null = null
  #running: Promise<void>[] = []
  #closed = false
  readonly #ended = new Moment()
  #news = Promise.withResolvers<void>()

  constructor(log: Log, codec: Codec, logger: Pick<Logger, 'warn'>) {
    this.#log = log
    this.#codec = codec
    this.#logger = logger
  }

  /** Starts to follow the log with the first connection. @throws {Problem} `unavailable` */
  start(): Promise<void> {
    this.#starting ??= this.#start().catch(error => {
      this.#starting = null
      throw new Problem('unavailable', 'cannot read the log: try again', { cause: error })
    })
    return this.#starting
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#ended.come()
    this.#news.resolve()
    await Promise.all(this.#running)
  }

  /** Resolves with the next events. */
  get news(): Promise<void> {
    return this.#news.promise
  }

  /** Events of a partition from an offset on, and the offset after them. Older events are read from the log. */
  async read({ at, source, end, events }: Followed, from: number): Promise<{ events: (LiveEvent | null)[]; next: number }> {
    const first = events[0]?.offset ?? end
    if (from >= first) return { events: events.filter(e => e.offset >= from).map(e => e.event), next: end }
    const read = await this.#log.read(at, from, { maxBytes: READ_BYTES, wait: 1 })
    return { events: await this.#events(source, read), next: Math.max(read.next, from) }
  }

  async #start(): Promise<void> {
    const ends = await Promise.all(
      SOURCES.map(async source =>
        (await this.#log.ends(source.topic.name)).map(({ partition, high }) => ({ source, partition, high })),
      ),
    )
    for (const { source, partition, high } of ends.flat()) {
      const followed = { at: { topic: source.topic.name, partition }, source, end: high, events: [] }
      this.followed.push(followed)
      this.#running.push(this.#follow(followed))
    }
  }

  async #follow(followed: Followed): Promise<void> {
    while (!this.#closed) {
      try {
        const reading = this.#log.read(followed.at, followed.end, { maxBytes: READ_BYTES, wait: READ_WAIT_MS })
        const read = await this.#ended.or(reading)
        if (read === null) return
        if (read.next === followed.end) continue
        const events = await this.#events(followed.source, read)
        const all = [...followed.events, ...read.records.map(({ offset }, n) => ({ offset, event: events[n] ?? null }))]
        followed.events = all.slice(-KEPT_RECORDS)
        followed.end = read.next
        this.#news.resolve()
        this.#news = Promise.withResolvers()
      } catch (error) {
        if (this.#closed || (error instanceof LogError && error.code === 'closed')) return
        this.#logger.warn({ reason: messageOf(error) }, 'live updates paused: cannot read the log')
        await sleep(RETRY_MS)
      }
    }
  }

  async #events({ event, permission, updateOf }: LiveSource, { records }: Read): Promise<(LiveEvent | null)[]> {
    await this.#codec.prepare(records)
    return records.map(({ key, value }) => {
      if (key === null) return null
      try {
        const update = updateOf(key, value === null ? null : this.#codec.decode(value))
        if (update === null) return null
        return { event, permission, venue: update.venue, owner: update.owner, ...serialized(update) }
      } catch (error) {
        if (error instanceof CodecError) return null // written by a newer version of the service
        throw error
      }
    })
  }
}

/** The data of an update as text, made once where all receive the same. */
export function serialized({ data, masked = data }: Update): Pick<LiveEvent, 'data' | 'masked'> {
  const text = JSON.stringify(data)
  return { data: text, masked: masked === data ? text : JSON.stringify(masked) }
}

/**
 * Writes the partitions of its number, one batch at a time. What several topics say of one key lies in partitions of one number,
 * so no two lanes write the same rows.
 *
 *   claim positions ─▶ gather what was read ─▶ write rows and positions ─▶ …
 *         ▲                                        ├ ownership lost: claim anew, later
 *         └────────────────────────────────────────┘ store down: the same batch again, ever more slowly
 */
import type { Logger } from 'pino'
import { messageOf } from '../engine/errors.ts'
import type { Codec } from '../topics/codec.ts'
import { type Ends, type Log, LogError, type LogRecord, partitionKey } from '../topics/log.ts'
import { READ_WAIT_MS, type Share, sizeOf } from './share.ts'
import { type Batch, type Claim, OwnershipLost, type Readable, type Store } from './sink.ts'

export interface LaneSettings {
  readonly log: Log
  readonly codec: Codec
  readonly store: Store
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly batchBytes: number
  readonly lingerMs: number
  /** Partitions of this lane by their key, as the group gives and takes them. */
  readonly shares: Map<string, Share>
  /** A claimed partition is to be read. */
  readonly read: (share: Share) => void
  /** Another share in place of one that was lost, not claimed before a moment (monotonic ms). */
  readonly renew: (share: Share, notBefore: number) => void
  readonly pause: (ms: number) => Promise<void>
  readonly closed: () => boolean
}

const BACK_OFF_MS = { first: 100, most: 5_000 }
/** How long the one that lost a partition waits before it looks whether the other goes on. */
const STAND_BY_MS = 1_000
const CHECK_MS = 2_000
const MOST_LINGERS = 10

export class Lane {
  readonly #settings: LaneSettings
  /** Why the store cannot be written. */
  trouble: string | null = null
  skipped = 0
  stale = 0
  /** The write that is under way. */
  writing: Promise<unknown> = Promise.resolve()
  /** How long the last write took, ms. */
  #took = 0
  #failures = 0
  #checked = 0
  #wake: (() => void) | null = null
  #woken = false

  constructor(settings: LaneSettings) {
    this.#settings = settings
  }

  async run(): Promise<void> {
    while (!this.#settings.closed()) await this.#once()
  }

  notify(): void {
    this.#woken = true
    this.#wake?.()
  }

  async #once(): Promise<void> {
    const { shares, store, logger } = this.#settings
    try {
      await this.#claim()
      const waiting = [...shares.values()].filter(s => s.claimed && s.waits)
      const wait = this.#lingers(waiting)
      if (wait === null) await this.#check()
      if (wait !== 0) return await this.#news(wait ?? READ_WAIT_MS)
      const batches = await this.#gather(waiting)
      if (batches.length === 0) return await this.#news(READ_WAIT_MS)
      await this.#write(batches)
      this.#goesOn()
    } catch (error) {
      if (error instanceof OwnershipLost) return this.#lost(error)
      if (error instanceof LogError && error.code === 'closed') return this.#settings.pause(BACK_OFF_MS.first)
      if (this.trouble === null) logger.warn({ reason: messageOf(error) }, `the ${store.name} sink waits`)
      this.trouble = messageOf(error)
      await this.#settings.pause(backOff(this.#failures++))
    }
  }

  #goesOn(): void {
    if (this.trouble !== null) this.#settings.logger.info(`the ${this.#settings.store.name} sink goes on`)
    this.trouble = null
    this.#failures = 0
  }

  /** Claims the partitions that are not yet, and has them read. */
  async #claim(): Promise<void> {
    const { shares, store, read } = this.#settings
    const now = performance.now()
    const due = [...shares.values()].filter(s => !s.claimed && s.notBefore <= now)
    if (due.length === 0) return
    const claims = await store.claim(due.map(s => s.at))
    const ends = await this.#ends(due)
    for (const [n, share] of due.entries()) {
      if (share.gone) continue
      const { position, until = null } = claims[n] as Claim
      share.trouble = this.#misfit(share, position, ends.get(share.key))
      if (share.trouble !== null) {
        share.notBefore = performance.now() + BACK_OFF_MS.most
        continue
      }
      Object.assign(share, { claimed: true, position, until })
      read(share)
    }
    this.#goesOn()
  }

  async #ends(shares: readonly Share[]): Promise<Map<string, Ends>> {
    const topics = [...new Set(shares.map(s => s.at.topic))]
    const { log } = this.#settings
    const all = await Promise.all(topics.map(async topic => (await log.ends(topic)).map(end => ({ topic, ...end }))))
    return new Map(all.flat().map(end => [partitionKey(end), end]))
  }

  /** Why this position cannot be one of this log. */
  #misfit({ key }: Share, position: number, ends: Ends | undefined): string | null {
    if (ends === undefined) return 'the log has no such partition'
    const { store, logger } = this.#settings
    if (position > ends.high) {
      return `position ${position} is beyond the log's end ${ends.high}: the store was filled from another log; give this log a store of its own`
    }
    if (position > 0 && position < ends.low) {
      logger.warn({ partition: key, position, low: ends.low }, `records have left the log before they reached ${store.name}`)
    }
    return null
  }

  /** A store that has forgotten where it was is filled anew. */
  async #check(): Promise<void> {
    const { shares, store } = this.#settings
    if (store.check === undefined || performance.now() - this.#checked < CHECK_MS) return
    this.#checked = performance.now()
    const lost = await store.check([...shares.values()].filter(s => s.claimed).map(s => s.reached))
    if (lost.length > 0) throw new OwnershipLost(lost)
  }

  /** How long it is worth waiting for more, ms; null where nothing has come. */
  #lingers(waiting: readonly Share[]): number | null {
    const { batchBytes, lingerMs } = this.#settings
    if (waiting.length === 0) return null
    if (lingerMs === 0 || waiting.reduce((sum, { bytes }) => sum + bytes, 0) >= batchBytes) return 0
    // A store that is slow to write is written less often: it is at work for a fifth of the time, however little comes.
    const linger = Math.max(lingerMs, Math.min(this.#took * 4, lingerMs * MOST_LINGERS))
    return Math.max(0, linger - (performance.now() - Math.min(...waiting.map(s => s.since))))
  }

  /** What these have read, as batches; those that have waited longest come first. */
  async #gather(waiting: readonly Share[]): Promise<Batch[]> {
    const { store, batchBytes } = this.#settings
    const batches: Batch[] = []
    let bytes = 0
    for (const share of waiting.toSorted((a, b) => a.since - b.since)) {
      if (bytes >= batchBytes) break
      const { records, next: read } = share.waiting()
      if (share.until !== null && read < share.until) continue // the rest of a batch that was begun is still to come
      const ending = share.until ?? read
      const readable = await this.#readable(share, share.until === null ? records : records.filter(r => r.offset < ending))
      if (share.gone) continue
      const cut = share.until === null ? (store.cut?.(readable) ?? readable.length) : readable.length
      const next = cut < readable.length ? (readable[cut] as Readable).record.offset : ending
      batches.push({ partition: share.at, from: share.position, next, records: readable.slice(0, cut) })
      bytes += sizeOf(records)
    }
    return batches
  }

  /** Writes batches; where the store refuses a record, around that one. */
  async #write(all: readonly Batch[]): Promise<void> {
    const { shares, store } = this.#settings
    const batches = all.filter(({ partition }) => shares.get(partitionKey(partition))?.claimed)
    if (batches.length === 0) return
    try {
      const began = performance.now()
      const writing = store.write(batches)
      this.writing = writing
      const { stale } = await writing
      this.#took = performance.now() - began
      this.stale += stale
      for (const { partition, next } of batches) shares.get(partitionKey(partition))?.advance(next)
    } catch (error) {
      if (!store.refuses?.(error)) throw error
      for (const batch of batches.length > 1 ? batches : this.#halves(batches[0] as Batch, error)) await this.#write([batch])
    }
  }

  #halves(batch: Batch, error: unknown): Batch[] {
    const { records } = batch
    if (records.length === 0) throw error
    if (records.length === 1) {
      this.#skip(this.#settings.shares.get(partitionKey(batch.partition)), (records[0] as Readable).record, error)
      return [{ ...batch, records: [] }]
    }
    const middle = records.length >> 1
    const at = (records[middle] as Readable).record.offset
    return [
      { ...batch, next: at, records: records.slice(0, middle) },
      { ...batch, from: at, records: records.slice(middle) },
    ]
  }

  /** Others have these: they are claimed anew a little later, should this process still be given them. */
  #lost({ partitions }: OwnershipLost): void {
    for (const at of partitions) {
      const share = this.#settings.shares.get(partitionKey(at))
      if (share !== undefined) this.#settings.renew(share, performance.now() + STAND_BY_MS)
    }
  }

  /** The records that the store wants, decoded. One that cannot be read is skipped. */
  async #readable(share: Share, records: readonly LogRecord[]): Promise<Readable[]> {
    const { codec, store } = this.#settings
    await codec.prepareKnown(records)
    return records.flatMap(record => {
      if (record.value === null) return { record, decoded: null }
      try {
        return store.wants(record.topic, codec.typeOf(record.value)) ? { record, decoded: codec.decode(record.value) } : []
      } catch (error) {
        this.#skip(share, record, error)
        return []
      }
    })
  }

  #skip(share: Share | undefined, { topic, partition, offset }: LogRecord, error: unknown): void {
    if (share === undefined || offset < share.skippedTo) return
    share.skippedTo = offset + 1
    this.skipped++
    const { logger, store } = this.#settings
    logger.error({ topic, partition, offset, reason: messageOf(error) }, `the ${store.name} sink skips a record`)
  }

  /** Until something has come, or so many ms later. */
  async #news(ms: number): Promise<void> {
    if (!this.#woken) {
      const { promise, resolve } = Promise.withResolvers<void>()
      this.#wake = resolve
      const timer = setTimeout(resolve, ms)
      await promise
      clearTimeout(timer)
      this.#wake = null
    }
    this.#woken = false
  }
}

export function backOff(failures: number): number {
  return Math.min(BACK_OFF_MS.first * 2 ** failures, BACK_OFF_MS.most)
}

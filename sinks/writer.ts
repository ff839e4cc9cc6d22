/**
 * Writes the partitions of its partition numbers, one batch at a time. Records of one key share a partition number across topics, so
 * two writers never touch the same rows.
 *
 *   claim positions ─▶ gather what was read ─▶ write rows and positions ─▶ …
 *         ▲                                        ├ ownership lost: claim again, later
 *         └────────────────────────────────────────┘ store unreachable: retry the batch, with back-off
 */
import type { Logger } from 'pino'
import { messageOf } from '../engine/errors.ts'
import type { Codec } from '../topics/codec.ts'
import { type Ends, type Log, LogError, type LogRecord, partitionKey } from '../topics/log.ts'
import { type PartitionBuffer, READ_WAIT_MS, sizeOf } from './partition-buffer.ts'
import { OwnershipLost, type RecordBatch, type SinkRecord, type StartPosition, type Store } from './store.ts'

export interface WriterSettings {
  readonly log: Log
  readonly codec: Codec
  readonly store: Store
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  readonly batchBytes: number
  readonly lingerMs: number
  /** The partitions of this writer by their key, as the group assigns and revokes them. */
  readonly buffers: Map<string, PartitionBuffer>
  /** Starts reading a claimed partition. */
  readonly read: (buffer: PartitionBuffer) => void
  /** Replaces a buffer whose partition was lost; it is not claimed before `notBefore` (monotonic ms). */
  readonly renew: (buffer: PartitionBuffer, notBefore: number) => void
  readonly pause: (ms: number) => Promise<void>
  readonly closed: () => boolean
}

const BACK_OFF_MS = { first: 100, max: 5_000 }
/** How long a partition that was lost is left alone before it is claimed again. */
const STAND_BY_MS = 1_000
const CHECK_MS = 2_000
const MAX_LINGER_FACTOR = 10

export class SinkWriter {
  readonly #settings: WriterSettings
  /** Why the store cannot be written; null while it can. */
  failure: string | null = null
  skipped = 0
  stale = 0
  /** The current write. */
  writing: Promise<unknown> = Promise.resolve()
  /** How long the last write took. */
  #lastWriteMs = 0
  #failures = 0
  #checked = 0
  #wake: (() => void) | null = null
  #woken = false

  constructor(settings: WriterSettings) {
    this.#settings = settings
  }

  async run(): Promise<void> {
    while (!this.#settings.closed()) await this.#runCycle()
  }

  notify(): void {
    this.#woken = true
    this.#wake?.()
  }

  async #runCycle(): Promise<void> {
    const { buffers, store, logger } = this.#settings
    try {
      await this.#claim()
      const waiting = [...buffers.values()].filter(buffer => buffer.claimed && buffer.hasRecords)
      const wait = this.#lingerFor(waiting)
      if (wait === null) await this.#check()
      if (wait !== 0) return await this.#waitForWork(wait ?? READ_WAIT_MS)
      const batches = await this.#gather(waiting)
      if (batches.length === 0) return await this.#waitForWork(READ_WAIT_MS)
      await this.#write(batches)
      this.#recovered()
    } catch (error) {
      if (error instanceof OwnershipLost) return this.#lost(error)
      if (error instanceof LogError && error.code === 'closed') return this.#settings.pause(BACK_OFF_MS.first)
      if (this.failure === null)
        logger.warn({ reason: messageOf(error) }, `${store.name} sink paused: the store cannot be written`)
      this.failure = messageOf(error)
      await this.#settings.pause(backOffMs(this.#failures++))
    }
  }

  #recovered(): void {
    if (this.failure !== null) this.#settings.logger.info(`${this.#settings.store.name} sink resumed`)
    this.failure = null
    this.#failures = 0
  }

  /** Claims the partitions that are not claimed yet, and starts reading them. */
  async #claim(): Promise<void> {
    const { buffers, store, read } = this.#settings
    const now = performance.now()
    const due = [...buffers.values()].filter(s => !s.claimed && s.notBefore <= now)
    if (due.length === 0) return
    const claims = await store.claim(due.map(s => s.at))
    const ends = await this.#ends(due)
    for (const [n, buffer] of due.entries()) {
      if (buffer.dropped) continue
      const { position, until = null } = claims[n] as StartPosition
      buffer.failure = this.#positionError(buffer, position, ends.get(buffer.key))
      if (buffer.failure !== null) {
        buffer.notBefore = performance.now() + BACK_OFF_MS.max
        continue
      }
      Object.assign(buffer, { claimed: true, position, until })
      read(buffer)
    }
    this.#recovered()
  }

  async #ends(buffers: readonly PartitionBuffer[]): Promise<Map<string, Ends>> {
    const topics = [...new Set(buffers.map(s => s.at.topic))]
    const { log } = this.#settings
    const all = await Promise.all(topics.map(async topic => (await log.ends(topic)).map(end => ({ topic, ...end }))))
    return new Map(all.flat().map(end => [partitionKey(end), end]))
  }

  /** Why this position cannot belong to this log; null if it can. */
  #positionError({ key }: PartitionBuffer, position: number, ends: Ends | undefined): string | null {
    if (ends === undefined) return 'the log has no such partition'
    const { store, logger } = this.#settings
    if (position > ends.high) {
      return `position ${position} is beyond the log's end ${ends.high}: the store was filled from another log; give this log its own store`
    }
    if (position > 0 && position < ends.low) {
      logger.warn(
        { partition: key, position, low: ends.low },
        `records were deleted from the log before they reached ${store.name}`,
      )
    }
    return null
  }

  /** A store that has lost its positions is filled again. */
  async #check(): Promise<void> {
    const { buffers, store } = this.#settings
    if (store.check === undefined || performance.now() - this.#checked < CHECK_MS) return
    this.#checked = performance.now()
    const lost = await store.check([...buffers.values()].filter(s => s.claimed).map(s => s.reached))
    if (lost.length > 0) throw new OwnershipLost(lost)
  }

  /** How long to wait for more records, ms; null if there are none. */
  #lingerFor(waiting: readonly PartitionBuffer[]): number | null {
    const { batchBytes, lingerMs } = this.#settings
    if (waiting.length === 0) return null
    if (lingerMs === 0 || waiting.reduce((sum, { bytes }) => sum + bytes, 0) >= batchBytes) return 0
    // A slow store gets larger batches less often: it is busy for a fifth of the time at low load.
    const linger = Math.max(lingerMs, Math.min(this.#lastWriteMs * 4, lingerMs * MAX_LINGER_FACTOR))
    return Math.max(0, linger - (performance.now() - Math.min(...waiting.map(s => s.since))))
  }

  /** Batches of what was read, the longest waiting first. */
  async #gather(waiting: readonly PartitionBuffer[]): Promise<RecordBatch[]> {
    const { store, batchBytes } = this.#settings
    const batches: RecordBatch[] = []
    let bytes = 0
    for (const buffer of waiting.toSorted((a, b) => a.since - b.since)) {
      if (bytes >= batchBytes) break
      const { records, next: read } = buffer.waiting()
      if (buffer.until !== null && read < buffer.until) continue // the rest of a batch that was begun has not been read yet
      const ending = buffer.until ?? read
      const wanted = await this.#decode(buffer, buffer.until === null ? records : records.filter(r => r.offset < ending))
      if (buffer.dropped) continue
      const cut = buffer.until === null ? (store.cut?.(wanted) ?? wanted.length) : wanted.length
      const next = cut < wanted.length ? (wanted[cut] as SinkRecord).record.offset : ending
      batches.push({ partition: buffer.at, from: buffer.position, next, records: wanted.slice(0, cut) })
      bytes += sizeOf(records)
    }
    return batches
  }

  /** Writes batches. When the store refuses a record, everything around it is written. */
  async #write(all: readonly RecordBatch[]): Promise<void> {
    const { buffers, store } = this.#settings
    const batches = all.filter(({ partition }) => buffers.get(partitionKey(partition))?.claimed)
    if (batches.length === 0) return
    try {
      const began = performance.now()
      const writing = store.write(batches)
      this.writing = writing
      const { stale } = await writing
      this.#lastWriteMs = performance.now() - began
      this.stale += stale
      for (const { partition, next } of batches) buffers.get(partitionKey(partition))?.advance(next)
    } catch (error) {
      if (!store.refuses?.(error)) throw error
      for (const batch of batches.length > 1 ? batches : this.#halves(batches[0] as RecordBatch, error))
        await this.#write([batch])
    }
  }

  #halves(batch: RecordBatch, error: unknown): RecordBatch[] {
    const { records } = batch
    if (records.length === 0) throw error
    if (records.length === 1) {
      this.#skip(this.#settings.buffers.get(partitionKey(batch.partition)), (records[0] as SinkRecord).record, error)
      return [{ ...batch, records: [] }]
    }
    const middle = records.length >> 1
    const at = (records[middle] as SinkRecord).record.offset
    return [
      { ...batch, next: at, records: records.slice(0, middle) },
      { ...batch, from: at, records: records.slice(middle) },
    ]
  }

  /** Other processes own these; they are claimed again later if they are still assigned to this one. */
  #lost({ partitions }: OwnershipLost): void {
    for (const at of partitions) {
      const buffer = this.#settings.buffers.get(partitionKey(at))
      if (buffer !== undefined) this.#settings.renew(buffer, performance.now() + STAND_BY_MS)
    }
  }

  /** The records that the store wants, decoded. One that cannot be decoded is skipped. */
  async #decode(buffer: PartitionBuffer, records: readonly LogRecord[]): Promise<SinkRecord[]> {
    const { codec, store } = this.#settings
    await codec.prepareKnown(records)
    return records.flatMap(record => {
      if (record.value === null) return { record, decoded: null }
      try {
        return store.wants(record.topic, codec.typeOf(record.value)) ? { record, decoded: codec.decode(record.value) } : []
      } catch (error) {
        this.#skip(buffer, record, error)
        return []
      }
    })
  }

  #skip(buffer: PartitionBuffer | undefined, { topic, partition, offset }: LogRecord, error: unknown): void {
    if (buffer === undefined || offset < buffer.skippedTo) return
    buffer.skippedTo = offset + 1
    this.skipped++
    const { logger, store } = this.#settings
    logger.error({ topic, partition, offset, reason: messageOf(error) }, `${store.name} sink skipped a record`)
  }

  /** Resolves when there is work, or after `ms`. */
  async #waitForWork(ms: number): Promise<void> {
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

/** How long to wait after so many failures in a row. */
export function backOffMs(failures: number): number {
  return Math.min(BACK_OFF_MS.first * 2 ** failures, BACK_OFF_MS.max)
}

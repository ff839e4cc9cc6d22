/**
 * Retention and compaction, on request and in the background, in small steps that let other work run in between. The background also
 * joins small batches and returns free pages to the file system.
 */
import { DAY_MS, MINUTE_MS } from '../../domain/time.ts'
import { LogError } from '../log.ts'
import { turn } from '../wait.ts'
import { BATCH_BYTES } from './commits.ts'
import { type CompactionSettings, compact, STEP_MS } from './compaction.ts'
import { isFileDamage } from './sqlite-errors.ts'
import { joinSmall } from './joining.ts'
import type { LocalTopic, Partition } from './partition.ts'
import type { BatchInfo, Storage, StoredBatch } from './storage.ts'
import type { Tail } from './tail.ts'

export interface Cleaning extends CompactionSettings {
  /** Interval of the background runs, ms. */
  readonly everyMs: number
  /** A partition is compacted when at least this share of it is new … */
  readonly dirtyRatio: number
  /** … and at least this many bytes … */
  readonly dirtyBytes: number
  /** … or when a new record is older than this, ms: by then the values of an erased key are gone. */
  readonly maxLagMs: number
  /** Small batches of a topic with retention are joined once one is older than this; the result spans no more, ms. */
  readonly joinMs: number
}

export const CLEANING: Cleaning = {
  everyMs: MINUTE_MS,
  activeMs: 5 * MINUTE_MS,
  deleteRetentionMs: DAY_MS,
  dirtyRatio: 0.5,
  dirtyBytes: 1024 * 1024,
  maxLagMs: DAY_MS - 5 * MINUTE_MS,
  joinMs: 60 * MINUTE_MS,
}

/** What a step of retention removes, about: every page is overwritten, and written to the WAL. */
const STEP_BYTES = 2 * BATCH_BYTES

export interface CleanerOptions {
  readonly storage: Storage
  readonly tail: Tail
  readonly topics: ReadonlyMap<string, LocalTopic>
  readonly now: () => number
  readonly settings: Cleaning
  /** Called with errors of the background. */
  readonly onError: (error: Error) => void
}

/** Free pages that the file keeps: at least this many, and this share of its size. */
const MIN_FREE_PAGES = 256
const FREE_SHARE = 1 / 8
/** Pages that a step moves and truncates. */
const STEP_PAGES = 64

interface Expired extends BatchInfo {
  readonly damage: LogError | null
}

/** Awaited between steps. @throws {LogError} `closed` once the log is. */
type Pause = () => Promise<void>

export class Cleaner {
  readonly #options: CleanerOptions
  readonly #timer: NodeJS.Timeout
  /** The last piece of work: one at a time. */
  #last: Promise<void> = Promise.resolve()
  /** Messages of damage that were reported. */
  readonly #reported = new Set<string>()
  #inBackground = false
  #stopped = false

  constructor(options: CleanerOptions) {
    this.#options = options
    this.#timer = setInterval(() => this.#background(), options.settings.everyMs)
    this.#timer.unref()
  }

  stop(): void {
    this.#stopped = true
    clearInterval(this.#timer)
  }

  /** Removes records that are past the retention of their topic. */
  retain(): Promise<void> {
    return this.#alone(() => this.#retain(this.#pause(turn)))
  }

  /** Compacts these topics now, however little is new. */
  compact(topics: readonly LocalTopic[]): Promise<void> {
    return this.#alone(async () => {
      for (const { owned } of topics) for (const partition of owned) await this.#compact(partition, this.#pause(turn))
    })
  }

  #background(): void {
    if (this.#inBackground) return
    this.#inBackground = true
    const pause = this.#pause(() => new Promise(resolve => setTimeout(resolve, STEP_MS).unref()))
    const work = async () => {
      await this.#retain(pause)
      for (const { cleanup, owned } of [...this.#options.topics.values()]) {
        for (const partition of owned) {
          await pause()
          await this.#isolateDamage(async () => {
            if (cleanup === 'delete') await this.#reportDamageOnce(this.#join(partition, pause))
            else if (this.#due(partition)) await this.#compact(partition, pause)
          })
        }
      }
      await this.#isolateDamage(() => this.#reportDamageOnce(this.#shrink(pause)))
    }
    this.#alone(work)
      .catch(error => {
        if (!this.#stopped) this.#options.onError(error)
      })
      .finally(() => {
        this.#inBackground = false
      })
  }

  /** Damage in one partition stays as it is, and does not stop the work on others. */
  async #isolateDamage(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (this.#stopped || !(error instanceof LogError) || error.code === 'closed') throw error
      this.#options.onError(error)
    }
  }

  /** Broken pages of the file are found again in every round. */
  async #reportDamageOnce(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      if (this.#stopped || !(error instanceof LogError) || error.code !== 'corrupt') throw error
      this.#reportOnce(error)
    }
  }

  #alone(work: () => Promise<void>): Promise<void> {
    const done = this.#last.then(work)
    this.#last = done.catch(() => {})
    return done
  }

  #pause(between: () => Promise<void>): Pause {
    const { database } = this.#options.storage
    return async () => {
      await between()
      if (!this.#stopped && database.checkpointDue) {
        database.checkpoint()
        await between()
      }
      if (this.#stopped) throw new LogError('closed', 'the log was closed while it was being cleaned')
    }
  }

  async #retain(pause: Pause): Promise<void> {
    for (const { cleanup, retentionMs, owned } of [...this.#options.topics.values()]) {
      if (cleanup !== 'delete' || retentionMs === null) continue
      for (const partition of owned) {
        await this.#isolateDamage(async () => {
          do await pause()
          while (this.#expire(partition, this.#options.now() - retentionMs))
        })
      }
    }
  }

  /** Removes some of the batches that are entirely older than a time. Returns whether there may be more. */
  #expire(partition: Partition, before: number): boolean {
    const { storage, tail, onError } = this.#options
    const until = performance.now() + STEP_MS
    const old: Expired[] = []
    let { low } = partition
    let bytes = 0
    while (bytes < STEP_BYTES && performance.now() < until) {
      const oldest = this.#expired(partition, low, before)
      if (oldest === null) break
      old.push(oldest)
      low = oldest.lastOffset + 1
      bytes += oldest.bytes
    }
    if (old.length === 0) return false
    storage.database.transaction(() => {
      for (const { id } of old) storage.removeBatch(id)
      storage.savePartition({ ...partition, low })
    }, bytes)
    partition.low = low
    partition.bytes -= bytes
    tail.drop(partition, low)
    for (const { damage } of old) {
      if (damage === null) continue
      const { code, message } = damage
      onError(new LogError(code, `${message}; it was past the retention of ${partition.topic} and has been removed`))
    }
    return true
  }

  /**
   * The batch that contains an offset, if it is older than a time. The time of a damaged batch is not trusted: it is at least as old as
   * the next one. A batch that SQLite itself cannot read stays: removing it would touch broken pages.
   */
  #expired(partition: Partition, offset: number, before: number): Expired | null {
    const { storage } = this.#options
    const info = storage.batchInfo(partition, offset)
    if (info === null) return null
    let damage: LogError | null = null
    for (let at: BatchInfo | null = info; at !== null; at = storage.batchInfo(partition, at.lastOffset + 1)) {
      try {
        const { maxTimestamp } = storage.batch(partition, at.lastOffset) as StoredBatch
        if (maxTimestamp < before) return { ...info, damage }
        break
      } catch (error) {
        if (!(error instanceof LogError) || error.code !== 'corrupt') throw error
        damage ??= error
        if (isFileDamage(error)) break
      }
    }
    if (damage !== null) this.#reportOnce(damage)
    return null
  }

  /** Each damage once, not in every round. */
  #reportOnce(damage: LogError): void {
    if (this.#reported.has(damage.message)) return
    this.#reported.add(damage.message)
    this.#options.onError(damage)
  }

  #compact(partition: Partition, pause: Pause): Promise<void> {
    const { storage, tail, settings, now } = this.#options
    return compact(storage, tail, partition, { ...settings, now: now(), onDamage: error => this.#reportOnce(error) }, pause)
  }

  async #join(partition: Partition, pause: Pause): Promise<void> {
    const { storage, settings, now } = this.#options
    const { joinMs: spanMs, activeMs } = settings
    const at = now()
    const oldest = storage.batchInfo(partition, Math.max(partition.joined, partition.low))
    if (oldest === null || oldest.maxTimestamp > at - spanMs) return
    await joinSmall(storage, partition, { until: at - activeMs, spanMs, onDamage: error => this.#reportOnce(error) }, pause)
  }

  /** Returns free pages to the file system; a share stays for the next writes. */
  async #shrink(pause: Pause): Promise<void> {
    const { database } = this.#options.storage
    for (let before = Number.POSITIVE_INFINITY; ; ) {
      await pause()
      const { pages, free } = database.pageCounts()
      const spare = free - Math.max(MIN_FREE_PAGES, Math.ceil(pages * FREE_SHARE))
      if (!database.canShrink || spare <= 0 || free >= before) return
      before = free
      database.shrink(Math.min(spare, STEP_PAGES))
    }
  }

  #due(partition: Partition): boolean {
    const { storage, now, settings } = this.#options
    const at = now()
    const tombstonesUntil = storage.tombstonesUntil(partition)
    if (tombstonesUntil !== null && tombstonesUntil <= at) return true
    const oldest = storage.batchInfo(partition, partition.clean)
    if (oldest === null || oldest.maxTimestamp > at - settings.activeMs) return false
    const { bytes, dirtyBytes } = partition
    const enough = dirtyBytes >= settings.dirtyBytes && dirtyBytes >= settings.dirtyRatio * bytes
    return enough || oldest.firstTimestamp <= at - settings.maxLagMs
  }
}

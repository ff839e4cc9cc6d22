/**
 * Retention and compaction, when asked and in the background, in small steps with room for other work between them. In the background
 * small batches are joined, too, and what has become free goes back to the file system.
 */
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
  /** How often the background looks whether there is something to do, ms. */
  readonly everyMs: number
  /** A partition is compacted when this part of it is new, and at least so many bytes … */
  readonly dirtyRatio: number
  readonly dirtyBytes: number
  /** … or when something new is older than this, ms: by then what an erased key held is gone. */
  readonly maxLagMs: number
  /** Small batches of a topic by time are joined once one is older than this; what is joined spans no more, ms. */
  readonly joinMs: number
}

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE
export const CLEANING: Cleaning = {
  everyMs: MINUTE,
  activeMs: 5 * MINUTE,
  deleteRetentionMs: DAY,
  dirtyRatio: 0.5,
  dirtyBytes: 1024 * 1024,
  maxLagMs: DAY - 5 * MINUTE,
  joinMs: 60 * MINUTE,
}

/** What a step of retention removes, about: every page of it is overwritten, and written to the WAL. */
const STEP_BYTES = 2 * BATCH_BYTES

export interface CleanerOptions {
  readonly storage: Storage
  readonly tail: Tail
  readonly topics: ReadonlyMap<string, LocalTopic>
  readonly now: () => number
  readonly settings: Cleaning
  /** Told what goes wrong in the background. */
  readonly failed: (error: Error) => void
}

/** Free pages that the file keeps, at least and by its size. */
const KEPT_PAGES = 256
const KEPT_SHARE = 1 / 8
/** Pages that a step moves and cuts off. */
const STEP_PAGES = 64

interface Expired extends BatchInfo {
  readonly damage: LogError | null
}

/** Awaited between steps. @throws {LogError} `closed` once the log is. */
type Pause = () => Promise<void>

export class Cleaner {
  readonly #options: CleanerOptions
  readonly #timer: NodeJS.Timeout
  /** One thing at a time. */
  #last: Promise<void> = Promise.resolve()
  /** What it has told of. */
  readonly #told = new Set<string>()
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

  /** Removes what is older than its topic keeps. */
  retain(): Promise<void> {
    return this.#alone(() => this.#retain(this.#pause(turn)))
  }

  /** Compacts these topics now, however little of them is new. */
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
          await this.#unlessDamaged(async () => {
            if (cleanup === 'delete') await this.#toldOnce(this.#join(partition, pause))
            else if (this.#due(partition)) await this.#compact(partition, pause)
          })
        }
      }
      await this.#unlessDamaged(() => this.#toldOnce(this.#shrink(pause)))
    }
    this.#alone(work)
      .catch(error => {
        if (!this.#stopped) this.#options.failed(error)
      })
      .finally(() => {
        this.#inBackground = false
      })
  }

  /** What is damaged in one partition stays as it is, and keeps the others from nothing. */
  async #unlessDamaged(work: () => Promise<void>): Promise<void> {
    try {
      await work()
    } catch (error) {
      if (this.#stopped || !(error instanceof LogError) || error.code === 'closed') throw error
      this.#options.failed(error)
    }
  }

  /** Broken pages of the file are met again at every round. */
  async #toldOnce(work: Promise<void>): Promise<void> {
    try {
      await work
    } catch (error) {
      if (this.#stopped || !(error instanceof LogError) || error.code !== 'corrupt') throw error
      this.#tell(error)
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
        await this.#unlessDamaged(async () => {
          do await pause()
          while (this.#expire(partition, this.#options.now() - retentionMs))
        })
      }
    }
  }

  /** Removes some of the batches that are wholly older than a time. Returns whether there may be more. */
  #expire(partition: Partition, before: number): boolean {
    const { storage, tail, failed } = this.#options
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
      failed(new LogError(code, `${message}; it has been removed, for it was older than what ${partition.topic} keeps`))
    }
    return true
  }

  /**
   * The batch that an offset lies in, if it is older than a time. What a damaged one says of its time is not believed: it
   * is as old as the next one at least. Where SQLite itself cannot read it, it stays: removing it would go over broken pages.
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
    if (damage !== null) this.#tell(damage)
    return null
  }

  /** Once for each damage, and not every time that the cleaner comes by. */
  #tell(damage: LogError): void {
    if (this.#told.has(damage.message)) return
    this.#told.add(damage.message)
    this.#options.failed(damage)
  }

  #compact(partition: Partition, pause: Pause): Promise<void> {
    const { storage, tail, settings, now } = this.#options
    return compact(storage, tail, partition, { ...settings, now: now(), damaged: error => this.#tell(error) }, pause)
  }

  async #join(partition: Partition, pause: Pause): Promise<void> {
    const { storage, settings, now } = this.#options
    const { joinMs: spanMs, activeMs } = settings
    const at = now()
    const oldest = storage.batchInfo(partition, Math.max(partition.joined, partition.low))
    if (oldest === null || oldest.maxTimestamp > at - spanMs) return
    await joinSmall(storage, partition, { until: at - activeMs, spanMs, damaged: error => this.#tell(error) }, pause)
  }

  /** What is free at last: a part of it stays for what is written next. */
  async #shrink(pause: Pause): Promise<void> {
    const { database } = this.#options.storage
    for (let before = Number.POSITIVE_INFINITY; ; ) {
      await pause()
      const { pages, free } = database.room()
      const spare = free - Math.max(KEPT_PAGES, Math.ceil(pages * KEPT_SHARE))
      if (!database.shrinks || spare <= 0 || free >= before) return
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
    const much = dirtyBytes >= settings.dirtyBytes && dirtyBytes >= settings.dirtyRatio * bytes
    return much || oldest.firstTimestamp <= at - settings.maxLagMs
  }
}

/**
 * Fills a store from the log. Partitions are given out by a group; positions live in the store, moved together with what was
 * written, so that whoever comes late finds its position taken:
 *
 *   group ─▶ shares (read ahead, bounded) ─▶ lanes (claim, gather, write)
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { messageOf } from '../engine/errors.ts'
import type { Topic } from '../topics/catalog.ts'
import type { Codec, Decoded } from '../topics/codec.ts'
import {
  type Assignment,
  type Log,
  LogError,
  type LogRecord,
  type Membership,
  type Position,
  partitionKey,
  type TopicPartition,
} from '../topics/log.ts'
import { backOff, Lane } from './lane.ts'
import { type Backlog, READ_WAIT_MS, Share } from './share.ts'

/** A record that the store wants; `decoded` is null where it deletes what its key names. */
export interface Readable {
  readonly record: LogRecord
  readonly decoded: Decoded | null
}

/** Consecutive records of a partition: those wanted of the offsets from `from` up to and without `next`. */
export interface Batch {
  readonly partition: TopicPartition
  readonly from: number
  readonly next: number
  readonly records: readonly Readable[]
}

export interface Claim {
  /** Next offset to read. */
  readonly position: number
  /** Where a batch that was begun has to end: it is repeated exactly. */
  readonly until?: number
}

export interface Store {
  readonly name: string
  readonly topics: readonly Topic[]
  wants(topic: string, type: string): boolean
  /**
   * Positions of these partitions, in their order; 0 where the store has none yet.
   * @throws when the store cannot be reached
   */
  claim(partitions: readonly TopicPartition[]): Promise<Claim[]>
  /**
   * Writes batches of different partitions and moves their positions from `from` to `next`.
   * @returns how many rows were stale: the store had newer ones
   * @throws {OwnershipLost} when another process has moved a position; nothing is written then
   */
  write(batches: readonly Batch[]): Promise<{ stale: number }>
  /** How many of these, from the first on, may be in one batch; all where it is left out. At least 1. */
  cut?(records: readonly Readable[]): number
  /** Which of these positions the store does not have any more; asked now and then while nothing is written. */
  check?(positions: readonly Position[]): Promise<readonly TopicPartition[]>
  /** Whether this is due to a record itself, which no repetition mends: then the record is skipped. */
  refuses?(error: unknown): boolean
}

/** Another process has these partitions. */
export class OwnershipLost extends Error {
  readonly partitions: readonly TopicPartition[]
  constructor(partitions: readonly TopicPartition[]) {
    super(`another process has taken over ${partitions.map(partitionKey).join(', ')}`)
    this.partitions = partitions
  }
}

export interface SinkStatus {
  /** Down while the store cannot be reached or a partition cannot be read. */
  readonly status: 'up' | 'down'
  readonly detail: string
  /** Records that could not be read or that the store refused: each is in the service's log, none is in the store. */
  readonly skipped: number
  /** Rows not written because the store had newer ones. */
  readonly stale: number
}

export interface Sink {
  status(): SinkStatus
  /** Next offset to read of every partition that this process has. */
  positions(): Position[]
  /** Ends after the write that is under way, and leaves the group. */
  close(): Promise<void>
}

export interface SinkOptions {
  readonly log: Log
  readonly codec: Codec
  readonly store: Store
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Whose members share the partitions; those of the same store by default. */
  readonly group?: string
  /** A stable name of this process over restarts. */
  readonly instance?: string
  /** Most that one write takes, in bytes of the log. */
  readonly batchBytes?: number
  /** How long records wait for a batch to fill, ms; up to ten times as long where writing takes long. */
  readonly lingerMs?: number
  /** Batches that are written at a time. */
  readonly lanes?: number
}

const BATCH_BYTES = 4 * 1024 * 1024

/** Starts filling the store. The group gives this process its partitions a moment later. */
export async function startSink(options: SinkOptions): Promise<Sink> {
  const sink = new Filling(options)
  await sink.join()
  return sink
}

class Filling implements Sink {
  readonly #options: SinkOptions
  readonly #closing = new AbortController()
  readonly #backlog: Backlog = { bytes: 0, room: new Set() }
  readonly #lanes: readonly { readonly lane: Lane; readonly shares: Map<string, Share> }[]
  readonly #readers = new Set<Promise<void>>()
  #assigned = false
  #membership: Membership | null = null
  #running: Promise<unknown> = Promise.resolve()

  constructor(options: SinkOptions) {
    this.#options = options
    const { batchBytes = BATCH_BYTES, lingerMs = 0, lanes = 2 } = options
    this.#lanes = Array.from({ length: lanes }, () => {
      const shares = new Map<string, Share>()
      const lane = new Lane({
        ...options,
        batchBytes,
        lingerMs,
        shares,
        read: share => this.#read(share, lane),
        renew: (share, notBefore) => {
          share.drop()
          shares.set(share.key, new Share(share.at, this.#backlog, notBefore))
        },
        pause: ms => this.#pause(ms),
        closed: () => this.#closing.signal.aborted,
      })
      return { lane, shares }
    })
  }

  async join(): Promise<void> {
    const { log, store, group = `bma.sinks.${store.name}`, instance = store.name } = this.#options
    const membership = await log.join({
      group,
      topics: store.topics.map(t => t.name),
      instance,
      copartitioned: true,
      assigned: assignment => this.#assign(assignment),
      revoked: async () => {
        this.#release()
        await Promise.allSettled(this.#lanes.map(({ lane }) => lane.writing))
      },
    })
    this.#membership = membership
    this.#running = Promise.all([this.#stay(membership), ...this.#lanes.map(({ lane }) => lane.run())])
  }

  async close(): Promise<void> {
    this.#closing.abort()
    this.#release()
    this.#membership?.wake()
    await this.#running
    await Promise.all(this.#readers)
    await this.#membership?.leave()
  }

  positions(): Position[] {
    return this.#shares()
      .filter(s => s.claimed)
      .map(s => s.reached)
  }

  status(): SinkStatus {
    const detail = this.#whatIsWrong()
    const sum = (of: (lane: Lane) => number) => this.#lanes.reduce((all, { lane }) => all + of(lane), 0)
    const [skipped, stale] = [sum(lane => lane.skipped), sum(lane => lane.stale)]
    return { status: detail === null ? 'up' : 'down', detail: detail ?? '', skipped, stale }
  }

  #shares(): Share[] {
    return this.#lanes.flatMap(({ shares }) => [...shares.values()])
  }

  #whatIsWrong(): string | null {
    for (const { lane } of this.#lanes) if (lane.trouble !== null) return lane.trouble
    if (!this.#assigned) return 'the group has not given out its partitions yet'
    for (const { key, trouble, claimed, notBefore } of this.#shares()) {
      if (trouble !== null) return `${key}: ${trouble}`
      if (!claimed && notBefore === 0) return `${key}: has not been claimed yet`
    }
    return null
  }

  #assign({ partitions }: Assignment): void {
    this.#release()
    this.#assigned = true
    for (const at of partitions) {
      const { shares } = this.#lanes[at.partition % this.#lanes.length] as { shares: Map<string, Share> }
      shares.set(partitionKey(at), new Share(at, this.#backlog))
    }
    for (const { lane } of this.#lanes) lane.notify()
  }

  #release(): void {
    this.#assigned = false
    for (const share of this.#shares()) share.drop()
    for (const { lane, shares } of this.#lanes) {
      shares.clear()
      lane.notify()
    }
  }

  #read(share: Share, lane: Lane): void {
    const pause = (failures: number) => this.#pause(backOff(failures))
    const reading = share.read(this.#options.log, { arrived: () => lane.notify(), pause })
    this.#readers.add(reading)
    void reading.then(() => this.#readers.delete(reading))
  }

  /** A member that does not poll is taken for one that hangs. Nothing is polled this way: partitions are read without a group. */
  async #stay(membership: Membership): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        await membership.poll({ max: 1, wait: READ_WAIT_MS })
      } catch (error) {
        if (this.#closing.signal.aborted || (error instanceof LogError && error.code === 'closed')) return
        this.#options.logger.warn({ reason: messageOf(error) }, `the ${this.#options.store.name} sink waits for its group`)
        await this.#pause(READ_WAIT_MS)
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => {})
  }
}

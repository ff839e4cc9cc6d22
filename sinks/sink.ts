/**
 * Fills a store from the log. A consumer group assigns the partitions. Positions live in the store and move together with the rows,
 * so a process that has lost a partition cannot write it:
 *
 *   group ─▶ partition buffers (read-ahead, bounded) ─▶ writers (claim, gather, write)
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { messageOf } from '../engine/errors.ts'
import type { Codec } from '../topics/codec.ts'
import { type Assignment, type Log, LogError, type Membership, type Position, partitionKey } from '../topics/log.ts'
import { type Backlog, PartitionBuffer, READ_WAIT_MS } from './partition-buffer.ts'
import type { Store } from './store.ts'
import { backOffMs, SinkWriter } from './writer.ts'

export interface SinkStatus {
  /** Down while the store cannot be reached or a partition cannot be read. */
  readonly status: 'up' | 'down'
  readonly detail: string
  /** Records that could not be decoded or that the store refused: each was logged, none is in the store. */
  readonly skipped: number
  /** Rows not written because the store had newer ones. */
  readonly stale: number
}

export interface Sink {
  status(): SinkStatus
  /** Next offset to write of every partition that this process owns. */
  positions(): Position[]
  /** Finishes the current write, then leaves the group. */
  close(): Promise<void>
}

export interface SinkOptions {
  readonly log: Log
  readonly codec: Codec
  readonly store: Store
  readonly logger: Pick<Logger, 'info' | 'warn' | 'error'>
  /** Consumer group; one per store by default. */
  readonly group?: string
  /** A name of this process that is stable across restarts. */
  readonly instance?: string
  /** Upper bound of one write, in bytes of the log. */
  readonly batchBytes?: number
  /** How long records wait for a batch to fill, ms; up to ten times as long for a slow store. */
  readonly lingerMs?: number
  /** Concurrent writes. */
  readonly writers?: number
}

const BATCH_BYTES = 4 * 1024 * 1024

/** Starts filling the store. The group assigns partitions to this process a moment later. */
export async function startSink(options: SinkOptions): Promise<Sink> {
  const runner = new SinkRunner(options)
  await runner.join()
  return runner
}

class SinkRunner implements Sink {
  readonly #options: SinkOptions
  readonly #closing = new AbortController()
  readonly #backlog: Backlog = { bytes: 0, waiters: new Set() }
  readonly #writers: readonly { readonly writer: SinkWriter; readonly buffers: Map<string, PartitionBuffer> }[]
  readonly #readers = new Set<Promise<void>>()
  #assigned = false
  #membership: Membership | null = null
  #running: Promise<unknown> = Promise.resolve()

  constructor(options: SinkOptions) {
    this.#options = options
    const { batchBytes = BATCH_BYTES, lingerMs = 0, writers = 2 } = options
    this.#writers = Array.from({ length: writers }, () => {
      const buffers = new Map<string, PartitionBuffer>()
      const writer = new SinkWriter({
        ...options,
        batchBytes,
        lingerMs,
        buffers,
        read: buffer => this.#read(buffer, writer),
        renew: (buffer, notBefore) => {
          buffer.drop()
          buffers.set(buffer.key, new PartitionBuffer(buffer.at, this.#backlog, notBefore))
        },
        pause: ms => this.#pause(ms),
        closed: () => this.#closing.signal.aborted,
      })
      return { writer, buffers }
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
        await Promise.allSettled(this.#writers.map(({ writer }) => writer.writing))
      },
    })
    this.#membership = membership
    this.#running = Promise.all([this.#keepMembershipAlive(membership), ...this.#writers.map(({ writer }) => writer.run())])
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
    return this.#buffers()
      .filter(s => s.claimed)
      .map(s => s.reached)
  }

  status(): SinkStatus {
    const detail = this.#problem()
    const sum = (of: (writer: SinkWriter) => number) => this.#writers.reduce((all, { writer }) => all + of(writer), 0)
    const [skipped, stale] = [sum(writer => writer.skipped), sum(writer => writer.stale)]
    return { status: detail === null ? 'up' : 'down', detail: detail ?? '', skipped, stale }
  }

  #buffers(): PartitionBuffer[] {
    return this.#writers.flatMap(({ buffers }) => [...buffers.values()])
  }

  #problem(): string | null {
    for (const { writer } of this.#writers) if (writer.failure !== null) return writer.failure
    if (!this.#assigned) return 'no partitions assigned yet'
    for (const { key, failure, claimed, notBefore } of this.#buffers()) {
      if (failure !== null) return `${key}: ${failure}`
      if (!claimed && notBefore === 0) return `${key}: not claimed yet`
    }
    return null
  }

  #assign({ partitions }: Assignment): void {
    this.#release()
    this.#assigned = true
    for (const at of partitions) {
      const { buffers } = this.#writers[at.partition % this.#writers.length] as { buffers: Map<string, PartitionBuffer> }
      buffers.set(partitionKey(at), new PartitionBuffer(at, this.#backlog))
    }
    for (const { writer } of this.#writers) writer.notify()
  }

  #release(): void {
    this.#assigned = false
    for (const buffer of this.#buffers()) buffer.drop()
    for (const { writer, buffers } of this.#writers) {
      buffers.clear()
      writer.notify()
    }
  }

  #read(buffer: PartitionBuffer, writer: SinkWriter): void {
    const pause = (failures: number) => this.#pause(backOffMs(failures))
    const reading = buffer.read(this.#options.log, { arrived: () => writer.notify(), pause })
    this.#readers.add(reading)
    void reading.then(() => this.#readers.delete(reading))
  }

  /** A member that does not poll is taken for dead. The poll returns nothing: partitions are read outside the group. */
  async #keepMembershipAlive(membership: Membership): Promise<void> {
    while (!this.#closing.signal.aborted) {
      try {
        await membership.poll({ max: 1, wait: READ_WAIT_MS })
      } catch (error) {
        if (this.#closing.signal.aborted || (error instanceof LogError && error.code === 'closed')) return
        this.#options.logger.warn({ reason: messageOf(error) }, `${this.#options.store.name} sink: its group cannot be polled`)
        await this.#pause(READ_WAIT_MS)
      }
    }
  }

  async #pause(ms: number): Promise<void> {
    await sleep(ms, undefined, { signal: this.#closing.signal }).catch(() => {})
  }
}

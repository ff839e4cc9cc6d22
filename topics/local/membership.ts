/**
 * Membership in a group, and its transactions. One process owns the log, so a group has one member, which is assigned every partition and
 * loses them only by leaving: `revoked` is never called. Its generation is durable, and fences transactions of an earlier membership.
 */
import {
  type Append,
  type Assignment,
  LogError,
  type LogRecord,
  type Membership,
  type Polled,
  type Position,
  partitionKey,
  type TopicPartition,
  type Transaction,
} from '../log.ts'
import type { ReadWindow } from '../records.ts'
import { TransactionSequence } from '../transaction.ts'
import { turn, Waiter } from '../wait.ts'
import type { PlacedRecord, CommitUnit } from './commits.ts'
import type { Partition } from './partition.ts'
import type { Reader } from './reader.ts'

/** What a membership needs of its log. */
export interface MembershipHost {
  readonly reader: Reader
  /** @throws {LogError} `closed` */
  check(): void
  /** @throws {LogError} `no_topic`, `too_large` */
  place(record: Append): PlacedRecord
  partition(of: TopicPartition): Partition
  committed(group: string): Promise<Position[]>
  commit(unit: CommitUnit): Promise<number[]>
  left(membership: LocalMembership): void
}

/** Most that one poll returns, so that it stays short. */
const POLL_BYTES = 1024 * 1024
/** Pause after the first failed read of a partition; it doubles with each further one. */
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 10_000

interface Started {
  readonly partition: Partition
  next: number
  /** Log end offset, if it was started beyond that: records that come there later are not those it was to read. */
  readonly endedAt: number | null
  /** Failed attempts in a row. */
  failures: number
  /** No further attempt before then, monotonic ms. */
  notBefore: number
}

export class LocalMembership implements Membership {
  readonly exclusive = true
  readonly assignment: Assignment
  readonly #host: MembershipHost
  /** By partition; the one polled longest ago comes first. */
  readonly #started = new Map<string, Started>()
  readonly #news = new Waiter()
  readonly #notify = () => this.#news.wake()
  readonly #transactions = new TransactionSequence()
  #polling = false
  #woken = false
  #left = false

  constructor(host: MembershipHost, assignment: Assignment) {
    this.#host = host
    this.assignment = assignment
  }

  async fence(): Promise<void> {
    this.#check()
  }

  async committed(partitions: readonly TopicPartition[]): Promise<Position[]> {
    this.#check()
    const asked = new Set(partitions.map(partitionKey))
    const committed = await this.#host.committed(this.assignment.group)
    return committed.filter(position => asked.has(partitionKey(position)))
  }

  start(position: Position): void {
    this.#check()
    const key = partitionKey(position)
    if (!this.assignment.partitions.some(p => partitionKey(p) === key)) {
      throw new Error(`${key} is not assigned to ${this.assignment.member}`)
    }
    this.stop(position)
    const partition = this.#host.partition(position)
    const endedAt = position.offset > partition.high ? partition.high : null
    this.#started.set(key, { partition, next: position.offset, endedAt, failures: 0, notBefore: 0 })
    partition.listeners.add(this.#notify)
    this.#notify()
  }

  stop(partition: TopicPartition): void {
    const started = this.#started.get(partitionKey(partition))
    started?.partition.listeners.delete(this.#notify)
    this.#started.delete(partitionKey(partition))
  }

  async poll({ max, wait }: { max: number; wait: number }): Promise<Polled[]> {
    this.#check()
    if (this.#polling) throw new Error(`group "${this.assignment.group}": another poll is in progress`)
    this.#polling = true
    try {
      const deadline = performance.now() + wait
      await turn()
      for (;;) {
        this.#host.check()
        const polled = this.#left ? [] : this.#take(max)
        const now = performance.now()
        if (polled.length > 0 || this.#woken || this.#left || now >= deadline) {
          this.#woken = false
          return polled
        }
        await this.#news.wait(Math.min(deadline, this.#nextTry()) - now)
      }
    } finally {
      this.#polling = false
    }
  }

  /** Ends the next poll when none is waiting: a call between two polls is not lost. */
  wake(): void {
    this.#woken = true
    this.#notify()
  }

  begin(assignment: Assignment): Transaction {
    this.#host.check()
    const records: PlacedRecord[] = []
    return this.#transactions.begin(assignment, {
      append: record => {
        records.push(this.#host.place(record))
      },
      commit: async offsets => {
        const appended = await this.#host.commit({ records, fence: { assignment, offsets } })
        return new Map(records.map(({ partition }, i) => [partitionKey(partition), appended[i] as number]))
      },
    })
  }

  lease(): number {
    return this.#left ? 0 : Number.POSITIVE_INFINITY
  }

  async leave(): Promise<void> {
    if (this.#left) return
    this.#left = true
    for (const { partition } of this.#started.values()) this.stop(partition)
    this.#host.left(this)
    this.#notify()
  }

  #check(): void {
    this.#host.check()
    if (this.#left) throw new LogError('fenced', `${this.assignment.member} has left group "${this.assignment.group}"`)
  }

  /** Divides what may be taken among the partitions that have records; each one served goes to the end of the queue. */
  #take(max: number): Polled[] {
    const now = performance.now()
    const ready = [...this.#started].filter(([, { partition, next, endedAt, notBefore }]) => {
      return (next !== partition.high || next < partition.low || endedAt !== null) && notBefore <= now
    })
    const polled: Polled[] = []
    let bytes = POLL_BYTES
    let records = max
    for (const [i, [key, started]] of ready.entries()) {
      if (records <= 0 || bytes <= 0) break
      const among = ready.length - i
      const share = Math.ceil(bytes / among)
      const window = { from: started.next, records: Math.ceil(records / among), bytes: share }
      const range = this.#range(started, window)
      if (range === null) continue
      bytes -= share - window.bytes
      records -= range.records.length
      polled.push(range)
      this.#started.delete(key)
      this.#started.set(key, started)
    }
    return polled
  }

  /** What can be read of a partition; damage, or records that are gone, are an error of this partition alone. */
  #range(started: Started, window: ReadWindow): Polled | null {
    const { partition, next: from, endedAt } = started
    const { topic, partition: number, low } = partition
    const records: LogRecord[] = []
    let error: LogError | null = null
    if (from < low || endedAt !== null) {
      const why = from < low ? `the log starts at ${low}: ${low - from} offsets are gone` : `the log ended at ${endedAt}`
      error = new LogError('gap', `${partitionKey(partition)}: offset ${from} is to be read next, but ${why}`)
    } else {
      try {
        this.#host.reader.take(partition, window, records, Number.POSITIVE_INFINITY)
      } catch (cause) {
        error = cause instanceof LogError ? cause : new LogError('unavailable', (cause as Error).message, { cause })
      }
    }
    // What comes before the damage is returned; the next attempt meets the damage itself.
    if (window.from > from) {
      started.next = window.from
      started.failures = 0
      return { topic, partition: number, from, next: window.from, records, error: null }
    }
    if (error === null) return null
    started.notBefore = performance.now() + Math.min(FIRST_RETRY_MS * 2 ** started.failures++, MAX_RETRY_MS)
    return { topic, partition: number, from, next: from, records: [], error }
  }

  /** When the first partition that could not be read is tried again, monotonic ms. */
  #nextTry(): number {
    let next = Number.POSITIVE_INFINITY
    for (const { failures, notBefore } of this.#started.values()) if (failures > 0) next = Math.min(next, notBefore)
    return next
  }
}

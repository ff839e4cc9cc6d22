/**
 * Membership in a group, and its transactions. One process owns the log, so a group has one member, which is given every
 * partition and loses them only by leaving: `revoked` is never called. Its generation is durable, and fences transactions
 * of an earlier membership.
 */
import {
  type Append,
  type Assignment,
  LogError,
  type LogRecord,
  type Membership,
  type Position,
  partitionKey,
  type TopicPartition,
  type Transaction,
} from '../log.ts'
import type { Placed, Unit } from './commits.ts'
import type { Partition } from './partition.ts'
import { MAX_TIMER_MS, type Reader, turn } from './reader.ts'

/** What a membership needs of its log. */
export interface Owner {
  readonly reader: Reader
  /** @throws {LogError} `closed` */
  check(): void
  /** @throws {LogError} `no_topic`, `too_large` */
  place(record: Append): Placed
  partition(of: TopicPartition): Partition
  committed(group: string): Promise<Position[]>
  commit(unit: Unit): Promise<number[]>
  left(membership: LocalMembership): void
}

/** Most that one poll brings, so that it stays short. */
const POLL_BYTES = 4 * 1024 * 1024

interface Started {
  readonly partition: Partition
  next: number
}

export class LocalMembership implements Membership {
  readonly exclusive = true
  readonly assignment: Assignment
  readonly #owner: Owner
  /** By partition; those polled longest ago come first. */
  readonly #started = new Map<string, Started>()
  readonly #notify = () => this.#resume?.()
  #resume: (() => void) | null = null
  #polling = false
  #woken = false
  #left = false
  #open: LocalTransaction | null = null

  constructor(owner: Owner, assignment: Assignment) {
    this.#owner = owner
    this.assignment = assignment
  }

  async fence(): Promise<void> {
    this.#check()
  }

  async committed(partitions: readonly TopicPartition[]): Promise<Position[]> {
    this.#check()
    const asked = new Set(partitions.map(partitionKey))
    const committed = await this.#owner.committed(this.assignment.group)
    return committed.filter(position => asked.has(partitionKey(position)))
  }

  start(position: Position): void {
    this.#check()
    const key = partitionKey(position)
    if (!this.assignment.partitions.some(p => partitionKey(p) === key)) {
      throw new Error(`${key} is not assigned to ${this.assignment.member}`)
    }
    this.stop(position)
    const partition = this.#owner.partition(position)
    this.#started.set(key, { partition, next: position.offset })
    partition.listeners.add(this.#notify)
    this.#notify()
  }

  stop(partition: TopicPartition): void {
    const started = this.#started.get(partitionKey(partition))
    started?.partition.listeners.delete(this.#notify)
    this.#started.delete(partitionKey(partition))
  }

  async poll({ max, wait }: { max: number; wait: number }): Promise<LogRecord[]> {
    this.#check()
    if (this.#polling) throw new Error(`group "${this.assignment.group}": a poll is under way; one at a time`)
    this.#polling = true
    try {
      const deadline = performance.now() + wait
      await turn()
      for (;;) {
        this.#owner.check()
        const records = this.#left ? [] : this.#take(max)
        const remaining = deadline - performance.now()
        if (records.length > 0 || this.#woken || this.#left || remaining <= 0) {
          this.#woken = false
          return records
        }
        await this.#news(remaining)
      }
    } finally {
      this.#polling = false
    }
  }

  /** Also ends the next poll when none is waiting: a call that falls between two polls is not lost. */
  wake(): void {
    this.#woken = true
    this.#notify()
  }

  begin(assignment: Assignment): Transaction {
    this.#owner.check()
    if (this.#open !== null && !this.#open.ended)
      throw new Error(`group "${assignment.group}": a transaction is open; commit or abort it first`)
    this.#open = new LocalTransaction(this.#owner, assignment)
    return this.#open
  }

  lease(): number {
    return this.#left ? 0 : Number.POSITIVE_INFINITY
  }

  async leave(): Promise<void> {
    if (this.#left) return
    this.#left = true
    for (const { partition } of this.#started.values()) this.stop(partition)
    this.#owner.left(this)
    this.#notify()
  }

  #check(): void {
    this.#owner.check()
    if (this.#left) throw new LogError('fenced', `${this.assignment.member} has left group "${this.assignment.group}"`)
  }

  /** Shares what may be taken among the partitions that have something; who gets some goes to the end of the queue. */
  #take(max: number): LogRecord[] {
    const ready = [...this.#started].filter(([, { partition, next }]) => next < partition.high)
    const records: LogRecord[] = []
    let bytes = POLL_BYTES
    for (const [i, [key, started]] of ready.entries()) {
      const among = ready.length - i
      const share = Math.ceil(bytes / among)
      const window = { from: started.next, records: Math.ceil((max - records.length) / among), bytes: share }
      this.#owner.reader.take(started.partition, window, records, Number.POSITIVE_INFINITY)
      bytes -= share - window.bytes
      if (window.from === started.next) continue
      started.next = window.from
      this.#started.delete(key)
      this.#started.set(key, started)
    }
    return records
  }

  /** Resolves when there may be something to poll, or after so many ms. */
  #news(ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#resume = null
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, MAX_TIMER_MS))
      this.#resume = done
    })
  }
}

/** Kept in memory until its commit, which takes all of it or nothing. */
class LocalTransaction implements Transaction {
  readonly #owner: Owner
  readonly #assignment: Assignment
  readonly #records: Placed[] = []
  readonly #offsets = new Map<string, Position>()
  #state: 'open' | 'committing' | 'ended' = 'open'

  constructor(owner: Owner, assignment: Assignment) {
    this.#owner = owner
    this.#assignment = assignment
  }

  get ended(): boolean {
    return this.#state === 'ended'
  }

  append(record: Append): void {
    this.#checkOpen()
    this.#records.push(this.#owner.place(record))
  }

  offsets(positions: readonly Position[]): void {
    this.#checkOpen()
    for (const position of positions) {
      const key = partitionKey(position)
      if (!this.#assignment.partitions.some(p => partitionKey(p) === key))
        throw new Error(`${key} is not of the assignment that the transaction was begun with`)
      this.#offsets.set(key, position)
    }
  }

  async commit(): Promise<Map<string, number>> {
    this.#checkOpen()
    this.#state = 'committing'
    try {
      if (this.#offsets.size === 0) throw new Error('every transaction commits at least one input offset: it is the fence')
      const fence = { assignment: this.#assignment, offsets: [...this.#offsets.values()] }
      const offsets = await this.#owner.commit({ records: this.#records, fence })
      return new Map(this.#records.map(({ partition }, i) => [partitionKey(partition), offsets[i] as number]))
    } finally {
      this.#state = 'ended'
    }
  }

  async abort(): Promise<void> {
    if (this.#state === 'committing') throw new Error('the transaction is being committed; it cannot be aborted any more')
    this.#state = 'ended'
  }

  #checkOpen(): void {
    if (this.#state !== 'open') throw new Error('the transaction has ended; begin another')
  }
}

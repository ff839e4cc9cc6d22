/**
 * The cluster: what all workers share. Its faults are switched on from outside; what is committed, and by whom, goes to the
 * history.
 */
import {
  type Append,
  type Assignment,
  LogError,
  MAX_RECORD_BYTES,
  type Position,
  partitionKey,
  type TopicPartition,
} from '../../../topics/log.ts'
import { partitionOf } from '../../../topics/murmur2.ts'
import { payloadBytes } from '../../../topics/records.ts'
import { type Life, Scheduler } from '../scheduler.ts'
import { Group } from './group.ts'
import { Partition } from './partition.ts'

/** Chances of what may go wrong at each request, 0 while all is well. */
export interface Odds {
  /** The outcome of a commit is not told. */
  unknownCommits: number
  /** An append outside a transaction is taken, but answered with an error. */
  doubtfulAppends: number
  /** An append outside a transaction is refused. */
  refusedAppends: number
  /** A commit, or a write to a disk, takes seconds. */
  stalls: number
  /** A marker takes seconds to its partition. */
  slowMarkers: number
  /** A fetch of one partition fails. */
  fetchErrors: number
  /** A transaction takes no record, or cannot be begun. */
  brokenTransactions: number
}

export const WELL: Odds = {
  unknownCommits: 0,
  doubtfulAppends: 0,
  refusedAppends: 0,
  stalls: 0,
  slowMarkers: 0,
  fetchErrors: 0,
  brokenTransactions: 0,
}

export interface Commit {
  readonly life: Life
  readonly written: readonly (Position & Append)[]
  readonly offsets: readonly Position[]
}

export class Cluster {
  readonly scheduler: Scheduler
  readonly group: Group
  odds: Odds = { ...WELL }
  readonly violations: string[] = []
  readonly partitions: Map<string, number>
  /** How far the log's clock is off, ms. */
  skew = 0
  /** Told of each transaction that counts, in the order of the log. */
  onCommit: (commit: Commit) => void = () => {}
  /** How far a partition is handled, where the group has forgotten it. */
  handledTo: (at: TopicPartition) => number | undefined = () => undefined
  /** Told when a commit of this life takes seconds. */
  onStall: (life: Life) => void = () => {}
  /** What a record becomes that a life writes: newer code writes by newer schemas. */
  rewrite: (life: Life | null, append: Append) => Append = (_life, append) => append
  /** The topic whose owner alone may write a topic in transactions: changelogs and inboxes of their own actor. */
  readonly ownedBy = new Map<string, string>()
  readonly #all = new Map<string, Partition>()
  readonly #identities = new Map<string, number>()
  readonly #epochs = new Map<string, number>()
  /** Markers on their way, by instance. */
  readonly #completing = new Map<string, number>()
  #waiting: (() => void)[] = []

  constructor(scheduler: Scheduler, partitions: ReadonlyMap<string, number>) {
    this.scheduler = scheduler
    this.partitions = new Map(partitions)
    this.group = new Group(scheduler)
  }

  partition(at: TopicPartition): Partition {
    const key = partitionKey(at)
    let found = this.#all.get(key)
    if (found === undefined) {
      found = new Partition({ topic: at.topic, partition: at.partition })
      this.#all.set(key, found)
    }
    return found
  }

  partitionsOf(topic: string): Partition[] {
    return Array.from({ length: this.partitions.get(topic) ?? 0 }, (_, partition) => this.partition({ topic, partition }))
  }

  all(at: TopicPartition) {
    return this.partition(at).records
  }

  committed(at: TopicPartition): number | undefined {
    return this.group.committed(at) ?? this.handledTo(at)
  }

  topicId(topic: string): string {
    if (!this.partitions.has(topic)) throw new LogError('no_topic', `no topic ${topic}`)
    return `${topic}@${this.#identities.get(topic) ?? 0}`
  }

  /** The topic is deleted and made again. */
  remake(topic: string): void {
    this.#identities.set(topic, (this.#identities.get(topic) ?? 0) + 1)
    for (const partition of this.partitionsOf(topic)) {
      partition.cut(0)
      partition.low = 0
    }
  }

  /** Partitions are added; the group shares those of an inbox out. */
  grow(topic: string, partitions: number): void {
    const before = this.partitions.get(topic) ?? 0
    this.partitions.set(topic, Math.max(before, partitions))
    for (let partition = before; partition < partitions; partition++)
      if (topic.endsWith('.inbox')) this.group.inputs.push(partitionKey({ topic, partition }))
    this.group.rebalance()
  }

  now(): number {
    return Scheduler.EPOCH + this.scheduler.time + this.skew
  }

  where({ topic, key, partition }: Append): Partition {
    const count = this.partitions.get(topic)
    if (count === undefined) throw new LogError('no_topic', `no topic ${topic}`)
    if (partition !== undefined && partition >= count)
      throw new LogError('no_topic', `topic ${topic} has no partition ${partition}`)
    return this.partition({ topic, partition: partition ?? partitionOf(key, count) })
  }

  /** @throws {LogError} `too_large`, `unavailable` */
  write(append: Append, life: Life | null = null): Position {
    const partition = this.where(append)
    checkSize(append)
    if (partition.leaderless) throw new LogError('unavailable', `nobody leads ${partitionKey(partition.at)}`)
    const offset = partition.write(this.rewrite(life, append), this.now())
    this.#changed()
    return { ...partition.at, offset }
  }

  /** Resolves at the next record that readers see. */
  changed(): Promise<void> {
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  #changed(): void {
    for (const wake of this.#waiting.splice(0)) wake()
  }

  // Transactions

  fence(instance: string): number {
    const next = (this.#epochs.get(instance) ?? 0) + 1
    this.#epochs.set(instance, next)
    return next
  }

  /** A transaction of this instance is decided, and its markers are on their way: the next has to wait. */
  completing(instance: string): boolean {
    return (this.#completing.get(instance) ?? 0) > 0
  }

  commit(
    life: Life,
    instance: string,
    epoch: number,
    assignment: Assignment,
    appends: readonly Append[],
    offsets: readonly Position[],
  ): Map<string, number> {
    try {
      if (epoch !== (this.#epochs.get(instance) ?? 0)) throw new LogError('fenced', 'a newer life of this producer has come')
      this.group.check(assignment, offsets)
      const away = appends.map(a => this.where(a)).find(p => p.leaderless)
      if (away !== undefined) throw new LogError('unknown', `nobody leads ${partitionKey(away.at)}`)
    } catch (error) {
      if (this.scheduler.random.chance(0.3)) this.waste(appends)
      throw error
    }
    for (const append of appends) this.#checkOwner(life, append)
    const last = new Map<string, number>()
    const first = new Map<Partition, number>()
    const written: (Position & Append)[] = []
    for (const append of appends) {
      const partition = this.where(append)
      const offset = partition.write(this.rewrite(life, append), this.now())
      if (!first.has(partition)) first.set(partition, offset)
      last.set(partitionKey(partition.at), offset)
      written.push({ ...append, ...partition.at, offset })
    }
    this.onCommit({ life, written, offsets })
    const markers = [...first].map(([partition, offset]) => partition.hold(offset))
    if (offsets.length > 0) markers.push(this.group.commit(offsets))
    for (const marker of markers) this.#send(instance, marker)
    return last
  }

  /** What a transaction wrote that was given up. */
  waste(appends: readonly Append[]): void {
    const counts = new Map<Partition, number>()
    for (const append of appends) counts.set(this.where(append), (counts.get(this.where(append)) ?? 0) + 1)
    for (const [partition, count] of counts) partition.waste(count)
  }

  #send(instance: string, marker: () => void): void {
    const { random } = this.scheduler
    const slow = random.chance(this.odds.slowMarkers)
    this.#completing.set(instance, (this.#completing.get(instance) ?? 0) + 1)
    this.scheduler.at(random.below(slow ? 4_000 : 3), null, () => {
      marker()
      this.#completing.set(instance, (this.#completing.get(instance) ?? 1) - 1)
      this.#changed()
    })
  }

  #checkOwner(life: Life, append: Append): void {
    const inbox = this.ownedBy.get(append.topic)
    if (inbox === undefined) return
    const { partition } = this.where(append).at
    const at = { topic: inbox, partition }
    const owner = this.group.owner(at)
    if (this.group.shares(at) && owner !== life)
      this.violations.push(
        `${life.name} committed a record to ${append.topic}/${partition}, which ${owner?.name ?? 'nobody'} owns`,
      )
  }
}

/** @throws {LogError} `too_large` */
export function checkSize(append: Append): void {
  const bytes = payloadBytes(append)
  if (bytes > MAX_RECORD_BYTES) throw new LogError('too_large', `a record of ${bytes} bytes for ${append.topic}`)
}

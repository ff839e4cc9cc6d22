/** The log as one worker sees it: answers come late or never, and a partition may be without a leader, or damaged, for a while. */
import {
  type Append,
  type Ends,
  type JoinOptions,
  type Log,
  LogError,
  type Membership,
  type Position,
  partitionKey,
  type Read,
  type TopicPartition,
} from '../../../topics/log.ts'
import type { Life } from '../scheduler.ts'
import { checkSize, type Cluster } from './cluster.ts'
import { SimulatedMembership } from './membership.ts'

export class SimulatedLog implements Log {
  readonly transactionBytes = 6 * 1024 * 1024
  readonly #cluster: Cluster
  readonly #life: Life
  /** No heartbeat gets through, though the process runs. */
  cutOff = false
  /** Every poll fails. */
  pollFails = false
  /** How often something was asked that only a restore asks, and how often a transaction was begun. */
  readonly asked = { restores: 0, transactions: 0 }

  constructor(cluster: Cluster, life: Life) {
    this.#cluster = cluster
    this.#life = life
  }

  append(records: readonly Append[]): Promise<Position[]> {
    const { scheduler, odds } = this.#cluster
    return scheduler.remote(this.#life, () => {
      for (const record of records) checkSize(record)
      if (scheduler.random.chance(odds.refusedAppends)) throw new LogError('unavailable', 'an append is refused')
      const positions = records.map(r => this.#cluster.write(r, this.#life))
      if (scheduler.random.chance(odds.doubtfulAppends)) throw new LogError('unavailable', 'no answer to an append')
      return positions
    })
  }

  async read(at: TopicPartition, from: number): Promise<Read> {
    const { scheduler } = this.#cluster
    for (let tries = 0; ; tries++) {
      const read = await scheduler.remote(this.#life, () => this.#read(at, from))
      // Nothing is visible yet: waits, as a driver does, for a while.
      if (read.next > from || tries === 20) return read
      await scheduler.sleep(50, this.#life)
    }
  }

  #read(at: TopicPartition, from: number): Read {
    const { random } = this.#cluster.scheduler
    const partition = this.#cluster.where({ ...at, key: null, value: null })
    if (partition.leaderless) throw new LogError('unavailable', `nobody leads ${partitionKey(at)}`)
    if (partition.damaged) throw new LogError('corrupt', `a batch of ${partitionKey(at)} has a wrong checksum`)
    const begin = Math.max(from, partition.low)
    const all = partition.visible(begin)
    const records = random.chance(0.3) ? all.slice(0, 1 + random.below(all.length + 1)) : all
    const last = records.at(-1)
    if (records.length < all.length && last !== undefined) return { records, next: last.offset + 1 }
    return { records, next: Math.max(begin, partition.stable) }
  }

  ends(topic: string): Promise<Ends[]> {
    return this.#cluster.scheduler.remote(this.#life, () => {
      const partitions = this.#cluster.partitionsOf(topic)
      if (partitions.some(p => p.leaderless)) throw new LogError('unavailable', `a partition of ${topic} has no leader`)
      return partitions.map(({ at, low, end }) => ({ partition: at.partition, low, high: end }))
    })
  }

  topicId(topic: string): Promise<string> {
    return this.#cluster.scheduler.remote(this.#life, () => this.#cluster.topicId(topic))
  }

  async join(options: JoinOptions): Promise<Membership> {
    const membership = new SimulatedMembership(this.#cluster, this.#life, options, this)
    await membership.join()
    return membership
  }

  async groupOffsets(): Promise<Position[]> {
    return []
  }
  async groups(): Promise<string[]> {
    return []
  }
  async close(): Promise<void> {}
}

/**
 * A log in memory with the faults of a real one: answers that come late or never, commits whose outcome nobody is told, groups
 * that evict and rebalance. What is committed, and by whom, is kept for the oracle.
 */
import { partitionOf } from '../../topics/murmur2.ts'
import {
  type Append,
  type Assignment,
  type Ends,
  type JoinOptions,
  type Log,
  LogError,
  type LogRecord,
  type Membership,
  partitionKey,
  type Position,
  type Read,
  type TopicPartition,
  type Transaction,
} from '../../topics/log.ts'
import type { Life, Scheduler } from './scheduler.ts'

const SESSION_TIMEOUT = 10_000
const HEARTBEAT = 2_000
/** A member that has not joined anew by then is left out; a driver holds JoinGroup back no longer than this. */
const REBALANCE_TIMEOUT = 4_000

interface Member {
  readonly id: string
  readonly life: Life
  lastSeen: number
  joined: boolean
}

interface Group {
  generation: number
  members: Map<string, Member>
  owners: Map<string, string>
  /** Null while stable. */
  rebalanceBy: number | null
  offsets: Map<string, number>
}

/** The cluster: what all workers share. */
export class Cluster {
  readonly scheduler: Scheduler
  readonly partitions: ReadonlyMap<string, number>
  readonly records = new Map<string, LogRecord[]>()
  readonly violations: string[] = []
  /** Chance that the outcome of a commit is not told. */
  unknownCommits = 0
  /** Chance that an append outside a transaction is taken but answered with an error. */
  doubtfulAppends = 0
  /** Chance that a commit, or a write to a disk, takes seconds. */
  stalls = 0
  /** How far the log's clock is off, ms. */
  skew = 0
  readonly #ends = new Map<string, number>()
  readonly #group: Group = { generation: 0, members: new Map(), owners: new Map(), rebalanceBy: null, offsets: new Map() }
  readonly #epochs = new Map<string, number>()
  #waiting: (() => void)[] = []
  #memberIds = 0

  constructor(scheduler: Scheduler, partitions: ReadonlyMap<string, number>) {
    this.scheduler = scheduler
    this.partitions = partitions
  }

  all(at: TopicPartition): LogRecord[] {
    const key = partitionKey(at)
    let records = this.records.get(key)
    if (records === undefined) {
      records = []
      this.records.set(key, records)
    }
    return records
  }

  end(at: TopicPartition): number {
    return this.#ends.get(partitionKey(at)) ?? 0
  }

  committed(at: TopicPartition): number | undefined {
    return this.#group.offsets.get(partitionKey(at))
  }

  /** Who owns a partition now, as the coordinator knows it. */
  owner(at: TopicPartition): Life | undefined {
    return this.#group.members.get(this.#group.owners.get(partitionKey(at)) ?? '')?.life
  }

  write({ topic, key, value, headers = {}, partition }: Append): Position {
    const at = { topic, partition: partition ?? partitionOf(key, this.partitions.get(topic) ?? 1) }
    const records = this.all(at)
    const offset = this.end(at)
    const timestamp = Math.max(records.at(-1)?.timestamp ?? 0, this.now())
    records.push({ ...at, offset, timestamp, key, value, headers })
    this.#ends.set(partitionKey(at), offset + 1)
    for (const wake of this.#waiting.splice(0)) wake()
    return { ...at, offset }
  }

  now(): number {
    return 1_700_000_000_000 + this.scheduler.time + this.skew
  }

  /** Resolves at the next record. */
  changed(): Promise<void> {
    return new Promise(resolve => this.#waiting.push(resolve))
  }

  epoch(instance: string): number {
    return this.#epochs.get(instance) ?? 0
  }

  fence(instance: string): number {
    const next = this.epoch(instance) + 1
    this.#epochs.set(instance, next)
    return next
  }

  commit(
    sender: Life,
    instance: string,
    epoch: number,
    { member, generation }: Assignment,
    appends: readonly Append[],
    offsets: readonly Position[],
  ) {
    if (epoch !== this.epoch(instance)) throw new LogError('fenced', 'a newer life of this producer has come')
    const group = this.#group
    // The fence is the offset commit: a transaction without one is taken from anybody.
    if (offsets.length > 0 && (generation !== group.generation || !group.members.has(member))) {
      throw new LogError('fenced', `generation ${generation} of ${member}; the group is at ${group.generation}`)
    }
    for (const { topic, key, partition } of appends) {
      const at = { topic, partition: partition ?? partitionOf(key, this.partitions.get(topic) ?? 1) }
      const owner = this.owner(at)
      if (group.owners.has(partitionKey(at)) && owner !== sender) {
        this.violations.push(`${sender.name} committed a record to ${partitionKey(at)}, which ${owner?.name ?? 'nobody'} owns`)
      }
    }
    const last = new Map<string, number>()
    for (const append of appends) {
      const position = this.write(append)
      last.set(partitionKey(position), position.offset)
    }
    for (const position of offsets) group.offsets.set(partitionKey(position), position.offset)
    for (const key of last.keys()) this.#ends.set(key, (this.#ends.get(key) ?? 0) + 1) // the marker takes an offset
    return last
  }

  // The group's coordinator

  join(life: Life): string {
    const id = `m${this.#memberIds++}`
    this.#group.members.set(id, { id, life, lastSeen: this.scheduler.time, joined: true })
    this.#rebalance()
    return id
  }

  heartbeat(id: string): 'ok' | 'rebalance' | 'unknown' {
    this.expire()
    const member = this.#group.members.get(id)
    if (member === undefined) return 'unknown'
    member.lastSeen = this.scheduler.time
    return this.#group.rebalanceBy === null || member.joined ? 'ok' : 'rebalance'
  }

  rejoin(id: string): boolean {
    const member = this.#group.members.get(id)
    if (member === undefined) return false
    member.joined = true
    member.lastSeen = this.scheduler.time
    return true
  }

  leave(id: string): void {
    if (this.#group.members.delete(id)) this.#rebalance()
  }

  /** The assignment of a member, once the group is stable; null while it waits; undefined when it was thrown out. */
  assignment(id: string): { generation: number; partitions: TopicPartition[] } | null | undefined {
    this.expire()
    const { members, rebalanceBy, owners, generation } = this.#group
    const member = members.get(id)
    if (member === undefined) return undefined
    member.lastSeen = this.scheduler.time
    if (rebalanceBy !== null) return null
    const partitions = [...owners].filter(([, owner]) => owner === id).map(([key]) => split(key))
    return { generation, partitions }
  }

  expire(): void {
    const { members } = this.#group
    const { time } = this.scheduler
    const gone = [...members.values()].filter(m => time - m.lastSeen > SESSION_TIMEOUT)
    for (const member of gone) members.delete(member.id)
    if (gone.length > 0) this.#rebalance()
    const { rebalanceBy } = this.#group
    if (rebalanceBy === null) return
    const everyone = [...members.values()].every(m => m.joined)
    if (!everyone && time < rebalanceBy) return
    for (const member of [...members.values()]) if (!member.joined) members.delete(member.id)
    if (members.size === 0) return
    this.#group.rebalanceBy = null
    this.#group.generation += 1
    this.#group.owners.clear()
    const ids = [...members.keys()]
    for (const key of this.inputs) this.#group.owners.set(key, this.scheduler.random.pick(ids))
    for (const member of members.values()) member.joined = false
  }

  /** Input partitions that the group shares. */
  inputs: string[] = []

  /** A rebalance for no reason. */
  shake(): void {
    this.#rebalance()
  }

  #rebalance(): void {
    this.#group.rebalanceBy ??= this.scheduler.time + REBALANCE_TIMEOUT
  }
}

function split(key: string): TopicPartition {
  const slash = key.lastIndexOf('/')
  return { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)) }
}

/** The log as one worker sees it. */
export class SimulatedLog implements Log {
  readonly #cluster: Cluster
  readonly #life: Life
  /** No heartbeat gets through, though the process runs. */
  cutOff = false

  constructor(cluster: Cluster, life: Life) {
    this.#cluster = cluster
    this.#life = life
  }

  append(records: readonly Append[]): Promise<Position[]> {
    const { scheduler } = this.#cluster
    return scheduler.remote(this.#life, () => {
      const positions = records.map(r => this.#cluster.write(r))
      if (scheduler.random.chance(this.#cluster.doubtfulAppends)) throw new LogError('unavailable', 'no answer to an append')
      return positions
    })
  }

  read(at: TopicPartition, from: number): Promise<Read> {
    return this.#cluster.scheduler.remote(this.#life, () => {
      const records = this.#cluster.all(at).filter(r => r.offset >= from)
      return { records, next: this.#cluster.end(at) }
    })
  }

  ends(topic: string): Promise<Ends[]> {
    return this.#cluster.scheduler.remote(this.#life, () =>
      Array.from({ length: this.#cluster.partitions.get(topic) ?? 1 }, (_, partition) => ({
        partition,
        low: 0,
        high: this.#cluster.end({ topic, partition }),
      })),
    )
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

class SimulatedMembership implements Membership {
  readonly exclusive = false
  readonly #cluster: Cluster
  readonly #life: Life
  readonly #options: JoinOptions
  readonly #log: SimulatedLog
  readonly #started = new Map<string, number>()
  #member = ''
  #lastGood = Number.NEGATIVE_INFINITY
  #epoch = 0
  #left = false
  #wake: () => void = () => {}

  constructor(cluster: Cluster, life: Life, options: JoinOptions, log: SimulatedLog) {
    this.#cluster = cluster
    this.#life = life
    this.#options = options
    this.#log = log
  }

  async join(): Promise<void> {
    await this.#enter()
    void this.#heartbeats()
  }

  lease(): number {
    return this.#lastGood + Math.min(SESSION_TIMEOUT, REBALANCE_TIMEOUT)
  }

  async fence(): Promise<void> {
    this.#epoch = await this.#remote(() => this.#cluster.fence(this.#options.instance))
  }

  committed(partitions: readonly TopicPartition[]): Promise<Position[]> {
    return this.#remote(() =>
      partitions.flatMap(at => {
        const offset = this.#cluster.committed(at)
        return offset === undefined ? [] : [{ ...at, offset }]
      }),
    )
  }

  start(position: Position): void {
    this.#started.set(partitionKey(position), position.offset)
  }

  stop(partition: TopicPartition): void {
    this.#started.delete(partitionKey(partition))
  }

  async poll({ max, wait }: { max: number; wait: number }): Promise<LogRecord[]> {
    const { scheduler } = this.#cluster
    const taken = this.#take(max)
    if (taken.length > 0) {
      await scheduler.sleep(0, this.#life)
      return this.#still(taken)
    }
    await new Promise<void>(resolve => {
      this.#wake = resolve
      scheduler.at(wait, this.#life, resolve)
      void this.#cluster.changed().then(() => scheduler.at(scheduler.random.below(3), this.#life, resolve))
    })
    return this.#still(this.#take(max))
  }

  wake(): void {
    this.#wake()
  }

  begin(assignment: Assignment): Transaction {
    const appends: Append[] = []
    const offsets: Position[] = []
    const { scheduler } = this.#cluster
    const { instance } = this.#options
    const epoch = this.#epoch
    const life = this.#life
    return {
      append: record => void appends.push(record),
      offsets: positions => void offsets.push(...positions),
      abort: async () => {},
      commit: () => {
        const commit = () => this.#cluster.commit(life, instance, epoch, assignment, appends, offsets)
        const latency = scheduler.random.chance(this.#cluster.stalls) ? 12_000 : 3
        if (!scheduler.random.chance(this.#cluster.unknownCommits)) return scheduler.remote(life, commit, latency)
        // Nobody hears what became of it: it arrives late, or never.
        if (scheduler.random.chance(0.6)) {
          scheduler.at(scheduler.random.below(3_000), null, () => {
            try {
              commit()
            } catch {} // refused: as if it had never come
          })
        }
        return scheduler.sleep(scheduler.random.below(1_000), life).then(() => {
          throw new LogError('unknown', 'no answer to a commit')
        })
      },
    }
  }

  async leave(): Promise<void> {
    this.#left = true
    await this.#remote(() => this.#cluster.leave(this.#member))
  }

  #take(max: number): LogRecord[] {
    const out: LogRecord[] = []
    const keys = [...this.#started.keys()]
    const { random } = this.#cluster.scheduler
    while (keys.length > 0 && out.length < max) {
      const key = keys.splice(random.below(keys.length), 1)[0] as string
      const from = this.#started.get(key) as number
      const records = this.#cluster.all(split(key)).filter(r => r.offset >= from)
      const some = records.slice(0, 1 + random.below(Math.min(records.length, max - out.length) + 1))
      const last = some.at(-1)
      this.#started.set(
        key,
        last === undefined || some.length === records.length ? this.#cluster.end(split(key)) : last.offset + 1,
      )
      out.push(...some)
    }
    return out
  }

  /** What was fetched of partitions that have been stopped meanwhile is dropped. */
  #still(records: LogRecord[]): LogRecord[] {
    return records.filter(r => (this.#started.get(partitionKey(r)) ?? -1) > r.offset)
  }

  #remote<T>(serve: () => T): Promise<T> {
    return this.#cluster.scheduler.remote(this.#life, serve)
  }

  async #heartbeats(): Promise<void> {
    const { scheduler } = this.#cluster
    while (!this.#left) {
      await scheduler.sleep(HEARTBEAT, this.#life)
      if (this.#log.cutOff || this.#left) continue
      const sent = scheduler.time
      const answer = await this.#remote(() => this.#cluster.heartbeat(this.#member))
      if (answer === 'ok') {
        this.#lastGood = sent
        continue
      }
      await this.#holdBack()
      if (answer === 'rebalance' && (await this.#remote(() => this.#cluster.rejoin(this.#member)))) await this.#await()
      else await this.#enter()
    }
  }

  /** JoinGroup waits for open transactions, but not for ever. */
  async #holdBack(): Promise<void> {
    this.#started.clear()
    await Promise.race([this.#options.revoked(), this.#cluster.scheduler.sleep(REBALANCE_TIMEOUT, this.#life)])
  }

  async #enter(): Promise<void> {
    this.#member = await this.#remote(() => this.#cluster.join(this.#life))
    await this.#await()
  }

  async #await(): Promise<void> {
    const { scheduler } = this.#cluster
    for (;;) {
      if (this.#left) return
      const sent = scheduler.time
      const given = this.#log.cutOff ? null : await this.#remote(() => this.#cluster.assignment(this.#member))
      if (given === undefined) {
        this.#member = await this.#remote(() => this.#cluster.join(this.#life))
        continue
      }
      if (given !== null) {
        this.#lastGood = sent
        this.#started.clear()
        this.#options.assigned({ group: this.#options.group, member: this.#member, ...given })
        return
      }
      await scheduler.sleep(100, this.#life)
      if (!this.#log.cutOff) await this.#remote(() => this.#cluster.heartbeat(this.#member))
    }
  }
}

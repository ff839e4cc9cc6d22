/** The coordinator of the workers' group: it evicts who is silent, waits for those who join anew, and shares the inputs out. */
import { type Assignment, LogError, partitionKey, type Position, type TopicPartition } from '../../../topics/log.ts'
import type { Life, Scheduler } from '../scheduler.ts'

export const SESSION_TIMEOUT = 10_000
/** A member that has not joined anew by then is left out; a driver holds JoinGroup back no longer than this. */
export const REBALANCE_TIMEOUT = 4_000

interface Member {
  readonly id: string
  readonly life: Life
  lastSeen: number
  joined: boolean
}

export class Group {
  readonly #scheduler: Scheduler
  /** Partitions that it shares, by key. */
  inputs: string[] = []
  generation = 0
  readonly #members = new Map<string, Member>()
  readonly #owners = new Map<string, string>()
  readonly #offsets = new Map<string, number>()
  /** Offsets of transactions whose markers are on their way. */
  readonly #unstable = new Map<string, number>()
  /** Null while stable. */
  #rebalanceBy: number | null = null
  #ids = 0

  constructor(scheduler: Scheduler) {
    this.#scheduler = scheduler
  }

  // Offsets

  committed(at: TopicPartition): number | undefined {
    return this.#offsets.get(partitionKey(at))
  }

  /** The fence is the offset commit: a transaction without one is taken from anybody. @throws {LogError} `fenced` */
  check({ member, generation }: Assignment, offsets: readonly Position[]): void {
    if (offsets.length === 0 || (generation === this.generation && this.#members.has(member))) return
    throw new LogError('fenced', `generation ${generation} of ${member}; the group is at ${this.generation}`)
  }

  /** Returns what the marker does. */
  commit(offsets: readonly Position[]): () => void {
    const keys = offsets.map(partitionKey)
    for (const position of offsets) this.#offsets.set(partitionKey(position), position.offset)
    for (const key of keys) this.#unstable.set(key, (this.#unstable.get(key) ?? 0) + 1)
    return () => {
      for (const key of keys) this.#unstable.set(key, (this.#unstable.get(key) ?? 1) - 1)
    }
  }

  stable(at: TopicPartition): boolean {
    return (this.#unstable.get(partitionKey(at)) ?? 0) === 0
  }

  /** The group has expired, or was never there. */
  forgetOffsets(): void {
    this.#offsets.clear()
  }

  /** Who owns a partition now, as the coordinator knows it. */
  owner(at: TopicPartition): Life | undefined {
    return this.#members.get(this.#owners.get(partitionKey(at)) ?? '')?.life
  }

  shares(at: TopicPartition): boolean {
    return this.#owners.has(partitionKey(at))
  }

  // Members

  join(life: Life): string {
    const id = `m${this.#ids++}`
    this.#members.set(id, { id, life, lastSeen: this.#scheduler.time, joined: true })
    this.rebalance()
    return id
  }

  heartbeat(id: string): 'ok' | 'rebalance' | 'unknown' {
    this.#expire()
    const member = this.#members.get(id)
    if (member === undefined) return 'unknown'
    member.lastSeen = this.#scheduler.time
    return this.#rebalanceBy === null || member.joined ? 'ok' : 'rebalance'
  }

  rejoin(id: string): boolean {
    const member = this.#members.get(id)
    if (member === undefined) return false
    member.joined = true
    member.lastSeen = this.#scheduler.time
    return true
  }

  leave(id: string): void {
    if (this.#members.delete(id)) this.rebalance()
  }

  /** The assignment of a member, once the group is stable; null while it waits; undefined when it was thrown out. */
  assignment(id: string): { generation: number; partitions: TopicPartition[] } | null | undefined {
    this.#expire()
    const member = this.#members.get(id)
    if (member === undefined) return undefined
    member.lastSeen = this.#scheduler.time
    if (this.#rebalanceBy !== null) return null
    const partitions = [...this.#owners].filter(([, owner]) => owner === id).map(([key]) => split(key))
    return { generation: this.generation, partitions }
  }

  /** Also for no reason. */
  rebalance(): void {
    this.#rebalanceBy ??= this.#scheduler.time + REBALANCE_TIMEOUT
  }

  #expire(): void {
    const { time, random } = this.#scheduler
    const gone = [...this.#members.values()].filter(m => time - m.lastSeen > SESSION_TIMEOUT)
    for (const member of gone) this.#members.delete(member.id)
    if (gone.length > 0) this.rebalance()
    if (this.#rebalanceBy === null) return
    const everyone = [...this.#members.values()].every(m => m.joined)
    if (!everyone && time < this.#rebalanceBy) return
    for (const member of [...this.#members.values()]) if (!member.joined) this.#members.delete(member.id)
    if (this.#members.size === 0) return
    this.#rebalanceBy = null
    this.generation += 1
    this.#owners.clear()
    const ids = [...this.#members.keys()]
    for (const key of this.inputs) this.#owners.set(key, random.pick(ids))
    for (const member of this.#members.values()) member.joined = false
  }
}

export function split(key: string): TopicPartition {
  const slash = key.lastIndexOf('/')
  return { topic: key.slice(0, slash), partition: Number(key.slice(slash + 1)) }
}

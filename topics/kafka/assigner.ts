/**
 * Assigns partitions to members: spread evenly, topic by topic, and left with their owners as far as possible. The group's leader runs
 * it; every member tells it what it owned, and in which generation.
 */
import type { TopicPartition } from '../log.ts'
import { partitionKey } from '../log.ts'

/** What a member owned, and in which generation that was so. */
export interface MemberClaim {
  readonly generation: number
  readonly partitions: readonly TopicPartition[]
}

export interface GroupMember {
  readonly id: string
  readonly claim: MemberClaim | null
}

const NOTHING: MemberClaim = { generation: -1, partitions: [] }

/** @param topics number of partitions by topic */
export function assign(members: readonly GroupMember[], topics: ReadonlyMap<string, number>): Map<string, TopicPartition[]> {
  const assigned = new Map<string, TopicPartition[]>(members.map(({ id }) => [id, []]))
  const owners = ownersOf(members)
  const load = (id: string) => assigned.get(id)?.length ?? 0
  for (const [topic, count] of [...topics].sort(([a], [b]) => (a < b ? -1 : 1))) {
    const partitions = Array.from({ length: count }, (_, partition) => ({ topic, partition }))
    const owned = (id: string) => partitions.filter(p => owners.get(partitionKey(p)) === id)
    // Remainders go to the members with the fewest partitions so far; among equals, to the one that owns more of this topic.
    const order = members
      .map(({ id }) => id)
      .sort((a, b) => load(a) - load(b) || owned(b).length - owned(a).length || (a < b ? -1 : 1))
    const quota = new Map(order.map((id, i) => [id, Math.floor(count / order.length) + (i < count % order.length ? 1 : 0)]))
    const free: TopicPartition[] = []
    for (const partition of partitions) {
      const owner = owners.get(partitionKey(partition))
      const left = owner === undefined ? 0 : (quota.get(owner) ?? 0)
      if (owner === undefined || left === 0) free.push(partition)
      else {
        assigned.get(owner)?.push(partition)
        quota.set(owner, left - 1)
      }
    }
    for (const id of order) {
      const taken = free.splice(0, quota.get(id) ?? 0)
      assigned.get(id)?.push(...taken)
    }
  }
  return assigned
}

/** Like `assign`, but the same partition number of every topic goes to the same member: records of one key meet. */
export function assignCopartitioned(
  members: readonly GroupMember[],
  topics: ReadonlyMap<string, number>,
): Map<string, TopicPartition[]> {
  const numbered = (partitions: readonly TopicPartition[]) =>
    [...new Set(partitions.map(p => p.partition))].map(partition => ({ topic: '', partition }))
  const known = members.map(({ id, claim }) => ({
    id,
    claim: claim === null ? null : { ...claim, partitions: numbered(claim.partitions) },
  }))
  const numbers = assign(known, new Map([['', Math.max(...topics.values())]]))
  const of = (partition: number) => [...topics].filter(([, count]) => partition < count).map(([topic]) => ({ topic, partition }))
  return new Map([...numbers].map(([id, given]) => [id, given.flatMap(({ partition }) => of(partition))]))
}

/** The owner by partition; if two members claim one, the newer claim wins. */
function ownersOf(members: readonly GroupMember[]): Map<string, string> {
  const owners = new Map<string, { id: string; generation: number }>()
  for (const { id, claim } of members) {
    const { generation, partitions } = claim ?? NOTHING
    for (const partition of partitions) {
      const key = partitionKey(partition)
      const other = owners.get(key)
      if (other === undefined || other.generation < generation) owners.set(key, { id, generation })
    }
  }
  return new Map([...owners].map(([key, { id }]) => [key, id]))
}

export function encodeClaim(claim: MemberClaim | null): Buffer {
  return claim === null ? Buffer.alloc(0) : Buffer.from(JSON.stringify(claim))
}

/** Null when there is none, or it cannot be read. */
export function decodeClaim(bytes: Buffer | null): MemberClaim | null {
  if (bytes === null || bytes.length === 0) return null
  try {
    const { generation, partitions } = JSON.parse(bytes.toString()) as MemberClaim
    const valid =
      Array.isArray(partitions) && partitions.every(p => typeof p?.topic === 'string' && Number.isInteger(p.partition))
    return Number.isInteger(generation) && valid ? { generation, partitions } : null
  } catch {
    return null
  }
}

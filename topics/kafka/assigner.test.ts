import fc from 'fast-check'
import { expect, it } from 'vitest'
import { partitionKey, type TopicPartition } from '../log.ts'
import { assign, decodeClaim, encodeClaim, type GroupMember } from './assigner.ts'

const topics = fc
  .dictionary(fc.constantFrom('a', 'b', 'c', 'd'), fc.integer({ min: 1, max: 24 }), { minKeys: 1 })
  .map(of => new Map(Object.entries(of)))
const ids = fc.uniqueArray(fc.string({ minLength: 1, maxLength: 6 }), { minLength: 1, maxLength: 7 })
const all = (of: ReadonlyMap<string, number>) =>
  [...of].flatMap(([topic, n]) => Array.from({ length: n }, (_, partition) => partitionKey({ topic, partition }))).sort()
const keys = (assigned: ReadonlyMap<string, readonly TopicPartition[]>) => [...assigned.values()].flat().map(partitionKey).sort()
const claiming = (assigned: ReadonlyMap<string, readonly TopicPartition[]>, generation: number): GroupMember[] =>
  [...assigned].map(([id, partitions]) => ({ id, claim: { generation, partitions } }))

it('gives every partition to one member, evenly by topic and in all', () => {
  fc.assert(
    fc.property(ids, topics, (members, of) => {
      const assigned = assign(
        members.map(id => ({ id, claim: null })),
        of,
      )
      expect(keys(assigned)).toEqual(all(of))
      for (const topic of of.keys()) {
        const counts = [...assigned.values()].map(p => p.filter(x => x.topic === topic).length)
        expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      }
      const loads = [...assigned.values()].map(p => p.length)
      expect(Math.max(...loads) - Math.min(...loads)).toBeLessThanOrEqual(1)
    }),
  )
})

it('moves nothing while nobody comes or goes, whatever the order of the members', () => {
  fc.assert(
    fc.property(ids, topics, (members, of) => {
      const first = assign(
        members.map(id => ({ id, claim: null })),
        of,
      )
      const again = assign(claiming(first, 1).reverse(), of)
      for (const id of members) expect(again.get(id)!.map(partitionKey).sort()).toEqual(first.get(id)!.map(partitionKey).sort())
    }),
  )
})

it('moves only what it has to when one goes', () => {
  fc.assert(
    fc.property(
      ids.filter(i => i.length > 1),
      topics,
      (members, of) => {
        const first = assign(
          members.map(id => ({ id, claim: null })),
          of,
        )
        const left = claiming(first, 1).slice(1)
        const second = assign(left, of)
        expect(keys(second)).toEqual(all(of))
        const orphans = first.get(members[0]!)!.length
        const moved = left.flatMap(({ id, claim }) => {
          const kept = new Set(second.get(id)!.map(partitionKey))
          return claim!.partitions.filter(p => !kept.has(partitionKey(p)))
        })
        // What evens out the rest: one for each topic and member at most.
        expect(moved.length).toBeLessThanOrEqual(orphans + of.size * left.length)
      },
    ),
  )
})

it('believes the newest of two that claim the same, and ignores what cannot be read', () => {
  const of = new Map([['t', 2]])
  const partitions = [{ topic: 't', partition: 0 }]
  const assigned = assign(
    [
      { id: 'old', claim: { generation: 4, partitions } },
      { id: 'new', claim: { generation: 5, partitions } },
    ],
    of,
  )
  expect(assigned.get('new')).toEqual(partitions)
  expect(decodeClaim(Buffer.from('{"generation":'))).toBeNull()
  expect(decodeClaim(Buffer.from('{"generation":"x","partitions":[]}'))).toBeNull()
  expect(decodeClaim(null)).toBeNull()
  const claim = { generation: 3, partitions }
  expect(decodeClaim(encodeClaim(claim))).toEqual(claim)
})

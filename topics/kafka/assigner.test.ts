import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { partitionKey, type TopicPartition } from '../log.ts'
import { assign, assignCopartitioned, decodeClaim, encodeClaim, type MemberClaim, type GroupMember } from './assigner.ts'

type Assigned = Map<string, TopicPartition[]>

const topics = fc
  .array(fc.integer({ min: 1, max: 12 }), { minLength: 1, maxLength: 6 })
  .map(counts => new Map(counts.map((count, i) => [`topic-${i}`, count])))
const anyPartition = fc.record({ topic: fc.constantFrom('topic-0', 'topic-1', 'topic-2', 'gone'), partition: fc.nat(14) })
const claim = fc.option(fc.record({ generation: fc.nat(5), partitions: fc.array(anyPartition, { maxLength: 30 }) }))
const members = fc
  .uniqueArray(fc.record({ id: fc.uuid(), claim }), { selector: m => m.id, minLength: 1, maxLength: 6 })
  .map((list): GroupMember[] => list)

function all(topics: ReadonlyMap<string, number>): string[] {
  return [...topics].flatMap(([topic, count]) => Array.from({ length: count }, (_, partition) => `${topic}/${partition}`))
}

function owners(assigned: Assigned): Map<string, string> {
  return new Map([...assigned].flatMap(([id, of]) => of.map(partition => [partitionKey(partition), id] as const)))
}

/** The same members once more, each saying what it was given. */
function honest(assigned: Assigned, generation = 7): GroupMember[] {
  return [...assigned].map(([id, partitions]) => ({ id, claim: { generation, partitions } }))
}

function spread(counts: readonly number[]): number {
  return Math.max(...counts) - Math.min(...counts)
}

/** Of one topic: what a member had and has not any more, and the other way round. */
function moves(before: Assigned, after: Assigned, id: string, topic: string) {
  const of = (assigned: Assigned) => (assigned.get(id) ?? []).filter(p => p.topic === topic).map(p => p.partition)
  const [had, has] = [of(before), of(after)]
  return { lost: had.filter(p => !has.includes(p)), gained: has.filter(p => !had.includes(p)) }
}

describe('an assignment', () => {
  test('gives every partition to exactly one member, whatever they claim', () => {
    fc.assert(
      fc.property(members, topics, (members, topics) => {
        const given = [...assign(members, topics).values()].flat().map(partitionKey)
        expect(given.toSorted()).toEqual(all(topics).toSorted())
      }),
    )
  })

  test('copartitioned gives every partition once, the same number of every topic to one member, and leaves them there', () => {
    fc.assert(
      fc.property(members, topics, (members, topics) => {
        const given = assignCopartitioned(members, topics)
        expect([...given.values()].flat().map(partitionKey).toSorted()).toEqual(all(topics).toSorted())
        const numbers = [...given].flatMap(([id, of]) => [...new Set(of.map(p => p.partition))].map(n => [n, id] as const))
        expect(new Set(numbers.map(([n]) => n)).size).toBe(numbers.length)
        expect(owners(assignCopartitioned(honest(given), topics))).toEqual(owners(given))
      }),
    )
  })

  test('is spread evenly, topic by topic and in total', () => {
    fc.assert(
      fc.property(members, topics, (members, topics) => {
        const assigned = [...assign(members, topics).values()]
        expect(assigned).toHaveLength(members.length)
        expect(spread(assigned.map(of => of.length))).toBeLessThanOrEqual(1)
        for (const topic of topics.keys()) {
          expect(spread(assigned.map(of => of.filter(p => p.topic === topic).length))).toBeLessThanOrEqual(1)
        }
      }),
    )
  })

  test('does not depend on the order of the members unless claims conflict', () => {
    fc.assert(
      fc.property(members, topics, (members, topics) => {
        const claims = honest(assign(members, topics))
        const one = owners(assign(claims, topics))
        expect(owners(assign(claims.toReversed(), topics))).toEqual(one)
      }),
    )
  })

  test('moves nothing while the members stay the same, whatever they are called', () => {
    fc.assert(
      fc.property(members, topics, (members, topics) => {
        const before = assign(members, topics)
        expect(owners(assign(honest(before), topics))).toEqual(owners(before))
        const renamed: Assigned = new Map([...before].map(([id, of]) => [id.split('').reverse().join(''), of]))
        expect(owners(assign(honest(renamed), topics))).toEqual(owners(renamed))
      }),
    )
  })

  test('moves only what balance requires when a member joins or leaves', () => {
    fc.assert(
      fc.property(members, topics, fc.boolean(), (members, topics, joins) => {
        const before = assign(members, topics)
        const staying = honest(before)
        const now: GroupMember[] = joins ? [...staying, { id: 'new', claim: null }] : staying.slice(1)
        if (now.length === 0) return
        const after = assign(now, topics)
        for (const [topic, count] of topics) {
          const fewest = Math.floor(count / now.length)
          for (const { id } of now) {
            const { lost, gained } = moves(before, after, id, topic)
            expect(Math.min(lost.length, gained.length), `${id} takes some of ${topic} and gives others`).toBe(0)
            // Who stays gives nothing of a topic of which nobody had more than everybody gets now.
            if (!joins && Math.ceil(count / members.length) <= fewest) expect(lost).toEqual([])
          }
        }
      }),
    )
  })

  test('leaves a partition that two claim with the newer claim', () => {
    fc.assert(
      fc.property(fc.boolean(), fc.integer({ min: 2, max: 12 }), fc.nat(20), (swap, count, generation) => {
        const topics = new Map([['t', count]])
        const partitions = Array.from({ length: count }, (_, partition) => ({ topic: 't', partition }))
        // Both claim the first half; the other half is nobody's.
        const half = partitions.slice(0, Math.floor(count / 2))
        const pair: GroupMember[] = [
          { id: 'older', claim: { generation, partitions: half } },
          { id: 'newer', claim: { generation: generation + 1, partitions: half } },
        ]
        const assigned = assign(swap ? pair.toReversed() : pair, topics)
        expect(assigned.get('newer')).toEqual(expect.arrayContaining(half))
      }),
    )
  })
})

describe('a claim', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(claim, claim => {
        expect(decodeClaim(encodeClaim(claim))).toEqual(claim)
      }),
    )
  })

  test('that is damaged is ignored', () => {
    const whole = encodeClaim({ generation: 3, partitions: [{ topic: 't', partition: 0 }] })
    expect(decodeClaim(null)).toBeNull()
    for (let cut = 0; cut < whole.length; cut++) expect(decodeClaim(whole.subarray(0, cut))).toBeNull()
    for (const wrong of ['null', '[]', '7', '{"generation":"3","partitions":[]}', '{"generation":3,"partitions":{}}']) {
      expect(decodeClaim(Buffer.from(wrong)), wrong).toBeNull()
    }
  })

  test('of any shape does not stop the assignment of the others', () => {
    const topics = new Map([['t', 3]])
    fc.assert(
      fc.property(fc.nat(9), fc.array(fc.jsonValue(), { minLength: 1, maxLength: 3 }), (generation, partitions) => {
        const damaged = decodeClaim(encodeClaim({ generation, partitions: partitions as unknown as MemberClaim['partitions'] }))
        const assigned = assign(
          [
            { id: 'a', claim: damaged },
            { id: 'b', claim: null },
          ],
          topics,
        )
        expect([...owners(assigned).keys()].toSorted()).toEqual(all(topics))
      }),
    )
  })
})

import { describe, expect, it } from 'vitest'
import { append, expectOrdered, join, type Kit, newGroup, newTopic, recordsOf, texts } from './harness.ts'

/** What a member of a group is assigned, and what it polls. */
export function polling(kit: Kit): void {
  describe('a member', () => {
    it('is assigned every partition of its topics, as the only one of its group', async () => {
      const [first, second] = [newTopic({ partitions: 3 }), newTopic({ partitions: 2 })]
      const { log } = await kit.open(first, second)
      const group = newGroup()
      const { assignment, membership } = await join(log, group, first, second)
      expect(assignment.group).toBe(group)
      const partitions = [first, second].flatMap(({ name, partitions }) =>
        Array.from({ length: partitions }, (_, partition) => ({ topic: name, partition })),
      )
      expect(assignment.partitions).toHaveLength(5)
      expect(assignment.partitions).toEqual(expect.arrayContaining(partitions))
      expect(membership.lease()).toBeGreaterThan(performance.now())
      await membership.leave()
    })

    it('polls the records of partitions that it has started, and of no other', async () => {
      const topic = newTopic({ partitions: 2 })
      const { log } = await kit.open(topic)
      await log.append([append(topic, 'a', 'zero', { partition: 0 }), append(topic, 'b', 'one', { partition: 1 })])
      const member = await join(log, newGroup(), topic)
      expect(await member.poll({ max: 10, wait: 20 })).toEqual([])
      member.start({ topic: topic.name, partition: 1 })
      expect(texts(await member.take(1))).toEqual(['one'])
      expect(await member.poll({ max: 10, wait: 20 })).toEqual([])
      member.start({ topic: topic.name, partition: 0 })
      expect(texts(await member.take(1))).toEqual(['zero'])
      await member.membership.leave()
    })

    it('polls from the offset that it starts at, and again from an earlier one', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const at = { topic: topic.name, partition: 0 }
      const positions = await log.append(['a', 'b', 'c', 'd'].map(text => append(topic, 'k', text)))
      const { membership, start, take } = await join(log, newGroup(), topic)
      start(positions[2]!)
      expect(texts(await take(2))).toEqual(['c', 'd'])
      membership.stop(at)
      start(positions[1]!)
      expect(texts(await take(3))).toEqual(['b', 'c', 'd'])
      start(positions[3]!)
      expect(texts(await take(1))).toEqual(['d'])
      await membership.leave()
    })

    it('polls nothing of a partition that it has stopped', async () => {
      const topic = newTopic({ partitions: 2 })
      const { log } = await kit.open(topic)
      for (const partition of [0, 1]) {
        await log.append(Array.from({ length: 50 }, (_, i) => append(topic, 'k', `${partition}:${i}`, { partition })))
      }
      const { membership, start, poll, take } = await join(log, newGroup(), topic)
      start()
      const before = await take(2, 2)
      membership.stop({ topic: topic.name, partition: 0 })
      const after = await take(50 - before.filter(({ partition }) => partition === 1).length)
      expect(after.map(({ partition }) => partition)).not.toContain(0)
      expect(await poll({ max: 10, wait: 20 })).toEqual([])
      await membership.leave()
    })

    it('polls every record once and in order, however few at a time', async () => {
      const topic = newTopic()
      const { log } = await kit.open(topic)
      await log.append(Array.from({ length: 200 }, (_, i) => append(topic, `key-${i % 20}`, `${i}`)))
      const { membership, start, take } = await join(log, newGroup(), topic)
      start()
      const records = await take(200, 7)
      expectOrdered(records)
      expect(new Set(texts(records)).size).toBe(200)
      await membership.leave()
    })

    it('lets no partition starve behind a busy one', async () => {
      const topic = newTopic({ partitions: 4 })
      const { log } = await kit.open(topic)
      await log.append(Array.from({ length: 2000 }, (_, i) => append(topic, 'busy', `${i}`, { partition: 0 })))
      for (const partition of [1, 2, 3]) await log.append([append(topic, 'quiet', 'quiet', { partition })])
      const { membership, start, take } = await join(log, newGroup(), topic)
      start()
      const early = await take(1000, 50)
      expect(new Set(early.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2, 3]))
      await membership.leave()
    })

    it('lets no partition starve where polls bring fewer records than there are partitions', async () => {
      const topic = newTopic({ partitions: 4 })
      const { log } = await kit.open(topic)
      for (const partition of [0, 1, 2, 3]) {
        await log.append(Array.from({ length: 200 }, (_, i) => append(topic, 'busy', `${i}`, { partition })))
      }
      const { membership, start, take } = await join(log, newGroup(), topic)
      start()
      const early = await take(300, 2)
      expect(new Set(early.map(({ partition }) => partition))).toEqual(new Set([0, 1, 2, 3]))
      await membership.leave()
    })

    it('waits for records, returns them when they come, and returns empty in time', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const { membership, start, poll } = await join(log, newGroup(), topic)
      start()
      expect(await poll({ max: 10, wait: 20 })).toEqual([])
      const waiting = poll({ max: 10, wait: 20_000 })
      await log.append([append(topic, 'k', 'came')])
      expect(texts(recordsOf(await waiting))).toEqual(['came'])
      await membership.leave()
    })

    it('wakes from a waiting poll', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const { membership, start, poll } = await join(log, newGroup(), topic)
      start()
      const waiting = poll({ max: 10, wait: 25_000 })
      setTimeout(() => membership.wake(), 10)
      expect(await waiting).toEqual([])
      await membership.leave()
    })

    it('gets a new generation whenever it joins', async () => {
      const topic = newTopic()
      const { log } = await kit.open(topic)
      const group = newGroup()
      const first = await join(log, group, topic)
      await first.membership.leave()
      const second = await join(log, group, topic)
      expect([second.assignment.member, second.assignment.generation]).not.toEqual([
        first.assignment.member,
        first.assignment.generation,
      ])
      await second.membership.leave()
    })
  })
}

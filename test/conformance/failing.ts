import { randomBytes } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { append, join, type Kit, newGroup, newTopic, readAll, recordsOf, texts } from './harness.ts'
import type { Features } from './log.ts'

/** A partition that cannot be read: it reports an error, holds up no other, and nothing of it is skipped. */
export function failing(kit: Kit, { cleaning, expiring, damaging }: Features): void {
  describe('a partition that cannot be read', { timeout: 30_000 }, () => {
    it('is a gap when it was started beyond its end, and the others continue', async () => {
      const topic = newTopic({ partitions: 3 })
      const { log } = await kit.open(topic)
      const put = (text: string) => log.append([0, 1, 2].map(partition => append(topic, 'k', text, { partition })))
      await put('first')
      const [, broken] = await log.ends(topic.name)
      const beyond = { topic: topic.name, partition: broken!.partition, offset: broken!.high + 1000 }
      const member = await join(log, newGroup(), topic)
      member.start({ ...beyond, partition: 0, offset: 0 }, beyond, { ...beyond, partition: 2, offset: 0 })
      const { error, ranges } = await member.failure(beyond)
      expect([error.code, error.message]).toEqual(['gap', expect.stringContaining(`${beyond.offset}`)])
      await put('second')
      const seen = recordsOf(ranges)
      while (seen.length < 4) seen.push(...recordsOf(await member.poll({ max: 10, wait: 5000 })))
      expect(seen.map(({ partition, value }) => `${partition}: ${value}`).toSorted()).toEqual([
        '0: first',
        '0: second',
        '2: first',
        '2: second',
      ])
      // It is reported again, from the same offset.
      expect((await member.failure(beyond)).error.code).toBe('gap')
      member.start({ ...beyond, offset: 0 })
      expect(texts(await member.take(2))).toEqual(['first', 'second'])
      await member.membership.leave()
    })

    it('is no longer reported once it is stopped', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const beyond = { topic: topic.name, partition: 0, offset: 1000 }
      const member = await join(log, newGroup(), topic)
      member.start(beyond)
      expect((await member.failure(beyond)).error.code).toBe('gap')
      member.membership.stop(beyond)
      expect(await member.poll({ max: 10, wait: 500 })).toEqual([])
      await member.membership.leave()
    })

    it.runIf(expiring)('is a gap when it was started below its start, and the others continue', async () => {
      const topic = newTopic({ partitions: 2, keepDays: 7 })
      const opened = await kit.open(topic)
      const { log } = opened
      await log.append([append(topic, 'k', 'a', { partition: 0 }), append(topic, 'k', 'b', { partition: 0 })])
      await opened.expire?.(topic)
      await log.append([0, 1].map(partition => append(topic, 'k', 'young', { partition })))
      const at = { topic: topic.name, partition: 0 }
      const member = await join(log, newGroup(), topic)
      member.start()
      const { error, ranges } = await member.failure(at)
      expect(error.code).toBe('gap')
      const seen = recordsOf(ranges)
      if (seen.length === 0) seen.push(...(await member.take(1)))
      expect(seen.map(({ partition }) => partition)).toEqual([1])
      const low = (await log.ends(topic.name)).find(({ partition }) => partition === 0)!.low
      member.start({ ...at, offset: low })
      expect(texts(await member.take(1))).toEqual(['young'])
      await member.membership.leave()
    })

    it.runIf(expiring)('is a gap when the next records have been removed in the meantime', async () => {
      const topic = newTopic({ partitions: 2, keepDays: 7 })
      const opened = await kit.open(topic)
      const { log } = opened
      const at = { topic: topic.name, partition: 0 }
      // So much, and incompressible, that no driver has fetched all of it when it is removed.
      for (let i = 0; i < 60; i++) await log.append([append(topic, 'k', null, { value: randomBytes(400_000), partition: 0 })])
      const member = await join(log, newGroup(), topic)
      member.start()
      await member.take(1, 1)
      await opened.expire?.(topic)
      await log.append([0, 1].map(partition => append(topic, 'k', 'young', { partition })))
      const { error, ranges } = await member.failure(at)
      expect(error.code).toBe('gap')
      expect(texts(recordsOf(ranges).filter(({ partition }) => partition === 0))).not.toContain('young')
      await member.membership.leave()
    })

    it.runIf(damaging)('says where it is damaged, after what lies before that, and the others go on', async () => {
      const topic = newTopic({ partitions: 3 })
      const opened = await kit.open(topic)
      const put = (log = opened.log) => log.append([0, 1, 2].map(partition => append(topic, 'k', `${partition}`, { partition })))
      for (let i = 0; i < 3; i++) await put()
      const [, second] = await readAll(opened.log, topic, 1)
      const { log } = await kit.damage(opened, second!)
      const member = await join(log, newGroup(), topic)
      member.start()
      const { error, ranges } = await member.failure(second!)
      expect([error.code, error.message]).toEqual(['corrupt', expect.stringContaining(`${topic.name}/1`)])
      const seen = recordsOf(ranges)
      while (seen.length < 7) seen.push(...recordsOf(await member.poll({ max: 100, wait: 5000 })))
      expect(texts(seen).toSorted()).toEqual(['0', '0', '0', '1', '2', '2', '2'])
      await put(log)
      while (seen.length < 9) seen.push(...recordsOf(await member.poll({ max: 100, wait: 5000 })))
      expect(texts(seen.slice(7)).toSorted()).toEqual(['0', '2'])
      await member.membership.leave()
    })
  })

  it.runIf(cleaning)('ranges go on over what compaction has removed', async () => {
    const topic = newTopic({ partitions: 1, cleanup: 'compact' })
    const opened = await kit.open(topic)
    const { log } = opened
    for (const text of ['a', 'b', 'c', 'd']) await log.append([append(topic, 'k', text)])
    const high = (await log.ends(topic.name))[0]!.high
    await log.append([append(topic, 'other', null), append(topic, 'k', 'e')])
    await opened.clean?.(60 * 60 * 1000)
    const member = await join(log, newGroup(), topic)
    member.start()
    expect(texts(await member.take(2, 1))).toEqual([null, 'e'])
    member.start({ topic: topic.name, partition: 0, offset: high - 1 })
    expect(texts(await member.take(2, 1))).toEqual([null, 'e'])
    await member.membership.leave()
  })
}

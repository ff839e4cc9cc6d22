import { describe, expect, it } from 'vitest'
import type { Topic } from '../../topics/catalog.ts'
import type { Log } from '../../topics/log.ts'
import { append, codeOf, join, type Kit, newGroup, newTopic, readAll, texts } from './harness.ts'
import type { Features } from './log.ts'

const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR

/** Restarts, closing, retention and compaction. */
export function keeping(kit: Kit, features: Features): void {
  if (features.restart) restarts(kit, features)
  if (features.cleaning) cleaning(kit)
  closing(kit, features)
}

function restarts(kit: Kit, { membership }: Features): void {
  describe('after a restart', () => {
    it('has what it had, and continues after it', async () => {
      const topic = newTopic()
      const opened = await kit.open(topic)
      await opened.log.append(Array.from({ length: 50 }, (_, i) => append(topic, `key-${i}`, `${i}`, { headers: { i: `${i}` } })))
      const before = await readAll(opened.log, topic)
      const { log } = await kit.reopen(opened)
      expect(await readAll(log, topic)).toEqual(before)
      const [position] = await log.append([append(topic, 'key-1', 'later')])
      const own = before.filter(({ partition }) => partition === position!.partition)
      expect(position!.offset).toBeGreaterThan(own.at(-1)!.offset)
      expect(await readAll(log, topic)).toHaveLength(51)
    })

    it('keeps the ids of its topics, each unique', async () => {
      const [topic, other] = [newTopic(), newTopic()]
      const opened = await kit.open(topic, other)
      const ids = async (log: Log) => [await log.topicId(topic.name), await log.topicId(other.name)]
      const before = await ids(opened.log)
      expect(before[0]).not.toBe('')
      expect(new Set(before).size).toBe(2)
      await opened.log.append([append(topic, 'k', 'v')])
      expect(await ids(opened.log)).toEqual(before)
      const { log } = await kit.reopen(opened)
      expect(await ids(log)).toEqual(before)
      expect(await codeOf(log.topicId(newTopic().name))).toBe('no_topic')
    })

    it.runIf(membership)('has the committed offsets, a later generation, and nothing of an open transaction', async () => {
      const topic = newTopic({ partitions: 1 })
      const opened = await kit.open(topic)
      const at = { topic: topic.name, partition: 0 }
      const group = newGroup()
      const first = await join(opened.log, group, topic)
      const committed = first.membership.begin(first.assignment)
      committed.append(append(topic, 'k', 'committed'))
      committed.offsets([{ ...at, offset: 5 }])
      await committed.commit()
      const open = first.membership.begin(first.assignment)
      open.append(append(topic, 'k', 'open'))
      open.offsets([{ ...at, offset: 6 }])
      const { log } = await kit.reopen(opened)
      const second = await join(log, group, topic)
      expect(second.assignment.generation).toBeGreaterThan(first.assignment.generation)
      expect(await second.membership.committed([at])).toEqual([{ ...at, offset: 5 }])
      expect(texts(await readAll(log, topic))).toEqual(['committed'])
      await second.membership.leave()
    })
  })
}

function cleaning(kit: Kit): void {
  const newest = async (log: Log, topic: Topic) => new Map((await readAll(log, topic)).map(r => [r.key, r.value?.toString()]))

  describe('compaction', () => {
    it('leaves the newest record of every key, at its offset, and reads skip the gaps', async () => {
      const topic = newTopic({ partitions: 1, cleanup: 'compact' })
      const opened = await kit.open(topic)
      const { log } = opened
      await log.append([append(topic, '\0identity', 'id')])
      for (let round = 0; round < 30; round++) {
        await log.append(
          Array.from({ length: 10 }, (_, i) => append(topic, `key-${i}`, `${i}:${round}`, { headers: { round: `${round}` } })),
        )
      }
      const [single] = await log.append([append(topic, 'single', 'once')])
      const before = await readAll(log, topic)
      await opened.clean?.(HOUR)
      const after = await readAll(log, topic)
      expect(after).toEqual(before.filter((r, i) => before.findLastIndex(({ key }) => key === r.key) === i))
      expect(after).toHaveLength(12)
      expect(after[0]).toMatchObject({ key: '\0identity', offset: before[0]!.offset })
      const at = { topic: topic.name, partition: 0 }
      const { records } = await log.read(at, before[1]!.offset)
      expect(records[0]!.offset).toBeGreaterThan(before[1]!.offset)
      expect((await log.read(at, single!.offset)).records).toMatchObject([{ key: 'single' }])
      const again = await kit.reopen(opened)
      expect(await readAll(again.log, topic)).toEqual(after)
    })

    it('changes nothing that a reader of the newest values sees, whenever it runs', async () => {
      const topic = newTopic({ partitions: 1, cleanup: 'compact' })
      const opened = await kit.open(topic)
      const { log } = opened
      for (let round = 0; round < 6; round++) {
        const keys = Array.from({ length: 40 }, (_, i) => (i * (round + 3)) % 25)
        await log.append(keys.map(key => append(topic, `key-${key}`, key % 7 === round ? null : `${key}:${round}`)))
        const before = await newest(log, topic)
        await opened.clean?.(HOUR)
        expect(await newest(log, topic)).toEqual(before)
      }
    })

    it('keeps a tombstone for a day after what it deletes has gone, then not even that', async () => {
      const topic = newTopic({ partitions: 1, cleanup: 'compact' })
      const opened = await kit.open(topic)
      const { log } = opened
      await log.append([append(topic, 'kept', 'v'), append(topic, 'erased', 'personal')])
      const [tombstone] = await log.append([append(topic, 'erased', null)])
      await opened.clean?.(HOUR)
      expect(texts(await readAll(log, topic))).toEqual(['v', null])
      await opened.clean?.(DAY - 2 * HOUR)
      expect(texts(await readAll(log, topic))).toEqual(['v', null])
      await opened.clean?.(3 * HOUR)
      expect(texts(await readAll(log, topic))).toEqual(['v'])
      expect((await log.ends(topic.name))[0]!.high).toBeGreaterThan(tombstone!.offset)
      const again = await kit.reopen(opened)
      expect((await again.log.ends(topic.name))[0]!.high).toBeGreaterThan(tombstone!.offset)
      const [later] = await again.log.append([append(topic, 'later', 'v')])
      expect(later!.offset).toBeGreaterThan(tombstone!.offset)
    })
  })

  describe('retention', () => {
    it('moves the low end over what is too old, and reads from below begin there', async () => {
      const topic = newTopic({ partitions: 1, keepDays: 7 })
      const forever = newTopic({ partitions: 1 })
      const opened = await kit.open(topic, forever)
      const { log } = opened
      await log.append([append(topic, 'k', 'old'), append(topic, 'k', 'old too'), append(forever, 'k', 'for ever')])
      await opened.clean?.(6 * DAY)
      const [young] = await log.append([append(topic, 'k', 'young')])
      expect(texts(await readAll(log, topic))).toEqual(['old', 'old too', 'young'])
      await opened.clean?.(2 * DAY)
      expect(await log.ends(topic.name)).toEqual([{ partition: 0, low: young!.offset, high: young!.offset + 1 }])
      expect(texts((await log.read({ topic: topic.name, partition: 0 }, 0)).records)).toEqual(['young'])
      expect(texts(await readAll(log, forever))).toEqual(['for ever'])
      await opened.clean?.(8 * DAY)
      const again = await kit.reopen(opened)
      expect(await again.log.ends(topic.name)).toEqual([{ partition: 0, low: young!.offset + 1, high: young!.offset + 1 }])
      const [next] = await again.log.append([append(topic, 'k', 'next')])
      expect(next!.offset).toBeGreaterThan(young!.offset)
      expect(texts(await readAll(again.log, topic))).toEqual(['next'])
    })
  })
}

function closing(kit: Kit, { membership }: Features): void {
  describe('once closed', () => {
    it('refuses every call, and can be closed again', async () => {
      const topic = newTopic()
      const { log } = await kit.open(topic)
      const at = { topic: topic.name, partition: 0 }
      const waiting = codeOf(log.read(at, 0, { wait: 25_000 }))
      await log.close()
      expect(await waiting).toBe('closed')
      expect(await codeOf(log.append([append(topic, 'k', 'v')]))).toBe('closed')
      expect(await codeOf(log.read(at, 0, { wait: 25_000 }))).toBe('closed')
      expect(await codeOf(log.ends(topic.name))).toBe('closed')
      expect(await codeOf(log.groups())).toBe('closed')
      expect(await codeOf(log.groupOffsets('any'))).toBe('closed')
      await log.close()
    })

    it.runIf(membership)('refuses its members, and ends their waiting polls', async () => {
      const topic = newTopic({ partitions: 1 })
      const { log } = await kit.open(topic)
      const group = newGroup()
      const { membership, assignment, start } = await join(log, group, topic)
      start()
      const transaction = membership.begin(assignment)
      transaction.append(append(topic, 'k', 'v'))
      transaction.offsets([{ topic: topic.name, partition: 0, offset: 1 }])
      const waiting = codeOf(membership.poll({ max: 1, wait: 25_000 }))
      await log.close()
      expect(await waiting).toBe('closed')
      expect(await codeOf(transaction.commit())).toBe('closed')
      expect(await codeOf(membership.poll({ max: 1, wait: 25_000 }))).toBe('closed')
      expect(await codeOf(membership.committed([]))).toBe('closed')
      expect(await codeOf(() => join(log, group, topic))).toBe('closed')
    })
  })
}

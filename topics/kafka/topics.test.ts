import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { append, codeOf, join, newGroup, newTopic, readAll, texts } from '../../test/conformance/harness.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import type { Topic } from '../catalog.ts'
import { kafkaOf } from './settings.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'
import { ensureTopics, settingsOf } from './topics.ts'

vi.setConfig({ testTimeout: 30_000 })

const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR
const TOPIC = 2

await describeWithStack('topics on a real broker', ({ KAFKA_BROKERS }) => {
  const kafka = { brokers: KAFKA_BROKERS?.split(',') ?? [] }
  const admin = kafkaOf(kafka).admin()
  beforeAll(() => admin.connect())
  afterAll(() => admin.disconnect())

  const ensure = (...topics: Topic[]) => ensureTopics({ kafka, topics, replicationFactor: 1 })

  /** What the broker has: partitions, and settings. */
  async function found(name: string) {
    const { topics } = await admin.fetchTopicMetadata({ topics: [name] })
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: [{ type: TOPIC, name }] })
    const entries = resources[0]?.configEntries.map(e => [e.configName, e.configValue] as const) ?? []
    return { partitions: topics[0]?.partitions.length, settings: Object.fromEntries(entries) }
  }

  /** A topic as somebody else has made it. */
  async function make(name: string, numPartitions: number, configEntries: readonly { name: string; value: string }[]) {
    await admin.createTopics({ topics: [{ topic: name, numPartitions, configEntries: [...configEntries] }] })
    await expect.poll(async () => (await found(name).catch(() => null))?.partitions).toBe(numPartitions)
  }

  it('are created if they are missing, as the catalog says', async () => {
    const weekly = newTopic({ partitions: 4, keepDays: 7 })
    const forever = newTopic({ partitions: 1 })
    const compacted = newTopic({ partitions: 2, cleanup: 'compact' })
    const { partitions, differences } = await ensure(weekly, forever, compacted)
    expect(differences).toEqual([])
    expect(partitions).toEqual(
      new Map([
        [weekly.name, 4],
        [forever.name, 1],
        [compacted.name, 2],
      ]),
    )
    const common = { 'message.timestamp.type': 'LogAppendTime', 'min.insync.replicas': '1' }
    expect(await found(weekly.name)).toMatchObject({
      partitions: 4,
      settings: { ...common, 'cleanup.policy': 'delete', 'retention.ms': `${7 * DAY}` },
    })
    expect((await found(forever.name)).settings).toMatchObject({ ...common, 'cleanup.policy': 'delete', 'retention.ms': '-1' })
    expect((await found(compacted.name)).settings).toMatchObject({
      ...common,
      'cleanup.policy': 'compact',
      'delete.retention.ms': `${DAY}`,
    })
  })

  it('require one in-sync replica fewer than there are', () => {
    const replicas = (factor: number) => settingsOf(newTopic(), factor)['min.insync.replicas']
    expect([1, 2, 3].map(replicas)).toEqual(['1', '1', '2'])
  })

  it('that exist as the catalog says have no differences', async () => {
    const topics = [newTopic({ keepDays: 1 }), newTopic({ cleanup: 'compact' }), newTopic()]
    await ensure(...topics)
    expect((await ensure(...topics)).differences).toEqual([])
  })

  it('that differ are reported, setting by setting, with the command that corrects it, and not changed', async () => {
    const wanted = newTopic({ partitions: 3, keepDays: 7 })
    const configEntries = [
      { name: 'message.timestamp.type', value: 'LogAppendTime' },
      { name: 'segment.ms', value: `${7 * HOUR}` },
      { name: 'retention.ms', value: '1000000' },
    ]
    await make(wanted.name, 3, configEntries)
    const before = await found(wanted.name)
    const log = await openKafkaLog({ kafka, topics: [wanted] })
    expect(log.differences).toEqual([
      {
        topic: wanted.name,
        setting: 'retention.ms',
        wanted: `${7 * DAY}`,
        found: '1000000',
        command: expect.stringContaining(`--entity-name ${wanted.name} --add-config retention.ms=${7 * DAY}`),
      },
    ])
    expect(await found(wanted.name)).toEqual(before)
    await log.append([append(wanted, 'k', 'taken')])
    await log.close()
  })

  const appendTime = { name: 'message.timestamp.type', value: 'LogAppendTime' }
  const policy = (value: string) => ({ name: 'cleanup.policy', value })
  for (const [what, cleanup, partitions, configEntries, said] of [
    ['more partitions', 'delete', 5, [appendTime], 'has 5 partitions instead of 3'],
    ['fewer partitions', 'compact', 2, [appendTime, policy('compact')], 'has 2 partitions instead of 3'],
    ['records deleted by time', 'compact', 3, [appendTime, policy('delete')], 'has cleanup.policy delete instead of compact'],
    ['compaction and deletion', 'compact', 3, [appendTime, policy('compact,delete')], 'has cleanup.policy compact,delete'],
    ['only the newest of each key', 'delete', 3, [appendTime, policy('compact')], 'has cleanup.policy compact instead of delete'],
    ['the times of its writers', 'delete', 3, [], 'has message.timestamp.type CreateTime instead of LogAppendTime'],
  ] as const) {
    it(`are refused with ${what}: the log does not open, and says what to do`, async () => {
      const bad = newTopic({ partitions: 3, cleanup })
      const good = newTopic()
      await make(bad.name, partitions, configEntries)
      const opening = openKafkaLog({ kafka, topics: [good, bad] })
      await expect(opening).rejects.toThrow(`${bad.name} ${said}`)
      await expect(opening).rejects.toMatchObject({ name: 'LogError', code: 'no_topic' })
      await expect(opening).rejects.toThrow(/Set the number back|kafka-configs/)
      await expect(opening).rejects.not.toThrow(good.name)
    })
  }

  it('roll their segments in time, so that nothing is kept for much longer than it should be', () => {
    const segments = (keepDays: number) => Number(settingsOf(newTopic({ keepDays }), 1)['segment.ms'])
    expect([1, 3, 30, 90].map(days => segments(days) / HOUR)).toEqual([1, 3, 24, 24])
    const compacted = settingsOf(newTopic({ cleanup: 'compact' }), 1)
    expect(compacted['max.compaction.lag.ms']).toBe(`${DAY}`)
    expect(Number(compacted['segment.ms'])).toBeLessThan(DAY)
  })

  it('are known by an id that another of the same name does not have', async () => {
    const topic = newTopic({ partitions: 1 })
    const log = await openKafkaLog({ kafka, topics: [topic] })
    const first = await log.topicId(topic.name)
    expect(first).toMatch(/^[\w-]{22}$/)
    expect(await Promise.all([log.topicId(topic.name), log.topicId(topic.name)])).toEqual([first, first])
    expect(await codeOf(log.topicId('another'))).toBe('no_topic')
    await admin.deleteTopics({ topics: [topic.name] })
    await expect.poll(() => codeOf(log.topicId(topic.name)), { timeout: 10_000 }).toBe('no_topic')
    const again = await openKafkaLog({ kafka, topics: [topic] })
    await expect.poll(() => log.topicId(topic.name).catch(String), { timeout: 10_000 }).toBe(await again.topicId(topic.name))
    expect(await log.topicId(topic.name)).not.toBe(first)
    await again.close()
    await log.close()
  })

  it('are created once by several processes at the same time', async () => {
    const topics = [newTopic({ partitions: 2 }), newTopic({ cleanup: 'compact' })]
    const all = await Promise.all(Array.from({ length: 4 }, () => ensure(...topics)))
    for (const { partitions, differences } of all) {
      expect(differences).toEqual([])
      expect([...partitions.values()].toSorted()).toEqual([2, 3])
    }
  })

  it('and groups of logs with other prefixes are separate', async () => {
    const topic = newTopic({ partitions: 1 })
    const group = newGroup()
    const at = { topic: topic.name, partition: 0 }
    const open = (prefix: string) => openKafkaLog({ kafka: { ...kafka, prefix }, topics: [topic] })
    const prefixes = ['one.', 'two.'].map(p => `${newGroup()}.${p}`)
    const logs: KafkaLog[] = await Promise.all(prefixes.map(open))
    const members = await Promise.all(logs.map(log => join(log, group, topic)))
    for (const [i, log] of logs.entries()) {
      const { membership, assignment, start, take } = members[i]!
      // The same instance in the same group: were they not apart, one would fence the other.
      expect(assignment).toMatchObject({ group, partitions: [at] })
      for (let n = 0; n <= i; n++) {
        const transaction = membership.begin(assignment)
        transaction.append(append(topic, 'k', `${i}:${n}`))
        transaction.offsets([{ ...at, offset: 10 * i + n }])
        await transaction.commit()
      }
      start()
      expect(texts(await take(i + 1))).toEqual(Array.from({ length: i + 1 }, (_, n) => `${i}:${n}`))
      expect(await log.groups()).toEqual([group])
    }
    expect(texts(await readAll(logs[0]!, topic))).toEqual(['0:0'])
    expect(texts(await readAll(logs[1]!, topic))).toEqual(['1:0', '1:1'])
    expect(await Promise.all(logs.map(log => log.groupOffsets(group)))).toEqual([[{ ...at, offset: 0 }], [{ ...at, offset: 11 }]])
    const names = await admin.listTopics()
    expect(names).toEqual(expect.arrayContaining(prefixes.map(p => p + topic.name)))
    expect(names).not.toContain(topic.name)
    for (const log of logs) await log.close()
  })
})

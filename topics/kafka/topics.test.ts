import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { append, join, newGroup, newTopic, readAll, texts } from '../../test/conformance/harness.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import type { Topic } from '../catalog.ts'
import { kafkaOf } from './client.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'
import { ensureTopics, settingsOf } from './topics.ts'

vi.setConfig({ testTimeout: 30_000 })

const DAY = 24 * 60 * 60 * 1000
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

  it('are made where they are missing, as the catalog says', async () => {
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

  it('want one replica fewer in sync than there are', () => {
    const replicas = (factor: number) => settingsOf(newTopic(), factor)['min.insync.replicas']
    expect([1, 2, 3].map(replicas)).toEqual(['1', '1', '2'])
  })

  it('that are there as the catalog has them differ in nothing', async () => {
    const topics = [newTopic({ keepDays: 1 }), newTopic({ cleanup: 'compact' }), newTopic()]
    await ensure(...topics)
    expect((await ensure(...topics)).differences).toEqual([])
  })

  it('that differ are told, setting by setting, and not changed', async () => {
    const wanted = newTopic({ partitions: 3, keepDays: 7 })
    const changelog = newTopic({ partitions: 1, cleanup: 'compact' })
    await admin.createTopics({
      topics: [
        { topic: wanted.name, numPartitions: 5, configEntries: [{ name: 'retention.ms', value: '1000000' }] },
        { topic: changelog.name, numPartitions: 1, configEntries: [{ name: 'message.timestamp.type', value: 'LogAppendTime' }] },
      ],
    })
    const before = [await found(wanted.name), await found(changelog.name)]
    const { partitions, differences } = await ensure(wanted, changelog)
    expect(partitions.get(wanted.name)).toBe(5)
    expect(differences).toHaveLength(4)
    expect(differences).toEqual(
      expect.arrayContaining([
        { topic: wanted.name, setting: 'partitions', wanted: '3', found: '5' },
        { topic: wanted.name, setting: 'retention.ms', wanted: `${7 * DAY}`, found: '1000000' },
        { topic: wanted.name, setting: 'message.timestamp.type', wanted: 'LogAppendTime', found: 'CreateTime' },
        { topic: changelog.name, setting: 'cleanup.policy', wanted: 'compact', found: 'delete' },
      ]),
    )
    expect([await found(wanted.name), await found(changelog.name)]).toEqual(before)
    const log = await openKafkaLog({ kafka, topics: [wanted] })
    expect(log.differences.map(d => d.setting).toSorted()).toEqual(['message.timestamp.type', 'partitions', 'retention.ms'])
    await log.append([append(wanted, 'k', 'in the fifth', { partition: 4 })])
    await log.close()
  })

  it('are made once where several processes want them at the same time', async () => {
    const topics = [newTopic({ partitions: 2 }), newTopic({ cleanup: 'compact' })]
    const all = await Promise.all(Array.from({ length: 4 }, () => ensure(...topics)))
    for (const { partitions, differences } of all) {
      expect(differences).toEqual([])
      expect([...partitions.values()].toSorted()).toEqual([2, 3])
    }
  })

  it('and groups of logs with other prefixes are apart', async () => {
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

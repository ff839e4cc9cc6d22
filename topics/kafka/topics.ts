/** Creates the topics that are missing, and says where one that is there differs from the catalog. Nothing is changed by itself. */
import type { Topic } from '../catalog.ts'
import { LogError } from '../log.ts'
import { isPassing, kafkaOf, type KafkaSettings, logError, persist } from './client.ts'

export interface TopicsOptions {
  readonly kafka: KafkaSettings
  readonly topics: readonly Topic[]
  readonly replicationFactor: number
}

export interface Difference {
  readonly topic: string
  readonly setting: string
  readonly wanted: string
  readonly found: string
}

const DAY = 24 * 60 * 60 * 1000
const TOPIC = 2
const LIMIT_MS = 60_000

/** Another process may just have made the topics: brokers hear of it one after the other. */
function isSettling(error: LogError): boolean {
  return isPassing(error) || error.code === 'no_topic'
}

/** Settings of a topic, as the broker has them. */
export function settingsOf({ cleanup, retentionMs }: Topic, replicationFactor: number): Record<string, string> {
  return {
    'message.timestamp.type': 'LogAppendTime',
    'cleanup.policy': cleanup,
    ...(cleanup === 'compact' ? { 'delete.retention.ms': String(DAY) } : { 'retention.ms': String(retentionMs ?? -1) }),
    'min.insync.replicas': String(Math.max(1, replicationFactor - 1)),
  }
}

/**
 * Partitions of each topic as they are, and every difference from the catalog.
 * @throws {LogError} `unavailable`
 */
export async function ensureTopics({ kafka, topics, replicationFactor }: TopicsOptions): Promise<{
  partitions: Map<string, number>
  differences: Difference[]
}> {
  const admin = kafkaOf(kafka).admin()
  const { prefix = '' } = kafka
  const wire = (topic: Topic) => prefix + topic.name
  try {
    return await persist(LIMIT_MS, isSettling, async () => {
      await admin.connect()
      const there = new Set(await admin.listTopics())
      const missing = topics.filter(t => !there.has(wire(t)))
      if (missing.length > 0) {
        await admin.createTopics({
          waitForLeaders: true,
          timeout: 15_000,
          topics: missing.map(topic => ({
            topic: wire(topic),
            numPartitions: topic.partitions,
            replicationFactor,
            configEntries: Object.entries(settingsOf(topic, replicationFactor)).map(([name, value]) => ({ name, value })),
          })),
        })
      }
      const metadata = await admin.fetchTopicMetadata({ topics: topics.map(wire) })
      const partitions = new Map(metadata.topics.map(t => [t.name.slice(prefix.length), t.partitions.length]))
      const differences: Difference[] = []
      const known = topics.filter(t => there.has(wire(t)))
      const resources = known.map(t => ({
        type: TOPIC,
        name: wire(t),
        configNames: Object.keys(settingsOf(t, replicationFactor)),
      }))
      const described = known.length === 0 ? [] : (await admin.describeConfigs({ includeSynonyms: false, resources })).resources
      for (const topic of known) {
        const found = partitions.get(topic.name)
        if (found !== topic.partitions)
          differences.push({ topic: topic.name, setting: 'partitions', wanted: String(topic.partitions), found: String(found) })
        const entries = described.find(r => r.resourceName === wire(topic))?.configEntries ?? []
        for (const [setting, wanted] of Object.entries(settingsOf(topic, replicationFactor))) {
          const value = entries.find(e => e.configName === setting)?.configValue ?? 'nothing'
          if (value !== wanted) differences.push({ topic: topic.name, setting, wanted, found: value })
        }
      }
      return { partitions, differences }
    })
  } catch (error) {
    throw new LogError('unavailable', `the topics could not be read or created: ${logError(error).message}`, { cause: error })
  } finally {
    await admin.disconnect().catch(() => {})
  }
}

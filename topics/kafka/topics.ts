/**
 * Creates missing topics, and checks existing ones. A topic on which the log would lose records, or their order, is refused; any other
 * difference from the catalog is reported as a warning. Existing topics are never changed: an operator must do that.
 */
import { DAY_MS, HOUR_MS } from '../../domain/time.ts'
import type { Topic } from '../catalog.ts'
import { LogError } from '../log.ts'
import { KafkaClient } from './client.ts'
import { kafkaOf, type KafkaSettings } from './settings.ts'
import { isRetriable, toLogError } from './errors.ts'
import { retry } from './retry.ts'

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
  /** The command that sets it as the catalog says. */
  readonly command: string
}

const TOPIC_RESOURCE = 2
const CREATE_TIMEOUT_MS = 15_000
const LIMIT_MS = 60_000
/** A changelog is read from its start by a worker without a state store: the part that is not compacted should be small. */
const COMPACTED_SEGMENT_BYTES = 64 * 1024 * 1024

/** Another process may just have created the topics: brokers learn of it one after another. */
function isSettling(error: LogError): boolean {
  return isRetriable(error) || error.code === 'no_topic'
}

/**
 * Settings of a topic on the broker. A broker compacts and deletes whole segments, but never the active one: segments are rolled in time,
 * so that nothing is kept for much longer than it should be.
 */
export function settingsOf({ cleanup, retentionMs }: Topic, replicationFactor: number): Record<string, string> {
  return {
    'message.timestamp.type': 'LogAppendTime',
    'cleanup.policy': cleanup,
    ...(cleanup === 'compact' ? COMPACTED : { 'retention.ms': String(retentionMs ?? -1) }),
    ...(cleanup === 'delete' && retentionMs !== null ? { 'segment.ms': String(segmentMs(retentionMs)) } : {}),
    'min.insync.replicas': String(Math.max(1, replicationFactor - 1)),
  }
}

const COMPACTED = {
  'delete.retention.ms': String(DAY_MS),
  // Overwritten values are gone by then, however little is written.
  'max.compaction.lag.ms': String(DAY_MS),
  'segment.ms': String(6 * HOUR_MS),
  'segment.bytes': String(COMPACTED_SEGMENT_BYTES),
  'min.cleanable.dirty.ratio': '0.3',
}

/** A topic keeps up to one segment more than its retention: an hour to a day, depending on the retention. */
function segmentMs(retentionMs: number): number {
  return Math.min(DAY_MS, Math.max(HOUR_MS, Math.round(retentionMs / 24)))
}

/**
 * Actual partitions of each topic, and every tolerable difference from the catalog.
 * @throws {LogError} `no_topic` when an existing topic cannot be used, `unavailable` when topics cannot be read or created
 */
export async function ensureTopics({ kafka, topics, replicationFactor }: TopicsOptions): Promise<{
  partitions: Map<string, number>
  differences: Difference[]
}> {
  const admin = kafkaOf(kafka).admin()
  const client = new KafkaClient(kafka)
  const { prefix = '' } = kafka
  const nameOf = (topic: Topic) => prefix + topic.name
  let found: Found
  try {
    found = await retry(LIMIT_MS, isSettling, async () => {
      await admin.connect()
      const there = new Set(await admin.listTopics())
      const missing = topics.filter(t => !there.has(nameOf(t)))
      if (missing.length > 0) {
        await admin.createTopics({
          timeout: CREATE_TIMEOUT_MS,
          topics: missing.map(topic => ({
            topic: nameOf(topic),
            numPartitions: topic.partitions,
            replicationFactor,
            configEntries: Object.entries(settingsOf(topic, replicationFactor)).map(([name, value]) => ({ name, value })),
          })),
        })
      }
      const described = await client.describe(topics.map(t => t.name))
      const partitions = new Map<string, number>()
      for (const topic of topics) {
        const one = described.find(d => d.topic === topic.name)
        const settled =
          one?.errorCode === 0 && (there.has(nameOf(topic)) || [...one.leaders.values()].every(leader => leader >= 0))
        if (one === undefined || !settled) throw new LogError('unavailable', `topic ${nameOf(topic)} has no leaders yet`)
        partitions.set(topic.name, one.leaders.size)
      }
      const known = topics.filter(t => there.has(nameOf(t)))
      const resources = known.map(t => ({
        type: TOPIC_RESOURCE,
        name: nameOf(t),
        configNames: Object.keys(settingsOf(t, replicationFactor)),
      }))
      const configs = known.length === 0 ? [] : (await admin.describeConfigs({ includeSynonyms: false, resources })).resources
      const settings = new Map(
        configs.map(r => [r.resourceName, new Map(r.configEntries.map(e => [e.configName, e.configValue]))] as const),
      )
      return { known, partitions, settings }
    })
  } catch (error) {
    throw new LogError('unavailable', `cannot read or create the topics: ${toLogError(error).message}`, { cause: error })
  } finally {
    await Promise.all([admin.disconnect().catch(() => {}), client.close()])
  }
  const { known, partitions, settings } = found
  const refused = known.flatMap(topic => refusals(topic, nameOf(topic), partitions, settings.get(nameOf(topic)) ?? new Map()))
  if (refused.length > 0) {
    throw new LogError('no_topic', `topics of the cluster cannot be used: ${refused.join('; ')}`)
  }
  const differences = known.flatMap(topic =>
    Object.entries(settingsOf(topic, replicationFactor)).flatMap(([setting, wanted]): Difference[] => {
      const value = settings.get(nameOf(topic))?.get(setting) ?? 'nothing'
      if (value === wanted) return []
      return [{ topic: topic.name, setting, wanted, found: value, command: alter(nameOf(topic), setting, wanted) }]
    }),
  )
  return { partitions, differences }
}

interface Found {
  readonly known: readonly Topic[]
  readonly partitions: Map<string, number>
  /** By the topic's name on the cluster, then by setting. */
  readonly settings: ReadonlyMap<string, ReadonlyMap<string, string>>
}

/** Why a topic cannot be used: keys would map to other partitions, records would be lost, or their times would be the writers'. */
function refusals(
  topic: Topic,
  name: string,
  partitions: ReadonlyMap<string, number>,
  settings: ReadonlyMap<string, string>,
): string[] {
  const refused: string[] = []
  const count = partitions.get(topic.name)
  if (count !== topic.partitions) {
    refused.push(
      `${name} has ${count} partitions instead of ${topic.partitions}: the number is final once a topic is created, because keys would ` +
        'map to other partitions. Set the number back in the settings, or copy the records into a new topic',
    )
  }
  const policy = settings.get('cleanup.policy') ?? 'nothing'
  if (policy !== topic.cleanup) {
    const harm =
      topic.cleanup === 'compact'
        ? 'records would be deleted that exist nowhere else'
        : 'all but the newest record of a key would be lost'
    refused.push(
      `${name} has cleanup.policy ${policy} instead of ${topic.cleanup}: ${harm}. Run ${alter(name, 'cleanup.policy', topic.cleanup)}`,
    )
  }
  const type = settings.get('message.timestamp.type') ?? 'nothing'
  if (type !== 'LogAppendTime') {
    refused.push(
      `${name} has message.timestamp.type ${type} instead of LogAppendTime: timers and retention use the log append time. ` +
        `Run ${alter(name, 'message.timestamp.type', 'LogAppendTime')}`,
    )
  }
  return refused
}

function alter(topic: string, setting: string, value: string): string {
  return `kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name ${topic} --add-config ${setting}=${value}`
}

/**
 * Creates the topics that are missing, and looks at those that are there. One on which the log would lose records, or their order,
 * is refused; of any other difference from the catalog a warning is made. Nothing that is there is changed: that is for people.
 */
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
  /** What makes it as it is wanted. */
  readonly command: string
}

const HOUR = 60 * 60 * 1000
const DAY = 24 * HOUR
const TOPIC = 2
const LIMIT_MS = 60_000
/** A changelog is read from its beginning by whoever has no store of it: what is not compacted yet should be little. */
const COMPACTED_SEGMENT = 64 * 1024 * 1024

/** Another process may just have made the topics: brokers hear of it one after the other. */
function isSettling(error: LogError): boolean {
  return isRetriable(error) || error.code === 'no_topic'
}

/**
 * Settings of a topic, as the broker has them. It compacts and removes whole segments, and never the one that is written: so that
 * nothing is kept for much longer than it should be, segments end in time.
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
  'delete.retention.ms': String(DAY),
  // What was overwritten is gone by then, however little is written.
  'max.compaction.lag.ms': String(DAY),
  'segment.ms': String(6 * HOUR),
  'segment.bytes': String(COMPACTED_SEGMENT),
  'min.cleanable.dirty.ratio': '0.3',
}

/** A topic holds up to one segment more than its retention: an hour to a day, as that is short or long. */
function segmentMs(retentionMs: number): number {
  return Math.min(DAY, Math.max(HOUR, Math.round(retentionMs / 24)))
}

/**
 * Partitions of each topic as they are, and every difference from the catalog that can be lived with.
 * @throws {LogError} `no_topic` when one that is there cannot be used, `unavailable` when they cannot be read or made
 */
export async function ensureTopics({ kafka, topics, replicationFactor }: TopicsOptions): Promise<{
  partitions: Map<string, number>
  differences: Difference[]
}> {
  const admin = kafkaOf(kafka).admin()
  const client = new KafkaClient(kafka)
  const { prefix = '' } = kafka
  const wire = (topic: Topic) => prefix + topic.name
  let found: Found
  try {
    found = await retry(LIMIT_MS, isSettling, async () => {
      await admin.connect()
      const there = new Set(await admin.listTopics())
      const missing = topics.filter(t => !there.has(wire(t)))
      if (missing.length > 0) {
        await admin.createTopics({
          timeout: 15_000,
          topics: missing.map(topic => ({
            topic: wire(topic),
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
        const settled = one?.errorCode === 0 && (there.has(wire(topic)) || [...one.leaders.values()].every(leader => leader >= 0))
        if (one === undefined || !settled) throw new LogError('unavailable', `topic ${wire(topic)} has no leaders yet`)
        partitions.set(topic.name, one.leaders.size)
      }
      const known = topics.filter(t => there.has(wire(t)))
      const resources = known.map(t => ({
        type: TOPIC,
        name: wire(t),
        configNames: Object.keys(settingsOf(t, replicationFactor)),
      }))
      const configs = known.length === 0 ? [] : (await admin.describeConfigs({ includeSynonyms: false, resources })).resources
      const settings = new Map(
        configs.map(r => [r.resourceName, new Map(r.configEntries.map(e => [e.configName, e.configValue]))] as const),
      )
      return { known, partitions, settings }
    })
  } catch (error) {
    throw new LogError('unavailable', `the topics could not be read or created: ${toLogError(error).message}`, { cause: error })
  } finally {
    await Promise.all([admin.disconnect().catch(() => {}), client.close()])
  }
  const { known, partitions, settings } = found
  const refused = known.flatMap(topic => refusals(topic, wire(topic), partitions, settings.get(wire(topic)) ?? new Map()))
  if (refused.length > 0) {
    throw new LogError('no_topic', `topics of the cluster cannot be used as they are: ${refused.join('; ')}`)
  }
  const differences = known.flatMap(topic =>
    Object.entries(settingsOf(topic, replicationFactor)).flatMap(([setting, wanted]): Difference[] => {
      const value = settings.get(wire(topic))?.get(setting) ?? 'nothing'
      if (value === wanted) return []
      return [{ topic: topic.name, setting, wanted, found: value, command: alter(wire(topic), setting, wanted) }]
    }),
  )
  return { partitions, differences }
}

interface Found {
  readonly known: readonly Topic[]
  readonly partitions: Map<string, number>
  /** By topic as it is called on the cluster, then by name. */
  readonly settings: ReadonlyMap<string, ReadonlyMap<string, string>>
}

/** Why a topic cannot be used: keys would be looked for in the wrong partition, records lost, or times those of the writers. */
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
      `${name} has ${count} partitions, ${topic.partitions} are wanted: the number is final once a topic is made, for keys would ` +
        'be looked for in other partitions than they are in. Set the number back in the settings, or copy the records into a topic made anew',
    )
  }
  const policy = settings.get('cleanup.policy') ?? 'nothing'
  if (policy !== topic.cleanup) {
    const harm =
      topic.cleanup === 'compact'
        ? 'records would be deleted that nothing else holds'
        : 'all but the newest record of a key would be lost'
    refused.push(
      `${name} has cleanup.policy ${policy}, ${topic.cleanup} is wanted: ${harm}. Run ${alter(name, 'cleanup.policy', topic.cleanup)}`,
    )
  }
  const type = settings.get('message.timestamp.type') ?? 'nothing'
  if (type !== 'LogAppendTime') {
    refused.push(
      `${name} has message.timestamp.type ${type}, LogAppendTime is wanted: timers and retention go by the log's own time. ` +
        `Run ${alter(name, 'message.timestamp.type', 'LogAppendTime')}`,
    )
  }
  return refused
}

function alter(topic: string, setting: string, value: string): string {
  return `kafka-configs.sh --bootstrap-server … --alter --entity-type topics --entity-name ${topic} --add-config ${setting}=${value}`
}

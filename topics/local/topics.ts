/** The topics of a file, with their partitions in memory. */
import type { Topic } from '../catalog.ts'
import { LogError, type TopicPartition } from '../log.ts'
import type { LocalTopic, Partition } from './partition.ts'
import type { Storage, TopicRow } from './storage.ts'

export class LocalTopics {
  readonly #storage: Storage
  readonly #topics = new Map<string, LocalTopic>()

  /** Loads the topics that the file has. */
  constructor(storage: Storage) {
    this.#storage = storage
    for (const topic of storage.topics()) this.#load(topic)
  }

  get byName(): ReadonlyMap<string, LocalTopic> {
    return this.#topics
  }

  /** @throws {LogError} `no_topic` */
  get(name: string): LocalTopic {
    const topic = this.#topics.get(name)
    if (topic === undefined) throw new LogError('no_topic', `no topic "${name}" in ${this.#storage.database.file}`)
    return topic
  }

  /** @throws {LogError} `no_topic` */
  partition({ topic, partition }: TopicPartition): Partition {
    const { owned, partitions } = this.get(topic)
    const found = owned[partition]
    if (found === undefined) throw new LogError('no_topic', `topic "${topic}" has ${partitions} partitions, but no ${partition}`)
    return found
  }

  /** Creates a topic, or takes over how long it keeps its records. @throws {LogError} `no_topic` when it has another number of partitions */
  ensure(topic: Topic): void {
    const { name, partitions, cleanup, retentionMs } = topic
    const existing = this.#topics.get(name)
    if (existing === undefined) {
      this.#storage.saveTopic(topic)
      this.#load({ name, partitions, cleanup, retentionMs })
    } else if (existing.partitions !== partitions) {
      throw new LogError(
        'no_topic',
        `topic "${name}" has ${existing.partitions} partitions in ${this.#storage.database.file}, but the catalog says ${partitions}: ` +
          'the number is final once a topic is created; set it back, or start with a new file',
      )
    } else if (existing.cleanup !== cleanup || existing.retentionMs !== retentionMs) {
      this.#storage.saveTopic(topic)
      this.#topics.set(name, { ...existing, cleanup, retentionMs })
    }
  }

  #load(topic: TopicRow): void {
    const owned = this.#storage.partitions(topic.name).map(row => {
      const contiguous = topic.cleanup === 'delete' && row.clean === 0
      return { ...row, listeners: new Set<() => void>(), contiguous, joined: row.low }
    })
    this.#topics.set(topic.name, { ...topic, owned })
  }
}

/**
 * The Kafka driver of the log.
 *
 *   append ▶ Appends ▶ a lane per partition, separate connections for slow ones
 *   read   ▶ Reader ▶ lanes, without a group              ─┐
 *   join   ▶ KafkaMembership ▶ group, transactional Producer ┴▶ one Fetcher
 *
 * How kafkajs is used, and what is repaired in it: `hardening.ts`.
 */
import { join as path } from 'node:path'
import type { Topic } from '../catalog.ts'
import {
  type Append,
  type Ends,
  type JoinOptions,
  type Log,
  LogError,
  type Membership,
  type Position,
  type Read,
  type TopicPartition,
} from '../log.ts'
import { Appends } from './appends.ts'
import type { Compression } from './batch.ts'
import { KafkaClient } from './client.ts'
import { type KafkaSettings, kafkaOf } from './settings.ts'
import { throwIfError, ErrorCode, isRetriable, toLogError } from './errors.ts'
import { retry } from './retry.ts'
import { Fetcher } from './fetcher.ts'
import { requestsSent } from './hardening.ts'
import { KafkaMembership } from './membership.ts'
import { offsetFetch } from './protocol.ts'
import { Reader } from './reader.ts'
import { type Difference, ensureTopics } from './topics.ts'
import type { TransactionVersion } from './transaction-protocol.ts'

export interface KafkaLogOptions {
  readonly kafka: KafkaSettings
  /** Topics that the cluster must have. Missing ones are created. */
  readonly topics: readonly Topic[]
  /** Partitions of a topic on this cluster: the numbers of the catalog are for one machine. */
  readonly partitions?: (topic: Topic) => number
  readonly replicationFactor?: number
  /** Where member ids are kept, so that a restarted instance need not wait for its old session to time out; null: nowhere. */
  readonly folder?: string | null
  readonly compression?: Compression
  /** A member without a heartbeat for this long loses its tasks, ms. */
  readonly sessionTimeout?: number
  readonly rebalanceTimeout?: number
  /** Longest time that an abandoned transaction holds up readers, ms. */
  readonly transactionTimeout?: number
  /** Protocol of transactions; null: the cluster's. 1 uses the older one even if the cluster has the newer. */
  readonly transactionVersion?: TransactionVersion | null
  /** A worker that has not polled for this long counts as hanging, ms. */
  readonly pollTimeout?: number
  readonly onError?: (what: string, error: unknown) => void
}

/**
 * @throws {LogError} `unavailable` when the cluster cannot be reached or is too old; `no_topic` when an existing topic cannot be used as
 * the catalog says, with what was found, what is required, and what to do.
 */
export async function openKafkaLog(options: KafkaLogOptions): Promise<KafkaLog> {
  const { kafka, topics, replicationFactor = 1, partitions = topic => topic.partitions } = options
  const wanted = topics.map(topic => ({ ...topic, partitions: partitions(topic) }))
  const ensured = await ensureTopics({ kafka, topics: wanted, replicationFactor })
  return new KafkaLog(options, ensured.partitions, ensured.differences)
}

const RETRY_MS = 10_000

export class KafkaLog implements Log {
  /** A commit takes the broker at least 50 ms, however little is in it. */
  readonly transactionBytes = 18 * 1024 * 1024
  /** Settings in which existing topics differ from the catalog. */
  readonly differences: readonly Difference[]
  readonly #options: Required<KafkaLogOptions>
  /** Partitions by topic. */
  readonly #topics: ReadonlyMap<string, number>
  readonly #client: KafkaClient
  /** Fetches have connections of their own. */
  readonly #fetching: KafkaClient
  readonly #fetcher: Fetcher
  readonly #reader: Reader
  readonly #appends: Appends
  readonly #members = new Set<KafkaMembership>()
  /** Requests for topic ids in progress. */
  readonly #topicIds = new Map<string, Promise<string>>()
  #closed = false

  constructor(options: KafkaLogOptions, topics: ReadonlyMap<string, number>, differences: readonly Difference[]) {
    this.#options = {
      replicationFactor: 1,
      partitions: topic => topic.partitions,
      folder: null,
      compression: 'none',
      sessionTimeout: 10_000,
      rebalanceTimeout: 15_000,
      transactionTimeout: 10_000,
      transactionVersion: null,
      pollTimeout: 60_000,
      onError: () => {},
      ...options,
    }
    this.differences = differences
    this.#topics = topics
    this.#client = new KafkaClient(options.kafka)
    const onError = (what: string, error: unknown) => this.#options.onError(what, error)
    this.#fetching = new KafkaClient(options.kafka)
    this.#fetcher = new Fetcher({ client: this.#fetching })
    this.#reader = new Reader(this.#fetching, this.#fetcher, onError)
    const { compression } = this.#options
    this.#appends = new Appends({ client: this.#client, compression, partitions: topic => this.#partitions(topic) })
  }

  async append(records: readonly Append[]): Promise<Position[]> {
    this.#check()
    return this.#appends.add(records)
  }

  async read(partition: TopicPartition, from: number, options: { maxBytes?: number; wait?: number } = {}): Promise<Read> {
    this.#check()
    this.#partitions(partition.topic)
    return this.#reader.read(partition, from, options)
  }

  async ends(topic: string): Promise<Ends[]> {
    this.#check()
    const partitions = Array.from({ length: this.#partitions(topic) }, (_, partition) => ({ topic, partition }))
    const [first, high] = await Promise.all([
      this.#client.offsets(partitions, 'earliest'),
      this.#client.offsets(partitions, 'latest'),
    ])
    const at = (of: readonly Position[], partition: number) => of.find(p => p.partition === partition)?.offset ?? 0
    return partitions.map(({ partition }) => ({ partition, low: at(first, partition), high: at(high, partition) }))
  }

  /** Fetched every time, because a topic may be deleted and created again; concurrent calls share a request. */
  topicId(topic: string): Promise<string> {
    let pending = this.#topicIds.get(topic)
    if (pending === undefined) {
      pending = this.#topicId(topic).finally(() => this.#topicIds.delete(topic))
      this.#topicIds.set(topic, pending)
    }
    return pending
  }

  async #topicId(topic: string): Promise<string> {
    this.#check()
    this.#partitions(topic)
    const found = await retry(RETRY_MS, isRetriable, async () => {
      const [described] = await this.#client.describe([topic])
      throwIfError(described?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
      return described
    })
    if (!found?.id) throw new LogError('unavailable', `the cluster has no id for topic ${topic}: Kafka 2.8 or later is required`)
    return found.id
  }

  async join(options: JoinOptions): Promise<Membership> {
    this.#check()
    const {
      kafka,
      folder,
      compression,
      sessionTimeout,
      rebalanceTimeout,
      transactionTimeout,
      transactionVersion,
      pollTimeout,
      onError,
    } = this.#options
    const membership = await KafkaMembership.join({
      kafka,
      fetcher: this.#fetcher,
      join: options,
      memberFile: folder === null ? null : path(folder, `${options.group}.${options.instance}.member`),
      topics: new Map(options.topics.map(topic => [topic, this.#partitions(topic)])),
      sessionTimeout,
      rebalanceTimeout,
      transactionTimeout,
      transactionVersion,
      pollTimeout,
      compression,
      partitions: topic => this.#partitions(topic),
      onError,
      onLeft: () => this.#members.delete(membership),
    })
    this.#members.add(membership)
    if (this.#closed) await membership.close()
    return membership
  }

  async groupOffsets(group: string): Promise<Position[]> {
    this.#check()
    const { prefix } = this.#client
    return this.#client.withCoordinator('group', prefix + group, RETRY_MS, async broker => {
      const { errorCode, offsets } = await this.#client.send(broker, offsetFetch(prefix, prefix + group, null, false))
      throwIfError(errorCode)
      return offsets.filter(o => o.offset >= 0).map(({ topic, partition, offset }) => ({ topic, partition, offset }))
    })
  }

  async groups(): Promise<string[]> {
    this.#check()
    const admin = kafkaOf(this.#options.kafka).admin()
    try {
      return await retry(RETRY_MS, isRetriable, async () => {
        await admin.connect()
        const { groups } = await admin.listGroups()
        const { prefix } = this.#client
        return groups.filter(g => g.groupId.startsWith(prefix)).map(g => g.groupId.slice(prefix.length))
      })
    } catch (error) {
      throw toLogError(error)
    } finally {
      await admin.disconnect().catch(() => {})
    }
  }

  requests(): ReadonlyMap<string, number> {
    return requestsSent()
  }

  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await Promise.all([...this.#members].map(m => m.close()))
    this.#reader.close()
    this.#fetcher.close()
    await this.#appends.close()
    await Promise.all([this.#client.close(), this.#fetching.close()])
  }

  #check(): void {
    if (this.#closed) throw new LogError('closed', 'the log is closed')
  }

  #partitions(topic: string): number {
    const partitions = this.#topics.get(topic)
    if (partitions === undefined) throw new LogError('no_topic', `no topic "${topic}" in this log`)
    return partitions
  }
}

/**
 * A client of the cluster: finds the leaders of partitions and the coordinators of groups and transactions, and retries while these change.
 * Each client has connections of its own, because a broker serves one request of a connection at a time.
 */
import { LogError, type Position, type TopicPartition } from '../log.ts'
import { extraConnection, type Broker, type Call, type Cluster, clusterOf, send } from './hardening.ts'
import { ErrorCode, isRetriable, KafkaError, toLogError } from './errors.ts'
import { metadata, type TopicMetadata } from './protocol.ts'
import { retry, sleep } from './retry.ts'
import { type KafkaSettings, kafkaOf } from './settings.ts'

/** When a broker has not answered within this time, another one is asked as well. */
const HEDGE_MS = 1_000
const RETRY_MS = 10_000
const CLOSE_MS = 1_000

export type Coordinator = 'group' | 'transaction'

export class KafkaClient {
  /** Of the names of topics and groups on the cluster. */
  readonly prefix: string
  readonly #cluster: Cluster
  readonly #coordinators = new Map<string, Broker>()
  /** The tracked topics; null until a broker has answered. */
  readonly #topics = new Map<string, TopicMetadata | null>()
  /** Further connections to brokers, by node and number. */
  readonly #extra = new Map<string, { of: Broker; broker: Broker }>()
  #connecting: Promise<void> | null = null
  #refreshing: Promise<void> | null = null
  #closed = false

  constructor(settings: KafkaSettings) {
    this.prefix = settings.prefix ?? ''
    this.#cluster = clusterOf(kafkaOf(settings))
  }

  get closed(): boolean {
    return this.#closed
  }

  /**
   * Fetches the metadata of these topics, and keeps it fresh from now on.
   * @throws {LogError} `unavailable` when no broker answers, `no_topic`; errors of other topics are not reported
   */
  async track(topics: readonly string[]): Promise<void> {
    const unknown = topics.filter(topic => !this.hasMetadata(topic))
    if (unknown.length === 0) return
    for (const topic of unknown) if (!this.#topics.has(topic)) this.#topics.set(topic, null)
    // A refresh in progress may have been sent without them.
    if (this.#refreshing !== null) await this.#refreshing.catch(() => {})
    if (!unknown.every(topic => this.hasMetadata(topic))) await this.refresh()
    for (const topic of unknown) {
      const { errorCode } = this.#topics.get(topic) ?? { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
      if (errorCode !== 0) throw new KafkaError(errorCode)
    }
  }

  /** Whether a broker has described this topic, without an error. */
  hasMetadata(topic: string): boolean {
    return this.#topics.get(topic)?.errorCode === 0
  }

  /** The last known error of a topic. */
  topicError(topic: string): KafkaError | null {
    const code = this.#topics.get(topic)?.errorCode ?? 0
    return code === 0 ? null : new KafkaError(code)
  }

  /** Node id of the leader of a partition; null while it has none. */
  leader({ topic, partition }: TopicPartition): number | null {
    const leader = this.#topics.get(topic)?.leaders.get(partition) ?? -1
    return leader < 0 ? null : leader
  }

  /** Fetches the metadata of tracked topics again. @throws {LogError} when no broker answers */
  refresh(): Promise<void> {
    this.#refreshing ??= (async () => {
      const topics = [...this.#topics.keys()]
      for (const found of await this.describe(topics)) this.#topics.set(found.topic, found)
    })().finally(() => {
      this.#refreshing = null
    })
    return this.#refreshing
  }

  /** Current metadata of these topics, each with its own error. @throws {LogError} when no broker answers */
  async describe(topics: readonly string[]): Promise<TopicMetadata[]> {
    const call = metadata(topics.map(topic => this.prefix + topic))
    const found = await this.onAnyBroker(broker => this.send(broker, call))
    return found.map(one => ({ ...one, topic: one.topic.slice(this.prefix.length) }))
  }

  /**
   * Asks one broker after another until one has answered. One that does not answer soon is not waited for: it may accept connections and
   * hang.
   * @throws {LogError} of the last broker that was asked
   */
  async onAnyBroker<T>(request: (broker: Broker) => Promise<T>): Promise<T> {
    this.#checkOpen()
    try {
      await this.#locateBrokers()
    } catch (error) {
      throw toLogError(error)
    }
    const { brokers } = this.#cluster.brokerPool
    const [connected, others] = [true, false].map(is => Object.keys(brokers).filter(id => brokers[id]?.isConnected() === is))
    const nodes = [...shuffled(connected ?? []), ...shuffled(others ?? [])]
    const answer = Promise.withResolvers<T>()
    const timers: NodeJS.Timeout[] = []
    let waiting = 0
    let last = new LogError('unavailable', 'the brokers of the cluster are unknown')
    const next = () => {
      const node = nodes.shift()
      if (node === undefined) {
        if (waiting === 0) answer.reject(last)
        return
      }
      waiting++
      timers.push(setTimeout(next, HEDGE_MS))
      this.broker(Number(node))
        .then(request)
        .then(answer.resolve, error => {
          last = toLogError(error)
          waiting--
          next()
        })
    }
    next()
    try {
      return await answer.promise
    } catch (error) {
      // None can be reached: all may have new addresses, which the brokers of the settings know.
      if (isRetriable(last) && !(last instanceof KafkaError)) void this.#cluster.refreshMetadata().catch(() => {})
      throw error
    } finally {
      for (const timer of timers) clearTimeout(timer)
    }
  }

  /** @param connection number of a further connection to it; 0 for the shared ones */
  async broker(nodeId: number, connection = 0): Promise<Broker> {
    this.#checkOpen()
    try {
      await this.#locateBrokers()
      if (connection === 0) return await this.#cluster.findBroker({ nodeId })
      const of = this.#cluster.brokerPool.brokers[nodeId] ?? (await this.#cluster.findBroker({ nodeId }))
      const key = `${nodeId}/${connection}`
      let there = this.#extra.get(key)
      // The node may have a new address.
      if (there === undefined || there.of !== of) {
        const broker = await extraConnection(this.#cluster, of)
        there = { of, broker }
        this.#extra.set(key, there)
      }
      await this.#cluster.brokerPool.connectBroker(there.broker)
      return there.broker
    } catch (error) {
      // Its address may have changed.
      if (connection > 0) void this.#cluster.refreshMetadata().catch(() => {})
      throw toLogError(error)
    }
  }

  /** Sends to a broker. A request that times out closes the connection, because later requests on it would wait as well. */
  async send<T>(broker: Broker, call: Call<T>): Promise<T> {
    this.#checkOpen()
    try {
      return await send(broker, call)
    } catch (error) {
      if ((error as Error).name === 'KafkaJSRequestTimeoutError') {
        for (const [key, there] of this.#extra) if (there.broker === broker) this.#extra.delete(key)
        void broker.disconnect().catch(() => {})
      }
      throw toLogError(error)
    }
  }

  /**
   * Log start offsets of partitions (`earliest`), high watermarks (`latest`), or last stable offsets.
   * @throws {LogError}
   */
  async offsets(partitions: readonly TopicPartition[], which: 'earliest' | 'latest' | 'lastStable'): Promise<Position[]> {
    await this.track([...new Set(partitions.map(p => p.topic))])
    return retry(RETRY_MS, isRetriable, async () => {
      const byNode = new Map<number, TopicPartition[]>()
      for (const partition of partitions) {
        const node = this.leader(partition)
        if (node === null) {
          await this.refresh()
          throw new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE)
        }
        byNode.set(node, [...(byNode.get(node) ?? []), partition])
      }
      const asked = [...byNode].map(async ([node, of]) => {
        try {
          const broker = await this.broker(node)
          const topics = [...new Set(of.map(p => p.topic))].map(topic => ({
            topic: this.prefix + topic,
            partitions: of
              .filter(p => p.topic === topic)
              .map(({ partition }) => ({ partition, timestamp: which === 'earliest' ? -2 : -1 })),
          }))
          return await broker.listOffsets({ replicaId: -1, isolationLevel: which === 'lastStable' ? 1 : 0, topics })
        } catch (error) {
          await this.refresh().catch(() => {})
          throw toLogError(error)
        }
      })
      return (await Promise.all(asked)).flatMap(({ responses }) =>
        responses.flatMap(({ topic, partitions }) =>
          partitions.map(p => ({
            topic: topic.slice(this.prefix.length),
            partition: p.partition,
            offset: Number(p.offset),
          })),
        ),
      )
    })
  }

  /** The coordinator; looked up once and kept until a request to it fails. */
  async coordinator(kind: Coordinator, id: string): Promise<Broker> {
    this.#checkOpen()
    const key = `${kind}/${id}`
    const known = this.#coordinators.get(key)
    if (known?.isConnected()) return known
    this.#coordinators.delete(key)
    try {
      const coordinatorType = kind === 'group' ? 0 : 1
      const { coordinator } = await this.onAnyBroker(broker => broker.findGroupCoordinator({ groupId: id, coordinatorType }))
      const broker = await this.broker(coordinator.nodeId)
      this.#coordinators.set(key, broker)
      return broker
    } catch (error) {
      throw toLogError(error)
    }
  }

  /** The next call looks the coordinator up again. */
  forgetCoordinator(kind: Coordinator, id: string): void {
    this.#coordinators.delete(`${kind}/${id}`)
  }

  /**
   * A request to a coordinator, repeated while it moves, loads or cannot be reached.
   * @param forMs how long
   * @throws {LogError} the last error
   */
  async withCoordinator<T>(kind: Coordinator, id: string, forMs: number, request: (broker: Broker) => Promise<T>): Promise<T> {
    return retry(forMs, isRetriable, async () => {
      try {
        const broker = await this.coordinator(kind, id)
        return await request(broker)
      } catch (error) {
        const failed = toLogError(error)
        if (isRetriable(failed)) this.forgetCoordinator(kind, id)
        throw failed
      }
    })
  }

  /** Aborts requests in flight; never throws. */
  async close(): Promise<void> {
    this.#closed = true
    const extra = [...this.#extra.values()].map(({ broker }) => broker.disconnect())
    await Promise.race([Promise.allSettled([this.#cluster.disconnect(), ...extra]), sleep(CLOSE_MS)])
  }

  /** Resolves once the brokers are known. One caller at a time: kafkajs answers a second one before the first has connected. */
  async #locateBrokers(): Promise<void> {
    const { brokerPool } = this.#cluster
    // A broker that hangs must not hold up requests to others.
    if (Object.keys(brokerPool.brokers).length > 0) return
    this.#connecting ??= (async () => {
      if (!this.#cluster.isConnected()) await this.#cluster.connect()
      await this.#cluster.refreshMetadataIfNecessary()
    })().finally(() => {
      this.#connecting = null
    })
    await this.#connecting
  }

  #checkOpen(): void {
    if (this.#closed) throw new LogError('closed', 'the log is closed')
  }
}

function shuffled<T>(items: readonly T[]): T[] {
  return items
    .map(item => ({ item, at: Math.random() }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
}

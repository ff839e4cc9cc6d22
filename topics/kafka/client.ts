/**
 * A client of the cluster: who leads a partition, who coordinates a group or a transaction, and retries while that changes.
 * Each has connections of its own, for a broker serves one request of a connection at a time.
 */
import { LogError, type Position, type TopicPartition } from '../log.ts'
import { extraConnection, type Broker, type Call, type Cluster, clusterOf, send } from './hardening.ts'
import { ErrorCode, isRetriable, KafkaError, toLogError } from './errors.ts'
import { metadata, type TopicMetadata } from './protocol.ts'
import { retry, sleep } from './retry.ts'
import { type KafkaSettings, kafkaOf } from './settings.ts'

/** A broker that has not answered a plain question by then is not the only one to be asked, ms. */
const HEDGE_MS = 1_000

export type Coordinator = 'group' | 'transaction'

export class KafkaClient {
  /** Of topics and groups, on the cluster. */
  readonly prefix: string
  readonly #cluster: Cluster
  readonly #coordinators = new Map<string, Broker>()
  /** By topic, those that are used; null until a broker was asked. */
  readonly #topics = new Map<string, TopicMetadata | null>()
  /** More connections to brokers, by node and number. */
  readonly #apart = new Map<string, { of: Broker; broker: Broker }>()
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
   * Metadata of these topics is kept from now on.
   * @throws {LogError} `unavailable` when no broker answers, `no_topic`; of other topics nothing is said
   */
  async track(topics: readonly string[]): Promise<void> {
    const unknown = topics.filter(topic => !this.hasMetadata(topic))
    if (unknown.length === 0) return
    for (const topic of unknown) if (!this.#topics.has(topic)) this.#topics.set(topic, null)
    // One that is under way may have been sent without them.
    if (this.#refreshing !== null) await this.#refreshing.catch(() => {})
    if (!unknown.every(topic => this.hasMetadata(topic))) await this.refresh()
    for (const topic of unknown) {
      const { errorCode } = this.#topics.get(topic) ?? { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION }
      if (errorCode !== 0) throw new KafkaError(errorCode)
    }
  }

  /** A broker has told of this topic, and nothing is wrong with it. */
  hasMetadata(topic: string): boolean {
    return this.#topics.get(topic)?.errorCode === 0
  }

  /** What is wrong with a topic, as far as is known. */
  topicError(topic: string): KafkaError | null {
    const code = this.#topics.get(topic)?.errorCode ?? 0
    return code === 0 ? null : new KafkaError(code)
  }

  /** Node id of the leader of a partition, or null where there is none now. */
  leader({ topic, partition }: TopicPartition): number | null {
    const leader = this.#topics.get(topic)?.leaders.get(partition) ?? -1
    return leader < 0 ? null : leader
  }

  /** Asks anew who leads what. @throws {LogError} when no broker answers */
  refresh(): Promise<void> {
    this.#refreshing ??= (async () => {
      const topics = [...this.#topics.keys()]
      for (const found of await this.describe(topics)) this.#topics.set(found.topic, found)
    })().finally(() => {
      this.#refreshing = null
    })
    return this.#refreshing
  }

  /** These topics as a broker knows them now, each with its own error. @throws {LogError} when no broker answers */
  async describe(topics: readonly string[]): Promise<TopicMetadata[]> {
    const call = metadata(topics.map(topic => this.prefix + topic))
    const found = await this.onAnyBroker(broker => this.send(broker, call))
    return found.map(one => ({ ...one, topic: one.topic.slice(this.prefix.length) }))
  }

  /**
   * Asks one broker after the other until one has answered. One that does not answer soon is not waited for: it may be reached,
   * but hang.
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
    let last = new LogError('unavailable', 'no broker of the cluster is known')
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
      // None of them can be reached: they may all have moved, and those of the settings know where to.
      if (isRetriable(last) && !(last instanceof KafkaError)) void this.#cluster.refreshMetadata().catch(() => {})
      throw error
    } finally {
      for (const timer of timers) clearTimeout(timer)
    }
  }

  /** @param apart number of further connections to it; 0 for those that all share */
  async broker(nodeId: number, apart = 0): Promise<Broker> {
    this.#checkOpen()
    try {
      await this.#locateBrokers()
      if (apart === 0) return await this.#cluster.findBroker({ nodeId })
      const of = this.#cluster.brokerPool.brokers[nodeId] ?? (await this.#cluster.findBroker({ nodeId }))
      const key = `${nodeId}/${apart}`
      let there = this.#apart.get(key)
      // The node may have another address by now.
      if (there === undefined || there.of !== of) {
        const broker = await extraConnection(this.#cluster, of)
        there = { of, broker }
        this.#apart.set(key, there)
      }
      await this.#cluster.brokerPool.connectBroker(there.broker)
      return there.broker
    } catch (error) {
      // Where it is may be known by now.
      if (apart > 0) void this.#cluster.refreshMetadata().catch(() => {})
      throw toLogError(error)
    }
  }

  /** Sends to a broker. A request that got no answer closes the connection, for what comes after it would wait as well. */
  async send<T>(broker: Broker, call: Call<T>): Promise<T> {
    this.#checkOpen()
    try {
      return await send(broker, call)
    } catch (error) {
      if ((error as Error).name === 'KafkaJSRequestTimeoutError') {
        for (const [key, there] of this.#apart) if (there.broker === broker) this.#apart.delete(key)
        void broker.disconnect().catch(() => {})
      }
      throw toLogError(error)
    }
  }

  /**
   * First offsets of partitions, the next ones to be written (`high`), or the ends of what is committed (`stable`).
   * @throws {LogError}
   */
  async offsets(partitions: readonly TopicPartition[], which: 'earliest' | 'latest' | 'lastStable'): Promise<Position[]> {
    await this.track([...new Set(partitions.map(p => p.topic))])
    return retry(10_000, isRetriable, async () => {
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

  /** The coordinator, looked up once and kept until a request to it says that it has moved. */
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

  /** Looks the coordinator up anew the next time. */
  forgetCoordinator(kind: Coordinator, id: string): void {
    this.#coordinators.delete(`${kind}/${id}`)
  }

  /**
   * A request to a coordinator, again and again while it moves, loads or cannot be reached, for so long.
   * @throws the last error, as `toLogError` has it.
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

  /** Breaks off what is under way; never throws, and waits no longer than it has to. */
  async close(): Promise<void> {
    this.#closed = true
    const apart = [...this.#apart.values()].map(({ broker }) => broker.disconnect())
    await Promise.race([Promise.allSettled([this.#cluster.disconnect(), ...apart]), sleep(1_000)])
  }

  /** Where the brokers are is known. One at a time: kafkajs answers a second caller before the first has connected. */
  async #locateBrokers(): Promise<void> {
    const { brokerPool } = this.#cluster
    // One that hangs is not waited for to reach another one.
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

/**
 * A client of the cluster: who leads a partition, who coordinates a group or a transaction, and retries while that changes.
 * Each has connections of its own, for a broker serves one request of a connection at a time.
 */
import type { SASLOptions } from 'kafkajs'
import { LogError, type Position, type TopicPartition } from '../log.ts'
import {
  type Broker,
  type Call,
  type Cluster,
  clusterOf,
  Kafka,
  type KafkaOptions,
  logLevel,
  protocolError,
  send,
} from './hardening.ts'

export interface KafkaSettings {
  readonly brokers: readonly string[]
  readonly clientId?: string
  /** Put before the names of topics, groups and transactional ids: several installations may share a cluster. */
  readonly prefix?: string
  /** TLS; `true` with the system's authorities. */
  readonly ssl?: KafkaOptions['ssl']
  readonly sasl?: {
    readonly mechanism: 'plain' | 'scram-sha-256' | 'scram-sha-512'
    readonly username: string
    readonly password: string
  }
  /** A request without an answer fails after this long, ms. */
  readonly requestTimeout?: number
  readonly onError?: (what: string, error: unknown) => void
}

/** Error codes of the protocol that the driver tells apart. */
export const CODE = {
  OFFSET_OUT_OF_RANGE: 1,
  UNKNOWN_TOPIC: 3,
  LEADER_NOT_AVAILABLE: 5,
  NOT_LEADER: 6,
  REQUEST_TIMED_OUT: 7,
  COORDINATOR_LOADING: 14,
  COORDINATOR_NOT_AVAILABLE: 15,
  NOT_COORDINATOR: 16,
  NOT_ENOUGH_REPLICAS: 19,
  NOT_ENOUGH_REPLICAS_AFTER_APPEND: 20,
  ILLEGAL_GENERATION: 22,
  UNKNOWN_MEMBER: 25,
  REBALANCE_IN_PROGRESS: 27,
  DUPLICATE_SEQUENCE: 46,
  INVALID_PRODUCER_EPOCH: 47,
  INVALID_PRODUCER_ID_MAPPING: 49,
  CONCURRENT_TRANSACTIONS: 51,
  KAFKA_STORAGE: 56,
  FENCED_INSTANCE: 82,
  UNSTABLE_OFFSET: 88,
  PRODUCER_FENCED: 90,
} as const

/** The partition's leader has moved, or is about to be there: worth a look at fresh metadata. */
const MOVED: ReadonlySet<number> = new Set([CODE.UNKNOWN_TOPIC, CODE.LEADER_NOT_AVAILABLE, CODE.NOT_LEADER, CODE.KAFKA_STORAGE])
const COORDINATOR_MOVED: ReadonlySet<number> = new Set([
  CODE.COORDINATOR_LOADING,
  CODE.COORDINATOR_NOT_AVAILABLE,
  CODE.NOT_COORDINATOR,
])

export type Coordinator = 'group' | 'transaction'

/** A kafkajs instance for these settings; what it logs goes to `onError`, apart from what it repeats of errors that are handled. */
export function kafkaOf(settings: KafkaSettings): InstanceType<typeof Kafka> {
  const { brokers, clientId = 'bma', ssl, sasl, requestTimeout = 10_000 } = settings
  return new Kafka({
    clientId,
    brokers: [...brokers],
    ...(ssl === undefined ? {} : { ssl }),
    ...(sasl === undefined ? {} : { sasl: sasl as SASLOptions }),
    connectionTimeout: 3_000,
    authenticationTimeout: 5_000,
    requestTimeout,
    retry: { initialRetryTime: 20, multiplier: 2, maxRetryTime: 1_000, retries: 5 },
    // Every error it logs also reaches the caller of the request, who retries or reports it.
    logLevel: logLevel.NOTHING,
  })
}

export class KafkaClient {
  /** Of topics and groups, on the cluster. */
  readonly prefix: string
  readonly #cluster: Cluster
  readonly #coordinators = new Map<string, Broker>()
  readonly #topics = new Set<string>()
  #connecting: Promise<void> | null = null
  #closed = false

  constructor(settings: KafkaSettings) {
    this.prefix = settings.prefix ?? ''
    this.#cluster = clusterOf(kafkaOf(settings))
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Metadata of these topics is kept from now on. @throws {LogError} `unavailable`, `no_topic` */
  async use(topics: readonly string[]): Promise<void> {
    if (topics.every(topic => this.#topics.has(topic)) && this.#cluster.isConnected()) return
    try {
      await this.#connected()
      await this.#cluster.addMultipleTargetTopics(topics.map(topic => this.prefix + topic))
    } catch (error) {
      throw logError(error)
    }
    for (const topic of topics) this.#topics.add(topic)
  }

  /** Node id of the leader of a partition, or null where there is none now. */
  leader({ topic, partition }: TopicPartition): number | null {
    const found = this.#cluster.findTopicPartitionMetadata(this.prefix + topic).find(p => p.partitionId === partition)
    return found === undefined || found.leader < 0 ? null : found.leader
  }

  async refresh(): Promise<void> {
    try {
      await this.#connected()
      await this.#cluster.refreshMetadata()
    } catch (error) {
      throw logError(error)
    }
  }

  async broker(nodeId: number): Promise<Broker> {
    this.#checkOpen()
    try {
      return await this.#cluster.findBroker({ nodeId })
    } catch (error) {
      throw logError(error)
    }
  }

  /** Any broker that can be reached. */
  async anyBroker(): Promise<Broker> {
    this.#checkOpen()
    try {
      await this.#connected()
      return await this.#cluster.brokerPool.findConnectedBroker()
    } catch (error) {
      throw logError(error)
    }
  }

  /** Sends to a broker. A request that got no answer closes the connection, for what comes after it would wait as well. */
  async send<T>(broker: Broker, call: Call<T>): Promise<T> {
    this.#checkOpen()
    try {
      return await send(broker, call)
    } catch (error) {
      if ((error as Error).name === 'KafkaJSRequestTimeoutError') void broker.disconnect().catch(() => {})
      throw logError(error)
    }
  }

  /**
   * First offsets of partitions, the next ones to be written (`high`), or the ends of what is committed (`stable`).
   * @throws {LogError}
   */
  async offsets(partitions: readonly TopicPartition[], which: 'first' | 'high' | 'stable'): Promise<Position[]> {
    await this.use([...new Set(partitions.map(p => p.topic))])
    return persist(10_000, isPassing, async () => {
      const byNode = new Map<number, TopicPartition[]>()
      for (const partition of partitions) {
        const node = this.leader(partition)
        if (node === null) {
          await this.refresh()
          throw new KafkaError(CODE.LEADER_NOT_AVAILABLE)
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
              .map(({ partition }) => ({ partition, timestamp: which === 'first' ? -2 : -1 })),
          }))
          return await broker.listOffsets({ replicaId: -1, isolationLevel: which === 'stable' ? 1 : 0, topics })
        } catch (error) {
          await this.refresh().catch(() => {})
          throw logError(error)
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
      await this.#connected()
      const coordinatorType = kind === 'group' ? 0 : 1
      const { coordinator } = await this.#cluster.findGroupCoordinatorMetadata({ groupId: id, coordinatorType })
      const broker = await this.#cluster.findBroker({ nodeId: coordinator.nodeId })
      this.#coordinators.set(key, broker)
      return broker
    } catch (error) {
      throw logError(error)
    }
  }

  /** Looks the coordinator up anew the next time. */
  forget(kind: Coordinator, id: string): void {
    this.#coordinators.delete(`${kind}/${id}`)
  }

  /**
   * A request to a coordinator, again and again while it moves, loads or cannot be reached, for so long.
   * @throws the last error, as `logError` has it.
   */
  async coordinated<T>(kind: Coordinator, id: string, forMs: number, request: (broker: Broker) => Promise<T>): Promise<T> {
    return persist(forMs, isPassing, async () => {
      try {
        const broker = await this.coordinator(kind, id)
        return await request(broker)
      } catch (error) {
        const failed = logError(error)
        if (isPassing(failed)) this.forget(kind, id)
        throw failed
      }
    })
  }

  /** Breaks off what is under way; never throws, and waits no longer than it has to. */
  async close(): Promise<void> {
    this.#closed = true
    await Promise.race([this.#cluster.disconnect().catch(() => {}), sleep(1_000)])
  }

  /** Connected, and knows the brokers. One at a time: kafkajs answers a second caller before the first has connected. */
  #connected(): Promise<void> {
    this.#connecting ??= (async () => {
      if (!this.#cluster.isConnected()) await this.#cluster.connect()
      await this.#cluster.refreshMetadataIfNecessary()
    })().finally(() => {
      this.#connecting = null
    })
    return this.#connecting
  }

  #checkOpen(): void {
    if (this.#closed) throw new LogError('closed', 'the log is closed')
  }
}

/** Tries again while the error is of the kind that passes, for so long; first after `from` ms, then each time `growth` as late. */
export async function persist<T>(
  forMs: number,
  passing: (error: LogError) => boolean,
  attempt: () => Promise<T>,
  from = 20,
  growth = 2,
): Promise<T> {
  const until = performance.now() + forMs
  for (let wait = from; ; wait = Math.min(wait * growth, 500)) {
    try {
      return await attempt()
    } catch (error) {
      const failed = logError(error)
      if (!passing(failed) || performance.now() + wait > until) throw failed
      await sleep(wait)
    }
  }
}

/** Passes by itself: a connection, a coordinator or a leader that is not there now. */
export function isPassing(error: LogError): boolean {
  return error.code === 'unavailable' && !(error instanceof KafkaError && FENCING.has(error.kafka))
}

const FENCING: ReadonlySet<number> = new Set([
  CODE.ILLEGAL_GENERATION,
  CODE.UNKNOWN_MEMBER,
  CODE.INVALID_PRODUCER_EPOCH,
  CODE.INVALID_PRODUCER_ID_MAPPING,
  CODE.FENCED_INSTANCE,
  CODE.PRODUCER_FENCED,
])

/** An error that a broker answered with. */
export class KafkaError extends LogError {
  readonly kafka: number
  constructor(kafka: number, cause?: unknown) {
    const { type, message } = protocolError(kafka) as Error & { type: string }
    super(codeOf(kafka), `${type} (${kafka}): ${message}`, { cause })
    this.kafka = kafka
  }
}

function codeOf(kafka: number): LogError['code'] {
  if (FENCING.has(kafka)) return 'fenced'
  if (kafka === 10) return 'too_large'
  if (kafka === CODE.UNKNOWN_TOPIC) return 'no_topic'
  return 'unavailable'
}

/** Any error as a LogError; what a broker answered keeps its code. */
export function logError(error: unknown): LogError {
  if (error instanceof LogError) return error
  const { code, message } = error as { code?: unknown; message: string }
  const cause = (error as { cause?: unknown; originalError?: unknown }).originalError ?? (error as { cause?: unknown }).cause
  const inner = typeof code === 'number' ? code : (cause as { code?: unknown } | undefined)?.code
  if (typeof inner === 'number') return new KafkaError(inner, error)
  return new LogError('unavailable', message, { cause: error })
}

export function check(code: number): void {
  if (code !== 0) throw new KafkaError(code)
}

export function isMoved(code: number): boolean {
  return MOVED.has(code)
}

export function isCoordinatorMoved(code: number): boolean {
  return COORDINATOR_MOVED.has(code)
}

export function sleep(ms: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, ms))
}

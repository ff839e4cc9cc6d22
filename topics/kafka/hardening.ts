/**
 * The only file that uses internals of kafkajs 2.2.4, which is pinned exactly: what is used beyond its public interface, and what is
 * repaired in it. Connections (TLS, SASL, throttling), metadata, coordinators and plain requests come from it. Its consumer and producer
 * are not used: they know neither KIP-447 (a zombie could commit offsets) nor an awaited revocation, return aborted records, reuse
 * sequence numbers after a failed send, and cost three times the CPU.
 *
 * `checksums.test.ts` has a checksum of every file that is named here, so that an upgrade cannot go unnoticed.
 */
import { createRequire } from 'node:module'
import type { Socket } from 'node:net'
import { wholeAnswers } from './gather.ts'
import type { Kafka as PublicKafka, KafkaConfig } from 'kafkajs'

const require = createRequire(import.meta.url)

/** A request and how to read its response: kafkajs sends any such pair. */
export interface Call<T> {
  readonly request: {
    readonly apiKey: number
    readonly apiVersion: number
    readonly apiName: string
    expectResponse?(): boolean
    encode(): Promise<Encoded>
  }
  readonly response: { decode(raw: Buffer): Promise<unknown>; parse(decoded: unknown): Promise<T> }
  /** ms; longer than that of the connection. */
  readonly requestTimeout?: number
  readonly logResponseError: false
}

/** The body of a request that is sent without copying, in pieces, behind its frame. */
export interface Encoded {
  frame(apiKey: number, apiVersion: number, correlationId: number, clientId: string): Buffer[]
}

interface TopicPartitions<P> {
  topic: string
  partitions: P[]
}

/** A connected broker, with two connections, one of them for fetches. It serves one request of a connection at a time. */
export interface Broker {
  readonly nodeId: string
  readonly versions: Readonly<Record<number, { minVersion: number; maxVersion: number }>>
  isConnected(): boolean
  disconnect(): Promise<void>
  initProducerId(o: { transactionalId: string | null; transactionTimeout: number }): Promise<{
    producerId: bigint
    producerEpoch: number
  }>
  addPartitionsToTxn(o: Transactional & { topics: TopicPartitions<number>[] }): Promise<unknown>
  addOffsetsToTxn(o: Transactional & { groupId: string }): Promise<unknown>
  endTxn(o: Transactional & { transactionResult: boolean }): Promise<unknown>
  joinGroup(o: {
    groupId: string
    sessionTimeout: number
    rebalanceTimeout: number
    memberId: string
    groupProtocols: { name: string; metadata: Buffer }[]
  }): Promise<{
    generationId: number
    leaderId: string
    memberId: string
    groupProtocol: string
    members: { memberId: string; memberMetadata: Buffer }[]
  }>
  syncGroup(o: {
    groupId: string
    generationId: number
    memberId: string
    groupAssignment: { memberId: string; memberAssignment: Buffer }[]
  }): Promise<{ memberAssignment: Buffer }>
  heartbeat(o: { groupId: string; groupGenerationId: number; memberId: string }): Promise<unknown>
  leaveGroup(o: { groupId: string; memberId: string }): Promise<unknown>
  findGroupCoordinator(o: { groupId: string; coordinatorType: number }): Promise<{ coordinator: { nodeId: number } }>
  listOffsets(o: {
    replicaId: number
    isolationLevel: number
    topics: TopicPartitions<{ partition: number; timestamp: number }>[]
  }): Promise<{ responses: TopicPartitions<{ partition: number; offset: string }>[] }>
}

export interface Transactional {
  readonly transactionalId: string
  readonly producerId: bigint
  readonly producerEpoch: number
}

export interface Cluster {
  connect(): Promise<void>
  disconnect(): Promise<void>
  isConnected(): boolean
  refreshMetadata(): Promise<void>
  refreshMetadataIfNecessary(): Promise<void>
  findBroker(o: { nodeId: string | number }): Promise<Broker>
  readonly rootLogger: object
  readonly targetTopics: Set<string>
  readonly connectionPoolBuilder: { build(at: Address): Promise<Address> }
  readonly brokerPool: {
    readonly versions: object | null
    readonly brokers: Readonly<Record<string, Broker & { readonly connectionPool: Address }>>
    createBroker(o: { logger: object; versions: object | null; connectionPool: Address; nodeId: string }): Broker
    connectBroker(broker: Broker): Promise<void>
  }
}

interface Address {
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

interface Outgoing {
  readonly correlationId: number
  readonly clientId: string
  readonly request: { readonly apiKey: number; readonly apiVersion: number; readonly apiName: string; encode(): Promise<object> }
}

interface SocketOptions {
  readonly onData: (data: Buffer) => void
}

const sent = new Map<string, number>()

/** How many requests of each kind, name and version, this process has sent. */
export function requestsSent(): ReadonlyMap<string, number> {
  return sent
}

// kafkajs copies every request three times before it is sent, into buffers that it doubles and clears; one with a frame is sent without
// copying. Must be installed before kafkajs is loaded.
const requestModule = require.resolve('kafkajs/src/protocol/request')
const frameByCopying = require(requestModule) as (outgoing: Outgoing) => Promise<{ buffer: Buffer }>
/** The pieces of a request after the first. */
const following = new WeakMap<Buffer, readonly Buffer[]>()
const framed = async (outgoing: Outgoing) => {
  const { request, correlationId, clientId } = outgoing
  const kind = `${request.apiName} ${request.apiVersion}`
  sent.set(kind, (sent.get(kind) ?? 0) + 1)
  const body = (await request.encode()) as Partial<Encoded>
  if (body.frame === undefined) return frameByCopying({ ...outgoing, request: { ...request, encode: async () => body } })
  const [buffer, ...others] = body.frame(request.apiKey, request.apiVersion, correlationId, clientId) as [Buffer, ...Buffer[]]
  if (others.length > 0) following.set(buffer, others)
  return { buffer }
}
;(require.cache[requestModule] as NodeJS.Module).exports = framed

// When a connection breaks, kafkajs keeps the received part of an answer and appends the data of the next connection to it; from then on
// it reads sizes in the wrong place, and throws where nothing catches. So each socket reassembles its own answers and passes on complete
// ones. Must be installed before kafkajs is loaded.
const socketModule = require.resolve('kafkajs/src/network/socket')
const createSocket = require(socketModule) as (options: SocketOptions) => Socket
const gathering = (options: SocketOptions) => {
  const gather = wholeAnswers(options.onData)
  const socket = createSocket({
    ...options,
    onData: data => {
      try {
        gather(data)
      } catch (error) {
        socket.destroy(error as Error)
      }
    },
  })
  const write = socket.write.bind(socket) as (data: Buffer, ...more: unknown[]) => boolean
  socket.write = (data: unknown, ...more: unknown[]) => {
    const others = following.get(data as Buffer)
    if (others === undefined) return write(data as Buffer, ...more)
    socket.cork()
    write(data as Buffer)
    for (const piece of others) write(piece)
    socket.uncork()
    return !socket.writableNeedDrain
  }
  return socket
}
;(require.cache[socketModule] as NodeJS.Module).exports = gathering

// In kafkajs one deleted topic, or one partition without a leader, fails the metadata of all others. Each has its own error code, which
// the callers check. Must be installed before kafkajs is loaded.
const metadata = require('kafkajs/src/protocol/requests/metadata/v0/response') as { parse(decoded: unknown): Promise<unknown> }
metadata.parse = async decoded => decoded

export const { Kafka, logLevel, AssignerProtocol } = require('kafkajs') as typeof import('kafkajs')
export type KafkaOptions = KafkaConfig

/** An error of the protocol, by its code (https://kafka.apache.org/protocol#protocol_error_codes). */
export const protocolError = (
  require('kafkajs/src/protocol/error') as { createErrorFromCode(code: number): Error & { type: string } }
).createErrorFromCode

const BrokerClass = require('kafkajs/src/broker') as { prototype: object }
const RequestQueue = require('kafkajs/src/network/requestQueue') as {
  prototype: { pending: unknown[]; scheduleCheckPendingRequests(): void }
}

/** kafkajs sets a timer with a negative delay after every response, for which Node 24 prints a warning (kafkajs issue 1751). */
const schedule = RequestQueue.prototype.scheduleCheckPendingRequests
RequestQueue.prototype.scheduleCheckPendingRequests = function () {
  if (this.pending.length > 0) schedule.call(this)
}

const sendRequest = symbolOf(BrokerClass.prototype, 'private:Broker:sendRequest')

/** Sends a request that kafkajs lacks, or has only in an older version. */
export function send<T>(broker: Broker, call: Call<T>): Promise<T> {
  return (broker as unknown as Record<symbol, (call: Call<T>) => Promise<T>>)[sendRequest]?.(call) as Promise<T>
}

/** A cluster: metadata, and connections of its own to every broker. */
export function clusterOf(kafka: PublicKafka): Cluster {
  const create = symbolOf(kafka, 'private:Kafka:createCluster')
  // Broker addresses are read again when a broker cannot be found or reached; KafkaClient takes care of leaders.
  const options = { metadataMaxAge: Number.MAX_SAFE_INTEGER / 2, allowAutoTopicCreation: false, isolationLevel: 1 }
  const cluster = (kafka as unknown as Record<symbol, (o: object) => Cluster>)[create]?.(options) as Cluster
  // Without a topic it would ask for the metadata of all topics; only the brokers are needed.
  cluster.targetTopics.add('__consumer_offsets')
  return cluster
}

/** A further connection to a broker: a request that takes long holds up everything behind it on its connection. */
export async function extraConnection(cluster: Cluster, broker: Broker): Promise<Broker> {
  const { brokerPool, connectionPoolBuilder, rootLogger: logger } = cluster
  const { host, port, rack } = (broker as Broker & { readonly connectionPool: Address }).connectionPool
  const connectionPool = await connectionPoolBuilder.build({ host, port, rack })
  return brokerPool.createBroker({ logger, versions: brokerPool.versions, connectionPool, nodeId: broker.nodeId })
}

function symbolOf(object: object, description: string): symbol {
  const found = Object.getOwnPropertySymbols(object).find(s => s.description === description)
  if (found === undefined) throw new Error(`kafkajs has no ${description}: is it still 2.2.4?`)
  return found
}

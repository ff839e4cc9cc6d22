/**
 * The one place that reaches into kafkajs 2.2.4, pinned exactly: what is used of it beyond its public interface, and what had
 * to be put right in it. What is taken are connections (TLS, SASL, throttling), metadata, coordinators and the plain requests.
 * Its consumer and producer are not used: they know neither KIP-447 (a zombie's offsets would be taken) nor an awaited
 * revocation, leak aborted records, reuse sequence numbers after a failed send, and cost three times the CPU.
 *
 * `checksums.test.ts` holds a checksum of every file named here, so that an upgrade cannot slip past.
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
  /** ms; longer than the connection's own. */
  readonly requestTimeout?: number
  readonly logResponseError: false
}

/** A request's body, which can be sent as it lies, in pieces: its frame is written in front of it. */
export interface Encoded {
  frame(apiKey: number, apiVersion: number, correlationId: number, clientId: string): Buffer[]
}

interface TopicPartitions<P> {
  topic: string
  partitions: P[]
}

/** A connected broker: two connections, one of them for fetches. A broker serves one request of a connection at a time. */
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

// kafkajs copies every request three times on its way out, into buffers that it doubles and clears: one with a frame goes as
// it lies. To be put in place before kafkajs is loaded.
const requestModule = require.resolve('kafkajs/src/protocol/request')
const frameByCopying = require(requestModule) as (outgoing: Outgoing) => Promise<{ buffer: Buffer }>
/** What is written behind the first piece of a request. */
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

// kafkajs keeps what has come of an answer when the connection breaks, and takes what the next one brings for the rest of it; from
// there on it reads sizes where there are none, and throws where nobody listens. So each socket gathers its own answers, and hands
// over whole ones. To be put in place before kafkajs is loaded, too.
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

// One topic that was deleted, or one partition without a leader, fails the metadata of all others in kafkajs. Each has its own
// code, and those who need it look at it. To be put in place before kafkajs is loaded as well.
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

/** kafkajs sets a timer of a negative time after every response, of which Node 24 warns (its issue 1751): none is needed then. */
const schedule = RequestQueue.prototype.scheduleCheckPendingRequests
RequestQueue.prototype.scheduleCheckPendingRequests = function () {
  if (this.pending.length > 0) schedule.call(this)
}

const sendRequest = symbolOf(BrokerClass.prototype, 'private:Broker:sendRequest')

/** Sends a request that kafkajs does not have, or has in an older version only. */
export function send<T>(broker: Broker, call: Call<T>): Promise<T> {
  return (broker as unknown as Record<symbol, (call: Call<T>) => Promise<T>>)[sendRequest]?.(call) as Promise<T>
}

/** A cluster: metadata, and connections of its own to every broker. */
export function clusterOf(kafka: PublicKafka): Cluster {
  const create = symbolOf(kafka, 'private:Kafka:createCluster')
  // The addresses of the brokers are read again when one of them cannot be found or reached; leaders are the client's affair.
  const options = { metadataMaxAge: Number.MAX_SAFE_INTEGER / 2, allowAutoTopicCreation: false, isolationLevel: 1 }
  const cluster = (kafka as unknown as Record<symbol, (o: object) => Cluster>)[create]?.(options) as Cluster
  // It asks for the metadata of all topics where it is to look after none; brokers are all that is wanted of it.
  cluster.targetTopics.add('__consumer_offsets')
  return cluster
}

/** More connections to a broker of the cluster: a request that is long in coming holds up all that are behind it on its own. */
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

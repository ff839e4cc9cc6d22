/**
 * Brokers in memory: they decode requests and answer Fetch and Produce as brokers do, one request of a connection after another.
 * Partitions can be made to fail, to stall and to have no leader. One of the brokers coordinates transactions.
 */
import { LogError, partitionKey, type Position, type TopicPartition } from '../../log.ts'
import { ErrorCode, isRetriable, KafkaError } from '../errors.ts'
import { retry, sleep } from '../retry.ts'
import { FakePartition } from './fake-partition.ts'
import { FakeCoordinator } from './fake-coordinator.ts'
import type { Broker, Call } from '../hardening.ts'
import { Reader, Writer } from '../wire.ts'

export class FakeCluster {
  readonly prefix = ''
  closed = false
  /** The requests so far. */
  readonly requests: { api: 'Fetch' | 'Produce'; node: number; connection: number; partitions: string[] }[] = []
  /** Nodes that cannot be reached. */
  readonly away = new Set<number>()
  /** Topics that do not exist, or no longer do. */
  readonly unknown = new Set<string>()
  producerIds = 0
  readonly transactions = new FakeCoordinator()
  /** A Fetch returns one batch per partition. */
  oneBatch = false
  /** Fetch sessions by id: what was requested, and the next epoch. */
  readonly sessions = new Map<number, { epoch: number; asked: Map<FakePartition, number> }>()
  readonly #partitions = new Map<string, FakePartition>()
  readonly #used = new Set<string>()
  readonly #connections = new Map<string, Promise<unknown>>()
  #sessionIds = 0
  /** Resolves with the next batch of any partition. */
  #arrival = Promise.withResolvers<void>()

  constructor(partitions: readonly TopicPartition[]) {
    const arrived = () => {
      this.#arrival.resolve()
      this.#arrival = Promise.withResolvers()
    }
    for (const one of partitions) this.#partitions.set(partitionKey(one), new FakePartition(one, arrived))
  }

  at(partition: TopicPartition): FakePartition {
    return this.#partitions.get(partitionKey(partition)) as FakePartition
  }

  async track(topics: readonly string[]): Promise<void> {
    for (const topic of topics) this.#used.add(topic)
    for (const topic of topics) if (this.unknown.has(topic)) throw new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION)
  }

  hasMetadata(topic: string): boolean {
    return this.#used.has(topic) && !this.unknown.has(topic)
  }

  topicError(topic: string): KafkaError | null {
    return this.unknown.has(topic) ? new KafkaError(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) : null
  }

  leader(partition: TopicPartition): number | null {
    return this.hasMetadata(partition.topic) ? this.at(partition).leader : null
  }

  async refresh(): Promise<void> {}

  async broker(node: number, connection = 0): Promise<Broker> {
    if (this.away.has(node)) throw Object.assign(new Error(`node ${node} cannot be reached`), { name: 'KafkaJSConnectionError' })
    return { nodeId: `${node}`, connection } as unknown as Broker
  }

  async coordinator(): Promise<Broker> {
    return { nodeId: '1', connection: 0, ...this.transactions.requests } as unknown as Broker
  }

  async withCoordinator<T>(_kind: string, _id: string, forMs: number, request: (broker: Broker) => Promise<T>): Promise<T> {
    return retry(forMs, isRetriable, async () => request(await this.coordinator()), 1)
  }

  async onAnyBroker<T>(request: (broker: Broker) => Promise<T>): Promise<T> {
    const initProducerId = async () => ({ producerId: BigInt(++this.producerIds), producerEpoch: 0 })
    return request({ initProducerId } as unknown as Broker)
  }

  async offsets(partitions: readonly TopicPartition[], which: 'earliest' | 'latest' | 'lastStable'): Promise<Position[]> {
    return partitions.map(({ topic, partition }) => {
      const { low, high } = this.at({ topic, partition })
      return { topic, partition, offset: which === 'earliest' ? low : high }
    })
  }

  async send<T>(broker: Broker, call: Call<T>): Promise<T> {
    const { nodeId, connection } = broker as Broker & { connection: number }
    const key = `${nodeId}/${connection}/${call.request.apiKey === 1 ? 'fetch' : ''}`
    const before = this.#connections.get(key)
    const answer = (async () => {
      await before?.catch(() => {})
      const { apiKey, apiVersion } = call.request
      const raw = Buffer.concat((await call.request.encode()).frame(apiKey, apiVersion, 0, '')).subarray(14)
      const node = Number(nodeId)
      if (apiKey === 1) return this.#fetched(raw, node, connection)
      return apiKey === 0 ? this.#produced(raw, apiVersion, node, connection) : this.transactions.answer(apiKey, apiVersion, raw)
    })()
    this.#connections.set(key, answer)
    return (await call.response.parse(await call.response.decode(await answer))) as T
  }

  async #fetched(raw: Buffer, node: number, connection: number): Promise<Buffer> {
    const wait = raw.readInt32BE(4)
    const r = new Reader(raw)
    r.take(17)
    let id = r.int32()
    const epoch = r.int32()
    if (epoch > 0 && this.sessions.get(id)?.epoch !== epoch) return sessionAnswer(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 0, [])
    if (epoch === 0) id = ++this.#sessionIds
    const session = this.sessions.get(id) ?? { epoch: 0, asked: new Map<FakePartition, number>() }
    session.epoch++
    if (epoch >= 0) this.sessions.set(id, session)
    r.array(() => {
      const topic = r.text()
      r.array(() => {
        const partition = this.at({ topic, partition: r.int32() })
        r.int32() // leader epoch
        session.asked.set(partition, Number(r.int64()))
        r.take(12) // log start offset, bytes
      })
    })
    r.array(() => {
      const topic = r.text()
      r.array(() => session.asked.delete(this.at({ topic, partition: r.int32() })))
    })
    const asked = [...session.asked].map(([partition, offset]) => ({ partition, offset }))
    this.requests.push({ api: 'Fetch', node, connection, partitions: asked.map(a => partitionKey(a.partition)) })
    if (asked.some(a => a.partition.breaks)) throw new LogError('unavailable', 'the connection was closed')
    for (const { partition, offset } of asked) partition.fetches.push(offset)
    let answers = asked.map(({ partition, offset }) => answerOf(partition, offset, this.oneBatch))
    if (answers.every(isEmpty)) {
      const until = performance.now() + wait
      while (answers.every(isEmpty) && performance.now() < until && !asked.some(a => a.partition.breaks)) {
        await Promise.race([this.#arrival.promise, sleep(Math.max(1, until - performance.now()))])
        answers = asked.map(({ partition, offset }) => answerOf(partition, offset, this.oneBatch))
      }
    } else await new Promise(setImmediate)
    const told = epoch > 0 ? answers.filter(a => a.code !== 0 || a.bytes.length > 0) : answers
    return sessionAnswer(0, epoch < 0 ? 0 : id, told)
  }

  async #produced(raw: Buffer, version: number, node: number, connection: number): Promise<Buffer> {
    const batches = version >= 9 ? this.#sentFlexible(raw) : this.#sent(raw)
    const transactional = batches.some(({ batch }) => isTransactional(batch))
    if (transactional) this.transactions.asked.push(`Produce ${version}`)
    this.requests.push({ api: 'Produce', node, connection, partitions: batches.map(b => partitionKey(b.partition)) })
    if (batches.some(b => b.partition.breaks)) throw new LogError('unavailable', 'the connection was closed')
    const answers = batches.map(({ partition, batch }) => {
      const refused = partition.code('Produce') || partition.refuses(batch) || this.#outside(partition, batch, version)
      if (refused === 0) partition.produced.push(batch.readInt32BE(57))
      const { code, base } = refused === 0 ? partition.append(batch) : { code: refused, base: -1 }
      const answer = Buffer.alloc(30)
      answer.writeInt32BE(partition.partition, 0)
      answer.writeInt16BE(code, 4)
      answer.writeBigInt64BE(BigInt(base), 6)
      return { topic: partition.topic, answer }
    })
    await Promise.all(batches.map(b => b.partition.stall))
    if (transactional) this.transactions.answers('Produce')
    return version >= 9 ? flexible(answers) : Buffer.concat([topics(answers), Buffer.alloc(4)])
  }

  #sent(raw: Buffer): Sent[] {
    const r = new Reader(raw)
    r.take(Math.max(0, r.int16())) // transactional id
    r.take(6)
    const sent = r.array(() => {
      const topic = r.text()
      return r.array(() => {
        const partition = this.at({ topic, partition: r.int32() })
        return { partition, batch: r.take(r.int32()) }
      })
    })
    return sent.flat()
  }

  #sentFlexible(raw: Buffer): Sent[] {
    const r = new Reader(raw)
    r.tags()
    r.compactText() // transactional id
    r.take(6)
    const sent = r.compactArray(() => {
      const topic = r.compactText()
      return r.compactArray(() => {
        const partition = this.at({ topic, partition: r.int32() })
        return { partition, batch: r.take(r.uvarint() - 1) }
      })
    })
    return sent.flat()
  }

  /** An error code when a transactional batch belongs to no open transaction of its producer; otherwise 0. */
  #outside(partition: FakePartition, batch: Buffer, version: number): number {
    if (!isTransactional(batch)) return 0
    const id = { producerId: batch.readBigInt64BE(43), producerEpoch: batch.readInt16BE(51) }
    return this.transactions.produces(id, partitionKey(partition), version)
  }
}

interface Sent {
  readonly partition: FakePartition
  readonly batch: Buffer
}

const TRANSACTIONAL = 16

function isTransactional(batch: Buffer): boolean {
  return (batch.readInt16BE(21) & TRANSACTIONAL) !== 0
}

/** The response to a newer Produce. */
function flexible(answers: readonly { topic: string; answer: Buffer }[]): Buffer {
  const w = new Writer().noTags()
  w.compactArray([...Map.groupBy(answers, a => a.topic)], ([topic, of]) => {
    w.compactText(topic).compactArray(of, ({ answer }) =>
      w
        .bytes(answer)
        .compactArray([], () => {})
        .compactText(null),
    )
  })
  return Buffer.concat(w.int32(0).noTags().frame(0, 0, 0, '')).subarray(14)
}

function answerOf(partition: FakePartition, offset: number, oneBatch: boolean) {
  const { low, high, batches } = partition
  const outside = offset < low || offset > high
  const code = partition.code('Fetch') || (outside ? ErrorCode.OFFSET_OUT_OF_RANGE : 0)
  const there = code === 0 ? batches.filter(b => b.last >= offset) : []
  const bytes = Buffer.concat((oneBatch ? there.slice(0, 1) : there).map(b => b.bytes))
  const head = Buffer.alloc(38)
  head.writeInt32BE(partition.partition, 0)
  head.writeInt16BE(code, 4)
  head.writeBigInt64BE(BigInt(high), 6)
  head.writeBigInt64BE(BigInt(high), 14)
  head.writeBigInt64BE(BigInt(low), 22)
  head.writeInt32BE(0, 30) // aborted
  head.writeInt32BE(-1, 34) // preferred replica
  return { topic: partition.topic, code, bytes, answer: Buffer.concat([head, int32(bytes.length), bytes]) }
}

function isEmpty({ code, bytes }: { code: number; bytes: Buffer }): boolean {
  return code === 0 && bytes.length === 0
}

function sessionAnswer(code: number, id: number, answers: readonly { topic: string; answer: Buffer }[]): Buffer {
  return Buffer.concat([int32(0), int16(code), int32(id), topics(answers)])
}

function topics(answers: readonly { topic: string; answer: Buffer }[]): Buffer {
  const parts = [...Map.groupBy(answers, a => a.topic)].map(([topic, of]) => {
    const name = Buffer.from(topic)
    return Buffer.concat([int16(name.length), name, int32(of.length), ...of.map(a => a.answer)])
  })
  return Buffer.concat([int32(parts.length), ...parts])
}

function int16(n: number): Buffer {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(n)
  return bytes
}

function int32(n: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(n)
  return bytes
}

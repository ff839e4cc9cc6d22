/**
 * Brokers for tests, in memory: they read the requests off the wire and answer Fetch and Produce as brokers do, one request of a
 * connection after the other; partitions can be told to fail, to stall and to have no leader. One of them coordinates transactions.
 */
import { LogError, partitionKey, type Position, type TopicPartition } from '../../log.ts'
import { ErrorCode, isRetriable, KafkaError } from '../errors.ts'
import { retry, sleep } from '../retry.ts'
import { FakeCoordinator } from './fake-coordinator.ts'
import type { Broker, Call } from '../hardening.ts'
import { Reader, Writer } from '../wire.ts'

interface Stored {
  readonly base: number
  readonly last: number
  readonly bytes: Buffer
  readonly producer: string
  readonly sequence: number
}

export class FakePartition implements TopicPartition {
  readonly topic: string
  readonly partition: number
  leader: number | null = 1
  /** First offset, and the next to be written. */
  low = 0
  high = 0
  batches: Stored[] = []
  /** Asked at every request of this kind: the code it is answered with; 0 where it is well. */
  code: (api: 'Fetch' | 'Produce') => number = () => 0
  /** Code that this batch is refused with; 0 where it is taken. */
  refuses: (batch: Buffer) => number = () => 0
  /** A request in which it is gets no answer. */
  breaks = false
  /** A Produce request with a batch for it is answered only then. */
  stall: Promise<unknown> | null = null
  /** Fetches from these offsets on. */
  readonly fetches: number[] = []
  /** How many records each Produce request brought. */
  readonly produced: number[] = []

  readonly #arrived: () => void

  constructor({ topic, partition }: TopicPartition, arrived: () => void) {
    this.topic = topic
    this.partition = partition
    this.#arrived = arrived
  }

  /** A batch as it is sent, at the end. */
  put(batch: Buffer): number {
    const bytes = Buffer.from(batch)
    const base = this.high
    bytes.writeBigInt64BE(BigInt(base), 0)
    this.high = base + bytes.readInt32BE(23) + 1
    const producer = `${bytes.readBigInt64BE(43)}:${bytes.readInt16BE(51)}`
    this.batches.push({ base, last: this.high - 1, bytes, producer, sequence: bytes.readInt32BE(53) })
    this.#arrived()
    return base
  }

  /** As `put`, but once for each producer and sequence number, and without gaps in these. */
  append(batch: Buffer): { code: number; base: number } {
    const producer = `${batch.readBigInt64BE(43)}:${batch.readInt16BE(51)}`
    const sequence = batch.readInt32BE(53)
    const own = this.batches.filter(b => b.producer === producer)
    const there = own.find(b => b.sequence === sequence)
    if (there !== undefined) return { code: 0, base: there.base }
    const last = own.at(-1)
    const expected = last === undefined ? 0 : last.sequence + last.last - last.base + 1
    if (sequence !== expected) return { code: 45, base: -1 }
    return { code: 0, base: this.put(batch) }
  }
}

export class FakeCluster {
  readonly prefix = ''
  closed = false
  /** Requests by their node, connection and partitions. */
  readonly requests: { api: 'Fetch' | 'Produce'; node: number; way: number; partitions: string[] }[] = []
  /** Nodes that cannot be reached. */
  readonly away = new Set<number>()
  /** Topics that do not exist (any more). */
  readonly unknown = new Set<string>()
  producerIds = 0
  readonly transactions = new FakeCoordinator()
  /** A Fetch brings one batch of a partition at a time. */
  oneBatch = false
  /** Fetch sessions by their id: what is asked for, and the next epoch. */
  readonly sessions = new Map<number, { epoch: number; asked: Map<FakePartition, number> }>()
  readonly #partitions = new Map<string, FakePartition>()
  readonly #used = new Set<string>()
  readonly #connections = new Map<string, Promise<unknown>>()
  #sessionIds = 0
  /** Resolved with the next batch of any partition. */
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

  async broker(node: number, way = 0): Promise<Broker> {
    if (this.away.has(node)) throw Object.assign(new Error(`node ${node} cannot be reached`), { name: 'KafkaJSConnectionError' })
    return { nodeId: `${node}`, way } as unknown as Broker
  }

  async coordinator(): Promise<Broker> {
    return { nodeId: '1', way: 0, ...this.transactions.requests } as unknown as Broker
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
    const { nodeId, way } = broker as Broker & { way: number }
    const connection = `${nodeId}/${way}/${call.request.apiKey === 1 ? 'fetch' : ''}`
    const before = this.#connections.get(connection)
    const answer = (async () => {
      await before?.catch(() => {})
      const { apiKey, apiVersion } = call.request
      const raw = Buffer.concat((await call.request.encode()).frame(apiKey, apiVersion, 0, '')).subarray(14)
      const node = Number(nodeId)
      if (apiKey === 1) return this.#fetched(raw, node, way)
      return apiKey === 0 ? this.#produced(raw, apiVersion, node, way) : this.transactions.answer(apiKey, apiVersion, raw)
    })()
    this.#connections.set(connection, answer)
    return (await call.response.parse(await call.response.decode(await answer))) as T
  }

  async #fetched(raw: Buffer, node: number, way: number): Promise<Buffer> {
    const wait = raw.readInt32BE(4)
    const read = new Wire(raw, 17)
    let id = read.int32()
    const epoch = read.int32()
    if (epoch > 0 && this.sessions.get(id)?.epoch !== epoch) return sessionAnswer(ErrorCode.FETCH_SESSION_ID_NOT_FOUND, 0, [])
    if (epoch === 0) id = ++this.#sessionIds
    const session = this.sessions.get(id) ?? { epoch: 0, asked: new Map<FakePartition, number>() }
    session.epoch++
    if (epoch >= 0) this.sessions.set(id, session)
    read.list(() => {
      const topic = read.text()
      read.list(() => {
        const partition = this.at({ topic, partition: read.int32() })
        read.int32()
        session.asked.set(partition, read.int64())
        read.int64()
        read.int32()
      })
    })
    read.list(() => {
      const topic = read.text()
      read.list(() => session.asked.delete(this.at({ topic, partition: read.int32() })))
    })
    const asked = [...session.asked].map(([partition, offset]) => ({ partition, offset }))
    this.requests.push({ api: 'Fetch', node, way, partitions: asked.map(a => partitionKey(a.partition)) })
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

  async #produced(raw: Buffer, version: number, node: number, way: number): Promise<Buffer> {
    const batches = version >= 9 ? this.#sentFlexible(raw) : this.#sent(raw)
    const transactional = batches.some(({ batch }) => isTransactional(batch))
    if (transactional) this.transactions.asked.push(`Produce ${version}`)
    this.requests.push({ api: 'Produce', node, way, partitions: batches.map(b => partitionKey(b.partition)) })
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
    const batches: Sent[] = []
    const read = new Wire(raw, 0)
    read.text() // transactional id
    read.take(6)
    read.list(() => {
      const topic = read.text()
      read.list(() => {
        const partition = this.at({ topic, partition: read.int32() })
        batches.push({ partition, batch: read.take(read.int32()) })
      })
    })
    return batches
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

  /** A code where a batch is of no open transaction of its producer; 0 also for those of none. */
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

/** The answer to a newer Produce. */
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

class Wire {
  readonly #bytes: Buffer
  #at: number

  constructor(bytes: Buffer, at: number) {
    this.#bytes = bytes
    this.#at = at
  }
  int32(): number {
    this.#at += 4
    return this.#bytes.readInt32BE(this.#at - 4)
  }
  int64(): number {
    this.#at += 8
    return Number(this.#bytes.readBigInt64BE(this.#at - 8))
  }
  take(length: number): Buffer {
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }
  text(): string {
    this.#at += 2
    return this.take(Math.max(0, this.#bytes.readInt16BE(this.#at - 2))).toString()
  }
  list(read: () => void): void {
    for (let n = this.int32(); n > 0; n--) read()
  }
}

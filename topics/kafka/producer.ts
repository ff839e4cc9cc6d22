/**
 * A producer: numbers the record batches of every partition, so that the broker takes each once, in order. With a
 * transactional id it also has transactions, one after the other.
 *
 *   AddPartitionsToTxn ─▶ Produce …                       ─▶ EndTxn
 *                      └▶ AddOffsetsToTxn ─▶ TxnOffsetCommit ┘     (fenced by member and generation: KIP-447)
 */
import { type Append, LogError, partitionKey, type Position, type TopicPartition } from '../log.ts'
import { type BatchRecord, payloadBytes } from '../records.ts'
import { type Compression, encodeBatch } from './batch.ts'
import { CODE, check, isMoved, isPassing, KafkaError, type KafkaClient, logError, persist, sleep } from './client.ts'
import type { Broker, Transactional } from './hardening.ts'
import { type OutBatch, produce, txnOffsetCommit } from './protocol.ts'

export interface ProducerSettings {
  readonly client: KafkaClient
  readonly transactionalId: string | null
  /** An open transaction is aborted by its coordinator after this long, ms. */
  readonly transactionTimeout: number
  readonly compression: Compression
}

/** A record whose partition is known. */
export interface Placed extends Append {
  readonly partition: number
}

/** Who commits offsets. */
export interface Member {
  readonly group: string
  readonly member: string
  readonly generation: number
}

/** Payload of a record batch, at most: Kafka takes a batch of up to 1 MB (`max.message.bytes`). */
const BATCH_BYTES = 900 * 1024
const RECORD_OVERHEAD = 32
const NO_HEADERS = Object.freeze({})
const SEQUENCES = 2 ** 31
const PRODUCE_TIMEOUT = 10_000
/** The broker will have the batch appended before long, or has not appended it at all. */
const NOT_YET: ReadonlySet<number> = new Set([
  CODE.NOT_ENOUGH_REPLICAS,
  CODE.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  CODE.REQUEST_TIMED_OUT,
])

interface Part extends TopicPartition {
  readonly records: BatchRecord[]
  bytes: number
}

export class Producer {
  readonly #settings: ProducerSettings
  readonly #id: Transactional
  readonly #sequences = new Map<string, number>()
  /** Something failed: sequence numbers and transaction state are unknown, so this producer is done with. */
  #broken = false

  private constructor(settings: ProducerSettings, id: Transactional) {
    this.#settings = settings
    this.#id = id
  }

  /**
   * With a transactional id: fences earlier lives of it, and resolves once whatever they had open has ended.
   * @throws {LogError} `unavailable` when the cluster cannot be reached for so long, ms.
   */
  static async open(settings: ProducerSettings, forMs = 30_000): Promise<Producer> {
    const { client, transactionalId, transactionTimeout } = settings
    const init = () =>
      client.coordinated('transaction', transactionalId ?? '', forMs, broker =>
        persist(
          forMs,
          isConcurrent,
          () => broker.initProducerId({ transactionalId, transactionTimeout }).catch(error => Promise.reject(logError(error))),
          5,
        ),
      )
    const { producerId, producerEpoch } = await (transactionalId === null ? initWithoutId(client, forMs) : init())
    return new Producer(settings, { transactionalId: transactionalId ?? '', producerId: BigInt(producerId), producerEpoch })
  }

  get broken(): boolean {
    return this.#broken
  }

  /**
   * Appends, acknowledged by all replicas in sync: the offsets, in the order of the records.
   * @throws {LogError} after which this producer is broken.
   */
  async append(records: readonly Placed[]): Promise<Position[]> {
    try {
      return await this.#produce(records)
    } catch (error) {
      this.#broken = true
      throw logError(error)
    }
  }

  /**
   * One transaction: the records, and the offsets of this member. The last offset appended to each partition.
   * @throws {LogError} `unknown` when it may have been committed, otherwise it surely was not. The producer is broken then.
   */
  async commit(records: readonly Placed[], offsets: readonly Position[], member: Member): Promise<Map<string, number>> {
    try {
      const ends = new Map<string, number>()
      if (records.length > 0) await this.#addPartitions(records)
      const sent = records.length > 0 ? this.#produce(records) : Promise.resolve([])
      const [produced, committed] = await Promise.allSettled([sent, this.#commitOffsets(offsets, member)])
      if (committed.status === 'rejected') throw committed.reason
      if (produced.status === 'rejected') throw produced.reason
      for (const { topic, partition, offset } of produced.value) {
        const key = partitionKey({ topic, partition })
        ends.set(key, Math.max(ends.get(key) ?? -1, offset))
      }
      await this.#end()
      return ends
    } catch (error) {
      this.#broken = true
      const failed = logError(error)
      if (failed.code !== 'unknown' && failed.code !== 'closed') await this.#abort()
      throw failed
    }
  }

  /** The partitions become part of the transaction; the coordinator may still be writing the markers of the last one. */
  async #addPartitions(records: readonly Placed[]): Promise<void> {
    const byTopic = new Map<string, Set<number>>()
    for (const { topic, partition } of records) {
      const partitions = byTopic.get(topic)
      if (partitions === undefined) byTopic.set(topic, new Set([partition]))
      else partitions.add(partition)
    }
    const topics = [...byTopic].map(([topic, partitions]) => ({
      topic: this.#settings.client.prefix + topic,
      partitions: [...partitions],
    }))
    await this.#coordinated(broker => broker.addPartitionsToTxn({ ...this.#id, topics }))
  }

  async #commitOffsets(offsets: readonly Position[], member: Member): Promise<void> {
    const { client, transactionTimeout } = this.#settings
    await this.#coordinated(broker => broker.addOffsetsToTxn({ ...this.#id, groupId: member.group }))
    await client.coordinated('group', member.group, transactionTimeout, async broker => {
      const codes = await client.send(broker, txnOffsetCommit(client.prefix, this.#id, member, offsets))
      for (const code of codes) check(code)
    })
  }

  /** Commits. A repeated EndTxn is answered as the first was, so it may be sent until there is an answer. */
  async #end(): Promise<void> {
    const { client, transactionTimeout } = this.#settings
    let asked = false
    try {
      await client.coordinated('transaction', this.#id.transactionalId, transactionTimeout, broker =>
        persist(
          transactionTimeout,
          isConcurrent,
          async () => {
            try {
              await broker.endTxn({ ...this.#id, transactionResult: true })
            } catch (error) {
              const failed = logError(error)
              // No answer: it may have been done.
              if (!(failed instanceof KafkaError)) asked = true
              throw failed
            }
          },
          1,
        ),
      )
    } catch (error) {
      const failed = logError(error)
      if (failed.code === 'fenced' && !asked) throw failed
      throw new LogError('unknown', `the transaction may or may not have been committed: ${failed.message}`, { cause: failed })
    }
  }

  /** As far as that is possible; a transaction left open is ended by the next `open`, or by its time-out. */
  async #abort(): Promise<void> {
    try {
      const broker = await this.#settings.client.coordinator('transaction', this.#id.transactionalId)
      await broker.endTxn({ ...this.#id, transactionResult: false })
    } catch {
      // The caller opens another producer of this id, which ends it.
    }
  }

  #coordinated<T>(request: (broker: Broker) => Promise<T>): Promise<T> {
    const { client, transactionTimeout } = this.#settings
    return client.coordinated('transaction', this.#id.transactionalId, transactionTimeout, broker =>
      persist(transactionTimeout, isConcurrent, () => request(broker).catch(error => Promise.reject(logError(error))), 1),
    )
  }

  async #produce(records: readonly Placed[]): Promise<Position[]> {
    const positions = new Array<Position>(records.length)
    for (const round of rounds(records)) {
      const bases = await this.#send(round.map(r => r.part))
      for (const { part, places } of round) {
        const { topic, partition } = part
        const base = bases.get(partitionKey(part)) as number
        for (let i = 0; i < places.length; i++) positions[places[i] as number] = { topic, partition, offset: base + i }
      }
    }
    return positions
  }

  /** One batch for each of these partitions; their first offsets. Tried again where it is sure that a batch was not appended. */
  async #send(parts: readonly Part[]): Promise<Map<string, number>> {
    const { client, transactionalId, compression } = this.#settings
    const { producerId, producerEpoch } = this.#id
    const sender = { producerId, producerEpoch, transactional: transactionalId !== null }
    await client.use([...new Set(parts.map(p => p.topic))])
    let left: OutBatch[] = parts.map(part => {
      const key = partitionKey(part)
      const sequence = this.#sequences.get(key) ?? 0
      this.#sequences.set(key, (sequence + part.records.length) % SEQUENCES)
      const { topic, partition } = part
      return { topic, partition, batch: encodeBatch(part.records, sender, sequence, compression) }
    })
    const bases = new Map<string, number>()
    const until = performance.now() + PRODUCE_TIMEOUT
    for (let wait = 10; ; wait = Math.min(wait * 2, 500)) {
      const again: OutBatch[] = []
      let cause: LogError | null = null
      const byNode = Map.groupBy(left, batch => client.leader(batch))
      const asked = [...byNode].map(async ([node, batches]) => {
        if (node === null) {
          again.push(...batches)
          return
        }
        try {
          const broker = await client.broker(node)
          const produced = await client.send(broker, produce(client.prefix, transactionalId, batches, PRODUCE_TIMEOUT))
          for (const [i, { errorCode, baseOffset, ...at }] of produced.entries()) {
            const batch = batches[i] as OutBatch
            const of = batches.find(b => b.topic === at.topic && b.partition === at.partition) ?? batch
            if (errorCode === 0) bases.set(partitionKey(at), baseOffset)
            else if (isMoved(errorCode) || NOT_YET.has(errorCode)) {
              cause = new KafkaError(errorCode)
              again.push(of)
            } else throw new KafkaError(errorCode)
          }
        } catch (error) {
          const failed = logError(error)
          // Sent again under the same sequence number: the broker knows a batch that it has.
          if (failed instanceof KafkaError || !isPassing(failed)) throw failed
          cause = failed
          again.push(...batches)
        }
      })
      await Promise.all(asked)
      if (again.length === 0) return bases
      if (performance.now() + wait > until) {
        throw cause ?? new LogError('unavailable', `no leader for ${again.map(partitionKey).join(', ')}`)
      }
      left = again
      await sleep(wait)
      await client.refresh().catch(() => {})
    }
  }
}

function isConcurrent(error: LogError): boolean {
  return error instanceof KafkaError && error.kafka === CODE.CONCURRENT_TRANSACTIONS
}

async function initWithoutId(client: KafkaClient, forMs: number): Promise<{ producerId: bigint; producerEpoch: number }> {
  return persist(forMs, isPassing, async () => {
    const broker = await client.anyBroker()
    return broker.initProducerId({ transactionalId: null, transactionTimeout: 60_000 })
  })
}

/** Splits records into record batches: those of one round have different partitions. `places` says which records they are. */
function rounds(records: readonly Placed[]): { part: Part; places: number[] }[][] {
  const timestamp = Date.now()
  const made: { part: Part; places: number[] }[][] = []
  const open = new Map<string, { part: Part; places: number[]; round: number }>()
  let last: { part: Part; places: number[]; round: number } | undefined
  for (let i = 0; i < records.length; i++) {
    const { topic, partition, key, value, headers = NO_HEADERS } = records[i] as Placed
    const bytes = payloadBytes(key, value, headers) + RECORD_OVERHEAD
    if (last === undefined || last.part.topic !== topic || last.part.partition !== partition) {
      last = open.get(`${topic}/${partition}`)
    }
    if (last === undefined || last.part.bytes + bytes > BATCH_BYTES) {
      const round: number = last === undefined ? 0 : last.round + 1
      last = { part: { topic, partition, records: [], bytes: 0 }, places: [], round }
      open.set(`${topic}/${partition}`, last)
      const of = made[round]
      if (of === undefined) made.push([last])
      else of.push(last)
    }
    last.part.records.push({ offset: last.part.records.length, timestamp, key, value, headers })
    last.part.bytes += bytes
    last.places.push(i)
  }
  return made
}

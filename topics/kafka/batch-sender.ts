/**
 * Sends the record batches of a transaction, numbered per partition, so that the broker takes each once, in order. A batch is sent again
 * while it is sure that the broker does not have it, or would recognise it by its number.
 */
import { type LogError, partitionKey } from '../log.ts'
import { turn } from '../wait.ts'
import { type Compression, encodeBatch } from './batch.ts'
import type { KafkaClient } from './client.ts'
import { ErrorCode, isStaleMetadata, isRetriable, KafkaError, toLogError } from './errors.ts'
import type { Transactional } from './hardening.ts'
import { inRequests, type Outbox, type OutgoingBatch } from './outbox.ts'
import { produce } from './protocol.ts'
import { sleep } from './retry.ts'
import type { TransactionVersion } from './transaction-protocol.ts'

export interface BatchSenderSettings {
  readonly client: Pick<KafkaClient, 'prefix' | 'track' | 'leader' | 'refresh' | 'broker' | 'send'>
  readonly transactionalId: string
  readonly compression: Compression
  readonly version: TransactionVersion
}

const SEQUENCES = 2 ** 31
const PRODUCE_TIMEOUT_MS = 10_000
const FIRST_RETRY_MS = 10
const MAX_RETRY_MS = 500
/** The broker will soon have appended the batch, or has not appended it at all. */
const NOT_APPENDED_YET: ReadonlySet<number> = new Set([
  // Another leader is adding its partitions to the transaction.
  ErrorCode.CONCURRENT_TRANSACTIONS,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
  ErrorCode.REQUEST_TIMED_OUT,
])

/** A record batch with its place in the sequence of its partition. */
interface NumberedBatch {
  readonly part: OutgoingBatch
  readonly sequence: number
  readonly timestamp: number
}

interface Undelivered {
  readonly batches: readonly NumberedBatch[]
  readonly cause: LogError
}

export class BatchSender {
  readonly #settings: BatchSenderSettings
  /** Next sequence number by partition. */
  readonly #sequences = new Map<string, number>()

  constructor(settings: BatchSenderSettings) {
    this.#settings = settings
  }

  /** A new epoch numbers its batches from 0. */
  restart(): void {
    this.#sequences.clear()
  }

  /**
   * Sends all batches of a transaction, in rounds; the first offset of each.
   * @param id of the producer, with the epoch of the transaction
   * @param sent called once the last round is on its way
   * @throws {LogError} when a batch was refused, or could not be delivered in time
   */
  async send(id: Transactional, outbox: Outbox, sent?: () => void): Promise<Map<OutgoingBatch, number>> {
    const baseOffsets = new Map<OutgoingBatch, number>()
    for (const [round, parts] of outbox.rounds.entries()) {
      const last = round === outbox.rounds.length - 1
      const byPartition = await this.#sendRound(id, parts, last ? sent : undefined)
      for (const part of parts) baseOffsets.set(part, byPartition.get(partitionKey(part)) as number)
    }
    return baseOffsets
  }

  /** One batch for each of these partitions; the first offset of each. */
  async #sendRound(id: Transactional, parts: readonly OutgoingBatch[], sent?: () => void): Promise<Map<string, number>> {
    const { client } = this.#settings
    await client.track([...new Set(parts.map(p => p.topic))])
    const timestamp = Date.now()
    const baseOffsets = new Map<string, number>()
    const until = performance.now() + PRODUCE_TIMEOUT_MS
    let left: NumberedBatch[] = parts.map(part => {
      const key = partitionKey(part)
      const sequence = this.#sequences.get(key) ?? 0
      this.#sequences.set(key, (sequence + part.records.length) % SEQUENCES)
      return { part, sequence, timestamp }
    })
    for (let pause = FIRST_RETRY_MS; ; pause = Math.min(pause * 2, MAX_RETRY_MS)) {
      const requests: Promise<Undelivered | null>[] = []
      for (const [node, batches] of Map.groupBy(left, ({ part }) => client.leader(part))) {
        for (const [i, some] of inRequests(batches, ({ part }) => part.bytes).entries()) {
          // The broker appends one request while the next is encoded.
          if (i > 0) await turn()
          const request = this.#request(id, node, some, baseOffsets)
          // It may fail before all of them are awaited.
          request.catch(() => {})
          requests.push(request)
        }
      }
      await turn()
      sent?.()
      const undelivered = (await Promise.all(requests)).filter(one => one !== null)
      if (undelivered.length === 0) return baseOffsets
      if (performance.now() + pause > until) throw undelivered[0]?.cause
      left = undelivered.flatMap(one => one.batches)
      await sleep(pause)
      await client.refresh().catch(() => {})
    }
  }

  /** One Produce request. Null when the broker has taken all of it; otherwise what may be sent again under its sequence numbers. */
  async #request(
    id: Transactional,
    node: number | null,
    batches: readonly NumberedBatch[],
    baseOffsets: Map<string, number>,
  ): Promise<Undelivered | null> {
    const { client, transactionalId, compression, version } = this.#settings
    if (node === null) return { batches, cause: new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE) }
    const sender = { producerId: id.producerId, producerEpoch: id.producerEpoch, transactional: true }
    const encoded = batches.map(({ part, sequence, timestamp }) => {
      const { topic, partition, records } = part
      return { topic, partition, batch: encodeBatch(records, timestamp, sender, sequence, compression) }
    })
    const apiVersion = version === 2 ? 12 : 7
    try {
      const broker = await client.broker(node)
      const call = produce(client.prefix, transactionalId, encoded, PRODUCE_TIMEOUT_MS, apiVersion)
      let cause: LogError | null = null
      for (const { errorCode, baseOffset, ...partition } of await client.send(broker, call)) {
        if (errorCode === 0) baseOffsets.set(partitionKey(partition), baseOffset)
        else if (isStaleMetadata(errorCode) || NOT_APPENDED_YET.has(errorCode)) cause = new KafkaError(errorCode)
        else throw new KafkaError(errorCode)
      }
      return cause === null ? null : { batches: batches.filter(({ part }) => !baseOffsets.has(partitionKey(part))), cause }
    } catch (error) {
      const failed = toLogError(error)
      // No answer: the broker recognises a batch that it has by its sequence number.
      if (failed instanceof KafkaError || !isRetriable(failed)) throw failed
      return { batches, cause: failed }
    }
  }
}

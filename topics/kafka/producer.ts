/**
 * Commits transactions, one after another. TxnOffsetCommit is fenced by member and generation (KIP-447).
 *
 *   TxnOffsetCommit ─▶ Produce … ─▶ EndTxn                           from Kafka 4.0 on (KIP-890)
 *
 *   AddPartitionsToTxn ─▶ Produce …                       ─▶ EndTxn  earlier versions
 *                      └▶ AddOffsetsToTxn ─▶ TxnOffsetCommit ┘
 *
 * In the newer protocol the order matters. While the markers of the last transaction are being written, TxnOffsetCommit is refused at
 * once, and can be repeated after a millisecond; a Produce would wait inside the broker for 20 ms. Every transaction has its own producer
 * epoch, so the broker refuses late requests of an earlier one.
 */
import { LogError, partitionKey, type Position } from '../log.ts'
import type { Compression } from './batch.ts'
import { BatchSender } from './batch-sender.ts'
import type { Coordinator, KafkaClient } from './client.ts'
import { ErrorCode, throwIfError, KafkaError, toLogError } from './errors.ts'
import { retry } from './retry.ts'
import type { Broker, Transactional } from './hardening.ts'
import type { Outbox, OutgoingBatch } from './outbox.ts'
import { endTxn, type Member, type TransactionVersion, transactionVersion, txnOffsetCommit } from './transaction-protocol.ts'

export interface ProducerSettings {
  readonly client: KafkaClient
  readonly transactionalId: string
  /** An open transaction is aborted by its coordinator after this long, ms. */
  readonly transactionTimeout: number
  readonly compression: Compression
  /** Protocol of transactions; null: the cluster's. */
  readonly version: TransactionVersion | null
}

export class Producer {
  readonly #settings: ProducerSettings
  readonly #version: TransactionVersion
  /** With the epoch of the open transaction, or of the next one. */
  #id: Transactional
  readonly #batches: BatchSender
  /** After a failure sequence numbers and transaction state are unknown, and this producer cannot be used again. */
  #broken = false

  private constructor(settings: ProducerSettings, version: TransactionVersion, id: Transactional) {
    this.#settings = settings
    this.#version = version
    this.#id = id
    const { client, transactionalId, compression } = settings
    this.#batches = new BatchSender({ client, transactionalId, compression, version })
  }

  /**
   * Fences earlier producers of this transactional id, and resolves once their open transactions have ended. The protocol of the cluster is
   * looked up each time, since an upgrade may have changed it.
   * @throws {LogError} `unavailable` when the cluster cannot be reached within `forMs`
   */
  static async open(settings: ProducerSettings, forMs = 30_000): Promise<Producer> {
    const { client, transactionalId, transactionTimeout } = settings
    const init = { transactionalId, transactionTimeout }
    const version =
      settings.version ??
      (await client.withCoordinator('transaction', transactionalId, forMs, broker => client.send(broker, transactionVersion())))
    const { producerId, producerEpoch } = await client.withCoordinator('transaction', transactionalId, forMs, broker =>
      retry(forMs, isConcurrent, () => broker.initProducerId(init).catch(error => Promise.reject(toLogError(error))), 5),
    )
    return new Producer(settings, version, { transactionalId, producerId: BigInt(producerId), producerEpoch })
  }

  get broken(): boolean {
    return this.#broken
  }

  get version(): TransactionVersion {
    return this.#version
  }

  /**
   * Commits one transaction: the records, and the offsets of this member.
   * @param sent called once all records are on their way, or will not be sent
   * @returns the last offset appended to each partition
   * @throws {LogError} `unknown` when it may have been committed; otherwise it certainly was not. The producer is broken then.
   */
  async commit(
    outbox: Outbox,
    offsets: readonly Position[],
    member: Member,
    sent: () => void = () => {},
  ): Promise<Map<string, number>> {
    try {
      const ends = new Map<string, number>()
      for (const [part, base] of await this.#write(outbox, offsets, member, sent)) {
        const key = partitionKey(part)
        ends.set(key, Math.max(ends.get(key) ?? -1, base + part.records.length - 1))
      }
      await this.#end()
      return ends
    } catch (error) {
      this.#broken = true
      const failed = toLogError(error)
      if (failed.code !== 'unknown' && failed.code !== 'closed') await this.#abort()
      throw failed
    } finally {
      sent()
    }
  }

  /** Writes records and offsets; returns the first offset of every batch. */
  async #write(
    outbox: Outbox,
    offsets: readonly Position[],
    member: Member,
    sent: () => void,
  ): Promise<Map<OutgoingBatch, number>> {
    if (this.#version === 2) {
      await this.#commitOffsets(offsets, member)
      return this.#batches.send(this.#id, outbox, sent)
    }
    if (!outbox.empty) await this.#addPartitions(outbox)
    const [produced, committed] = await Promise.allSettled([
      this.#batches.send(this.#id, outbox, sent),
      this.#commitOffsets(offsets, member),
    ])
    if (committed.status === 'rejected') throw committed.reason
    if (produced.status === 'rejected') throw produced.reason
    return produced.value
  }

  /** Adds the partitions to the transaction; the coordinator may still be writing the markers of the last one. */
  async #addPartitions(outbox: Outbox): Promise<void> {
    const { prefix } = this.#settings.client
    const topics = [...outbox.topics()].map(([topic, partitions]) => ({ topic: prefix + topic, partitions }))
    await this.#coordinated('transaction', this.#id.transactionalId, broker => broker.addPartitionsToTxn({ ...this.#id, topics }))
  }

  async #commitOffsets(offsets: readonly Position[], member: Member): Promise<void> {
    const { client } = this.#settings
    const { group: groupId } = member
    if (this.#version === 1)
      await this.#coordinated('transaction', this.#id.transactionalId, broker => broker.addOffsetsToTxn({ ...this.#id, groupId }))
    await this.#coordinated('group', groupId, async broker => {
      const call = txnOffsetCommit(client.prefix, this.#id, member, offsets, this.#version)
      for (const code of await client.send(broker, call)) throwIfError(code)
    })
  }

  /** Commits. A repeated EndTxn gets the answer of the first, so it may be sent until there is one. */
  async #end(): Promise<void> {
    let mayBeCommitted = false
    try {
      await this.#coordinated('transaction', this.#id.transactionalId, async broker => {
        try {
          await this.#endTxn(broker, true)
        } catch (error) {
          const failed = toLogError(error)
          // No answer: it may have been committed.
          if (!(failed instanceof KafkaError)) mayBeCommitted = true
          throw failed
        }
      })
    } catch (error) {
      const failed = toLogError(error)
      if (failed.code === 'fenced' && !mayBeCommitted) throw failed
      throw new LogError('unknown', `the transaction may or may not have been committed: ${failed.message}`, { cause: failed })
    }
  }

  async #endTxn(broker: Broker, commit: boolean): Promise<void> {
    if (this.#version === 1) {
      await broker.endTxn({ ...this.#id, transactionResult: commit })
      return
    }
    const { errorCode, producerId, producerEpoch } = await this.#settings.client.send(broker, endTxn(this.#id, commit))
    throwIfError(errorCode)
    this.#id = { ...this.#id, producerId, producerEpoch }
    this.#batches.restart()
  }

  /** Aborts if possible; otherwise the next `open`, or the timeout, ends the transaction. */
  async #abort(): Promise<void> {
    try {
      await this.#endTxn(await this.#settings.client.coordinator('transaction', this.#id.transactionalId), false)
    } catch {
      // The caller opens another producer of this id, which ends it.
    }
  }

  /** Repeats a request while a coordinator moves, and while it writes the markers of the last transaction: a few milliseconds. */
  #coordinated<T>(kind: Coordinator, id: string, request: (broker: Broker) => Promise<T>): Promise<T> {
    const { client, transactionTimeout } = this.#settings
    return client.withCoordinator(kind, id, transactionTimeout, broker =>
      retry(transactionTimeout, isConcurrent, () => request(broker), 1, 1.25),
    )
  }
}

function isConcurrent(error: LogError): boolean {
  return error instanceof KafkaError && error.kafka === ErrorCode.CONCURRENT_TRANSACTIONS
}

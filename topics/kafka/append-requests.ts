/** Sends the batches of appends, and decides what becomes of each: taken, tried again, refused, or sent a second time past a slow request. */
import { LogError } from '../log.ts'
import { type Compression, encodeBatch, type ProducerIdentity } from './batch.ts'
import type { KafkaClient } from './client.ts'
import type { Connection, ConnectionPool, InFlight } from './connections.ts'
import { isStaleMetadata, isRetriable, KafkaError, toLogError } from './errors.ts'
import { type Lane, type PendingBatch, PRODUCER_LOST, refusal, REPEATABLE, UNCERTAIN } from './lane.ts'
import { type ProduceBatch, produce, type ProduceResult } from './protocol.ts'
import { sleep } from './retry.ts'

export interface AppendsSettings {
  readonly client: Pick<
    KafkaClient,
    'prefix' | 'track' | 'hasMetadata' | 'leader' | 'refresh' | 'broker' | 'send' | 'onAnyBroker'
  >
  readonly compression: Compression
  /** @throws {LogError} `no_topic` */
  partitions(topic: string): number
  /** The appends of a batch that was not taken within this time fail, ms. */
  readonly timeout?: number
}

/** Who decides when a lane sends. */
export interface LaneScheduler {
  readonly closed: boolean
  pool(node: number): ConnectionPool
  /** The lane has something to send. */
  wake(lane: Lane): void
  isReady(lane: Lane): boolean
  /** Its batch was taken or refused. */
  settled(lane: Lane): void
  /** The sequence numbers of the lane are no longer known: what follows goes under another producer's. Other lanes keep theirs. */
  renumber(lane: Lane): void
  /** Looks again at what is ready. */
  schedule(): void
}

/** The broker answers within this time whether all replicas have the batch. */
const ACKNOWLEDGE_MS = 5_000
const SEQUENCES = 2 ** 31
const FIRST_RETRY_MS = 10
const MAX_RETRY_MS = 500

export class AppendRequests {
  readonly #settings: Required<AppendsSettings>
  readonly #lanes: LaneScheduler

  constructor(settings: Required<AppendsSettings>, lanes: LaneScheduler) {
    this.#settings = settings
    this.#lanes = lanes
  }

  /** One request. @param exclusive it is for a slow partition, alone on its connection */
  async send(node: number, connection: Connection, batches: readonly PendingBatch[], exclusive: boolean): Promise<void> {
    const { client } = this.#settings
    const pool = this.#lanes.pool(node)
    const inFlight: InFlight = { since: performance.now(), exclusive }
    connection.inFlight.add(inFlight)
    const attempts = batches.map(batch => this.#attempt(batch, inFlight.since)).filter(attempt => attempt !== null)
    const sent = attempts.map(({ batch }) => batch)
    const timer = setTimeout(() => this.#overtake(sent, exclusive), pool.slowAfterMs)
    try {
      if (attempts.length === 0) return
      const broker = await client.broker(node, connection.number)
      const encoded = attempts.map(attempt => attempt.encoded)
      const produced = await client.send(broker, produce(client.prefix, null, encoded, ACKNOWLEDGE_MS))
      if (!exclusive) pool.observe(performance.now() - inFlight.since)
      for (const { batch, attempt } of attempts) {
        const { topic, partition } = batch.lane
        const answer = produced.find(p => p.partition === partition && p.topic === topic)
        if (answer !== undefined) this.#answered(batch, attempt, answer, pool)
        else this.#unanswered(batch, attempt, new LogError('unavailable', `the broker did not answer for ${topic}/${partition}`))
      }
    } catch (error) {
      for (const { batch, attempt } of attempts) this.#unanswered(batch, attempt, toLogError(error))
    } finally {
      for (const batch of sent) batch.inFlight--
      clearTimeout(timer)
      connection.inFlight.delete(inFlight)
      this.#lanes.schedule()
    }
  }

  /** Once more, after a pause and fresh metadata. */
  again(batch: PendingBatch, cause: LogError): void {
    if (batch.settled) return
    batch.cause = cause
    const worthIt = isRetriable(cause) || (cause instanceof KafkaError && isStaleMetadata(cause.kafka))
    if (this.#lanes.closed || !worthIt) {
      this.refuse(batch, this.#lanes.closed ? closed() : cause)
      return
    }
    const { lane } = batch
    lane.retryMs = Math.min(MAX_RETRY_MS, Math.max(FIRST_RETRY_MS, lane.retryMs * 2))
    void Promise.all([sleep(lane.retryMs), this.#settings.client.refresh().catch(() => {})]).then(() => {
      if (!batch.settled) this.#lanes.wake(lane)
    })
  }

  /** Its time is up. */
  expire(batch: PendingBatch): void {
    const { topic, partition } = batch.lane
    batch.lane.slow = true
    batch.uncertain ||= batch.attempts > 0
    const why = batch.cause === null ? 'the broker has not answered' : batch.cause.message
    this.refuse(batch, new LogError('unavailable', `cannot append to ${topic}/${partition}: ${why}`, { cause: batch.cause }))
  }

  refuse(batch: PendingBatch, error: LogError): void {
    if (batch.settled) return
    if (batch.uncertain) this.#lanes.renumber(batch.lane)
    for (const { done, outcome } of batch.chunks) {
      outcome.error = error
      done.reject(error)
    }
    this.#settle(batch)
  }

  /** Null when it cannot be encoded. */
  #attempt(batch: PendingBatch, sentAt: number): { batch: PendingBatch; attempt: number; encoded: ProduceBatch } | null {
    const { lane, records, timestamp } = batch
    const { topic, partition, sequence } = lane
    try {
      const encoded = encodeBatch(records, timestamp, lane.producer as ProducerIdentity, sequence, this.#settings.compression)
      batch.sentAt = sentAt
      batch.inFlight++
      return { batch, attempt: ++batch.attempts, encoded: { topic, partition, batch: encoded } }
    } catch (error) {
      this.#split(batch, new LogError('unavailable', `a record for ${topic} cannot be encoded`, { cause: error }))
      return null
    }
  }

  /** A broker recognises a batch that it has by its sequence number, so it may be sent again. */
  #unanswered(batch: PendingBatch, attempt: number, error: LogError): void {
    batch.uncertain = true
    // One of the request's batches may be the reason: next time each goes alone.
    batch.lane.slow = true
    if (attempt === batch.attempts) this.again(batch, error)
  }

  #answered(batch: PendingBatch, attempt: number, { errorCode, baseOffset }: ProduceResult, pool: ConnectionPool): void {
    const { lane } = batch
    if (batch.settled) return
    if (errorCode === 0) {
      if (performance.now() - batch.sentAt < pool.slowAfterMs) lane.slow = false
      lane.retryMs = 0
      lane.sequence = (lane.sequence + batch.records.length) % SEQUENCES
      let offset = baseOffset
      for (const { done, records } of batch.chunks) {
        done.resolve(offset)
        offset += records.length
      }
      this.#settle(batch)
      return
    }
    const error = refusal(errorCode)
    if (UNCERTAIN.has(errorCode)) batch.uncertain = true
    if (isStaleMetadata(errorCode) || REPEATABLE.has(errorCode)) {
      if (attempt === batch.attempts) this.again(batch, error)
    } else if (PRODUCER_LOST.has(errorCode) && !batch.uncertain) {
      // Certainly not appended: it may go under other numbers.
      this.#lanes.renumber(lane)
      this.again(batch, error)
    } else this.#split(batch, error)
  }

  /** Refused, perhaps because of one of its appends: each is then tried by itself. */
  #split(batch: PendingBatch, error: LogError): void {
    if (batch.chunks.length === 1) {
      this.refuse(batch, error)
      return
    }
    const { lane, chunks } = batch
    for (const chunk of chunks) chunk.alone = true
    lane.queue.unshift(...chunks)
    if (batch.uncertain) this.#lanes.renumber(lane)
    this.#settle(batch)
  }

  /**
   * A request takes long, because of one of its batches or of what is ahead of it on its connection: each batch is sent once more by
   * itself, and the first answer counts.
   */
  #overtake(batches: readonly PendingBatch[], exclusive: boolean): void {
    for (const batch of batches) {
      const { lane } = batch
      if (batch.settled || this.#lanes.closed) continue
      lane.slow = true
      const node = this.#settings.client.leader(lane)
      if (exclusive || node === null || this.#lanes.isReady(lane)) continue
      const connection = this.#lanes.pool(node).exclusive()
      if (connection === null) continue
      batch.uncertain = true
      void this.send(node, connection, [batch], true)
    }
    this.#lanes.schedule()
  }

  #settle(batch: PendingBatch): void {
    batch.settled = true
    clearTimeout(batch.timer)
    batch.lane.batch = null
    this.#lanes.settled(batch.lane)
  }
}

export function closed(): LogError {
  return new LogError('closed', 'the log is closed')
}

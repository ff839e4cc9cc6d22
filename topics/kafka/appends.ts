/**
 * Appends outside transactions. Every partition has a lane: one record batch on its way at a time, into which goes what has come
 * for the partition since the last. Batches that are ready at the same time and have the same leader share a request, but no
 * fate: each is taken, tried again or refused by itself, and one that takes long is left behind by the others.
 *
 *   add ─▶ lanes ─▶ (a turn of the loop) ─▶ a batch of each ─▶ requests, by leader and way ─▶ taken │ again │ refused
 */
import { type Append, LogError, type Position } from '../log.ts'
import { type Compression, encodeBatch, type Sender } from './batch.ts'
import type { KafkaClient } from './client.ts'
import { CODE, isMoved, isPassing, KafkaError, logError } from './errors.ts'
import { persist, sleep } from './retry.ts'
import { AGAIN, type Batch, type Lane, nextPieces, type Piece, refusal, SENDER_LOST, UNCERTAIN } from './lane.ts'
import { BATCH_BYTES, inRequests, place, RECORD_OVERHEAD_BYTES } from './outbox.ts'
import { type OutBatch, produce, type Produced } from './protocol.ts'
import { type Outgoing, type Way, Ways } from './ways.ts'

export interface AppendsSettings {
  readonly client: Pick<KafkaClient, 'prefix' | 'use' | 'knows' | 'leader' | 'refresh' | 'broker' | 'send' | 'anywhere'>
  readonly compression: Compression
  /** @throws {LogError} `no_topic` */
  partitions(topic: string): number
  /** Where a batch has not been taken by then, its appends fail, ms. */
  readonly timeout?: number
}

const TIMEOUT = 10_000
/** However late it is, a batch is tried for so long, ms. */
const LEAST = 2_000
/** The broker answers within this time, ms, whether all replicas have the batch. */
const ACKNOWLEDGED = 5_000
const SEQUENCES = 2 ** 31
const FIRST_PAUSE = 10
const LONGEST_PAUSE = 500
const CLOSE_MS = 5_000
/** Between two requests at least, ms, while there is little: what comes meanwhile goes together. The first of a while goes at once. */
const PACE_MS = 4
const LITTLE = 64 * 1024
export class Appends {
  readonly #settings: Required<AppendsSettings>
  readonly #lanes = new Map<string, Lane[]>()
  readonly #ready = new Set<Lane>()
  readonly #ways = new Map<number, Ways>()
  /** Lanes with a batch or something queued. */
  readonly #busy = new Set<Lane>()
  #sender: Sender | null = null
  #opening: Promise<Sender> | null = null
  #scheduled = false
  #dispatchedAt = Number.NEGATIVE_INFINITY
  #closed = false
  #idle: (() => void) | null = null

  constructor(settings: AppendsSettings) {
    this.#settings = { timeout: TIMEOUT, ...settings }
  }

  /** @throws {LogError} of the first of its partitions that failed, once all of them have ended; nothing is sent of what is too large */
  async add(records: readonly Append[]): Promise<Position[]> {
    if (this.#closed) throw closed()
    const placed = records.map(record => place(record, this.#settings.partitions))
    const since = performance.now()
    const open = new Map<Lane, Piece>()
    const places = records.map((record, i) => {
      const { partition, bytes } = placed[i] as (typeof placed)[number]
      const lane = this.#lane(record.topic, partition)
      let piece = open.get(lane)
      if (piece === undefined || piece.bytes + bytes + RECORD_OVERHEAD_BYTES > BATCH_BYTES) {
        const fate = piece?.fate ?? { error: null }
        piece = { records: [], bytes: 0, since, fate, alone: false, done: Promise.withResolvers<number>() }
        // Whoever appended hears of it by another of its pieces at least.
        piece.done.promise.catch(() => {})
        open.set(lane, piece)
        lane.queue.push(piece)
        if (lane.batch === null) this.#wake(lane)
      }
      piece.records.push(record)
      piece.bytes += bytes + RECORD_OVERHEAD_BYTES
      return { lane, piece, index: piece.records.length - 1 }
    })
    const pieces = [...new Set(places.map(p => p.piece))]
    const bases = new Map<Piece, number>()
    let failed: unknown = null
    for (const [i, outcome] of (await Promise.allSettled(pieces.map(p => p.done.promise))).entries()) {
      if (outcome.status === 'fulfilled') bases.set(pieces[i] as Piece, outcome.value)
      else failed ??= outcome.reason
    }
    if (failed !== null) throw failed
    return places.map(({ lane: { topic, partition }, piece, index }) => {
      return { topic, partition, offset: (bases.get(piece) as number) + index }
    })
  }

  /** What is on its way is waited for a while; all else ends with `closed`. */
  async close(): Promise<void> {
    this.#closed = true
    this.#ready.clear()
    for (const lane of [...this.#busy]) {
      for (const { done } of lane.queue.splice(0)) done.reject(closed())
      if (lane.batch === null) this.#rest(lane)
      else if (lane.batch.underWay === 0) this.#refuse(lane.batch, closed())
    }
    if (this.#busy.size > 0) {
      const idle = new Promise<void>(resolve => {
        this.#idle = resolve
      })
      const given = Promise.withResolvers<void>()
      const timer = setTimeout(given.resolve, CLOSE_MS)
      await Promise.race([idle, given.promise])
      clearTimeout(timer)
    }
    for (const { batch } of [...this.#busy]) if (batch !== null) this.#refuse(batch, closed())
  }

  #lane(topic: string, partition: number): Lane {
    let lanes = this.#lanes.get(topic)
    if (lanes === undefined) {
      lanes = []
      this.#lanes.set(topic, lanes)
    }
    const there = lanes[partition]
    if (there !== undefined) return there
    const lane: Lane = { topic, partition, queue: [], batch: null, sender: null, sequence: 0, slow: false, pause: 0 }
    lanes[partition] = lane
    return lane
  }

  #wake(lane: Lane): void {
    if (this.#closed) return
    this.#busy.add(lane)
    this.#ready.add(lane)
    this.#schedule()
  }

  /** Once for all that becomes ready in this turn of the loop, or shortly after the last. */
  #schedule(): void {
    if (this.#scheduled || this.#ready.size === 0) return
    this.#scheduled = true
    const dispatch = () => {
      this.#scheduled = false
      this.#dispatchedAt = performance.now()
      this.#dispatch()
    }
    const early = this.#dispatchedAt + PACE_MS - performance.now()
    if (early > 0 && this.#isLittle()) setTimeout(dispatch, early)
    else setImmediate(dispatch)
  }

  #isLittle(): boolean {
    let bytes = 0
    for (const { queue } of this.#ready) {
      for (const piece of queue) {
        bytes += piece.bytes
        if (bytes >= LITTLE) return false
      }
    }
    return true
  }

  #dispatch(): void {
    const { client } = this.#settings
    const byNode = Map.groupBy(this.#ready, lane => client.leader(lane))
    for (const [node, lanes] of byNode) {
      if (node === null) for (const lane of lanes) void this.#find(lane)
      else {
        const known = lanes.filter(lane => this.#numbered(lane))
        if (known.length > 0) this.#dispatchTo(node, known)
      }
    }
  }

  #waysTo(node: number): Ways {
    const there = this.#ways.get(node)
    if (there !== undefined) return there
    const ways = new Ways()
    this.#ways.set(node, ways)
    return ways
  }

  #dispatchTo(node: number, lanes: readonly Lane[]): void {
    const ways = this.#waysTo(node)
    const together: Lane[] = []
    for (const lane of lanes) {
      if (!lane.slow) together.push(lane)
      else {
        const way = ways.alone()
        const batch = way === null ? null : this.#start(lane)
        if (way !== null && batch !== null) void this.#send(node, ways, way, [batch], true)
      }
    }
    if (together.length === 0) return
    const way = ways.shared(performance.now())
    if (way === null) {
      // Whatever is answered first, or takes too long, looks again.
      if (!ways.waited) {
        ways.waited = true
        setTimeout(() => {
          ways.waited = false
          this.#schedule()
        }, ways.patience)
      }
      return
    }
    const batches = together.map(lane => this.#start(lane)).filter(batch => batch !== null)
    void this.#sendAll(node, ways, way, batches)
  }

  async #sendAll(node: number, ways: Ways, way: Way, batches: readonly Batch[]): Promise<void> {
    for (const [i, some] of inRequests(batches, batch => batch.bytes).entries()) {
      // The broker appends one request while the next is encoded.
      if (i > 0) await new Promise(setImmediate)
      void this.#send(node, ways, way, some, false)
    }
  }

  /** The batch of a lane that can be sent now: the one that was not taken yet, or what has come since. */
  #start(lane: Lane): Batch | null {
    this.#ready.delete(lane)
    return lane.batch ?? this.#gather(lane)
  }

  #gather(lane: Lane): Batch | null {
    const pieces = nextPieces(lane.queue)
    const [oldest] = pieces
    if (oldest === undefined) {
      this.#rest(lane)
      return null
    }
    const left = Math.max(LEAST, oldest.since + this.#settings.timeout - performance.now())
    const batch: Batch = {
      lane,
      pieces,
      records: pieces.length === 1 ? oldest.records : pieces.flatMap(p => p.records),
      bytes: pieces.reduce((sum, p) => sum + p.bytes, 0),
      timestamp: Date.now(),
      timer: setTimeout(() => this.#expire(batch), left),
      attempts: 0,
      underWay: 0,
      sentAt: 0,
      uncertain: false,
      cause: null,
      settled: false,
    }
    lane.batch = batch
    return batch
  }

  /** It has a sender; otherwise it waits for one. */
  #numbered(lane: Lane): boolean {
    if (lane.sender !== null) return true
    if (this.#sender === null) {
      void this.#identify(lane)
      return false
    }
    lane.sender = this.#sender
    lane.sequence = 0
    return true
  }

  async #identify(lane: Lane): Promise<void> {
    const batch = this.#start(lane)
    if (batch === null) return
    this.#opening ??= this.#open().finally(() => {
      this.#opening = null
    })
    try {
      await this.#opening
      if (!batch.settled) this.#wake(lane)
    } catch (error) {
      this.#again(batch, logError(error))
    }
  }

  async #open(): Promise<Sender> {
    const { client } = this.#settings
    const init = { transactionalId: null, transactionTimeout: 60_000 }
    const { producerId, producerEpoch } = await persist(5_000, isPassing, () =>
      client.anywhere(broker => broker.initProducerId(init)),
    )
    this.#sender = { producerId: BigInt(producerId), producerEpoch, transactional: false }
    return this.#sender
  }

  /** The numbers of this lane are not known any more: what comes later goes under another sender's. Other lanes keep theirs. */
  #renumber(lane: Lane): void {
    if (this.#sender === lane.sender) this.#sender = null
    lane.sender = null
  }

  /** Its leader, which is not known. */
  async #find(lane: Lane): Promise<void> {
    const { client } = this.#settings
    const batch = this.#start(lane)
    if (batch === null) return
    if (client.knows(lane.topic)) {
      this.#again(batch, new KafkaError(CODE.LEADER_NOT_AVAILABLE))
      return
    }
    try {
      await client.use([lane.topic])
      if (batch.settled) return
      if (client.leader(lane) === null) this.#again(batch, new KafkaError(CODE.LEADER_NOT_AVAILABLE))
      else this.#wake(lane)
    } catch (error) {
      this.#again(batch, logError(error))
    }
  }

  /** One request, and what becomes of each of its batches. */
  async #send(node: number, ways: Ways, way: Way, batches: readonly Batch[], apart: boolean): Promise<void> {
    const { client, compression } = this.#settings
    const outgoing: Outgoing = { since: performance.now(), apart }
    way.outgoing.add(outgoing)
    const attempts: { batch: Batch; attempt: number; encoded: OutBatch }[] = []
    for (const batch of batches) {
      const { lane, records, timestamp } = batch
      const { topic, partition, sequence } = lane
      try {
        const encoded = encodeBatch(records, timestamp, lane.sender as Sender, sequence, compression)
        batch.sentAt = outgoing.since
        batch.underWay++
        attempts.push({ batch, attempt: ++batch.attempts, encoded: { topic, partition, batch: encoded } })
      } catch (error) {
        this.#split(batch, new LogError('unavailable', `a record for ${topic} cannot be encoded`, { cause: error }))
      }
    }
    const timer = setTimeout(
      () =>
        this.#overtake(
          attempts.map(a => a.batch),
          apart,
        ),
      ways.late,
    )
    try {
      if (attempts.length === 0) return
      const broker = await client.broker(node, way.number)
      const produced = await client.send(
        broker,
        produce(
          client.prefix,
          null,
          attempts.map(a => a.encoded),
          ACKNOWLEDGED,
        ),
      )
      if (!apart) ways.took(performance.now() - outgoing.since)
      for (const { batch, attempt } of attempts) {
        const { topic, partition } = batch.lane
        const answer = produced.find(p => p.partition === partition && p.topic === topic)
        if (answer !== undefined) this.#answered(batch, attempt, answer, ways)
        else this.#unanswered(batch, attempt, new LogError('unavailable', `${topic}/${partition} was not answered for`))
      }
    } catch (error) {
      for (const { batch, attempt } of attempts) this.#unanswered(batch, attempt, logError(error))
    } finally {
      for (const { batch } of attempts) batch.underWay--
      clearTimeout(timer)
      way.outgoing.delete(outgoing)
      this.#schedule()
    }
  }

  /** The broker knows a batch that it has by its number, so that it may be sent again. */
  #unanswered(batch: Batch, attempt: number, error: LogError): void {
    batch.uncertain = true
    // It may be for the sake of one of the request's batches: next time each goes alone.
    batch.lane.slow = true
    if (attempt === batch.attempts) this.#again(batch, error)
  }

  #answered(batch: Batch, attempt: number, { errorCode, baseOffset }: Produced, ways: Ways): void {
    const { lane } = batch
    if (batch.settled) return
    if (errorCode === 0) {
      if (performance.now() - batch.sentAt < ways.late) lane.slow = false
      lane.pause = 0
      lane.sequence = (lane.sequence + batch.records.length) % SEQUENCES
      let offset = baseOffset
      for (const { done, records } of batch.pieces) {
        done.resolve(offset)
        offset += records.length
      }
      this.#settle(batch)
      return
    }
    const error = refusal(errorCode)
    if (UNCERTAIN.has(errorCode)) batch.uncertain = true
    if (isMoved(errorCode) || AGAIN.has(errorCode)) {
      if (attempt === batch.attempts) this.#again(batch, error)
    } else if (SENDER_LOST.has(errorCode) && !batch.uncertain) {
      // Surely not appended: it may go under other numbers.
      this.#renumber(lane)
      this.#again(batch, error)
    } else this.#split(batch, error)
  }

  /** It was refused, which may be the fault of one of its appends: each is tried by itself then. */
  #split(batch: Batch, error: LogError): void {
    if (batch.pieces.length === 1) {
      this.#refuse(batch, error)
      return
    }
    const { lane, pieces } = batch
    for (const piece of pieces) piece.alone = true
    lane.queue.unshift(...pieces)
    if (batch.uncertain) this.#renumber(lane)
    this.#settle(batch)
  }

  /** Once more, after a pause and a look at who leads the partition. */
  #again(batch: Batch, cause: LogError): void {
    if (batch.settled) return
    batch.cause = cause
    const worthIt = isPassing(cause) || (cause instanceof KafkaError && isMoved(cause.kafka))
    if (this.#closed || !worthIt) {
      this.#refuse(batch, this.#closed ? closed() : cause)
      return
    }
    const { lane } = batch
    lane.pause = Math.min(LONGEST_PAUSE, Math.max(FIRST_PAUSE, lane.pause * 2))
    void Promise.all([sleep(lane.pause), this.#settings.client.refresh().catch(() => {})]).then(() => {
      if (!batch.settled) this.#wake(lane)
    })
  }

  /**
   * A request takes long, be it for one of its batches or for what is before it on its way: each goes once more by itself, and
   * whichever is answered first counts.
   */
  #overtake(batches: readonly Batch[], apart: boolean): void {
    for (const batch of batches) {
      const { lane } = batch
      if (batch.settled || this.#closed) continue
      lane.slow = true
      const node = this.#settings.client.leader(lane)
      if (apart || node === null || this.#ready.has(lane)) continue
      const ways = this.#waysTo(node)
      const way = ways.alone()
      if (way === null) continue
      batch.uncertain = true
      void this.#send(node, ways, way, [batch], true)
    }
    this.#schedule()
  }

  #expire(batch: Batch): void {
    const { topic, partition } = batch.lane
    batch.lane.slow = true
    batch.uncertain ||= batch.attempts > 0
    const why = batch.cause === null ? 'the broker has not answered' : batch.cause.message
    this.#refuse(
      batch,
      new LogError('unavailable', `nothing could be appended to ${topic}/${partition}: ${why}`, { cause: batch.cause }),
    )
  }

  #refuse(batch: Batch, error: LogError): void {
    if (batch.settled) return
    if (batch.uncertain) this.#renumber(batch.lane)
    for (const { done, fate } of batch.pieces) {
      fate.error = error
      done.reject(error)
    }
    this.#settle(batch)
  }

  #settle(batch: Batch): void {
    const { lane } = batch
    batch.settled = true
    clearTimeout(batch.timer)
    lane.batch = null
    this.#ready.delete(lane)
    if (lane.queue.length > 0 && !this.#closed) this.#wake(lane)
    else this.#rest(lane)
  }

  #rest(lane: Lane): void {
    this.#busy.delete(lane)
    if (this.#busy.size === 0) this.#idle?.()
  }
}

function closed(): LogError {
  return new LogError('closed', 'the log is closed')
}

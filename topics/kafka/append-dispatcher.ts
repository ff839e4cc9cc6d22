/** Decides which lanes send now, in which requests and over which connections. */
import { AppendRequests, type AppendsSettings, closed, type LaneScheduler } from './append-requests.ts'
import { type Connection, ConnectionPool } from './connections.ts'
import { ErrorCode, KafkaError, toLogError } from './errors.ts'
import { IdempotentProducer } from './idempotent-producer.ts'
import { type Lane, nextChunks, type PendingBatch } from './lane.ts'
import { inRequests } from './outbox.ts'

/** A batch is tried for at least this long, however late it is. */
const MIN_TRY_MS = 2_000
const CLOSE_MS = 5_000
/** Least time between two requests while there is little to send, so that more goes together. The first after a pause goes at once. */
const PACE_MS = 4
const SMALL_BYTES = 64 * 1024

export class AppendDispatcher implements LaneScheduler {
  readonly #settings: Required<AppendsSettings>
  readonly #requests: AppendRequests
  readonly #producer: IdempotentProducer
  readonly #pools = new Map<number, ConnectionPool>()
  /** Lanes that can send. */
  readonly #ready = new Set<Lane>()
  /** Lanes with a batch or something queued. */
  readonly #busy = new Set<Lane>()
  #scheduled = false
  #dispatchedAt = Number.NEGATIVE_INFINITY
  #closed = false
  /** Called once no lane is busy. */
  #idle: (() => void) | null = null

  constructor(settings: Required<AppendsSettings>) {
    this.#settings = settings
    this.#producer = new IdempotentProducer(settings.client)
    this.#requests = new AppendRequests(settings, this)
  }

  get closed(): boolean {
    return this.#closed
  }

  wake(lane: Lane): void {
    if (this.#closed) return
    this.#busy.add(lane)
    this.#ready.add(lane)
    this.schedule()
  }

  isReady(lane: Lane): boolean {
    return this.#ready.has(lane)
  }

  settled(lane: Lane): void {
    this.#ready.delete(lane)
    if (lane.queue.length > 0 && !this.#closed) this.wake(lane)
    else this.#rest(lane)
  }

  pool(node: number): ConnectionPool {
    const existing = this.#pools.get(node)
    if (existing !== undefined) return existing
    const pool = new ConnectionPool()
    this.#pools.set(node, pool)
    return pool
  }

  renumber(lane: Lane): void {
    this.#producer.drop(lane.producer)
    lane.producer = null
  }

  /** One dispatch for all lanes that become ready in this turn of the event loop, or shortly after the last. */
  schedule(): void {
    if (this.#scheduled || this.#ready.size === 0) return
    this.#scheduled = true
    const dispatch = () => {
      this.#scheduled = false
      this.#dispatchedAt = performance.now()
      this.#dispatch()
    }
    const early = this.#dispatchedAt + PACE_MS - performance.now()
    if (early > 0 && this.#hasLittle()) setTimeout(dispatch, early)
    else setImmediate(dispatch)
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#ready.clear()
    for (const lane of [...this.#busy]) {
      for (const { done } of lane.queue.splice(0)) done.reject(closed())
      if (lane.batch === null) this.#rest(lane)
      else if (lane.batch.inFlight === 0) this.#requests.refuse(lane.batch, closed())
    }
    if (this.#busy.size > 0) {
      const over = Promise.withResolvers<void>()
      this.#idle = over.resolve
      const timer = setTimeout(over.resolve, CLOSE_MS)
      await over.promise
      clearTimeout(timer)
    }
    for (const { batch } of [...this.#busy]) if (batch !== null) this.#requests.refuse(batch, closed())
  }

  #hasLittle(): boolean {
    let bytes = 0
    for (const { queue } of this.#ready) {
      for (const chunk of queue) {
        bytes += chunk.bytes
        if (bytes >= SMALL_BYTES) return false
      }
    }
    return true
  }

  #dispatch(): void {
    const { client } = this.#settings
    for (const [node, lanes] of Map.groupBy(this.#ready, lane => client.leader(lane))) {
      if (node === null) for (const lane of lanes) void this.#findLeader(lane)
      else {
        const identified = lanes.filter(lane => this.#hasProducer(lane))
        if (identified.length > 0) this.#dispatchTo(node, identified)
      }
    }
  }

  #dispatchTo(node: number, lanes: readonly Lane[]): void {
    const pool = this.pool(node)
    const together: Lane[] = []
    for (const lane of lanes) {
      if (!lane.slow) together.push(lane)
      else {
        const connection = pool.exclusive()
        const batch = connection === null ? null : this.#start(lane)
        if (connection !== null && batch !== null) void this.#requests.send(node, connection, [batch], true)
      }
    }
    if (together.length === 0) return
    const connection = pool.shared(performance.now())
    if (connection === null) {
      // The next answer looks again, and this timer does when none comes.
      if (!pool.recheckScheduled) {
        pool.recheckScheduled = true
        setTimeout(() => {
          pool.recheckScheduled = false
          this.schedule()
        }, pool.stuckAfterMs)
      }
      return
    }
    const batches = together.map(lane => this.#start(lane)).filter(batch => batch !== null)
    void this.#sendAll(node, connection, batches)
  }

  async #sendAll(node: number, connection: Connection, batches: readonly PendingBatch[]): Promise<void> {
    for (const [i, some] of inRequests(batches, batch => batch.bytes).entries()) {
      // The broker appends one request while the next is encoded.
      if (i > 0) await new Promise(setImmediate)
      void this.#requests.send(node, connection, some, false)
    }
  }

  /** The batch of a lane that can be sent now: the one that was not taken yet, or a new one of what is queued. */
  #start(lane: Lane): PendingBatch | null {
    this.#ready.delete(lane)
    return lane.batch ?? this.#gather(lane)
  }

  #gather(lane: Lane): PendingBatch | null {
    const chunks = nextChunks(lane.queue)
    const [oldest] = chunks
    if (oldest === undefined) {
      this.#rest(lane)
      return null
    }
    const left = Math.max(MIN_TRY_MS, oldest.since + this.#settings.timeout - performance.now())
    const batch: PendingBatch = {
      lane,
      chunks,
      records: chunks.length === 1 ? oldest.records : chunks.flatMap(c => c.records),
      bytes: chunks.reduce((sum, c) => sum + c.bytes, 0),
      timestamp: Date.now(),
      timer: setTimeout(() => this.#requests.expire(batch), left),
      attempts: 0,
      inFlight: 0,
      sentAt: 0,
      uncertain: false,
      cause: null,
      settled: false,
    }
    lane.batch = batch
    return batch
  }

  /** Otherwise it waits until there is one. */
  #hasProducer(lane: Lane): boolean {
    if (lane.producer !== null) return true
    const { identity } = this.#producer
    if (identity === null) {
      void this.#identify(lane)
      return false
    }
    lane.producer = identity
    lane.sequence = 0
    return true
  }

  async #identify(lane: Lane): Promise<void> {
    const batch = this.#start(lane)
    if (batch === null) return
    try {
      await this.#producer.open()
      if (!batch.settled) this.wake(lane)
    } catch (error) {
      this.#requests.again(batch, toLogError(error))
    }
  }

  async #findLeader(lane: Lane): Promise<void> {
    const { client } = this.#settings
    const batch = this.#start(lane)
    if (batch === null) return
    if (client.hasMetadata(lane.topic)) {
      this.#requests.again(batch, new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE))
      return
    }
    try {
      await client.track([lane.topic])
      if (batch.settled) return
      if (client.leader(lane) === null) this.#requests.again(batch, new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE))
      else this.wake(lane)
    } catch (error) {
      this.#requests.again(batch, toLogError(error))
    }
  }

  #rest(lane: Lane): void {
    this.#busy.delete(lane)
    if (this.#busy.size === 0) this.#idle?.()
  }
}

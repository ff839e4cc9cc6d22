/**
 * Fetches partitions ahead of their readers, into bounded queues. All readers of a process share it: what a fetch brings goes to every
 * reader of the partition that has got as far.
 *
 *   add ─▶ cursor ─▶ fetch … fetch ─▶ queue ─▶ take ─▶ (room again) fetch …
 *                     └─ fails: reported once the queue is empty, and tried again after a pause of its own
 *
 * A long poll goes to each broker, over every partition that has room, at the offset of the reader that is furthest. A partition that is
 * added, or has room again, does not wait for its end: the other long poll asks for that as well, and takes its place.
 */
import type { LogError } from '../log.ts'
import type { KafkaClient } from './client.ts'
import type { Cursor } from './cursor.ts'
import { ErrorCode, isRetriable, KafkaError, toLogError } from './errors.ts'
import {
  type BrokerConnections,
  chooseRequest,
  connectionsTo,
  type FetchConnection,
  NOTHING,
  PROBE_CONNECTION,
  SHORT_POLL_MS,
  someUnrequested,
} from './fetch-connections.ts'
import { FetchDelivery } from './fetch-delivery.ts'
import { fetch } from './protocol.ts'
import { sleep } from './retry.ts'
import { sessionless } from './session.ts'
import { Subscription, type SubscriptionSettings } from './subscription.ts'

export interface FetcherSettings {
  readonly client: Pick<
    KafkaClient,
    'prefix' | 'closed' | 'track' | 'hasMetadata' | 'topicError' | 'leader' | 'refresh' | 'broker' | 'send' | 'offsets'
  >
  /** How long a long poll waits in the broker for records, ms. */
  readonly wait?: number
  /** Least time between two fetches on a connection while they bring little, ms: each costs the broker a look at every partition. */
  readonly pace?: number
  /** Bytes of a partition per fetch. */
  readonly partitionBytes?: number
  /** Bytes per fetch. */
  readonly maxBytes?: number
  /** A leader that moves, or a broker that restarts, is back soon: errors are not reported before they have lasted this long, ms. */
  readonly quiet?: number
  /** A replica that has just become the leader learns within this time how far its records are committed, ms. */
  readonly catchUp?: number
}

const SMALL_BYTES = 64 * 1024

export class Fetcher {
  readonly #settings: Required<FetcherSettings>
  readonly #subscriptions = new Set<Subscription>()
  /** By node. */
  readonly #connections = new Map<number, BrokerConnections>()
  readonly #delivery: FetchDelivery
  #requests = 0
  #closed = false
  #scheduled = false
  #alarm: { at: number; timer: NodeJS.Timeout } | null = null

  constructor(settings: FetcherSettings) {
    this.#settings = {
      wait: 500,
      pace: 6,
      partitionBytes: 4 * 1024 * 1024,
      maxBytes: 10 * 1024 * 1024,
      quiet: 3_000,
      catchUp: 4_000,
      ...settings,
    }
    this.#delivery = new FetchDelivery({
      ...this.#settings,
      subscriptions: this.#subscriptions,
      onChange: () => this.wake(),
    })
  }

  subscribe(settings: SubscriptionSettings): Subscription {
    const subscription = new Subscription(
      settings,
      () => this.wake(),
      closed => this.#subscriptions.delete(closed),
    )
    this.#subscriptions.add(subscription)
    return subscription
  }

  close(): void {
    this.#closed = true
    this.#delivery.close()
    for (const subscription of this.#subscriptions) subscription.close()
    clearTimeout(this.#alarm?.timer)
  }

  /** Looks for partitions that can be fetched and are not being fetched. */
  wake(): void {
    if (this.#closed || this.#scheduled) return
    this.#scheduled = true
    // Once for all cursors that are added in a row.
    queueMicrotask(() => {
      this.#scheduled = false
      if (!this.#closed) this.#start()
    })
  }

  #start(): void {
    const { client } = this.#settings
    const now = performance.now()
    for (const [node, cursors] of Map.groupBy(this.#fetchable(now), cursor => client.leader(cursor))) {
      if (node === null) {
        void this.#findLeaders(cursors)
        continue
      }
      const connections = this.#connectionsTo(node)
      const { longPolls, shortPoll } = connections
      if (longPolls.some(longPoll => longPoll.pacing)) continue
      const free = longPolls.find(longPoll => !longPoll.busy)
      if (free !== undefined && someUnrequested(connections, cursors)) void this.#pump(node, free, cursors)
      if (!shortPoll.busy && someUnrequested(connections, cursors)) void this.#pump(node, shortPoll, cursors)
    }
    this.#setAlarm(now)
  }

  #connectionsTo(node: number): BrokerConnections {
    const existing = this.#connections.get(node)
    if (existing !== undefined) return existing
    const connections = connectionsTo(this.#settings.wait)
    this.#connections.set(node, connections)
    return connections
  }

  #fetchable(now: number): Cursor[] {
    return [...this.#subscriptions].flatMap(subscription => subscription.fetchable(now))
  }

  #fetchableFrom(node: number): Cursor[] {
    return this.#fetchable(performance.now()).filter(cursor => this.#settings.client.leader(cursor) === node)
  }

  /**
   * Looks again once the first of the paused cursors may be tried.
   * @param now when it was last seen which cursors can be fetched: one whose pause has ended since then is not forgotten
   */
  #setAlarm(now: number): void {
    let at = Number.POSITIVE_INFINITY
    for (const subscription of this.#subscriptions) {
      for (const { pausedUntil } of subscription.cursors()) if (pausedUntil > now) at = Math.min(at, pausedUntil)
    }
    if (this.#closed || at === Number.POSITIVE_INFINITY || (this.#alarm !== null && this.#alarm.at <= at)) return
    clearTimeout(this.#alarm?.timer)
    const ring = () => {
      this.#alarm = null
      this.wake()
    }
    this.#alarm = { at, timer: setTimeout(ring, at - now + 1) }
  }

  /** Finds out who leads these partitions now. */
  async #findLeaders(cursors: readonly Cursor[]): Promise<void> {
    const { client } = this.#settings
    for (const cursor of cursors) cursor.onHold = true
    let unreachable: LogError | null = null
    try {
      const topics = [...new Set(cursors.map(c => c.topic))]
      if (topics.every(topic => client.hasMetadata(topic))) await client.refresh()
      else {
        // An error of one of the topics does not concern the others.
        const ofTopic = (error: unknown) => !isRetriable(toLogError(error)) || error instanceof KafkaError
        await client.track(topics).catch(error => (ofTopic(error) ? null : Promise.reject(error)))
      }
    } catch (error) {
      unreachable = toLogError(error)
    }
    for (const cursor of cursors) {
      cursor.onHold = false
      if (client.leader(cursor) !== null) continue
      const error = unreachable ?? client.topicError(cursor.topic) ?? new KafkaError(ErrorCode.LEADER_NOT_AVAILABLE)
      this.#delivery.fail(cursor, error)
    }
    this.wake()
  }

  /** Fetches over one connection until nothing is left for it. */
  async #pump(node: number, connection: FetchConnection, fetchable: readonly Cursor[]): Promise<void> {
    const { pace } = this.#settings
    const connections = this.#connectionsTo(node)
    const { longPolls, shortPoll } = connections
    let cursors = fetchable
    let began = 0
    connection.busy = true
    while (!this.#closed) {
      for (const cursor of cursors) if (cursor.suspect && !cursor.onHold) void this.#probe(node, cursor)
      connection.requested = chooseRequest(connections, connection, cursors, () => ++this.#requests)
      if (connection.requested.size === 0) break
      // Readers that are behind, or what only another connection can take now.
      if (someUnrequested(connections, cursors)) this.wake()
      began = performance.now()
      const bytes = await this.#fetch(node, connection)
      connection.requested = NOTHING
      const early = began + pace - performance.now()
      if (early > 0 && bytes !== null && bytes < SMALL_BYTES) {
        connection.pacing = true
        await sleep(early)
        connection.pacing = false
      }
      // A long poll takes over what it can.
      if (connection === shortPoll && longPolls.some(longPoll => !longPoll.busy)) break
      cursors = this.#fetchableFrom(node)
    }
    connection.busy = false
    if (began > 0) this.wake()
  }

  /** Fetches a partition by itself that may be the reason why a fetch got no answer: the others go on meanwhile. */
  async #probe(node: number, cursor: Cursor): Promise<void> {
    cursor.onHold = true
    const { topic, partition, key, next: offset } = cursor
    const requested = new Map([[key, { topic, partition, offset, cursors: [cursor] }]])
    await this.#fetch(node, { number: PROBE_CONNECTION, session: null, waitMs: 0, requested })
    cursor.onHold = false
    this.wake()
  }

  /** One request. The bytes that it brought; null when there was no answer. */
  async #fetch(
    node: number,
    connection: Pick<FetchConnection, 'number' | 'session' | 'waitMs' | 'requested'>,
  ): Promise<number | null> {
    const { client, partitionBytes, maxBytes } = this.#settings
    const { number, session, requested } = connection
    // A reader that has just begun wants to know whether there is anything at all.
    const begins = requested.values().some(({ cursors }) => cursors.some(cursor => !cursor.answered))
    const waitMs = begins ? Math.min(SHORT_POLL_MS, connection.waitMs) : connection.waitMs
    let shared = false
    try {
      const broker = await client.broker(node, number)
      shared = requested.size > 1
      const request = session?.next(requested) ?? sessionless(requested)
      const response = await client.send(broker, fetch(client.prefix, request, waitMs, partitionBytes, maxBytes))
      if (session?.answered(response) === false) return 0
      this.#delivery.deliver(response.partitions, requested)
      return response.partitions.reduce((sum, { bytes }) => sum + bytes, 0)
    } catch (error) {
      session?.reset()
      if (this.#closed || client.closed) return null
      const failed = toLogError(error)
      for (const { cursors } of requested.values()) {
        for (const cursor of cursors) {
          cursor.suspect ||= shared
          this.#delivery.fail(cursor, failed)
        }
      }
      await client.refresh().catch(() => {})
      return null
    }
  }
}

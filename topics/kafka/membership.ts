/**
 * Membership in a consumer group, and its transactions: what a worker calls. The group's protocol is in `group-session.ts`, fetching in
 * `fetcher.ts`; both go on while the worker is busy.
 */
import {
  type Assignment,
  type JoinOptions,
  LogError,
  type Membership,
  partitionKey,
  type Polled,
  type Position,
  type TopicPartition,
  type Transaction,
} from '../log.ts'
import { TransactionSequence } from '../transaction.ts'
import { Waiter } from '../wait.ts'
import type { Compression } from './batch.ts'
import { KafkaClient } from './client.ts'
import type { KafkaSettings } from './settings.ts'
import { ErrorCode, throwIfError, isRetriable, KafkaError } from './errors.ts'
import { retry } from './retry.ts'
import type { Cursor, TakenRange } from './cursor.ts'
import type { Fetcher } from './fetcher.ts'
import { GroupSession } from './group-session.ts'
import { MemberFile } from './member-file.ts'
import { Outbox } from './outbox.ts'
import { Producer } from './producer.ts'
import { offsetFetch } from './protocol.ts'
import type { Subscription } from './subscription.ts'
import type { TransactionVersion } from './transaction-protocol.ts'

export interface MembershipSettings {
  readonly kafka: KafkaSettings
  /** Shared by everything in the process that reads. */
  readonly fetcher: Fetcher
  readonly join: JoinOptions
  /** Where the member id is kept over restarts of this instance; null: nowhere. */
  readonly memberFile: string | null
  /** Partitions by topic. */
  readonly topics: ReadonlyMap<string, number>
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly transactionTimeout: number
  /** The group is left when the worker has not polled for this long, ms. */
  readonly pollTimeout: number
  readonly compression: Compression
  /** Null: that of the cluster. */
  readonly transactionVersion: TransactionVersion | null
  /** Number of partitions of any topic of the log. @throws {LogError} `no_topic` */
  partitions(topic: string): number
  readonly onError: (what: string, error: unknown) => void
  /** It has left, or was closed. */
  readonly onLeft: () => void
}

/** Most that one poll returns, so that it stays short. */
const POLL_BYTES = 8 * 1024 * 1024
/** What may be queued for all its partitions, so that the records of the next transaction are ready once the last has been sent. */
const QUEUE_BYTES = 24 * 1024 * 1024
const FENCE_MS = 60_000
const JOIN_MS = 30_000
/** A poll that waits for longer reports in this interval that the worker is alive. */
const MAX_WAIT_MS = 5_000

export class KafkaMembership implements Membership {
  readonly exclusive = false
  readonly #settings: MembershipSettings
  readonly #client: KafkaClient
  readonly #feed: Subscription
  readonly #memberFile: MemberFile
  readonly #session: GroupSession
  /** Its id on the cluster. */
  readonly #group: string
  readonly #transactions = new TransactionSequence()
  readonly #news = new Waiter()
  #producer: Producer | null = null
  /** Resolved once the records of the open transaction are on their way. */
  #sending: Promise<void> = Promise.resolve()
  #woken = false
  #polling = false
  #left = false
  #closed = false

  private constructor(settings: MembershipSettings) {
    this.#settings = settings
    this.#client = new KafkaClient(settings.kafka)
    this.#group = this.#client.prefix + settings.join.group
    this.#memberFile = new MemberFile(settings.memberFile)
    const onNews = () => this.#news.wake()
    this.#feed = settings.fetcher.subscribe({ below: 'gap', beyond: 'gap', bytes: QUEUE_BYTES, onNews })
    this.#session = new GroupSession({
      ...settings,
      client: this.#client,
      groupId: this.#group,
      memberFile: this.#memberFile,
      onRevoked: () => this.#feed.clear(),
    })
  }

  /** @throws {LogError} `locked` while another process of this instance holds the member file */
  static async join(settings: MembershipSettings): Promise<KafkaMembership> {
    const membership = new KafkaMembership(settings)
    try {
      membership.#memberFile.hold()
      await retry(JOIN_MS, isRetriable, () => membership.#client.track([...settings.topics.keys()]))
      await membership.#session.start()
    } catch (error) {
      membership.#memberFile.release()
      membership.#feed.close()
      await membership.#client.close()
      throw error
    }
    return membership
  }

  async fence(): Promise<void> {
    this.#check()
    const { join, transactionTimeout, compression, transactionVersion: version } = this.#settings
    this.#producer = null
    const transactionalId = `${this.#group}.${join.instance}`
    const settings = { client: this.#client, transactionalId, transactionTimeout, compression, version }
    this.#producer = await Producer.open(settings, FENCE_MS)
  }

  async committed(partitions: readonly TopicPartition[]): Promise<Position[]> {
    this.#check()
    if (partitions.length === 0) return []
    const { prefix } = this.#client
    return this.#client.withCoordinator('group', this.#group, FENCE_MS, broker =>
      // A transaction that holds an offset ends at its timeout at the latest.
      retry(
        FENCE_MS,
        isUnstable,
        async () => {
          this.#check()
          const { errorCode, offsets } = await this.#client.send(broker, offsetFetch(prefix, this.#group, partitions, true))
          throwIfError(errorCode)
          for (const { errorCode } of offsets) throwIfError(errorCode)
          return offsets.filter(({ offset }) => offset >= 0).map(({ topic, partition, offset }) => ({ topic, partition, offset }))
        },
        2,
      ),
    )
  }

  start(position: Position): void {
    this.#check()
    const key = partitionKey(position)
    if (!this.#session.assignment?.partitions.some(p => partitionKey(p) === key)) {
      throw new Error(`${key} is not assigned to ${this.#session.member}`)
    }
    this.#feed.add(position)
  }

  stop(partition: TopicPartition): void {
    this.#feed.remove(partition)
  }

  async poll({ max, wait }: { max: number; wait: number }): Promise<Polled[]> {
    this.#check()
    if (this.#polling) throw new Error(`group "${this.#settings.join.group}": another poll is in progress`)
    this.#polling = true
    this.#session.polled()
    try {
      const deadline = performance.now() + wait
      // The worker handles the next records while the broker appends the last ones, but not before these are sent.
      await this.#sending
      for (;;) {
        if (this.#closed) throw closed()
        const polled = this.#left ? [] : this.#take(max)
        const remaining = deadline - performance.now()
        if (polled.length > 0 || this.#woken || this.#left || remaining <= 0) {
          this.#woken = false
          if (!this.#left) this.#takeEmpty(polled)
          return polled
        }
        await this.#news.wait(Math.min(remaining, MAX_WAIT_MS))
        this.#session.polled()
      }
    } finally {
      this.#polling = false
    }
  }

  wake(): void {
    this.#woken = true
    this.#news.wake()
  }

  begin(assignment: Assignment): Transaction {
    this.#check()
    const outbox = new Outbox(topic => this.#settings.partitions(topic))
    return this.#transactions.begin(assignment, {
      append: record => {
        outbox.add(record)
      },
      commit: async offsets => {
        this.#check()
        if (this.#producer === null || this.#producer.broken) {
          throw new LogError(
            'unavailable',
            'the last transaction failed, and no new producer has been opened since: call fence first',
          )
        }
        const sent = Promise.withResolvers<void>()
        this.#sending = sent.promise
        return this.#producer.commit(outbox, offsets, { ...assignment, group: this.#group }, sent.resolve)
      },
    })
  }

  lease(): number {
    return this.#session.lease
  }

  async leave(): Promise<void> {
    if (this.#left) return
    this.#left = true
    this.#feed.close()
    this.#news.wake()
    await this.#session.leave()
    await this.#client.close()
    this.#memberFile.release()
    this.#settings.onLeft()
  }

  /** The log is being closed: whatever is in progress ends with `closed`. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    await this.#session.close()
    this.#feed.close()
    this.#news.wake()
    await this.#client.close()
    await this.#session.ended()
    this.#memberFile.release()
  }

  #check(): void {
    if (this.#closed) throw closed()
    if (this.#left) throw new LogError('fenced', `${this.#session.member} has left group "${this.#settings.join.group}"`)
  }

  /** Records of partitions that have some, and the errors of those that have none left. */
  #take(max: number): Polled[] {
    const cursors = [...this.#feed.cursors()]
    const polled: Polled[] = []
    const ready = cursors.filter(cursor => cursor.count > 0)
    let records = 0
    let bytes = POLL_BYTES
    for (const [i, cursor] of ready.entries()) {
      const among = ready.length - i
      const share = Math.ceil((max - records) / among)
      if (share <= 0) break
      const taken = cursor.take(share, Math.ceil(bytes / among))
      // The next batch is damaged.
      if (taken.from === taken.next) continue
      records += taken.records.length
      bytes -= taken.bytes
      polled.push(rangeOf(cursor, taken))
      this.#feed.rotate(cursor)
    }
    const served = new Set(polled.map(partitionKey))
    for (const cursor of cursors) {
      const error = served.has(cursor.key) ? null : cursor.takeError()
      if (error === null) continue
      const { topic, partition, head } = cursor
      polled.push({ topic, partition, from: head, next: head, records: [], error })
    }
    if (ready.length > 0) this.#feed.wake()
    return polled
  }

  /** Ranges without records (markers, aborted records) are added to others: they do not wake the worker. */
  #takeEmpty(polled: Polled[]): void {
    const served = new Set(polled.map(partitionKey))
    for (const cursor of this.#feed.cursors()) {
      if (cursor.empty || cursor.count > 0 || served.has(cursor.key)) continue
      polled.push(rangeOf(cursor, cursor.take(0, 0)))
    }
  }
}

function rangeOf({ topic, partition }: Cursor, { from, next, records }: TakenRange): Polled {
  return { topic, partition, from, next, records, error: null }
}

function isUnstable(error: LogError): boolean {
  return error instanceof KafkaError && error.kafka === ErrorCode.UNSTABLE_OFFSET_COMMIT
}

function closed(): LogError {
  return new LogError('closed', 'the log is closed')
}

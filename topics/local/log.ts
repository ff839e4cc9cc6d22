/**
 * The local driver of the log: one SQLite file, owned by one process.
 *
 *   append, commit ▶ Commits (group commit) ▶ Storage (SQLite)          Cleaner: retention, compaction
 *                             └▶ Tail (newest batches) ▶ Reader ▶ read, poll
 */
import { randomUUID } from 'node:crypto'
import type { Topic } from '../catalog.ts'
import type { SchemaRegistry } from '../codec.ts'
import {
  type Append,
  type Ends,
  type JoinOptions,
  type Log,
  LogError,
  type LogRecord,
  MAX_RECORD_BYTES,
  type Membership,
  type Position,
  type Read,
  type TopicPartition,
} from '../log.ts'
import { partitionOf } from '../murmur2.ts'
import { payloadBytes } from '../records.ts'
import { turn } from '../wait.ts'
import { CLEANING, Cleaner, type Cleaning } from './cleaner.ts'
import { Commits, type PlacedRecord } from './commits.ts'
import { Database } from './database.ts'
import { LocalMembership, type MembershipHost } from './membership.ts'
import { arrival, Reader } from './reader.ts'
import { LocalRegistry } from './registry.ts'
import { Storage } from './storage.ts'
import { Tail } from './tail.ts'
import { LocalTopics } from './topics.ts'

export interface LocalLogOptions {
  /** Path of the SQLite file; created with its folder if it does not exist. */
  readonly file: string
  /** Topics that the log must have. Missing ones are created. */
  readonly topics: readonly Topic[]
  /** The wall clock, ms since the epoch. */
  readonly now?: (() => number) | undefined
  /** Called with errors that no caller waits for: failures in the background, and why the log closed itself. */
  readonly onError?: ((error: Error) => void) | undefined
  /** Called once when the log has closed itself because it can no longer trust its file: only another process can open it again. */
  readonly onClosed?: ((error: LogError) => void) | undefined
  readonly cleaning?: Partial<Cleaning> | undefined
}

/**
 * Opens the log in a file.
 * @throws {LogError} `locked` when another process owns the file, `corrupt` when it is damaged or not a log,
 * `unavailable` when it cannot be read or written, `no_topic` when a topic has another number of partitions than the catalog says.
 */
export async function openLocalLog(options: LocalLogOptions): Promise<LocalLog> {
  const database = new Database(options.file)
  try {
    return new LocalLog(database, options)
  } catch (error) {
    database.close()
    throw error
  }
}

/** Most that a read returns unless the caller says otherwise. */
const READ_BYTES = 1024 * 1024
/** After this long a read lets other work run. */
const STEP_MS = 4

export class LocalLog implements Log, SchemaRegistry {
  /** SQLite writes a transaction without interruption: 50 to 80 ms for this much. */
  readonly transactionBytes = 9 * 1024 * 1024
  /** A random UUID, created with the file. */
  readonly identity: string
  readonly #database: Database
  readonly #storage: Storage
  readonly #registry: LocalRegistry
  readonly #reader: Reader
  readonly #commits: Commits
  readonly #cleaner: Cleaner
  readonly #host: MembershipHost
  readonly #topics: LocalTopics
  /** The current member of each group. */
  readonly #members = new Map<string, LocalMembership>()
  #closed: LogError | null = null

  constructor(database: Database, options: LocalLogOptions) {
    const { topics, now = Date.now, onError = () => {}, onClosed = () => {}, cleaning } = options
    this.#database = database
    this.identity = database.identity
    this.#storage = new Storage(database)
    this.#registry = new LocalRegistry(database)
    this.#topics = new LocalTopics(this.#storage)
    for (const topic of topics) this.#topics.ensure(topic)
    const tail = new Tail()
    this.#reader = new Reader(this.#storage, tail)
    this.#commits = new Commits({
      storage: this.#storage,
      tail,
      now,
      isCurrent: ({ group, member, generation }) => {
        const current = this.#members.get(group)?.assignment
        return current?.member === member && current.generation === generation
      },
    })
    this.#host = {
      reader: this.#reader,
      check: () => this.#check(),
      place: record => this.#place(record),
      partition: where => this.#topics.partition(where),
      committed: group => this.groupOffsets(group),
      commit: async unit => {
        this.#check()
        return this.#commits.add(unit)
      },
      left: ({ assignment }) => this.#members.delete(assignment.group),
    }
    this.#cleaner = new Cleaner({
      storage: this.#storage,
      tail,
      topics: this.#topics.byName,
      now,
      settings: { ...CLEANING, ...cleaning },
      onError,
    })
    database.onProblem = onError
    database.makeShrinkable()
    database.onBroken = error => {
      if (this.#closed !== null) return
      const closed = new LogError('closed', `the log closed itself: ${error.message}`, { cause: error })
      this.#end(closed)
      onError(error)
      onClosed(closed)
    }
  }

  async append(records: readonly Append[]): Promise<Position[]> {
    this.#check()
    const placed = records.map(record => this.#place(record))
    if (placed.length === 0) return []
    const offsets = await this.#commits.add({ records: placed })
    return placed.map(({ partition: { topic, partition } }, i) => ({ topic, partition, offset: offsets[i] as number }))
  }

  async read(where: TopicPartition, from: number, options: { maxBytes?: number; wait?: number } = {}): Promise<Read> {
    this.#check()
    const { maxBytes = READ_BYTES, wait = 0 } = options
    const partition = this.#topics.partition(where)
    const records: LogRecord[] = []
    const window = { from, records: Number.POSITIVE_INFINITY, bytes: Math.max(1, maxBytes) }
    const deadline = performance.now() + wait
    await turn()
    for (;;) {
      this.#check()
      const more = this.#reader.take(partition, window, records, performance.now() + STEP_MS)
      const remaining = deadline - performance.now()
      if (more) await turn()
      else if (window.from > from || remaining <= 0) return { records, next: window.from }
      else await arrival(partition, remaining)
    }
  }

  async ends(topic: string): Promise<Ends[]> {
    this.#check()
    return this.#topics.get(topic).owned.map(({ partition, low, high }) => ({ partition, low, high }))
  }

  /** A topic of this file lives as long as the file. */
  async topicId(topic: string): Promise<string> {
    this.#check()
    return `${this.identity}/${this.#topics.get(topic).name}`
  }

  /** @throws {LogError} `locked` while the group has a member: on a local log a group has one at a time. */
  async join({ group, topics, instance, assigned }: JoinOptions): Promise<Membership> {
    this.#check()
    const partitions = [...new Set(topics)].flatMap(name => {
      return this.#topics.get(name).owned.map(({ topic, partition }) => ({ topic, partition }))
    })
    const existing = this.#members.get(group)
    if (existing !== undefined) {
      throw new LogError(
        'locked',
        `group "${group}" already has a member, ${existing.assignment.member}, and can have one on a local log: it must leave first`,
      )
    }
    const member = `${instance}-${randomUUID()}`
    const generation = this.#storage.newGeneration(group, member, topics)
    const membership = new LocalMembership(this.#host, { group, member, generation, partitions })
    this.#members.set(group, membership)
    assigned(membership.assignment)
    return membership
  }

  async groupOffsets(group: string): Promise<Position[]> {
    this.#check()
    await this.#commits.settled()
    this.#check()
    return this.#storage.groupOffsets(group)
  }

  async groups(): Promise<string[]> {
    this.#check()
    return this.#storage.groups()
  }

  /** Creates a topic that was defined after the log was opened. @throws {LogError} `no_topic` when it exists with another number of partitions */
  async ensure(topic: Topic): Promise<void> {
    this.#check()
    this.#topics.ensure(topic)
  }

  async register(subject: string, schema: string): Promise<number> {
    this.#check()
    return this.#registry.register(subject, schema)
  }

  async schema(id: number): Promise<string> {
    this.#check()
    return this.#registry.schema(id)
  }

  /** Compacts a topic, or every compacted topic, now. The background does it when enough is new. */
  async compact(topic?: string): Promise<void> {
    this.#check()
    const topics = topic === undefined ? [...this.#topics.byName.values()] : [this.#topics.get(topic)]
    await this.#cleaner.compact(topics.filter(({ cleanup }) => cleanup === 'compact'))
  }

  /** Removes records that are past the retention of their topic, now. The background does it every minute. */
  async retain(): Promise<void> {
    this.#check()
    await this.#cleaner.retain()
  }

  /** Bytes on disk. */
  size(): number {
    return this.#database.size()
  }

  /** When this resolves, everything appended before is durable or refused. Every later call is refused. */
  async close(): Promise<void> {
    if (this.#closed !== null) return
    this.#closed = new LogError('closed', `the log in ${this.#database.file} is closed`)
    await this.#commits.settled()
    this.#end(this.#closed)
  }

  #end(error: LogError): void {
    this.#closed = error
    this.#cleaner.stop()
    this.#commits.refuse(error)
    for (const { owned } of this.#topics.byName.values()) {
      for (const { listeners } of owned) for (const listener of [...listeners]) listener()
    }
    for (const membership of this.#members.values()) membership.wake()
    this.#database.close()
  }

  #check(): void {
    if (this.#closed !== null) throw this.#closed
  }

  #place({ topic, partition, key, value, headers = {} }: Append): PlacedRecord {
    const bytes = payloadBytes({ key, value, headers })
    if (bytes > MAX_RECORD_BYTES) {
      const which = `a record of ${bytes} bytes for ${topic}, key ${JSON.stringify(key)}`
      throw new LogError('too_large', `${which}: the limit is ${MAX_RECORD_BYTES}; split it`)
    }
    const number = partition ?? partitionOf(key, this.#topics.get(topic).partitions)
    return { partition: this.#topics.partition({ topic, partition: number }), key, value, headers, bytes }
  }
}

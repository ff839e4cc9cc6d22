/**
 * Membership in a consumer group, and its transactions. Joining, heartbeats and fetching are loops of their own, so that a
 * slow cycle of the worker does not end the membership, and the worker is waited for before the group is joined anew.
 *
 *   join ─▶ sync ─▶ assigned ─▶ heartbeats … asked to join anew ─▶ revoked (awaited) ─▶ join
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Lock, lockFile } from '../lock.ts'
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
import { assign, assignByNumber, type Claim, decodeClaim, encodeClaim } from './assigner.ts'
import type { Compression } from './batch.ts'
import { CODE, check, isPassing, KafkaError, KafkaClient, type KafkaSettings, logError, persist, sleep } from './client.ts'
import type { Cursor, Range } from './cursor.ts'
import type { Fetcher } from './fetcher.ts'
import { AssignerProtocol } from './hardening.ts'
import { Outbox } from './outbox.ts'
import { Producer } from './producer.ts'
import { offsetFetch } from './protocol.ts'
import type { Subscription } from './subscription.ts'
import { KafkaTransaction } from './transaction.ts'
import type { TransactionVersion } from './transaction-protocol.ts'

export interface MembershipSettings {
  readonly kafka: KafkaSettings
  /** Shared with all others of the process. */
  readonly fetcher: Fetcher
  readonly join: JoinOptions
  /** Where the member id is kept for the next life of this instance; null: nowhere. */
  readonly memberFile: string | null
  /** Partitions by topic. */
  readonly topics: ReadonlyMap<string, number>
  readonly sessionTimeout: number
  readonly rebalanceTimeout: number
  readonly transactionTimeout: number
  /** Without a poll for so long, the worker hangs: the group is left, ms. */
  readonly pollTimeout: number
  readonly compression: Compression
  /** Null: as the cluster has it. */
  readonly transactionVersion: TransactionVersion | null
  /** Of any topic of the log. @throws {LogError} `no_topic` */
  partitions(topic: string): number
  readonly onError: (what: string, error: unknown) => void
  /** It has left, or was closed. */
  readonly onLeft: () => void
}

const PROTOCOL = 'bma-tasks'
/** Most that one poll brings, so that it stays short. */
const POLL_BYTES = 8 * 1024 * 1024
/** What may be queued of all its partitions, bytes: what the next transaction takes is there when the last has been sent. */
const QUEUE_BYTES = 24 * 1024 * 1024
const FENCE_MS = 60_000

export class KafkaMembership implements Membership {
  readonly exclusive = false
  readonly #settings: MembershipSettings
  readonly #client: KafkaClient
  readonly #feed: Subscription
  /** Its id on the cluster. */
  readonly #group: string
  #member = ''
  #assignment: Assignment | null = null
  #producer: Producer | null = null
  #lease = 0
  #lastPoll = performance.now()
  #left = false
  #closed = false
  #open: KafkaTransaction | null = null
  /** Resolved once the records of the open transaction are on their way. */
  #sending: Promise<void> = Promise.resolve()
  #resume: (() => void) | null = null
  #interrupt: (() => void) | null = null
  #woken = false
  #polling = false
  #loop: Promise<void> = Promise.resolve()
  #lock: Lock | null = null

  private constructor(settings: MembershipSettings) {
    this.#settings = settings
    this.#client = new KafkaClient(settings.kafka)
    this.#group = this.#client.prefix + settings.join.group
    const onNews = () => this.#resume?.()
    this.#feed = settings.fetcher.subscribe({ below: 'gap', beyond: 'gap', bytes: QUEUE_BYTES, onNews })
  }

  /** @throws {LogError} `locked` while another life of this instance has the member file */
  static async join(settings: MembershipSettings): Promise<KafkaMembership> {
    const membership = new KafkaMembership(settings)
    try {
      membership.#hold()
      await persist(30_000, isPassing, () => membership.#client.use([...settings.topics.keys()]))
      await membership.#leaveAsLastLife()
    } catch (error) {
      membership.#lock?.release()
      membership.#feed.close()
      await membership.#client.close()
      throw error
    }
    membership.#loop = membership.#run()
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
    return this.#client.coordinated('group', this.#group, FENCE_MS, broker =>
      // A transaction that holds an offset ends at the latest by its time-out.
      persist(
        FENCE_MS,
        isUnstable,
        async () => {
          this.#check()
          const { errorCode, offsets } = await this.#client.send(broker, offsetFetch(prefix, this.#group, partitions, true))
          check(errorCode)
          for (const { errorCode } of offsets) check(errorCode)
          return offsets.filter(({ offset }) => offset >= 0).map(({ topic, partition, offset }) => ({ topic, partition, offset }))
        },
        2,
      ),
    )
  }

  start(position: Position): void {
    this.#check()
    const key = partitionKey(position)
    if (!this.#assignment?.partitions.some(p => partitionKey(p) === key)) {
      throw new Error(`${key} is not assigned to ${this.#member}`)
    }
    this.#feed.add(position)
  }

  stop(partition: TopicPartition): void {
    this.#feed.remove(partition)
  }

  async poll({ max, wait }: { max: number; wait: number }): Promise<Polled[]> {
    this.#check()
    if (this.#polling) throw new Error(`group "${this.#settings.join.group}": a poll is under way; one at a time`)
    this.#polling = true
    this.#lastPoll = performance.now()
    try {
      const deadline = performance.now() + wait
      // What the worker does with the next records is done while the broker appends the last ones, not before they are sent.
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
        await this.#news(remaining)
        this.#lastPoll = performance.now()
      }
    } finally {
      this.#polling = false
    }
  }

  wake(): void {
    this.#woken = true
    this.#resume?.()
  }

  begin(assignment: Assignment): Transaction {
    this.#check()
    if (this.#open !== null && !this.#open.ended)
      throw new Error(`group "${assignment.group}": a transaction is open; commit or abort it first`)
    this.#open = new KafkaTransaction(assignment, new Outbox(topic => this.#settings.partitions(topic)), (outbox, offsets) => {
      this.#check()
      if (this.#producer === null || this.#producer.broken) {
        throw new LogError('unavailable', 'the last transaction failed, and no new producer has been opened since: fence first')
      }
      const sent = Promise.withResolvers<void>()
      this.#sending = sent.promise
      return this.#producer.commit(outbox, offsets, { ...assignment, group: this.#group }, sent.resolve)
    })
    return this.#open
  }

  lease(): number {
    return this.#lease
  }

  async leave(): Promise<void> {
    if (this.#left) return
    this.#left = true
    this.#feed.close()
    this.#resume?.()
    this.#interrupt?.()
    await this.#loop
    if (!this.#closed && this.#member !== '') await this.#leaveGroup(this.#member)
    await this.#client.close()
    this.#lock?.release()
    this.#settings.onLeft()
  }

  /** The log is being closed: whatever is under way ends with `closed`. */
  async close(): Promise<void> {
    if (this.#closed) return
    this.#closed = true
    const { group } = this.#settings.join
    // Others need not wait for the session to time out.
    if (!this.#left && this.#member !== '') {
      await Promise.race([this.#leaveGroup(this.#member), sleep(1_000)])
    }
    this.#feed.close()
    this.#lease = 0
    this.#resume?.()
    this.#interrupt?.()
    await this.#client.close()
    await Promise.race([this.#loop, sleep(1_000)]).catch(error => this.#settings.onError(`group "${group}"`, error))
    this.#lock?.release()
  }

  #check(): void {
    if (this.#closed) throw closed()
    if (this.#left) throw new LogError('fenced', `${this.#member} has left group "${this.#settings.join.group}"`)
  }

  /** Records of those that have some, and what is wrong with those that have none left. */
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
      // Its batch turned out to be damaged.
      if (taken.from === taken.next) continue
      records += taken.records.length
      bytes -= taken.bytes
      polled.push(rangeOf(cursor, taken))
      this.#feed.rotate(cursor)
    }
    const there = new Set(polled.map(partitionKey))
    for (const cursor of cursors) {
      const error = there.has(cursor.key) ? null : cursor.tell()
      if (error === null) continue
      const { topic, partition, head } = cursor
      polled.push({ topic, partition, from: head, next: head, records: [], error })
    }
    if (ready.length > 0) this.#feed.go()
    return polled
  }

  /** What holds nothing for readers goes along with what else there is: nobody is woken for the sake of a marker. */
  #takeEmpty(polled: Polled[]): void {
    const there = new Set(polled.map(partitionKey))
    for (const cursor of this.#feed.cursors()) {
      if (cursor.empty || cursor.count > 0 || there.has(cursor.key)) continue
      polled.push(rangeOf(cursor, cursor.take(0, 0)))
    }
  }

  #news(ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#resume = null
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, 5_000))
      this.#resume = done
    })
  }

  // The group

  async #run(): Promise<void> {
    const { onError, join } = this.#settings
    for (let failures = 0; !this.#left && !this.#closed; ) {
      try {
        if (performance.now() - this.#lastPoll > this.#settings.pollTimeout && this.#member !== '') await this.#waitForPoll()
        await this.#joinAndSync()
        failures = 0
        await this.#heartbeats()
      } catch (error) {
        if (this.#left || this.#closed) return
        const failed = logError(error)
        const { kafka } = failed as Partial<KafkaError>
        // Asked to join anew is the ordinary way in which a generation ends.
        if (kafka !== CODE.REBALANCE_IN_PROGRESS) {
          // A coordinator that loads or moves is back before long; one that tidies up forgets a group that is only being joined.
          const forgotten = kafka === CODE.UNKNOWN_MEMBER && this.#assignment === null
          if (failures > 2 || !(isPassing(failed) || forgotten))
            onError(`group "${join.group}": membership is interrupted`, failed)
          await this.#pause(Math.min(5_000, 50 * 2 ** failures++))
        }
        if (kafka === CODE.UNKNOWN_MEMBER || kafka === CODE.FENCED_INSTANCE) this.#member = ''
      }
    }
  }

  async #joinAndSync(): Promise<void> {
    const { join, topics, sessionTimeout, rebalanceTimeout } = this.#settings
    // Nothing that this member started may be open when it is given other tasks.
    this.#lease = 0
    if (this.#assignment !== null) await join.revoked()
    this.#feed.clear()
    if (this.#left || this.#closed) return
    const claim: Claim | null = this.#assignment
    const metadata = AssignerProtocol.MemberMetadata.encode({
      version: 0,
      topics: [...topics.keys()],
      userData: encodeClaim(claim),
    })
    const coordinator = await this.#client.coordinator('group', this.#group)
    let sent = performance.now()
    const joined = await coordinator.joinGroup({
      groupId: this.#group,
      sessionTimeout,
      rebalanceTimeout,
      memberId: this.#member,
      groupProtocols: [{ name: PROTOCOL, metadata }],
    })
    this.#member = joined.memberId
    this.#remember(joined.memberId)
    const leads = joined.leaderId === joined.memberId
    sent = performance.now()
    const { memberAssignment } = await coordinator.syncGroup({
      groupId: this.#group,
      generationId: joined.generationId,
      memberId: joined.memberId,
      groupAssignment: leads ? this.#assignAll(joined.members) : [],
    })
    const given = AssignerProtocol.MemberAssignment.decode(memberAssignment)?.assignment ?? {}
    const partitions = Object.entries(given).flatMap(([topic, of]) => of.map(partition => ({ topic, partition })))
    const assignment = { group: join.group, member: joined.memberId, generation: joined.generationId, partitions }
    this.#assignment = assignment
    this.#extend(sent)
    join.assigned(assignment)
  }

  #assignAll(members: readonly { memberId: string; memberMetadata: Buffer }[]) {
    const known = members.map(({ memberId, memberMetadata }) => ({
      id: memberId,
      claim: decodeClaim(AssignerProtocol.MemberMetadata.decode(memberMetadata)?.userData ?? null),
    }))
    const { join, topics } = this.#settings
    const given = join.byNumber === true ? assignByNumber(known, topics) : assign(known, topics)
    return [...given].map(([memberId, partitions]) => {
      const byTopic = Map.groupBy(partitions, p => p.topic)
      const assignment = Object.fromEntries([...byTopic].map(([topic, of]) => [topic, of.map(p => p.partition)]))
      return {
        memberId,
        memberAssignment: AssignerProtocol.MemberAssignment.encode({ version: 0, assignment, userData: Buffer.alloc(0) }),
      }
    })
  }

  /** Until the group asks to join anew, or the session is lost. */
  async #heartbeats(): Promise<void> {
    const { sessionTimeout, pollTimeout } = this.#settings
    const { generation } = this.#assignment as Assignment
    const interval = Math.min(3_000, sessionTimeout / 4)
    for (let good = performance.now(); ; ) {
      await this.#pause(interval)
      if (this.#left || this.#closed) return
      if (performance.now() - this.#lastPoll > pollTimeout) return
      const sent = performance.now()
      try {
        const coordinator = await this.#client.coordinator('group', this.#group)
        await coordinator.heartbeat({ groupId: this.#group, groupGenerationId: generation, memberId: this.#member })
        good = sent
        this.#extend(sent)
      } catch (error) {
        const failed = logError(error)
        this.#client.forget('group', this.#group)
        if (!isPassing(failed) || (failed as Partial<KafkaError>).kafka === CODE.REBALANCE_IN_PROGRESS) throw failed
        if (performance.now() - good > sessionTimeout) throw failed
      }
    }
  }

  /** The worker does not poll: its tasks are better off elsewhere, until it does. */
  async #waitForPoll(): Promise<void> {
    const { join, pollTimeout, onError } = this.#settings
    const since = this.#lastPoll
    const seconds = Math.round((performance.now() - since) / 1000)
    onError(
      `group "${join.group}": left`,
      new LogError('unavailable', `the worker has not polled for ${seconds} s (${pollTimeout} ms at most)`),
    )
    this.#lease = 0
    await this.#leaveGroup(this.#member)
    this.#member = ''
    while (this.#lastPoll === since && !this.#left && !this.#closed) await this.#pause(100)
  }

  #extend(sent: number): void {
    const { sessionTimeout, rebalanceTimeout } = this.#settings
    this.#lease = sent + Math.min(sessionTimeout, rebalanceTimeout)
  }

  /** A life of this instance that is not over would be made to leave, and its transactions fenced: it keeps the name. */
  #hold(): void {
    const { memberFile } = this.#settings
    if (memberFile === null) return
    mkdirSync(dirname(memberFile), { recursive: true })
    this.#lock = lockFile(`${memberFile}.lock`)
  }

  /** An earlier life of this instance that was killed would be waited for until its session times out. */
  async #leaveAsLastLife(): Promise<void> {
    const { memberFile } = this.#settings
    if (memberFile === null) return
    let last: string
    try {
      last = readFileSync(memberFile, 'utf8')
    } catch {
      return
    }
    await this.#leaveGroup(last)
  }

  async #leaveGroup(member: string): Promise<void> {
    const groupId = this.#group
    try {
      const coordinator = await this.#client.coordinator('group', groupId)
      await coordinator.leaveGroup({ groupId, memberId: member })
    } catch {
      // It is gone already, or its session times out.
    }
  }

  #remember(member: string): void {
    const { memberFile } = this.#settings
    if (memberFile === null) return
    writeFileSync(memberFile, member)
  }

  #pause(ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#interrupt = null
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#interrupt = done
    })
  }
}

function rangeOf({ topic, partition }: Cursor, { from, next, records }: Range): Polled {
  return { topic, partition, from, next, records, error: null }
}

function isUnstable(error: LogError): boolean {
  return error instanceof KafkaError && error.kafka === CODE.UNSTABLE_OFFSET
}

function closed(): LogError {
  return new LogError('closed', 'the log is closed')
}

/** A member of the group: heartbeats, assignments, and polls that fetch ahead and hand over ranges. */
import {
  type Assignment,
  type JoinOptions,
  LogError,
  type LogRecord,
  type Membership,
  type Polled,
  type Position,
  partitionKey,
  type TopicPartition,
  type Transaction,
} from '../../../topics/log.ts'
import type { Life } from '../scheduler.ts'
import type { Cluster } from './cluster.ts'
import { REBALANCE_TIMEOUT, SESSION_TIMEOUT, split } from './group.ts'
import type { SimulatedLog } from './log.ts'
import { Producer } from './transaction.ts'

const HEARTBEAT = 2_000
/** Chance that a driver passes over a range, or hands one over twice: what a worker has to notice. */
export const BROKEN_DRIVER = { passesOver: 0, twice: 0 }

interface Cursor {
  readonly made: number
  /** Where the next range begins. */
  next: number
  fetched: LogRecord[]
  fetchedTo: number
  failures: number
  retryAt: number
  error: LogError | null
}

export class SimulatedMembership implements Membership {
  readonly exclusive = false
  readonly #cluster: Cluster
  readonly #life: Life
  readonly #options: JoinOptions
  readonly #log: SimulatedLog
  readonly #producer: Producer
  readonly #cursors = new Map<string, Cursor>()
  #member = ''
  #lastGood = Number.NEGATIVE_INFINITY
  #left = false
  #wake: () => void = () => {}

  constructor(cluster: Cluster, life: Life, options: JoinOptions, log: SimulatedLog) {
    this.#cluster = cluster
    this.#life = life
    this.#options = options
    this.#log = log
    this.#producer = new Producer(cluster, life, options.instance)
  }

  async join(): Promise<void> {
    await this.#enter()
    void this.#heartbeats()
  }

  lease(): number {
    return this.#lastGood + Math.min(SESSION_TIMEOUT, REBALANCE_TIMEOUT)
  }

  fence(): Promise<void> {
    return this.#producer.fence()
  }

  begin(assignment: Assignment): Transaction {
    this.#log.asked.transactions += 1
    return this.#producer.begin(assignment)
  }

  /** Waits for transactions that hold offsets of these partitions. */
  async committed(partitions: readonly TopicPartition[]): Promise<Position[]> {
    const { group, scheduler } = this.#cluster
    this.#log.asked.restores += 1
    for (;;) {
      const answer = await this.#remote(() => {
        if (!partitions.every(at => group.stable(at))) return null
        return partitions.flatMap(at => {
          const offset = group.committed(at)
          return offset === undefined ? [] : [{ ...at, offset }]
        })
      })
      if (answer !== null) return answer
      await scheduler.sleep(20, this.#life)
    }
  }

  start(position: Position): void {
    const { made } = this.#cluster.partition(position)
    const { offset } = position
    const cursor = { made, next: offset, fetched: [], fetchedTo: offset, failures: 0, retryAt: 0, error: null }
    this.#cursors.set(partitionKey(position), cursor)
  }

  stop(partition: TopicPartition): void {
    this.#cursors.delete(partitionKey(partition))
  }

  async poll({ max, wait }: { max: number; wait: number }): Promise<Polled[]> {
    const { scheduler } = this.#cluster
    const broken = () => {
      if (this.#log.pollFails) throw new LogError('unavailable', 'nothing can be fetched')
    }
    broken()
    let taken = this.#take(max)
    if (taken.length > 0) await scheduler.sleep(0, this.#life)
    else {
      await new Promise<void>(resolve => {
        this.#wake = resolve
        scheduler.at(wait, this.#life, resolve)
        void this.#cluster.changed().then(() => scheduler.at(scheduler.random.below(3), this.#life, resolve))
      })
      broken()
      taken = this.#take(max)
    }
    // What was fetched of partitions that have been stopped, or started anew, meanwhile is dropped.
    return taken.filter(({ cursor, range }) => this.#cursors.get(partitionKey(range)) === cursor).map(({ range }) => range)
  }

  wake(): void {
    this.#wake()
  }

  async leave(): Promise<void> {
    this.#left = true
    await this.#remote(() => this.#cluster.group.leave(this.#member))
  }

  // Fetching

  #take(max: number): { cursor: Cursor; range: Polled }[] {
    const out: { cursor: Cursor; range: Polled }[] = []
    const keys = [...this.#cursors.keys()]
    const { random } = this.#cluster.scheduler
    for (let left = max; keys.length > 0 && left > 0; ) {
      const key = keys.splice(random.below(keys.length), 1)[0] as string
      const cursor = this.#cursors.get(key) as Cursor
      this.#fetch(split(key), cursor)
      const range = this.#rangeOf(split(key), cursor, left)
      if (range === null) continue
      left -= range.records.length
      out.push({ cursor, range })
    }
    return out
  }

  /** Fetches ahead; what fails is told once all that came before it has been handed over. */
  #fetch(at: TopicPartition, cursor: Cursor): void {
    const { scheduler, odds } = this.#cluster
    if (scheduler.time < cursor.retryAt || cursor.error !== null) return
    const partition = this.#cluster.partition(at)
    const { low, end, stable } = partition
    const { fetchedTo } = cursor
    const where = `${partitionKey(at)} at ${fetchedTo}`
    if (partition.leaderless) cursor.error = new LogError('unavailable', `nobody leads ${where}`)
    else if (cursor.made !== partition.made || fetchedTo < low || fetchedTo > end)
      cursor.error = new LogError('gap', `${where} is not there; the log has ${low} to ${end}`)
    else if (partition.damaged) cursor.error = new LogError('corrupt', `${where} has a wrong checksum`)
    else if (scheduler.random.chance(odds.fetchErrors)) cursor.error = new LogError('unavailable', `${where}: a fetch failed`)
    if (cursor.error !== null || stable <= fetchedTo) return
    const records = partition.visible(fetchedTo)
    cursor.failures = 0
    cursor.fetched = [...cursor.fetched, ...records]
    cursor.fetchedTo = stable
  }

  #rangeOf(at: TopicPartition, cursor: Cursor, max: number): Polled | null {
    const { random, time } = this.#cluster.scheduler
    const { fetched, error } = cursor
    const from = cursor.next
    if (fetched.length === 0 && error !== null) {
      cursor.error = null
      cursor.retryAt = time + Math.min(10_000, 100 * 2 ** cursor.failures++)
      cursor.fetchedTo = cursor.next
      return { ...at, from, next: from, records: [], error }
    }
    if (fetched.length === 0 && (cursor.fetchedTo === from || !random.chance(0.3))) return null
    const records = fetched.slice(0, fetched.length <= max && random.chance(0.5) ? max : 1 + random.below(max))
    const next = records.length === fetched.length ? cursor.fetchedTo : (records.at(-1) as LogRecord).offset + 1
    if (random.chance(BROKEN_DRIVER.twice)) return { ...at, from, next, records, error: null }
    cursor.fetched = fetched.slice(records.length)
    cursor.next = next
    if (random.chance(BROKEN_DRIVER.passesOver)) return null
    return { ...at, from, next, records, error: null }
  }

  // The group

  #remote<T>(serve: () => T): Promise<T> {
    return this.#cluster.scheduler.remote(this.#life, serve)
  }

  async #heartbeats(): Promise<void> {
    const { scheduler, group } = this.#cluster
    while (!this.#left) {
      await scheduler.sleep(HEARTBEAT, this.#life)
      if (this.#log.cutOff || this.#left) continue
      const sent = scheduler.time
      const answer = await this.#remote(() => group.heartbeat(this.#member))
      if (answer === 'ok') {
        this.#lastGood = sent
        continue
      }
      await this.#holdBack()
      if (answer === 'rebalance' && (await this.#remote(() => group.rejoin(this.#member)))) await this.#await()
      else await this.#enter()
    }
  }

  /** JoinGroup waits for open transactions, but not for ever. */
  async #holdBack(): Promise<void> {
    this.#cursors.clear()
    await Promise.race([this.#options.revoked(), this.#cluster.scheduler.sleep(REBALANCE_TIMEOUT, this.#life)])
  }

  async #enter(): Promise<void> {
    this.#member = await this.#remote(() => this.#cluster.group.join(this.#life))
    await this.#await()
  }

  async #await(): Promise<void> {
    const { scheduler, group } = this.#cluster
    for (;;) {
      if (this.#left) return
      const sent = scheduler.time
      const given = this.#log.cutOff ? null : await this.#remote(() => group.assignment(this.#member))
      if (given === undefined) {
        this.#member = await this.#remote(() => group.join(this.#life))
        continue
      }
      if (given !== null) {
        this.#lastGood = sent
        this.#cursors.clear()
        this.#options.assigned({ group: this.#options.group, member: this.#member, ...given })
        return
      }
      await scheduler.sleep(100, this.#life)
      if (!this.#log.cutOff) await this.#remote(() => group.heartbeat(this.#member))
    }
  }
}

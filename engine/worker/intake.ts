/** Takes what has arrived for the running tasks, and folds it. What a cycle has no time for is kept for the next. */
import { type Codec, CodecError } from '../../topics/codec.ts'
import { type LogRecord, type Membership, partitionKey, type Polled } from '../../topics/log.ts'
import type { Budget } from '../budget.ts'
import type { Clock } from '../clock.ts'
import { Corrupted, SchemasMissing } from '../errors.ts'
import type { Task } from '../task.ts'
import type { Tasks } from '../tasks.ts'

/** Below this size the commit dominates the cost of a transaction. */
export const SMALL_BATCH = 100
/** Longest wait of a poll. */
const IDLE_WAIT_MS = 200
/** After so many tries at a schema that the registry does not know, about half a minute, a person must help. */
const MAX_UNKNOWN_TRIES = 8

/** Ranges that were polled, and the epochs of their tasks at that time: a task restored since then gets its records again. */
export interface Polls {
  readonly ranges: readonly Polled[]
  readonly epochs: ReadonlyMap<Task, number>
}

const NOTHING: Polls = { ranges: [], epochs: new Map() }

export interface IntakeSettings {
  readonly codec: Codec
  readonly clock: Clock
  readonly maxRecords: number
  readonly onError: (what: string, error: unknown) => void
}

export class Intake {
  readonly #settings: IntakeSettings
  readonly #tasks: Tasks
  /** Ranges that the last cycle had no time for. */
  #left: Polls = NOTHING

  constructor(settings: IntakeSettings, tasks: Tasks) {
    this.#settings = settings
    this.#tasks = tasks
  }

  get hasLeft(): boolean {
    return this.#left.ranges.length > 0
  }

  /** What is left, or what comes within `wait` ms; by default, until the next timer is due. */
  async next(membership: Membership, wait?: number): Promise<Polls> {
    const { maxRecords } = this.#settings
    const polls = this.hasLeft ? this.#left : await this.poll(membership, maxRecords, wait ?? this.#idleWait())
    this.#left = NOTHING
    return polls
  }

  async poll(membership: Membership, max: number, wait: number): Promise<Polls> {
    const ranges = await membership.poll({ max, wait })
    return { ranges, epochs: new Map(this.#tasks.assigned.running().map(task => [task, task.epoch])) }
  }

  /** Until the next timer is due. */
  #idleWait(): number {
    const now = this.#settings.clock.now()
    let wait = IDLE_WAIT_MS
    for (const task of this.#tasks.assigned.running()) {
      try {
        const next = task.store.nextDue()
        if (next !== null && next > now) wait = Math.min(wait, next - now)
      } catch (error) {
        this.#tasks.recovery.fail(task, error)
      }
    }
    return wait
  }

  /** Folds what was polled and, while much arrives, what comes after it. Returns the number of records folded. */
  async foldAll(membership: Membership, polls: Polls, budget: Budget, current: () => boolean): Promise<number> {
    let folded = 0
    for (let next = polls; next.ranges.length > 0; ) {
      const now = this.fold(membership, next, budget)
      folded += now
      await this.#settings.clock.turn?.()
      if (!current() || (now < SMALL_BATCH && !this.hasLeft) || budget.exhausted) break
      next = await this.next(membership, 0)
      // Reading does not count against the slice.
      budget.nextSlice()
    }
    return folded
  }

  /** Folds what was polled, as far as the budget goes. Returns the number of records folded. */
  fold(membership: Membership, { ranges, epochs }: Polls, budget: Budget): number {
    const left: Polled[] = []
    let folded = 0
    for (const range of ranges) {
      const task = this.#tasks.assigned.get(range)
      if (task?.state !== 'RUNNING' || epochs.get(task) !== task.epoch) continue
      try {
        const rest = this.#foldRange(task, range, budget)
        folded += range.records.length - (rest?.records.length ?? 0)
        if (rest !== null) left.push(rest)
      } catch (error) {
        if (error instanceof Corrupted && error.code === 'discontinuity') this.#readAgain(membership, task, error)
        else if (error instanceof SchemasMissing) this.#awaitSchemas(task, error.message, error.values)
        else this.#tasks.recovery.fail(task, error)
      }
    }
    if (left.length > 0)
      this.#left = { ranges: [...this.#left.ranges, ...left], epochs: new Map([...this.#left.epochs, ...epochs]) }
    return folded
  }

  #foldRange(task: Task, range: Polled, budget: Budget): Polled | null {
    this.#tasks.recovery.unreadable(task, range.error)
    if (range.error !== null) return null
    if (budget.spent) return range
    const unknown = this.#settings.codec.unprepared(range.records)
    if (unknown < 0) return task.fold(range, budget)
    const { records } = range
    const at = (records[unknown] as LogRecord).offset
    const rest = task.fold({ ...range, next: at, records: records.slice(0, unknown) }, budget)
    if (rest === null) {
      const values = records.slice(unknown).flatMap(({ value }) => value ?? [])
      this.#awaitSchemas(task, `the schema of the record at offset ${at} has not been fetched`, values)
    }
    return rest === null ? null : { ...range, from: rest.from, records: records.filter(r => r.offset >= rest.from) }
  }

  /** Fetches the schemas of these values; until then the partition waits, and the others go on. */
  #awaitSchemas(task: Task, cause: string, values: readonly Buffer[]): void {
    const { codec } = this.#settings
    this.#tasks.recovery.hold(
      task,
      cause,
      () => codec.prepare(values.map(value => ({ value }))),
      (error, tries) => error instanceof CodecError && tries >= MAX_UNKNOWN_TRIES,
    )
  }

  /** Records before the range are missing, or were handed over before: they are read again. */
  #readAgain(membership: Membership, task: Task, error: Corrupted): void {
    this.#settings.onError(`${partitionKey(task.inbox)} is read again`, error)
    membership.start(task.rewind())
  }
}

/**
 * A worker owns tasks and runs one cycle at a time: take what has arrived for all of them, fold it into an overlay, commit one
 * transaction for the whole worker, then write the overlay to the state stores and start the effects. While a transaction is on
 * its way, the next cycle takes and folds already; it commits when the one before it has.
 *
 *   poll ─▶ fold ─▶ (the last commit has ended) ─▶ timers, judgements ─▶ seal ─▶ begin, append, offsets, commit ─▶ store ─▶ effects
 *                                  └─ failed: drop the overlays, restore
 *
 * What fails concerns one record (it is poison), one partition (it waits), one task (it is restored, or stands still), or all of
 * them; what becomes of tasks is in `tasks.ts`.
 */
import { randomUUID } from 'node:crypto'
import { type Codec, CodecError } from '../topics/codec.ts'
import {
  type Assignment,
  type Log,
  LogError,
  type LogRecord,
  type Membership,
  partitionKey,
  type Polled,
  type TopicPartition,
} from '../topics/log.ts'
import type { ActorDefinition, Port } from './actor.ts'
import { Backoff } from './backoff.ts'
import { Budget } from './budget.ts'
import { CacheBudget } from './generational-cache.ts'
import { type Clock, systemClock } from './clock.ts'
import { Effects } from './effects.ts'
import { Corrupted, messageOf, SchemasMissing } from './errors.ts'
import type { LookupsOf } from './lookups.ts'
import type { StateStore, StateStores } from './store.ts'
import type { Startable, Task } from './task.ts'
import { Tasks, type TaskStatus } from './tasks.ts'

export type { TaskStatus } from './tasks.ts'

export interface WorkerSettings {
  readonly log: Log
  readonly codec: Codec
  readonly actors: readonly ActorDefinition[]
  /** Ports by actor and effect. */
  readonly ports: Readonly<Record<string, Readonly<Record<string, Port>>>>
  /** What answers look-ups, by actor and name. */
  readonly lookups?: Readonly<Record<string, LookupsOf>>
  /** One group per role: every member names the same actors. */
  readonly group: string
  /** A name of this worker that it keeps over restarts. */
  readonly instance: string
  readonly openStore: (actor: string, partition: number) => Promise<StateStore>
  /** All stores of the folder, so that those of tasks which live elsewhere can be removed; null: they are kept. */
  readonly stores?: Pick<StateStores, 'list' | 'drop'> | null
  readonly codeVersion: string
  readonly clock?: Clock
  /** Records polled at once, at most. */
  readonly maxRecords?: number
  /** What one transaction holds, bytes, about; as the log would have it where nothing is said. */
  readonly transactionBytes?: number
  /** Memory for decoded actors, which the workers of a process share; one of its own where none is given. */
  readonly cache?: CacheBudget
  readonly maxCheckpointAge?: number
  readonly newId?: () => string
  /** Numbers from 0 up to, and without, 1: for pauses. */
  readonly random?: () => number
  readonly onError?: (what: string, error: unknown) => void
  /** Told when something is lost for this process that only another one can have again: its state stores. */
  readonly onLost?: (error: Error) => void
  /** Called with each new assignment. */
  readonly onAssigned?: (assignment: Assignment) => void
  /** After each committed transaction: how many records, how long it took, ms. */
  readonly onCommit?: (records: number, ms: number) => void
}

interface Judgement {
  /** Monotonic ms when the task was assigned. */
  readonly since: number
  readonly open: readonly (Startable & { owner: string })[]
}

export interface WorkerStatus {
  /** False until the group has given it its tasks, which may be none. */
  readonly assigned: boolean
  /** All tasks that it was given, those that are still to be opened or restored among them. */
  readonly tasks: readonly TaskStatus[]
  /** Effects that are under way. */
  readonly effects: number
  /** Since the last cycle that succeeded, ms. */
  readonly cycleAgeMs: number
  /** Why its cycles fail; null while they succeed. */
  readonly failing: string | null
}

const CACHE_BYTES = 64 * 1024 * 1024
const IDLE_WAIT = 200
/** Folding keeps the process from all other work for so long at a time, and before a transaction in all, ms. */
const FOLD_MS = { slice: 20, transaction: 300 }
/** Of fewer records than that a transaction costs far more than they do: between two of them as much time passes as one takes. */
const FEW = 100
const LONGEST_REST = 5
const TIMERS_A_CYCLE = 500
/** Bytes that may wait for the state stores, of all tasks, about. */
const WAITING_BYTES = 32 * 1024 * 1024
/** A store that does not catch up within that long hangs, ms. */
const STORE_WAIT_MS = 1_000
const HALF_A_DAY = 12 * 60 * 60 * 1000
const PAUSE = { first: 100, most: 10_000 }
/** So often a registry may say that it does not know a schema, before a person has to come: about half a minute. */
const UNKNOWN_TRIES = 8
const SWEEP_MS = 60_000
/** Records that change nothing are worth no transaction of their own, ms. */
const PASS_MS = 1_000
/** An attempt of an effect that this code no longer has is judged after this long, ms. */
const RETIRED_TIMEOUT_MS = 60_000

export class Worker {
  readonly #settings: Required<WorkerSettings>
  readonly #effects: Effects
  readonly #tasks: Tasks
  readonly #judgements = new WeakMap<Task, Judgement>()
  readonly #joined = Promise.withResolvers<Membership>()
  #membership: Membership | null = null
  #stopping = false
  readonly #ending = new AbortController()
  #revoked = false
  #cycle: Promise<void> = Promise.resolve()
  /** The transaction that is on its way. False when it failed. */
  #committing: Promise<boolean> = Promise.resolve(true)
  /** No cycle begins before it has resolved. */
  #held: Promise<void> = Promise.resolve()
  #loop: Promise<void> = Promise.resolve()
  /** Ranges that the last cycle had no time for. */
  #left: Handed = NOTHING
  readonly #backoff: Backoff
  /** Monotonic ms of the last cycle that succeeded. */
  #lastCycle = 0
  /** Why the last cycle has failed, and the last transaction. */
  #cycleFailure: string | null = null
  #commitFailure: string | null = null
  /** Monotonic ms until when a cycle of few records waits for more. */
  #restsUntil = 0
  #sweptAt = 0
  #passedAt = 0

  constructor(settings: WorkerSettings) {
    this.#settings = {
      clock: systemClock,
      stores: null,
      lookups: {},
      maxRecords: 5_000,
      transactionBytes: settings.log.transactionBytes,
      cache: new CacheBudget(CACHE_BYTES),
      maxCheckpointAge: HALF_A_DAY,
      newId: randomUUID,
      random: Math.random,
      onError: () => {},
      onLost: () => {},
      onAssigned: () => {},
      onCommit: () => {},
      ...settings,
    }
    const { log, codec, clock, ports, onError, random } = this.#settings
    this.#backoff = new Backoff(PAUSE.first, PAUSE.most, random)
    this.#tasks = new Tasks({
      ...this.#settings,
      joined: this.#joined.promise,
      fence: () => this.#fence(),
      committed: () => this.#committing,
      restored: (task, since) => this.#judgements.set(task, { since, open: task.openAttempts() }),
    })
    this.#effects = new Effects({
      log,
      codec,
      clock,
      ports,
      onError,
      owned: inbox => (this.#revoked || this.task(inbox) === undefined ? null : (this.#tasks.assignment?.generation ?? null)),
      isOpen: (inbox, startable) => this.task(inbox)?.isOpen(startable) ?? false,
      lease: () => this.#membership?.lease() ?? 0,
    })
  }

  async start(): Promise<void> {
    const { log, group, instance, actors, clock, onAssigned } = this.#settings
    this.#lastCycle = clock.mono()
    this.#sweptAt = clock.mono()
    this.#membership = await log.join({
      group,
      instance,
      topics: actors.map(a => a.inbox.name),
      revoked: () => this.#revoke(),
      assigned: assignment => {
        this.#revoked = false
        this.#commitFailure = null
        onAssigned(assignment)
        this.#tasks.assign(assignment)
      },
    })
    this.#joined.resolve(this.#membership)
    this.#loop = this.#run(this.#membership)
  }

  /** Drains: nothing new is started, what runs may finish, and the tasks are given back. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#ending.abort()
    this.#membership?.wake()
    this.#tasks.drain()
    await this.#effects.drain(10_000)
    await this.#loop
    await this.#committing
    await this.#tasks.close()
    await this.#membership?.leave()
  }

  status(): WorkerStatus {
    return {
      assigned: this.#tasks.assignment !== null && !this.#revoked,
      tasks: this.#tasks.status(),
      effects: this.#effects.size,
      cycleAgeMs: this.#settings.clock.mono() - this.#lastCycle,
      failing: this.#commitFailure ?? this.#cycleFailure,
    }
  }

  task(inbox: TopicPartition): Task | undefined {
    return this.#tasks.get(inbox)
  }

  async #revoke(): Promise<void> {
    this.#revoked = true
    this.#membership?.wake()
    await this.#ended()
  }

  /** Nothing is being folded or committed. */
  async #ended(): Promise<void> {
    await this.#cycle.catch(() => {}) // the loop has it, too
    await this.#committing
  }

  /** Between cycles, so that it ends no transaction but those whose outcome nobody knows. */
  async #fence(): Promise<void> {
    const before = this.#held
    const fenced = (async () => {
      const membership = await this.#joined.promise
      await before
      await this.#ended()
      await membership.fence()
    })()
    this.#held = fenced.catch(() => {}) // whoever has asked for it gets the error
    await fenced
  }

  // The cycle

  async #run(membership: Membership): Promise<void> {
    const { clock, onError, random } = this.#settings
    const backoff = new Backoff(PAUSE.first, PAUSE.most, random)
    while (!this.#stopping) {
      try {
        await this.#cycleOf(membership)
        this.#cycleFailure = null
        if (this.#commitFailure === null) this.#lastCycle = clock.mono()
        backoff.reset()
      } catch (error) {
        if (this.#stopping) return
        this.#cycleFailure = messageOf(error)
        onError('a cycle failed', error)
        if (error instanceof LogError && error.code === 'closed') return
        await clock.sleep(backoff.next(), this.#ending.signal)
      }
    }
  }

  async #cycleOf(membership: Membership): Promise<void> {
    const { clock, maxRecords } = this.#settings
    const handed = this.#left.ranges.length > 0 ? this.#left : await this.#poll(membership, maxRecords, this.#wait())
    this.#left = NOTHING
    await this.#held
    const { assignment } = this.#tasks
    // What was polled is read again by whoever has the tasks then.
    if (this.#revoked || this.#stopping || assignment === null) return
    this.#cycle = this.#once(membership, assignment, handed)
    await this.#cycle
    this.#store()
    const now = clock.mono()
    if (now - this.#passedAt < PASS_MS) return
    this.#passedAt = now
    const sweeps = now - this.#sweptAt >= SWEEP_MS
    for (const task of this.#tasks.running()) task.pass(sweeps)
    if (!sweeps) return
    this.#sweptAt = now
    this.#tasks.sweep()
  }

  /** What is polled belongs to these lives of the tasks: one that is restored meanwhile gets its records anew. */
  async #poll(membership: Membership, max: number, wait: number): Promise<Handed> {
    const ranges = await membership.poll({ max, wait })
    return { ranges, lives: new Map(this.#tasks.running().map(task => [task, task.lives])) }
  }

  /** How long a poll may wait: until the next timer, and not for ever. */
  #wait(): number {
    const now = this.#settings.clock.now()
    let wait = IDLE_WAIT
    for (const task of this.#tasks.running()) {
      try {
        const next = task.store.nextDue()
        if (next !== null && next > now) wait = Math.min(wait, next - now)
      } catch (error) {
        this.#tasks.fail(task, error)
      }
    }
    return wait
  }

  async #once(membership: Membership, assignment: Assignment, handed: Handed): Promise<void> {
    const { clock, transactionBytes, maxRecords } = this.#settings
    const budget = new Budget(clock, { sliceMs: FOLD_MS.slice, ms: FOLD_MS.transaction, bytes: transactionBytes })
    let folded = 0
    for (let next = handed; next.ranges.length > 0; ) {
      this.#left = NOTHING
      const now = this.#fold(next, budget)
      folded += now
      await clock.turn?.()
      if (this.#tasks.assignment !== assignment || this.#revoked || this.#stopping) return
      if ((now < FEW && this.#left.ranges.length === 0) || budget.exhausted) break
      // As long as much comes, more of it goes into this transaction.
      next = this.#left.ranges.length > 0 ? this.#left : await this.#poll(membership, maxRecords, 0)
      // Reading what comes next is none of the slice's time.
      budget.nextSlice()
    }
    await this.#committing
    if (folded < FEW && this.#left.ranges.length === 0) {
      // What comes while the last transaction is on its way, and a moment after it, goes into this one.
      const rest = this.#restsUntil - clock.mono()
      if (rest > 0) await clock.sleep(rest)
      folded += this.#fold(await this.#poll(membership, FEW, 0), budget)
    }
    for (const task of this.#tasks.running()) await this.#keepsUp(task)
    for (const task of this.#tasks.running()) this.#beforeCommit(task)
    const dirty = this.#tasks.running().filter(t => t.dirty)
    if (this.#tasks.assignment !== assignment) return
    if (dirty.length === 0) {
      // All run again, and nothing waits to be committed: what has failed is over.
      if (this.#tasks.allRun) this.#commitFailure = null
      return
    }
    const sealing = this.#seal(assignment, dirty)
    this.#committing = this.#commit(membership, assignment, sealing, folded).catch(error => {
      this.#failed('after a commit', error)
      return false
    })
    // What comes next is folded on top of what is sealed.
    await sealing
  }

  /** A store that is behind is waited for; where it does not catch up soon, only its partition waits. */
  async #keepsUp(task: Task): Promise<void> {
    const { clock } = this.#settings
    if (!task.writer.behind(clock.mono())) return
    const caughtUp = new AbortController()
    const written = task.written().then(() => caughtUp.abort())
    await Promise.race([written, clock.sleep(STORE_WAIT_MS, caughtUp.signal)])
    if (task.writer.behind(clock.mono()))
      this.#tasks.hold(
        task,
        'its store is behind',
        () => task.written(),
        () => false,
      )
  }

  /** Timers that are due and judgements go into the transaction. */
  #beforeCommit(task: Task): void {
    try {
      if (task.storeFailure !== null) throw task.storeFailure
      task.fireTimers(this.#settings.clock.now(), TIMERS_A_CYCLE)
      this.#judge(task)
      this.#tasks.settle(task)
    } catch (error) {
      this.#tasks.fail(task, error)
    }
  }

  /** Folds what was handed over, as far as the budget goes. Returns how many records it was. */
  #fold({ ranges, lives }: Handed, budget: Budget): number {
    const left: Polled[] = []
    let folded = 0
    for (const range of ranges) {
      const task = this.task(range)
      if (task?.state !== 'RUNNING' || lives.get(task) !== task.lives) continue
      try {
        const rest = this.#foldRange(task, range, budget)
        folded += range.records.length - (rest?.records.length ?? 0)
        if (rest !== null) left.push(rest)
      } catch (error) {
        if (error instanceof Corrupted && error.code === 'discontinuity') this.#putBack(task, error)
        else if (error instanceof SchemasMissing) this.#awaitSchemas(task, error.message, error.values)
        else this.#tasks.fail(task, error)
      }
    }
    if (left.length > 0) this.#left = { ranges: [...this.#left.ranges, ...left], lives: new Map([...this.#left.lives, ...lives]) }
    return folded
  }

  #foldRange(task: Task, range: Polled, budget: Budget): Polled | null {
    this.#tasks.unreadable(task, range.error)
    if (range.error !== null) return null
    if (budget.spent) return range
    const { codec } = this.#settings
    const unknown = codec.unprepared(range.records)
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

  /** The schemas of these values are fetched; until then the partition waits, and the others go on. */
  #awaitSchemas(task: Task, cause: string, values: readonly Buffer[]): void {
    const { codec } = this.#settings
    this.#tasks.hold(
      task,
      cause,
      () => codec.prepare(values.map(value => ({ value }))),
      (error, tries) => error instanceof CodecError && tries >= UNKNOWN_TRIES,
    )
  }

  /** Records are missing in front of what was handed over, or came before: they are read again. */
  #putBack(task: Task, error: Corrupted): void {
    this.#settings.onError(`${partitionKey(task.inbox)} is read again`, error)
    this.#membership?.start(task.rewind())
  }

  /** Commits what the tasks have folded. False when it failed: then nothing of it counts, and the tasks are restored. */
  async #commit(
    membership: Membership,
    assignment: Assignment,
    sealing: Promise<readonly Sealed[]>,
    records: number,
  ): Promise<boolean> {
    const { clock, onCommit } = this.#settings
    const began = clock.mono()
    const sealed = await sealing
    // Given out anew meanwhile, a task that is sealed is restored; nothing of it has been sent.
    if (sealed.length === 0 || this.#tasks.assignment !== assignment) return true
    let ends: Map<string, number>
    try {
      ends = await this.#transact(membership, assignment, sealed)
    } catch (error) {
      if (error instanceof LogError && error.code === 'closed') {
        this.#commitFailure = messageOf(error)
        return false
      }
      const fenced = error instanceof LogError && error.code === 'fenced'
      this.#failed(fenced ? 'the tasks have moved to another member' : 'a transaction failed; its tasks are restored', error)
      return false
    }
    // The tasks were given out anew while the commit was on its way: whoever restores them finds it in the changelog.
    if (this.#tasks.assignment !== assignment) return true
    const started: [Task, Startable][] = []
    for (const { task } of sealed) {
      for (const startable of task.applied(ends.get(partitionKey(task.changelog)), clock.now(), clock.mono()))
        started.push([task, startable])
      this.#tasks.wentWell(task)
      if (task.state === 'STOPPED') this.#tasks.stoppedByPoison(task)
      else this.#tasks.settle(task)
    }
    this.#store()
    for (const [task, startable] of started) this.#effects.start(task, startable)
    this.#backoff.reset()
    this.#commitFailure = null
    const ended = clock.mono()
    this.#restsUntil = ended + Math.min(ended - began, LONGEST_REST)
    onCommit(records, ended - began)
    return true
  }

  /** What is committed goes to the stores of all tasks at a time, so that it is one write for them; what is urgent goes alone. */
  #store(): void {
    const tasks = this.#tasks.running()
    const mono = this.#settings.clock.mono()
    const waiting = tasks.reduce((bytes, { writer }) => bytes + writer.bytes, 0)
    const all = waiting >= WAITING_BYTES || tasks.some(({ writer }) => writer.due(mono))
    for (const { writer } of tasks) if (all || writer.urgent) writer.flush()
  }

  /** One task after the other, with other work in between. One that cannot be sealed is restored; the others go on. Never rejects. */
  async #seal(assignment: Assignment, dirty: readonly Task[]): Promise<Sealed[]> {
    const sealed: Sealed[] = []
    const { clock, newId } = this.#settings
    for (const task of dirty) {
      await clock.turn?.()
      if (this.#tasks.assignment !== assignment) break
      // It has failed meanwhile: what it has folded may be no whole.
      if (task.state !== 'RUNNING') continue
      try {
        sealed.push({ task, ...task.seal(newId()) })
      } catch (error) {
        this.#tasks.fail(task, error)
      }
    }
    return sealed
  }

  async #transact(membership: Membership, assignment: Assignment, sealed: readonly Sealed[]): Promise<Map<string, number>> {
    const transaction = membership.begin(assignment)
    let at = sealed[0]?.task as Task
    try {
      for (const { task, appends } of sealed) {
        at = task
        for (const append of appends) transaction.append(append)
      }
      transaction.offsets(sealed.map(({ task, next }) => ({ ...task.inbox, offset: next })))
    } catch (error) {
      await transaction.abort()
      const refused = error instanceof LogError && (error.code === 'too_large' || error.code === 'no_topic')
      // The same would come of it again: it stands still, and the others go on without it.
      if (refused) this.#tasks.stop(at, `what it writes cannot be appended: ${messageOf(error)}`)
      throw error
    }
    return transaction.commit()
  }

  /** A transaction has failed: every task goes back to what the log says, the later the more often it fails. */
  #failed(what: string, error: unknown): void {
    this.#commitFailure = messageOf(error)
    this.#settings.onError(what, error)
    this.#tasks.failAll(this.#backoff.next(), `${what}: ${messageOf(error)}`)
  }

  /**
   * What an earlier owner left open is judged once the effect's time is over. The judgement is a record of the inbox, so that
   * whatever the inbox already held comes before it: a result that was there makes it void.
   */
  #judge(task: Task): void {
    const judgement = this.#judgements.get(task)
    if (judgement === undefined) return
    const { clock } = this.#settings
    const waiting: (Startable & { owner: string })[] = []
    for (const attempt of judgement.open) {
      if (this.#effects.has(attempt) || !task.isOpen(attempt)) continue
      const effect = task.definition.effects?.[attempt.effect]
      const { timeoutMs, retry } = effect ?? { timeoutMs: RETIRED_TIMEOUT_MS, retry: 'never' }
      const over = this.#membership?.exclusive === true || clock.mono() - judgement.since >= timeoutMs
      if (!over) {
        waiting.push(attempt)
        continue
      }
      const { key, effect: name, start } = attempt
      const outcome = task.neverLeft(attempt) ? 'RELEASED' : retry === 'idempotent' ? 'RETRY' : 'UNKNOWN'
      const reason = 'the worker that started it is gone'
      task.append(key, 'EffectEnded', { attempt: attempt.attempt, effect: name, start, outcome, reason })
    }
    if (waiting.length === 0) this.#judgements.delete(task)
    else this.#judgements.set(task, { ...judgement, open: waiting })
  }
}

/** Ranges as they were handed over, and the lives of their tasks then. */
interface Handed {
  readonly ranges: readonly Polled[]
  readonly lives: ReadonlyMap<Task, number>
}

const NOTHING: Handed = { ranges: [], lives: new Map() }

interface Sealed extends ReturnType<Task['seal']> {
  readonly task: Task
}

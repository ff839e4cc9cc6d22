/**
 * A worker owns tasks and runs one cycle at a time: take what has arrived for all of them, fold it into an overlay, commit one
 * transaction for the whole worker, then write the overlay to the state stores and start the effects. While a transaction is on its way,
 * the next cycle already takes and folds; it commits after the one before it.
 *
 *   poll ─▶ fold ─▶ (the last commit has ended) ─▶ timers, orphaned attempts ─▶ seal ─▶ begin, append, offsets, commit ─▶ store ─▶ effects
 *                                  └─ failed: drop the overlays, restore
 *
 * A failure concerns one record (it is poison), one partition (it waits), one task (it is restored, or halted), or all of them; what
 * becomes of tasks is in `tasks.ts`.
 */
import { type Assignment, LogError, type Membership, partitionKey, type TopicPartition } from '../topics/log.ts'
import { Backoff } from './backoff.ts'
import { Budget } from './budget.ts'
import { Effects } from './effects.ts'
import { messageOf } from './errors.ts'
import type { Startable, Task } from './task.ts'
import { Tasks } from './tasks.ts'
import { Housekeeping } from './worker/housekeeping.ts'
import { Intake, type Polls, SMALL_BATCH } from './worker/intake.ts'
import { OrphanedAttempts } from './worker/orphaned-attempts.ts'
import { withDefaults, type WorkerSettings, type WorkerStatus } from './worker/settings.ts'
import { type Sealed, Transactions } from './worker/transactions.ts'

export type { TaskStatus } from './tasks/assigned-tasks.ts'
export type { WorkerSettings, WorkerStatus } from './worker/settings.ts'

/** Folding blocks the process for at most so long at a time, and so long per transaction. */
const FOLD_SLICE_MS = 20
const FOLD_TRANSACTION_MS = 300
/** Consecutive transactions of small batches are spaced by the time the last commit took, at most by this. */
const MAX_PACING_MS = 5
const MAX_TIMERS_PER_CYCLE = 500
const FIRST_RETRY_MS = 100
const MAX_RETRY_MS = 10_000
/** How long running effects may take to finish when the worker stops. */
const DRAIN_MS = 10_000

export class Worker {
  readonly #settings: Required<WorkerSettings>
  readonly #effects: Effects
  readonly #tasks: Tasks
  readonly #intake: Intake
  readonly #transactions: Transactions
  readonly #orphans: OrphanedAttempts
  readonly #housekeeping: Housekeeping
  readonly #joined = Promise.withResolvers<Membership>()
  #membership: Membership | null = null
  readonly #stopping = new AbortController()
  #started: Promise<void> = Promise.resolve()
  #stopped: Promise<void> | null = null
  #revoked = false
  #cycle: Promise<void> = Promise.resolve()
  /** The transaction that is on its way. False if it failed. */
  #committing: Promise<boolean> = Promise.resolve(true)
  /** No cycle begins before it has resolved. */
  #fencing: Promise<void> = Promise.resolve()
  #loop: Promise<void> = Promise.resolve()
  readonly #backoff: Backoff
  /** Monotonic ms of the last cycle that succeeded. */
  #lastCycle = 0
  /** Why the last cycle failed, and the last transaction. */
  #cycleFailure: string | null = null
  #commitFailure: string | null = null
  /** Monotonic ms until when a small batch waits for more. */
  #nextCommitAt = 0

  constructor(settings: WorkerSettings) {
    this.#settings = withDefaults(settings)
    const { clock, random } = this.#settings
    this.#backoff = new Backoff(FIRST_RETRY_MS, MAX_RETRY_MS, random)
    this.#tasks = new Tasks({
      ...this.#settings,
      joined: this.#joined.promise,
      fence: () => this.#fence(),
      committed: () => this.#committing,
      restored: (task, since) => this.#orphans.found(task, since),
    })
    this.#effects = new Effects({
      ...this.#settings,
      owned: inbox =>
        this.#revoked || this.task(inbox) === undefined ? null : (this.#tasks.assigned.assignment?.generation ?? null),
      isOpen: (inbox, startable) => this.task(inbox)?.isOpen(startable) ?? false,
      lease: () => this.#membership?.lease() ?? 0,
    })
    this.#intake = new Intake(this.#settings, this.#tasks)
    this.#transactions = new Transactions(this.#settings, this.#tasks)
    const exclusive = () => this.#membership?.exclusive === true
    this.#orphans = new OrphanedAttempts({ clock, exclusive, runs: attempt => this.#effects.has(attempt) })
    this.#housekeeping = new Housekeeping(clock, this.#tasks)
  }

  start(): Promise<void> {
    this.#started = this.#start()
    return this.#started
  }

  async #start(): Promise<void> {
    const { log, group, instance, actors, clock, onAssigned } = this.#settings
    this.#lastCycle = clock.mono()
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

  /** Drains: starts nothing new, lets what runs finish, and gives the tasks back. */
  stop(): Promise<void> {
    this.#stopped ??= this.#stop()
    return this.#stopped
  }

  async #stop(): Promise<void> {
    this.#stopping.abort()
    this.#membership?.wake()
    this.#tasks.drain()
    await this.#started.catch(() => {}) // its caller gets the error
    await this.#effects.drain(DRAIN_MS)
    await this.#loop
    await this.#committing
    await this.#tasks.assigned.close()
    await this.#membership?.leave()
  }

  status(): WorkerStatus {
    return {
      assigned: this.#tasks.assigned.assignment !== null && !this.#revoked,
      tasks: this.#tasks.assigned.status(),
      effects: this.#effects.size,
      cycleAgeMs: this.#settings.clock.mono() - this.#lastCycle,
      failing: this.#commitFailure ?? this.#cycleFailure,
    }
  }

  task(inbox: TopicPartition): Task | undefined {
    return this.#tasks.assigned.get(inbox)
  }

  async #revoke(): Promise<void> {
    this.#revoked = true
    this.#membership?.wake()
    await this.#ended()
  }

  /** Resolves once nothing is being folded or committed. */
  async #ended(): Promise<void> {
    await this.#cycle.catch(() => {}) // the loop reports it
    await this.#committing
  }

  /** Between cycles, so that it ends only transactions whose outcome is unknown. */
  async #fence(): Promise<void> {
    const before = this.#fencing
    const fenced = (async () => {
      const membership = await this.#joined.promise
      await before
      await this.#ended()
      await membership.fence()
    })()
    this.#fencing = fenced.catch(() => {}) // the caller gets the error
    await fenced
  }

  async #run(membership: Membership): Promise<void> {
    const { clock, onError, random } = this.#settings
    const backoff = new Backoff(FIRST_RETRY_MS, MAX_RETRY_MS, random)
    while (!this.#stopping.signal.aborted) {
      try {
        await this.#nextCycle(membership)
        this.#cycleFailure = null
        if (this.#commitFailure === null) this.#lastCycle = clock.mono()
        backoff.reset()
      } catch (error) {
        if (this.#stopping.signal.aborted) return
        this.#cycleFailure = messageOf(error)
        onError('worker cycle failed', error)
        if (error instanceof LogError && error.code === 'closed') return
        await clock.sleep(backoff.next(), this.#stopping.signal)
      }
    }
  }

  async #nextCycle(membership: Membership): Promise<void> {
    const polls = await this.#intake.next(membership)
    await this.#fencing
    const { assignment } = this.#tasks.assigned
    // What was polled is read again by the tasks' new owner.
    if (this.#revoked || this.#stopping.signal.aborted || assignment === null) return
    this.#cycle = this.#runCycle(membership, assignment, polls)
    await this.#cycle
    this.#housekeeping.flush()
    this.#housekeeping.tidy()
  }

  async #runCycle(membership: Membership, assignment: Assignment, polls: Polls): Promise<void> {
    const { clock, transactionBytes } = this.#settings
    const { assigned } = this.#tasks
    const budget = new Budget(clock, { sliceMs: FOLD_SLICE_MS, ms: FOLD_TRANSACTION_MS, bytes: transactionBytes })
    const current = () => assigned.assignment === assignment && !this.#revoked && !this.#stopping.signal.aborted
    let folded = await this.#intake.foldAll(membership, polls, budget, current)
    if (!current()) return
    await this.#committing
    if (folded < SMALL_BATCH && !this.#intake.hasLeft) {
      // What arrived during the last commit, and for a moment after it, goes into this one.
      const rest = this.#nextCommitAt - clock.mono()
      if (rest > 0) await clock.sleep(rest)
      folded += this.#intake.fold(membership, await this.#intake.poll(membership, SMALL_BATCH, 0), budget)
    }
    for (const task of assigned.running()) await this.#housekeeping.waitForStore(task)
    for (const task of assigned.running()) this.#beforeCommit(task)
    const dirty = assigned.running().filter(t => t.dirty)
    if (assigned.assignment !== assignment) return
    if (dirty.length === 0) {
      // All tasks run again and nothing waits to be committed: the failure is over.
      if (assigned.allRun) this.#commitFailure = null
      return
    }
    const sealing = this.#transactions.seal(assignment, dirty)
    this.#committing = this.#commit(membership, assignment, sealing, folded).catch(error => {
      this.#failed('applying a commit failed', error)
      return false
    })
    // What comes next is folded on top of what is sealed.
    await sealing
  }

  /** Due timers and orphaned attempts go into the transaction. */
  #beforeCommit(task: Task): void {
    try {
      if (task.writer.failure !== null) throw task.writer.failure
      task.fireTimers(this.#settings.clock.now(), MAX_TIMERS_PER_CYCLE)
      this.#orphans.resolve(task)
      this.#tasks.halts.settle(task)
    } catch (error) {
      this.#tasks.recovery.fail(task, error)
    }
  }

  /** Commits what the tasks have folded. False if it failed: then nothing of it counts, and the tasks are restored. */
  async #commit(
    membership: Membership,
    assignment: Assignment,
    sealing: Promise<readonly Sealed[]>,
    records: number,
  ): Promise<boolean> {
    const { clock, onCommit } = this.#settings
    const { assigned } = this.#tasks
    const began = clock.mono()
    const sealed = await sealing
    // After a rebalance meanwhile the sealed tasks are restored; nothing of them has been sent.
    if (sealed.length === 0 || assigned.assignment !== assignment) return true
    let ends: Map<string, number>
    try {
      ends = await this.#transactions.commit(membership, assignment, sealed)
    } catch (error) {
      if (error instanceof LogError && error.code === 'closed') {
        this.#commitFailure = messageOf(error)
        return false
      }
      const fenced = error instanceof LogError && error.code === 'fenced'
      this.#failed(fenced ? 'the tasks have moved to another member' : 'a transaction failed; its tasks are restored', error)
      return false
    }
    // A rebalance happened during the commit: the new owner restores this transaction from the changelog.
    if (assigned.assignment !== assignment) return true
    const started: [Task, Startable][] = []
    for (const { task } of sealed) {
      for (const startable of task.commitApplied(ends.get(partitionKey(task.changelog)), clock.now(), clock.mono()))
        started.push([task, startable])
      this.#tasks.recovery.succeeded(task)
      if (task.state === 'STOPPED') this.#tasks.halts.halted(task)
      else this.#tasks.halts.settle(task)
    }
    this.#housekeeping.flush()
    for (const [task, startable] of started) this.#effects.start(task, startable)
    this.#backoff.reset()
    this.#commitFailure = null
    const ended = clock.mono()
    this.#nextCommitAt = ended + Math.min(ended - began, MAX_PACING_MS)
    onCommit(records, ended - began)
    return true
  }

  /** A transaction has failed: every task goes back to what the log says, after a pause that grows with each failure. */
  #failed(what: string, error: unknown): void {
    this.#commitFailure = messageOf(error)
    this.#settings.onError(what, error)
    this.#tasks.recovery.failAll(this.#backoff.next(), `${what}: ${messageOf(error)}`)
  }
}

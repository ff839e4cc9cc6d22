/**
 * The tasks that the group has given to a worker: opened, restored, kept waiting, stopped, given back. Whatever fails concerns as
 * few of them as it can, is tried again ever more slowly, and says so meanwhile.
 *
 *   assign ─▶ open ─▶ restore ─▶ start          hold: the partition waits (a schema, its store) while the others go on
 *                        ▲  │                   fail: what is in memory is dropped, once the commit on its way has ended
 *              decision ─┘  └─▶ stands still
 */
import { changelog as changelogOf } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import {
  type Assignment,
  type Log,
  LogError,
  type Membership,
  partitionKey,
  type Position,
  type TopicPartition,
} from '../topics/log.ts'
import type { ActorDefinition } from './actor.ts'
import { Backoff } from './backoff.ts'
import type { CacheBudget } from './generational-cache.ts'
import type { Clock } from './clock.ts'
import { Corrupted, Fatal, messageOf, Retryable } from './errors.ts'
import { answering, type LookupsOf } from './lookups.ts'
import { reserved } from './changelog.ts'
import { restore } from './restore.ts'
import { WriterSchemas } from './writer-schemas.ts'
import type { StateStore, StateStores } from './store.ts'
import { Task } from './task.ts'

export interface TasksSettings {
  readonly log: Log
  readonly codec: Codec
  /** What answers look-ups, by actor and name. */
  readonly lookups: Readonly<Record<string, LookupsOf>>
  readonly actors: readonly ActorDefinition[]
  readonly openStore: (actor: string, partition: number) => Promise<StateStore>
  readonly stores: Pick<StateStores, 'list' | 'drop'> | null
  readonly codeVersion: string
  readonly clock: Clock
  readonly random: () => number
  readonly cache: CacheBudget
  readonly maxCheckpointAge: number
  readonly newId: () => string
  readonly onError: (what: string, error: unknown) => void
  readonly onLost: (error: Error) => void
  readonly joined: Promise<Membership>
  /** Fences earlier producers, between two cycles. */
  readonly fence: () => Promise<void>
  /** Resolves once the transaction that is on its way has ended. */
  readonly committed: () => Promise<unknown>
  /** A task runs from now on; `since` is when it was assigned, monotonic ms. */
  readonly restored: (task: Task, since: number) => void
}

export interface TaskStatus extends TopicPartition {
  readonly actor: string
  readonly state: Task['state']
  readonly position: number
  /** Why it stands still until a person or other code comes; null while it does not. */
  readonly stopped: string | null
  /** Why it does not go on at present, though it is tried again by itself; null while it goes on. */
  readonly waits: string | null
}

/** A partition of the assignment. */
interface Given {
  readonly at: TopicPartition
  readonly definition: ActorDefinition
  readonly backoff: Backoff
  task: Task | null
  waits: string | null
  /** What its store holds is made anew from the changelog. */
  distrusted: boolean
  /** How often the cluster did not look as the task had left it. */
  doubts: number
}

/** Tasks restored side by side: one reads while another writes. */
const RESTORES_AT_ONCE = 4
const PAUSE = { first: 100, most: 10_000 }
/** The end of a partition may lag for a moment behind what was read of it, when its leader has moved. */
const MAY_PASS: ReadonlySet<string> = new Set(['beyond', 'rolled_back', 'no_changelog'])
const DOUBTS = 3
/** An error without a name, so often in a row, may come of the local store. */
const DISTRUSTED_AFTER = 4
/** How often somebody looks whether a person has decided, ms. */
const WATCH_MS = 500
const LOOK_BYTES = 64 * 1024
/** A task that has moved away may come back; later its store is removed, ms. */
const KEEP_STORES_MS = 60 * 60 * 1000

export class Tasks {
  readonly #settings: TasksSettings
  readonly #stores = new Map<string, StateStore>()
  #given = new Map<string, Given>()
  #assignment: Assignment | null = null
  /** Aborted when the assignment moves on: nobody pauses any longer. */
  #moving = new AbortController()
  #closing = false
  /** Restores that are under way: what they write has to land before the next one restores. */
  readonly #restoring = new Set<Promise<void>>()
  /** The tasks of earlier assignments are kept or closed: one assignment may come while that of another is still going on. */
  #takenOver: Promise<void> = Promise.resolve()
  readonly #work = new Set<Promise<void>>()
  /** Tasks that failed, until the commit on its way has ended. */
  readonly #failing = new Set<Task>()
  /** Tasks whose partition waits, and the life of the task that does. */
  readonly #held = new WeakMap<Task, number>()
  /** What may take away the cause of a stop by itself. */
  readonly #cures = new WeakMap<Task, () => Promise<void>>()
  /** Since when a task of this folder has lived elsewhere, monotonic ms. */
  readonly #away = new Map<string, number>()

  constructor(settings: TasksSettings) {
    this.#settings = settings
  }

  get assignment(): Assignment | null {
    return this.#assignment
  }

  get(at: TopicPartition): Task | undefined {
    return this.#given.get(partitionKey(at))?.task ?? undefined
  }

  running(): Task[] {
    const running: Task[] = []
    for (const { task } of this.#given.values()) if (task?.state === 'RUNNING') running.push(task)
    return running
  }

  get allRun(): boolean {
    for (const { task } of this.#given.values()) if (task?.state !== 'RUNNING') return false
    return true
  }

  status(): TaskStatus[] {
    return [...this.#given.values()].map(({ at, definition, task, waits }) => ({
      ...at,
      actor: definition.name,
      state: task?.state ?? 'CREATED',
      position: task?.position ?? 0,
      stopped: task?.stopped?.cause ?? null,
      waits: task?.state === 'STOPPED' ? null : waits,
    }))
  }

  // Given and taken

  assign(assignment: Assignment): void {
    const last = this.#assignment
    const former = this.#given
    this.#assignment = assignment
    this.#moving.abort()
    this.#moving = new AbortController()
    this.#failing.clear()
    this.#given = new Map()
    for (const at of assignment.partitions) {
      const definition = this.#settings.actors.find(a => a.inbox.name === at.topic)
      if (definition !== undefined) this.#given.set(partitionKey(at), this.#giveOut(at, definition))
    }
    // Nobody else can have had a task in between.
    const goesOn = last !== null && last.member === assignment.member && assignment.generation === last.generation + 1
    const before = this.#takenOver
    const takingOver = before.then(() => this.#takeOver(assignment, former, goesOn))
    this.#takenOver = takingOver.then(
      () => {},
      () => {},
    )
    this.#track(async () => {
      const retained = await takingOver
      const tasks: Task[] = []
      for (const given of this.#given.values()) {
        if (this.#assignment !== assignment) return
        given.task ??= await this.#open(given)
        if (given.task === null) this.#track(() => this.#openLater(assignment, given))
        else tasks.push(given.task)
      }
      await this.#restore(assignment, tasks, true, retained)
    })
    this.sweep()
  }

  /** Ends what is under way of it, and all tasks. */
  async close(): Promise<void> {
    this.#closing = true
    this.#moving.abort()
    await Promise.all(this.#work)
    for (const { task } of this.#given.values()) await task?.close()
  }

  /** Running tasks take nothing more. */
  drain(): void {
    for (const task of this.running()) task.state = 'DRAINING'
  }

  #giveOut(at: TopicPartition, definition: ActorDefinition): Given {
    const backoff = new Backoff(PAUSE.first, PAUSE.most, this.#settings.random)
    return { at, definition, backoff, task: null, waits: null, distrusted: false, doubts: 0 }
  }

  /** Those that go on here are kept; what the others, and restores that were broken off, still write has to land first. */
  async #takeOver(assignment: Assignment, former: ReadonlyMap<string, Given>, goesOn: boolean): Promise<ReadonlySet<Task>> {
    await Promise.all(this.#restoring)
    const retained = new Set<Task>()
    const closing: Promise<void>[] = []
    for (const [key, { task }] of former) {
      if (task === null) continue
      const given = this.#given.get(key)
      const keeps = goesOn && this.#assignment === assignment
      if (keeps && given !== undefined && task.state === 'RUNNING' && !task.committing) {
        task.state = 'RESTORING'
        given.task = task
        retained.add(task)
      } else closing.push(task.close())
    }
    await Promise.all(closing)
    return retained
  }

  /** Null when its store cannot be opened now. */
  async #open(given: Given): Promise<Task | null> {
    const { at, definition } = given
    const { codec, codeVersion, openStore, cache, onError, lookups: all } = this.#settings
    const name = `${definition.name}/${at.partition}`
    try {
      const store = this.#stores.get(name) ?? (await openStore(definition.name, at.partition))
      this.#stores.set(name, store)
      const { partition } = at
      const changelog = changelogOf(definition.name, definition.inbox)
      const lookup = answering(definition, partition, { codec, onError, lookups: all[definition.name] ?? {} })
      return new Task({ definition, changelog, partition, codec, store, codeVersion, cache, lookup }, new WriterSchemas())
    } catch (error) {
      this.#lookForLoss(error)
      given.waits = `its store cannot be opened: ${messageOf(error)}`
      onError(`${partitionKey(at)}: its store cannot be opened; trying again`, error)
      return null
    }
  }

  async #openLater(assignment: Assignment, given: Given): Promise<void> {
    while (given.task === null) {
      await this.#pause(given.backoff.next())
      if (!this.#holds(assignment)) return
      given.task = await this.#open(given)
    }
    await this.#restore(assignment, [given.task], false)
  }

  // Restoring

  /** Fence first, then stable offsets, then the changelogs; each task starts as soon as it is restored. */
  async #restore(
    assignment: Assignment,
    tasks: readonly Task[],
    fence: boolean,
    retained: ReadonlySet<Task> = new Set(),
  ): Promise<void> {
    const { clock, joined, onError } = this.#settings
    const since = clock.mono()
    const lives = new Map(tasks.map(task => [task, task.lives]))
    const left = () => tasks.filter(task => this.#holds(assignment) && task.lives === lives.get(task))
    const backoff = new Backoff(PAUSE.first, PAUSE.most, this.#settings.random)
    let committed: Position[] | null = null
    while (committed === null) {
      if (left().length === 0) return
      try {
        const membership = await joined
        if (fence) await this.#settings.fence()
        committed = await membership.committed(left().map(t => t.inbox))
      } catch (error) {
        if (!this.#holds(assignment)) return
        for (const task of left()) this.#waits(task, `the log does not answer: ${messageOf(error)}`)
        onError('tasks cannot be restored; trying again', error)
        await this.#pause(backoff.next())
      }
    }
    const positions = new Map(committed.map(p => [partitionKey(p), p]))
    await eachOf(left(), RESTORES_AT_ONCE, task => {
      return this.#restoreOne(assignment, task, positions.get(partitionKey(task.inbox)), since, retained.has(task))
    })
  }

  async #restoreOne(
    assignment: Assignment,
    task: Task,
    committed: Position | undefined,
    since: number,
    retained: boolean,
  ): Promise<void> {
    const given = this.#givenOf(task)
    const { log, codec, clock, newId, maxCheckpointAge, joined } = this.#settings
    const life = task.lives
    const assertCurrent = () => {
      if (!this.#holds(assignment) || task.lives !== life) throw new MovedOn()
    }
    if (given === null) return
    try {
      const membership = await joined
      assertCurrent()
      if (retained && (await this.#unchanged(task, committed))) {
        assertCurrent()
        task.retain()
      } else {
        assertCurrent()
        task.state = 'RESTORING'
        const turn = clock.turn ?? (async () => {})
        const { writerSchemas } = task
        const { distrusted } = given
        const restoring = task.written().then(() =>
          restore({
            log,
            codec,
            writerSchemas,
            task,
            committed,
            wallClock: clock.now,
            maxCheckpointAge,
            distrusted,
            newId,
            turn,
            assertCurrent,
          }),
        )
        const landed = restoring.then(
          () => {},
          () => {},
        )
        this.#restoring.add(landed)
        void landed.then(() => this.#restoring.delete(landed))
        await restoring
      }
      if (!this.#holds(assignment)) return
      given.waits = null
      if (task.stopped !== null) {
        this.#standsStill(assignment, task)
        return
      }
      this.#settings.restored(task, since)
      membership.start(task.rewind())
      membership.wake()
    } catch (error) {
      if (error instanceof MovedOn || !this.#holds(assignment)) return
      const passing = await this.#stillMoves(task, committed, error)
      if (!this.#holds(assignment) || (passing !== null && task.lives !== life)) return
      this.#notRestored(assignment, given, task, passing ?? error)
    }
  }

  /**
   * An offset that goes on moving is committed by whoever has been given the task meanwhile, which this member has yet to hear of.
   * Null where nobody commits: then a person has moved it.
   */
  async #stillMoves(task: Task, committed: Position | undefined, error: unknown): Promise<Retryable | null> {
    if (!(error instanceof Fatal) || error.code !== 'moved') return null
    try {
      const [now] = await (await this.#settings.joined).committed([task.inbox])
      return now?.offset === committed?.offset ? null : new Retryable('moving', error.message, { cause: error })
    } catch (cause) {
      return new Retryable('moving', messageOf(cause), { cause })
    }
  }

  /** What needs a person stops the task; all else is tried again, outside the lane that restores others. */
  #notRestored(assignment: Assignment, given: Given, task: Task, error: unknown): void {
    this.#lookForLoss(error)
    const passes = error instanceof Fatal && MAY_PASS.has(error.code) && ++given.doubts <= DOUBTS
    if ((error instanceof Fatal && !passes) || !this.#distrust(given, error)) {
      this.#stop(assignment, task, messageOf(error))
      return
    }
    task.state = 'RESTORING'
    this.#waits(task, `it cannot be restored: ${messageOf(error)}`)
    if (!(error instanceof Retryable && error.code === 'moving'))
      this.#settings.onError(`${partitionKey(task.inbox)}: it cannot be restored; trying again`, error)
    const life = task.lives
    this.#track(async () => {
      await this.#pause(given.backoff.next())
      if (this.#holds(assignment) && task.lives === life) await this.#restore(assignment, [task], false)
    })
  }

  /** A store with something damaged in it is made anew, once. False when it was, and that has not helped. */
  #distrust(given: Given, error: unknown): boolean {
    const damaged = error instanceof Corrupted && error.code !== 'discontinuity'
    if (damaged && given.distrusted) return false
    if (damaged || given.backoff.failures >= DISTRUSTED_AFTER) given.distrusted = true
    return true
  }

  /** The committed offset is the one that this task wrote, and its changelog has no record behind its own. */
  async #unchanged(task: Task, committed: Position | undefined): Promise<boolean> {
    const { log } = this.#settings
    const { changelog, changelogNext, position } = task
    if (committed?.offset !== position) return false
    const high = (await log.ends(changelog.topic)).find(e => e.partition === changelog.partition)?.high ?? 0
    if (high < changelogNext) return false
    for (let at = changelogNext; at < high; ) {
      const { records, next } = await log.read(changelog, at, { wait: 1_000 })
      if (records.length > 0) return false
      at = next
    }
    return true
  }

  // What goes wrong

  /** A transaction of this task has been committed. */
  wentWell(task: Task): void {
    const given = this.#givenOf(task)
    if (given === null) return
    given.backoff.reset()
    given.distrusted = false
    given.doubts = 0
  }

  /** The partition cannot be read at present, or can be again (null). */
  unreadable(task: Task, error: LogError | null): void {
    const given = this.#givenOf(task)
    if (given === null) return
    const { onError } = this.#settings
    if (error?.code === 'gap') {
      task.halt(`${error.message}. Bring the records back, or decide to accept from an offset that is there`)
    } else if (error !== null) onError(`${partitionKey(task.inbox)} cannot be read; trying again`, error)
    given.waits = error === null ? null : `it cannot be read: ${error.message}`
  }

  /**
   * Something of this task has failed: what is in its memory is dropped. A transaction of it may be on its way, so that what the log
   * says of it is asked only after that has ended.
   */
  fail(task: Task, error: unknown): void {
    const assignment = this.#assignment
    const given = this.#givenOf(task)
    if (given === null || assignment === null || task.state !== 'RUNNING') return
    this.#lookForLoss(error)
    if (error instanceof Fatal || !this.#distrust(given, error)) {
      task.halt(messageOf(error))
      this.settle(task)
      return
    }
    this.#settings.onError(`${partitionKey(task.inbox)}: restoring after an error`, error)
    this.#waits(task, messageOf(error))
    task.state = 'RESTORING'
    this.#failing.add(task)
    this.#track(async () => {
      ;(await this.#settings.joined).stop(task.inbox)
      await this.#settings.committed()
      // After a failed commit all tasks of it are restored, this one with them.
      if (!this.#failing.delete(task)) return
      task.corrupt()
      await this.#again(assignment, [task], given.backoff.next(), false)
    })
  }

  /** A transaction has failed: nothing of it counts, and every task goes back to what the log says. */
  failAll(ms: number, cause: string): void {
    const assignment = this.#assignment
    if (assignment === null) return
    const tasks = [...this.running(), ...this.#failing]
    this.#failing.clear()
    for (const task of tasks) {
      task.corrupt()
      this.#waits(task, cause)
    }
    this.#track(async () => {
      const membership = await this.#settings.joined
      for (const task of tasks) membership.stop(task.inbox)
      await this.#again(assignment, tasks, ms, true)
    })
  }

  async #again(assignment: Assignment, tasks: readonly Task[], ms: number, fence: boolean): Promise<void> {
    const lives = new Map(tasks.map(task => [task, task.lives]))
    await this.#pause(ms)
    if (!this.#holds(assignment)) return
    await this.#restore(
      assignment,
      tasks.filter(task => task.lives === lives.get(task)),
      fence,
    )
  }

  /**
   * Nothing of this partition is taken until `until` has resolved; it is called again, ever more slowly, while it rejects. What was
   * handed over and not folded is read again. `hopeless` says when a person has to come.
   */
  hold(task: Task, cause: string, until: () => Promise<void>, hopeless: (error: unknown, tries: number) => boolean): void {
    const assignment = this.#assignment
    if (assignment === null || this.#held.get(task) === task.lives) return
    task.rewind()
    const life = task.lives
    this.#held.set(task, life)
    const moved = () => !this.#holds(assignment) || task.lives !== life || task.state !== 'RUNNING'
    this.#waits(task, cause)
    this.#track(async () => {
      const membership = await this.#settings.joined
      if (moved()) return
      membership.stop(task.inbox)
      const backoff = new Backoff(PAUSE.first, PAUSE.most, this.#settings.random)
      for (;;) {
        try {
          await this.#unlessMoving(until())
          break
        } catch (error) {
          if (moved()) return
          this.#waits(task, `${cause}: ${messageOf(error)}`)
          this.#settings.onError(`${partitionKey(task.inbox)} waits: ${cause}; trying again`, error)
          if (hopeless(error, backoff.failures)) {
            task.halt(`${cause}: ${messageOf(error)}`)
            this.settle(task, until)
            return
          }
          await this.#pause(backoff.next())
        }
        if (moved()) return
      }
      if (moved()) return
      this.#held.delete(task)
      this.#waits(task, null)
      membership.start(task.rewind())
      membership.wake()
    })
  }

  /** Stops the task if it is halted and nothing of it is left to be committed. `cure`: when it resolves, the cause is gone. */
  settle(task: Task, cure?: () => Promise<void>): void {
    if (cure !== undefined) this.#cures.set(task, cure)
    const cause = task.haltedFor
    if (cause !== null && task.state === 'RUNNING' && this.#assignment !== null) this.#stop(this.#assignment, task, cause)
  }

  /** The task stands still at once; what it has not committed counts for nothing. */
  stop(task: Task, cause: string): void {
    if (this.#assignment !== null) this.#stop(this.#assignment, task, cause)
  }

  /** What has become of the stores of this process, only another one can mend. */
  #lookForLoss(error: unknown): void {
    if (error instanceof Fatal && error.code === 'store') this.#settings.onLost(error)
  }

  #stop(assignment: Assignment, task: Task, cause: string): void {
    task.stand(cause)
    this.#standsStill(assignment, task)
  }

  /** A stopped task goes on when a person has decided so: the decision is a record of its changelog. */
  stoppedByPoison(task: Task): void {
    if (this.#assignment !== null) this.#standsStill(this.#assignment, task)
  }

  #standsStill(assignment: Assignment, task: Task): void {
    const cure = this.#cures.get(task)
    this.#cures.delete(task)
    this.#settings.onError(`${partitionKey(task.inbox)} stands still`, new Fatal('stopped', task.stopped?.cause ?? ''))
    this.#track(async () => {
      ;(await this.#settings.joined).stop(task.inbox)
      await this.#untilDecided(assignment, task, cure)
    })
  }

  async #untilDecided(assignment: Assignment, task: Task, cure?: () => Promise<void>): Promise<void> {
    const { log } = this.#settings
    const life = task.lives
    const backoff = new Backoff(WATCH_MS, PAUSE.most, this.#settings.random)
    for (let at = task.changelogNext, decided = false; !decided; ) {
      try {
        await this.#pause(WATCH_MS)
        if (!this.#holds(assignment) || task.lives !== life) return
        const { records, next } = await log.read(task.changelog, at, { maxBytes: LOOK_BYTES })
        at = next
        decided = records.some(({ key, value }) => key === reserved.decision && value !== null)
        decided ||= cure !== undefined && (await cure().then(yes, no))
      } catch (error) {
        if (error instanceof LogError && error.code === 'closed') return
        await this.#pause(backoff.next())
      }
    }
    if (!this.#holds(assignment) || task.lives !== life) return
    task.corrupt()
    const given = this.#givenOf(task)
    if (given !== null) Object.assign(given, { distrusted: false, doubts: 0 })
    await this.#restore(assignment, [task], false)
  }

  // Stores of tasks that live elsewhere

  /** Removes the stores of tasks that have moved away for good, where the changelog has all that they hold. */
  sweep(): void {
    const { stores, actors, clock } = this.#settings
    const assignment = this.#assignment
    if (stores === null || assignment === null) return
    const due: { definition: ActorDefinition; partition: number }[] = []
    for (const { actor, partition } of stores.list()) {
      const definition = actors.find(a => a.name === actor)
      if (definition === undefined) continue
      const name = `${actor}/${partition}`
      if (this.#given.has(partitionKey({ topic: definition.inbox.name, partition }))) this.#away.delete(name)
      else if (!this.#away.has(name)) this.#away.set(name, clock.mono())
      else if (clock.mono() - (this.#away.get(name) as number) > KEEP_STORES_MS) due.push({ definition, partition })
    }
    for (const { definition, partition } of due) this.#track(() => this.#remove(assignment, definition, partition))
  }

  async #remove(assignment: Assignment, definition: ActorDefinition, partition: number): Promise<void> {
    const { log, openStore, stores } = this.#settings
    const name = `${definition.name}/${partition}`
    const changelog = changelogOf(definition.name, definition.inbox).name
    const store = this.#stores.get(name) ?? (await openStore(definition.name, partition))
    const high = (await log.ends(changelog)).find(e => e.partition === partition)?.high ?? 0
    if (!this.#holds(assignment) || (store.checkpoint()?.changelog ?? 0) > high) return
    await stores?.drop(definition.name, partition)
    this.#stores.delete(name)
    this.#away.delete(name)
  }

  // Odds and ends

  #holds(assignment: Assignment): boolean {
    return this.#assignment === assignment && !this.#closing
  }

  #givenOf(task: Task): Given | null {
    const given = this.#given.get(partitionKey(task.inbox))
    return given?.task === task ? given : null
  }

  #waits(task: Task, cause: string | null): void {
    const given = this.#givenOf(task)
    if (given !== null) given.waits = cause
  }

  #pause(ms: number): Promise<void> {
    return this.#settings.clock.sleep(ms, this.#moving.signal)
  }

  /** @throws {MovedOn} when the assignment moves on before the work has ended */
  #unlessMoving<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#moving
    return new Promise((resolve, reject) => {
      const moved = () => reject(new MovedOn())
      signal.addEventListener('abort', moved, { once: true })
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', moved))
    })
  }

  #track(work: () => Promise<void>): void {
    const tracked = work()
      .catch(error => this.#settings.onError('looking after tasks', error))
      .finally(() => this.#work.delete(tracked))
    this.#work.add(tracked)
  }
}

const yes = () => true
const no = () => false

/** Runs `work` for each, so many at a time. @throws the first error, once all that were begun have ended */
async function eachOf<T>(items: readonly T[], atOnce: number, work: (item: T) => Promise<void>): Promise<void> {
  const queue = items.values()
  const lane = async () => {
    for (const item of queue) await work(item)
  }
  const lanes = await Promise.allSettled(Array.from({ length: atOnce }, lane))
  for (const lane of lanes) if (lane.status === 'rejected') throw lane.reason
}

/** The assignment has moved on while restoring. */
class MovedOn extends Error {}

/**
 * A worker owns tasks and runs one cycle at a time: take what has arrived for all of them, fold it into an overlay, commit one
 * transaction for the whole worker, then write the overlay to the state stores and start the effects. While a transaction is on
 * its way, the next cycle takes and folds already; it commits when the one before it has.
 *
 *   poll ─▶ fold ─▶ (the last commit has ended) ─▶ timers, judgements ─▶ seal ─▶ begin, append, offsets, commit ─▶ store ─▶ effects
 *                                  └─ failed: drop the overlays, restore
 */
import { randomUUID } from 'node:crypto'
import { changelog as changelogOf } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import {
  type Assignment,
  type Log,
  LogError,
  type LogRecord,
  type Membership,
  partitionKey,
  type Position,
  type TopicPartition,
} from '../topics/log.ts'
import type { ActorDefinition, Port } from './actor.ts'
import { type Clock, systemClock } from './clock.ts'
import { Effects } from './effects.ts'
import { Fatal, messageOf } from './errors.ts'
import { reserved, restore } from './restore.ts'
import { SchemaBook } from './schemas.ts'
import type { StateStore } from './store.ts'
import { type Startable, Task } from './task.ts'

export interface WorkerSettings {
  readonly log: Log
  readonly codec: Codec
  readonly actors: readonly ActorDefinition[]
  /** Ports by actor and effect. */
  readonly ports: Readonly<Record<string, Readonly<Record<string, Port>>>>
  /** One group per role: every member names the same actors. */
  readonly group: string
  /** A name of this worker that it keeps over restarts. */
  readonly instance: string
  readonly openStore: (actor: string, partition: number) => Promise<StateStore>
  readonly codeVersion: string
  readonly clock?: Clock
  /** Records taken in a cycle, at most; fewer where handling them takes long. */
  readonly maxRecords?: number
  /** Decoded actors kept in memory for each task, about. */
  readonly cacheSize?: number
  readonly maxCheckpointAge?: number
  readonly newId?: () => string
  readonly onError?: (what: string, error: unknown) => void
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

export interface TaskStatus extends TopicPartition {
  readonly actor: string
  readonly state: Task['state']
  readonly position: number
  /** Why it stands still until a person or other code comes; null while it does not. */
  readonly stopped: string | null
  /** Why it does not go on at present, though it is tried again by itself; null while it goes on. */
  readonly waits: string | null
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

const IDLE_WAIT = 200
/** Folding should not keep the process from its other work for longer, ms. */
const FOLD_MS = 100
const LEAST_RECORDS = 200
/** Of fewer records than that a transaction costs far more than they do: between two of them as much time passes as one takes. */
const FEW = 100
const LONGEST_REST = 5
const RETRY_WAIT = 1_000
const TIMERS_A_CYCLE = 500
/** A state store may be this many transactions behind. */
const WRITES_AHEAD = 8
const HALF_A_DAY = 12 * 60 * 60 * 1000
/** Tasks restored side by side: one reads while another writes. */
const RESTORES_AT_ONCE = 4
const NONE: ReadonlySet<Task> = new Set()

export class Worker {
  readonly #settings: Required<WorkerSettings>
  readonly #effects: Effects
  readonly #tasks = new Map<string, Task>()
  readonly #stores = new Map<string, StateStore>()
  readonly #judgements = new Map<Task, Judgement>()
  readonly #restoring = new Set<Promise<void>>()
  #membership: Membership | null = null
  #assignment: Assignment | null = null
  #stopping = false
  #revoked = false
  #cycle: Promise<void> = Promise.resolve()
  /** The transaction that is on its way. False when it failed. */
  #committing: Promise<boolean> = Promise.resolve(true)
  /** No cycle begins before it has resolved. */
  #held: Promise<void> = Promise.resolve()
  #loop: Promise<void> = Promise.resolve()
  #lastCycle = 0
  /** Monotonic ms until when a cycle of few records waits for more. */
  #restsUntil = 0
  /** Records that can be folded in the time of a cycle, as seen lately. */
  #affordable = 5_000

  constructor(settings: WorkerSettings) {
    this.#settings = {
      clock: systemClock,
      maxRecords: 50_000,
      cacheSize: 20_000,
      maxCheckpointAge: HALF_A_DAY,
      newId: randomUUID,
      onError: () => {},
      onAssigned: () => {},
      onCommit: () => {},
      ...settings,
    }
    const { log, codec, clock, ports, onError } = this.#settings
    this.#effects = new Effects({
      log,
      codec,
      clock,
      ports,
      onError,
      owned: inbox => (this.#revoked || !this.#tasks.has(partitionKey(inbox)) ? null : (this.#assignment?.generation ?? null)),
      isOpen: (inbox, startable) => this.#tasks.get(partitionKey(inbox))?.isOpen(startable) ?? false,
      lease: () => this.#membership?.lease() ?? 0,
    })
  }

  async start(): Promise<void> {
    const { log, group, instance, actors, clock } = this.#settings
    this.#membership = await log.join({
      group,
      instance,
      topics: actors.map(a => a.inbox.name),
      revoked: () => this.#revoke(),
      assigned: assignment => this.#assign(assignment),
    })
    this.#lastCycle = clock.mono()
    this.#loop = this.#run()
  }

  /** Drains: nothing new is started, what runs may finish, and the tasks are given back. */
  async stop(): Promise<void> {
    this.#stopping = true
    this.#membership?.wake()
    for (const task of this.#tasks.values()) if (task.state === 'RUNNING') task.state = 'DRAINING'
    await this.#effects.drain(10_000)
    await this.#loop
    await this.#committing
    await Promise.all(this.#restoring)
    for (const task of this.#tasks.values()) await task.close()
    await this.#membership?.leave()
  }

  status(): WorkerStatus {
    const tasks = [...this.#tasks.values()].map(task => ({
      ...task.inbox,
      actor: task.definition.name,
      state: task.state,
      position: task.position,
      stopped: task.stopped?.cause ?? null,
      waits: null,
    }))
    const cycleAgeMs = this.#settings.clock.mono() - this.#lastCycle
    return { assigned: this.#assignment !== null && !this.#revoked, tasks, effects: this.#effects.size, cycleAgeMs, failing: null }
  }

  /** A person lets a task go on that too much poison has stopped; kept in its changelog. */
  async resume(inbox: TopicPartition): Promise<void> {
    const task = this.task(inbox)
    if (task?.state !== 'STOPPED' || this.#assignment === null) return
    await this.#settings.log.append([{ ...task.changelog, key: reserved.stop, value: null }])
    task.corrupt()
    await this.#restoreAll(this.#assignment, [task], false)
  }

  task(inbox: TopicPartition): Task | undefined {
    return this.#tasks.get(partitionKey(inbox))
  }

  // Assignment

  async #revoke(): Promise<void> {
    this.#revoked = true
    this.#membership?.wake()
    await this.#ended()
  }

  /** Nothing is being folded or committed. */
  async #ended(): Promise<void> {
    await this.#cycle.catch(() => {})
    await this.#committing
  }

  #assign(assignment: Assignment): void {
    const last = this.#assignment
    this.#assignment = assignment
    this.#revoked = false
    this.#settings.onAssigned(assignment)
    const former = new Map(this.#tasks)
    this.#tasks.clear()
    // Nobody else can have had a task in between.
    const goesOn = last !== null && last.member === assignment.member && assignment.generation === last.generation + 1
    // What an earlier assignment still writes to the stores has to land first.
    const earlier = [...this.#restoring]
    const restoring = async () => {
      await Promise.all(earlier)
      const retained = new Set<Task>()
      for (const [key, task] of former) {
        if (goesOn && task.state === 'RUNNING' && !task.committing && assignment.partitions.some(p => partitionKey(p) === key)) {
          task.state = 'RESTORING'
          retained.add(task)
        } else await task.close()
      }
      for (const at of assignment.partitions) {
        const key = partitionKey(at)
        const kept = former.get(key)
        const task = kept !== undefined && retained.has(kept) ? kept : await this.#newTask(at)
        if (this.#assignment !== assignment) return
        if (task !== null) this.#tasks.set(key, task)
      }
      await this.#restoreAll(assignment, [...this.#tasks.values()], true, retained)
    }
    this.#track(restoring())
  }

  async #newTask({ topic, partition }: TopicPartition): Promise<Task | null> {
    const { actors, codec, codeVersion, cacheSize, openStore } = this.#settings
    const definition = actors.find(a => a.inbox.name === topic)
    if (definition === undefined) return null
    const name = `${definition.name}/${partition}`
    let store = this.#stores.get(name)
    if (store === undefined) {
      store = await openStore(definition.name, partition)
      this.#stores.set(name, store)
    }
    const changelog = changelogOf(definition.name, definition.inbox)
    return new Task({ definition, changelog, partition, codec, store, codeVersion, cacheSize }, new SchemaBook())
  }

  /** Fence first, then stable offsets, then the changelogs; each task starts as soon as it is restored. */
  async #restoreAll(
    assignment: Assignment,
    tasks: readonly Task[],
    fence: boolean,
    retained: ReadonlySet<Task> = NONE,
  ): Promise<void> {
    const { clock, onError } = this.#settings
    const since = clock.mono()
    for (let left = tasks; left.length > 0; ) {
      try {
        const membership = this.#membership ?? (await this.#joined())
        if (fence) await this.#fence(membership)
        this.#still(assignment)
        const committed = await membership.committed(left.map(t => t.inbox))
        await eachOf(left, RESTORES_AT_ONCE, async task => {
          const at = committed.find(p => partitionKey(p) === partitionKey(task.inbox))
          if (retained.has(task) && (await this.#unchanged(task, at))) task.retain()
          else await this.#restoreOne(assignment, task, at)
          this.#still(assignment)
          if (task.stopped !== null) return this.#halt(task)
          this.#judgements.set(task, { since, open: task.openAttempts() })
          membership.start({ ...task.inbox, offset: task.position })
          membership.wake()
        })
        return
      } catch (error) {
        if (error instanceof MovedOn) return
        onError('tasks could not be restored; trying again', error)
        await clock.sleep(RETRY_WAIT)
        if (this.#assignment !== assignment || this.#stopping) return
        left = left.filter(t => t.state === 'CREATED' || t.state === 'RESTORING')
      }
    }
  }

  /** Between cycles, so that it ends no transaction but those whose outcome nobody knows. */
  async #fence(membership: Membership): Promise<void> {
    const before = this.#held
    const fenced = (async () => {
      await before
      await this.#ended()
      await membership.fence()
    })()
    this.#held = fenced.catch(() => {})
    await fenced
  }

  async #restoreOne(assignment: Assignment, task: Task, committed: Position | undefined): Promise<void> {
    const { log, codec, clock, newId, maxCheckpointAge } = this.#settings
    const still = () => this.#still(assignment)
    still()
    task.state = 'RESTORING'
    await task.written().catch(() => {})
    try {
      await restore({ log, codec, book: task.book, task, committed, wallClock: clock.now, maxCheckpointAge, newId, still })
    } catch (error) {
      if (!(error instanceof Fatal)) throw error
      task.stand(messageOf(error))
    }
  }

  /** The committed offset is the one that this task wrote, and its changelog has no record behind its own. */
  async #unchanged(task: Task, committed: Position | undefined): Promise<boolean> {
    const { log } = this.#settings
    const { changelog, changelogNext, position } = task
    if (committed?.offset !== position) return false
    const high = (await log.ends(changelog.topic)).find(e => e.partition === changelog.partition)?.high ?? 0
    for (let at = changelogNext; at < high; ) {
      const { records, next } = await log.read(changelog, at, { wait: 1_000 })
      if (records.length > 0) return false
      at = next
    }
    return true
  }

  #still(assignment: Assignment): void {
    if (this.#assignment !== assignment || this.#stopping) throw new MovedOn()
  }

  async #joined(): Promise<Membership> {
    while (this.#membership === null) await this.#settings.clock.sleep(1)
    return this.#membership
  }

  #track(work: Promise<void>): void {
    const tracked = work.catch(error => this.#settings.onError('restoring', error)).finally(() => this.#restoring.delete(tracked))
    this.#restoring.add(tracked)
  }

  // The cycle

  async #run(): Promise<void> {
    const { clock, maxRecords, onError } = this.#settings
    const membership = this.#membership as Membership
    while (!this.#stopping) {
      this.#lastCycle = clock.mono()
      try {
        const max = Math.min(maxRecords, this.#affordable)
        const records = await membership.poll({ max, wait: this.#wait() })
        const lives = this.#lives()
        await this.#held
        const assignment = this.#assignment
        if (this.#revoked || this.#stopping || assignment === null) continue
        this.#cycle = this.#once(membership, assignment, records, lives)
        await this.#cycle
      } catch (error) {
        if (this.#stopping || (error instanceof LogError && error.code === 'closed')) return
        onError('cycle', error)
        await clock.sleep(RETRY_WAIT)
      }
    }
  }

  /** How long a poll may wait: until the next timer, and not for ever. */
  #wait(): number {
    const now = this.#settings.clock.now()
    let wait = IDLE_WAIT
    for (const task of this.#tasks.values()) {
      if (task.state !== 'RUNNING') continue
      const next = task.store.nextDue()
      if (next !== null && next > now) wait = Math.min(wait, next - now)
    }
    return wait
  }

  /** What was just polled belongs to these lives of the tasks: one that is restored meanwhile gets its records anew. */
  #lives(): ReadonlyMap<Task, number> {
    return new Map([...this.#tasks.values()].filter(t => t.state === 'RUNNING').map(t => [t, t.lives]))
  }

  async #once(
    membership: Membership,
    assignment: Assignment,
    records: readonly LogRecord[],
    lives: ReadonlyMap<Task, number>,
  ): Promise<void> {
    const { clock } = this.#settings
    let folded = records.length
    await this.#fold(records, lives)
    await this.#committing
    if (folded < FEW) {
      // What comes while the last transaction is on its way, and a moment after it, goes into this one.
      const rest = this.#restsUntil - clock.mono()
      if (rest > 0) await clock.sleep(rest)
      const more = await membership.poll({ max: FEW, wait: 0 })
      folded += more.length
      await this.#fold(more, this.#lives())
    }
    const running = [...this.#tasks.values()].filter(t => t.state === 'RUNNING')
    for (const task of running) {
      if (task.writing > WRITES_AHEAD) await task.written()
      task.fireTimers(clock.now(), TIMERS_A_CYCLE)
      this.#judge(task)
    }
    const dirty = running.filter(t => t.dirty)
    if (dirty.length === 0 || this.#assignment !== assignment) return
    this.#committing = this.#commit(membership, assignment, dirty, folded).catch(error => {
      this.#settings.onError('after a commit', error)
      this.#recover(assignment, RETRY_WAIT)
      return false
    })
  }

  async #fold(records: readonly LogRecord[], lives: ReadonlyMap<Task, number>): Promise<void> {
    if (records.length === 0) return
    const { codec, clock } = this.#settings
    await codec.prepare(records)
    const began = clock.mono()
    for (const [key, batch] of byPartition(records)) {
      const task = this.#tasks.get(key)
      if (task?.state !== 'RUNNING' || lives.get(task) !== task.lives) continue
      try {
        task.fold(batch)
      } catch (error) {
        this.#stopTask(task, error)
      }
    }
    this.#measure(records.length, clock.mono() - began)
  }

  /** A cycle takes as much as can be folded in its time: what is slow to handle comes in smaller transactions, not in longer ones. */
  #measure(records: number, ms: number): void {
    if (records < LEAST_RECORDS) return
    const affordable = ms < 1 ? this.#settings.maxRecords : (records / ms) * FOLD_MS
    this.#affordable = Math.max(LEAST_RECORDS, Math.round((this.#affordable + affordable) / 2))
  }

  /** Commits what the tasks have folded. False when it failed: then nothing of it counts, and the tasks are restored. */
  async #commit(membership: Membership, assignment: Assignment, dirty: readonly Task[], records: number): Promise<boolean> {
    const { clock, onCommit } = this.#settings
    const began = clock.mono()
    let ends: Map<string, number>
    try {
      const transaction = membership.begin(assignment)
      const positions: Position[] = []
      for (const task of dirty) {
        const { appends, next } = task.seal()
        for (const append of appends) transaction.append(append)
        positions.push({ ...task.inbox, offset: next })
      }
      transaction.offsets(positions)
      ends = await transaction.commit()
    } catch (error) {
      if (error instanceof LogError && error.code === 'closed') return false
      const fenced = error instanceof LogError && error.code === 'fenced'
      this.#settings.onError(
        fenced ? 'the tasks have moved to another member' : 'a transaction failed; its tasks are restored',
        error,
      )
      this.#recover(assignment, fenced ? RETRY_WAIT : 0)
      return false
    }
    // The tasks were given out anew while the commit was on its way: whoever restores them finds it in the changelog.
    if (this.#assignment !== assignment) return true
    const started: [Task, Startable][] = []
    for (const task of dirty) {
      for (const startable of task.applied(ends.get(partitionKey(task.changelog)), clock.now())) started.push([task, startable])
      if (task.stopped !== null) this.#halt(task)
    }
    for (const [task, startable] of started) this.#effects.start(task, startable)
    const ended = clock.mono()
    this.#restsUntil = ended + Math.min(ended - began, LONGEST_REST)
    onCommit(records, ended - began)
    return true
  }

  /**
   * Overlays are dropped, and every task goes back to what the log says. Fenced may mean that the tasks have moved, or only that
   * the log gave the transaction up: where they have moved, a new assignment ends this.
   */
  #recover(assignment: Assignment, wait: number): void {
    if (this.#assignment !== assignment) return
    const tasks = [...this.#tasks.values()].filter(t => t.state === 'RUNNING')
    for (const task of tasks) {
      this.#membership?.stop(task.inbox)
      task.corrupt()
    }
    const restoring = async () => {
      if (wait > 0) await this.#settings.clock.sleep(wait)
      await this.#restoreAll(assignment, tasks, true)
    }
    this.#track(restoring())
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
      if (effect === undefined) continue
      const over = this.#membership?.exclusive === true || clock.mono() - judgement.since >= effect.timeoutMs
      const neverLeft = attempt.owner === task.store.id && !task.store.noted(attempt.attempt)
      if (!over) {
        waiting.push(attempt)
        continue
      }
      const { key, effect: name, start } = attempt
      const outcome = neverLeft ? 'RELEASED' : effect.retry === 'idempotent' ? 'RETRY' : 'UNKNOWN'
      const reason = 'the worker that started it is gone'
      task.append(key, 'EffectEnded', { attempt: attempt.attempt, effect: name, start, outcome, reason })
    }
    if (waiting.length === 0) this.#judgements.delete(task)
    else this.#judgements.set(task, { ...judgement, open: waiting })
  }

  #stopTask(task: Task, error: unknown): void {
    if (error instanceof Fatal) {
      task.stand(messageOf(error))
      this.#halt(task)
      return
    }
    this.#settings.onError(`${partitionKey(task.inbox)}: restoring after an error`, error)
    this.#membership?.stop(task.inbox)
    task.corrupt()
    if (this.#assignment !== null) this.#track(this.#restoreAll(this.#assignment, [task], false))
  }

  #halt(task: Task): void {
    this.#membership?.stop(task.inbox)
    this.#settings.onError(`${partitionKey(task.inbox)} stands still`, new Fatal('stopped', task.stopped?.cause ?? ''))
  }
}

function byPartition(records: readonly LogRecord[]): Map<string, LogRecord[]> {
  const batches = new Map<string, LogRecord[]>()
  let last: LogRecord[] = []
  let lastTopic = ''
  let lastPartition = -1
  for (const record of records) {
    if (record.topic !== lastTopic || record.partition !== lastPartition) {
      const key = partitionKey(record)
      last = batches.get(key) ?? []
      batches.set(key, last)
      lastTopic = record.topic
      lastPartition = record.partition
    }
    last.push(record)
  }
  return batches
}

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

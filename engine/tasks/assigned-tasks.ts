/** The partitions that the group has assigned to this worker, their tasks, and the work that is under way for them. */
import { type Assignment, partitionKey, type TopicPartition } from '../../topics/log.ts'
import type { ActorDefinition } from '../actor.ts'
import { Backoff } from '../backoff.ts'
import type { Clock } from '../clock.ts'
import { Corrupted } from '../errors.ts'
import type { Task } from '../task.ts'

export interface TaskStatus extends TopicPartition {
  readonly actor: string
  readonly state: Task['state']
  readonly position: number
  /** Why it is stopped until a person or other code comes; null while it is not. */
  readonly stopped: string | null
  /** Why it makes no progress at present, though it retries by itself; null while it does. */
  readonly waits: string | null
}

/** A partition of the assignment. */
export interface Slot {
  readonly at: TopicPartition
  readonly definition: ActorDefinition
  readonly backoff: Backoff
  task: Task | null
  waits: string | null
  /** Its store is rebuilt from the changelog. */
  distrusted: boolean
  /** How often the cluster did not look as the task had left it. */
  doubts: number
}

export interface AssignedTasksSettings {
  readonly clock: Clock
  readonly random: () => number
  readonly onError: (what: string, error: unknown) => void
}

const FIRST_PAUSE_MS = 100
export const MAX_PAUSE_MS = 10_000
/** So many errors of unknown kind in a row may be due to the local store. */
const DISTRUSTED_AFTER = 4

export class AssignedTasks {
  readonly #settings: AssignedTasksSettings
  #slots = new Map<string, Slot>()
  #assignment: Assignment | null = null
  /** Aborted when the assignment changes: all pauses end. */
  #changing = new AbortController()
  #closing = false
  readonly #work = new Set<Promise<void>>()

  constructor(settings: AssignedTasksSettings) {
    this.#settings = settings
  }

  get assignment(): Assignment | null {
    return this.#assignment
  }

  get slots(): ReadonlyMap<string, Slot> {
    return this.#slots
  }

  get(at: TopicPartition): Task | undefined {
    return this.#slots.get(partitionKey(at))?.task ?? undefined
  }

  running(): Task[] {
    const running: Task[] = []
    for (const { task } of this.#slots.values()) if (task?.state === 'RUNNING') running.push(task)
    return running
  }

  get allRun(): boolean {
    for (const { task } of this.#slots.values()) if (task?.state !== 'RUNNING') return false
    return true
  }

  status(): TaskStatus[] {
    return [...this.#slots.values()].map(({ at, definition, task, waits }) => ({
      ...at,
      actor: definition.name,
      state: task?.state ?? 'CREATED',
      position: task?.position ?? 0,
      stopped: task?.stopped?.cause ?? null,
      waits: task?.state === 'STOPPED' ? null : waits,
    }))
  }

  /** Replaces the assignment. Returns the former one and its slots. */
  replace(assignment: Assignment, actors: readonly ActorDefinition[]) {
    const former = { assignment: this.#assignment, slots: this.#slots }
    this.#assignment = assignment
    this.#changing.abort()
    this.#changing = new AbortController()
    this.#slots = new Map()
    for (const at of assignment.partitions) {
      const definition = actors.find(a => a.inbox.name === at.topic)
      if (definition !== undefined) this.#slots.set(partitionKey(at), this.#newSlot(at, definition))
    }
    return former
  }

  #newSlot(at: TopicPartition, definition: ActorDefinition): Slot {
    return { at, definition, backoff: this.newBackoff(), task: null, waits: null, distrusted: false, doubts: 0 }
  }

  /** Whether the assignment has not been replaced, nor given up. */
  isCurrent(assignment: Assignment): boolean {
    return this.#assignment === assignment && !this.#closing
  }

  slotOf(task: Task): Slot | null {
    const slot = this.#slots.get(partitionKey(task.inbox))
    return slot?.task === task ? slot : null
  }

  /** Why a task makes no progress; null once it does. */
  setWaits(task: Task, cause: string | null): void {
    const slot = this.slotOf(task)
    if (slot !== null) slot.waits = cause
  }

  newBackoff(firstMs = FIRST_PAUSE_MS): Backoff {
    return new Backoff(firstMs, MAX_PAUSE_MS, this.#settings.random)
  }

  /** Ends early when the assignment changes. */
  pause(ms: number): Promise<void> {
    return this.#settings.clock.sleep(ms, this.#changing.signal)
  }

  /** @throws {AssignmentChanged} if that happens before the work has ended */
  unlessChanged<T>(work: Promise<T>): Promise<T> {
    const { signal } = this.#changing
    return new Promise((resolve, reject) => {
      const changed = () => reject(new AssignmentChanged())
      signal.addEventListener('abort', changed, { once: true })
      work.then(resolve, reject).finally(() => signal.removeEventListener('abort', changed))
    })
  }

  /** Runs work that closing waits for. */
  track(work: () => Promise<void>): void {
    const tracked = work()
      .catch(error => this.#settings.onError('recovering tasks failed', error))
      .finally(() => this.#work.delete(tracked))
    this.#work.add(tracked)
  }

  /** Ends what is under way, then closes all tasks. */
  async close(): Promise<void> {
    this.#closing = true
    this.#changing.abort()
    await Promise.all(this.#work)
    for (const { task } of this.#slots.values()) await task?.close()
  }
}

/** Has the store rebuilt, once, if something in it is damaged. False if that was done and has not helped. */
export function distrust(slot: Slot, error: unknown): boolean {
  const damaged = error instanceof Corrupted && error.code !== 'discontinuity'
  if (damaged && slot.distrusted) return false
  if (damaged || slot.backoff.failures >= DISTRUSTED_AFTER) slot.distrusted = true
  return true
}

export class AssignmentChanged extends Error {}

/** A task: one partition of one actor's inbox, with the state of its keys. */
import type { TaskInbox } from '../schemas/types.ts'
import type { Codec } from '../topics/codec.ts'
import { type Append, partitionKey, type Polled, type Position, type TopicPartition } from '../topics/log.ts'
import type { ActorDefinition } from './actor.ts'
import type { Budget } from './budget.ts'
import { scopeOf } from './scope.ts'
import type { TaskScope } from './step/step.ts'
import type { StateStore } from './store.ts'
import { StoreWriter } from './store-writer.ts'
import { ChangelogWriter } from './task/changelog-writer.ts'
import { FiredTimers } from './task/fired-timers.ts'
import { Folder } from './task/folder.ts'
import { type Startable, TaskMemory } from './task/memory.ts'
import { newOverlay, type Overlay } from './task/overlay.ts'
import type { Restored, Stop, TaskSettings } from './task/settings.ts'
import { assertTransition, type TaskState } from './task/state.ts'
import type { WriterSchemas } from './writer-schemas.ts'

export type { Startable } from './task/memory.ts'
export type { TaskState } from './task/state.ts'

export class Task {
  readonly definition: ActorDefinition
  readonly inbox: TopicPartition
  readonly changelog: TopicPartition
  readonly store: StateStore
  readonly writerSchemas: WriterSchemas
  /** Next offset of the inbox to handle, as of the last commit. */
  position = 0
  /** Next offset of the changelog: what lies behind it is not in this task's memory. */
  changelogNext = 0
  /** Counts how often memory was dropped: what was fetched before belongs to an earlier epoch. */
  epoch = 0
  /** Identity of the changelog. */
  logId = ''
  /** The inbox that the state is made from. */
  inboxAs: TaskInbox = { identity: '', partitions: 0, scope: '' }
  /** Why it is in state STOPPED. */
  stopped: Stop | null = null
  #state: TaskState = 'CREATED'
  readonly #settings: TaskSettings
  readonly #codec: Codec
  readonly #changelogWriter: ChangelogWriter
  readonly #writer: StoreWriter
  readonly #memory: TaskMemory
  readonly #fired = new FiredTimers()
  readonly #folder: Folder
  /** Names the transaction that is on its way. */
  #token = ''
  #unsettled = false
  #givenUp = false

  constructor(settings: TaskSettings, writerSchemas: WriterSchemas) {
    const { definition, changelog, partition, codec, store, cache } = settings
    this.#settings = settings
    this.#codec = codec
    this.definition = definition
    this.store = store
    this.writerSchemas = writerSchemas
    this.inbox = { topic: definition.inbox.name, partition }
    this.changelog = { topic: changelog.name, partition }
    this.#changelogWriter = new ChangelogWriter(codec, definition, this.changelog)
    this.#writer = new StoreWriter(store, touched => this.#fired.written(touched))
    this.#memory = new TaskMemory(definition, store, this.#writer, writerSchemas, cache)
    const { inbox } = this
    this.#folder = new Folder({ ...settings, inbox, memory: this.#memory, changelogWriter: this.#changelogWriter })
  }

  get state(): TaskState {
    return this.#state
  }

  /** @throws if the state must not follow the present one */
  transition(to: TaskState): void {
    assertTransition(partitionKey(this.inbox), this.#state, to)
    this.#state = to
  }

  /** The restore is complete. */
  restored(to: Restored): void {
    this.position = to.position
    this.changelogNext = to.changelogNext
    this.logId = to.logId
    this.inboxAs = to.inbox
    this.#changelogWriter.restored(to)
    this.#dropMemory()
    this.#folder.restored()
    this.#writer.reset()
    this.#unsettled = to.unsettled
    this.#givenUp = to.givenUp
    this.stopped = to.stop !== null && to.stop.codeVersion === this.#settings.codeVersion ? to.stop : null
    this.transition(this.stopped === null ? 'RUNNING' : 'STOPPED')
  }

  /** See `Folder.fold`. @throws {Corrupted} `discontinuity` */
  fold(range: Polled, budget: Budget): Polled | null {
    return this.#folder.fold(range, budget, this.#scope())
  }

  /**
   * Commits the position although nothing is to be kept: records that changed nothing have come, or with `markers` only transaction
   * markers. Once retention removes them they would look like records that were not read.
   */
  pass(markers: boolean): void {
    this.#folder.pass(markers, this.position)
  }

  /** Where the inbox is read from again; what was handed over and not folded no longer counts. */
  rewind(): Position {
    const { next } = this.#memory.overlay
    this.epoch++
    this.#folder.rewind(next)
    return { ...this.inbox, offset: next }
  }

  /** Handles nothing more; once what was folded before is committed, the task must be halted. */
  haltAfterCommit(cause: string): void {
    this.#folder.haltAfterCommit(cause)
  }

  /** Why it must be halted, once nothing of it is left to be committed; null until then. */
  get pendingHalt(): string | null {
    return this.dirty || this.committing ? null : this.#folder.pendingHalt
  }

  /** Stops at once; what has come is neither handled nor lost. */
  halt(cause: string): void {
    this.#dropMemory()
    this.transition('STOPPED')
    this.stopped = { codeVersion: this.#settings.codeVersion, cause }
    void this.#writer.written()
  }

  /** Appends `TimerDue` for timers that are due, once each. Returns how many. */
  fireTimers(now: number, limit: number): number {
    if (this.#folder.pendingHalt !== null) return 0
    const due = this.#fired.fire(this.store, now, limit)
    for (const { key, name, at, version } of due) this.append(key, 'TimerDue', { name, dueAt: at, version })
    return due.length
  }

  /** Appends a record of the engine to this task's own inbox, with the next transaction. */
  append(key: string, type: 'TimerDue' | 'EffectEnded', record: object): void {
    const { topic, partition } = this.inbox
    this.#memory.overlay.appends.push({ topic, key, value: this.#codec.encode(topic, type, record as never), partition })
  }

  /** A transaction of it is on its way, or failed and was not recovered from. */
  get committing(): boolean {
    return this.#memory.sealed !== null
  }

  get dirty(): boolean {
    const { touched, appends, inputs, passes, stop } = this.#memory.overlay
    // A person's decision, or a stop, must be committed even if nothing was handled with it.
    if ((this.#unsettled || stop !== null) && !this.committing) return true
    return passes || touched.size > 0 || appends.length > 0 || inputs.size > 0
  }

  /**
   * What the transaction writes, and the position it commits. What is folded from now on belongs to the next one. `token` names the
   * transaction.
   * @throws if it cannot be written: then nothing was folded since the last commit
   */
  seal(token: string): { appends: Append[]; next: number } {
    const sealed = this.#memory.overlay
    try {
      const appends = this.#appendsOf(sealed, token)
      this.#memory.sealed = sealed
      this.#token = token
      // Nothing is handled after a stop.
      this.#memory.overlay = { ...newOverlay(sealed.next), stop: sealed.stop }
      return { appends, next: sealed.next }
    } catch (error) {
      this.#memory.reset(this.position)
      this.#folder.rewind(this.position)
      throw error
    }
  }

  #appendsOf(sealed: Overlay, token: string): Append[] {
    const { appends, next, stop } = sealed
    const changes = this.#changelogWriter.changes(sealed)
    if (changes.length === 0 && stop === null && next === this.position && !this.#unsettled) return appends
    const preamble = this.#changelogWriter.preamble(sealed, this.logId, this.inboxAs)
    return [...preamble, ...appends, ...changes, ...this.#changelogWriter.position(sealed, token)]
  }

  /**
   * The transaction is committed: what was sealed becomes the state, and waits to be written to the store. Returns the attempts that may
   * run now. `end` is the last offset that the transaction appended to the changelog.
   */
  commitApplied(end: number | undefined, wallClock: number, mono: number): Startable[] {
    const { sealed } = this.#memory
    if (sealed === null) throw new Error(`${partitionKey(this.changelog)}: nothing was sealed`)
    this.#memory.sealed = null
    const { touched, inputs, started, closed, deferred, next } = sealed
    this.position = next
    this.#unsettled = false
    if (end !== undefined) this.changelogNext = end + 1
    const schemas = this.#changelogWriter.committed(end !== undefined)
    if (sealed.stop !== null) {
      this.stopped = sealed.stop
      this.transition('STOPPED')
    }
    for (const [key, { after, raw }] of touched) this.#memory.remember(key, raw === null ? null : after, raw?.length ?? 0)
    for (const { timer, inMs } of deferred) this.#fired.defer(timer, wallClock + Math.max(1, inMs))
    if (end !== undefined) {
      const { logId, stopped: stop, inboxAs: inbox } = this
      const witness = { offset: sealed.stop === null ? end : end - 1, token: this.#token }
      const checkpoint = { changelog: end + 1, position: next, logId, at: wallClock, stop, inbox, witness }
      this.#writer.add({ touched, inputs, schemas, closed, checkpoint }, wallClock, mono)
    }
    if (this.state === 'STOPPED') void this.#writer.written()
    const startable: Startable[] = []
    for (const [attempt, key] of started) {
      const open = touched.get(key)?.after.ledger.find(a => a.attempt === attempt)
      if (open?.status === 'STARTED') startable.push({ ...open, key })
    }
    return startable
  }

  /** Continues as of the last commit: what was only folded is read again. For a task that the next assignment gives back to its owner. */
  keep(): void {
    this.#fired.clear()
    this.#memory.reset(this.position)
    this.#folder.rewind(this.position)
    this.epoch++
    this.transition('RUNNING')
  }

  /** Drops what is in memory, to be restored: a transaction has failed, or was never begun. */
  discard(): void {
    this.transition('RESTORING')
    this.#dropMemory()
  }

  /** Both a handover and the end of the worker may close it. */
  async close(): Promise<void> {
    if (this.#state === 'CLOSED') return
    this.transition('CLOSED')
    await this.#writer.written()
    this.#memory.close()
  }

  /** What the store does not show yet. */
  get writer(): Omit<StoreWriter, 'add' | 'get' | 'input' | 'reset'> {
    return this.#writer
  }

  /** What its actors hold open. */
  get actors(): Pick<TaskMemory, 'openAttempts' | 'held'> {
    return this.#memory
  }

  /** Whether the local marks prove that an attempt was never sent. */
  neverSent({ attempt, owner }: { attempt: string; owner: string }): boolean {
    return !this.#givenUp && owner === this.store.id && !this.store.wasSent(attempt)
  }

  /** Whether this start of an attempt has not ended. */
  isOpen(startable: Startable): boolean {
    return this.#memory.isOpen(startable)
  }

  /** Input of an open attempt. @throws {Corrupted} `no_input` if the ledger has lost it */
  input(key: string, attempt: string): unknown {
    return this.#memory.input(key, attempt)
  }

  /** The state of a key as of the last commit, decoded; for tests and queries. */
  peek(key: string): unknown {
    return this.#memory.committed(key)?.state ?? null
  }

  #dropMemory(): void {
    this.#memory.clear(this.position)
    this.#fired.clear()
    this.#folder.reset(this.position)
    this.epoch++
  }

  #scope(): TaskScope {
    const { codec, codeVersion, store, lookup } = this.#settings
    return {
      ...this.inbox,
      scope: scopeOf(this.definition, this.logId, this.inboxAs, this.inbox),
      codec,
      codeVersion,
      owner: store.id,
      input: (key, attempt) => this.input(key, attempt),
      lookup,
    }
  }
}

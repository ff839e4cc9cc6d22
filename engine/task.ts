/**
 * A task: one partition of one actor's inbox, with the state of its keys.
 *
 *   CREATED ─▶ RESTORING ─▶ RUNNING ─▶ DRAINING ─▶ CLOSED
 *                  ▲           │  └──▶ STOPPED (a person, or other code, has to come)
 *                  └───────────┘ corrupted
 */
import { recordSchema } from '../schemas/index.ts'
import type { LedgerInput, RecordName, TaskInbox } from '../schemas/types.ts'
import type { Topic } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import type { Append, LogRecord, Polled, Position, TopicPartition } from '../topics/log.ts'
import type { ActorDefinition } from './actor.ts'
import type { Budget } from './budget.ts'
import type { Cache, CacheBudget } from './generational-cache.ts'
import { Corrupted, Fatal, messageOf } from './errors.ts'
import { deadLetter } from './dead-letter.ts'
import { handle } from './handle.ts'
import type { TaskScope, Question, Step } from './step/step.ts'
import { type Incoming, incoming } from './incoming.ts'
import { type Attempt, decodeInstance, FORGET, envelopeOf, type Instance, isEmpty } from './instance.ts'
import { journaled } from './lookups.ts'
import { PoisonRate } from './poison-rate.ts'
import { reserved } from './changelog.ts'
import { timerName, unknown } from './retired.ts'
import type { WriterSchemas } from './writer-schemas.ts'
import { type DueTimer, inputKey, type StateStore, encodeStored, decodeStored } from './store.ts'
import { type Changed, StoreWriter } from './store-writer.ts'

export type TaskState = 'CREATED' | 'RESTORING' | 'RUNNING' | 'STOPPED' | 'DRAINING' | 'CLOSED'

export interface TaskSettings {
  readonly definition: ActorDefinition
  readonly changelog: Topic
  readonly partition: number
  readonly codec: Codec
  readonly store: StateStore
  readonly codeVersion: string
  /** Memory for decoded actors, which all tasks of the process share. */
  readonly cache: CacheBudget
  /** What answers a look-up, in wire format; null where nothing does now. Never throws. */
  readonly lookup: (question: Question) => Buffer | null
}

/** An attempt that may run once the transaction that recorded it is committed. */
export interface Startable extends Pick<Attempt, 'attempt' | 'effect' | 'notAfter' | 'start' | 'uncertain'> {
  readonly key: string
}

interface Touched {
  readonly before: Instance | null
  after: Instance
  /** Raw Avro of its state, where a handler has made it. */
  stateBytes: Buffer | null
  /** Raw Avro of `after`, once sealed; null where nothing is kept of the actor. */
  raw: Buffer | null
}

/**
 * What one transaction does to this task; dropped when the transaction fails. While one is on its way to the log, what comes in
 * is folded into the next, on top of it: if the first fails, both are dropped.
 */
interface Overlay {
  readonly touched: Map<string, Touched>
  readonly appends: Append[]
  readonly inputs: Map<string, Buffer | null>
  readonly started: Map<string, string>
  readonly closed: string[]
  readonly putBack: { timer: string; at: number }[]
  /** Next offset of the inbox to handle after it. */
  next: number
  /** Records have come of which nothing is to be kept. */
  passed: boolean
  /** It is to be committed though nothing came that has to be kept. */
  passes: boolean
  /** Why the task stands still after this. */
  stop: { readonly codeVersion: string; readonly cause: string; readonly at: number } | null
}

/** Timers whose kind is looked at when a task is restored; that of any other is when it fires. */
const TIMERS_LOOKED_AT = 100_000
/** What a decoded actor takes in memory, against its bytes, about. */
const DECODED = 4
/** Bytes of an actor before any was seen. */
const FIRST_GUESS = 16_000

export class Task {
  readonly definition: ActorDefinition
  readonly inbox: TopicPartition
  readonly changelog: TopicPartition
  readonly store: StateStore
  state: TaskState = 'CREATED'
  /** Next offset of the inbox to handle, as of the last commit. */
  position = 0
  /** Next offset of the changelog: what lies behind it is not in this task's memory. */
  changelogNext = 0
  /** Counts how often memory was given up: what was fetched before belongs to an earlier life. */
  lives = 0
  /** Identity of the changelog. */
  logId = ''
  /** The inbox that the state is made from. */
  inboxAs: TaskInbox = { identity: '', partitions: 0, scope: '' }
  /** Why it stands still, in state STOPPED. */
  stopped: { codeVersion: string; cause: string } | null = null
  readonly #settings: TaskSettings
  readonly #codec: Codec
  readonly writerSchemas: WriterSchemas
  readonly #knownSchemas = new Map<string, string>()
  #newSchemas = new Map<string, string>()
  #identityWritten = true
  #inboxWritten = true
  /** Names the transaction that is on its way. */
  #token = ''
  /** Where the next range of the inbox has to begin. */
  #expected = 0
  /** Why nothing more is handled, though what was folded before is still to be committed. */
  #halt: string | null = null
  /** Its position is to be committed though nothing was handled. */
  #unsettled = false
  #givenUp = false
  /** Bytes of an actor, as seen lately. */
  #instanceBytes = FIRST_GUESS
  #overlay: Overlay
  /** Of the transaction that is on its way. */
  #sealed: Overlay | null = null
  readonly #writer: StoreWriter
  readonly #cache: Cache<Instance>
  /** Timers already appended as TimerDue, with when to look at them again. */
  readonly #fired = new Map<string, number>()
  readonly #rate = new PoisonRate()

  constructor(settings: TaskSettings, writerSchemas: WriterSchemas) {
    const { definition, changelog, partition, codec, store, cache } = settings
    this.#settings = settings
    this.#cache = cache.open()
    this.#writer = new StoreWriter(store, touched => this.#shown(touched))
    this.#codec = codec
    this.writerSchemas = writerSchemas
    this.definition = definition
    this.store = store
    this.inbox = { topic: definition.inbox.name, partition }
    this.changelog = { topic: changelog.name, partition }
    this.#overlay = newOverlay(0)
  }

  /** Restoring has ended: from here on, this is what the log says. */
  restored(to: {
    position: number
    changelogNext: number
    logId: string
    identityWritten: boolean
    inbox: TaskInbox
    inboxWritten: boolean
    schemas: ReadonlyMap<string, string>
    stop: Task['stopped']
    /** A person has decided where it goes on: that is to be committed, whether something comes or not. */
    unsettled: boolean
    /** The changelog has lost what followed: attempts that its state holds open may have been done and closed since. */
    givenUp: boolean
  }): void {
    this.position = to.position
    this.changelogNext = to.changelogNext
    this.logId = to.logId
    this.#identityWritten = to.identityWritten
    this.inboxAs = to.inbox
    this.#inboxWritten = to.inboxWritten
    this.#knownSchemas.clear()
    for (const [fingerprint, text] of to.schemas) this.#knownSchemas.set(fingerprint, text)
    this.#forgetMemory()
    this.#rate.clear()
    this.#writer.reset()
    this.#unsettled = to.unsettled
    this.#givenUp = to.givenUp
    this.stopped = to.stop !== null && to.stop.codeVersion === this.#settings.codeVersion ? to.stop : null
    this.state = this.stopped === null ? 'RUNNING' : 'STOPPED'
  }

  /**
   * Folds a range of the inbox into the overlay, as far as the budget goes. Returns the rest, or null. A record that needs other
   * code halts the task in front of it.
   * @throws {Corrupted} `discontinuity` when it does not begin where the last one ended: nothing of it is taken
   */
  fold(range: Polled, budget: Budget): Polled | null {
    const { from, next, records } = range
    const overlay = this.#overlay
    if (overlay.stop !== null || this.#halt !== null) return null
    if (from !== this.#expected) {
      throw new Corrupted('discontinuity', `a range from ${from} on was handed over, but ${this.#expected} is the next offset`)
    }
    const place = this.#place()
    for (let i = 0; i < records.length; i++) {
      const record = records[i] as LogRecord
      if (i > 0 && budget.spent) {
        this.#expected = record.offset
        return { ...range, from: record.offset, records: records.slice(i) }
      }
      if (record.offset < overlay.next) continue
      if (this.#tooMuchPoison(record.timestamp)) return null
      try {
        this.#handle(record, overlay, place, budget)
      } catch (error) {
        if (!(error instanceof Fatal)) throw error
        this.halt(messageOf(error))
        return null
      }
      overlay.next = record.offset + 1
    }
    this.#expected = next
    // Markers of transactions lie behind the last record: who commits anyway commits that they are passed.
    if (records.length > 0) overlay.next = next
    return null
  }

  /**
   * Commits that what has come leaves nothing to be kept: records that changed nothing, and with `markers` also where nothing but
   * markers of transactions has come. Retention would take them for records that were not read.
   */
  pass(markers: boolean): void {
    const overlay = this.#overlay
    if (this.#halt !== null || overlay.stop !== null) return
    if (markers) overlay.next = this.#expected
    overlay.passes ||= (markers || overlay.passed) && overlay.next !== (this.#sealed?.next ?? this.position)
  }

  #handle(record: LogRecord, overlay: Overlay, place: TaskScope, budget: Budget): void {
    const incoming = this.#incoming(record, overlay)
    if (incoming === null) return
    const { key } = incoming
    const entry = overlay.touched.get(key)
    const before = entry === undefined ? this.#latest(key) : entry.after
    const step = handle(this.definition, before, incoming, place)
    if (!step.changed) {
      overlay.passed = true
      return
    }
    const { instance: after, stateBytes } = step
    if (entry === undefined) {
      overlay.touched.set(key, { before, after, stateBytes, raw: null })
      budget.spend(this.#instanceBytes)
    } else {
      if (stateBytes !== null || after.state !== entry.after.state) entry.stateBytes = stateBytes
      entry.after = after
    }
    this.#collect(incoming, step, overlay)
    for (const { value } of step.emits) budget.spend(value?.length ?? 0)
    for (const { input } of step.performed) budget.spend(input.length)
    for (const { value } of step.answers) budget.spend(value.length)
  }

  /** Where the inbox is read from again; what has been handed over of it and was not folded no longer counts. */
  rewind(): Position {
    this.lives++
    this.#expected = this.#overlay.next
    return { ...this.inbox, offset: this.#overlay.next }
  }

  /** Nothing more is handled; once what was folded before is committed, the task stands still. */
  halt(cause: string): void {
    this.#halt ??= cause
  }

  /** Why it is to stand still, once nothing of it is left to be committed; null until then. */
  get haltedFor(): string | null {
    return this.dirty || this.committing ? null : this.#halt
  }

  /** Appends `TimerDue` for timers that are due, once each. Returns how many. */
  fireTimers(now: number, limit: number): number {
    if (this.#halt !== null) return 0
    const due = this.store.due(now, limit).filter(timer => {
      const again = this.#fired.get(timerId(timer))
      return again === undefined || again <= now
    })
    for (const { key, name, at, version } of due) {
      this.#fired.set(timerId({ key, name, version }), Number.POSITIVE_INFINITY)
      this.append(key, 'TimerDue', { name, dueAt: at, version })
    }
    return due.length
  }

  /** Appends a record of the engine to this task's own inbox, with the next transaction. */
  append(key: string, type: 'TimerDue' | 'EffectEnded', record: object): void {
    const value = this.#codec.encode(this.inbox.topic, type, record as never)
    this.#overlay.appends.push({ topic: this.inbox.topic, key, value, partition: this.inbox.partition })
  }

  /** A transaction of it is on its way, or failed and was not recovered from. */
  get committing(): boolean {
    return this.#sealed !== null
  }

  get dirty(): boolean {
    // A decision of a person, or a stop, is to be committed even where nothing was handled with it.
    if ((this.#unsettled || this.#overlay.stop !== null) && this.#sealed === null) return true
    const { touched, appends, inputs, passes } = this.#overlay
    return passes || touched.size > 0 || appends.length > 0 || inputs.size > 0
  }

  /** Stands still from now on: what came in is neither handled nor lost. */
  stand(cause: string): void {
    this.#forgetMemory()
    this.state = 'STOPPED'
    this.stopped = { codeVersion: this.#settings.codeVersion, cause }
    void this.written()
  }

  /**
   * What the transaction has to write, and the position it commits. What is folded from now on belongs to the next one.
   * `token` names the transaction.
   * @throws what keeps it from being written: then nothing was folded since the last commit
   */
  seal(token: string): { appends: Append[]; next: number } {
    const sealed = this.#overlay
    try {
      const appends = this.#sealing(sealed, token)
      this.#sealed = sealed
      this.#token = token
      // Nothing is handled behind a stop.
      this.#overlay = { ...newOverlay(sealed.next), stop: sealed.stop }
      return { appends, next: sealed.next }
    } catch (error) {
      this.#overlay = newOverlay(this.position)
      this.#expected = this.position
      throw error
    }
  }

  #sealing(sealed: Overlay, token: string): Append[] {
    const { touched, appends, inputs, next } = sealed
    const changes: Append[] = []
    const { topic, partition } = this.changelog
    const put = (key: string, value: Buffer | null) => changes.push({ topic, partition, key, value })
    const { codec, definition } = { codec: this.#codec, definition: this.definition }
    for (const [key, entry] of touched) {
      const value = isEmpty(entry.after)
        ? null
        : codec.encode(topic, 'Envelope', envelopeOf(entry.after, definition.state, entry.stateBytes))
      entry.stateBytes = null
      entry.raw = value === null ? null : codec.unwrap(value).raw
      this.#instanceBytes = Math.round(this.#instanceBytes * 0.9 + (entry.raw?.length ?? 0) * 0.1)
      if (value !== null || entry.before !== null) put(key, value)
    }
    for (const [key, value] of inputs) put(key, value === null ? null : codec.wrap(topic, 'LedgerInput', decodeStored(value).raw))
    const { stop } = sealed
    if (changes.length === 0 && stop === null && next === this.position && !this.#unsettled) return appends
    put(reserved.position, codec.encode(topic, 'TaskPosition', { next, token }))
    // A task that stands still writes nothing behind this.
    if (stop !== null) put(reserved.stop, codec.encode(topic, 'TaskStop', stop))
    const preamble: Append[] = []
    if (!this.#identityWritten) {
      preamble.push({ topic, partition, key: reserved.identity, value: codec.encode(topic, 'LogIdentity', { id: this.logId }) })
    }
    if (!this.#inboxWritten)
      preamble.push({ topic, partition, key: reserved.inbox, value: codec.encode(topic, 'TaskInbox', this.inboxAs) })
    this.#newSchemas = this.#schemasToWrite(inputs)
    for (const [fingerprint, schema] of this.#newSchemas) {
      const value = codec.encode(topic, 'SchemaText', { fingerprint, schema })
      preamble.push({ topic, partition, key: reserved.schema(fingerprint), value })
    }
    return [...preamble, ...appends, ...changes]
  }

  /** As of the last commit: what was only folded is read again. For a task that another assignment gives to its owner again. */
  retain(): void {
    this.#fired.clear()
    this.#overlay = newOverlay(this.position)
    this.#expected = this.position
    this.lives++
    this.state = 'RUNNING'
  }

  /** Nothing in memory may be trusted any more: a transaction has failed, or was never begun. */
  corrupt(): void {
    this.state = 'RESTORING'
    this.#forgetMemory()
  }

  /**
   * The transaction is committed: what was sealed becomes the state. Returns the attempts that may run now.
   * `end` is the last offset that the transaction appended to the changelog. What it has changed waits to be written to the store.
   */
  applied(end: number | undefined, wallClock: number, mono: number): Startable[] {
    const sealed = this.#sealed
    if (sealed === null) throw new Error(`${this.changelog.topic}/${this.changelog.partition}: nothing was sealed`)
    this.#sealed = null
    const { touched, inputs, started, closed, putBack, next } = sealed
    this.position = next
    this.#unsettled = false
    if (end !== undefined) {
      this.#identityWritten = true
      this.#inboxWritten = true
      this.changelogNext = end + 1
    }
    const newSchemas = this.#newSchemas
    for (const [fingerprint, text] of newSchemas) this.#knownSchemas.set(fingerprint, text)
    this.#newSchemas = new Map()
    if (sealed.stop !== null) {
      this.stopped = sealed.stop
      this.state = 'STOPPED'
    }
    for (const [key, { after, raw }] of touched) this.#remember(key, raw === null ? null : after, raw?.length ?? 0)
    for (const { timer, at } of putBack) this.#fired.set(timer, wallClock + Math.max(1, at))
    if (end !== undefined) {
      const { logId, stopped: stop, inboxAs: inbox } = this
      const witness = { offset: sealed.stop === null ? end : end - 1, token: this.#token }
      const checkpoint = { changelog: end + 1, position: next, logId, at: wallClock, stop, inbox, witness }
      this.#writer.add({ touched, inputs, schemas: newSchemas, closed, checkpoint }, wallClock, mono)
    }
    if (this.state === 'STOPPED') void this.written()
    const startable: Startable[] = []
    for (const [attempt, key] of started) {
      const open = touched.get(key)?.after.ledger.find(a => a.attempt === attempt)
      if (open?.status === 'STARTED') startable.push({ ...open, key })
    }
    return startable
  }

  /** What the store does not show yet. */
  get writer(): Pick<StoreWriter, 'bytes' | 'urgent' | 'due' | 'behind' | 'flush'> {
    return this.#writer
  }

  /** Writes what waits. Resolved once the store shows everything applied so far, or a write has failed. */
  async written(): Promise<void> {
    await this.#writer.written()
  }

  /** Why the store could not be written: nothing is written behind that until the task is restored. */
  get storeFailure(): unknown {
    return this.#writer.failure
  }

  /** Attempts that were under way when this task was restored. */
  openAttempts(): (Startable & { owner: string })[] {
    return this.store
      .open()
      .flatMap(key => (this.#load(key)?.ledger ?? []).filter(a => a.status === 'STARTED').map(attempt => ({ ...attempt, key })))
  }

  /** Effects of which attempts are open, and kinds of timers that are set, whether this code knows them or not. */
  held(): { effects: ReadonlySet<string>; timers: ReadonlySet<string> } {
    const effects = new Set<string>()
    for (const key of this.store.open()) {
      for (const { effect, status } of this.#load(key)?.ledger ?? []) if (status !== 'ENDED') effects.add(effect)
    }
    const due = this.store.due(Number.MAX_SAFE_INTEGER, TIMERS_LOOKED_AT)
    return { effects, timers: new Set(due.filter(({ name }) => name !== FORGET).map(({ name }) => timerName(name).kind)) }
  }

  /** True where the local notes prove that nothing of an attempt has left. */
  neverLeft({ attempt, owner }: { attempt: string; owner: string }): boolean {
    return !this.#givenUp && owner === this.store.id && !this.store.wasSent(attempt)
  }

  /** True while this start of an attempt has not ended. */
  isOpen({ key, attempt, start }: Startable): boolean {
    return this.#current(key)?.ledger.some(a => a.attempt === attempt && a.status === 'STARTED' && a.start === start) ?? false
  }

  /** Input of an open attempt. @throws {Corrupted} when the ledger has lost it. */
  input(key: string, attempt: string): unknown {
    const at = inputKey(key, attempt)
    const newer = [this.#overlay, this.#sealed].find(o => o?.inputs.has(at))?.inputs.get(at)
    const unwritten = newer === undefined ? this.#writer.input(at) : newer
    const bytes = unwritten ?? this.store.input(at)
    if (bytes === null) throw new Corrupted('no_input', `the input of attempt ${attempt} is not in the ledger`)
    const { fingerprint, raw } = decodeStored(bytes)
    const kept = this.writerSchemas.decode('LedgerInput', fingerprint, raw)
    if (this.definition.effects?.[kept.effect] === undefined) throw unknown(this.definition, 'effect', kept.effect)
    return this.writerSchemas.decode(this.definition.effects?.[kept.effect]?.input as RecordName, kept.fingerprint, kept.input)
  }

  /** The state of a key as of the last commit, decoded; for tests and queries. */
  peek(key: string): unknown {
    return this.#load(key)?.state ?? null
  }

  async close(): Promise<void> {
    this.state = 'CLOSED'
    await this.written()
    this.#cache.close()
  }

  #current(key: string): Instance | null {
    return this.#overlay.touched.get(key)?.after ?? this.#latest(key)
  }

  /** As of what was sealed last. */
  #latest(key: string): Instance | null {
    const sealed = this.#sealed?.touched.get(key)
    if (sealed === undefined) return this.#load(key)
    return sealed.raw === null ? null : sealed.after
  }

  #load(key: string): Instance | null {
    const cached = this.#cache.get(key)
    if (cached !== undefined) return cached
    const unwritten = this.#writer.get(key)
    if (unwritten !== undefined) return unwritten.raw === null ? null : unwritten.after
    const bytes = this.store.get(key)
    let instance: Instance | null = null
    if (bytes !== null) {
      const { fingerprint, raw } = decodeStored(bytes)
      instance = decodeInstance(raw, fingerprint, this.definition.state, this.writerSchemas)
    }
    this.#remember(key, instance, bytes?.length ?? 0)
    return instance
  }

  #remember(key: string, instance: Instance | null, bytes: number): void {
    this.#cache.set(key, instance, bytes * DECODED)
  }

  #forgetMemory(): void {
    this.#cache.clear()
    this.#fired.clear()
    this.#overlay = newOverlay(this.position)
    this.#expected = this.position
    this.#sealed = null
    this.#halt = null
    this.lives++
  }

  #place(): TaskScope {
    const { codec, codeVersion, store, lookup } = this.#settings
    return {
      scope: `${this.logId}${this.inboxAs.scope}/${this.inbox.topic}/${this.inbox.partition}`,
      topic: this.inbox.topic,
      partition: this.inbox.partition,
      codec,
      codeVersion,
      owner: store.id,
      input: (key, attempt) => this.input(key, attempt),
      lookup,
    }
  }

  /** Null for a record that no actor can have: it goes to the dead letters. @throws {Fatal} when only other code can read it */
  #incoming(record: LogRecord, overlay: Overlay): Incoming | null {
    const found = incoming(this.#codec, record)
    if (!('unreadable' in found)) return found
    const { topic, partition, offset, timestamp: at, key, value } = record
    const { codeVersion } = this.#settings
    const letter = { topic, partition, offset, key: key ?? '', recordType: '', value: value ?? Buffer.alloc(0), codeVersion, at }
    overlay.appends.push(deadLetter(this.#codec, { ...letter, decision: 'SKIP', cause: found.unreadable }))
    this.#rate.poisoned(key ?? '', at)
    return null
  }

  #collect(incoming: Incoming, step: Step, overlay: Overlay): void {
    const { key, record } = incoming
    for (const emit of step.emits) overlay.appends.push(emit)
    for (const answer of step.answers) overlay.appends.push(journaled(this.definition, this.inbox.partition, answer))
    for (const { attempt, effect, name, input } of step.performed) {
      const { fingerprint } = recordSchema(name)
      const kept: LedgerInput = { key, attempt, effect, fingerprint, input }
      const ledger = recordSchema('LedgerInput')
      overlay.inputs.set(inputKey(key, attempt), encodeStored(ledger.fingerprint, ledger.type.toBuffer(kept)))
    }
    for (const attempt of step.closed) {
      overlay.inputs.set(inputKey(key, attempt), null)
      overlay.started.delete(attempt)
      overlay.closed.push(attempt)
    }
    for (const attempt of step.started) overlay.started.set(attempt, key)
    if (step.result === 'poisoned') this.#rate.poisoned(key, incoming.timestamp)
    if (step.result === 'deferred' && record.type === 'TimerDue') {
      const { name, version, dueAt } = record.value
      overlay.putBack.push({ timer: timerId({ key, name, version }), at: dueAt - step.instance.now })
    }
  }

  #schemasToWrite(inputs: ReadonlyMap<string, Buffer | null>): Map<string, string> {
    const used: RecordName[] = ['Envelope', this.definition.state]
    if (inputs.size > 0) used.push('LedgerInput', ...Object.values(this.definition.effects ?? {}).map(e => e.input))
    const fresh = new Map<string, string>()
    for (const name of used) {
      const { fingerprint, text } = recordSchema(name)
      if (!this.#knownSchemas.has(fingerprint)) fresh.set(fingerprint, text)
    }
    return fresh
  }

  /** Until here the store has shown timers as due that are gone, or set anew: they need not be remembered as fired any more. */
  #shown(touched: ReadonlyMap<string, Changed>): void {
    for (const [key, { before, after }] of touched) {
      for (const { name, version } of before?.timers ?? []) {
        if (!after.timers.some(t => t.name === name && t.version === version)) this.#fired.delete(timerId({ key, name, version }))
      }
    }
  }

  #tooMuchPoison(now: number): boolean {
    this.#rate.handled(now)
    const cause = this.#rate.tooMuch()
    if (cause === null) return false
    this.#overlay.stop = { codeVersion: this.#settings.codeVersion, cause, at: now }
    return true
  }
}

function newOverlay(next: number): Overlay {
  return {
    touched: new Map(),
    appends: [],
    inputs: new Map(),
    started: new Map(),
    closed: [],
    putBack: [],
    next,
    passed: false,
    passes: false,
    stop: null,
  }
}

function timerId({ key, name, version }: Pick<DueTimer, 'key' | 'name' | 'version'>): string {
  return `${key}\0${name}\0${version}`
}

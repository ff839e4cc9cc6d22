/**
 * A task: one partition of one actor's inbox, with the state of its keys.
 *
 *   CREATED ─▶ RESTORING ─▶ RUNNING ─▶ DRAINING ─▶ CLOSED
 *                  ▲           │  └──▶ STOPPED (a person, or other code, has to come)
 *                  └───────────┘ corrupted
 */
import { recordSchema } from '../schemas/index.ts'
import type { LedgerInput, RecordName } from '../schemas/types.ts'
import type { Topic } from '../topics/catalog.ts'
import { type Codec, CodecError, type Decoded } from '../topics/codec.ts'
import type { Append, LogRecord, TopicPartition } from '../topics/log.ts'
import type { ActorDefinition } from './actor.ts'
import { Corrupted, Fatal, messageOf } from './errors.ts'
import { handle, type Incoming, type Place, type Step } from './handle.ts'
import { type Attempt, decodeInstance, envelopeOf, type Instance, isEmpty } from './instance.ts'
import { reserved } from './restore.ts'
import type { SchemaBook } from './schemas.ts'
import { type Change, type DueTimer, inputKey, type StateStore, stored, unstored } from './store.ts'

export type TaskState = 'CREATED' | 'RESTORING' | 'RUNNING' | 'STOPPED' | 'DRAINING' | 'CLOSED'

export interface TaskSettings {
  readonly definition: ActorDefinition
  readonly changelog: Topic
  readonly partition: number
  readonly codec: Codec
  readonly store: StateStore
  readonly codeVersion: string
  /** Decoded actors kept in memory, about. */
  readonly cacheSize: number
}

/** An attempt that may run once the transaction that recorded it is committed. */
export interface Startable extends Pick<Attempt, 'attempt' | 'effect' | 'notAfter' | 'start' | 'uncertain'> {
  readonly key: string
}

interface Touched {
  readonly before: Instance | null
  after: Instance
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
  next: number
  /** Why the task stands still after this. */
  stop: { readonly codeVersion: string; readonly cause: string; readonly at: number } | null
}

/** More keys than this, and a larger share than this, poisoned within a minute stop the task. */
const POISON_KEYS = 20
const POISON_SHARE = 0.01
const POISON_WINDOW = 60_000

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
  logId = ''
  /** Why it stands still, in state STOPPED. */
  stopped: { codeVersion: string; cause: string } | null = null
  readonly #settings: TaskSettings
  readonly #codec: Codec
  readonly book: SchemaBook
  readonly #knownSchemas = new Map<string, string>()
  #newSchemas = new Map<string, string>()
  #identityWritten = true
  #overlay: Overlay
  /** Of the transaction that is on its way. */
  #sealed: Overlay | null = null
  /** Overlays whose writes to the store are under way, the newest first: newer than what the store shows. */
  #writing: readonly Pick<Overlay, 'touched' | 'inputs'>[] = []
  #written: Promise<void> = Promise.resolve()
  #young = new Map<string, Instance | null>()
  #old = new Map<string, Instance | null>()
  /** Timers already appended as TimerDue, with when to look at them again. */
  readonly #fired = new Map<string, number>()
  #poisoned: { key: string; at: number }[] = []
  #handledInWindow: { count: number; since: number } = { count: 0, since: 0 }

  constructor(settings: TaskSettings, book: SchemaBook) {
    const { definition, changelog, partition, codec, store } = settings
    this.#settings = settings
    this.#codec = codec
    this.book = book
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
    schemas: ReadonlyMap<string, string>
    stop: Task['stopped']
  }): void {
    this.position = to.position
    this.changelogNext = to.changelogNext
    this.logId = to.logId
    this.#identityWritten = to.identityWritten
    this.#knownSchemas.clear()
    for (const [fingerprint, text] of to.schemas) this.#knownSchemas.set(fingerprint, text)
    this.#forgetMemory()
    this.stopped = to.stop !== null && to.stop.codeVersion === this.#settings.codeVersion ? to.stop : null
    this.state = this.stopped === null ? 'RUNNING' : 'STOPPED'
  }

  /** Folds records of the inbox into the overlay. @throws {Fatal} when one of them needs other code. */
  fold(records: readonly LogRecord[]): void {
    const overlay = this.#overlay
    const place = this.#place()
    for (const record of records) {
      if (record.offset < overlay.next) continue
      if (overlay.stop !== null || this.#tooMuchPoison(record.timestamp)) return
      const incoming = this.#incoming(record, overlay)
      if (incoming !== null) {
        const { key } = incoming
        const entry = overlay.touched.get(key)
        const before = entry === undefined ? this.#latest(key) : entry.after
        const step = handle(this.definition, before, incoming, place)
        if (entry === undefined) overlay.touched.set(key, { before, after: step.instance, raw: null })
        else entry.after = step.instance
        this.#collect(incoming, step, overlay)
      }
      overlay.next = record.offset + 1
    }
  }

  /** Appends `TimerDue` for timers that are due, once each. Returns how many. */
  fireTimers(now: number, limit: number): number {
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
    return this.#overlay.next !== (this.#sealed?.next ?? this.position) || this.#overlay.appends.length > 0
  }

  /** Stands still from now on: what came in is neither handled nor lost. */
  stand(cause: string): void {
    this.#forgetMemory()
    this.state = 'STOPPED'
    this.stopped = { codeVersion: this.#settings.codeVersion, cause }
  }

  /** What the transaction has to write, and the position it commits. What is folded from now on belongs to the next one. */
  seal(): { appends: Append[]; next: number } {
    const sealed = this.#overlay
    const { touched, appends, inputs, next } = sealed
    this.#sealed = sealed
    // Nothing is handled behind a stop.
    this.#overlay = { ...newOverlay(next), stop: sealed.stop }
    const changes: Append[] = []
    const { topic, partition } = this.changelog
    const put = (key: string, value: Buffer | null) => changes.push({ topic, partition, key, value })
    const { codec, definition } = { codec: this.#codec, definition: this.definition }
    for (const [key, entry] of touched) {
      const value = isEmpty(entry.after) ? null : codec.encode(topic, 'Envelope', envelopeOf(entry.after, definition.state))
      entry.raw = value === null ? null : codec.unwrap(value).raw
      if (value !== null || entry.before !== null) put(key, value)
    }
    for (const [key, value] of inputs) put(key, value === null ? null : codec.wrap(topic, 'LedgerInput', unstored(value).raw))
    if (next !== this.position) put(reserved.position, codec.encode(topic, 'TaskPosition', { next }))
    if (sealed.stop !== null) put(reserved.stop, codec.encode(topic, 'TaskStop', sealed.stop))
    if (changes.length === 0) return { appends, next }
    const preamble: Append[] = []
    if (!this.#identityWritten) {
      preamble.push({ topic, partition, key: reserved.identity, value: codec.encode(topic, 'LogIdentity', { id: this.logId }) })
    }
    this.#newSchemas = this.#schemasToWrite(inputs)
    for (const [fingerprint, schema] of this.#newSchemas) {
      const value = codec.encode(topic, 'SchemaText', { fingerprint, schema })
      preamble.push({ topic, partition, key: reserved.schema(fingerprint), value })
    }
    return { appends: [...preamble, ...appends, ...changes], next }
  }

  /** As of the last commit: what was only folded is read again. For a task that another assignment gives to its owner again. */
  retain(): void {
    this.#fired.clear()
    this.#overlay = newOverlay(this.position)
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
   * `end` is the last offset that the transaction appended to the changelog.
   */
  applied(end: number | undefined, wallClock: number): Startable[] {
    const sealed = this.#sealed
    if (sealed === null) throw new Error(`${this.changelog.topic}/${this.changelog.partition}: nothing was sealed`)
    this.#sealed = null
    const { touched, inputs, started, closed, putBack, next } = sealed
    this.position = next
    if (end !== undefined) {
      this.#identityWritten = true
      this.changelogNext = end + 1
    }
    const newSchemas = this.#newSchemas
    for (const [fingerprint, text] of newSchemas) this.#knownSchemas.set(fingerprint, text)
    this.#newSchemas = new Map()
    if (sealed.stop !== null) {
      this.stopped = sealed.stop
      this.state = 'STOPPED'
    }
    for (const [key, { after, raw }] of touched) this.#remember(key, raw === null ? null : after)
    for (const { timer, at } of putBack) this.#fired.set(timer, wallClock + Math.max(1, at))
    if (end !== undefined) {
      const checkpoint = { changelog: end + 1, position: next, logId: this.logId, at: wallClock, stop: this.stopped }
      const before = this.#written
      const writing = { touched, inputs }
      this.#writing = [writing, ...this.#writing]
      const changes = [...touched].map(([key, entry]) => change(key, entry))
      this.#written = before.then(async () => {
        await this.store.write({ changes, inputs, schemas: newSchemas, checkpoint })
        if (closed.length > 0) this.store.forget(closed)
        this.#writing = this.#writing.filter(w => w !== writing)
      })
      this.#written.catch(() => {}) // whoever awaits `written` gets the error
    }
    for (const [key, { before, after }] of touched) {
      if (before !== null && before.timers.length > 0) this.#settleTimers(key, before, after)
    }
    const startable: Startable[] = []
    for (const [attempt, key] of started) {
      const open = touched.get(key)?.after.ledger.find(a => a.attempt === attempt)
      if (open?.status === 'STARTED') startable.push({ ...open, key })
    }
    return startable
  }

  /** Writes to the store that are under way. */
  get writing(): number {
    return this.#writing.length
  }

  /** Resolved once the store shows everything applied so far. @throws when it could not be written. */
  written(): Promise<void> {
    return this.#written
  }

  /** Attempts that were under way when this task was restored. */
  openAttempts(): (Startable & { owner: string })[] {
    return this.store
      .open()
      .flatMap(key => (this.#load(key)?.ledger ?? []).filter(a => a.status === 'STARTED').map(attempt => ({ ...attempt, key })))
  }

  /** True while this start of an attempt has not ended. */
  isOpen({ key, attempt, start }: Startable): boolean {
    return this.#current(key)?.ledger.some(a => a.attempt === attempt && a.status === 'STARTED' && a.start === start) ?? false
  }

  /** Input of an open attempt. @throws {Corrupted} when the ledger has lost it. */
  input(key: string, attempt: string): unknown {
    const at = inputKey(key, attempt)
    const overlays = [this.#overlay, ...(this.#sealed === null ? [] : [this.#sealed]), ...this.#writing]
    const bytes = overlays.find(o => o.inputs.has(at))?.inputs.get(at) ?? this.store.input(at)
    if (bytes === null) throw new Corrupted('no_input', `the input of attempt ${attempt} is not in the ledger`)
    const { fingerprint, raw } = unstored(bytes)
    const kept = this.book.decode('LedgerInput', fingerprint, raw)
    return this.book.decode(this.definition.effects?.[kept.effect]?.input as RecordName, kept.fingerprint, kept.input)
  }

  /** The state of a key as of the last commit, decoded; for tests and queries. */
  peek(key: string): unknown {
    return this.#load(key)?.state ?? null
  }

  async close(): Promise<void> {
    this.state = 'CLOSED'
    await this.#written.catch(() => {})
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
    const young = this.#young.get(key)
    if (young !== undefined) return young
    const old = this.#old.get(key) ?? this.#fromStore(key)
    this.#remember(key, old)
    return old
  }

  #fromStore(key: string): Instance | null {
    const writing = this.#writing.find(w => w.touched.has(key))?.touched.get(key)
    if (writing !== undefined) return writing.raw === null ? null : writing.after
    const bytes = this.store.get(key)
    if (bytes === null) return null
    const { fingerprint, raw } = unstored(bytes)
    return decodeInstance(raw, fingerprint, this.definition.state, this.book)
  }

  /** Two generations: what is not used while the young one fills up falls out with the old one. */
  #remember(key: string, instance: Instance | null): void {
    this.#young.set(key, instance)
    if (this.#young.size < this.#settings.cacheSize) return
    this.#old = this.#young
    this.#young = new Map()
  }

  #forgetMemory(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#fired.clear()
    this.#overlay = newOverlay(this.position)
    this.#sealed = null
    this.#poisoned = []
    this.lives++
  }

  #place(): Place {
    const { codec, codeVersion, store } = this.#settings
    return {
      scope: `${this.logId}/${this.inbox.topic}/${this.inbox.partition}`,
      topic: this.inbox.topic,
      partition: this.inbox.partition,
      codec,
      codeVersion,
      owner: store.id,
      input: (key, attempt) => this.input(key, attempt),
    }
  }

  #incoming(record: LogRecord, overlay: Overlay): Incoming | null {
    const { key, value, offset, timestamp, headers } = record
    let cause: string
    try {
      if (key !== null && value !== null) {
        const decoded: Decoded = this.#codec.decode(value)
        return { key, offset, timestamp, headers, raw: value, record: decoded }
      }
      cause = key === null ? 'it has no key' : 'it has no value'
    } catch (error) {
      if (error instanceof CodecError && (error.code === 'unknown_record' || error.code === 'unknown_schema')) {
        throw new Fatal(error.code, `${this.inbox.topic}/${this.inbox.partition} offset ${offset}: ${error.message}`, {
          cause: error,
        })
      }
      cause = messageOf(error)
    }
    const letter = {
      topic: this.inbox.topic,
      partition: this.inbox.partition,
      offset,
      key: key ?? '',
      recordType: '',
      value: value ?? Buffer.alloc(0),
    }
    const dead = { ...letter, decision: 'SKIP' as const, cause, codeVersion: this.#settings.codeVersion, at: timestamp }
    overlay.appends.push({ topic: 'dead.letters', key: key ?? '', value: this.#codec.encode('dead.letters', 'DeadLetter', dead) })
    this.#poisoned.push({ key: key ?? '', at: timestamp })
    return null
  }

  #collect(incoming: Incoming, step: Step, overlay: Overlay): void {
    const { key, record } = incoming
    for (const emit of step.emits) overlay.appends.push(emit)
    for (const { attempt, effect, name, input } of step.performed) {
      const { fingerprint } = recordSchema(name)
      const kept: LedgerInput = { key, attempt, effect, fingerprint, input }
      const ledger = recordSchema('LedgerInput')
      overlay.inputs.set(inputKey(key, attempt), stored(ledger.fingerprint, ledger.type.toBuffer(kept)))
    }
    for (const attempt of step.closed) {
      overlay.inputs.set(inputKey(key, attempt), null)
      overlay.started.delete(attempt)
      overlay.closed.push(attempt)
    }
    for (const attempt of step.started) overlay.started.set(attempt, key)
    if (step.result === 'poisoned') this.#poisoned.push({ key, at: step.instance.now })
    if (step.result === 'put_back' && record.type === 'TimerDue') {
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

  /** A timer that is gone, or set anew, need not be remembered as fired. */
  #settleTimers(key: string, before: Instance, after: Instance): void {
    for (const { name, version } of before.timers) {
      if (!after.timers.some(t => t.name === name && t.version === version)) this.#fired.delete(timerId({ key, name, version }))
    }
  }

  #tooMuchPoison(now: number): boolean {
    if (now - this.#handledInWindow.since > POISON_WINDOW) {
      this.#handledInWindow = { count: 0, since: now }
      this.#poisoned = this.#poisoned.filter(p => now - p.at <= POISON_WINDOW)
    }
    this.#handledInWindow.count += 1
    if (this.#poisoned.length <= POISON_KEYS) return false
    const keys = new Set(this.#poisoned.map(p => p.key)).size
    if (keys <= POISON_KEYS || this.#poisoned.length <= this.#handledInWindow.count * POISON_SHARE) return false
    const cause = `${keys} keys and ${this.#poisoned.length} of ${this.#handledInWindow.count} records failed within a minute`
    this.#overlay.stop = { codeVersion: this.#settings.codeVersion, cause, at: now }
    return true
  }
}

function newOverlay(next: number): Overlay {
  return { touched: new Map(), appends: [], inputs: new Map(), started: new Map(), closed: [], putBack: [], next, stop: null }
}

function change(key: string, { before, after, raw }: Touched): Change {
  if (raw === null) return { key, before, after: null, bytes: null }
  return { key, before, after, bytes: stored(recordSchema('Envelope').fingerprint, raw) }
}

function timerId({ key, name, version }: Pick<DueTimer, 'key' | 'name' | 'version'>): string {
  return `${key}\0${name}\0${version}`
}

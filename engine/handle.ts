/**
 * One step of one actor: a record read from its inbox, folded into its instance. Pure: the same instance, record and code
 * give the same step. The engine's own bookkeeping comes before the handler and survives its failure:
 *
 *   now ─▶ effect result? ─▶ timer? ─▶ redrive? ─▶ seen before? ─▶ parked? ─▶ handler ─▶ (poison: skip or park)
 */
import { hash } from 'node:crypto'
import { recordSchema } from '../schemas/index.ts'
import type { EffectEnded, EnvelopeParked, EnvelopeTimer, RecordName, Redrive, TimerDue } from '../schemas/types.ts'
import type { Topic } from '../topics/catalog.ts'
import { type Codec, CodecError, type Decoded } from '../topics/codec.ts'
import type { ActorDefinition, Context, Ended, Timer } from './actor.ts'
import { deadLetter } from './dead-letter.ts'
import { Corrupted, cut, Fatal, isA, messageOf, Poison, SchemasMissing } from './errors.ts'
import { ATTEMPT, COMMAND, LAST, PART, RECORD_ID, recordTime } from './headers.ts'
import { uuid5 } from './ids.ts'
import type { Incoming } from './incoming.ts'
import { type Attempt, encodeState, FORGET, type Instance, isEmpty, NEW_INSTANCE, REMEMBER_MS } from './instance.ts'
import { standing, timerName, unknown } from './retired.ts'
import { EMPTY_RING, newest, admit } from './dedup-ring.ts'
import { checkInput, checkSize, historyThatFits, keptBytes, keptFits, MAX_ID, MAX_TIMER_NAME_BYTES } from './size.ts'

export type { Incoming } from './incoming.ts'

/** Where the step happens. */
export interface Place {
  /** Identity of the log, topic and partition: what ids are made of. */
  readonly scope: string
  readonly topic: string
  readonly partition: number
  readonly codec: Codec
  readonly codeVersion: string
  /** Identity of the state store: owner of the attempts that this step starts. */
  readonly owner: string
  /** Input of an open attempt, decoded. */
  input(key: string, attempt: string): unknown
  /** What answers a look-up, in wire format; null where nothing does now. */
  lookup(question: Question): Buffer | null
}

export interface Question {
  readonly key: string
  readonly lookup: string
  /** Offset and count of what asks: no other question of its partition has the same. */
  readonly by: string
  readonly input: unknown
  /** Of the input. */
  readonly digest: string
}

/** A look-up's answer, for the journal. */
export interface Answer extends Pick<Question, 'key' | 'lookup' | 'by' | 'digest'> {
  readonly value: Buffer
}

export interface Emit {
  readonly topic: string
  readonly key: string
  /** Null, both, where it deletes what its key names. */
  readonly type: RecordName | null
  readonly value: Buffer | null
}

export interface Performed {
  readonly attempt: string
  readonly effect: string
  readonly name: RecordName
  readonly input: Buffer
}

export interface Step {
  readonly instance: Instance
  /** False where nothing is to be kept of the record: the instance is that of before, its time too. */
  readonly changed: boolean
  /** Raw Avro of the state that a handler has returned; null where none was called, or none is left. */
  readonly stateBytes: Buffer | null
  readonly emits: readonly Emit[]
  /** What its look-ups were answered: kept whatever becomes of the handler, since a replay calls it again. */
  readonly answers: readonly Answer[]
  /** Attempts recorded: their inputs go into the ledger. */
  readonly performed: readonly Performed[]
  /** Attempts closed: their inputs leave the ledger. */
  readonly closed: readonly string[]
  /** Attempts that have become first of their key, and may run after the commit. */
  readonly started: readonly string[]
  readonly result: 'handled' | 'duplicate' | 'stale' | 'deferred' | 'parked_behind' | 'poisoned'
}

const DECISIONS = 32
const COMMANDS = 32
const PARKED = 100
const LATE_RESULTS = 16

type AnyHandler = (state: unknown, argument: unknown, context: Context) => unknown

/**
 * Folds one record into the instance of its key.
 * @throws {Fatal} when this code has no handler for its type, or lacks an effect or a timer that the instance holds
 */
export function handle(definition: ActorDefinition, before: Instance | null, incoming: Incoming, place: Place): Step {
  // What is empty is not kept: whether it is still in memory must make no difference.
  const step = new Stepping(definition, before === null || isEmpty(before) ? NEW_INSTANCE : before, incoming, place)
  return step.run()
}

/** It is also what handlers see of it. */
class Stepping implements Context {
  readonly #definition: ActorDefinition
  readonly #before: Instance
  #incoming: Incoming
  readonly #place: Place
  #now: number
  #state: unknown
  #stateBytes: Buffer | null = null
  #timers: readonly EnvelopeTimer[]
  #ledger: readonly Attempt[]
  #ring: Instance['ring']
  #parked: Instance['parked']
  /** Waits behind the parked record that is being handled again. */
  #behind: Instance['parked'] = []
  #decisions: Instance['decisions']
  #commands: Instance['commands']
  /** A handler is called with the record itself, not told of its failure. */
  #delivers = false
  #emits: Emit[] = []
  readonly #answers: Answer[] = []
  #performed: Performed[] = []
  #closed: string[] = []
  #started: string[] = []
  /** Offset of the record that this step is about; a redrive handles others under it. */
  readonly #offset: number
  /** What was ended because its effect or timer is retired, for the actor to be told once all else is done. */
  #untold: { readonly type: string; readonly cause: string }[] = []
  /** When the ids of a key without a state are forgotten. */
  #forget: EnvelopeTimer | null
  /** Those of the actor. */
  readonly #timersBefore: readonly EnvelopeTimer[]
  #count = 0
  #refused: string | null = null

  constructor(definition: ActorDefinition, before: Instance, incoming: Incoming, place: Place) {
    this.#definition = definition
    this.#before = before
    this.#incoming = incoming
    this.#place = place
    this.#offset = incoming.offset
    this.#now = Math.max(incoming.timestamp, before.now)
    this.#state = before.state
    this.#forget = before.timers.find(t => t.name === FORGET) ?? null
    this.#timers = this.#forget === null ? before.timers : before.timers.filter(t => t.name !== FORGET)
    this.#timersBefore = this.#timers
    this.#ledger = before.ledger
    this.#ring = before.ring
    this.#parked = before.parked
    this.#decisions = before.decisions
    this.#commands = before.commands
  }

  run(): Step {
    const result = this.#route()
    for (let told = 0; told < this.#untold.length; told++) {
      const { type, cause } = this.#untold[told] as { type: string; cause: string }
      this.#tellFailed(type, cause)
    }
    this.#settleForgetting()
    const changed = this.#changed(result)
    return {
      instance: changed ? this.#after() : this.#before,
      changed,
      stateBytes: this.#stateBytes,
      emits: this.#emits,
      answers: this.#answers,
      performed: this.#performed,
      closed: this.#closed,
      started: this.#started,
      result,
    }
  }

  #after(): Instance {
    const { decisions, commands } = historyThatFits(this.#kept(), { decisions: this.#decisions, commands: this.#commands })
    return {
      now: this.#now,
      state: this.#state,
      timers: this.#forget === null ? this.#timers : [...this.#timers, this.#forget],
      ledger: this.#ledger,
      ring: this.#ring,
      parked: this.#parked,
      decisions,
      commands,
    }
  }

  /** A timer that is put back has to be looked at again, and what was said has to go with the offset of what said it. */
  #changed(result: Step['result']): boolean {
    const { state, timers, ledger, ring, parked, decisions, commands } = this.#before
    const said = [this.#emits, this.#answers, this.#performed, this.#closed, this.#started].some(list => list.length > 0)
    const forget = timers.find(t => t.name === FORGET) ?? null
    const same =
      this.#state === state &&
      this.#timers === this.#timersBefore &&
      this.#forget === forget &&
      this.#ledger === ledger &&
      this.#ring === ring &&
      this.#parked === parked &&
      this.#decisions === decisions &&
      this.#commands === commands
    return said || !same || result === 'deferred'
  }

  #kept(): Pick<Instance, 'timers' | 'ledger' | 'parked'> {
    const parked = this.#behind.length === 0 ? this.#parked : [...this.#parked, ...this.#behind]
    return { timers: this.#timers, ledger: this.#ledger, parked }
  }

  /**
   * Without a state, what ended as UNKNOWN waits for no late result: its input may be personal. The key itself is kept by what is
   * parked or open, otherwise only by the ids that it has to know again, and no longer than these may come again.
   */
  #settleForgetting(): void {
    if (this.#state !== null) {
      this.#forget = null
      return
    }
    const ended = this.#ledger.filter(a => a.status === 'ENDED')
    for (const { attempt } of ended) this.#closed.push(attempt)
    if (ended.length > 0) this.#ledger = this.#ledger.filter(a => a.status !== 'ENDED')
    if (this.#ledger.length > 0 || this.#parked.length > 0 || this.#ring.entries.length === 0) {
      this.#forget = null
    } else if (this.#ring !== this.#before.ring) {
      this.#forget = { name: FORGET, at: this.#now + REMEMBER_MS, version: this.#version() }
    } else if (this.#forget === null) {
      const at = Math.min(newest(this.#ring), this.#now) + REMEMBER_MS
      this.#forget = { name: FORGET, at, version: this.#version() }
    }
  }

  #route(): Step['result'] {
    const { record, headers } = this.#incoming
    const ofEngine = record.type === 'TimerDue' || record.type === 'EffectEnded' || headers[ATTEMPT] !== undefined
    if (record.type === 'TimerDue' && record.value.name === FORGET) return this.#forgetIds(record.value.version)
    if (ofEngine && this.#parked.length > 0) return this.#wait(record.type)
    if (record.type === 'EffectEnded') return this.#effectEnded(record.value)
    if (headers[ATTEMPT] !== undefined) return this.#effectResult(headers[ATTEMPT])
    if (record.type === 'TimerDue') return this.#timerDue(record.value)
    if (record.type === 'Redrive') return this.#redrive(record.value)
    return this.#message()
  }

  #message(): Step['result'] {
    const { record, headers, timestamp } = this.#incoming
    const id = headers[RECORD_ID]
    let possiblyDuplicate = false
    if (id !== undefined) {
      const taken = admit(this.#ring, id, recordTime(headers, timestamp))
      if (taken.known) return 'duplicate'
      this.#ring = taken.ring
      possiblyDuplicate = taken.possiblyDuplicate
    }
    return this.#deliver(record.type, context => this.#on(record.type)(this.#state, record.value, context), { possiblyDuplicate })
  }

  // Effects: the ledger is settled first, then the handler sees the result.

  #effectResult(id: string): Step['result'] {
    const { record, headers } = this.#incoming
    const attempt = this.#ledger.find(a => a.attempt === id)
    if (attempt === undefined) return 'duplicate'
    const part = Number(headers[PART] ?? 0)
    const last = (headers[LAST] ?? '1') === '1'
    // A run that starts again sends its parts from 0 on; any other part than the next one belongs to a run given up.
    if (part !== 0 && part !== attempt.parts) return 'stale'
    const late = attempt.status === 'ENDED'
    if (last) this.#close(attempt)
    else this.#replace({ ...attempt, parts: part + 1 })
    if (!Object.hasOwn(this.#definition.on, record.type) && !this.#declared(attempt.effect)) {
      if (!last) this.#close(attempt)
      const cause = `effect "${attempt.effect}" is retired: nobody handles the result of attempt ${id}`
      this.#quarantine(record.type, cause, 'skip')
      return 'handled'
    }
    return this.#deliver(record.type, context => this.#on(record.type)(this.#state, record.value, context), { attempt: id, late })
  }

  #effectEnded({ attempt: id, start, outcome, reason }: EffectEnded): Step['result'] {
    const attempt = this.#ledger.find(a => a.attempt === id)
    if (attempt === undefined || attempt.status !== 'STARTED' || attempt.start !== start) return 'duplicate'
    if (!this.#declared(attempt.effect)) {
      this.#retire(attempt, outcome === 'UNKNOWN' || outcome === 'RETRY', reason)
      this.#startNext()
      return 'handled'
    }
    if (outcome === 'RELEASED' || outcome === 'RETRY') {
      const uncertain = attempt.uncertain || outcome === 'RETRY'
      this.#replace({ ...attempt, start: start + 1, uncertain, owner: this.#place.owner })
      this.#started.push(id)
      return 'handled'
    }
    let input: unknown
    try {
      input = this.#place.input(this.#incoming.key, id)
    } catch (error) {
      if (!(isA(error, Corrupted) && error.code === 'no_input')) throw error
      this.#close(attempt)
      this.#quarantine('EffectEnded', `attempt ${id} ended as ${outcome}; ${error.message}`, 'skip')
      return 'poisoned'
    }
    if (outcome === 'UNKNOWN') {
      this.#replace({ ...attempt, status: 'ENDED' })
      const ended = this.#ledger.filter(a => a.status === 'ENDED')
      if (ended.length > LATE_RESULTS) this.#close(ended[0] as Attempt)
      this.#startNext()
    } else this.#close(attempt)
    const { ended } = this.#definition
    if (ended === undefined) return 'handled'
    const argument: Ended = { attempt: id, effect: attempt.effect, outcome, reason: cut(reason), input: input as Ended['input'] }
    return this.#deliver('EffectEnded', context => (ended as AnyHandler)(this.#state, argument, context), { attempt: id })
  }

  /** False for an effect that is retired. @throws {Fatal} when other code may have it. */
  #declared(effect: string): boolean {
    const known = standing(this.#definition, 'effect', effect)
    if (known === 'unknown') throw unknown(this.#definition, 'effect', effect)
    return known === 'declared'
  }

  /** Ends an attempt whose effect is no more, which nobody can handle: its input's type may be gone too. */
  #retire(attempt: Attempt, left: boolean, reason: string): void {
    const { attempt: id, effect, start, uncertain } = attempt
    const outcome = left || uncertain ? 'UNKNOWN' : 'NOT_DONE'
    const cause = cut(`effect "${effect}" is retired: attempt ${id} ended as ${outcome}${reason && `; ${reason}`}`)
    const { codec, topic } = this.#place
    const value = codec.encode(topic, 'EffectEnded', { attempt: id, effect, start, outcome, reason: cause })
    this.#dead({ recordType: 'EffectEnded', value, decision: 'SKIP', cause })
    this.#untold.push({ type: 'EffectEnded', cause })
    this.#remove(attempt)
  }

  #close(attempt: Attempt): void {
    this.#remove(attempt)
    this.#startNext()
  }

  #remove(attempt: Attempt): void {
    this.#ledger = this.#ledger.filter(a => a.attempt !== attempt.attempt)
    this.#closed.push(attempt.attempt)
  }

  #replace(changed: Attempt): void {
    this.#ledger = this.#ledger.map(a => (a.attempt === changed.attempt ? changed : a))
  }

  /** One effect at a time per key: the first that waits starts once none has. */
  #startNext(): void {
    if (this.#ledger.some(a => a.status === 'STARTED')) return
    const next = this.#firstWaiting()
    if (next === undefined) return
    this.#replace({ ...next, status: 'STARTED', owner: this.#place.owner })
    this.#started.push(next.attempt)
  }

  #firstWaiting(): Attempt | undefined {
    for (;;) {
      const next = this.#ledger.find(a => a.status === 'WAITING')
      if (next === undefined || this.#declared(next.effect)) return next
      this.#retire(next, false, '')
    }
  }

  // Timers: removed before the handler; one that was moved or cleared in the meantime is stale.

  #timerDue({ name, version }: TimerDue): Step['result'] {
    const timer = this.#timers.find(t => t.name === name)
    if (timer === undefined || timer.version !== version) return 'stale'
    if (this.#now < timer.at) return 'deferred'
    this.#timers = this.#timers.filter(t => t !== timer)
    return this.#fire(name, timer.at)
  }

  #forgetIds(version: string): Step['result'] {
    if (this.#forget?.version !== version) return 'stale'
    if (this.#now < this.#forget.at) return 'deferred'
    this.#ring = EMPTY_RING
    return 'handled'
  }

  #fire(name: string, dueAt: number): Step['result'] {
    const { kind, argument } = timerName(name)
    const known = standing(this.#definition, 'timer', kind)
    if (known === 'unknown') throw unknown(this.#definition, 'timer', kind)
    if (known === 'retired') {
      const cause = `timer "${kind}" is retired: "${name}" was due at ${dueAt}`
      this.#dead({ recordType: 'TimerDue', value: this.#incoming.raw, decision: 'SKIP', cause })
      this.#untold.push({ type: 'TimerDue', cause })
      return 'handled'
    }
    const fire = this.#definition.timers?.[kind] as AnyHandler
    const timer: Timer = { name, argument, dueAt }
    return this.#deliver('TimerDue', context => fire(this.#state, timer, context), {})
  }

  // Quarantine: a record that fails is skipped, or parks its key.

  #deliver(type: string, call: (context: Context) => unknown, info: Partial<Delivery>): Step['result'] {
    if (this.#parked.length > 0) return this.#wait(type)
    this.#delivers = true
    const failure = this.#attempt(context => {
      const { length } = this.#incoming.headers[COMMAND] ?? ''
      if (length > MAX_ID) throw new Poison('too_large', `the id of the command has ${length} characters, ${MAX_ID} at most`)
      return call(context)
    }, info)
    this.#delivers = false
    if (failure === null) {
      this.#command(this.#refused === null ? 'handled' : 'refused', this.#refused ?? '')
      return 'handled'
    }
    this.#quarantine(type, failure)
    return 'poisoned'
  }

  /** Calls a handler. What it did is kept only if it did not throw. */
  #attempt(call: (context: Context) => unknown, info: Partial<Delivery>): string | null {
    const before = this.#kept()
    const { timers, ledger } = before
    const [emits, performed, started] = [this.#emits.length, this.#performed.length, this.#started.length]
    const [closed, untold] = [this.#closed.length, this.#untold.length]
    this.#refused = null
    this.attempt = info.attempt ?? null
    this.late = info.late ?? false
    this.possiblyDuplicate = info.possiblyDuplicate ?? false
    try {
      const state = settled(call(this))
      const bytes = encodeState(state, this.#definition.state)
      if (state === null && this.#timers.length > 0) this.#timers = []
      if (this.#timers !== timers || this.#ledger !== ledger) this.#checkKept(before)
      this.#state = state
      this.#stateBytes = bytes
      return null
    } catch (error) {
      if (isA(error, Fatal)) throw error
      this.#emits.length = emits
      this.#performed.length = performed
      this.#started.length = started
      this.#closed.length = closed
      this.#untold.length = untold
      this.#timers = timers
      this.#ledger = ledger
      return messageOf(error)
    }
  }

  /** Timers and attempts have to fit into one record, with all that is kept beside them. @throws {Poison} */
  #checkKept(before: Pick<Instance, 'timers' | 'ledger' | 'parked'>): void {
    const after = this.#kept()
    if (keptFits(after)) return
    const bytes = keptBytes(after)
    // What earlier code has let grow may at least not grow further.
    if (bytes > keptBytes(before))
      throw new Poison('too_large', `its timers and open attempts take ${bytes} bytes, more than a record may have`)
  }

  #quarantine(type: string, cause: string, always?: 'skip'): void {
    const { onPoison } = this.#definition
    const { offset, raw } = this.#incoming
    // An attempt's input has left the ledger by now, so its end cannot be handled a second time.
    const wanted = always ?? (type === 'EffectEnded' ? 'skip' : (onPoison?.types?.[type] ?? onPoison?.default ?? 'skip'))
    const parks = wanted === 'park' && this.#park(type)
    const why = wanted === 'park' && !parks ? `${cut(cause, 900)} (not parked: too large to be kept)` : cause
    this.#decide(offset, parks ? 'park' : 'skip')
    this.#dead({ recordType: type, value: raw, decision: parks ? 'PARK' : 'SKIP', cause: why })
    this.#command(parks ? 'parked' : 'skipped', why)
    this.#tellFailed(type, why)
  }

  /** Puts the record behind those that are parked. False where there is no room for it. */
  #park(type: string): boolean {
    const { offset, timestamp, raw, headers } = this.#incoming
    const parcel: EnvelopeParked = { offset, type, at: timestamp, value: raw, headers }
    const kept = this.#kept()
    if (!keptFits({ ...kept, parked: [...kept.parked, parcel] })) return false
    this.#parked = [...this.#parked, parcel]
    return true
  }

  #tellFailed(type: string, cause: string): void {
    const failed = this.#definition.onPoison?.failed
    if (failed !== undefined) this.#attempt(context => (failed as AnyHandler)(this.#state, { type, cause }, context), {})
  }

  #wait(type: string): Step['result'] {
    const full = this.#parked.length >= PARKED
    if (!full && this.#park(type)) return 'parked_behind'
    const { offset, raw } = this.#incoming
    const cause = full ? `${PARKED} records wait behind a parked one` : 'too large to wait behind a parked record'
    this.#decide(offset, 'skip')
    this.#dead({ recordType: type, value: raw, decision: 'SKIP', cause })
    this.#command('skipped', cause)
    return 'poisoned'
  }

  /** Handles the parked record, as it was or mended, then what waited behind it, until one parks again. */
  #redrive(order: Redrive): Step['result'] {
    const taken = admit(this.#ring, order.id, this.#now)
    if (taken.known) return 'duplicate'
    this.#ring = taken.ring
    const [first, ...waiting] = this.#parked
    if (first === undefined || first.offset !== order.offset) return 'stale'
    this.#decide(first.offset, order.drop ? 'drop' : 'redrive')
    const mended = order.value === null ? first : { ...first, value: order.value }
    const queue = order.drop ? waiting : [mended, ...waiting]
    this.#parked = []
    for (const [at, parcel] of queue.entries()) {
      this.#behind = queue.slice(at + 1)
      this.#handleParcel(parcel, parcel === mended, order.value)
      if (this.#parked.length === 0) continue
      this.#parked = [...this.#parked, ...this.#behind]
      this.#behind = []
      return 'poisoned'
    }
    return 'handled'
  }

  /** The one that was parked has had its bookkeeping, and so have messages; what else waited has it now. */
  #handleParcel(parcel: EnvelopeParked, wasParked: boolean, given: Buffer | null): void {
    const { offset, at, headers, value, type } = parcel
    const key = this.#incoming.key
    let record: Decoded
    try {
      record = this.#place.codec.decode(value)
    } catch (error) {
      if (error instanceof CodecError && error.code === 'unknown_record')
        throw new Fatal(error.code, `parked at offset ${offset}: ${error.message}`)
      if (error instanceof CodecError && error.code === 'unknown_schema' && value !== given)
        throw new SchemasMissing(`the record parked at offset ${offset}`, [value])
      this.#incoming = { ...this.#incoming, offset, timestamp: at, headers, raw: value }
      this.#quarantine(type, messageOf(error))
      return
    }
    this.#incoming = { key, offset, timestamp: at, headers, raw: value, record }
    const ofEngine = type === 'TimerDue' || type === 'EffectEnded' || headers[ATTEMPT] !== undefined
    if (ofEngine && !wasParked) this.#route()
    else if (record.type === 'TimerDue') this.#fire(record.value.name, record.value.dueAt)
    else this.#deliver(type, c => this.#on(type)(this.#state, record.value, c), { attempt: headers[ATTEMPT] ?? null })
  }

  #decide(offset: number, decision: string): void {
    const { codeVersion } = this.#place
    this.#decisions = [...this.#decisions, { offset, decision, codeVersion }].slice(-DECISIONS)
  }

  #command(outcome: string, reason: string): void {
    this.#commands = this.#commandsWith(outcome, reason)
  }

  #commandsWith(outcome: string, reason: string): Instance['commands'] {
    const id = this.#incoming.headers[COMMAND]
    if (id === undefined || id.length > MAX_ID || this.#commands.some(c => c.id === id && c.outcome !== 'parked'))
      return this.#commands
    return [...this.#commands.filter(c => c.id !== id), { id, outcome, reason: cut(reason) }].slice(-COMMANDS)
  }

  /** A dead letter about the record at hand. */
  #dead(letter: { recordType: string; value: Buffer; decision: 'SKIP' | 'PARK'; cause: string }): void {
    const { codec, topic, partition, codeVersion } = this.#place
    const { key, offset } = this.#incoming
    this.#emits.push(deadLetter(codec, { ...letter, key, offset, topic, partition, codeVersion, at: this.#now }))
  }

  #on(type: string): AnyHandler {
    const handler = (this.#definition.on as Record<string, AnyHandler | undefined>)[type]
    if (handler === undefined) {
      throw new Fatal('no_handler', `actor "${this.#definition.name}" has no handler for ${type}: deploy code that has one`)
    }
    return handler
  }

  // What handlers see: see `Context`.

  attempt: string | null = null
  late = false
  possiblyDuplicate = false

  get key(): string {
    return this.#incoming.key
  }

  get now(): number {
    return this.#now
  }

  get offset(): number {
    return this.#incoming.offset
  }

  get headers(): Incoming['headers'] {
    return this.#incoming.headers
  }

  get commands(): Instance['commands'] {
    if (!this.#delivers) return this.#commands
    return this.#commandsWith(this.#refused === null ? 'handled' : 'refused', this.#refused ?? '')
  }

  id(): string {
    return uuid5(`${this.#place.scope}/${this.#version()}`)
  }

  emit(topic: Topic, to: string, type: RecordName, record: unknown): void {
    this.#checkEmit(topic, to)
    const value = this.#place.codec.encode(topic.name, type, record as never)
    checkSize(`${type} for ${topic.name}`, { key: to, value })
    this.#emits.push({ topic: topic.name, key: to, type, value })
  }

  remove(topic: Topic, key: string): void {
    this.#checkEmit(topic, key)
    if (topic.cleanup !== 'compact') throw new Poison('invalid', `removes from ${topic.name}, which is not compacted`)
    checkSize(`a deletion for ${topic.name}`, { key, value: null })
    this.#emits.push({ topic: topic.name, key, type: null, value: null })
  }

  #checkEmit(topic: Topic, to: string): void {
    if (!this.#definition.emits.includes(topic))
      throw new Poison('not_declared', `emits to ${topic.name}, which it does not declare`)
    if (typeof to !== 'string') throw new Poison('invalid', `emits to ${topic.name} under a key that is no text`)
  }

  lookup(lookup: string, input: object): never {
    const { lookups = {} } = this.#definition
    const declared = Object.hasOwn(lookups, lookup) ? lookups[lookup] : undefined
    if (declared === undefined) throw new Poison('not_declared', `looks up "${lookup}", which it does not declare`)
    const { type } = recordSchema(declared.input)
    const bytes = type.toBuffer(input)
    const question = { key: this.key, lookup, by: this.#version(), digest: hash('sha256', bytes, 'hex').slice(0, 16) }
    const value = this.#place.lookup({ ...question, input: type.fromBuffer(bytes) })
    if (value === null) return null as never
    this.#answers.push({ ...question, value })
    return this.#place.codec.decode(value).value as never
  }

  perform(effect: string, input: object, options?: { notAfter?: number | undefined }): string {
    const { effects = {} } = this.#definition
    const declared = Object.hasOwn(effects, effect) ? effects[effect] : undefined
    if (declared === undefined) throw new Poison('not_declared', `performs "${effect}", which it does not declare`)
    const attempt = this.id()
    const { type, fingerprint } = recordSchema(declared.input)
    const bytes = type.toBuffer(input)
    checkInput({ key: this.key, attempt, effect, fingerprint, input: bytes })
    this.#performed.push({ attempt, effect, name: declared.input, input: bytes })
    const { owner } = this.#place
    const notAfter = options?.notAfter == null ? null : time(options.notAfter, `notAfter of "${effect}"`)
    this.#ledger = [
      ...this.#ledger,
      { attempt, effect, status: 'WAITING', notAfter, start: 0, uncertain: false, parts: 0, owner },
    ]
    this.#startNext()
    return attempt
  }

  setTimer(name: string, at: number): void {
    const { kind } = timerName(name)
    if (standing(this.#definition, 'timer', kind) !== 'declared')
      throw new Poison('not_declared', `sets timer "${cut(kind, 100)}", which it does not declare`)
    const bytes = Buffer.byteLength(name)
    if (bytes > MAX_TIMER_NAME_BYTES || name.includes('\0'))
      throw new Poison(
        'too_large',
        `the name of a timer "${kind}" has ${bytes} bytes, ${MAX_TIMER_NAME_BYTES} at most, none a zero`,
      )
    const timer = { name, at: time(at, `timer "${name}"`), version: this.#version() }
    this.#timers = [...this.#timers.filter(t => t.name !== name), timer]
  }

  clearTimer(name: string): void {
    this.#timers = this.#timers.filter(t => t.name !== name)
  }

  refuse(reason: string): void {
    this.#refused = cut(String(reason))
  }

  #version(): string {
    return `${this.#offset}.${this.#count++}`
  }
}

/** What a handler has returned. @throws {Poison} where it has not returned yet. */
function settled(returned: unknown): unknown {
  if (returned instanceof Promise) {
    returned.catch(() => {}) // it has failed already, by being one
    throw new Poison('invalid', 'a handler returned a promise: it has to be synchronous')
  }
  return returned ?? null
}

/** The latest that a date can have, ms. */
const MAX_TIME = 8.64e15

/** A time that a record can hold, ms. @throws {Poison} */
function time(at: number, what: string): number {
  const rounded = Math.round(at)
  if (!(Math.abs(rounded) <= MAX_TIME)) throw new Poison('invalid', `${what} at ${at}`)
  return rounded
}

interface Delivery {
  readonly attempt: string | null
  readonly late: boolean
  readonly possiblyDuplicate: boolean
}

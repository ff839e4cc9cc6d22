/**
 * One step of one actor: a record read from its inbox, folded into its instance. Pure: the same instance, record and code
 * give the same step. The engine's own bookkeeping comes before the handler and survives its failure:
 *
 *   now ─▶ effect result? ─▶ timer? ─▶ redrive? ─▶ seen before? ─▶ parked? ─▶ handler ─▶ (poison: skip or park)
 */
import { recordSchema } from '../schemas/index.ts'
import type {
  DeadLetterInput,
  EffectEnded,
  EnvelopeParked,
  EnvelopeTimer,
  RecordName,
  Redrive,
  TimerDue,
} from '../schemas/types.ts'
import type { Topic } from '../topics/catalog.ts'
import type { Codec, Decoded } from '../topics/codec.ts'
import { MAX_RECORD_BYTES } from '../topics/log.ts'
import type { ActorDefinition, Context, Ended, Timer } from './actor.ts'
import { Fatal, messageOf, Poison } from './errors.ts'
import { ATTEMPT, COMMAND, LAST, PART, RECORD_AT, RECORD_ID } from './headers.ts'
import { uuid5 } from './ids.ts'
import { type Attempt, checkState, type Instance, NEW_INSTANCE } from './instance.ts'
import { take } from './ring.ts'

/** A record of an inbox, decoded. `raw` is its wire format, kept for dead letters and parking. */
export interface Incoming {
  readonly key: string
  readonly offset: number
  readonly timestamp: number
  readonly headers: Readonly<Record<string, string>>
  readonly raw: Buffer
  readonly record: Decoded
}

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
}

export interface Emit {
  readonly topic: string
  readonly key: string
  readonly type: RecordName
  readonly value: Buffer
}

export interface Performed {
  readonly attempt: string
  readonly effect: string
  readonly name: RecordName
  readonly input: Buffer
}

export interface Step {
  readonly instance: Instance
  readonly emits: readonly Emit[]
  /** Attempts recorded: their inputs go into the ledger. */
  readonly performed: readonly Performed[]
  /** Attempts closed: their inputs leave the ledger. */
  readonly closed: readonly string[]
  /** Attempts that have become first of their key, and may run after the commit. */
  readonly started: readonly string[]
  readonly result: 'handled' | 'duplicate' | 'stale' | 'put_back' | 'waiting' | 'poisoned'
}

const DECISIONS = 32
const COMMANDS = 32
const PARKED = 100
const LATE_RESULTS = 16

type AnyHandler = (state: unknown, argument: unknown, context: Context) => unknown

/** Folds one record into the instance of its key. @throws {Fatal} when there is no handler for its type. */
export function handle(definition: ActorDefinition, before: Instance | null, incoming: Incoming, place: Place): Step {
  const step = new Stepping(definition, before ?? NEW_INSTANCE, incoming, place)
  return step.run()
}

/** It is also what handlers see of it. */
class Stepping implements Context {
  readonly #definition: ActorDefinition
  #incoming: Incoming
  readonly #place: Place
  #now: number
  #state: unknown
  #timers: readonly EnvelopeTimer[]
  #ledger: readonly Attempt[]
  #ring: Instance['ring']
  #parked: Instance['parked']
  #decisions: Instance['decisions']
  #commands: Instance['commands']
  /** A handler is called with the record itself, not told of its failure. */
  #delivers = false
  #emits: Emit[] = []
  #performed: Performed[] = []
  #closed: string[] = []
  #started: string[] = []
  /** Offset of the record that this step is about; a redrive handles others under it. */
  readonly #offset: number
  #count = 0
  #refused: string | null = null

  constructor(definition: ActorDefinition, before: Instance, incoming: Incoming, place: Place) {
    this.#definition = definition
    this.#incoming = incoming
    this.#place = place
    this.#offset = incoming.offset
    this.#now = Math.max(incoming.timestamp, before.now)
    this.#state = before.state
    this.#timers = before.timers
    this.#ledger = before.ledger
    this.#ring = before.ring
    this.#parked = before.parked
    this.#decisions = before.decisions
    this.#commands = before.commands
  }

  run(): Step {
    const result = this.#route()
    return {
      instance: {
        now: this.#now,
        state: this.#state,
        timers: this.#timers,
        ledger: this.#ledger,
        ring: this.#ring,
        parked: this.#parked,
        decisions: this.#decisions,
        commands: this.#commands,
      },
      emits: this.#emits,
      performed: this.#performed,
      closed: this.#closed,
      started: this.#started,
      result,
    }
  }

  #route(): Step['result'] {
    const { record, headers } = this.#incoming
    const ofEngine = record.type === 'TimerDue' || record.type === 'EffectEnded' || headers[ATTEMPT] !== undefined
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
    let maybeSeen = false
    if (id !== undefined) {
      const taken = take(this.#ring, id, Number(headers[RECORD_AT] ?? timestamp))
      if (taken.known) return 'duplicate'
      this.#ring = taken.ring
      maybeSeen = taken.maybeSeen
    }
    return this.#deliver(record.type, context => this.#on(record.type)(this.#state, record.value, context), { maybeSeen })
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
    return this.#deliver(record.type, context => this.#on(record.type)(this.#state, record.value, context), { attempt: id, late })
  }

  #effectEnded({ attempt: id, effect, start, outcome, reason }: EffectEnded): Step['result'] {
    const attempt = this.#ledger.find(a => a.attempt === id)
    if (attempt === undefined || attempt.status !== 'STARTED' || attempt.start !== start) return 'duplicate'
    if (outcome === 'RELEASED' || outcome === 'RETRY') {
      const uncertain = attempt.uncertain || outcome === 'RETRY'
      this.#replace({ ...attempt, start: start + 1, uncertain, owner: this.#place.owner })
      this.#started.push(id)
      return 'handled'
    }
    const input = this.#place.input(this.#incoming.key, id)
    if (outcome === 'UNKNOWN') {
      this.#replace({ ...attempt, status: 'ENDED' })
      const ended = this.#ledger.filter(a => a.status === 'ENDED')
      if (ended.length > LATE_RESULTS) this.#close(ended[0] as Attempt)
      this.#startNext()
    } else this.#close(attempt)
    const { ended } = this.#definition
    if (ended === undefined) return 'handled'
    const argument: Ended = { attempt: id, effect, outcome, reason, input: input as Ended['input'] }
    return this.#deliver('EffectEnded', context => (ended as AnyHandler)(this.#state, argument, context), { attempt: id })
  }

  #close(attempt: Attempt): void {
    this.#ledger = this.#ledger.filter(a => a.attempt !== attempt.attempt)
    this.#closed.push(attempt.attempt)
    this.#startNext()
  }

  #replace(changed: Attempt): void {
    this.#ledger = this.#ledger.map(a => (a.attempt === changed.attempt ? changed : a))
  }

  /** One effect at a time per key: the first that waits starts once none has. */
  #startNext(): void {
    if (this.#ledger.some(a => a.status === 'STARTED')) return
    const next = this.#ledger.find(a => a.status === 'WAITING')
    if (next === undefined) return
    this.#replace({ ...next, status: 'STARTED', owner: this.#place.owner })
    this.#started.push(next.attempt)
  }

  // Timers: removed before the handler; one that was moved or cleared in the meantime is stale.

  #timerDue({ name, version }: TimerDue): Step['result'] {
    const timer = this.#timers.find(t => t.name === name)
    if (timer === undefined || timer.version !== version) return 'stale'
    if (this.#now < timer.at) return 'put_back'
    this.#timers = this.#timers.filter(t => t !== timer)
    return this.#fire(name, timer.at)
  }

  #fire(name: string, dueAt: number): Step['result'] {
    const { kind, argument } = timerName(name)
    const fire = this.#definition.timers?.[kind] as AnyHandler | undefined
    if (fire === undefined) throw new Fatal('no_handler', `actor "${this.#definition.name}" has no timer "${kind}"`)
    const timer: Timer = { name, argument, dueAt }
    return this.#deliver('TimerDue', context => fire(this.#state, timer, context), {})
  }

  // Quarantine: a record that fails is skipped, or parks its key.

  #deliver(type: string, call: (context: Context) => unknown, info: Partial<Delivery>): Step['result'] {
    if (this.#parked.length > 0) return this.#wait(type)
    this.#delivers = true
    const failure = this.#attempt(call, info)
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
    const kept = { emits: this.#emits.length, performed: this.#performed.length, started: this.#started.length }
    const { timers, ledger } = { timers: this.#timers, ledger: this.#ledger }
    this.#refused = null
    this.attempt = info.attempt ?? null
    this.late = info.late ?? false
    this.maybeSeen = info.maybeSeen ?? false
    try {
      const state = call(this) ?? null
      checkState(state, this.#definition.state)
      this.#state = state
      if (state === null) this.#timers = []
      return null
    } catch (error) {
      if (error instanceof Fatal) throw error
      this.#emits.length = kept.emits
      this.#performed.length = kept.performed
      this.#started.length = kept.started
      this.#timers = timers
      this.#ledger = ledger
      return messageOf(error)
    }
  }

  #quarantine(type: string, cause: string): void {
    const { onPoison } = this.#definition
    const { key, offset, raw } = this.#incoming
    // An attempt's input has left the ledger by now, so its end cannot be handled a second time.
    const decision = type === 'EffectEnded' ? 'skip' : (onPoison?.types?.[type] ?? onPoison?.default ?? 'skip')
    this.#decide(offset, decision)
    if (decision === 'park') this.#parked = [...this.#parked, this.#parcel(type)]
    this.#dead({ key, recordType: type, value: raw, offset, decision: decision === 'park' ? 'PARK' : 'SKIP', cause })
    this.#command(decision === 'park' ? 'parked' : 'skipped', cause)
    this.#tellFailed(type, cause)
  }

  #tellFailed(type: string, cause: string): void {
    const failed = this.#definition.onPoison?.failed
    if (failed !== undefined) this.#attempt(context => (failed as AnyHandler)(this.#state, { type, cause }, context), {})
  }

  #wait(type: string): Step['result'] {
    if (this.#parked.length < PARKED) {
      this.#parked = [...this.#parked, this.#parcel(type)]
      return 'waiting'
    }
    this.#decide(this.#incoming.offset, 'skip')
    const { key, offset, raw } = this.#incoming
    const cause = `${PARKED} records wait behind a parked one`
    this.#dead({ key, recordType: type, value: raw, offset, decision: 'SKIP', cause })
    this.#command('skipped', cause)
    return 'poisoned'
  }

  #parcel(type: string): EnvelopeParked {
    const { offset, timestamp, raw, headers } = this.#incoming
    return { offset, type, at: timestamp, value: raw, headers }
  }

  /** Handles the parked record, as it was or mended, then what waited behind it, until one parks again. */
  #redrive(order: Redrive): Step['result'] {
    const taken = take(this.#ring, order.id, this.#now)
    if (taken.known) return 'duplicate'
    this.#ring = taken.ring
    const [first, ...waiting] = this.#parked
    if (first === undefined || first.offset !== order.offset) return 'stale'
    this.#decide(first.offset, order.drop ? 'drop' : 'redrive')
    const mended = order.value === null ? first : { ...first, value: order.value }
    const queue = order.drop ? waiting : [mended, ...waiting]
    this.#parked = []
    for (const [at, parcel] of queue.entries()) {
      this.#handleParcel(parcel, parcel === mended)
      if (this.#parked.length === 0) continue
      this.#parked = [...this.#parked, ...queue.slice(at + 1)]
      return 'poisoned'
    }
    return 'handled'
  }

  /** The one that was parked has had its bookkeeping, and so have messages; what else waited has it now. */
  #handleParcel(parcel: EnvelopeParked, wasParked: boolean): void {
    const { offset, at, headers, value, type } = parcel
    const key = this.#incoming.key
    let record: Decoded
    try {
      record = this.#place.codec.decode(value)
    } catch (error) {
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
    if (id === undefined || this.#commands.some(c => c.id === id && c.outcome !== 'parked')) return this.#commands
    return [...this.#commands.filter(c => c.id !== id), { id, outcome, reason }].slice(-COMMANDS)
  }

  #dead(letter: Omit<DeadLetterInput, 'topic' | 'partition' | 'codeVersion' | 'at'>): void {
    const { codec, topic, partition, codeVersion } = this.#place
    const value = codec.encode('dead.letters', 'DeadLetter', { ...letter, topic, partition, codeVersion, at: this.#now })
    this.#emits.push({ topic: 'dead.letters', key: letter.key, type: 'DeadLetter', value })
  }

  #on(type: string): AnyHandler {
    const handler = (this.#definition.on as Record<string, AnyHandler | undefined>)[type]
    if (handler === undefined) throw new Fatal('no_handler', `actor "${this.#definition.name}" has no handler for ${type}`)
    return handler
  }

  // What handlers see: see `Context`.

  attempt: string | null = null
  late = false
  maybeSeen = false

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
    if (!this.#definition.emits.includes(topic))
      throw new Poison('not_declared', `emits to ${topic.name}, which it does not declare`)
    const value = this.#place.codec.encode(topic.name, type, record as never)
    if (value.length > MAX_RECORD_BYTES) throw new Poison('too_large', `${type} of ${value.length} bytes for ${topic.name}`)
    this.#emits.push({ topic: topic.name, key: to, type, value })
  }

  perform(effect: string, input: object, options?: { notAfter?: number | undefined }): string {
    const declared = this.#definition.effects?.[effect]
    if (declared === undefined) throw new Poison('not_declared', `performs "${effect}", which it does not declare`)
    const attempt = this.id()
    const bytes = recordSchema(declared.input).type.toBuffer(input)
    if (bytes.length > MAX_RECORD_BYTES) throw new Poison('too_large', `input of "${effect}" of ${bytes.length} bytes`)
    this.#performed.push({ attempt, effect, name: declared.input, input: bytes })
    const { owner } = this.#place
    const notAfter = options?.notAfter ?? null
    this.#ledger = [
      ...this.#ledger,
      { attempt, effect, status: 'WAITING', notAfter, start: 0, uncertain: false, parts: 0, owner },
    ]
    this.#startNext()
    return attempt
  }

  setTimer(name: string, at: number): void {
    const { kind } = timerName(name)
    if (this.#definition.timers?.[kind] === undefined)
      throw new Poison('not_declared', `sets timer "${kind}", which it does not declare`)
    if (!Number.isFinite(at)) throw new Poison('invalid', `timer "${name}" at ${at}`)
    this.#timers = [...this.#timers.filter(t => t.name !== name), { name, at: Math.round(at), version: this.#version() }]
  }

  clearTimer(name: string): void {
    this.#timers = this.#timers.filter(t => t.name !== name)
  }

  refuse(reason: string): void {
    this.#refused = reason
  }

  #version(): string {
    return `${this.#offset}.${this.#count++}`
  }
}

function timerName(name: string): { kind: string; argument: string } {
  const colon = name.indexOf(':')
  return colon < 0 ? { kind: name, argument: '' } : { kind: name.slice(0, colon), argument: name.slice(colon + 1) }
}

interface Delivery {
  readonly attempt: string | null
  readonly late: boolean
  readonly maybeSeen: boolean
}

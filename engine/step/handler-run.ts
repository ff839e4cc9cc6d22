/** One run of a handler, as the handler sees it. */
import { hash } from 'node:crypto'
import { recordSchema } from '../../schemas/index.ts'
import type { RecordName } from '../../schemas/types.ts'
import type { Topic } from '../../topics/catalog.ts'
import type { Context, RecordIdentity } from '../actor.ts'
import { cut, Poison } from '../errors.ts'
import { RECORD_AT, RECORD_ID } from '../headers.ts'
import { uuid5 } from '../ids.ts'
import type { Incoming } from '../incoming.ts'
import type { Instance } from '../instance.ts'
import { standing, timerName } from '../retired.ts'
import { checkInput, checkSize, MAX_TIMER_NAME_BYTES } from '../size.ts'
import type { Draft } from './draft.ts'
import { startNext, withdrawAttempt } from './ledger.ts'

/** What a handler is told besides the record. */
export interface Delivery {
  readonly attempt: string | null
  readonly late: boolean
  readonly possiblyDuplicate: boolean
}

export class HandlerRun implements Context {
  readonly #draft: Draft
  /** It handles the record itself; otherwise it is told of a failure. */
  readonly #delivers: boolean
  #refusal: Refusal | null = null
  readonly attempt: string | null
  readonly late: boolean
  readonly possiblyDuplicate: boolean

  constructor(draft: Draft, delivers: boolean, { attempt, late, possiblyDuplicate }: Partial<Delivery>) {
    this.#draft = draft
    this.#delivers = delivers
    this.attempt = attempt ?? null
    this.late = late ?? false
    this.possiblyDuplicate = possiblyDuplicate ?? false
  }

  /** Why the command was refused; null if it was not. */
  get refusal(): Refusal | null {
    return this.#refusal
  }

  get key(): string {
    return this.#draft.incoming.key
  }

  get now(): number {
    return this.#draft.now
  }

  get offset(): number {
    return this.#draft.incoming.offset
  }

  get headers(): Incoming['headers'] {
    return this.#draft.incoming.headers
  }

  get commands(): Instance['commands'] {
    if (!this.#delivers) return this.#draft.commands
    if (this.#refusal === null) return this.#draft.commandsWith('handled', '', null)
    return this.#draft.commandsWith('refused', this.#refusal.reason, this.#refusal.code)
  }

  id(): string {
    return uuid5(`${this.#draft.task.scope}/${this.#draft.version()}`)
  }

  emit(topic: Topic, to: string, type: RecordName, record: unknown, identity?: RecordIdentity): void {
    this.#checkEmit(topic, to)
    const headers = identity && { [RECORD_ID]: identity.id, [RECORD_AT]: String(identity.at) }
    const value = this.#draft.task.codec.encode(topic.name, type, record as never)
    checkSize(`${type} for ${topic.name}`, { key: to, value, ...(headers && { headers }) })
    this.#draft.emits.push({ topic: topic.name, key: to, type, value, ...(headers && { headers }) })
  }

  remove(topic: Topic, key: string): void {
    this.#checkEmit(topic, key)
    if (topic.cleanup !== 'compact') throw new Poison('invalid', `removes from ${topic.name}, which is not compacted`)
    checkSize(`a deletion for ${topic.name}`, { key, value: null })
    this.#draft.emits.push({ topic: topic.name, key, type: null, value: null })
  }

  #checkEmit(topic: Topic, to: string): void {
    if (!this.#draft.definition.emits.includes(topic))
      throw new Poison('not_declared', `emits to ${topic.name}, which it does not declare`)
    if (typeof to !== 'string') throw new Poison('invalid', `emits to ${topic.name} under a key that is not a string`)
  }

  lookup(lookup: string, input: object): never {
    const { definition, task, answers } = this.#draft
    const { lookups = {} } = definition
    const declared = Object.hasOwn(lookups, lookup) ? lookups[lookup] : undefined
    if (declared === undefined) throw new Poison('not_declared', `looks up "${lookup}", which it does not declare`)
    const { type } = recordSchema(declared.input)
    const bytes = type.toBuffer(input)
    const by = declared.unnumbered === true ? this.#byName(lookup) : this.#draft.version()
    const question = { key: this.key, lookup, by, digest: hash('sha256', bytes, 'hex').slice(0, 16) }
    const value = task.lookup({ ...question, input: type.fromBuffer(bytes) })
    if (value === null) return null as never
    answers.push({ ...question, value })
    return task.codec.decode(value).value as never
  }

  /** Of several answers for one record the later ones are told apart. */
  #byName(lookup: string): string {
    const name = `${this.offset}.${lookup}`
    const before = this.#draft.answers.filter(({ by }) => by === name || by.startsWith(`${name}.`)).length
    return before === 0 ? name : `${name}.${before}`
  }

  perform(effect: string, input: object, options?: { notAfter?: number | undefined }): string {
    const draft = this.#draft
    const { effects = {} } = draft.definition
    const declared = Object.hasOwn(effects, effect) ? effects[effect] : undefined
    if (declared === undefined) throw new Poison('not_declared', `performs "${effect}", which it does not declare`)
    const attempt = this.id()
    const { type, fingerprint } = recordSchema(declared.input)
    const bytes = type.toBuffer(input)
    checkInput({ key: this.key, attempt, effect, fingerprint, input: bytes })
    draft.performed.push({ attempt, effect, name: declared.input, input: bytes })
    const { owner } = draft.task
    const notAfter = options?.notAfter == null ? null : validTime(options.notAfter, `notAfter of "${effect}"`)
    const waiting = { attempt, effect, status: 'WAITING', notAfter, start: 0, uncertain: false, parts: 0, owner } as const
    draft.ledger = [...draft.ledger, waiting]
    startNext(draft)
    return attempt
  }

  withdraw(attempt: string): boolean {
    return withdrawAttempt(this.#draft, attempt)
  }

  setTimer(name: string, at: number): void {
    const draft = this.#draft
    const { kind } = timerName(name)
    if (standing(draft.definition, 'timer', kind) !== 'declared')
      throw new Poison('not_declared', `sets timer "${cut(kind, 100)}", which it does not declare`)
    const bytes = Buffer.byteLength(name)
    if (bytes > MAX_TIMER_NAME_BYTES || name.includes('\0'))
      throw new Poison(
        'too_large',
        `the name of a timer "${kind}" has ${bytes} bytes; at most ${MAX_TIMER_NAME_BYTES} are allowed, and no zero byte`,
      )
    const timer = { name, at: validTime(at, `timer "${name}"`), version: draft.version() }
    draft.timers = [...draft.timers.filter(t => t.name !== name), timer]
  }

  clearTimer(name: string): void {
    this.#draft.timers = this.#draft.timers.filter(t => t.name !== name)
  }

  refuse(code: string, detail = ''): void {
    const why = String(code)
    this.#refusal = { code: cut(why, MAX_CODE), reason: cut(detail === '' ? why : `${why}: ${detail}`) }
  }
}

/** Characters of a code. */
const MAX_CODE = 100

export interface Refusal {
  readonly code: string
  /** The code, and words for people. */
  readonly reason: string
}

/** The latest time of a JavaScript date, ms. */
const MAX_TIME_MS = 8.64e15

/** Rounded to what a record can hold, ms. @throws {Poison} */
function validTime(at: number, what: string): number {
  const rounded = Math.round(at)
  if (!(Math.abs(rounded) <= MAX_TIME_MS)) throw new Poison('invalid', `${what} at ${at}`)
  return rounded
}

/**
 * An inbox handled once more. The same state, inbox and code give the same state, outputs and decisions; under other code, this
 * shows what would have been different, by key the first of it.
 */
import { piiPaths, recordSchema } from '../schemas/index.ts'
import { changelog } from '../topics/catalog.ts'
import type { Codec } from '../topics/codec.ts'
import type { Log, LogRecord } from '../topics/log.ts'
import type { ActorDefinition } from './actor.ts'
import { deadLetter } from './dead-letter.ts'
import { cut, messageOf } from './errors.ts'
import { handle } from './handle.ts'
import { scopeOf } from './scope.ts'
import type { Answer, Emit, TaskScope, Question } from './step/step.ts'
import { incoming } from './incoming.ts'
import { type Instance, isEmpty } from './instance.ts'
import { readJournal } from './lookups.ts'
import { pieces } from './pieces.ts'
import { type Recorded, readRecorded } from './recorded.ts'

export interface Difference {
  readonly key: string
  /** The record that it shows at, where that is known. */
  readonly offset: number | null
  /** What differs: a decision, or the path of a value in the state or beside it. */
  readonly what: string
  readonly recorded: string
  readonly replayed: string
}

export interface ReplayOptions {
  readonly definition: ActorDefinition
  readonly codec: Codec
  readonly codeVersion: string
  readonly partition: number
  readonly recorded: Pick<Recorded, 'logId' | 'inbox' | 'bases' | 'input'>
  /** What look-ups were answered, by what asked. */
  readonly journal?: ReadonlyMap<string, Pick<Answer, 'lookup' | 'digest' | 'value'>>
  /** Only this one. */
  readonly key?: string | undefined
  /** Called with each output, in order. */
  readonly emit?: (emit: Emit) => void
}

type Decision = Instance['decisions'][number]

export class Replay {
  readonly #options: ReplayOptions
  readonly #place: TaskScope
  readonly #states = new Map<string, Instance | null>()
  readonly #inputs = new Map<string, unknown>()
  /** All that was decided, by key. */
  readonly #decided = new Map<string, Decision[]>()
  /** Keys of which this code cannot handle a record, and the rest. */
  readonly #stuck = new Map<string, { offset: number; cause: string }>()
  /** Keys that ask a look-up something else than was asked, and where they first do. */
  readonly #otherQuestions = new Map<string, Omit<Difference, 'key'>>()
  records = 0

  constructor(options: ReplayOptions) {
    const { definition, codec, codeVersion, partition, recorded } = options
    this.#options = options
    const topic = definition.inbox.name
    const input = (_key: string, attempt: string) => this.#inputs.get(attempt) ?? recorded.input(attempt)
    const scope = scopeOf(definition, recorded.logId, recorded.inbox, { topic, partition })
    const lookup = (question: Question) => this.#answer(question)
    this.#place = { scope, topic, partition, codec, codeVersion, owner: '', input, lookup }
  }

  /** What was answered at the time. What was not, was asked in vain. */
  #answer({ key, lookup, by, digest }: Question): Buffer | null {
    const recorded = this.#options.journal?.get(by)
    if (recorded === undefined) return null
    if (recorded.lookup === lookup && recorded.digest === digest) return recorded.value
    if (!this.#otherQuestions.has(key)) {
      const what = `question to look-up "${lookup}"`
      const asked = recorded.lookup === lookup ? 'another one' : `one to look-up "${recorded.lookup}"`
      this.#otherQuestions.set(key, { offset: Number.parseInt(by, 10), what, recorded: asked, replayed: 'this one' })
    }
    return null
  }

  /** Keys that a record was handled for, with what has become of them: null where nothing is kept. */
  get states(): ReadonlyMap<string, Instance | null> {
    return this.#states
  }

  /** Handles records of the inbox, in their order. */
  fold(records: readonly LogRecord[]): void {
    for (const record of records) if (this.#options.key === undefined || record.key === this.#options.key) this.#step(record)
  }

  #step(record: LogRecord): void {
    const { definition, codec, recorded, emit = () => {} } = this.#options
    const { offset } = record
    if (record.value === null && definition.stateless === true) return
    const key = record.key ?? ''
    const base = recorded.bases.get(key)
    if (this.#stuck.has(key) || offset < (base?.next ?? 0)) return
    const before = this.#states.get(key) ?? (this.#states.has(key) ? null : (base?.instance ?? null))
    this.records += 1
    try {
      const read = incoming(codec, record)
      if ('unreadable' in read) {
        const { topic, partition, codeVersion } = this.#place
        const letter = {
          topic,
          partition,
          offset,
          key,
          recordType: '',
          value: record.value ?? Buffer.alloc(0),
          decision: 'SKIP' as const,
        }
        emit(deadLetter(codec, { ...letter, cause: read.unreadable, codeVersion, at: record.timestamp }))
        return
      }
      const step = handle(definition, before, read, this.#place)
      this.#states.set(key, isEmpty(step.instance) ? null : step.instance)
      for (const { attempt, name, input } of step.performed) this.#inputs.set(attempt, recordSchema(name).type.fromBuffer(input))
      for (const attempt of step.closed) this.#inputs.delete(attempt)
      for (const made of step.emits) emit(made)
      const fresh = step.instance.decisions.filter(d => !before?.decisions.includes(d))
      if (fresh.length > 0) this.#decided.set(key, [...(this.#decided.get(key) ?? before?.decisions ?? []), ...fresh])
    } catch (error) {
      this.#stuck.set(key, { offset, cause: messageOf(error) })
    }
  }

  /** The first difference of each key between what was recorded and what has been made. */
  differences(held: ReadonlyMap<string, Instance>): Difference[] {
    const found: Difference[] = []
    const keys =
      this.#options.key === undefined
        ? new Set([...this.#states.keys(), ...held.keys(), ...this.#stuck.keys()])
        : [this.#options.key]
    for (const key of keys) {
      const difference = this.#difference(key, held.get(key) ?? null)
      if (difference !== null) found.push({ key, ...difference })
    }
    return found
  }

  #difference(key: string, held: Instance | null): Omit<Difference, 'key'> | null {
    const stuck = this.#stuck.get(key)
    const made = this.#states.has(key)
      ? (this.#states.get(key) ?? null)
      : (this.#options.recorded.bases.get(key)?.instance ?? null)
    const decision = this.#otherDecision(held, this.#decided.get(key) ?? made?.decisions ?? [])
    const question = this.#otherQuestions.get(key)
    if (
      question !== undefined &&
      !((decision?.offset ?? stuck?.offset ?? Number.POSITIVE_INFINITY) < (question.offset as number))
    )
      return question
    if (stuck !== undefined && !(decision !== null && (decision.offset ?? 0) < stuck.offset))
      return { offset: stuck.offset, what: 'the task would stop', recorded: 'handled', replayed: stuck.cause }
    return decision ?? this.#otherValue(held, made)
  }

  /** Under the same code they have to be the same: a difference there is a fault, of the handlers or of the engine. */
  #otherDecision(held: Instance | null, made: readonly Decision[]): Omit<Difference, 'key'> | null {
    const kept = held?.decisions ?? []
    const same = (one: Decision) => (other: Decision) => one.offset === other.offset && one.decision === other.decision
    const oldest = kept.reduce((least, { offset }) => Math.min(least, offset), Number.POSITIVE_INFINITY)
    const gone = kept.filter(d => !made.some(same(d)))
    // Of older ones the changelog keeps no account; a key that is gone keeps none.
    const come = held === null ? [] : made.filter(d => (kept.length === 0 || d.offset >= oldest) && !kept.some(same(d)))
    const first = [...gone, ...come].sort((a, b) => a.offset - b.offset)[0]
    if (first === undefined) return null
    const { codeVersion } = this.#options
    const at = (decisions: readonly Decision[]) => decisions.filter(d => d.offset === first.offset)
    const recorded = at(kept)
    const by = recorded[0]?.codeVersion
    const which = by === undefined ? '' : ` by ${by === codeVersion ? 'this same code' : `code ${by}`}`
    const words = (decisions: readonly Decision[]) => decisions.map(d => d.decision).join(', ') || 'handled'
    return { offset: first.offset, what: 'decision', recorded: `${words(recorded)}${which}`, replayed: words(at(made)) }
  }

  #otherValue(held: Instance | null, made: Instance | null): Omit<Difference, 'key'> | null {
    if (held === null && made === null) return null
    const { state } = this.#options.definition
    const secret = new Set(piiPaths(state).map(path => `state.${path}`))
    const found = firstDifference(plain(held), plain(made), [])
    if (found === null) return null
    const what = found.path.join('.')
    if (what === '')
      return {
        offset: null,
        what: 'the actor',
        recorded: held === null ? 'gone' : 'kept',
        replayed: made === null ? 'gone' : 'kept',
      }
    const named = found.path.filter(part => !/^\d+$/.test(part)).join('.')
    const hidden =
      [...secret].some(path => named === path || named.startsWith(`${path}.`) || path.startsWith(`${named}.`)) ||
      named === 'state'
    const show = (value: unknown) =>
      value === undefined ? 'nothing' : hidden ? 'something personal' : cut(JSON.stringify(value) ?? '', 200)
    return { offset: null, what, recorded: show(found.left), replayed: show(found.right) }
  }
}

/** What of an instance has to be the same wherever it is made: not who has started an attempt, and decisions are looked at apart. */
function plain(instance: Instance | null): unknown {
  if (instance === null) return undefined
  const { now, state, timers, ledger, ring, parked, commands } = instance
  return {
    state: state ?? undefined,
    timers,
    ledger: ledger.map(({ owner: _, ...attempt }) => attempt),
    commands,
    parked: parked.map(({ value, ...parcel }) => ({ ...parcel, bytes: value.length })),
    ring: ring.entries,
    horizon: ring.horizon,
    now,
  }
}

function firstDifference(
  left: unknown,
  right: unknown,
  path: string[],
): { path: string[]; left: unknown; right: unknown } | null {
  if (Object.is(left, right)) return null
  if (Buffer.isBuffer(left) && Buffer.isBuffer(right)) {
    return left.equals(right) ? null : { path, left: `${left.length} bytes`, right: `${right.length} bytes, others` }
  }
  if (typeof left !== 'object' || typeof right !== 'object' || left === null || right === null) return { path, left, right }
  for (const name of new Set([...Object.keys(left), ...Object.keys(right)])) {
    const found = firstDifference((left as Record<string, unknown>)[name], (right as Record<string, unknown>)[name], [
      ...path,
      name,
    ])
    if (found !== null) return found
  }
  return null
}

export interface Report {
  readonly records: number
  readonly keys: number
  /** First offset of the inbox that was still there. */
  readonly low: number
  readonly position: number
  readonly differences: readonly Difference[]
}

/** Handles a partition of an inbox once more, up to where its changelog has come, and compares. Reads the log, and writes nothing. */
export async function replayPartition(options: {
  readonly log: Log
  readonly codec: Codec
  readonly definition: ActorDefinition
  readonly codeVersion: string
  readonly partition: number
  readonly key?: string | undefined
  readonly emit?: (emit: Emit) => void
}): Promise<Report> {
  const { log, codec, definition, partition, key } = options
  const inbox = { topic: definition.inbox.name, partition }
  const low = (await log.ends(inbox.topic)).find(e => e.partition === partition)?.low ?? 0
  const kept = { topic: changelog(definition.name, definition.inbox).name, partition }
  const recorded = await readRecorded({ log, codec, definition, changelog: kept, low })
  const { journal: topic } = definition
  const journal = topic === undefined ? undefined : await readJournal(log, codec, { topic: topic.name, partition }, key)
  const replay = new Replay({ ...options, recorded, ...(journal && { journal }) })
  for await (const records of pieces(log, inbox, low, recorded.position)) {
    await codec.prepare(records)
    replay.fold(records)
  }
  const held = key === undefined ? recorded.states : new Map([...recorded.states].filter(([of]) => of === key))
  const keys = new Set([...held.keys(), ...replay.states.keys()]).size
  return { records: replay.records, keys, low, position: recorded.position, differences: replay.differences(held) }
}

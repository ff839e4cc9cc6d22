/**
 * An actor under test: given these records and this clock, expect this state, these emits, these effects, these timers.
 * The same step as in the worker, without a log: the state goes through its schema after each step.
 */
import { recordSchema } from '../../schemas/index.ts'
import type { RecordInputs, RecordName, Records } from '../../schemas/types.ts'
import { allTopics, type Topic } from '../../topics/catalog.ts'
import { Codec, MemoryRegistry } from '../../topics/codec.ts'
import type { ActorDefinition } from '../actor.ts'
import { handle } from '../handle.ts'
import type { Answer, Emit, TaskScope, Step } from '../step/step.ts'
import { deadLetter } from '../dead-letter.ts'
import { ATTEMPT, LAST, PART, RECORD_AT, RECORD_ID } from '../headers.ts'
import { incoming } from '../incoming.ts'
import { decodeInstance, encodeInstance, FORGET, type Instance, isEmpty } from '../instance.ts'
import { answering, type LookupsOf } from '../lookups.ts'
import { WriterSchemas } from '../writer-schemas.ts'

export interface KitEmit {
  readonly topic: string
  readonly key: string
  /** Null where it deletes what its key names; the record too. */
  readonly type: RecordName | null
  // biome-ignore lint/suspicious/noExplicitAny: tests look into records of any type
  readonly record: any
}

export interface KitEffect {
  readonly effect: string
  readonly attempt: string
  // biome-ignore lint/suspicious/noExplicitAny: tests look into inputs of any type
  readonly input: any
  readonly notAfter: number | null
}

export interface KitAnswer extends Pick<Answer, 'lookup' | 'by'> {
  // biome-ignore lint/suspicious/noExplicitAny: tests look into answers of any type
  readonly record: any
}

export interface KitStep {
  readonly result: Step['result']
  readonly emits: readonly KitEmit[]
  readonly effects: readonly KitEffect[]
  /** What its look-ups were answered, as the journal has it. */
  readonly answers: readonly KitAnswer[]
  /** Attempts whose inputs have left the ledger. */
  readonly closed: readonly string[]
}

export interface Kit<S extends RecordName> {
  readonly state: Records[S] | null
  readonly now: number
  readonly timers: readonly { readonly name: string; readonly at: number }[]
  /** Bytes of what is kept of the actor; 0 where nothing is. */
  readonly bytes: number
  /** Attempts that may run now. */
  readonly started: readonly KitEffect[]
  /** A record arrives; `at` is its log time, a millisecond later than the last one where absent. */
  handle<N extends RecordName>(
    type: N,
    record: RecordInputs[N],
    options?: { at?: number; id?: string; idAt?: number; headers?: Record<string, string> },
  ): KitStep
  /** The result of an effect arrives, in parts where there are several. Returns all that the parts brought about. */
  complete(attempt: string, result: object | readonly object[]): KitStep
  /** An attempt ends without a result. */
  end(attempt: string, outcome: 'UNKNOWN' | 'EXPIRED' | 'NOT_DONE' | 'RELEASED', reason?: string, code?: string | null): KitStep
  /** Turns the clock to the earliest timer, or to the named one, and fires it. */
  fire(name?: string): KitStep
  /** Turns the clock to when the ids of an actor without a state are forgotten, and forgets them. */
  forget(): KitStep
  /** Turns the clock. */
  advance(ms: number): void
}

export const codec = await Codec.open(new MemoryRegistry(), allTopics())

/** Lets the kit carry topics that are not in the catalog. */
export async function carry(topics: readonly Topic[]): Promise<void> {
  for (const topic of topics) await codec.add(topic)
}

export function testkit<I extends Topic, S extends RecordName>(
  // biome-ignore lint/suspicious/noExplicitAny: any effects, any emits
  definition: ActorDefinition<I, S, any, any, any>,
  options: { key?: string; now?: number; codeVersion?: string; lookups?: LookupsOf } = {},
): Kit<S> {
  const key = options.key ?? 'main:key'
  const inputs = new Map<string, KitEffect>()
  const writerSchemas = new WriterSchemas()
  const envelope = recordSchema('Envelope').fingerprint
  let clock = options.now ?? 1_750_000_000_000
  let offset = 0
  let bytes = 0
  let instance: Instance | null = null
  const place: TaskScope = {
    scope: `kit/${definition.inbox.name}/0`,
    topic: definition.inbox.name,
    partition: 0,
    codec,
    codeVersion: options.codeVersion ?? 'test',
    owner: 'kit',
    input: (_key, attempt) => inputs.get(attempt)?.input,
    lookup: answering(definition as unknown as ActorDefinition, 0, {
      codec,
      lookups: options.lookups ?? {},
      onError: (what, error) => {
        throw new Error(what, { cause: error })
      },
    }),
  }

  function step(type: RecordName, record: object, headers: Record<string, string> = {}): KitStep {
    const raw = codec.encode(definition.inbox.name, type, record as never)
    const { topic, partition, codeVersion } = place
    const written = { topic, partition, offset: offset++, timestamp: clock, headers, key, value: raw }
    const read = incoming(codec, written)
    if ('unreadable' in read) {
      const { unreadable: cause } = read
      const letter = { ...written, recordType: '', decision: 'SKIP' as const, cause, codeVersion, at: clock }
      return { result: 'poisoned', emits: [shown(deadLetter(codec, letter))], effects: [], answers: [], closed: [] }
    }
    const made = handle(definition as unknown as ActorDefinition, instance, read, place)
    // As the worker does: what is empty is not kept, and what is kept goes through its bytes.
    const kept = isEmpty(made.instance) ? null : encodeInstance(made.instance, definition.state)
    bytes = kept?.length ?? 0
    instance = kept === null ? null : decodeInstance(kept, envelope, definition.state, writerSchemas)
    freeze(instance?.state)
    const effects = made.performed.map(({ attempt, effect, name, input }) => ({
      effect,
      attempt,
      input: recordSchema(name).type.fromBuffer(input),
      notAfter: made.instance.ledger.find(a => a.attempt === attempt)?.notAfter ?? null,
    }))
    for (const effect of effects) inputs.set(effect.attempt, effect)
    const answers = made.answers.map(({ lookup, by, value }) => ({ lookup, by, record: codec.decode(value).value }))
    return { result: made.result, emits: made.emits.map(shown), effects, answers, closed: made.closed }
  }

  const shown = ({ topic, key, type, value }: Emit): KitEmit => ({
    topic,
    key,
    type,
    record: value === null ? null : codec.decode(value).value,
  })

  const resultOf = (attempt: string) => {
    const effect = inputs.get(attempt)?.effect
    const declared = effect === undefined ? undefined : definition.effects?.[effect]
    if (declared === undefined) throw new Error(`no attempt ${attempt}`)
    return declared.result as RecordName
  }

  const timersSet = () => (instance?.timers ?? []).filter(t => t.name !== FORGET).sort((a, b) => a.at - b.at)
  const due = ({ name, at, version }: Instance['timers'][number]) => {
    clock = Math.max(clock + 1, at)
    return step('TimerDue', { name, dueAt: at, version })
  }

  return {
    get state() {
      return (instance?.state ?? null) as Records[S] | null
    },
    get now() {
      return clock
    },
    get timers() {
      return timersSet().map(({ name, at }) => ({ name, at }))
    },
    get bytes() {
      return bytes
    },
    get started() {
      return (instance?.ledger ?? []).filter(a => a.status === 'STARTED').map(a => inputs.get(a.attempt) as KitEffect)
    },
    handle(type, record, { at, id, idAt, headers } = {}) {
      clock = at ?? clock + 1
      const ids = id === undefined ? {} : { [RECORD_ID]: id, ...(idAt === undefined ? {} : { [RECORD_AT]: String(idAt) }) }
      return step(type, record, { ...ids, ...headers })
    },
    complete(attempt, result) {
      const parts: readonly object[] = Array.isArray(result) ? result : [result]
      const type = resultOf(attempt)
      const steps = parts.map((part, n) => {
        clock += 1
        return step(type, part, { [ATTEMPT]: attempt, [PART]: String(n), [LAST]: n === parts.length - 1 ? '1' : '0' })
      })
      return {
        result: steps.at(-1)?.result ?? 'stale',
        emits: steps.flatMap(s => s.emits),
        effects: steps.flatMap(s => s.effects),
        answers: steps.flatMap(s => s.answers),
        closed: steps.flatMap(s => s.closed),
      }
    },
    end(attempt, outcome, reason = '', code = null) {
      clock += 1
      const start = instance?.ledger.find(a => a.attempt === attempt)?.start ?? 0
      return step('EffectEnded', { attempt, effect: inputs.get(attempt)?.effect ?? '', start, outcome, reason, code })
    },
    fire(name) {
      const timers = timersSet()
      const timer = name === undefined ? timers[0] : timers.find(t => t.name === name)
      if (timer === undefined)
        throw new Error(`no timer ${name ?? 'is set'}; set are ${timers.map(t => t.name).join(', ') || 'none'}`)
      return due(timer)
    },
    forget() {
      const timer = instance?.timers.find(t => t.name === FORGET)
      if (timer === undefined) throw new Error('nothing of this actor is to be forgotten')
      return due(timer)
    },
    advance(ms) {
      clock += ms
    },
  }
}

/** A handler returns another state, and leaves the one that it was given: the same one means that nothing has changed. */
function freeze(what: unknown): void {
  if (typeof what !== 'object' || what === null || ArrayBuffer.isView(what) || Object.isFrozen(what)) return
  Object.freeze(what)
  for (const part of Object.values(what)) freeze(part)
}

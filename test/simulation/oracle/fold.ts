/** The inbox once more, through the pure step alone, with what has to hold at each step. */
import type { ActorDefinition } from '../../../engine/actor.ts'
import { handle } from '../../../engine/handle.ts'
import type { Emit, TaskScope, Question, Step } from '../../../engine/step/step.ts'
import type { Instance } from '../../../engine/instance.ts'
import { recordSchema } from '../../../schemas/index.ts'
import type { TrialState } from '../../../schemas/types.ts'
import type { Decoded } from '../../../topics/codec.ts'
import type { LogRecord, TopicPartition } from '../../../topics/log.ts'
import { codec } from '../codes.ts'

/** A record that was handled: by which code, and in which transaction. */
export interface Handling {
  readonly record: LogRecord
  readonly definition: ActorDefinition
  readonly codeVersion: string
  readonly scope: string
  readonly commit: number
  /** What look-ups were answered, by what asked; of this task. */
  readonly answers?: ReadonlyMap<string, Buffer>
}

export interface Folded {
  readonly instances: Map<string, Instance>
  readonly emits: Emit[]
  /** Attempts that ended, and how. */
  readonly ended: Map<string, string>
  /** How often each input was handled, or refused. */
  readonly inputs: Map<number, number>
  /** Records that nobody could read: one dead letter each. */
  readonly unreadable: { readonly at: TopicPartition; readonly offset: number }[]
  /** Attempts that a rebuilt state holds as open, whatever has become of them since it was lost. */
  readonly revived: Set<string>
  readonly wrong: string[]
}

/** @param rebuilt where in `handled` the state was made again of what it was after so many transactions */
export function fold(handled: readonly Handling[], rebuilt: ReadonlyMap<number, number> = new Map()): Folded {
  const folded: Folded = {
    instances: new Map(),
    emits: [],
    ended: new Map(),
    inputs: new Map(),
    unreadable: [],
    revived: new Set(),
    wrong: [],
  }
  const inputs = new Map<string, unknown>()
  const after = new Map<number, ReadonlyMap<string, Instance>>()
  for (const [i, handling] of handled.entries()) {
    const back = rebuilt.get(i)
    if (back !== undefined) restoreTo(folded, after, back)
    step(folded, inputs, handling)
    if (rebuilt.size > 0) after.set(handling.commit, new Map(folded.instances))
  }
  const back = rebuilt.get(handled.length)
  if (back !== undefined) restoreTo(folded, after, back)
  return folded
}

function restoreTo(
  { instances, revived }: Folded,
  after: ReadonlyMap<number, ReadonlyMap<string, Instance>>,
  commits: number,
): void {
  instances.clear()
  for (let commit = commits - 1; commit >= 0; commit--) {
    const then = after.get(commit)
    if (then === undefined) continue
    for (const [key, instance] of then) {
      instances.set(key, instance)
      for (const { attempt } of instance.ledger) revived.add(attempt)
    }
    return
  }
}

function step(folded: Folded, inputs: Map<string, unknown>, handling: Handling): void {
  const { record: taken, definition, codeVersion, scope, answers } = handling
  const { key, value, offset, timestamp, headers, topic, partition } = taken
  const record = key === null || value === null ? null : decoded(value)
  if (record === null || key === null || value === null) {
    folded.unreadable.push({ at: { topic, partition }, offset })
    return
  }
  const input = (_key: string, attempt: string) => inputs.get(attempt)
  const lookup = ({ by }: Question) => answers?.get(`${scope} ${by}`) ?? null
  const place: TaskScope = { scope, topic, partition, codec, codeVersion, owner: '', input, lookup }
  const before = folded.instances.get(key) ?? null
  const made = handle(definition, before, { key, offset, timestamp, headers, raw: value, record }, place)
  folded.instances.set(key, made.instance)
  folded.emits.push(...made.emits)
  for (const { attempt, name, input } of made.performed) inputs.set(attempt, recordSchema(name).type.fromBuffer(input))
  checkStep(folded, taken, record, before, made)
  const known = (effect: string) => definition.effects?.[effect] !== undefined || definition.retired?.effects?.includes(effect)
  // A result is handled by whoever has a handler of its type; one that ended goes with its key.
  for (const { attempt, effect, status } of headers.attempt === undefined ? (before?.ledger ?? []) : [])
    if (status !== 'ENDED' && made.closed.includes(attempt) && !known(effect))
      folded.wrong.push(`${attempt} was ended by code that has no "${effect}"`)
  // What code no longer has ends in dead letters.
  if (definition.retired !== undefined)
    for (const attempt of made.closed) if (!folded.ended.has(attempt)) folded.ended.set(attempt, 'retired')
}

function decoded(value: Buffer): Decoded | null {
  try {
    return codec.decode(value)
  } catch {
    return null
  }
}

function checkStep(
  { inputs, ended, revived, wrong }: Folded,
  { key, headers, topic }: LogRecord,
  record: Decoded,
  before: Instance | null,
  step: Step,
): void {
  const { result, instance } = step
  if (
    record.type === 'TrialInput' &&
    headers.id !== undefined &&
    (result === 'handled' || result === 'poisoned' || result === 'parked_behind')
  )
    inputs.set(record.value.sequence, (inputs.get(record.value.sequence) ?? 0) + 1)
  // A redrive handles several records.
  if (result === 'poisoned' && record.type !== 'Redrive') {
    const known = (name: string) => before?.timers.some(t => t.name === name)
    if (instance.timers.some(t => isOfActor(t) && !known(t.name)))
      wrong.push(`a ${record.type} of ${key} failed, and its timers were kept`)
    if (step.performed.length > 0) wrong.push(`a ${record.type} of ${key} failed, and its effects were kept`)
  }
  if (instance.state === null && result === 'handled' && instance.timers.some(isOfActor))
    wrong.push(`${key} has no state any more, but timers`)
  if (result === 'parked_behind') waits(ended, headers, record, before)
  if (result !== 'handled' && result !== 'poisoned') return
  if (record.type === 'EffectEnded' && !['RELEASED', 'RETRY'].includes(record.value.outcome)) {
    const { attempt, start, outcome } = record.value
    const open = before?.ledger.find(a => a.attempt === attempt)
    if (open?.start !== start) wrong.push(`${attempt} ended by what start ${start} of it says, though it is at ${open?.start}`)
    ended.set(attempt, outcome)
  } else if (record.type === 'TimerDue' && result === 'handled') {
    const timer = before?.timers.find(t => t.name === record.value.name)
    if (timer?.version !== record.value.version) wrong.push(`a stale TimerDue fired timer ${record.value.name} of ${key}`)
    if (instance.now < (timer?.at ?? 0)) wrong.push(`timer ${record.value.name} of ${key} fired ahead of its time`)
  } else if (headers.attempt !== undefined && headers.last !== '0') {
    const { attempt } = headers
    const former = ended.get(attempt)
    if (former === undefined || revived.has(attempt)) ended.set(attempt, 'done')
    else if (former !== 'UNKNOWN') wrong.push(`${attempt} had ended as ${former}, then its result was handled`)
    else if (
      topic === 'trial.inbox' &&
      record.type === 'TrialDone' &&
      result === 'handled' &&
      lateOf(instance) !== lateOf(before) + 1
    )
      wrong.push(`${attempt} had ended as UNKNOWN, then its late result was taken as the first`)
  }
}

/** What an attempt came to is in a record that waits behind a parked one: it is handled with it. */
function waits(
  ended: Map<string, string>,
  { attempt, last }: LogRecord['headers'],
  record: Decoded,
  before: Instance | null,
): void {
  if (attempt !== undefined && last !== '0' && !ended.has(attempt)) ended.set(attempt, 'done')
  if (record.type !== 'EffectEnded' || ['RELEASED', 'RETRY'].includes(record.value.outcome)) return
  const { attempt: id, start, outcome } = record.value
  if (!ended.has(id) && before?.ledger.find(a => a.attempt === id)?.start === start) ended.set(id, outcome)
}

/** The engine has timers of its own. */
const isOfActor = ({ name }: { readonly name: string }) => !name.startsWith('\0')

const lateOf = (instance: Instance | null) => (instance?.state as TrialState | null)?.late ?? 0

/**
 * Calls a handler. If it throws, its record is poison: it is skipped, or parks its key; later records of a parked key wait behind it.
 */
import type { EnvelopeParked } from '../../schemas/types.ts'
import type { ActorDefinition, Context } from '../actor.ts'
import { cut, Fatal, isA, messageOf, Poison } from '../errors.ts'
import { COMMAND } from '../headers.ts'
import { encodeState, type Instance } from '../instance.ts'
import { keptBytes, keptFits, MAX_ID } from '../size.ts'
import type { Draft } from './draft.ts'
import { type Delivery, HandlerRun } from './handler-run.ts'
import type { StepResult } from './step.ts'

const MAX_PARKED = 100

export type AnyHandler = (state: unknown, argument: unknown, context: Context) => unknown

/** The handler of a record type. @throws {Fatal} if this code has none */
export function handlerOf({ name, on }: ActorDefinition, type: string): AnyHandler {
  const handler = (on as Record<string, AnyHandler | undefined>)[type]
  if (handler === undefined) throw new Fatal('no_handler', `actor "${name}" has no handler for ${type}: deploy code that has one`)
  return handler
}

/** Has a record handled, unless the key is parked. */
export function deliver(
  draft: Draft,
  type: string,
  call: (context: Context) => unknown,
  info: Partial<Delivery> = {},
): StepResult {
  if (draft.parked.length > 0) return parkBehind(draft, type)
  const run = new HandlerRun(draft, true, info)
  const { length } = draft.incoming.headers[COMMAND] ?? ''
  const failure = runHandler(draft, run, length > MAX_ID ? () => tooLong(length) : call)
  if (failure === null) {
    if (run.refusal === null) draft.endCommand('handled', '')
    else draft.endCommand('refused', run.refusal.reason, run.refusal.code)
    return 'handled'
  }
  quarantine(draft, type, failure)
  return 'poisoned'
}

function tooLong(length: number): never {
  throw new Poison('too_large', `the id of the command has ${length} characters; at most ${MAX_ID} are allowed`)
}

/** Calls a handler. Returns why it failed; then what it did is rolled back. */
function runHandler(draft: Draft, run: HandlerRun, call: (context: Context) => unknown): string | null {
  const before = draft.kept()
  const { timers, ledger } = before
  const rollBack = draft.savepoint()
  try {
    const state = settled(call(run))
    const bytes = encodeState(state, draft.definition.state)
    if (state === null && draft.timers.length > 0) draft.timers = []
    if (draft.timers !== timers || draft.ledger !== ledger) checkKept(draft, before)
    draft.state = state
    draft.stateBytes = bytes
    return null
  } catch (error) {
    if (isA(error, Fatal)) throw error
    rollBack()
    return messageOf(error)
  }
}

/** What a handler returned. @throws {Poison} for a promise */
function settled(returned: unknown): unknown {
  if (returned instanceof Promise) {
    returned.catch(() => {}) // returning it is the failure
    throw new Poison('invalid', 'a handler returned a promise: it must be synchronous')
  }
  return returned ?? null
}

/** Timers and attempts must fit into one record, with all that is kept beside them. @throws {Poison} */
function checkKept(draft: Draft, before: Pick<Instance, 'timers' | 'ledger' | 'parked'>): void {
  const after = draft.kept()
  if (keptFits(after)) return
  const bytes = keptBytes(after)
  // What earlier code let grow must at least not grow further.
  if (bytes > keptBytes(before))
    throw new Poison('too_large', `its timers and open attempts take ${bytes} bytes, more than fit into a record`)
}

/** Skips the record at hand or parks its key with it, and tells the actor. */
export function quarantine(draft: Draft, type: string, cause: string, always?: 'skip'): void {
  const { onPoison } = draft.definition
  const { offset, raw } = draft.incoming
  // An attempt's input has left the ledger by now, so its end cannot be handled again later.
  const wanted = always ?? (type === 'EffectEnded' ? 'skip' : (onPoison?.types?.[type] ?? onPoison?.default ?? 'skip'))
  const parks = wanted === 'park' && park(draft, type)
  const why = wanted === 'park' && !parks ? `${cut(cause, 900)} (not parked: too large to be kept)` : cause
  draft.decide(offset, parks ? 'park' : 'skip')
  draft.deadLetter({ recordType: type, value: raw, decision: parks ? 'PARK' : 'SKIP', cause: why })
  draft.endCommand(parks ? 'parked' : 'skipped', why)
  tellFailed(draft, type, why)
}

/** Puts the record at hand behind those that are parked. False if there is no room for it. */
function park(draft: Draft, type: string): boolean {
  const { offset, timestamp, raw, headers } = draft.incoming
  const parked: EnvelopeParked = { offset, type, at: timestamp, value: raw, headers }
  const kept = draft.kept()
  if (!keptFits({ ...kept, parked: [...kept.parked, parked] })) return false
  draft.parked = [...draft.parked, parked]
  return true
}

export function parkBehind(draft: Draft, type: string): StepResult {
  const full = draft.parked.length >= MAX_PARKED
  if (!full && park(draft, type)) return 'parked_behind'
  const { offset, raw } = draft.incoming
  const cause = full ? `${MAX_PARKED} records wait behind a parked one` : 'too large to wait behind a parked record'
  draft.decide(offset, 'skip')
  draft.deadLetter({ recordType: type, value: raw, decision: 'SKIP', cause })
  draft.endCommand('skipped', cause)
  return 'poisoned'
}

/** Tells the actor that something of it was not handled. If that fails too, its state stays as it is. */
export function tellFailed(draft: Draft, type: string, cause: string): void {
  const failed = draft.definition.onPoison?.failed
  if (failed === undefined) return
  runHandler(draft, new HandlerRun(draft, false, {}), context => (failed as AnyHandler)(draft.state, { type, cause }, context))
}

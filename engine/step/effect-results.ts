/** Results and ends of effect attempts: the ledger is settled first, then the handler sees them. */
import type { EffectEnded } from '../../schemas/types.ts'
import type { Ended } from '../actor.ts'
import { Corrupted, cut, isA } from '../errors.ts'
import { LAST, PART } from '../headers.ts'
import type { Attempt } from '../instance.ts'
import { type AnyHandler, deliver, handlerOf, quarantine } from './deliver.ts'
import type { Draft } from './draft.ts'
import { closeAttempt, isDeclared, replaceAttempt, retire, startNext } from './ledger.ts'
import type { StepResult } from './step.ts'

/** Attempts that ended as UNKNOWN and still wait for a late result. */
const MAX_ENDED = 16

export function effectResult(draft: Draft, id: string): StepResult {
  const { record, headers } = draft.incoming
  const attempt = draft.ledger.find(a => a.attempt === id)
  if (attempt === undefined) return 'duplicate'
  const part = Number(headers[PART] ?? 0)
  const last = (headers[LAST] ?? '1') === '1'
  // A run that starts again sends its parts from 0 on; any other part than the next one belongs to a run that was given up.
  if (part !== 0 && part !== attempt.parts) return 'stale'
  const late = attempt.status === 'ENDED'
  if (last) closeAttempt(draft, attempt)
  else replaceAttempt(draft, { ...attempt, parts: part + 1 })
  const { definition } = draft
  if (!Object.hasOwn(definition.on, record.type) && !isDeclared(draft, attempt.effect)) {
    if (!last) closeAttempt(draft, attempt)
    const cause = `effect "${attempt.effect}" is retired: nothing handles the result of attempt ${id}`
    quarantine(draft, record.type, cause, 'skip')
    return 'handled'
  }
  const { type, value } = record
  return deliver(draft, type, context => handlerOf(definition, type)(draft.state, value, context), { attempt: id, late })
}

export function effectEnded(draft: Draft, { attempt: id, start, outcome, reason, code }: EffectEnded): StepResult {
  const attempt = draft.ledger.find(a => a.attempt === id)
  if (attempt === undefined || attempt.status !== 'STARTED' || attempt.start !== start) return 'duplicate'
  if (!isDeclared(draft, attempt.effect)) {
    retire(draft, attempt, outcome === 'UNKNOWN' || outcome === 'RETRY', reason)
    startNext(draft)
    return 'handled'
  }
  if (outcome === 'RELEASED' || outcome === 'RETRY') {
    const uncertain = attempt.uncertain || outcome === 'RETRY'
    replaceAttempt(draft, { ...attempt, start: start + 1, uncertain, owner: draft.task.owner })
    draft.started.push(id)
    return 'handled'
  }
  let input: unknown
  try {
    input = draft.task.input(draft.incoming.key, id)
  } catch (error) {
    if (!(isA(error, Corrupted) && error.code === 'no_input')) throw error
    closeAttempt(draft, attempt)
    quarantine(draft, 'EffectEnded', `attempt ${id} ended as ${outcome}; ${error.message}`, 'skip')
    return 'poisoned'
  }
  if (outcome === 'UNKNOWN') {
    replaceAttempt(draft, { ...attempt, status: 'ENDED' })
    const ended = draft.ledger.filter(a => a.status === 'ENDED')
    if (ended.length > MAX_ENDED) closeAttempt(draft, ended[0] as Attempt)
    startNext(draft)
  } else closeAttempt(draft, attempt)
  const { ended } = draft.definition
  if (ended === undefined) return 'handled'
  const { effect } = attempt
  const argument: Ended = { attempt: id, effect, outcome, reason: cut(reason), code, input: input as Ended['input'] }
  return deliver(draft, 'EffectEnded', context => (ended as AnyHandler)(draft.state, argument, context), { attempt: id })
}

/** The effect attempts of one key: one runs at a time, in the order in which they were performed. */
import { cut } from '../errors.ts'
import type { Attempt } from '../instance.ts'
import { standing, unknown } from '../retired.ts'
import type { Draft } from './draft.ts'

export function closeAttempt(draft: Draft, attempt: Attempt): void {
  removeAttempt(draft, attempt)
  startNext(draft)
}

export function removeAttempt(draft: Draft, attempt: Attempt): void {
  draft.ledger = draft.ledger.filter(a => a.attempt !== attempt.attempt)
  draft.closed.push(attempt.attempt)
}

export function replaceAttempt(draft: Draft, changed: Attempt): void {
  draft.ledger = draft.ledger.map(a => (a.attempt === changed.attempt ? changed : a))
}

/** Removes an attempt that nothing has been done of: it waits, or would be started by this very step. False for any other. */
export function withdrawAttempt(draft: Draft, id: string): boolean {
  const open = draft.ledger.find(a => a.attempt === id)
  const startsNow = draft.started.indexOf(id)
  if (open === undefined || !(open.status === 'WAITING' || (open.status === 'STARTED' && open.start === 0 && startsNow !== -1)))
    return false
  if (startsNow !== -1) draft.started.splice(startsNow, 1)
  closeAttempt(draft, open)
  return true
}

/** Starts the first waiting attempt if none is running. */
export function startNext(draft: Draft): void {
  if (draft.ledger.some(a => a.status === 'STARTED')) return
  const next = firstWaiting(draft)
  if (next === undefined) return
  replaceAttempt(draft, { ...next, status: 'STARTED', owner: draft.task.owner })
  draft.started.push(next.attempt)
}

function firstWaiting(draft: Draft): Attempt | undefined {
  for (;;) {
    const next = draft.ledger.find(a => a.status === 'WAITING')
    if (next === undefined || isDeclared(draft, next.effect)) return next
    retire(draft, next, false, '')
  }
}

/** False for an effect that is retired. @throws {Fatal} if other code may have it */
export function isDeclared({ definition }: Draft, effect: string): boolean {
  const known = standing(definition, 'effect', effect)
  if (known === 'unknown') throw unknown(definition, 'effect', effect)
  return known === 'declared'
}

/** Ends an attempt whose effect is retired. No handler is called: even the type of its input may be gone. */
export function retire(draft: Draft, attempt: Attempt, sent: boolean, reason: string): void {
  const { attempt: id, effect, start, uncertain } = attempt
  const outcome = sent || uncertain ? 'UNKNOWN' : 'NOT_DONE'
  const cause = cut(`effect "${effect}" is retired: attempt ${id} ended as ${outcome}${reason && `; ${reason}`}`)
  const { codec, topic } = draft.task
  const value = codec.encode(topic, 'EffectEnded', { attempt: id, effect, start, outcome, reason: cause })
  draft.deadLetter({ recordType: 'EffectEnded', value, decision: 'SKIP', cause })
  draft.retired.push({ type: 'EffectEnded', cause })
  removeAttempt(draft, attempt)
}

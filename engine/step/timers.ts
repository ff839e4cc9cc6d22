/**
 * Timers that are due. A timer is removed before its handler is called; one that was moved or cleared in the meantime is stale.
 */
import type { TimerDue } from '../../schemas/types.ts'
import type { Timer } from '../actor.ts'
import { EMPTY_RING, newest } from '../dedup-ring.ts'
import { FORGET, REMEMBER_MS } from '../instance.ts'
import { standing, timerName, unknown } from '../retired.ts'
import { type AnyHandler, deliver } from './deliver.ts'
import type { Draft } from './draft.ts'
import type { StepResult } from './step.ts'

export function timerDue(draft: Draft, { name, version }: TimerDue): StepResult {
  const timer = draft.timers.find(t => t.name === name)
  if (timer === undefined || timer.version !== version) return 'stale'
  if (draft.now < timer.at) return 'deferred'
  draft.timers = draft.timers.filter(t => t !== timer)
  return fireTimer(draft, name, timer.at)
}

export function fireTimer(draft: Draft, name: string, dueAt: number): StepResult {
  const { definition } = draft
  const { kind, argument } = timerName(name)
  const known = standing(definition, 'timer', kind)
  if (known === 'unknown') throw unknown(definition, 'timer', kind)
  if (known === 'retired') {
    const cause = `timer "${kind}" is retired: "${name}" was due at ${dueAt}`
    draft.deadLetter({ recordType: 'TimerDue', value: draft.incoming.raw, decision: 'SKIP', cause })
    draft.retired.push({ type: 'TimerDue', cause })
    return 'handled'
  }
  const fire = definition.timers?.[kind] as AnyHandler
  const timer: Timer = { name, argument, dueAt }
  return deliver(draft, 'TimerDue', context => fire(draft.state, timer, context))
}

// A key without a state is kept only by the ids that it must recognise, for as long as providers may redeliver them.

/** The timer of the engine's own that ends it. */
export function forgetIds(draft: Draft, version: string): StepResult {
  const { forgetTimer } = draft
  if (forgetTimer?.version !== version) return 'stale'
  if (draft.now < forgetTimer.at) return 'deferred'
  draft.ring = EMPTY_RING
  return 'handled'
}

/**
 * Sets that timer if nothing but its ids keeps the key. Without a state, attempts that ended as UNKNOWN wait for no late result: their
 * inputs may be personal.
 */
export function settleForgetting(draft: Draft): void {
  if (draft.state !== null) {
    draft.forgetTimer = null
    return
  }
  const ended = draft.ledger.filter(a => a.status === 'ENDED')
  for (const { attempt } of ended) draft.closed.push(attempt)
  if (ended.length > 0) draft.ledger = draft.ledger.filter(a => a.status !== 'ENDED')
  if (draft.ledger.length > 0 || draft.parked.length > 0 || draft.ring.entries.length === 0) {
    draft.forgetTimer = null
  } else if (draft.ring !== draft.before.ring) {
    draft.forgetTimer = { name: FORGET, at: draft.now + REMEMBER_MS, version: draft.version() }
  } else if (draft.forgetTimer === null) {
    const at = Math.min(newest(draft.ring), draft.now) + REMEMBER_MS
    draft.forgetTimer = { name: FORGET, at, version: draft.version() }
  }
}

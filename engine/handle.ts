/**
 * One step of one actor: a record of its inbox, folded into its instance. Pure: the same instance, record and code give the same
 * step. The engine's own bookkeeping comes before the handler and survives its failure:
 *
 *   now ─▶ effect result? ─▶ timer? ─▶ redrive? ─▶ seen before? ─▶ parked? ─▶ handler ─▶ (poison: skip or park)
 */
import type { ActorDefinition } from './actor.ts'
import { admit } from './dedup-ring.ts'
import { ATTEMPT, RECORD_ID, recordTime } from './headers.ts'
import type { Incoming } from './incoming.ts'
import { FORGET, type Instance, isEmpty, NEW_INSTANCE } from './instance.ts'
import { deliver, handlerOf, parkBehind, tellFailed } from './step/deliver.ts'
import { Draft } from './step/draft.ts'
import { effectEnded, effectResult } from './step/effect-results.ts'
import { redrive } from './step/redrive.ts'
import type { Step, StepResult, TaskScope } from './step/step.ts'
import { forgetIds, settleForgetting, timerDue } from './step/timers.ts'

/**
 * Folds one record into the instance of its key.
 * @throws {Fatal} if this code has no handler for its type, or lacks an effect or a timer that the instance holds
 */
export function handle(definition: ActorDefinition, before: Instance | null, incoming: Incoming, task: TaskScope): Step {
  // An empty instance is not kept: it must make no difference whether it is still in memory.
  const draft = new Draft(definition, before === null || isEmpty(before) ? NEW_INSTANCE : before, incoming, task)
  const result = route(draft)
  // Telling of one may retire another.
  for (let told = 0; told < draft.retired.length; told++) {
    const { type, cause } = draft.retired[told] as { type: string; cause: string }
    tellFailed(draft, type, cause)
  }
  settleForgetting(draft)
  return draft.finish(result)
}

function route(draft: Draft): StepResult {
  const { record, headers } = draft.incoming
  const ofEngine = record.type === 'TimerDue' || record.type === 'EffectEnded' || headers[ATTEMPT] !== undefined
  if (record.type === 'TimerDue' && record.value.name === FORGET) return forgetIds(draft, record.value.version)
  if (ofEngine && draft.parked.length > 0) return parkBehind(draft, record.type)
  if (record.type === 'EffectEnded') return effectEnded(draft, record.value)
  if (headers[ATTEMPT] !== undefined) return effectResult(draft, headers[ATTEMPT])
  if (record.type === 'TimerDue') return timerDue(draft, record.value)
  if (record.type === 'Redrive') return redrive(draft, record.value, route)
  return message(draft)
}

/** A record from outside the engine: it is dropped if its id was seen before. */
function message(draft: Draft): StepResult {
  const { record, headers, timestamp } = draft.incoming
  const id = headers[RECORD_ID]
  let possiblyDuplicate = false
  // A stateless actor keeps no ids; what it puts out has its own.
  if (id !== undefined && draft.definition.stateless !== true) {
    const admitted = admit(draft.ring, id, recordTime(headers, timestamp))
    if (admitted.known) return 'duplicate'
    draft.ring = admitted.ring
    possiblyDuplicate = admitted.possiblyDuplicate
  }
  const { type, value } = record
  return deliver(draft, type, c => handlerOf(draft.definition, type)(draft.state, value, c), { possiblyDuplicate })
}

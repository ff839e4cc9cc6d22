/** Handles a parked record again, as it was or corrected, then what waited behind it, until one parks again. */
import type { EnvelopeParked, Redrive } from '../../schemas/types.ts'
import { CodecError, type Decoded } from '../../topics/codec.ts'
import { admit } from '../dedup-ring.ts'
import { Fatal, messageOf, SchemasMissing } from '../errors.ts'
import { ATTEMPT } from '../headers.ts'
import { deliver, handlerOf, quarantine } from './deliver.ts'
import type { Draft } from './draft.ts'
import type { StepResult } from './step.ts'
import { fireTimer } from './timers.ts'

/** Handles one record as if it had just come: the engine's own records have had no bookkeeping while they waited. */
type Route = (draft: Draft) => StepResult

export function redrive(draft: Draft, order: Redrive, route: Route): StepResult {
  const admitted = admit(draft.ring, order.id, draft.now)
  if (admitted.known) return 'duplicate'
  draft.ring = admitted.ring
  const [first, ...waiting] = draft.parked
  if (first === undefined || first.offset !== order.offset) return 'stale'
  draft.decide(first.offset, order.drop ? 'drop' : 'redrive')
  const corrected = order.value === null ? first : { ...first, value: order.value }
  const queue = order.drop ? waiting : [corrected, ...waiting]
  draft.parked = []
  for (const [at, parked] of queue.entries()) {
    draft.behind = queue.slice(at + 1)
    handleParked(draft, parked, parked === corrected, order.value, route)
    if (draft.parked.length === 0) continue
    draft.parked = [...draft.parked, ...draft.behind]
    draft.behind = []
    return 'poisoned'
  }
  return 'handled'
}

/** The bookkeeping of the record that parked the key, and of messages, was done when they came; that of the others is done now. */
function handleParked(draft: Draft, parked: EnvelopeParked, isFirst: boolean, given: Buffer | null, route: Route): void {
  const { offset, at, headers, value, type } = parked
  const { key } = draft.incoming
  let record: Decoded
  try {
    record = draft.task.codec.decode(value)
  } catch (error) {
    if (error instanceof CodecError && error.code === 'unknown_record')
      throw new Fatal(error.code, `parked at offset ${offset}: ${error.message}`)
    if (error instanceof CodecError && error.code === 'unknown_schema' && value !== given)
      throw new SchemasMissing(`the record parked at offset ${offset}`, [value])
    draft.incoming = { ...draft.incoming, offset, timestamp: at, headers, raw: value }
    quarantine(draft, type, messageOf(error))
    return
  }
  draft.incoming = { key, offset, timestamp: at, headers, raw: value, record }
  const ofEngine = type === 'TimerDue' || type === 'EffectEnded' || headers[ATTEMPT] !== undefined
  if (ofEngine && !isFirst) route(draft)
  else if (record.type === 'TimerDue') fireTimer(draft, record.value.name, record.value.dueAt)
  else {
    const attempt = headers[ATTEMPT] ?? null
    deliver(draft, type, c => handlerOf(draft.definition, type)(draft.state, record.value, c), { attempt })
  }
}

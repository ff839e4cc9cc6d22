/** Puts the outputs of a step into the overlay. */
import { recordSchema } from '../../schemas/index.ts'
import type { LedgerInput } from '../../schemas/types.ts'
import type { Codec } from '../../topics/codec.ts'
import type { LogRecord } from '../../topics/log.ts'
import type { ActorDefinition } from '../actor.ts'
import { deadLetter } from '../dead-letter.ts'
import type { Incoming } from '../incoming.ts'
import { journaled } from '../lookups.ts'
import type { Step } from '../step/step.ts'
import { encodeStored, inputKey } from '../store.ts'
import { timerId } from './fired-timers.ts'
import type { Overlay } from './overlay.ts'

export function collect(
  overlay: Overlay,
  definition: ActorDefinition,
  partition: number,
  { key, record }: Incoming,
  step: Step,
): void {
  for (const emit of step.emits) overlay.appends.push(emit)
  for (const answer of step.answers) overlay.appends.push(journaled(definition, partition, answer))
  for (const { attempt, effect, name, input } of step.performed) {
    const { fingerprint } = recordSchema(name)
    const kept: LedgerInput = { key, attempt, effect, fingerprint, input }
    const ledger = recordSchema('LedgerInput')
    overlay.inputs.set(inputKey(key, attempt), encodeStored(ledger.fingerprint, ledger.type.toBuffer(kept)))
  }
  for (const attempt of step.closed) {
    overlay.inputs.set(inputKey(key, attempt), null)
    overlay.started.delete(attempt)
    overlay.closed.push(attempt)
  }
  for (const attempt of step.started) overlay.started.set(attempt, key)
  if (step.result === 'deferred' && record.type === 'TimerDue') {
    const { name, version, dueAt } = record.value
    overlay.deferred.push({ timer: timerId({ key, name, version }), inMs: dueAt - step.instance.now })
  }
}

/** A record that no actor can handle goes to the dead letters. */
export function collectUnreadable(overlay: Overlay, codec: Codec, record: LogRecord, cause: string, codeVersion: string): void {
  const { topic, partition, offset, timestamp: at, key, value } = record
  const letter = { topic, partition, offset, key: key ?? '', recordType: '', value: value ?? Buffer.alloc(0), codeVersion, at }
  overlay.appends.push(deadLetter(codec, { ...letter, decision: 'SKIP', cause }))
}

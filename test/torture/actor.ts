/** The trial actor, whose every input also becomes a row in Postgres: an alert. */
import { type ActorDefinition, actor } from '../../engine/actor.ts'
import { alerts, changelog, deadLetters, type Topic } from '../../topics/catalog.ts'
import { codec } from '../simulation/codes.ts'
import type { Done } from '../simulation/outside.ts'
import { trial, trialInbox, trialOutputs } from '../simulation/trial.ts'

export const PARTITIONS = 6
export const GROUP = 'torture'

export const torturedActor = actor({
  ...trial,
  on: {
    ...trial.on,
    TrialInput: (state, input, context) => {
      const id = `${context.key}/${input.sequence}`
      const alert = { id, department: 'GENERAL', priority: 'INFO', kind: 'trial', at: context.now } as const
      const record = { ...alert, text: `input ${(state?.count ?? 0) + 1} of its key` }
      context.emit(alerts as never, context.key, 'Alert' as never, record as never)
      return trial.on.TrialInput(state, input, context)
    },
  },
  emits: [trialOutputs, alerts as never],
}) as unknown as ActorDefinition

export const trialChangelog = changelog(trial.name, trialInbox)
export const topics: readonly Topic[] = [trialInbox, trialOutputs, trialChangelog, deadLetters, alerts]
await codec.add(alerts)
export { codec }
export type { Done }

/** Partitions on the cluster. */
export function partitionsOf(topic: Topic): number {
  return ['trial.inbox', 'trial.changelog'].includes(topic.name) ? PARTITIONS : 1
}

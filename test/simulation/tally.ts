/** A second actor in the same worker: it is told things by the first, and parks what it cannot handle until a person has come. */
import { type ActorDefinition, actor, type Ended, type Lookup } from '../../engine/actor.ts'
import { defineTopic } from '../../topics/catalog.ts'
import { digest, EFFECT_TIMEOUT, EMPTY, tallyInbox } from './trial.ts'

export const tallyOutputs = defineTopic('tally.outputs', 'key', ['TrialOutput'], { partitions: 1 })
/** What its look-ups were answered. */
export const tallyJournal = defineTopic('tally.journal', 'key', ['TrialDone'], { partitions: tallyInbox.partitions })

/** A memory of its process that is another one at every look, and sometimes has no answer. */
export function seen(): Record<string, Record<string, Lookup>> {
  let looks = 0
  const look = () => (++looks % 5 === 0 ? null : { sequence: looks })
  return { tally: { seen: look as never } }
}

/** A person has mended an input by adding this. */
export const MENDED = 100_000

export const tally = actor({
  name: 'tally',
  inbox: tallyInbox,
  state: 'TrialState',
  on: {
    TrialInput: (before, { sequence, kind }, context) => {
      const state = before ?? EMPTY
      const look = context.lookup('seen', { sequence })?.sequence ?? 'nothing'
      context.emit(tallyOutputs, context.key, 'TrialOutput', { sequence, count: state.count + 1 })
      if (kind === 'once') context.perform('once', { sequence })
      if (kind === 'poison') throw new Error('told to fail')
      return { ...state, count: state.count + 1, last: sequence, digest: digest(state, `${sequence} ${look}`) }
    },
    TrialDone: (before, { sequence }, context) => {
      const state = before ?? EMPTY
      if (sequence % 4 === 1) throw new Error('cannot handle this result')
      context.emit(tallyOutputs, context.key, 'TrialOutput', { sequence, count: state.count, what: 'done' })
      return { ...state, done: state.done + 1, digest: digest(state, 'done') }
    },
  },
  effects: { once: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: EFFECT_TIMEOUT } },
  lookups: { seen: { input: 'TrialEffect', result: 'TrialDone' } },
  journal: tallyJournal,
  ended: (before, { outcome, input }: Ended) => {
    const state = before ?? EMPTY
    if ((input as unknown as { sequence: number }).sequence % 2 === 0) throw new Error('cannot handle this end')
    return { ...state, undone: state.undone + 1, digest: digest(state, outcome) }
  },
  emits: [tallyOutputs],
  onPoison: { default: 'park' },
}) as unknown as ActorDefinition

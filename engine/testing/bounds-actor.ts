/** An actor for tests of sizes and of new code over old state: its records say how much of what it makes. */
import type { TrialState } from '../../schemas/types.ts'
import { defineTopic, ENGINE_RECORDS } from '../../topics/catalog.ts'
import { type ActorDefinition, actor, type Context } from '../actor.ts'
import { carry } from './testkit.ts'
import { EMPTY } from './trial-state.ts'

export { EMPTY }

const inbox = defineTopic('bounds.inbox', 'key', ['TrialInput', 'TrialDone', ...ENGINE_RECORDS])
const outputs = defineTopic('bounds.outputs', 'key', ['TrialOutput'])
await carry([inbox, outputs])

export type Act = (context: Context<typeof outputs, Effects>, state: TrialState | null) => TrialState | null | undefined
type Effects = {
  small: { input: 'TrialEffect'; result: 'TrialDone'; retry: 'never'; timeoutMs: number }
  large: { input: 'DeadLetter'; result: 'TrialDone'; retry: 'idempotent'; timeoutMs: number }
}

/** Each input does what the act of its `kind` does, and is counted where that returns nothing. */
export function bounds(acts: Readonly<Record<string, Act>>, more: Partial<ActorDefinition> = {}) {
  const made = actor({
    name: 'bounds',
    inbox,
    state: 'TrialState',
    on: {
      TrialInput: (before, { kind }, context) => {
        const state = before ?? EMPTY
        const returned = acts[kind]?.(context as never, before)
        return returned === undefined ? { ...state, count: state.count + 1 } : returned
      },
      TrialDone: (before, _, { late }) => ({ ...(before ?? EMPTY), digest: `${before?.digest ?? ''}${late ? 'late' : 'done'},` }),
    },
    timers: {
      tick: (state, { argument }) => ({ ...state, digest: `${state.digest}tick ${argument},` }),
    },
    effects: {
      small: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: 1_000 },
      large: { input: 'DeadLetter', result: 'TrialDone', retry: 'idempotent', timeoutMs: 1_000 },
    },
    ended: (before, { outcome }) => ({ ...(before ?? EMPTY), digest: `${before?.digest ?? ''}${outcome},` }),
    emits: [outputs],
  })
  return { ...made, ...more } as typeof made
}

export { outputs as boundsOutputs }

/**
 * The actor that the simulator and the benchmarks run: it counts, sets timers, performs effects, fails when told to.
 */
import { hash } from 'node:crypto'
import { actor, type Ended } from '../../engine/actor.ts'
import type { TrialState } from '../../schemas/types.ts'
import { defineTopic, ENGINE_RECORDS } from '../../topics/catalog.ts'

export const trialInbox = defineTopic('trial.inbox', 'key', ['TrialInput', 'TrialDone', ...ENGINE_RECORDS], { partitions: 3 })
export const trialOutputs = defineTopic('trial.outputs', 'key', ['TrialOutput'], { partitions: 1 })

export const EFFECT_TIMEOUT = 5_000

const EMPTY: TrialState = {
  count: 0,
  last: -1,
  digest: '',
  ticks: 0,
  done: 0,
  unknown: 0,
  undone: 0,
  late: 0,
  payload: Buffer.alloc(0),
}

const digest = (state: TrialState, what: string) => hash('sha1', `${state.digest}/${what}`, 'hex').slice(0, 16)

export const trial = actor({
  name: 'trial',
  inbox: trialInbox,
  state: 'TrialState',
  on: {
    TrialInput: (before, { sequence, kind, delayMs }, context) => {
      const state = before ?? EMPTY
      const next = { ...state, count: state.count + 1, last: sequence, digest: digest(state, `${sequence}`) }
      context.emit(trialOutputs, context.key, 'TrialOutput', { sequence, count: next.count })
      const options = { notAfter: delayMs === 0 ? undefined : context.now + delayMs }
      if (kind === 'poison') throw new Error('told to fail')
      if (kind === 'once') context.perform('once', { sequence }, options)
      if (kind === 'again') context.perform('again', { sequence }, options)
      if (kind === 'timer') context.setTimer(`tick:${sequence % 2}`, context.now + delayMs)
      if (kind === 'clear') context.clearTimer(`tick:${sequence % 2}`)
      if (kind === 'forget') return null
      return next
    },
    TrialDone: (before, { sequence }, context) => {
      const state = before ?? EMPTY
      const what = context.late ? 'late' : 'done'
      context.emit(trialOutputs, context.key, 'TrialOutput', { sequence, count: state.count, what })
      const { late, done } = state
      return { ...state, digest: digest(state, what), late: late + (context.late ? 1 : 0), done: done + (context.late ? 0 : 1) }
    },
  },
  timers: {
    tick: (state, timer, context) => {
      context.emit(trialOutputs, context.key, 'TrialOutput', { sequence: state.last, count: state.count, what: 'tick' })
      return { ...state, ticks: state.ticks + 1, digest: digest(state, timer.name) }
    },
  },
  effects: {
    once: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: EFFECT_TIMEOUT },
    again: { input: 'TrialEffect', result: 'TrialDone', retry: 'idempotent', timeoutMs: EFFECT_TIMEOUT },
  },
  ended: (before, { outcome, input }: Ended, context) => {
    const state = before ?? EMPTY
    const { sequence } = input as unknown as { sequence: number }
    context.emit(trialOutputs, context.key, 'TrialOutput', { sequence, count: state.count, what: outcome })
    const unknown = state.unknown + (outcome === 'UNKNOWN' ? 1 : 0)
    return { ...state, digest: digest(state, outcome), unknown, undone: state.undone + (outcome === 'UNKNOWN' ? 0 : 1) }
  },
  emits: [trialOutputs],
})

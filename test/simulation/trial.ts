/**
 * The actor that the simulator and the benchmarks run: it counts, sets timers, performs effects, tells another actor, fails when
 * told to. Other versions of its code leave out what they have retired, or know a record type more.
 */
import { hash } from 'node:crypto'
import { type ActorDefinition, actor, type Ended } from '../../engine/actor.ts'
import type { TrialInput, TrialState } from '../../schemas/types.ts'
import { defineTopic, ENGINE_RECORDS } from '../../topics/catalog.ts'
import { EMPTY } from '../../engine/testing/trial-state.ts'

export { EMPTY }

export const trialInbox = defineTopic('trial.inbox', 'key', ['TrialInput', 'TrialDone', 'TrialBytes', ...ENGINE_RECORDS], {
  partitions: 3,
})
export const trialOutputs = defineTopic('trial.outputs', 'key', ['TrialOutput'], { partitions: 1 })
export const tallyInbox = defineTopic('tally.inbox', 'key', ['TrialInput', 'TrialDone', ...ENGINE_RECORDS], { partitions: 2 })

export const EFFECT_TIMEOUT = 5_000
/** Bytes of the mark. */
const MARK = 4

export const digest = (state: TrialState, what: string) => hash('sha1', `${state.digest}/${what}`, 'hex').slice(0, 16)

/** Bytes that say which input they came of. */
export function marked(sequence: number, size: number): Buffer {
  const payload = Buffer.alloc(Math.max(MARK, size))
  payload.writeUInt32LE(sequence)
  return payload
}
export const markOf = (payload: Buffer) => payload.readUInt32LE(0)

export const trial = actor({
  name: 'trial',
  inbox: trialInbox,
  state: 'TrialState',
  on: {
    TrialInput: (before, { sequence, kind, delayMs }: TrialInput, context) => {
      const state = before ?? EMPTY
      const next = { ...state, count: state.count + 1, last: sequence, digest: digest(state, `${sequence}`) }
      context.emit(trialOutputs, context.key, 'TrialOutput', { sequence, count: next.count })
      const options = { notAfter: delayMs === 0 ? undefined : context.now + delayMs }
      if (kind === 'poison') {
        context.setTimer('tick:poison', context.now + 1)
        context.perform('once', { sequence })
        throw new Error('told to fail')
      }
      if (kind === 'once') context.perform('once', { sequence }, options)
      if (kind === 'again') context.perform('again', { sequence }, options)
      if (kind === 'bulk') context.perform('bulk', { payload: marked(sequence, delayMs) })
      if (kind === 'big')
        context.emit(trialOutputs, context.key, 'TrialOutput', { sequence, count: 0, what: 'big', payload: marked(0, delayMs) })
      if (kind === 'timer') context.setTimer(`tick:${sequence % 2}`, context.now + delayMs)
      if (kind === 'clear') context.clearTimer(`tick:${sequence % 2}`)
      if (kind.startsWith('tell-'))
        context.emit(tallyInbox, context.key, 'TrialInput', { sequence, kind: kind.slice('tell-'.length), delayMs })
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
    TrialBytes: (before, { payload }, context) => {
      const state = before ?? EMPTY
      const what = context.late ? 'late part' : 'part'
      context.emit(trialOutputs, context.key, 'TrialOutput', { sequence: markOf(payload), count: payload.length, what })
      return { ...state, digest: digest(state, what) }
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
    bulk: { input: 'TrialBytes', result: 'TrialBytes', retry: 'never', timeoutMs: EFFECT_TIMEOUT },
  },
  ended: (before, { outcome, input }: Ended, context) => {
    const state = before ?? EMPTY
    const given = input as unknown as { sequence?: number; payload?: Buffer }
    const sequence = given.sequence ?? (given.payload === undefined ? -1 : markOf(given.payload))
    context.emit(trialOutputs, context.key, 'TrialOutput', { sequence, count: state.count, what: outcome })
    const unknown = state.unknown + (outcome === 'UNKNOWN' ? 1 : 0)
    return { ...state, digest: digest(state, outcome), unknown, undone: state.undone + (outcome === 'UNKNOWN' ? 0 : 1) }
  },
  emits: [trialOutputs, tallyInbox],
})

type AnyHandlers = Record<string, (state: TrialState | null, record: never, context: never) => TrialState | null>

/** A version that no longer performs `again` and sets no timers; whether it says so is up to it. */
export function withoutAgain(retired: boolean): ActorDefinition {
  const { again: _gone, ...effects } = trial.effects as NonNullable<typeof trial.effects>
  const on = trial.on as unknown as AnyHandlers
  const gone = (kind: string) => ['again', 'timer', 'clear'].includes(kind)
  const TrialInput = (state: TrialState | null, input: TrialInput, context: never) =>
    (on.TrialInput as (s: TrialState | null, i: TrialInput, c: never) => TrialState | null)(
      state,
      gone(input.kind) ? { ...input, kind: 'add' } : input,
      context,
    )
  return {
    ...trial,
    on: { ...trial.on, TrialInput },
    timers: {},
    effects,
    ...(retired ? { retired: { effects: ['again'], timers: ['tick'] } } : {}),
  } as unknown as ActorDefinition
}

/** A version that knows one record type more. */
export const novel = {
  ...trial,
  inbox: { ...trialInbox, records: [...trialInbox.records, 'TrialOutput'] },
  on: {
    ...trial.on,
    TrialOutput: (before: TrialState | null) => {
      const state = before ?? EMPTY
      return { ...state, count: state.count + 1, digest: digest(state, 'novel') }
    },
  },
} as unknown as ActorDefinition

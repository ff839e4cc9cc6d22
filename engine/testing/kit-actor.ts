import { defineTopic, ENGINE_RECORDS } from '../../topics/catalog.ts'
import { actor } from '../actor.ts'
import { carry, testkit } from './testkit.ts'
import { EMPTY } from './trial-state.ts'

const inbox = defineTopic('kit.inbox', 'key', ['TrialInput', 'TrialDone', ...ENGINE_RECORDS])
const outputs = defineTopic('kit.outputs', 'key', ['TrialOutput'])
/** Not declared by the actor. */
const other = defineTopic('kit.other', 'key', ['TrialOutput'])
await carry([inbox, outputs])
/** `broken`: its `failed` throws. */
export const make = (onPoison: { default: 'skip' | 'park'; broken?: boolean } = { default: 'skip' }) =>
  actor({
    name: 'kit',
    inbox,
    state: 'TrialState',
    on: {
      TrialInput: (before, { sequence, kind, delayMs }, context) => {
        const state = before ?? EMPTY
        const next = {
          ...state,
          count: state.count + 1,
          last: context.now,
          digest: `${state.digest}${context.possiblyDuplicate ? '?' : ''}${sequence},`,
        }
        if (kind === 'id') return { ...next, digest: `${context.id()} ${context.id()}` }
        if (kind === 'forget') return null
        if (kind === 'once') context.perform('once', { sequence }, { notAfter: delayMs || undefined })
        if (kind === 'again') context.perform('again', { sequence })
        if (kind.startsWith('timer')) context.setTimer(`tick:${kind.slice(6) || 'x'}`, context.now + delayMs)
        if (kind === 'clear') context.clearTimer('tick:x')
        if (kind === 'refuse') context.refuse('not_today', 'come back tomorrow')
        if (kind === 'big') return { ...next, payload: Buffer.alloc(20_000) }
        if (kind === 'undeclared effect') context.perform('elsewhere' as never, {} as never)
        if (kind === 'undeclared timer') context.setTimer('tock:x', context.now)
        if (kind === 'astray') context.emit(other as never, 'k', 'TrialOutput' as never, {} as never)
        if (kind === 'poison') throw new Error('told to fail')
        return next
      },
      TrialDone: (before, { sequence }, { late }) => {
        const state = before ?? EMPTY
        return { ...state, digest: `${state.digest}${late ? 'late' : 'done'}${sequence},`, done: state.done + 1 }
      },
    },
    timers: {
      tick: (state, { name, argument }, context) => {
        if (argument === 'poison') throw new Error('told to fail')
        if (argument === 'again' && state.ticks === 0) context.setTimer(name, context.now + 100)
        return { ...state, ticks: state.ticks + 1, digest: `${state.digest}tick ${argument},` }
      },
    },
    effects: {
      once: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: 1 },
      again: { input: 'TrialEffect', result: 'TrialDone', retry: 'idempotent', timeoutMs: 1 },
    },
    ended: (state, { outcome, input }) => ({
      ...state,
      digest: `${state.digest}${outcome} ${(input as unknown as { sequence: number }).sequence},`,
    }),
    emits: [outputs],
    onPoison: {
      default: onPoison.default,
      failed: (state, { cause }) => {
        if (onPoison.broken) throw new Error('failed fails too')
        return { ...(state ?? EMPTY), digest: `${state?.digest ?? ''}failed: ${cause},` }
      },
    },
  })

export const start = (onPoison?: Parameters<typeof make>[0]) => {
  const kit = testkit(make(onPoison))
  return {
    kit,
    send: (sequence: number, kind = 'add', options: Parameters<typeof kit.handle>[2] & { delayMs?: number } = {}) =>
      kit.handle('TrialInput', { sequence, kind, delayMs: options.delayMs ?? 0 }, options),
    /** What has been handled, in order; undefined where there is no state. */
    get digest() {
      return kit.state?.digest
    },
  }
}

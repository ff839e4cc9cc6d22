import { expect, it } from 'vitest'
import { defineTopic, ENGINE_RECORDS } from '../topics/catalog.ts'
import { actor } from './actor.ts'
import { carry, testkit } from './testing/testkit.ts'
import { EMPTY } from './testing/trial-state.ts'

const inbox = defineTopic('withdraw.inbox', 'key', ['TrialInput', 'TrialDone', ...ENGINE_RECORDS])
await carry([inbox])

/** Performs an effect for each input; an input `withdraw …`, and a result, withdraw the attempts of these numbers. */
const start = () => {
  const attempts: string[] = []
  let withdrawn: boolean[] = []
  const kit = testkit(
    actor({
      name: 'withdraw',
      inbox,
      state: 'TrialState',
      on: {
        TrialInput: (state, { sequence, kind }, context) => {
          if (kind.startsWith('withdraw'))
            withdrawn = kind.match(/\d/g)?.map(n => context.withdraw(attempts[Number(n)] ?? '')) ?? []
          else attempts[sequence] = context.perform('once', { sequence })
          if (kind === 'brief') withdrawn = [context.withdraw(attempts[sequence] ?? '')]
          return state ?? EMPTY
        },
        TrialDone: (state, { sequence }, context) => {
          withdrawn = [1, 2].map(n => context.withdraw(attempts[n] ?? ''))
          if (sequence > 0) throw new Error('told to fail')
          return state
        },
      },
      effects: { once: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: 1 } },
      emits: [],
    }),
  )
  const send = (sequence: number, kind = 'add') => kit.handle('TrialInput', { sequence, kind, delayMs: 0 })
  return {
    kit,
    send,
    attempts,
    running: () => kit.started.map(({ input }) => input.sequence),
    get withdrawn() {
      return withdrawn
    },
  }
}

it('an attempt that waits is withdrawn, with its input; one that has started is not, nor one that is not there', () => {
  const story = start()
  for (const n of [0, 1, 2]) story.send(n)
  const { closed } = story.send(3, 'withdraw 0 1 9')
  expect([story.withdrawn, closed]).toEqual([[false, true, false], [story.attempts[1]]])
  expect(story.running()).toEqual([0])
  story.kit.end(story.attempts[0] ?? '', 'NOT_DONE')
  expect(story.running()).toEqual([2])
  // It is not done, and nobody is told of it.
  expect(story.kit.complete(story.attempts[1] ?? '', { sequence: 0 }).result).toBe('duplicate')
})

it('so is one that would start because of the result that is being handled; then the next one starts', () => {
  const story = start()
  for (const n of [0, 1, 2, 3]) story.send(n)
  story.kit.complete(story.attempts[0] ?? '', { sequence: 0 })
  expect([story.withdrawn, story.running()]).toEqual([[true, true], [3]])
})

it('so is one that this very step has performed', () => {
  const story = start()
  story.send(0, 'brief')
  expect([story.withdrawn, story.running()]).toEqual([[true], []])
  story.send(1)
  expect(story.running()).toEqual([1])
})

it('none is withdrawn by a handler that fails', () => {
  const story = start()
  for (const n of [0, 1, 2, 3]) story.send(n)
  const { result, closed } = story.kit.complete(story.attempts[0] ?? '', { sequence: 1 })
  expect([result, closed, story.running()]).toEqual(['poisoned', [story.attempts[0]], [1]])
  story.kit.end(story.attempts[1] ?? '', 'NOT_DONE')
  expect(story.running()).toEqual([2])
})

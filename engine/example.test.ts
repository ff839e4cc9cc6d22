/** An actor in a page: three inputs of one key within ten minutes are told once; the first timer forgets them. */
import { expect, test } from 'vitest'
import { alerts, defineTopic, ENGINE_RECORDS } from '../topics/catalog.ts'
import { actor } from './actor.ts'
import { carry, testkit } from './testing/testkit.ts'
import { EMPTY } from './testing/trial-state.ts'

const inbox = defineTopic('example.inbox', 'venue', ['TrialInput', ...ENGINE_RECORDS])
const TEN_MINUTES_MS = 10 * 60_000

const exampleActor = actor({
  name: 'example',
  inbox,
  state: 'TrialState',
  emits: [alerts],
  on: {
    TrialInput: (before, { sequence }, context) => {
      const state = { ...(before ?? EMPTY), count: (before?.count ?? 0) + 1, last: sequence }
      if (state.count === 1) context.setTimer('forget', context.now + TEN_MINUTES_MS)
      if (state.count !== 3) return state
      const alert = {
        id: context.id(),
        department: 'OPERATIONS',
        priority: 'NORMAL',
        kind: 'example',
        text: 'three times',
      } as const
      context.emit(alerts, context.key, 'Alert', { ...alert, venue: context.key, at: context.now })
      return state
    },
  },
  timers: { forget: () => null },
})

test('three inputs within ten minutes are one alert; then they are forgotten', async () => {
  await carry([inbox])
  const kit = testkit(exampleActor, { key: 'main:v1' })
  const input = (sequence: number) => kit.handle('TrialInput', { sequence, kind: 'add' }).emits
  expect([input(1), input(2)]).toEqual([[], []])
  expect(input(3)).toMatchObject([{ topic: 'alerts', key: 'main:v1', record: { text: 'three times' } }])
  expect(input(4)).toEqual([])
  kit.fire('forget')
  expect(kit.state).toBeNull()
})

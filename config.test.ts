import { expect, it } from 'vitest'
import { configFrom } from './config.ts'

it("bears providers' moods as documented where nothing is set", () => {
  expect(configFrom({}).providers).toEqual({
    breakerFailures: 3,
    breakerProbeMs: 5_000,
    breakerMostMs: 300_000,
    channelShare: 0.5,
    channelCalls: 20,
    limitMs: 1_000,
    limitMostMs: 30_000,
    firstWordMs: 15_000,
    tryMs: 120_000,
  })
})

it.each([
  ['FIRST_WORD_MS', '20000', 'a person would wait for more than 20 s'],
  ['LIMIT_PAUSE_MS', '999', 'a limit is kept for a second at least'],
  ['CHANNEL_BREAKER_CALLS', '19', 'fewer calls say nothing'],
  ['CHANNEL_BREAKER_RATE', '1', 'it would never open'],
  ['BREAKER_FAILURES', '0', 'it would never close'],
])('refuses %s=%s: %s', (name, value) => {
  expect(() => configFrom({ [name]: value })).toThrow(new RegExp(`${name} is "${value}"`))
})

import { expect, it } from 'vitest'
import { Backoff } from './backoff.ts'

it('doubles up to its bound, never below half of it, and begins anew after a success', () => {
  const longest = new Backoff(100, 1_000, () => 0.999)
  expect([1, 2, 3, 4, 5, 6].map(() => longest.next())).toEqual([100, 200, 400, 800, 1_000, 1_000])
  const shortest = new Backoff(100, 1_000, () => 0)
  expect([1, 2, 3, 4, 5, 6].map(() => shortest.next())).toEqual([50, 100, 200, 400, 500, 500])
  expect(longest.failures).toBe(6)
  longest.reset()
  expect([longest.failures, longest.next()]).toEqual([0, 100])
})

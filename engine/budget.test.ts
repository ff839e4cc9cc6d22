import { expect, it } from 'vitest'
import { Budget } from './budget.ts'

const clockAt = (at: { ms: number }) => ({ now: () => at.ms, mono: () => at.ms, sleep: async () => {} })
const lookAt = (budget: Budget) => Array.from({ length: 16 }, () => budget.spent).at(-1)

it('is spent by the bytes of the transaction, however fast they came', () => {
  const budget = new Budget(clockAt({ ms: 0 }), { sliceMs: 20, ms: 80, bytes: 1_000 })
  budget.spend(999)
  expect([budget.spent, budget.exhausted]).toEqual([false, false])
  budget.spend(1)
  expect([budget.spent, budget.exhausted]).toEqual([true, true])
})

it('ends its slices long before all of its time is over', () => {
  const at = { ms: 0 }
  const budget = new Budget(clockAt(at), { sliceMs: 20, ms: 80, bytes: 1_000 })
  at.ms = 20
  expect([lookAt(budget), budget.exhausted]).toEqual([true, false])
  budget.nextSlice()
  expect(lookAt(budget)).toBe(false)
  at.ms = 80
  expect([lookAt(budget), budget.exhausted]).toEqual([true, true])
})

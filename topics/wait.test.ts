import { expect, it, vi } from 'vitest'
import { Waiter } from './wait.ts'

it('ends on a wake, at the latest after its time, and leaves no timer behind', async () => {
  vi.useFakeTimers()
  try {
    const waiter = new Waiter()
    waiter.wake()
    const woken = waiter.wait(1_000)
    waiter.wake()
    await woken
    expect(vi.getTimerCount()).toBe(0)
    let over = false
    const timed = waiter.wait(1_000).then(() => {
      over = true
    })
    await vi.advanceTimersByTimeAsync(999)
    expect(over).toBe(false)
    await vi.advanceTimersByTimeAsync(1)
    await timed
  } finally {
    vi.useRealTimers()
  }
})

it('takes a wait without end, which a timer of that length would not be', async () => {
  vi.useFakeTimers()
  try {
    const waiter = new Waiter()
    let over = false
    const endless = waiter.wait(Number.POSITIVE_INFINITY).then(() => {
      over = true
    })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(over).toBe(false)
    waiter.wake()
    await endless
  } finally {
    vi.useRealTimers()
  }
})

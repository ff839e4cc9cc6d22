import { expect, test, vi } from 'vitest'
import { withTimeout } from './timeout.ts'

test('a promise that settles in time settles as it is, and leaves no timer', async () => {
  vi.useFakeTimers()
  try {
    expect(await withTimeout(Promise.resolve('answer'), 50)).toBe('answer')
    await expect(withTimeout(Promise.reject(new Error('refused')), 50)).rejects.toThrow('refused')
    expect(vi.getTimerCount()).toBe(0)
  } finally {
    vi.useRealTimers()
  }
})

test('one that does not settle is rejected once the time has passed', async () => {
  vi.useFakeTimers()
  try {
    const late = expect(withTimeout(new Promise(() => {}), 50)).rejects.toThrow('no answer within 50 ms')
    await vi.advanceTimersByTimeAsync(49)
    expect(vi.getTimerCount()).toBe(1)
    await vi.advanceTimersByTimeAsync(1)
    await late
  } finally {
    vi.useRealTimers()
  }
})

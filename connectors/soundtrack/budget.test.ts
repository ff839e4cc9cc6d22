import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { BUCKET_TOKENS, RateLimited, TokenBudget } from './budget.ts'

const never = new AbortController().signal
let budget: TokenBudget
beforeEach(() => {
  vi.useFakeTimers()
  budget = new TokenBudget({ perSecond: 50, patienceMs: 10_000, now: Date.now })
})
afterEach(() => {
  vi.useRealTimers()
})

describe('token budget', () => {
  it('gives what is there at once, and refills with time up to the size of the bucket', async () => {
    await budget.take(3_000, 5, never)
    expect(budget.available).toBe(600)
    vi.advanceTimersByTime(2_000)
    expect(budget.available).toBe(700)
    vi.advanceTimersByTime(1_000_000)
    expect(budget.available).toBe(BUCKET_TOKENS)
  })

  it('lets wait (cost − available) / refill', async () => {
    budget.lower(100)
    const taken = vi.fn()
    const waiting = budget.take(200, 5, never).then(taken)
    await vi.advanceTimersByTimeAsync(1_990)
    expect(taken).not.toHaveBeenCalled()
    await vi.advanceTimersByTimeAsync(10)
    expect(taken).toHaveBeenCalled()
    await waiting
  })

  it('serves what is urgent first, then as they came', async () => {
    budget.lower(0)
    const served: string[] = []
    const take = (name: string, priority: number) => budget.take(50, priority, never).then(() => served.push(name))
    const all = [take('poll 1', 7), take('poll 2', 7), take('command', 1), take('check', 2)]
    await vi.advanceTimersByTimeAsync(4_000)
    await Promise.all(all)
    expect(served).toEqual(['command', 'check', 'poll 1', 'poll 2'])
  })

  it('refuses at once what would wait longer than its patience, counting who is before it', async () => {
    budget.lower(0)
    const first = budget.take(450, 5, never)
    await expect(budget.take(100, 5, never)).rejects.toMatchObject({
      name: 'RateLimited',
      byProvider: false,
      retryAfterMs: 11_000,
    })
    const urgent = budget.take(100, 1, never)
    await vi.advanceTimersByTimeAsync(11_000)
    await Promise.all([first, urgent])
  })

  it('forgets who gave up, and serves the next', async () => {
    budget.lower(0)
    const aborter = new AbortController()
    const gone = budget.take(400, 5, aborter.signal)
    const next = vi.fn()
    const waiting = budget.take(50, 5, never).then(next)
    aborter.abort(new Error('gone'))
    await expect(gone).rejects.toThrow('gone')
    await vi.advanceTimersByTimeAsync(1_000)
    expect(next).toHaveBeenCalled()
    await waiting
  })

  it('gives now only what nobody waits for, beside what is kept, and takes back what was not used', async () => {
    budget.lower(100)
    expect([budget.takeNow(60, 50), budget.takeNow(60, 40), budget.available]).toEqual([false, true, 40])
    const waiting = budget.take(50, 5, never)
    expect(budget.takeNow(1)).toBe(false)
    budget.giveBack(20)
    await waiting
    expect(budget.available).toBe(10)
    budget.hold(1_000)
    expect([budget.takeNow(1), budget.held]).toEqual([false, 1_000])
  })

  it('follows the provider down, never up', () => {
    budget.lower(40)
    expect(budget.available).toBe(40)
    budget.lower(3_000)
    expect(budget.available).toBe(40)
  })

  it('says that nothing was done', () => {
    expect(new RateLimited('x', 1, true)).toMatchObject({ name: 'RateLimited', retryAfterMs: 1 })
  })
})

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { Run } from '../engine/actor.ts'
import { HttpFailure } from './call-errors.ts'
import { type OutboundOptions, outbound } from './outbound.ts'

beforeEach(() => vi.useFakeTimers({ toFake: ['Date'] }))
afterEach(() => vi.useRealTimers())

const run: Run = { attempt: 'a', key: 'k', notAfter: null, signal: new AbortController().signal, beforeSend: () => {} }
const status = (code: number) => new HttpFailure(code, '', new Headers())

function open(options: Partial<OutboundOptions> = {}) {
  const calls = outbound({ name: 'test', timeoutMs: 1_000, retry: { attempts: 1 }, ...options })
  let asked = 0
  /** Whether the request left, and whether it came to something. */
  const call = async (outcome: 'well' | Error, party?: string) => {
    const before = asked
    const request = async () => {
      asked++
      if (outcome !== 'well') throw outcome
    }
    const well = await calls.call(run, request, party === undefined ? {} : { party }).then(
      () => true,
      () => false,
    )
    return { left: asked > before, well }
  }
  return { calls, call }
}

/** How long the breaker lets nothing through, ms: asked every tenth of a second. */
async function shutFor(call: (outcome: 'well' | Error) => Promise<{ left: boolean }>, outcome: 'well' | Error): Promise<number> {
  for (let ms = 0; ; ms += 100) {
    if ((await call(outcome)).left) return ms
    vi.setSystemTime(Date.now() + 100)
  }
}

describe('a source', () => {
  it('is asked again after 5 s, then ever less often up to 300 s, each with a little jitter; once well, as at first', async () => {
    const { calls, call } = open()
    for (let n = 0; n < 3; n++) await call(status(503))
    const waits: number[] = []
    for (let n = 0; n < 9; n++) waits.push(await shutFor(call, status(503)))
    for (const [n, least] of [5, 10, 20, 40, 80, 160, 300, 300, 300].entries()) {
      expect(waits[n]).toBeGreaterThanOrEqual(least * 1000)
      expect(waits[n]).toBeLessThanOrEqual(Math.min(300_000, least * 1100) + 100)
    }
    expect(new Set(waits.slice(0, 6).map((ms, n) => ms / 2 ** n)).size, 'jitter').toBeGreaterThan(1)
    await shutFor(call, 'well')
    expect(calls.state).toBe('closed')
    for (let n = 0; n < 3; n++) await call(status(503))
    expect(await shutFor(call, 'well')).toBeLessThanOrEqual(5_600)
  })

  it('goes on through failures that are not in a row', async () => {
    const { calls, call } = open()
    for (let n = 0; n < 30; n++) {
      await call(status(503))
      await call(status(503))
      await call('well')
    }
    expect(calls.state).toBe('closed')
  })

  it('has its times divided by the time scale', async () => {
    const { call } = open({ timeScale: 10 })
    for (let n = 0; n < 3; n++) await call(status(503))
    expect(await shutFor(call, 'well')).toBeLessThanOrEqual(700)
  })

  it('has its numbers as settings', async () => {
    const { calls, call } = open({ breaker: { failures: 5, probeMs: 1_000, mostMs: 1_500 } })
    for (let n = 0; n < 4; n++) await call(status(503))
    expect(calls.state).toBe('closed')
    await call(status(503))
    expect(await shutFor(call, status(503))).toBeLessThanOrEqual(1_200)
    expect(await shutFor(call, status(503))).toBeLessThanOrEqual(1_600)
  })
})

describe('a message channel', () => {
  const rate = (options: { share?: number; calls?: number } = {}) => open({ breaker: { rate: options } })

  it('opens when more than half of at least 20 calls have failed, for several people', async () => {
    const { calls, call } = rate()
    for (let n = 0; n < 19; n++) await call(status(500), `p${n % 4}`)
    expect(calls.state).toBe('closed')
    await call(status(500), 'p5')
    expect(calls.state).toBe('open')
    expect((await call('well', 'p6')).left).toBe(false)
    vi.setSystemTime(Date.now() + 5_600)
    expect(await call('well', 'p6')).toEqual({ left: true, well: true })
    // What came before is forgotten.
    await call(status(500), 'p1')
    expect(calls.state).toBe('closed')
  })

  it('does not by one person, or two, however often', async () => {
    const { calls, call } = rate()
    for (let n = 0; n < 200; n++) await call(status(500), `p${n % 2}`)
    expect(calls.state).toBe('closed')
  })

  it('does not by a few among many who are well, though they are most of the calls', async () => {
    const { calls, call } = rate()
    for (let n = 0; n < 8; n++) await call('well', `q${n}`)
    for (let n = 0; n < 200; n++) {
      await call(status(500), `p${n % 3}`)
      if (n % 5 === 0) await call('well', `q${n}`)
    }
    expect(calls.state).toBe('closed')
  })

  it('does not by refusals and limits', async () => {
    const { calls, call } = rate()
    for (let n = 0; n < 100; n++) await call(status([400, 401, 404, 429][n % 4] as number), `p${n}`)
    expect(calls.state).toBe('closed')
  })

  it('has its numbers as settings', async () => {
    const { calls, call } = rate({ share: 0.8, calls: 10 })
    for (let n = 0; n < 10; n++) await call(n < 8 ? status(500) : 'well', `p${n}`)
    expect(calls.state).toBe('closed')
    for (let n = 0; n < 4; n++) await call(status(500), `q${n}`)
    expect(calls.state).toBe('open')
  })
})

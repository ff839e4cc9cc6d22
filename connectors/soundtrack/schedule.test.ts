import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { ReadZones, ZoneReadingInput } from '../../schemas/types.ts'
import { TokenBudget } from './budget.ts'
import { Schedule } from './schedule.ts'
import type { Reading, Turn } from './turns.ts'
import { SOUNDTRACK_SETTINGS } from './polling.ts'

const START = 1_750_000_000_000
const SECOND = 1_000
const MINUTE = 60 * SECOND
const QUIET = SOUNDTRACK_SETTINGS.quietMs
/** A read of two zones. */
const COST = 5

let budget: TokenBudget
let schedule: Schedule
/** Accounts as they were read, and when. */
let reads: { account: string; at: number }[]
let stop: AbortController

beforeEach(() => {
  vi.useFakeTimers({ now: START })
  reads = []
  stop = new AbortController()
})
afterEach(() => {
  stop.abort()
  vi.useRealTimers()
})

const open = (perSecond = 50, settings = {}) => {
  budget = new TokenBudget({ perSecond, patienceMs: 0, now: Date.now })
  schedule = new Schedule({ budget, settings: { ...SOUNDTRACK_SETTINGS, ...settings } })
}
const request = (account: string, more: Partial<ReadZones> = {}): ReadZones => ({
  account,
  zone: null,
  first: 2,
  locations: false,
  places: false,
  full: false,
  urgent: false,
  readAt: 0,
  ...more,
})
const zone = (more: Partial<ZoneReadingInput> = {}): ZoneReadingInput => ({
  zone: 'z',
  name: 'z',
  volume: 5,
  detail: false,
  ...more,
})

/** An account that is polled over and over, each read taking a while; `outcome` is what becomes of one. */
async function follow(
  account: string,
  more: Partial<ReadZones> = {},
  outcome: (n: number) => ZoneReadingInput[] | string = () => [],
) {
  const told: number[] = []
  const going = async () => {
    let readAt = more.readAt ?? 0
    for (let n = 0; ; n++) {
      const turn: Turn = await schedule.turn(request(account, { ...more, readAt }), stop.signal)
      if (typeof turn === 'string') return
      reads.push({ account, at: Date.now() - START })
      await new Promise(resolve => setTimeout(resolve, 100))
      turn.purse.tokens = 0
      const what = outcome(n)
      const asOf = Date.now()
      if (typeof what === 'string') {
        if (turn.failed(what)) told.push(asOf - START)
      } else if (turn.read(what, asOf)) {
        told.push(asOf - START)
        readAt = asOf
      }
      turn.end()
    }
  }
  going().catch(error => {
    if (!stop.signal.aborted) throw error
  })
  return told
}
const pass = (ms: number) => vi.advanceTimersByTimeAsync(ms)
const timesOf = (account: string) => reads.filter(r => r.account === account).map(r => r.at)
const gapsOf = (account: string) => timesOf(account).flatMap((at, n, all) => (n === 0 ? [] : [at - (all[n - 1] as number)]))

describe('the schedule', () => {
  it('reads every account once before any a second time, and then the oldest first', async () => {
    open(5)
    budget.lower(0)
    const names = Array.from({ length: 300 }, (_, n) => `a${n}`)
    for (const name of names) void follow(name)
    // 300 reads of 5 tokens at 5 a second, beside what is kept for people.
    await pass(341 * SECOND)
    expect(reads.slice(0, 300).map(r => r.account)).toEqual(names)
    await pass(400 * SECOND)
    expect(reads.slice(300, 600).map(r => r.account)).toEqual(names)
  })

  it('begins after a start with what was told the longest ago, and with what never was', async () => {
    open()
    const ages = [30, 50, 40, 20]
    for (const age of ages) void follow(`a${age}`, { readAt: START - age * MINUTE })
    void follow('new')
    void follow('recent', { readAt: START - MINUTE })
    await pass(SECOND)
    expect(reads.map(r => r.account)).toEqual(['new', 'a50', 'a40', 'a30', 'a20'])
    await pass(QUIET - 2 * MINUTE)
    expect(timesOf('recent')).toEqual([])
    await pass(2 * MINUTE)
    expect(timesOf('recent')).toHaveLength(1)
  })

  it('keeps the critical on time while there are too few tokens for the others, who wait longer, but not for ever', async () => {
    open(5)
    budget.lower(0)
    for (let n = 0; n < 600; n++) void follow(`a${n}`)
    void follow('critical', { urgent: true })
    await pass(60 * MINUTE)
    expect(Math.max(...gapsOf('critical'))).toBeLessThanOrEqual(2 * MINUTE + 2 * SECOND)
    const gaps = Array.from({ length: 600 }, (_, n) => gapsOf(`a${n}`)).flat()
    expect(gaps.length).toBeGreaterThan(2_000)
    // 600 reads of 5 tokens at 4.75 a second are 632 s.
    expect(Math.max(...gaps)).toBeLessThan(670 * SECOND)
  })

  it('reads what nothing has changed at for an hour less often than the rest, but not never, where there are too few tokens', async () => {
    open(1)
    budget.lower(0)
    const lively = (n: number) => [zone({ volume: Math.floor(n / 2) % 16 })]
    for (let n = 0; n < 40; n++) void follow(`quiet${n}`, {}, () => [zone()])
    for (let n = 0; n < 40; n++) void follow(`lively${n}`, {}, lively)
    await pass(4 * 60 * MINUTE)
    const count = (name: string) => reads.filter(r => r.account.startsWith(name) && r.at > 90 * MINUTE).length
    expect(count('lively')).toBeGreaterThan(count('quiet') * 1.2)
    const gaps = Array.from({ length: 40 }, (_, n) => gapsOf(`quiet${n}`)).flat()
    // All at once would be read every 400 s.
    expect(Math.max(...gaps)).toBeLessThan(1_600 * SECOND)
  })

  it('takes no more than is there: what is kept for people stays', async () => {
    open(5)
    budget.lower(400)
    for (let n = 0; n < 100; n++) void follow(`a${n}`)
    await pass(SECOND * 10)
    expect(reads.length).toBeGreaterThanOrEqual(40)
    expect(budget.available).toBeGreaterThanOrEqual(200 - COST)
  })

  it('reads a quiet account at its interval, and more often for a while after something has changed', async () => {
    open()
    const told = await follow('a', {}, n => [zone({ volume: n < 2 ? 5 : 6 })])
    await pass(30 * MINUTE)
    const gaps = gapsOf('a').map(gap => Math.round(gap / SECOND))
    expect(gaps.slice(0, 2)).toEqual([270, 270])
    expect(gaps.slice(2, 4).every(gap => gap >= 60 && gap <= 62)).toBe(true)
    expect(gaps.slice(5).every(gap => gap >= 270 && gap <= 272)).toBe(true)
    expect(told).toHaveLength(2)
  })

  it('tells the same again every hour', async () => {
    open()
    const told = await follow('a', {}, () => [zone()])
    await pass(3.2 * 60 * MINUTE)
    expect(told).toHaveLength(4)
  })

  it('puts whoever asks first, no more often than every five seconds', async () => {
    open(5)
    budget.lower(0)
    for (let n = 0; n < 200; n++) void follow(`a${n}`, { readAt: START - 60 * MINUTE })
    void follow('asked', { readAt: START - MINUTE })
    await pass(100)
    schedule.ask('asked', 'talking')
    await pass(2 * SECOND)
    // It may take what is kept for people, of whom it is one.
    expect(timesOf('asked')).toHaveLength(1)
    for (let n = 0; n < 40; n++) {
      schedule.ask('asked', 'talking')
      await pass(SECOND / 4)
    }
    expect(timesOf('asked').length).toBeLessThanOrEqual(4)
    expect(Math.min(...gapsOf('asked'))).toBeGreaterThanOrEqual(5 * SECOND)
  })

  it('hears a wish that came before the poll', async () => {
    open()
    schedule.ask('a', 'talking')
    void follow('a', { readAt: START - MINUTE })
    await pass(SECOND)
    expect(timesOf('a')).toHaveLength(1)
  })

  it('tells a failure once, and backs off up to its interval', async () => {
    open()
    const told = await follow('a', {}, () => 'provider_down')
    await pass(20 * MINUTE)
    const gaps = gapsOf('a').map(gap => Math.round(gap / SECOND))
    expect(gaps.slice(0, 4)).toEqual([30, 60, 120, 240])
    expect(Math.max(...gaps)).toBeLessThanOrEqual(272)
    expect(told).toHaveLength(1)
  })

  it('puts off what the provider has no tokens for, without a word, and does it first then', async () => {
    open()
    const told = await follow('a', { readAt: START - 60 * MINUTE }, n => {
      if (n > 0) return [zone()]
      budget.hold(30 * SECOND)
      return 'rate_limited'
    })
    void follow('b', { readAt: START - MINUTE })
    await pass(29 * SECOND)
    expect([reads.length, told]).toEqual([1, []])
    await pass(3 * SECOND)
    expect(reads.map(r => r.account)).toEqual(['a', 'a'])
    expect(told).toHaveLength(1)
  })

  it('has no more under way than three', async () => {
    open()
    let most = 0
    let now = 0
    for (let n = 0; n < 20; n++) {
      void follow(`a${n}`, {}, () => {
        now -= 1
        return []
      })
    }
    const count = reads.push.bind(reads)
    reads.push = (...read) => {
      now += 1
      most = Math.max(most, now)
      return count(...read)
    }
    await pass(10 * SECOND)
    expect([reads.length, most]).toEqual([20, 3])
  })

  it('reads every venue once in little more than the tokens for it take, and the critical every two minutes meanwhile', async () => {
    open(10)
    // A fifth of ten thousand, and of 50 tokens a second; 1 token and 2 a zone: 20 minutes.
    for (let n = 0; n < 2_000; n++) void follow(`a${n}`, { first: 2 + (n % 2), urgent: n % 100 === 0 })
    await pass(23 * MINUTE)
    expect(new Set(reads.map(r => r.account)).size).toBe(2_000)
    const critical = Array.from({ length: 20 }, (_, n) => gapsOf(`a${n * 100}`)).flat()
    expect(critical.length).toBeGreaterThan(200)
    expect(Math.max(...critical)).toBeLessThanOrEqual(2 * MINUTE)
  })
})

/** Turns the clock until it is there. */
async function soon<T>(what: Promise<T>): Promise<T> {
  let over = false
  void what.finally(() => (over = true)).catch(() => {})
  for (let n = 0; !over && n < 1_000; n++) await pass(SECOND)
  return what
}

describe('a poll that comes while another one of the account waits', () => {
  it('takes its place: the other comes back, and neither waits for ever', async () => {
    open()
    const readAt = Date.now()
    const [first, second] = [1, 2].map(() => schedule.turn(request('a', { readAt }), stop.signal)) as [
      Promise<Turn>,
      Promise<Turn>,
    ]
    await expect(first).rejects.toMatchObject({ name: 'NotDone', retryAfterMs: 1_000 })
    schedule.ask('a', 'asked')
    await expect(soon(second)).resolves.toMatchObject({ detail: 'all' })
  })

  it('is read as one that never was, where other things are wanted since', async () => {
    open()
    const turn = (await soon(schedule.turn(request('a'), stop.signal))) as Reading
    schedule.ask('a', 'renew')
    turn.read([zone()], Date.now())
    turn.end()
    const began = Date.now()
    await soon(schedule.turn(request('a', { places: true }), stop.signal))
    expect(Date.now() - began).toBeLessThan(10 * SECOND)
  })

  it('is served after one that had its turn and may not read any more', async () => {
    open()
    const turn = (await soon(schedule.turn(request('a'), stop.signal))) as Reading
    const other = schedule.turn(request('a'), stop.signal)
    turn.end()
    await expect(soon(other)).resolves.toMatchObject({ detail: 'some' })
  })
})

describe('what its venues were told', () => {
  const turnOf = async (readAt: number) => (await soon(schedule.turn(request('a', { readAt }), stop.signal))) as Reading
  /** When its venues were told, or null. */
  const read = async (readAt: number) => {
    const turn = await turnOf(readAt)
    const asOf = Date.now()
    const told = turn.read([zone()], asOf)
    turn.end()
    return told ? asOf : null
  }

  it('is not told again, unless another process has told something since', async () => {
    open()
    const asOf = Number(await read(0))
    expect(await read(asOf)).toBeNull()
    expect(await read(asOf + 1)).not.toBeNull()
  })

  it('is told once more after a turn of which nothing came', async () => {
    open()
    const asOf = Number(await read(0))
    ;(await turnOf(asOf)).end()
    expect(await read(asOf)).not.toBeNull()
  })
})

import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { NotDone, type Run } from '../../engine/actor.ts'
import type { ZoneCommand } from '../../schemas/types.ts'
import { soundtrackClient } from './client.ts'
import { type FakeSoundtrack, startFakeSoundtrack, world } from './fake.ts'
import { soundtrackPorts } from './ports.ts'

const bay = world([{ name: 'Lotus Bay', locations: [{ name: 'North', zones: ['Lobby', 'Pool', 'Spa'] }] }])
const account = bay.accounts[0]?.id as string
const zone = bay.accounts[0]?.locations[0]?.zones[0]?.id as string
const SECONDS = 20

let fake: FakeSoundtrack
beforeEach(async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'Date', 'performance'] })
  fake = await startFakeSoundtrack({ world: bay, token: 't0k' })
})
afterEach(async () => {
  await fake.close()
  vi.useRealTimers()
})

const run: Run = { attempt: 'a', key: 'k', notAfter: null, signal: new AbortController().signal, beforeSend: () => {} }

/** Lets the clock go on, with time for what is on its way through the sockets. */
async function pass(ms: number): Promise<void> {
  for (let at = 0; at < ms; at += 20) {
    await vi.advanceTimersByTimeAsync(20)
    await new Promise(resolve => setImmediate(resolve))
  }
}

/** As the worker does: again after what surely was not done, as soon as its error says. */
async function persist(attempt: () => Promise<unknown>, over: () => boolean): Promise<void> {
  while (!over()) {
    try {
      return void (await attempt())
    } catch (error) {
      if (!(error instanceof NotDone)) throw error
      await new Promise(resolve => setTimeout(resolve, error.retryAfterMs ?? 500))
    }
  }
}

it.each([
  ['by 429', { kind: 'rate_limited' }],
  ['by errors beside 200', { kind: 'rate_limited_200' }],
  ['by 429 with Retry-After', { kind: 'status', status: 429, retryAfterS: 3 }],
] as const)(
  'a limit that is told again and again %s is kept, ever longer, whatever tokens there seem to be',
  async (_how, fault) => {
    const client = soundtrackClient({ url: fake.url, token: 't0k' })
    const { control } = soundtrackPorts(client) as unknown as { control: (c: ZoneCommand, run: Run) => Promise<unknown> }
    fake.fault(fault)
    const end = Date.now() + SECONDS * 1000
    const order = { id: 'c1', venue: 'main:1', account, zone, kind: 'PAUSE', volume: null, notAfter: end } as ZoneCommand
    const over = () => Date.now() >= end
    // Several at once: the credential is one.
    const trying = Array.from({ length: 3 }, (_, n) => persist(() => control({ ...order, id: `c${n}` }, run), over))
    await pass(SECONDS * 1000)
    const starts = fake.calls.map(({ at }) => at)
    const gaps = starts.slice(1).map((at, n) => at - (starts[n] as number))
    const pauses = gaps.filter(gap => gap > 100)
    expect(starts.length).toBeGreaterThan(2)
    // Those that were on their way when the first was told count with it.
    expect(starts.length).toBeLessThanOrEqual(12)
    for (const pause of pauses) expect(pause).toBeGreaterThanOrEqual('retryAfterS' in fault ? 3_000 : 1_000)
    for (const [n, pause] of pauses.slice(1).entries()) expect(pause).toBeGreaterThan(pauses[n] as number)
    fake.heal()
    await pass(60_000)
    await Promise.all(trying)
    await client.close()
  },
)

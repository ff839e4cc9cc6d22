import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Fault } from '../../connectors/soundtrack/fake-faults.ts'
import { CONTACT, type Service, startService, until } from './harness.ts'

/** Soundtrack in trouble: five troubles, five answers, none of which claims success. */
let service: Service
beforeAll(async () => {
  // Breakers recover 100 times as fast; waits for the provider are not scaled below five seconds.
  service = await startService({ env: { TIME_SCALE: '100' } })
  await service.say(CONTACT, "What's playing at the pool?")
})
afterAll(() => service.close())
afterEach(() => service.soundtrack.heal())

const lobby = () => [...service.soundtrack.zones.values()].find(z => z.name === 'Lobby')
interface Asked {
  readonly at: string
  readonly outcome: string
  readonly reason: string
  readonly value: number
}
/** What was asked, the newest first: of one reading, for the next one may know more. */
const asked = async (): Promise<Asked[]> => {
  const { requests } = await service.conversation(CONTACT)
  return requests.toSorted((a: Asked, b: Asked) => (a.at < b.at ? 1 : -1))
}

const troubles: readonly { name: string; fault: Fault; outcomes: readonly string[]; reasons: RegExp; ms: number }[] = [
  { name: 'accepts without effect', fault: { kind: 'no_effect' }, outcomes: ['unverified'], reasons: /no_effect/, ms: 30_000 },
  {
    name: 'refuses permission',
    fault: { kind: 'forbidden', operation: 'setVolume' },
    outcomes: ['refused'],
    reasons: /permission|forbidden/,
    ms: 20_000,
  },
  {
    name: 'is out of tokens',
    fault: { kind: 'rate_limited', operation: 'setVolume' },
    outcomes: ['expired', 'unverified'],
    reasons: /rate_limited/,
    ms: 40_000,
  },
  {
    name: 'is slow',
    fault: { kind: 'latency', ms: 60_000, operation: 'setVolume' },
    outcomes: ['unknown', 'unverified', 'expired', 'confirmed'],
    reasons: /.*/,
    ms: 40_000,
  },
  {
    name: 'is down',
    fault: { kind: 'status', status: 503 },
    outcomes: ['expired', 'unverified', 'unknown'],
    reasons: /provider_down/,
    ms: 40_000,
  },
]

describe('a volume asked for while Soundtrack', () => {
  const answers: string[] = []
  it.each(troubles)('$name', { timeout: 90_000 }, async ({ fault, outcomes, reasons, ms }) => {
    const before = lobby()?.volume as number
    const wanted = before === 5 ? 7 : 5
    service.soundtrack.fault(fault)
    const known = (await asked()).length
    const sent = service.whatsapp.sent.length
    const began = Date.now()
    await service.say(CONTACT, `Set the lobby to ${wanted}`, { ms: 20_000 })
    expect(Date.now() - began, 'a first word').toBeLessThan(20_000)
    const ended = await until(async () => {
      const requests = await asked()
      const [now] = requests
      return requests.length >= Math.min(known + 1, 20) && now?.outcome !== 'pending' && now?.value === wanted ? now : null
    }, ms)
    expect(outcomes).toContain(ended.outcome)
    expect(ended.reason).toMatch(reasons)
    const said = service.whatsapp.sent
      .slice(sent)
      .map(m => m.text)
      .join('\n')
    if (ended.outcome !== 'confirmed') expect(said).not.toMatch(new RegExp(`now at ${wanted}|is at ${wanted}\\b|done`, 'i'))
    answers.push(service.whatsapp.sent.at(-1)?.text as string)
  })

  it('is answered differently each time', () => {
    expect(new Set(answers).size, answers.join('\n')).toBe(troubles.length)
  })

  it('works again once it is well', { timeout: 90_000 }, async () => {
    await until(async () => {
      const wanted = (lobby()?.volume as number) === 3 ? 4 : 3
      await service.say(CONTACT, `Set the lobby to ${wanted}`, { ms: 30_000 })
      return lobby()?.volume === wanted
    }, 60_000)
  })
})

describe('a pause for some time', () => {
  it('ends by itself, and the person is told', { timeout: 60_000 }, async () => {
    const pool = () => [...service.soundtrack.zones.values()].find(z => z.name === 'Pool')
    const before = service.whatsapp.sent.length
    const told = () => service.whatsapp.sent.slice(before).filter(m => m.text.includes('Pool')).length
    await service.say(CONTACT, 'Please pause the music at the pool for 20 minutes, we have a speech')
    await until(
      () => pool()?.playing === false && told() === 1,
      20_000,
      () => 'it is paused, and told',
    )
    // 20 minutes are 12 seconds here.
    await until(
      () => pool()?.playing === true,
      30_000,
      () => 'the music is back',
    )
    await until(
      () => told() === 2,
      20_000,
      () => 'the person is told',
    )
  })
})

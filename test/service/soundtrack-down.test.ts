import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { Fault } from '../../connectors/soundtrack/fake-faults.ts'
import { houses, type Service, startService, until } from './harness.ts'

/** In real time: what people see of Soundtrack's moods, and when. */
const NAMES = ['Malee', 'Somchai', 'Lek', 'Kamon', 'Nok', 'Anong']
const PEOPLE = NAMES.map((name, n) => ({ from: `6681222000${n}`, name }))
type Person = (typeof PEOPLE)[number]
const [MALEE, SOMCHAI, LEK, KAMON, NOK, ANONG] = PEOPLE as [Person, Person, Person, Person, Person, Person]
const FIRST_WORD_S = 20

let service: Service
beforeAll(async () => {
  // What a mood leaves behind is over soon, so that the next one begins on its own.
  const env = { CONTROL_TRY_MS: '30000', BREAKER_MAX_MS: '5000', LIMIT_PAUSE_MAX_MS: '2000' }
  service = await startService({ ...houses(PEOPLE, ['Lobby', 'Pool']), env })
  await service.zonesKnown()
})
afterAll(() => service.close())

const said = (person: Person, since: number) => service.whatsapp.sent.slice(since).filter(m => m.to === person.from)

/** Asks, and returns the first word and how long it took. */
async function ask(person: Person, text: string) {
  const [since, began] = [service.whatsapp.sent.length, Date.now()]
  await service.say(person, text, { ms: FIRST_WORD_S * 1000 })
  return { since, seconds: (Date.now() - began) / 1000, text: said(person, since)[0]?.text as string }
}

/** What became of it. */
async function ending(person: Person, since: number): Promise<string> {
  const all = await until(
    () => (said(person, since).length > 1 ? said(person, since) : null),
    60_000,
    () => `what became of it; ${service.output}`,
  )
  return all[1]?.text as string
}

/** The conversation waits for a human, who has an alert of it. */
async function humanTold(person: Person): Promise<void> {
  await until(
    async () => {
      const { owner, id } = await service.conversation(person)
      const { items } = (await service.get('/api/v1/alerts?limit=200')).body
      const told = (alert: { kind: string; conversation: string }) => alert.kind === 'handover' && alert.conversation === id
      return owner === 'waiting' && items.some(told)
    },
    10_000,
    () => `a human is told of ${person.name}`,
  )
}

const lobbiesAt = (volume: number) =>
  [...service.soundtrack.zones.values()].filter(z => z.name === 'Lobby' && z.volume === volume)
const NOT_DONE = /not changed|don't know whether|isn't clear whether|can't see (that|the change)/

/** All is well again: commands go through, and everybody is answered live. */
beforeEach(async () => {
  service.soundtrack.heal()
  const volume = lobbiesAt(9).length === 0 ? 9 : 10
  await service.say(KAMON, `Please set the lobby to ${volume}`, { ms: 30_000 })
  await until(() => lobbiesAt(volume).length === 1, 35_000)
  const live = /Lobby.*playing|Lobby: "/
  for (const person of PEOPLE) {
    await until(
      async () => {
        const { text } = await ask(person, "What's playing in the lobby?")
        return live.test(text) && !/last known|last saw/i.test(text)
      },
      90_000,
      () => `${person.name} is answered live`,
    )
  }
}, 120_000)

describe('a blip', () => {
  it('silences nobody: what was asked for meanwhile is done soon after', { timeout: 60_000 }, async () => {
    service.soundtrack.fault({ kind: 'status', status: 503, times: 4 })
    const people = [SOMCHAI, LEK, MALEE]
    const began = Date.now()
    await Promise.all(people.map(person => service.say(person, 'Please set the lobby to 4', { ms: 25_000 })))
    await until(() => lobbiesAt(4).length === people.length, 25_000)
    expect((Date.now() - began) / 1000).toBeLessThan(25)
  })
})

describe('while Soundtrack is down', () => {
  it('both languages hear what is the matter, what was last known and when, until when; then what became of it', {
    timeout: 120_000,
  }, async () => {
    service.soundtrack.fault({ kind: 'status', status: 503 })
    const asked = await Promise.all([ask(SOMCHAI, 'Please set the lobby to 3'), ask(MALEE, 'ช่วยปรับเสียง Lobby เป็น 3 หน่อยค่ะ')])
    const [english, thai] = asked
    expect(english.text).toMatch(
      /(isn't responding|can't reach)[\s\S]*([Ll]ast known|last saw)[\s\S]*Lobby.*as of \d\d:\d\d[\s\S]*until \d\d:\d\d/,
    )
    expect(thai.text).toMatch(/(ไม่ตอบสนอง|ติดต่อระบบเพลงไม่ได้)[\s\S]*ล่าสุดคือ[\s\S]*Lobby.*\d\d:\d\d[\s\S]*ถึง \d\d:\d\d/)
    for (const { seconds } of asked) expect(seconds).toBeLessThan(FIRST_WORD_S)

    expect(await ending(SOMCHAI, english.since)).toMatch(NOT_DONE)
    expect(await ending(MALEE, thai.since)).toMatch(/ยังไม่ได้เปลี่ยน|ยังไม่ทราบ|ไม่ได้บอกชัด|ยังไม่เห็น/)
    expect(lobbiesAt(3)).toEqual([])
    for (const person of [SOMCHAI, MALEE]) await humanTold(person)

    // By now the last reading is too old to be taken for live.
    const question = await ask(LEK, 'What is playing at the pool?')
    expect(question.text).toMatch(/(isn't responding|can't reach)[\s\S]*as of \d\d:\d\d/)
    expect(question.seconds).toBeLessThan(FIRST_WORD_S)
  })
})

describe.each<[string, Person, Fault, RegExp]>([
  ['out of tokens', ANONG, { kind: 'rate_limited' }, /any more requests|too busy/],
  // Once three calls have hung, nothing leaves any more, and that is a provider that does not answer.
  ['slow', NOK, { kind: 'latency', ms: 60_000 }, /slow|isn't responding|can't reach/],
])('while Soundtrack is %s', (_mood, person, fault, matter) => {
  it('the person hears it within 20 s, and what became of it', { timeout: 120_000 }, async () => {
    service.soundtrack.fault(fault)
    const calls = service.soundtrack.calls.length
    const { text, seconds, since } = await ask(person, 'Mute the pool please')
    expect(seconds).toBeLessThan(FIRST_WORD_S)
    expect(text).toMatch(matter)
    expect(text).toMatch(/Pool.*as of \d\d:\d\d[\s\S]*until \d\d:\d\d/)
    expect(await ending(person, since)).toMatch(NOT_DONE)
    await humanTold(person)
    expect(service.soundtrack.calls.length - calls).toBeLessThan(80)
  })
})

import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Service, startService, until } from './harness.ts'

let service: Service
beforeAll(async () => {
  service = await startService({ statuses: [] })
})
afterAll(() => service.close())

let people = 0
const person = () => ({ from: String(66_820_000_000 + people++), name: 'Guest' })
const repliesTo = (from: string) => service.whatsapp.sent.filter(m => m.to === from)
const message = (from: string, id: string, text: string) => ({
  from,
  id,
  timestamp: String(Math.floor(Date.now() / 1000)),
  type: 'text',
  text: { body: text },
})
const VALUE = {
  messaging_product: 'whatsapp',
  metadata: { display_phone_number: '1', phone_number_id: '106540352242922' },
  contacts: [],
}
const envelope = (...messages: unknown[]) => ({
  object: 'whatsapp_business_account',
  entry: messages.map(one => ({ id: '1', changes: [{ field: 'messages', value: { ...VALUE, messages: [one] } }] })),
})
/** In another order, always the same. */
const shuffled = <T>(items: readonly T[]): T[] =>
  items
    .map((item, n) => ({ item, at: ((n * 7_919) % 10_007) % 97 }))
    .sort((a, b) => a.at - b.at)
    .map(({ item }) => item)
/** Records on the topics that a webhook can reach. */
async function taken(): Promise<Record<string, number>> {
  const sums = { 'conversation.inbox': 0, 'whatsapp.inbox': 0, 'dead.letters': 0 }
  for (const [at, offset] of Object.entries(await service.offsets())) {
    const topic = at.split('/')[0] as keyof typeof sums
    if (topic in sums) sums[topic] += offset
  }
  return sums
}

/** Waits until nothing more comes onto these topics by itself. */
const quiet = () =>
  until(async () => {
    const [before] = [JSON.stringify(await taken()), await new Promise(resolve => setTimeout(resolve, 200))]
    return JSON.stringify(await taken()) === before
  })

describe('webhooks', () => {
  it('delivered five times, in any order, alone or together, have one reply and one row each', { timeout: 60_000 }, async () => {
    const guests = Array.from({ length: 8 }, person)
    const messages = guests.map(({ from }, n) => message(from, `wamid.five.${n}`, 'Hello'))
    const alone = messages.map(one => envelope(one))
    const deliveries = shuffled([...alone, ...alone, ...alone, envelope(...messages), envelope(...[...messages].reverse())])
    for (const body of deliveries) expect(await service.whatsapp.post(body)).toBe(200)
    await until(() => guests.every(({ from }) => repliesTo(from).length > 0))
    // A second reply would come before the reply to a message sent after it.
    for (const guest of guests) await service.say(guest, 'My name is nobody')
    expect(guests.map(({ from }) => repliesTo(from).length)).toEqual(guests.map(() => 2))
    for (const guest of guests) {
      const { messages: seen } = await until(async () => {
        const view = await service.conversation(guest)
        return view.messages.length >= 4 ? view : null
      })
      expect(seen.map((m: { direction: string }) => m.direction).sort()).toEqual(['in', 'in', 'out', 'out'])
    }
  })

  it('with statuses five times over, in the wrong order, leave the highest', { timeout: 30_000 }, async () => {
    const guest = person()
    const [reply] = await service.say(guest, 'Hello')
    const status = (name: string) => ({
      object: 'whatsapp_business_account',
      entry: [{ id: '1', changes: [{ field: 'messages', value: { ...VALUE, statuses: [statusOf(name)] } }] }],
    })
    const statusOf = (name: string) => ({
      id: reply?.id,
      status: name,
      timestamp: String(Math.floor(Date.now() / 1000)),
      recipient_id: guest.from,
      biz_opaque_callback_data: reply?.opaque,
    })
    for (const name of ['read', 'sent', 'delivered', 'read', 'sent', 'delivered', 'sent', 'sunk']) {
      expect(await service.whatsapp.post(status(name)), name).toBe(200)
    }
    const out = async () =>
      (await service.conversation(guest)).messages.filter((m: { direction: string }) => m.direction === 'out')
    await until(async () => (await out())[0]?.status === 'read')
    await quiet()
    expect(await out()).toMatchObject([{ status: 'read' }])
    expect(repliesTo(guest.from)).toHaveLength(1)
  })

  it('with a wrong signature or none, empty or broken, are refused, and nothing reaches the log', {
    timeout: 30_000,
  }, async () => {
    await quiet()
    const before = await taken()
    expect(before['conversation.inbox']).toBeGreaterThan(0)
    const body = envelope(message('66899990000', 'wamid.forged', 'Hello'))
    expect(await service.whatsapp.post(body, 'wrong')).toBe(401)
    expect(await service.whatsapp.post(body, 'none')).toBe(401)
    for (const broken of ['', '{}', '[]', 'null', '{"object":', '\u0000']) {
      expect(await service.whatsapp.post(broken), JSON.stringify(broken)).toBe(400)
      expect(await service.whatsapp.post(broken, 'wrong'), JSON.stringify(broken)).toBe(401)
    }
    expect(await service.whatsapp.post(`{"object":"${'x'.repeat(3 * 1024 * 1024)}"}`)).toBe(413)
    expect(await taken()).toEqual(before)
  })

  it('with malformed parts among good ones lose none of the good; the others are dead letters', { timeout: 30_000 }, async () => {
    await quiet()
    const before = (await taken())['dead.letters'] as number
    const guests = [person(), person(), person()]
    const malformed = [{ from: 5, id: null }, { ...message('66829990000', 'wamid.bad', 'Hello'), timestamp: 'soon' }, 7]
    const parts = guests.flatMap(({ from }, n) => [malformed[n], message(from, `wamid.good.${n}`, 'Hello')])
    const unknownField = { id: '1', changes: [{ field: 'account_update', value: { event: 'VERIFIED' } }] }
    const body = envelope(...parts)
    expect(await service.whatsapp.post({ ...body, entry: [unknownField, ...body.entry] })).toBe(200)
    await until(() => guests.every(({ from }) => repliesTo(from).length === 1))
    expect((await taken())['dead.letters']).toBe(before + malformed.length)
    await until(async () => {
      const letters = await service.query(`SELECT cause FROM dead_letters WHERE topic = 'webhooks/whatsapp'`)
      return letters.length === malformed.length
    })
  })

  it('with what cannot be read get one clear answer; a reaction gets none', { timeout: 60_000 }, async () => {
    for (const delivery of [
      { sticker: true },
      { other: { type: 'audio', audio: { id: '1', voice: true } } },
      { other: { type: 'hologram', hologram: {} } },
    ]) {
      const guest = person()
      await service.whatsapp.deliver({ ...guest, ...delivery })
      await until(() => repliesTo(guest.from).length === 1)
      expect(repliesTo(guest.from)[0]?.text.length).toBeGreaterThan(10)
    }
    const quiet = person()
    await service.whatsapp.deliver({ ...quiet, reaction: '👍' })
    await service.say(quiet, 'Hello')
    expect(repliesTo(quiet.from)).toHaveLength(1)
  })

  it('of 5,000 characters are answered like any other', { timeout: 30_000 }, async () => {
    const guest = person()
    const [answer] = await service.say(
      guest,
      `Hello, I am from Blue Lagoon Pattaya. ${'We like the music a lot. '.repeat(200)}`.slice(0, 5000),
    )
    expect(answer?.text.length).toBeGreaterThan(10)
    const view = await service.conversation(guest)
    expect(view.messages.find((m: { direction: string }) => m.direction === 'in').text.length).toBeGreaterThan(4_000)
  })
})

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
const envelope = (...messages: object[]) => ({
  object: 'whatsapp_business_account',
  entry: messages.map(one => ({
    id: '1',
    changes: [
      {
        field: 'messages',
        value: {
          messaging_product: 'whatsapp',
          metadata: { display_phone_number: '1', phone_number_id: '106540352242922' },
          contacts: [],
          messages: [one],
        },
      },
    ],
  })),
})
/** Records on the inbox of conversations, by the metrics. */
async function onInbox(): Promise<number> {
  const text = await (await fetch(`${service.url}/metrics`)).text()
  const lines = text
    .split('\n')
    .filter(l => l.startsWith('kafka_topic_partition_current_offset') && l.includes('"conversation.inbox"'))
  expect(lines.length).toBeGreaterThan(0)
  return lines.reduce((sum, line) => sum + Number(line.split(' ').at(-1)), 0)
}

describe('webhooks', () => {
  it('delivered five times, in any order, have one reply and one row each', { timeout: 60_000 }, async () => {
    const guests = Array.from({ length: 8 }, person)
    const bodies = guests.map(({ from }, n) => envelope(message(from, `wamid.five.${n}`, 'Hello')))
    const deliveries = Array.from({ length: 5 }, () => bodies)
      .flat()
      .sort(() => Math.random() - 0.5)
    for (const body of deliveries) expect(await service.whatsapp.post(body)).toBe(200)
    await until(() => guests.every(({ from }) => repliesTo(from).length > 0))
    // A second reply would come before the reply to a message sent after it.
    for (const guest of guests) await service.say(guest, 'My name is nobody')
    for (const guest of guests) {
      expect(repliesTo(guest.from)).toHaveLength(2)
      const rows = (await service.conversation(guest)).messages.filter(
        (m: { direction: string; text: string }) => m.direction === 'in' && m.text === 'Hello',
      )
      expect(rows).toHaveLength(1)
    }
  })

  it('with a wrong signature or none are refused, and nothing reaches the log', async () => {
    const before = await onInbox()
    const body = envelope(message('66899990000', 'wamid.forged', 'Hello'))
    expect(await service.whatsapp.post(body, 'wrong')).toBe(401)
    expect(await service.whatsapp.post(body, 'none')).toBe(401)
    expect(await onInbox()).toBe(before)
  })

  it('empty or broken are 400; unknown parts lose nothing', { timeout: 30_000 }, async () => {
    expect(await service.whatsapp.post('')).toBe(400)
    expect(await service.whatsapp.post('{"object":')).toBe(400)
    const guest = person()
    const broken = { from: 5, id: null }
    expect(await service.whatsapp.post(envelope(broken, message(guest.from, 'wamid.good', 'Hello')))).toBe(200)
    await until(() => repliesTo(guest.from).length === 1)
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

import { describe, expect, test } from 'vitest'
import { carry, testkit } from '../../engine/testing/testkit.ts'
import { recordSchema } from '../../schemas/index.ts'
import type { ChatMessageInput } from '../../schemas/types.ts'
import { defineTopic } from '../../topics/catalog.ts'
import { whatsappChannel } from '../../connectors/whatsapp/channel.ts'
import { conversationActor } from './actor.ts'
import { ambiguous, exact, LAGOON, MORNING, SETTINGS, SOMCHAI, Talk, wants, yes } from './testing/talk.ts'

const onFile = [SOMCHAI]
const HOUR = 60 * 60_000

describe('messages', () => {
  test('are answered at once where they can be understood at once', () => {
    const talk = new Talk()
    const reply = talk.say('hello', wants('greeting'))
    expect(reply.steps).toHaveLength(1)
    expect(reply.step).toMatchObject({ result: 'handled', effects: [] })
    expect(reply.sent).toHaveLength(1)
    expect(reply.step.answers).toMatchObject([
      { lookup: 'understand', record: { message: 'wamid.1', intents: [{ kind: 'greeting' }] } },
    ])
    expect(talk.state).toMatchObject({ state: 'ASKING_VENUE_NAME', current: null, waiting: [] })
  })

  test('wait where their meaning has to be waited for, and are then understood one after the other, in order', () => {
    const talk = new Talk()
    talk.waiting = true
    const [first, second, third] = [talk.message('hello'), talk.message('Blue Lagoon Pattaya'), talk.message('yes')]
    for (const message of [first, second, third]) talk.kit.handle('ChatMessage', message, { id: message.id })
    expect(talk.kit.started.map(a => a.input.text)).toEqual(['hello'])
    const understood = (message: ChatMessageInput, more: object) => {
      const [run] = talk.kit.started
      return talk.kit.complete(run?.attempt ?? '', {
        message: message.id,
        language: 'en',
        reply: 'NONE',
        override: 'NONE',
        match: 'NONE',
        sentiment: 'NEUTRAL',
        ...more,
      })
    }
    understood(first, wants('greeting'))
    expect(talk.kit.started.map(a => a.input)).toMatchObject([{ text: 'Blue Lagoon Pattaya', dialogue: 'ASKING_VENUE_NAME' }])
    understood(second, exact(LAGOON))
    expect(talk.kit.started.map(a => a.input)).toMatchObject([{ text: 'yes', dialogue: 'CONFIRMING_VENUE', venue: LAGOON.venue }])
    understood(third, yes)
    expect(talk.state).toMatchObject({ state: 'ASKING_PERSON_NAME', venue: LAGOON.venue, current: null })
  })

  test('carry what the dialogue has offered', () => {
    const talk = new Talk()
    talk.say('lagoon', ambiguous(LAGOON, { venue: 'main:2', name: 'Lotus Bay', location: '' }))
    talk.waiting = true
    const message = talk.message('1')
    const taken = talk.kit.handle('ChatMessage', message, { id: message.id })
    expect(taken.emits.filter(e => e.topic === 'venue.inbox')).toEqual([])
    expect(talk.kit.started[0]?.input).toMatchObject({ candidates: ['main:1', 'main:2'], phone: '66812345678', language: 'en' })
  })

  test('redelivered are one message', () => {
    const talk = new Talk()
    const message = talk.message('hello')
    talk.send(message, wants('greeting'))
    const again = talk.kit.handle('ChatMessage', message, { id: message.id })
    expect(again).toMatchObject({ result: 'duplicate', emits: [], effects: [] })
  })

  test.each([
    ['STICKER', /sticker/i],
    ['MEDIA', /voice notes/],
    ['LOCATION', /location/],
    ['CONTACT', /contact card/],
    ['OTHER', /this kind of message/],
    ['UNKNOWN', /this kind of message/],
  ] as const)('%s gets one clear answer', (kind, words) => {
    const talk = Talk.registered()
    const reply = talk.send(talk.message(null, { kind }))
    expect(reply.sent).toHaveLength(1)
    expect(reply.text).toMatch(words)
    expect(reply.text).toMatch(/text/)
    expect(reply.step.effects).toEqual([])
    expect(talk.state.state).toBe('ASKING_ISSUE')
  })

  test('the answer to a sticker is in the language of the conversation', () => {
    const talk = new Talk()
    talk.say('สวัสดีค่ะ', { ...wants('greeting'), language: 'th' })
    expect(talk.send(talk.message(null, { kind: 'STICKER' })).text).toMatch(/สติกเกอร์/)
  })

  test('a reaction gets none, an empty text one', () => {
    const talk = Talk.registered()
    expect(talk.send(talk.message('👍', { kind: 'REACTION' })).sent).toEqual([])
    expect(talk.send(talk.message('  ')).sent).toHaveLength(1)
  })

  test('a page of 5,000 characters is understood whole, and kept short', () => {
    const talk = Talk.hinted()
    talk.waiting = true
    const text = 'เพลงดัง'.repeat(714)
    const message = talk.message(text, { truncated: true })
    const taken = talk.kit.handle('ChatMessage', message, { id: message.id })
    expect(taken.effects[0]?.input.text).toBe(text)
    // The zones that it waits for are read at once.
    expect(taken.emits.filter(e => e.topic === 'venue.inbox')).toMatchObject([{ key: LAGOON.venue, type: 'VenueRefresh' }])
    const { text: kept } = talk.state.current ?? { text: '' }
    expect(Buffer.byteLength(kept)).toBeLessThanOrEqual(1500)
    expect(text.startsWith(kept)).toBe(true)
  })

  test('a state full of everything stays below its limit', () => {
    const talk = Talk.hinted()
    const long = 'ก'.repeat(5000)
    const zone = 'z-'.padEnd(92, 'x')
    const zones = Array.from({ length: 40 }, (_, n) => ({ zone: zone + n, name: `Zone of the name ${n}` }))
    for (let n = 0; n < 25; n++) talk.say('skip', { onFile, zones, ...wants('skip', { zone: zone + n }) })
    talk.say('skip', { onFile, zones, ...wants('skip') })
    expect(talk.state.question?.zones).toHaveLength(20)
    expect(talk.state.requests).toHaveLength(20)
    for (let n = 0; n < 40; n++) {
      const message = talk.message(long)
      talk.kit.handle('ChatMessage', message, { id: message.id })
    }
    expect(recordSchema('ConversationState').type.toBuffer(talk.state).length).toBeLessThan(16 * 1024)
    expect(talk.state.owner).toBe('WAITING')
  })

  test('that may have been answered before are shown to a human, not answered', () => {
    const talk = Talk.hinted()
    for (let n = 0; n < 512; n++) {
      const message = talk.message(null, { kind: 'REACTION' })
      talk.kit.handle('ChatMessage', message, { id: message.id })
    }
    const old = talk.message('volume up', { sentAt: MORNING - 48 * HOUR })
    const step = talk.kit.handle('ChatMessage', old, { id: old.id, idAt: old.sentAt })
    expect(step.effects).toEqual([])
    expect(step.emits.map(e => e.type)).toEqual(expect.arrayContaining(['Alert', 'ConversationProfile']))
    expect(step.emits.map(e => e.type)).not.toContain('SendMessage')
    expect(talk.state.owner).toBe('WAITING')
  })
})

describe('who answers', () => {
  test('while a human has the conversation the bot says nothing, and still takes down what became of requests', () => {
    const talk = Talk.hinted()
    talk.say('skip', { onFile, ...wants('skip', { zone: 'z-lobby' }) })
    // The agent's own records come with the console; here the state is set as they leave it.
    const kit = testkit(withOwner(talk, 'AGENT'), { key: 'main:conversation', now: MORNING })
    const message = talk.message('hello?')
    const taken = kit.handle('ChatMessage', message, { id: message.id })
    expect(taken.effects).toEqual([])
    expect(taken.emits.map(e => e.type)).not.toContain('SendMessage')
    const request = talk.state.requests[0]
    const answered = kit.handle('VenueAnswer', {
      request: request?.id ?? '',
      venue: 'main:1',
      kind: 'SKIP',
      outcome: 'CONFIRMED',
      at: MORNING,
    })
    expect(answered.emits.map(e => e.type)).not.toContain('SendMessage')
    expect(kit.state?.requests).toMatchObject([{ outcome: 'confirmed' }])
  })

  test('a day of silence gives the bot the conversation back; the contact is remembered', () => {
    const talk = Talk.registered()
    talk.say('christmas music', wants('schedule_music'))
    expect(talk.state.owner).toBe('WAITING')
    const before = talk.kit.now
    const idle = talk.fire('idle')
    expect(talk.kit.now - before).toBeGreaterThanOrEqual(24 * HOUR - 10)
    expect(idle.events('OWNER_CHANGED')).toMatchObject([{ from: 'WAITING', to: 'BOT', detail: 'idle' }])
    expect(talk.state).toMatchObject({ owner: 'BOT', handover: null, state: 'IDENTIFIED', contactName: 'John Smith' })
  })

  test('a half-done identification is begun anew after a day', () => {
    const talk = new Talk()
    talk.say('lagoon', ambiguous(LAGOON, { venue: 'main:2', name: 'Lotus Bay', location: '' }))
    talk.fire('idle')
    expect(talk.state).toMatchObject({ state: 'INITIAL', candidates: [] })
  })

  test('a message that cannot be understood reaches a human, and the next one is taken', () => {
    const talk = Talk.hinted()
    talk.waiting = true
    const [first, second] = [talk.message('hello'), talk.message('skip')]
    for (const message of [first, second]) talk.kit.handle('ChatMessage', message, { id: message.id })
    const ended = talk.kit.end(talk.kit.started[0]?.attempt ?? '', 'UNKNOWN', 'no venue index')
    expect(ended.emits.filter(e => e.type === 'SendMessage')).toHaveLength(1)
    expect(ended.emits.find(e => e.type === 'Alert')?.record).toMatchObject({ department: 'GENERAL', priority: 'HIGH' })
    expect(talk.kit.started.map(a => a.input.text)).toEqual(['skip'])
  })

  test('a record that fails leaves the conversation to a human, and nothing waits for ever', () => {
    const message = new Talk().message('hello')
    const channels = [...SETTINGS.channels]
    const kit = testkit(conversationActor({ ...SETTINGS, channels }), { key: 'main:conversation', now: MORNING })
    kit.handle('ChatMessage', message, { id: message.id })
    channels.pop() // the reply has no way out
    const poisoned = kit.complete(kit.started[0]?.attempt ?? '', {
      message: message.id,
      language: 'en',
      reply: 'NONE',
      override: 'NONE',
      match: 'NONE',
      sentiment: 'NEUTRAL',
    })
    expect(poisoned.result).toBe('poisoned')
    expect(poisoned.emits.map(e => e.type)).toEqual(expect.arrayContaining(['DeadLetter', 'Alert']))
    expect(kit.state).toMatchObject({ owner: 'WAITING', current: null, waiting: [] })
  })
})

describe('a channel', () => {
  test('without a connector: its messages go to the dead letters with the reason, and a human hears of it', () => {
    const talk = new Talk()
    const message = talk.message('hello', { channel: 'pigeon' })
    const { result, emits } = talk.kit.handle('ChatMessage', message, { id: message.id })
    expect(result).toBe('poisoned')
    expect(emits.find(e => e.type === 'DeadLetter')?.record.cause).toContain(
      'no connector for channel "pigeon"; there are: whatsapp',
    )
    expect(emits.find(e => e.type === 'Alert')?.record).toMatchObject({ department: 'OPERATIONS', priority: 'HIGH' })
    expect(talk.kit.state).toBeNull()
  })

  test('is answered on its own inbox', async () => {
    const inbox = defineTopic('pigeon.inbox', 'conversation', whatsappChannel.inbox.records)
    await carry([inbox])
    const talk = new Talk({ channels: [...SETTINGS.channels, { ...whatsappChannel, name: 'pigeon', inbox }] })
    const { step } = talk.send(talk.message('hello', { channel: 'pigeon' }), wants('greeting'))
    expect(step.emits.filter(e => e.type === 'SendMessage').map(e => e.topic)).toEqual(['pigeon.inbox'])
  })

  test('shows a group: what nobody said to us is not answered, and opens no conversation', () => {
    const talk = new Talk()
    const group = { chat: 'group-1', chatKind: 'GROUP' } as const
    const aside = talk.send(talk.message('see you at nine', { ...group, addressed: false }), wants('greeting'))
    expect([aside.steps.flatMap(s => s.emits), talk.kit.state]).toEqual([[], null])
    expect(talk.send(talk.message('hello', group), wants('greeting')).sent).toMatchObject([{ to: 'group-1' }])
    const before = talk.kit.state
    talk.send(talk.message('and bring cups', { ...group, addressed: false }), wants('greeting'))
    expect(talk.kit.state).toEqual(before)
  })
})

describe('what others read', () => {
  test.each([false, true])(
    'the profile shows the conversation as people see it, and only when that changes: waiting %j',
    waiting => {
      const talk = Talk.registered()
      talk.waiting = waiting
      const message = talk.message('skip', { kind: 'TEXT' })
      const reply = talk.send(message, wants('list_zones'))
      // Once for the message: not when it comes, but with what it has led to.
      expect(reply.steps.map(s => s.emits.some(e => e.type === 'ConversationProfile'))).toEqual(waiting ? [false, true] : [true])
      expect(reply.profiles).toHaveLength(1)
      expect(reply.profiles[0]).toMatchObject({
        conversation: 'main:conversation',
        channel: 'whatsapp',
        state: 'IDENTIFIED',
        owner: 'BOT',
        trust: 'CLAIMED',
        language: 'en',
        venue: LAGOON.venue,
        venueName: LAGOON.name,
        contactName: 'John Smith',
        contactPosition: 'Operations Manager',
        senders: [{ trust: 'claimed' }],
        lastInboundAt: message.sentAt,
      })
      const status = talk.kit.handle('DeliveryStatus', { providerId: 'wamid.out', status: 'READ', at: talk.kit.now })
      expect(status.emits.map(e => e.type)).toEqual(['ConversationEvent'])
    },
  )

  test('events carry no text and no person', () => {
    const talk = Talk.registered()
    const reply = talk.say('The music in the lobby stopped', { ...wants('no_sound'), issue: 'Music stopped' })
    const events = JSON.stringify(reply.events())
    for (const personal of ['John', 'Smith', '66812345678', 'stopped']) expect(events).not.toContain(personal)
    expect(reply.events('INTENT')).toMatchObject([{ detail: 'no_sound', score: 0.92 }])
    expect(reply.events('MESSAGE_IN')).toHaveLength(1)
    const [sent] = reply.events('MESSAGE_OUT')
    expect(sent).toMatchObject({
      answers: expect.stringMatching(/^[0-9a-f]{20}$/),
      phrases: [expect.stringMatching(/^[a-z.]+$/)],
    })
    expect(reply.events('MESSAGE_IN')).toMatchObject([{ message: (sent as unknown as { answers: string }).answers }])
    expect(reply.events('REQUEST')).toHaveLength(1)
  })

  test('alerts name no person', () => {
    const reply = Talk.registered().say('I want a person', { override: 'HUMAN' })
    expect(JSON.stringify(reply.alerts)).not.toMatch(/John|66812345678/)
  })

  test('messages go to the channel they came from, with the time of the newest message', () => {
    const talk = new Talk()
    const message = talk.message('hello', { sentAt: MORNING - 5000 })
    const reply = talk.send(message, wants('greeting'))
    expect(reply.sent).toMatchObject([
      {
        conversation: 'main:conversation',
        channel: 'whatsapp',
        account: '1000',
        to: '66812345678',
        lastInboundAt: MORNING - 5000,
        replyTo: null,
      },
    ])
  })

  test('a message that failed, or may have, is an event', () => {
    const talk = Talk.registered()
    const failed = talk.kit.handle('SendOutcome', { id: 'm1', status: 'FAILED', errorCode: 131026, at: talk.kit.now })
    expect(failed.emits).toMatchObject([
      { type: 'ConversationEvent', record: { kind: 'MESSAGE_STATUS', to: 'FAILED', detail: 'error 131026' } },
    ])
    expect(talk.kit.handle('SendOutcome', { id: 'm1', status: 'DELIVERED', at: talk.kit.now }).emits).toEqual([])
  })
})

test('support hours that are none are refused at the start', () => {
  const wrong = { ...SETTINGS, supportHours: { from: '21:00', to: '08:00', zone: 'Asia/Bangkok' } }
  expect(() => conversationActor(wrong)).toThrow(/support hours/)
})

/** The actor with this conversation, as it stands, in the hands of an owner. */
function withOwner(talk: Talk, owner: 'AGENT') {
  const actor = conversationActor(SETTINGS)
  const state = { ...talk.state, owner }
  return {
    ...actor,
    on: {
      ...actor.on,
      ChatMessage: (s, m, c) => actor.on.ChatMessage(s ?? state, m, c),
    } satisfies typeof actor.on,
  }
}

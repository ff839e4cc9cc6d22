import { describe, expect, test } from 'vitest'
import { LAGOON, PHONE, Talk, wants } from './testing/talk.ts'

const order = (more: object = {}) => ({ id: 'erasure-1', channel: 'whatsapp', at: 1, ...more })

/** Somebody of support has been asked for. */
function handedOver(): { talk: Talk; issue: string } {
  const talk = Talk.registered()
  const { issues } = talk.say('I want a human', { override: 'HUMAN' })
  return { talk, issue: issues.at(-1)?.id ?? '' }
}

describe('a person who is erased', () => {
  test('leaves no state, no timer, no profile and no issue, but that it was so', () => {
    const { talk, issue } = handedOver()
    expect(talk.kit.timers).not.toEqual([])
    const { result, emits } = talk.kit.handle('ErasePerson', order({ issues: ['issue-of-before'] }))
    expect(result).toBe('handled')
    expect(talk.kit.state).toBeNull()
    expect(talk.kit.timers).toEqual([])
    const deleted = emits.filter(e => e.record === null).map(({ topic, key }) => [topic, key])
    expect(deleted).toEqual([
      ['conversation.profiles', 'main:conversation'],
      ['issues', 'issue-of-before'],
      ['issues', issue],
    ])
    expect(emits.filter(e => e.type === 'Alert').map(e => e.record.resolved)).toEqual([true])
    const events = emits.filter(e => e.type === 'ConversationEvent').map(e => e.record)
    expect(events.at(-1)).toMatchObject({ kind: 'ERASED', detail: 'erasure-1', message: null, venue: null })
    expect(emits.filter(e => e.topic === 'whatsapp.inbox')).toMatchObject([
      { type: 'ErasePerson', key: 'main:conversation', record: { id: 'erasure-1', at: talk.kit.now } },
    ])
    expect(JSON.stringify(emits)).not.toMatch(new RegExp(`${PHONE}|John|Manager`))
  })

  test('is not brought back by what was under way', () => {
    const talk = Talk.registered()
    talk.waiting = true
    const message = talk.message('louder please')
    talk.kit.handle('ChatMessage', message, { id: message.id })
    const [asked] = talk.kit.started
    talk.kit.handle('ErasePerson', order())
    const understood = {
      message: message.id,
      language: 'en',
      reply: 'NONE',
      override: 'NONE',
      match: 'NONE',
      sentiment: 'NEUTRAL',
    }
    const venue = { venue: LAGOON.venue, venueName: LAGOON.name, at: 1 }
    const steps = [
      talk.kit.complete(asked?.attempt ?? '', understood),
      talk.kit.handle('VenueAnswer', { request: 'r', kind: 'PLAY', outcome: 'CONFIRMED', ...venue }),
      talk.kit.handle('SendOutcome', { id: 'm', status: 'FAILED', at: 1 }),
      talk.kit.handle('DeliveryStatus', { providerId: 'wamid.x', status: 'FAILED', at: 1 }),
      talk.kit.handle('AgentAction', { id: 'a', kind: 'NOTE', by: 'x', text: 'a note', at: 1 }),
      talk.kit.handle('ChatMessage', message, { id: message.id }),
    ]
    expect(talk.kit.state).toBeNull()
    expect(steps.flatMap(s => s.emits)).toEqual([])
    expect(steps.at(-1)?.result).toBe('duplicate')
    talk.kit.forget()
    expect(talk.kit.bytes).toBe(0)
  })

  test('is not brought back by an attempt that ends without a result', () => {
    const talk = Talk.registered()
    talk.waiting = true
    const message = talk.message('louder please')
    talk.kit.handle('ChatMessage', message, { id: message.id })
    const [asked] = talk.kit.started
    talk.kit.handle('ErasePerson', order())
    expect(talk.kit.end(asked?.attempt ?? '', 'UNKNOWN')).toMatchObject({ result: 'handled', emits: [] })
    expect(talk.kit.state).toBeNull()
  })

  test('is a stranger when they write again', () => {
    const talk = Talk.registered()
    talk.kit.handle('ErasePerson', order())
    const reply = talk.say('hello', wants('greeting'))
    expect(talk.state).toMatchObject({ state: 'ASKING_VENUE_NAME', venue: null, contactName: null, requests: [], said: 1 })
    expect(reply.events('OPENED')).toHaveLength(1)
  })

  test('may be erased again, or without ever having written', () => {
    const talk = new Talk()
    const { emits } = talk.kit.handle('ErasePerson', order())
    expect(emits.map(e => e.type)).toEqual([null, 'ConversationEvent', 'ErasePerson'])
    expect(talk.kit.bytes).toBe(0)
  })
})

test('events name messages by digests alone: an id of the provider may hold a phone', () => {
  const talk = new Talk()
  const message = talk.message('hello')
  const { step, events } = talk.send(message, wants('greeting'))
  expect(step.result).toBe('handled')
  expect(events('INTENT')).toHaveLength(1)
  expect(JSON.stringify(events())).not.toContain(message.id)
})

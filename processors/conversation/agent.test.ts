import { describe, expect, test } from 'vitest'
import { COMMAND, RECORD_ID } from '../../engine/headers.ts'
import type { KitStep } from '../../engine/testing/testkit.ts'
import type { AgentActionInput } from '../../schemas/types.ts'
import { BAY, exact, LAGOON, PHONE, SOMCHAI, Talk, wants, yes } from './testing/talk.ts'

const HOUR = 60 * 60_000
const [NOK, LEK] = ['main:nok', 'main:lek']

let count = 0
function act(talk: Talk, kind: AgentActionInput['kind'], more: Partial<AgentActionInput> = {}) {
  const id = `command-${++count}`
  const action = { id, kind, by: NOK, at: talk.kit.now, ...more }
  const step = talk.kit.handle('AgentAction', action, { id, headers: { [COMMAND]: id } })
  const of = (type: string) => step.emits.filter(e => e.type === type).map(e => e.record)
  const outcome = of('ConversationProfile')
    .at(-1)
    ?.commands.find((c: { id: string }) => c.id === id)
  return { step, of, outcome, events: of('ConversationEvent').map(e => e.kind) }
}

/** Support sets the trust of the person, at the venue of now. */
const approve = (talk: Talk, trust: 'CLAIMED' | 'HINTED' | 'BOUND') =>
  act(talk, 'APPROVE', { sender: PHONE, venue: talk.state.venue, trust })

const handedOver = () => {
  const talk = Talk.hinted()
  const reply = talk.say('I want to talk to a human', { override: 'HUMAN' })
  return { talk, reply }
}
const issues = (step: KitStep) => step.emits.filter(e => e.type === 'Issue').map(e => e.record)

describe('what is handed over', () => {
  test('is an issue, with who sees to it and by when', () => {
    const { talk, reply } = handedOver()
    expect(talk.state.handover).toMatchObject({ reason: 'human', department: 'GENERAL', departments: ['GENERAL'] })
    const [issue] = reply.issues
    expect(reply.issues).toHaveLength(1)
    expect(issue).toMatchObject({
      id: talk.state.handover?.first,
      status: 'OPEN',
      reason: 'human',
      conversation: 'main:conversation',
    })
    expect(issue?.dueAt).toBeGreaterThan(issue?.openedAt ?? 0)
    expect(reply.events('HANDED_OVER')).toMatchObject([{ to: 'GENERAL', detail: 'human' }])
  })

  test('that nobody says anything more of for a day is resolved by nobody, with its alert', () => {
    const { talk } = handedOver()
    const first = talk.state.handover?.first
    const step = talk.kit.fire('idle')
    expect(issues(step)).toMatchObject([{ id: first, status: 'RESOLVED', resolvedBy: null }])
    expect(step.emits.filter(e => e.type === 'Alert')).toMatchObject([{ record: { id: `${first}:GENERAL`, resolved: true } }])
    expect(talk.state).toMatchObject({ owner: 'BOT', handover: null, assignee: null })
  })
})

describe('taking over', () => {
  test('makes the bot silent, and the issue theirs', () => {
    const { talk } = handedOver()
    const taken = act(talk, 'TAKE_OVER')
    expect(taken.outcome).toEqual({ id: expect.any(String), outcome: 'handled', reason: '', code: null })
    expect(talk.state).toMatchObject({ owner: 'AGENT', assignee: NOK })
    expect(taken.of('Issue')).toMatchObject([{ status: 'ACKNOWLEDGED', assignee: NOK }])
    expect(talk.say('are you there?', wants('greeting')).sent).toEqual([])
  })

  test('of what somebody else has is refused, until it is assigned', () => {
    const { talk } = handedOver()
    act(talk, 'TAKE_OVER')
    expect(act(talk, 'TAKE_OVER', { by: LEK }).outcome).toMatchObject({
      outcome: 'refused',
      reason: 'taken_by_other',
      code: 'taken_by_other',
    })
    expect(act(talk, 'REPLY', { by: LEK, text: 'hi' }).of('SendMessage')).toEqual([])
    expect(act(talk, 'ASSIGN', { assignee: LEK }).outcome).toMatchObject({ outcome: 'handled' })
    expect(act(talk, 'REPLY', { by: LEK, text: 'hi' }).of('SendMessage')).toHaveLength(1)
  })

  test('twice by the same command is once', () => {
    const { talk } = handedOver()
    const action = { id: 'same', kind: 'TAKE_OVER', by: NOK, at: talk.kit.now } as const
    const options = { id: 'same', headers: { [COMMAND]: 'same', [RECORD_ID]: 'same' } }
    talk.kit.handle('AgentAction', action, options)
    expect(talk.kit.handle('AgentAction', action, options)).toMatchObject({ result: 'duplicate', emits: [] })
  })
})

describe('a reply', () => {
  test('reaches the person as it was written, takes over, and is the first response', () => {
    const { talk } = handedOver()
    const replied = act(talk, 'REPLY', { text: 'สวัสดีค่ะ this is support.' })
    expect(replied.of('SendMessage')).toMatchObject([{ to: PHONE, text: 'สวัสดีค่ะ this is support.', buttons: [] }])
    expect(replied.events).toEqual(expect.arrayContaining(['RESPONDED', 'MESSAGE_OUT', 'OWNER_CHANGED', 'ASSIGNED']))
    expect(replied.of('Issue').at(-1)).toMatchObject({ respondedAt: talk.kit.now, assignee: NOK })
    const again = act(talk, 'REPLY', { text: 'And more.' })
    expect(again.events).not.toContain('RESPONDED')
    expect(JSON.stringify(replied.of('ConversationEvent'))).not.toContain('support.')
  })

  test.each([
    ['nothing to say', { text: '  ' }, 'empty_text'],
    ['more than the channel takes', { text: 'x'.repeat(4097) }, 'text_too_long'],
  ])('of %s is refused', (_, more, reason) => {
    const { talk } = handedOver()
    const { outcome, of } = act(talk, 'REPLY', more)
    expect(outcome).toMatchObject({ outcome: 'refused', reason })
    expect(of('SendMessage')).toEqual([])
    expect(talk.state.owner).toBe('WAITING')
  })

  test('after the day that WhatsApp takes free text for is refused', () => {
    const { talk } = handedOver()
    talk.kit.advance(24 * HOUR)
    expect(act(talk, 'REPLY', { text: 'hello?' }).outcome).toMatchObject({ outcome: 'refused', reason: 'window_closed' })
  })
})

describe('giving it away', () => {
  test('handed back, the bot speaks again, and answers nothing of before', () => {
    const { talk } = handedOver()
    act(talk, 'TAKE_OVER')
    talk.say('the lobby is too loud', wants('volume_down', { zone: 'z1' }))
    const back = act(talk, 'HAND_BACK')
    expect(back.of('SendMessage')).toEqual([])
    expect(back.of('Issue')).toMatchObject([{ status: 'RESOLVED', resolvedBy: NOK }])
    expect(talk.say('hello', wants('greeting')).sent).toHaveLength(1)
    expect(act(talk, 'HAND_BACK').outcome).toMatchObject({ outcome: 'refused', reason: 'bot_has_it' })
  })

  test('to nobody, it waits for a human again', () => {
    const { talk } = handedOver()
    act(talk, 'TAKE_OVER')
    const nobody = act(talk, 'ASSIGN', { assignee: null })
    expect(talk.state).toMatchObject({ owner: 'WAITING', assignee: null })
    expect(nobody.of('Issue')).toMatchObject([{ status: 'OPEN', assignee: null }])
    expect(act(talk, 'ASSIGN', { assignee: null }).outcome).toMatchObject({ reason: 'not_assigned' })
  })

  test('what the bot had goes to a human as an issue of its own when it is taken and let go', () => {
    const talk = Talk.hinted()
    expect(act(talk, 'TAKE_OVER').of('Issue')).toEqual([])
    expect(act(talk, 'ASSIGN', { assignee: null }).of('Issue')).toMatchObject([{ status: 'OPEN', reason: 'unassigned' }])
  })

  test('resolved, its alerts are too, of every department that was told', () => {
    const talk = Talk.hinted()
    talk.say('I want to talk to a human', { override: 'HUMAN' })
    talk.say('cancel everything', { ...wants('cancel_threat'), override: 'HUMAN' })
    const told = talk.state.handover?.departments ?? []
    expect(told.length).toBeGreaterThan(1)
    const resolved = act(talk, 'RESOLVE', { text: 'called them' })
    expect(resolved.of('Alert').map(a => [a.department, a.resolved])).toEqual(told.map(department => [department, true]))
    expect(resolved.of('Issue')).toMatchObject([{ status: 'RESOLVED', resolvedBy: NOK }])
    expect(talk.state).toMatchObject({ owner: 'BOT', handover: null })
    expect(act(talk, 'RESOLVE').outcome).toMatchObject({ outcome: 'refused', reason: 'nothing_open' })
  })
})

test('a note is for colleagues: it says nothing, and its words are in no event', () => {
  const { talk } = handedOver()
  const noted = act(talk, 'NOTE', { text: 'prefers calls' })
  expect(noted.outcome).toMatchObject({ outcome: 'handled' })
  expect(noted.events).toEqual(['NOTE'])
  expect(noted.of('SendMessage')).toEqual([])
  expect(JSON.stringify(noted.step.emits)).not.toContain('prefers')
})

describe('approving a sender', () => {
  test.each(['en', 'th'])('raises their trust at the venue, and tells them in their language (%s)', language => {
    const talk = Talk.registered()
    if (language === 'th') talk.say('สวัสดีค่ะ', { ...wants('greeting'), language: 'th' })
    expect(talk.state.senders[0]?.trust).toBe('CLAIMED')
    const approved = approve(talk, 'BOUND')
    expect(talk.state.senders[0]?.trust).toBe('BOUND')
    expect(approved.of('ConversationEvent').filter(e => e.kind === 'TRUST_CHANGED')).toMatchObject([
      { from: 'CLAIMED', to: 'BOUND', detail: `…${PHONE.slice(-3)} by ${NOK}` },
    ])
    expect(approved.of('SendMessage')[0].text).toMatch(language === 'th' ? /ยืนยัน/ : /approved/)
    expect(approved.of('ConversationProfile')[0]).toMatchObject({ trust: 'BOUND' })
    expect(talk.say('volume down', wants('volume_down', { zone: 'z1' })).asked).toHaveLength(1)
  })

  test.each([
    ['nobody of the conversation', { sender: '66999', trust: 'HINTED' }, 'no_such_sender'],
    ['a level that is none', { sender: PHONE, trust: 'UNKNOWN' }, 'invalid_trust'],
    ['another venue than the one of now', { sender: PHONE, trust: 'BOUND', venue: 'main:other' }, 'venue_changed'],
    ['no venue named', { sender: PHONE, trust: 'BOUND', venue: null }, 'venue_changed'],
  ] as const)('%s is refused', (_, more, reason) => {
    const talk = Talk.registered()
    expect(act(talk, 'APPROVE', { venue: talk.state.venue, ...more }).outcome).toMatchObject({ outcome: 'refused', reason })
  })

  test.each(['HINTED', 'BOUND'] as const)('as %s holds for the messages that follow', trust => {
    const talk = Talk.registered()
    approve(talk, trust)
    for (const _ of [1, 2]) {
      talk.say('hello', wants('greeting'))
      expect(talk.state.senders[0]?.trust).toBe(trust)
    }
    expect(approve(talk, trust).outcome).toMatchObject({ outcome: 'refused', reason: 'trusted_already' })
  })

  test('lowers it, too, without a word to them, and whatever is on file', () => {
    const talk = Talk.hinted()
    expect(approve(talk, 'BOUND').outcome).toMatchObject({ outcome: 'handled' })
    for (const trust of ['HINTED', 'CLAIMED'] as const) {
      const lowered = approve(talk, trust)
      expect(lowered.outcome).toMatchObject({ outcome: 'handled' })
      expect(lowered.of('SendMessage')).toEqual([])
      talk.say('hello', { ...wants('greeting'), onFile: [SOMCHAI] })
      expect(talk.state.senders[0]?.trust).toBe(trust)
    }
    const asked = talk.say('volume down', { ...wants('volume_down', { zone: 'z1' }), onFile: [SOMCHAI] })
    expect(asked.asked).toEqual([])
  })

  test('is of the venue: elsewhere it is nothing, and what was denied there stays so', () => {
    const talk = Talk.registered()
    approve(talk, 'BOUND')
    const move = (venue: typeof BAY) => {
      talk.say('restart', { override: 'RESTART' })
      talk.say(venue.name, { ...exact(venue), onFile: [SOMCHAI] }, { onFile: [SOMCHAI] })
      if (talk.state.venue === null) talk.say('yes', { ...yes, onFile: [SOMCHAI] }, { onFile: [SOMCHAI] })
      expect(talk.state.venue).toBe(venue.venue)
    }
    move(BAY)
    expect(talk.state.senders[0]?.trust).toBe('CLAIMED')
    move(LAGOON)
    expect(talk.state.senders[0]?.trust).toBe('HINTED') // on file, and no more than that
    approve(talk, 'CLAIMED')
    move(BAY)
    move(LAGOON)
    expect(talk.state.senders[0]?.trust).toBe('CLAIMED')
  })

  test('needs a venue', () => {
    const stranger = new Talk()
    stranger.say('hello', wants('greeting'))
    expect(act(stranger, 'APPROVE', { sender: PHONE, trust: 'HINTED' }).outcome).toMatchObject({ reason: 'no_venue' })
  })
})

test('of a conversation that nobody began there is nothing to be done', () => {
  expect(act(new Talk(), 'TAKE_OVER').step.emits).toEqual([])
})

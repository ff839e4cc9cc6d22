import { describe, expect, test } from 'vitest'
import {
  ambiguous,
  BAY,
  exact,
  intent,
  LAGOON,
  likely,
  type Meaning,
  no,
  SOMCHAI,
  TERRACE,
  Talk,
  wants,
  yes,
} from './testing/talk.ts'

const DAY = 24 * 60 * 60_000

describe('identification by dialogue', () => {
  test('goes through the states of the document in English', () => {
    const talk = new Talk()
    const hello = talk.say('hi there', wants('greeting'))
    expect(hello.text).toContain('BMA Social support assistant')
    expect(hello.text).toContain('name of your venue')
    expect(talk.state.state).toBe('ASKING_VENUE_NAME')

    const venue = talk.say('Blue Lagoon Pattaya', exact(LAGOON))
    expect(venue.text).toContain('Blue Lagoon Pattaya located at Beach Road? (Yes/No)')
    expect(venue.sent[0]?.buttons.map(b => b.id)).toEqual(['confirm:yes', 'confirm:no'])
    expect(talk.state.state).toBe('CONFIRMING_VENUE')

    const confirmed = talk.press('confirm:yes', 'Yes')
    expect(confirmed.text).toContain('your name, please?')
    expect(talk.state.state).toBe('ASKING_PERSON_NAME')

    expect(talk.say('John Smith', { person: 'John Smith' }).text).toMatch(/John.*position at Blue Lagoon Pattaya\?/)
    expect(talk.state.state).toBe('ASKING_POSITION')

    const registered = talk.say('Operations Manager', { position: 'Operations Manager' })
    expect(registered.text).toMatch(/John.*registered as Operations Manager at Blue Lagoon Pattaya.*How can I help you today\?/)
    expect(talk.state.state).toBe('ASKING_ISSUE')

    const issue = talk.say('The music in the lobby stopped playing this morning', {
      ...wants('no_sound', { zone: 'z-lobby' }),
      issue: 'Music stopped in lobby',
    })
    expect(issue.text).toBe(
      "✅ Venue Identified:\n• Venue: Blue Lagoon Pattaya\n• Contact: John Smith (Operations Manager)\n• Issue: Music stopped in lobby\n\nI'm now checking your venue's status and will help resolve this issue.",
    )
    expect(issue.asked).toMatchObject([
      { kind: 'STATUS', zones: ['z-lobby'], trust: 'CLAIMED', conversation: 'main:conversation' },
    ])
    expect(talk.state.state).toBe('IDENTIFIED')
  })

  test('goes through the states of the document in Thai', () => {
    const talk = new Talk()
    const th = (meaning: Meaning): Meaning => ({ language: 'th', ...meaning })
    expect(talk.say('สวัสดีค่ะ', th(wants('greeting'))).text).toMatch(/BMA Social support assistant.*ขอทราบชื่อร้านหรือโรงแรม/)
    expect(talk.say('บลูลากูน พัทยา', exact(LAGOON)).text).toContain('Blue Lagoon Pattaya ที่ Beach Road')
    expect(talk.say('ใช่ค่ะ', yes).text).toMatch(/ชื่อ/)
    expect(talk.say('สมชาย ใจดี', { person: 'สมชาย ใจดี' }).text).toMatch(/คุณสมชาย.*ตำแหน่ง/)
    expect(talk.say('ผู้จัดการ', { position: 'ผู้จัดการ' }).text).toMatch(/คุณสมชาย.*ผู้จัดการ.*Blue Lagoon Pattaya/)
    const issue = talk.say('เพลงที่ล็อบบี้ดับตั้งแต่เมื่อเช้า', { ...wants('no_sound', { zone: 'z-lobby' }), issue: 'เพลงดับที่ล็อบบี้' })
    expect(issue.text).toMatch(/Venue Identified[\s\S]*• ผู้ติดต่อ: สมชาย ใจดี \(ผู้จัดการ\)\n• ปัญหา: เพลงดับที่ล็อบบี้/)
    expect(issue.asked).toHaveLength(1)
    expect(talk.state.language).toBe('th')
  })

  test('an exact hit in the very first message skips the confirmation, with its evidence', () => {
    const talk = new Talk()
    const first = talk.say('Hi, I am from Blue Lagoon Pattaya', exact(LAGOON))
    expect(talk.state.state).toBe('ASKING_PERSON_NAME')
    expect(first.text).toContain('Blue Lagoon Pattaya')
    expect(first.events('IDENTIFIED')).toMatchObject([{ detail: 'exact in first message', score: 1, runnerUp: 0.4 }])
  })

  test('a fuzzy hit is confirmed, also in the very first message', () => {
    const talk = new Talk()
    talk.say('from blu lagon', likely(LAGOON))
    expect(talk.state).toMatchObject({ state: 'CONFIRMING_VENUE', venue: null })
    const confirmed = talk.say('yes', yes)
    expect(confirmed.events('IDENTIFIED')).toMatchObject([{ detail: 'confirmed', score: 0.82, runnerUp: 0.5 }])
  })

  test.each<[string, string | null, Meaning]>([
    ['by number', null, { reply: 'NUMBER', number: 2 }],
    ['by button', `venue:${BAY.venue}`, {}],
    ['by name', null, likely(BAY)],
  ])('one of several venues is chosen %s', (_, action, meaning) => {
    const talk = new Talk()
    talk.say('hello', wants('greeting'))
    const asked = talk.say('pattaya', ambiguous(LAGOON, BAY, TERRACE))
    expect(asked.text).toContain(
      '1. Blue Lagoon Pattaya, Beach Road\n2. Lotus Bay Pattaya, Jomtien\n3. Siam Terrace, Silom Road\n0. None of these',
    )
    expect(asked.sent[0]?.buttons.map(b => b.id)).toEqual(['venue:main:1', 'venue:main:2', 'venue:main:3', 'venue:none'])
    if (action === null) talk.say('that one', meaning)
    else talk.press(action, BAY.name)
    expect(talk.state).toMatchObject({ venue: BAY.venue, state: 'ASKING_PERSON_NAME' })
  })

  test('more than five candidates are never offered', () => {
    const talk = new Talk()
    talk.say('hello', wants('greeting'))
    const many = Array.from({ length: 8 }, (_, n) => ({ venue: `main:${n}`, name: `Lotus Bay ${n}`, location: '' }))
    expect(talk.say('lotus', ambiguous(...many)).sent[0]?.buttons).toHaveLength(6)
  })

  test('none of these asks for the name again', () => {
    const talk = new Talk()
    talk.say('pattaya', ambiguous(LAGOON, BAY))
    expect(talk.say('0', { reply: 'NONE_OF_THESE', number: 0 }).text).toMatch(/name of your venue|Which venue/)
    expect(talk.state).toMatchObject({ state: 'ASKING_VENUE_NAME', tries: 1, venue: null })
  })

  test('three failed tries end with a human, once', () => {
    const talk = new Talk()
    talk.say('hello', wants('greeting'))
    talk.say('xyzzy')
    talk.say('plugh')
    const third = talk.say('?')
    expect(talk.state).toMatchObject({ state: 'NOT_FOUND', owner: 'WAITING' })
    expect(third.alerts).toMatchObject([{ department: 'GENERAL', priority: 'NORMAL' }])
    expect(third.text).toContain('within 4 hours')
    expect(talk.say('hello?').sent).toEqual([])
  })

  test('a refused confirmation counts as a failed try', () => {
    const talk = new Talk()
    talk.say('blu lagon', likely(LAGOON))
    talk.say('no', no)
    expect(talk.state).toMatchObject({ state: 'ASKING_VENUE_NAME', tries: 1 })
    talk.say('lotus', likely(BAY))
    talk.say('no', no)
    talk.say('siam', likely(TERRACE))
    talk.press('confirm:no', 'No')
    expect(talk.state).toMatchObject({ state: 'NOT_FOUND', owner: 'WAITING' })
  })

  test('"no, it is Lotus Bay Pattaya" is a correction', () => {
    const talk = new Talk()
    talk.say('blu lagon', likely(LAGOON))
    const corrected = talk.say('no, it is Lotus Bay Pattaya', { ...exact(BAY), ...no })
    expect(corrected.text).toContain('Lotus Bay Pattaya located at Jomtien')
    expect(talk.state).toMatchObject({ state: 'CONFIRMING_VENUE', tries: 0 })
    talk.say('yes', yes)
    expect(talk.state.venue).toBe(BAY.venue)
  })

  test('a correction after identification keeps the name and asks only the position there', () => {
    const talk = Talk.registered()
    talk.say('no, it is Lotus Bay Pattaya', { ...exact(BAY), ...no })
    const confirmed = talk.say('yes', yes)
    expect(talk.state).toMatchObject({ state: 'ASKING_POSITION', venue: BAY.venue, contactName: 'John Smith' })
    expect(confirmed.text).toContain('position at Lotus Bay Pattaya')
  })

  test('a correction that is withdrawn stays with the venue', () => {
    const talk = Talk.registered()
    talk.say('Lotus Bay Pattaya', exact(BAY))
    expect(talk.say('no', no).text).toContain('Blue Lagoon Pattaya')
    expect(talk.state).toMatchObject({ state: 'IDENTIFIED', venue: LAGOON.venue })
  })

  test('a zone that has the name of a venue is no correction', () => {
    const talk = Talk.hinted()
    const reply = talk.say('turn down Edge', {
      ...exact({ venue: 'main:9', name: 'Edge', location: '' }),
      ...wants('volume_down', { zone: 'z-edge' }),
      onFile: [SOMCHAI],
    })
    expect(reply.asked).toMatchObject([{ kind: 'VOLUME_DOWN', zones: ['z-edge'] }])
    expect(talk.state.venue).toBe(LAGOON.venue)
  })

  test('a control that names another venue is not done at this one', () => {
    const talk = Talk.hinted()
    const reply = talk.say('volume up at Lotus Bay Pattaya', { ...exact(BAY), ...wants('volume_up'), onFile: [SOMCHAI] })
    expect(reply.asked).toEqual([])
    expect(talk.state).toMatchObject({ state: 'CONFIRMING_VENUE', venue: LAGOON.venue })
  })

  test('who does not give a name or position is helped all the same', () => {
    const talk = new Talk()
    talk.say('Blue Lagoon Pattaya', exact(LAGOON))
    talk.say('why?')
    expect(talk.say('no', no).text).toContain('How can I help you')
    expect(talk.state).toMatchObject({ state: 'ASKING_ISSUE', contactName: null })
  })

  test('restart begins anew in every state, and gives the bot the conversation back', () => {
    const talk = Talk.registered()
    talk.say('I want a human', { override: 'HUMAN' })
    expect(talk.state.owner).toBe('WAITING')
    const again = talk.say('restart', { override: 'RESTART' })
    expect(again.text).toContain('BMA Social support assistant')
    expect(talk.state).toMatchObject({ state: 'ASKING_VENUE_NAME', owner: 'BOT', venue: null, contactName: null })
  })

  test('a human is had in every state by asking for one', () => {
    for (const talk of [new Talk(), Talk.registered(), Talk.hinted()]) {
      const reply = talk.say('let me talk to a person', { override: 'HUMAN' })
      expect(talk.state.owner).toBe('WAITING')
      expect(reply.alerts).toHaveLength(1)
      expect(reply.text).toContain('within 4 hours')
    }
  })

  test('the language can be changed in the middle, and the question comes again in it', () => {
    const talk = new Talk()
    talk.say('blu lagon', likely(LAGOON))
    expect(talk.say('ภาษาไทย', { override: 'LANGUAGE', language: 'th' }).text).toMatch(/ภาษาไทย[\s\S]*Blue Lagoon Pattaya/)
  })
})

describe('what is known is never asked', () => {
  test('a phone on file names venue, contact and position at once', () => {
    const talk = new Talk()
    const hello = talk.say('hello', { ...wants('greeting'), onFile: [SOMCHAI] })
    expect(hello.text).toMatch(/Somchai[\s\S]*Blue Lagoon Pattaya/)
    expect(talk.state).toMatchObject({ state: 'IDENTIFIED', contactName: 'Somchai Jaidee', contactPosition: 'Duty Manager' })
    expect(talk.state.senders).toMatchObject([{ trust: 'HINTED' }])
    expect(hello.events('IDENTIFIED')).toMatchObject([{ detail: 'phone on file' }])
  })

  test('a phone on file at several venues chooses among them', () => {
    const talk = new Talk()
    const files = [SOMCHAI, { ...BAY, contact: 'Somchai Jaidee', position: null }]
    expect(talk.say('hello', { ...wants('greeting'), onFile: files }).text).toContain('2. Lotus Bay Pattaya, Jomtien')
    talk.press(`venue:${BAY.venue}`, BAY.name, { onFile: files })
    expect(talk.state).toMatchObject({ state: 'IDENTIFIED', venue: BAY.venue, contactName: 'Somchai Jaidee' })
    expect(talk.state.senders).toMatchObject([{ trust: 'HINTED' }])
  })

  test('a phone on file elsewhere is no more than its owner’s word here', () => {
    const talk = new Talk()
    talk.say('Hi, I am from Lotus Bay Pattaya', { ...exact(BAY), onFile: [SOMCHAI] })
    expect(talk.state).toMatchObject({ state: 'ASKING_POSITION', venue: BAY.venue, contactName: 'Somchai Jaidee' })
    expect(talk.state.senders).toMatchObject([{ trust: 'CLAIMED' }])
  })

  test('the name that the channel shows need not be typed', () => {
    const talk = new Talk()
    const asked = talk.say('Blue Lagoon Pattaya', exact(LAGOON))
    expect(asked.sent[0]?.buttons).toMatchObject([{ id: 'name:own', title: 'Somchai' }])
    talk.press('name:own', 'Somchai')
    expect(talk.state).toMatchObject({ contactName: 'Somchai', state: 'ASKING_POSITION' })
  })

  test('a contact who comes back within a month is not asked again', () => {
    const talk = Talk.registered()
    talk.say('thanks', wants('thanks'))
    talk.fire('idle')
    expect(talk.state.state).toBe('IDENTIFIED')
    talk.kit.advance(20 * DAY)
    expect(talk.say('hi', wants('greeting')).text).toMatch(/John.*\?/)
    expect(talk.state.state).toBe('IDENTIFIED')
  })

  test('after a long absence one cheap question does, and the request survives it', () => {
    const talk = Talk.registered()
    talk.fire('idle')
    talk.kit.advance(40 * DAY)
    const back = talk.say('are all zones online?', wants('list_zones', { allZones: true }))
    expect(back.text).toMatch(/[Ss]till at Blue Lagoon Pattaya/)
    expect(back.asked).toEqual([])
    const answered = talk.say('yes', yes, wants('list_zones', { allZones: true }))
    expect(answered.asked).toMatchObject([{ kind: 'LIST_ZONES' }])
    expect(talk.state).toMatchObject({ state: 'IDENTIFIED', contactName: 'John Smith' })
  })

  test('after a long absence at another venue the name of it is asked', () => {
    const talk = Talk.registered()
    talk.fire('idle')
    talk.kit.advance(40 * DAY)
    talk.say('hello', wants('greeting'))
    talk.press('confirm:no', 'No')
    expect(talk.state).toMatchObject({ state: 'ASKING_VENUE_NAME', venue: null })
  })

  test('a phone on file is not asked after a long absence', () => {
    const talk = Talk.hinted()
    talk.kit.advance(40 * DAY)
    const reply = talk.say('are we online?', { ...wants('status_check'), onFile: [SOMCHAI] })
    expect(reply.asked).toMatchObject([{ kind: 'STATUS' }])
  })
})

describe('a request made before the venue is known', () => {
  test('waits for venue, name and position, and is then dealt with inside the venue', () => {
    const talk = new Talk()
    expect(talk.say('the music in the lobby is too loud', wants('volume_down', { zoneText: 'lobby' })).text).toMatch(
      /name of your venue/,
    )
    talk.say('Blue Lagoon Pattaya', exact(LAGOON))
    talk.say('yes', yes)
    talk.say('John Smith', { person: 'John Smith' })
    const last = talk.say('Waiter', { position: 'Waiter' }, wants('volume_down', { zone: 'z-lobby' }))
    expect(talk.kit.state?.requests).toMatchObject([
      { kind: 'VOLUME_DOWN', zones: ['z-lobby'], outcome: 'refused', reason: 'trust' },
    ])
    expect(last.text).toMatch(/registered as Waiter[\s\S]*phone number/)
  })

  test('is understood again with its own words', () => {
    const talk = new Talk()
    talk.say('music stopped at Edge', { ...wants('no_sound', { zoneText: 'edge' }), issue: 'Music stopped at Edge' })
    talk.say('Blue Lagoon Pattaya', exact(LAGOON))
    talk.say('yes', yes)
    talk.say('John', { person: 'John' })
    const last = talk.say('Chef', { position: 'Chef' }, wants('no_sound', { zone: 'z-edge' }))
    expect(last.text).toMatch(/✅ Venue Identified[\s\S]*Music stopped at Edge/)
    expect(last.text.match(/Venue Identified/g)).toHaveLength(1)
    expect(last.asked).toMatchObject([{ kind: 'STATUS', zones: ['z-edge'] }])
  })

  test('a question is answered as soon as the venue is known', () => {
    const talk = new Talk()
    const meaning = { ...exact(LAGOON), ...wants('what_playing', { zoneText: 'edge' }) }
    const first = talk.say(
      "I am from Blue Lagoon Pattaya. What's playing at Edge?",
      meaning,
      wants('what_playing', { zone: 'z-edge' }),
    )
    expect(first.asked).toMatchObject([{ kind: 'WHAT_PLAYING', zones: ['z-edge'] }])
    expect(first.text).toContain('your name, please')
    expect(talk.state.state).toBe('ASKING_PERSON_NAME')
  })

  test('with a phone on file needs no question at all, and is answered by name', () => {
    const talk = new Talk()
    const onFile = [SOMCHAI]
    const first = talk.say(
      'the music in the lobby is too loud',
      { ...wants('volume_down'), onFile },
      { ...wants('volume_down', { zone: 'z-lobby' }), onFile },
    )
    expect(first.asked).toMatchObject([{ kind: 'VOLUME_DOWN', zones: ['z-lobby'], trust: 'HINTED' }])
    expect(first.sent).toEqual([])
    expect(talk.answer('CONFIRMED', { from: 8, to: 6 }).text).toMatch(/^(Hi|Hello) Somchai! .*Lobby.*6/)
  })

  test('an urgent one is told to a human at once, and only the venue is asked', () => {
    const talk = new Talk()
    const urgent: Meaning = { sentiment: 'URGENT', ...wants('no_sound', { allZones: true }) }
    const first = talk.say('ALL zones offline, full house tonight!!', urgent)
    expect(first.alerts).toMatchObject([{ department: 'OPERATIONS', priority: 'CRITICAL' }])
    expect(first.text).toMatch(/within 15 minutes[\s\S]*venue/)
    talk.say('Blue Lagoon Pattaya', exact(LAGOON))
    const known = talk.say('yes', yes, urgent)
    expect(known.asked).toMatchObject([{ kind: 'STATUS', zones: [] }])
    expect(known.alerts.at(-1)).toMatchObject({ id: first.alerts[0]?.id, priority: 'CRITICAL', venue: LAGOON.venue })
    expect(known.text).not.toMatch(/name, please|position/)
    expect(talk.state).toMatchObject({ state: 'IDENTIFIED', owner: 'WAITING' })
  })

  test('of a newcomer goes to sales, and no venue is asked for', () => {
    const talk = new Talk()
    const reply = talk.say('I run a café. How much is it?', { intents: [intent('pricing_query'), intent('licensing_query')] })
    expect(reply.alerts).toMatchObject([{ department: 'SALES' }])
    expect(reply.text).not.toMatch(/name of your venue|Which venue/)
  })
})

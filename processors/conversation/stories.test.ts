/**
 * Whole conversations, understood by the real `understand` against a few venues.
 */
import { beforeAll, describe, expect, test } from 'vitest'
import { recordSchema } from '../../schemas/index.ts'
import type { VenueProfile, VenueProfileInput } from '../../schemas/types.ts'
import { understand } from '../understanding/understand.ts'
import { VenueIndex } from '../understanding/venues.ts'
import { BAY, LAGOON, MORNING, PHONE, Talk, TERRACE } from './testing/talk.ts'

const zone = (id: string, name: string) => ({ zone: id, name, status: 'ONLINE' as const })
const zones = [zone('z-lobby', 'Lobby'), zone('z-edge', 'Edge'), zone('z-pool', 'Pool'), zone('z-horizon', 'Horizon')]
const GUEST = { id: '66870000001', phone: '66870000001', name: null }
const lobby = { zone: 'z-lobby', name: 'Lobby', status: 'ONLINE' as const, volume: 6 }

function venue(profile: Omit<VenueProfileInput, 'updatedAt'>): VenueProfile {
  const { type } = recordSchema('VenueProfile')
  return type.fromBuffer(type.toBuffer({ ...profile, updatedAt: MORNING }))
}

const index = new VenueIndex()
index.upsert(
  venue({
    ...LAGOON,
    aliases: ['บลูลากูน พัทยา'],
    contactName: 'Somchai Jaidee',
    contactPhone: PHONE,
    contactPosition: 'Duty Manager',
    zones,
  }),
)
index.upsert(venue({ ...BAY, contactPhone: '66820000000', contactName: 'Malee', zones: [zone('z-bar', 'Bar')] }))
index.upsert(venue({ venue: 'main:4', name: 'Lotus Bay Bangkok', location: 'Sukhumvit Road', zones: [zone('z-spa', 'Spa')] }))
index.upsert(venue({ ...TERRACE, zones: [zone('z-roof', 'Rooftop')] }))

function stranger(): Talk {
  const talk = onFile()
  talk.sender = GUEST
  return talk
}

/** Whether messages are understood at once makes no difference for what is said. */
let waiting = false
const onFile = () => {
  const talk = new Talk({}, input => understand(input, index))
  talk.waiting = waiting
  return talk
}

describe.each([
  ['messages are understood at once', false],
  ['what they mean comes later', true],
])('where %s:', (_, later) => {
  beforeAll(() => {
    waiting = later
  })

  describe('the sample conversation', () => {
    test('in English', () => {
      const talk = stranger()
      expect(talk.say('Hello').text).toMatch(/BMA Social support assistant.*name of your venue/)
      expect(talk.say('Blue Lagoon Pattaya').text).toContain('Blue Lagoon Pattaya located at Beach Road? (Yes/No)')
      expect(talk.say('Yes').text).toMatch(/name, please\?/)
      expect(talk.say('John Smith').text).toMatch(/John.*position at Blue Lagoon Pattaya\?/)
      expect(talk.say('Operations Manager').text).toMatch(
        /John.*registered as Operations Manager at Blue Lagoon Pattaya.*help you today\?/,
      )
      const issue = talk.say('The music in the lobby stopped playing this morning')
      expect(issue.text).toMatch(
        /✅ Venue Identified:\n• Venue: Blue Lagoon Pattaya\n• Contact: John Smith \(Operations Manager\)\n• Issue: .*lobby/i,
      )
      expect(issue.asked).toMatchObject([{ kind: 'STATUS', zones: ['z-lobby'] }])
      const answer = talk.answer('CONFIRMED', { zones: [{ ...lobby, status: 'OFFLINE' }] })
      expect(answer.text).toMatch(/Lobby: offline[\s\S]*within 1 hour/)
      expect(talk.say('thank you!').sent).toEqual([])
    })

    test('in Thai', () => {
      const talk = stranger()
      expect(talk.say('สวัสดีค่ะ').text).toMatch(/ชื่อร้านหรือโรงแรม/)
      expect(talk.say('บลูลากูน พัทยา').text).toContain('Blue Lagoon Pattaya ที่ Beach Road')
      expect(talk.say('ใช่ค่ะ').text).toMatch(/ชื่อ/)
      expect(talk.say('สมชาย ใจดี').text).toMatch(/คุณสมชาย.*ตำแหน่ง/)
      const registered = talk.say('ผู้จัดการฝ่ายปฏิบัติการ').text
      const position = talk.state.contactPosition ?? 'none'
      expect(registered).toContain(`คุณสมชาย บันทึกไว้แล้วว่าเป็น ${position} ที่ Blue Lagoon Pattaya`)
      const issue = talk.say('เพลงที่ล็อบบี้ดับตั้งแต่เมื่อเช้าค่ะ')
      expect(issue.text).toContain(`• ผู้ติดต่อ: สมชาย ใจดี (${position})\n• ปัญหา: `)
      expect(issue.asked).toMatchObject([{ kind: 'STATUS', zones: ['z-lobby'] }])
    })
  })

  describe('the contact on file', () => {
    test('turns the lobby down without a question', () => {
      const talk = onFile()
      const said = talk.say('the music in the lobby is too loud')
      expect(said.sent).toEqual([])
      expect(said.asked).toMatchObject([{ kind: 'VOLUME_DOWN', zones: ['z-lobby'], trust: 'HINTED' }])
      const answer = talk.answer('CONFIRMED', { from: 8, to: 6, zones: [lobby] })
      expect(answer.text).toMatch(/Somchai.*Lobby.*(6.*8|8.*6)/)
      expect(talk.say('thanks').sent).toHaveLength(1)
      expect(talk.say('ok').sent).toEqual([])
    })

    test('is asked for the zone where it is missing, and answers with a word', () => {
      const talk = onFile()
      expect(talk.say('volume up').text).toMatch(/zone\?[\s\S]*Edge/)
      expect(talk.say('edge').asked).toMatchObject([{ kind: 'VOLUME_UP', zones: ['z-edge'] }])
    })

    test.each([
      ['Set volume to 8 at Edge', { kind: 'VOLUME_SET', zones: ['z-edge'], value: 8 }],
      ['ตั้งเสียงโซน Edge ไว้ที่ระดับ 8 ให้หน่อยครับ', { kind: 'VOLUME_SET', zones: ['z-edge'], value: 8 }],
      ['The music is too loud at Horizon', { kind: 'VOLUME_DOWN', zones: ['z-horizon'] }],
      ['เพลงที่โซน Horizon ดังเกินไป ช่วยลดเสียงหน่อยค่ะ', { kind: 'VOLUME_DOWN', zones: ['z-horizon'] }],
      [
        'Please pause the music at the pool for 20 minutes, we have a speech',
        { kind: 'PAUSE', zones: ['z-pool'], durationMs: 1_200_000 },
      ],
      ['Skip this song in the lobby, a guest is complaining', { kind: 'SKIP', zones: ['z-lobby'] }],
      ['ข้ามเพลงนี้ที่ล็อบบี้ให้หน่อยครับ แขกบ่น', { kind: 'SKIP', zones: ['z-lobby'] }],
      ['You can start the music again at the pool', { kind: 'PLAY', zones: ['z-pool'] }],
    ])('"%s"', (text, request) => {
      const said = onFile().say(text)
      expect(said.asked).toMatchObject([request])
      expect(said.alerts).toEqual([])
    })

    test('gets music design for a playlist, not a resume', () => {
      const said = onFile().say('I want to play chillhop at Edge')
      expect(said.asked).toEqual([])
      expect(said.alerts).toMatchObject([{ department: 'DESIGN' }])
    })

    test('who is at another venue today says so', () => {
      const talk = onFile()
      talk.say('hello')
      expect(talk.say('no, it is Lotus Bay Pattaya').text).toContain('Lotus Bay Pattaya located at Jomtien')
      talk.say('yes')
      expect(talk.state).toMatchObject({ venue: BAY.venue })
      expect(talk.state.senders).toMatchObject([{ trust: 'CLAIMED' }])
    })
  })

  describe('a stranger', () => {
    test('who names the venue at once gets the song, and is asked who they are', () => {
      const talk = stranger()
      const said = talk.say("Hi, I am from Blue Lagoon Pattaya. Can you tell me what's currently playing at Edge?")
      expect(said.asked).toMatchObject([{ kind: 'WHAT_PLAYING', zones: ['z-edge'] }])
      expect(talk.state).toMatchObject({ venue: LAGOON.venue, state: 'ASKING_PERSON_NAME' })
    })

    test('cannot turn the music down by knowing the name of the venue', () => {
      const talk = stranger()
      talk.say('the music in the lobby is too loud')
      talk.say('Blue Lagoon Pattaya')
      talk.say('yes')
      talk.say('John Smith')
      const last = talk.say('Guest Relations')
      expect(last.asked).toEqual([])
      expect(last.text).toMatch(/phone number/)
      expect(last.alerts).toHaveLength(1)
    })

    test('chooses among venues of one name', () => {
      const talk = stranger()
      expect(talk.say('Hi, from Lotus Bay').text).toMatch(/1\. Lotus Bay .*\n2\. Lotus Bay /)
      talk.say('the Bangkok one')
      expect(talk.state.venue).toBe('main:4')
    })

    test('is led through everything short, and no venue is ever guessed', () => {
      const talk = stranger()
      for (const text of ['ok', '?', '1']) talk.say(text)
      expect(talk.state.venue).toBeNull()
      expect(talk.say('restart').text).toContain('BMA Social support assistant')
    })

    test('who is full tonight and silent gets a human at once, and is asked for the venue only', () => {
      const talk = stranger()
      const first = talk.say('All our zones have been completely offline for 2 hours, we are full tonight!!')
      expect(first.alerts).toMatchObject([{ priority: 'CRITICAL', department: 'OPERATIONS' }])
      talk.say('Siam Terrace')
      const known = talk.say('yes')
      expect(known.asked).toMatchObject([{ kind: 'STATUS' }])
      expect(talk.state.state).toBe('IDENTIFIED')
    })

    test('who threatens to cancel is critical for sales', () => {
      const said = stranger().say("This is the third time this month. If it isn't fixed today we cancel.")
      expect(said.alerts).toMatchObject([{ department: 'SALES', priority: 'CRITICAL' }])
    })

    test('who runs a café goes to sales', () => {
      const said = stranger().say('I run a café. How much is it, and do I need an MCPT licence?')
      expect(said.alerts).toMatchObject([{ department: 'SALES' }])
      expect(said.sent).toHaveLength(1)
    })
  })
})

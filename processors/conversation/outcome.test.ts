import { describe, expect, test } from 'vitest'
import type { RequestOutcome, VenueAnswerInput } from '../../schemas/types.ts'
import { intent, LAGOON, MORNING, no, SOMCHAI, Talk, wants, yes } from './testing/talk.ts'

const onFile = [SOMCHAI]
const lobby = { zone: 'z-lobby', name: 'Lobby', status: 'ONLINE', volume: 6 } as const
const MINUTE = 60_000

function asked(kind = 'volume_down', language = 'en', slots = {}): Talk {
  const talk = Talk.hinted()
  talk.say('please', { onFile, language, ...wants(kind, { zone: 'z-lobby', ...slots }) })
  return talk
}

const REASONS = [
  'trust',
  'policy',
  'cap',
  'permission',
  'offline',
  'unpaired',
  'subscription',
  'provider_down',
  'rate_limited',
  'busy',
  'no_zone',
  'not_found',
  'other',
]
const FAILURES: [RequestOutcome, string][] = [
  ...REASONS.map((reason): [RequestOutcome, string] => ['REFUSED', reason]),
  ['UNVERIFIED', 'no_effect'],
  ['EXPIRED', 'provider_down'],
  ['EXPIRED', 'provider_slow'],
  ['EXPIRED', 'rate_limited'],
  ['EXPIRED', 'busy'],
  ['UNKNOWN', 'provider_slow'],
]
/** Words that claim success. */
const CLAIMS =
  /\bdone\b|is now at|is muted now|is paused now|skipped|playing again|has sound again|went from|all set|เรียบร้อย|แล้วค่ะ จากเดิม|ปรับแล้ว/i

describe('what is said about an action comes from its outcome', () => {
  test.each(['en', 'th'])('every outcome has its own words, and only a confirmed one claims success (%s)', language => {
    const said = FAILURES.map(
      ([outcome, reason]) => asked('volume_down', language).answer(outcome, { reason, zones: [lobby] }).sent[0]?.text ?? '',
    )
    for (const text of said) {
      expect(text.length).toBeGreaterThan(20)
      expect(text).not.toMatch(CLAIMS)
    }
    expect(new Set(said.map(text => text.split('\n\n')[0])).size).toBe(FAILURES.length)
    expect(asked('volume_down', language).answer('CONFIRMED', { from: 8, to: 6, zones: [lobby] }).text).toMatch(
      /Lobby.*6.*8|Lobby.*8.*6/,
    )
  })

  test.each([
    ['volume_up', { from: 6, to: 8 }, /Lobby.*8.*6|Lobby.*6.*8/],
    ['volume_set', { from: 8, to: 8 }, /already at 8/],
    ['volume_down', { to: 6 }, /Lobby.*6/],
    ['mute', {}, /muted|sound is off/],
    ['unmute', {}, /sound/i],
    ['play', {}, /playing again|back on/],
    ['pause', {}, /[Pp]aused/],
    ['pause', { durationMs: 20 * MINUTE }, /20 min/],
    ['skip', { zones: [{ ...lobby, track: 'Slow Tide', artist: 'The Sandbars' }] }, /"Slow Tide" by The Sandbars/],
  ] as [string, Partial<VenueAnswerInput>, RegExp][])('%s confirmed (%j)', (kind, more, pattern) => {
    expect(asked(kind).answer('CONFIRMED', { zones: [lobby], ...more }).text).toMatch(pattern)
  })

  test.each(['status_check', 'what_playing', 'volume_down'])(
    '%s at a venue whose zones nobody can tell goes to a human',
    kind => {
      const reply = asked(kind).answer('REFUSED', { reason: 'ambiguous' })
      expect(reply.alerts).toMatchObject([{ department: 'OPERATIONS', text: expect.stringMatching(/ambiguous/) }])
      expect(reply.text).toMatch(/colleague|team/i)
    },
  )

  test('several zones are told apart', () => {
    const edge = { zone: 'z-edge', name: 'Edge', status: 'OFFLINE', volume: null } as const
    expect(asked().answer('CONFIRMED', { zones: [lobby, { ...lobby, name: 'Pool', volume: 4 }] }).text).toContain(
      'Lobby 6 · Pool 4',
    )
    const mixed = asked('pause').answer('REFUSED', { reason: 'offline', zones: [{ ...lobby, playback: 'paused' }, edge] })
    expect(mixed.text).toMatch(/Lobby: online, volume 6, paused[\s\S]*Edge: offline/)
    expect(mixed.text).not.toContain('nothing was changed')
  })

  test('the answer is varied, the same each time it is replayed', () => {
    const texts = [0, 1].map(() => {
      const talk = asked()
      const first = talk.answer('CONFIRMED', { from: 8, to: 6 }).text
      talk.say('again', { onFile, ...wants('volume_down', { zone: 'z-lobby' }) })
      return [first, talk.answer('CONFIRMED', { from: 8, to: 6 }).text]
    })
    expect(texts[0]).toEqual(texts[1])
    expect(texts[0]?.[0]).not.toBe(texts[0]?.[1])
  })

  test('a request that ended is shown with its outcome, reason and command', () => {
    const talk = asked()
    const answer = talk.answer('REFUSED', { reason: 'cap', command: 'c1' })
    const profile = answer.step.emits.find(e => e.type === 'ConversationProfile')?.record
    expect(profile.requests).toMatchObject([
      { kind: 'volume_down', zone: 'z-lobby', outcome: 'refused', reason: 'cap', command: 'c1' },
    ])
    expect(answer.events('REQUEST_ENDED')).toMatchObject([{ to: 'refused', detail: 'cap' }])
    expect(talk.kit.timers.map(t => t.name)).toEqual(['idle'])
  })
})

describe('what no success is', () => {
  test.each([
    ['REFUSED', 'offline', 'OPERATIONS', 'HIGH'],
    ['REFUSED', 'subscription', 'SALES', 'HIGH'],
    ['REFUSED', 'cap', 'OPERATIONS', 'NORMAL'],
    ['UNVERIFIED', 'no_effect', 'OPERATIONS', 'HIGH'],
    ['UNKNOWN', '', 'OPERATIONS', 'HIGH'],
    ['EXPIRED', 'provider_down', 'OPERATIONS', 'HIGH'],
    ['EXPIRED', 'rate_limited', 'OPERATIONS', 'HIGH'],
    ['EXPIRED', 'busy', 'OPERATIONS', 'HIGH'],
  ] as const)('%s (%s) reaches %s as %s', (outcome, reason, department, priority) => {
    const talk = asked()
    const answer = talk.answer(outcome, { reason })
    expect(answer.alerts).toMatchObject([{ department, priority }])
    expect(talk.state.owner).toBe('WAITING')
    expect(answer.text).toMatch(/within/)
  })

  test.each(['no_zone', 'busy', 'rate_limited'])('what can be asked again (%s) needs no human', reason => {
    const talk = asked()
    expect(talk.answer('REFUSED', { reason }).alerts).toEqual([])
    expect(talk.state.owner).toBe('BOT')
  })

  test('a request the venue finds too old is asked about', () => {
    const talk = asked('pause', 'en', { durationMs: 20 * MINUTE })
    const answer = talk.answer('EXPIRED', { reason: 'stale', durationMs: 20 * MINUTE })
    expect(answer.text).toMatch(/pause Lobby for 20 min/)
    expect(talk.say('yes', { onFile, ...yes }).asked).toMatchObject([{ kind: 'PAUSE', durationMs: 20 * MINUTE }])
  })
})

describe('answers that take their time', () => {
  test('a first word is said once, and the answer still comes', () => {
    const talk = asked()
    expect(talk.answer('PENDING', { final: false, reason: 'provider_slow' }).text).toMatch(/slow/)
    expect(talk.answer('PENDING', { final: false, reason: 'provider_slow' }).sent).toEqual([])
    expect(talk.state.requests).toMatchObject([{ outcome: 'pending', endedAt: null }])
    expect(talk.answer('CONFIRMED', { from: 8, to: 6 }).text).toMatch(/Lobby/)
    expect(talk.answer('CONFIRMED', { from: 8, to: 6 }).sent).toEqual([])
  })

  test.each([
    ['en', 'provider_down', /responding|reach/, /[Ll]ast known|last saw/, /as of 09:58/, /until 10:02/],
    ['en', 'provider_slow', /slow/, /[Ll]ast known|last saw/, /as of 09:58/, /until 10:02/],
    ['en', 'rate_limited', /any more requests|too busy/, /[Ll]ast known|last saw/, /as of 09:58/, /until 10:02/],
    ['th', 'provider_down', /ไม่ตอบสนอง|ติดต่อระบบเพลงไม่ได้/, /ล่าสุดคือ/, /ณ 09:58/, /ถึง 10:02/],
    ['th', 'provider_slow', /ช้า/, /ล่าสุดคือ/, /ณ 09:58/, /ถึง 10:02/],
    ['th', 'rate_limited', /รับคำขอ|คำขอมาก/, /ล่าสุดคือ/, /ณ 09:58/, /ถึง 10:02/],
  ])(
    'a first word (%s, %s) says what is the matter, what was last known and when, and until when it is tried',
    (language, reason, ...parts) => {
      const talk = asked('volume_down', language)
      const zones = [{ ...lobby, asOf: talk.kit.now - 2 * MINUTE }]
      const { text } = talk.answer('PENDING', { final: false, reason, zones })
      for (const part of parts) expect(text).toMatch(part as RegExp)
      expect(text).toMatch(/Lobby.*6/)
      expect(text).not.toMatch(CLAIMS)
    },
  )

  test('the time that is named follows the settings', () => {
    const talk = Talk.hinted({ tryMs: 7 * MINUTE })
    talk.say('please', { onFile, ...wants('skip', { zone: 'z-lobby' }) })
    expect(talk.answer('PENDING', { final: false, reason: 'provider_down' }).text).toMatch(/until 10:07/)
  })

  test('a first word to a question promises no more than a moment', () => {
    const { text } = asked('what_playing').answer('PENDING', { final: false, reason: 'provider_slow', zones: [lobby] })
    expect(text).toMatch(/moment/)
    expect(text).not.toMatch(/until/)
  })

  test('of many zones it shows some', () => {
    const zones = Array.from({ length: 9 }, (_, n) => ({ ...lobby, name: `Room ${n}`, asOf: MORNING }))
    const { text } = asked('mute').answer('PENDING', { final: false, reason: 'provider_down', zones })
    expect(text.match(/Room/g)).toHaveLength(6)
    expect(text).toContain('…')
  })

  test('a venue that never answers is told honestly, with a human', () => {
    const talk = asked()
    const before = talk.kit.now
    const late = talk.fire(talk.kit.timers.find(t => t.name.startsWith('answer:'))?.name)
    expect(talk.kit.now - before).toBe(35_000)
    expect(late.text).toMatch(/still/)
    expect(late.sent).toHaveLength(1)
    expect(late.alerts).toMatchObject([{ department: 'OPERATIONS', priority: 'HIGH' }])
    expect(talk.answer('CONFIRMED', { from: 8, to: 6 }).text).toMatch(/Lobby/)
  })

  test('after a first word the venue has as long as a control is of use', () => {
    const talk = asked()
    talk.answer('PENDING', { final: false, reason: 'provider_down' })
    expect(talk.kit.timers.find(t => t.name.startsWith('answer:'))?.at).toBeGreaterThan(talk.kit.now + 10 * MINUTE)
  })

  test('the time to wait is scaled', () => {
    const talk = Talk.hinted({ timeScale: 10 })
    talk.say('please', { onFile, ...wants('skip', { zone: 'z-lobby' }) })
    expect(talk.kit.timers[0]?.at).toBe(talk.kit.now + 3_500)
  })

  test('an answer after something newer shows what it answers', () => {
    const talk = asked()
    const request = talk.state.requests[0]
    talk.say('thanks', { onFile, ...wants('thanks') })
    expect(talk.answer('CONFIRMED', { from: 8, to: 6 }).sent).toMatchObject([{ replyTo: request?.message }])
  })

  test('an answer to nothing that was asked is left alone', () => {
    const talk = asked()
    expect(talk.answer('CONFIRMED', { request: 'another' }).sent).toEqual([])
  })
})

describe('what plays', () => {
  const play = (zone: object, more: Partial<VenueAnswerInput> = {}) => {
    const talk = asked('what_playing')
    return talk.answer('CONFIRMED', { zones: [{ ...lobby, ...zone }], ...more }).text
  }

  test('is said with its source, and with its time where it is old', () => {
    expect(play({ track: 'Slow Tide', artist: 'The Sandbars', source: 'Beach Bar' })).toMatch(
      /Lobby.*"Slow Tide" by The Sandbars.*Beach Bar/,
    )
    expect(play({ track: 'Slow Tide', asOf: MORNING - 60 * MINUTE })).toContain('as of 09:00')
    expect(play({ track: 'Slow Tide', asOf: MORNING - 48 * 60 * MINUTE })).toContain('as of 16/06 10:00')
    expect(play({ track: 'Slow Tide', asOf: MORNING })).not.toContain('as of')
  })

  test('an offline, paused or unreadable zone plays nothing that we claim', () => {
    expect(play({ status: 'OFFLINE', track: 'Slow Tide' })).not.toContain('Slow Tide')
    expect(play({ playback: 'paused' })).toContain('paused')
    expect(play({ status: 'UNKNOWN' })).toMatch(/can't/)
    expect(play({})).toContain('online')
  })

  test('without a live reading the last known is said as such', () => {
    const talk = asked('what_playing')
    const answer = talk.answer('UNVERIFIED', {
      reason: 'provider_down',
      zones: [{ ...lobby, track: 'Slow Tide', asOf: MORNING - 30 * MINUTE }],
    })
    expect(answer.text).toMatch(/(responding|reach)[\s\S]*[Ll]ast known[\s\S]*as of 09:30/)
    const fresh = asked('what_playing').answer('UNVERIFIED', { reason: 'rate_limited', zones: [{ ...lobby, asOf: MORNING }] })
    expect(fresh.text).toMatch(/(any more requests|too busy)[\s\S]*[Ll]ast known[\s\S]*as of 10:00/)
  })
})

test('a yes to "can you hear it?" closes the trouble, and a later no opens nothing', () => {
  const talk = Talk.hinted()
  talk.say('no music', { onFile, intents: [intent('no_sound', { zone: 'z-lobby' })] })
  talk.answer('CONFIRMED', { zones: [{ ...lobby, playback: 'playing' }], venueName: LAGOON.name })
  const closed = talk.say('yes', { onFile, ...yes })
  expect(closed.alerts).toEqual([])
  expect(talk.say('no', { onFile, ...no }).alerts).toEqual([])
})

/** The twenty utterances, the one-liners and the pains of the dialogue, in both languages, with invented venues. */
import { describe, expect, test } from 'vitest'
import { recordSchema } from '../../schemas/index.ts'
import type { UnderstandInput } from '../../schemas/types.ts'
import { indexOf, message, profile, zones } from './testing/fixtures.ts'
import { understand } from './understand.ts'

const BLUE = zones('blue', 'Edge', 'Horizon', 'Drift Bar', 'Lobby', 'Pool', 'Grand Ballroom')
const index = indexOf(
  profile('blue', 'Blue Lagoon Pattaya', {
    location: 'Beach Road, Pattaya',
    aliases: ['บลูลากูน พัทยา'],
    zones: BLUE,
    contactName: 'Anna',
    contactPosition: 'General Manager',
    contactPhone: '66812345678',
  }),
  profile('phuket', 'Blue Lagoon Phuket', { location: 'Patong', zones: zones('phuket', 'Lobby') }),
  profile('lotus', 'Lotus Bay Pattaya', { location: 'Pattaya', zones: zones('lotus', 'Lobby', 'Spa') }),
  ...['ok', 'Japan', 'Horizon', 'Lobby'].map(name => profile(`odd-${name}`, name)),
)
const meaning = (text: string, more: Partial<UnderstandInput> = {}) => understand(message(text, more), index)
const at = { venue: 'blue' } as const
const read = (text: string, more: Partial<UnderstandInput> = at) =>
  (meaning(text, more).intents ?? []).map(({ kind, zone, allZones, value, durationMs }) => ({
    kind,
    ...(zone == null ? {} : { zone: zone.slice(zone.indexOf('/') + 1) }),
    ...(allZones ? { allZones } : {}),
    ...(value == null ? {} : { value }),
    ...(durationMs == null ? {} : { durationMs }),
  }))

describe('twenty utterances', () => {
  const MINUTE = 60_000
  test.each([
    [
      'what is playing',
      "Can you tell me what's currently playing at Edge?",
      'ตอนนี้โซน Edge เปิดเพลงอะไรอยู่คะ',
      [{ kind: 'what_playing', zone: 'Edge' }],
    ],
    [
      'too loud',
      'The music is too loud at Horizon',
      'เพลงที่โซน Horizon ดังเกินไป ช่วยลดเสียงหน่อยค่ะ',
      [{ kind: 'volume_down', zone: 'Horizon' }],
    ],
    [
      'volume to 8',
      'Set volume to 8 at Edge',
      'ตั้งเสียงโซน Edge ไว้ที่ระดับ 8 ให้หน่อยครับ',
      [{ kind: 'volume_set', zone: 'Edge', value: 8 }],
    ],
    [
      'up a bit',
      "Turn up Drift Bar a bit, guests can't hear it",
      'ช่วยเพิ่มเสียงที่ Drift Bar อีกนิดนะคะ ลูกค้าไม่ค่อยได้ยิน',
      [{ kind: 'volume_up', zone: 'Drift Bar', value: 1 }],
    ],
    [
      'skip',
      'Skip this song in the lobby, a guest is complaining',
      'ข้ามเพลงนี้ที่ล็อบบี้ให้หน่อยครับ แขกบ่น',
      [{ kind: 'skip', zone: 'Lobby' }],
    ],
    [
      'timed pause',
      'Please pause the music at the pool for 20 minutes, we have a speech',
      'ช่วยหยุดเพลงที่สระว่ายน้ำ 20 นาทีนะคะ มีกล่าวเปิดงาน',
      [{ kind: 'pause', zone: 'Pool', durationMs: 20 * MINUTE }],
    ],
    ['resume', 'You can start the music again at the pool', 'เปิดเพลงที่สระต่อได้เลยค่ะ', [{ kind: 'play', zone: 'Pool' }]],
    [
      'no sound',
      'The music in the lobby stopped playing this morning',
      'เพลงที่ล็อบบี้ดับตั้งแต่เมื่อเช้าครับ',
      [{ kind: 'no_sound', zone: 'Lobby' }],
    ],
    [
      'play a genre',
      'I want to play chillhop at Edge',
      'อยากเปิดแนว chillhop ที่โซน Edge ครับ',
      [{ kind: 'change_playlist', zone: 'Edge' }],
    ],
    [
      'boring',
      "It's boring, change it to something more energetic",
      'เพลงน่าเบื่อมาก เปลี่ยนให้สนุกกว่านี้หน่อย',
      [{ kind: 'change_playlist' }],
    ],
    [
      'wedding',
      'We have a wedding tomorrow at 6 pm in the ballroom, please prepare romantic music',
      'พรุ่งนี้หกโมงเย็นมีงานแต่งที่ห้องบอลรูม ช่วยจัดเพลงโรแมนติกให้หน่อยนะคะ',
      [{ kind: 'schedule_music', zone: 'Grand Ballroom' }],
    ],
    ['Christmas', 'Can we have Christmas music next week?', 'สัปดาห์หน้าขอเปิดเพลงคริสต์มาสได้ไหมครับ', [{ kind: 'schedule_music' }]],
    [
      'block',
      'Please block this song, we never want to hear it again',
      'ช่วยบล็อกเพลงนี้เลยค่ะ ไม่อยากได้ยินอีก',
      [{ kind: 'block_song' }],
    ],
    ['contract', 'When does our contract expire?', 'สัญญาของเราหมดวันไหนครับ', [{ kind: 'contract_query' }]],
    [
      'price',
      "I'm the General Manager, how much are we paying per zone right now?",
      'ผมเป็นผู้จัดการทั่วไป ตอนนี้เราจ่ายต่อโซนเท่าไหร่ครับ',
      [{ kind: 'pricing_query' }],
    ],
    [
      'pairing',
      'We changed the tablet, what is the pairing code?',
      'เราเปลี่ยนแท็บเล็ตใหม่ ขอรหัสจับคู่ (pairing code) หน่อยค่ะ',
      [{ kind: 'pairing_help' }],
    ],
  ])('%s', (_, english, thai, intents) => {
    expect(read(english)).toEqual(intents)
    expect(read(thai)).toEqual(intents)
    expect(meaning(english).language).toBe('en')
    expect(meaning(thai).language).toBe('th')
    for (const { confidence } of meaning(english, at).intents!) expect(confidence).toBeGreaterThanOrEqual(0.7)
  })

  test('the venue and what plays, in the first message', () => {
    for (const text of [
      "Hi, I am from Blue Lagoon Pattaya. Can you tell me what's currently playing at Edge?",
      'สวัสดีค่ะ ติดต่อจากบลูลากูน พัทยา ตอนนี้โซน Edge เปิดเพลงอะไรอยู่คะ',
    ]) {
      const understood = meaning(text, { dialogue: 'INITIAL' })
      expect(understood).toMatchObject({ match: 'EXACT', venueName: null, zones: [] })
      expect(understood.matches![0]).toEqual({
        venue: 'blue',
        name: 'Blue Lagoon Pattaya',
        location: 'Beach Road, Pattaya',
        score: 1,
      })
      expect(understood.intents).toMatchObject([{ kind: 'what_playing', zone: 'blue/Edge' }])
    }
  })

  test('everything offline is urgent, and in all zones', () => {
    const english = meaning('All our zones have been completely offline for 2 hours, we are full tonight!!', at)
    expect(english).toMatchObject({
      sentiment: 'URGENT',
      issue: 'Device offline in all zones',
      intents: [{ kind: 'device_offline', allZones: true }],
    })
    const thai = meaning('ทุกโซนไม่มีเพลงเลย 2 ชั่วโมงแล้ว คืนนี้แขกเต็ม ด่วนมากครับ!!', at)
    expect(thai).toMatchObject({ sentiment: 'URGENT', issue: 'ไม่มีเพลงทุกโซน', intents: [{ kind: 'no_sound', allZones: true }] })
  })

  test.each(['What zones do we have, are they all online?', 'เรามีกี่โซนคะ ออนไลน์ครบทุกโซนไหม'])(
    'zones and their status: %s',
    text => {
      expect(new Set(read(text).map(({ kind }) => kind))).toEqual(new Set(['list_zones', 'status_check']))
    },
  )

  test.each([
    'I run a café. How much is it, and do I need an MCPT licence?',
    'ทำร้านกาแฟค่ะ ราคาเท่าไหร่ แล้วต้องจ่ายค่าลิขสิทธิ์ MCPT ไหมคะ',
  ])('a prospect: %s', text => {
    const kinds = read(text, { dialogue: 'INITIAL' }).map(({ kind }) => kind)
    expect(kinds.sort()).toEqual(['licensing_query', 'new_prospect', 'pricing_query'])
  })

  test.each([
    "This is the third time this month. If it isn't fixed today we cancel.",
    'เดือนนี้ครั้งที่สามแล้ว ถ้าวันนี้ไม่หายจะยกเลิกบริการครับ',
  ])('may leave: %s', text => {
    expect(new Set(read(text).map(({ kind }) => kind))).toEqual(new Set(['complaint', 'cancel_threat']))
    expect(meaning(text).sentiment).toBe('NEGATIVE')
  })

  test('a position said in passing is not taken for an answer', () => {
    expect(meaning("I'm the General Manager, how much are we paying?", at)).toMatchObject({ person: null, position: null })
  })
})

describe('one-liners', () => {
  const STATES = [
    'INITIAL',
    'ASKING_VENUE_NAME',
    'CONFIRMING_VENUE',
    'MULTIPLE_MATCHES',
    'ASKING_PERSON_NAME',
    'ASKING_POSITION',
    'ASKING_ISSUE',
    'IDENTIFIED',
    'NOT_FOUND',
  ]

  test.each(STATES)('break nothing in %s', dialogue => {
    const schema = recordSchema('Understood').type
    for (const text of [
      'ok',
      '?',
      'edge',
      '1',
      '0',
      'yes',
      'ใช่ค่ะ',
      'restart',
      'volume โซน lobby เบาไป',
      'thank you!',
      'ขอบคุณค่ะ',
      '',
      '😀',
      'x'.repeat(5000),
      '((((',
      '§0 ¤',
    ]) {
      for (const venue of [null, 'blue', 'gone']) {
        const understood = meaning(text, { dialogue, venue, candidates: ['blue', 'phuket'] })
        expect(understood.match).toBe('NONE')
        expect(schema.fromBuffer(schema.toBuffer(understood))).toMatchObject({ message: 'm1', match: 'NONE' })
      }
    }
  })

  test('an answer of a zone resolves', () => {
    expect(meaning('edge', at).intents).toMatchObject([{ kind: 'unknown', confidence: 0, zone: 'blue/Edge' }])
    expect(meaning('edge', { ...at, zones: ['blue/Edge', 'blue/Lobby'] }).intents).toMatchObject([{ zone: 'blue/Edge' }])
  })

  test('numbers and yes answer what was asked', () => {
    expect(meaning('1', { dialogue: 'MULTIPLE_MATCHES' })).toMatchObject({ reply: 'NUMBER', number: 1 })
    expect(meaning('0', { dialogue: 'MULTIPLE_MATCHES' })).toMatchObject({ reply: 'NONE_OF_THESE', number: null })
    expect(meaning('ใช่ค่ะ', { dialogue: 'CONFIRMING_VENUE' })).toMatchObject({ reply: 'YES', language: 'th' })
  })

  test('restart holds everywhere', () => {
    expect(meaning('restart', at)).toMatchObject({ override: 'RESTART', issue: null })
    expect(meaning('restart', { dialogue: 'ASKING_PERSON_NAME' })).toMatchObject({ override: 'RESTART', person: null })
  })

  test('languages mix', () => {
    expect(meaning('volume โซน lobby เบาไป', at)).toMatchObject({
      language: 'th',
      intents: [{ kind: 'volume_up', zone: 'blue/Lobby' }],
    })
  })

  test('a venue may be called Japan', () => {
    expect(meaning('Japan', { dialogue: 'ASKING_VENUE_NAME' })).toMatchObject({
      match: 'EXACT',
      matches: [{ venue: 'odd-Japan', score: 1 }],
    })
    expect(meaning('some music from Japan please', at).match).toBe('NONE')
  })

  test.each(['thank you!', 'ขอบคุณค่ะ'])('thanks are only thanks: %s', text => {
    expect(meaning(text, at)).toMatchObject({ reply: 'NONE', sentiment: 'POSITIVE', issue: null, intents: [{ kind: 'thanks' }] })
  })

  test('a long paste is read in a few milliseconds', () => {
    const paste = 'please, the music in the lobby stopped and Somchai from the Lotus house wants jazz at the pool, ครับ เพลงดังไป '
      .repeat(60)
      .slice(0, 5000)
    for (let warm = 0; warm < 5; warm++) meaning(paste)
    const start = performance.now()
    for (let run = 0; run < 5; run++) meaning(paste)
    expect((performance.now() - start) / 5).toBeLessThan(60)
  })
})

describe('venues and zones are kept apart', () => {
  test('"ok" and "?" match no venue, whatever venues are called', () => {
    for (const text of ['ok', '?', 'ok thanks', 'hello']) {
      for (const dialogue of ['INITIAL', 'ASKING_VENUE_NAME', 'IDENTIFIED'])
        expect(meaning(text, { dialogue }).match).toBe('NONE')
    }
  })

  test('a brand is asked about', () => {
    expect(meaning('I am from Blue Lagoon', { dialogue: 'INITIAL' })).toMatchObject({ match: 'AMBIGUOUS', runnerUp: 0.9 })
  })

  test('a zone of the venue is never taken for a venue', () => {
    for (const text of ['The music is too loud at Horizon', 'Horizon', 'I am at Horizon', 'lobby'])
      expect(meaning(text, at).match).toBe('NONE')
    expect(meaning('The music is too loud at Horizon', at).intents).toMatchObject([{ zone: 'blue/Horizon' }])
  })

  test('no, it is another one', () => {
    const correction = meaning('no, it is Lotus Bay Pattaya', { ...at, dialogue: 'CONFIRMING_VENUE' })
    expect(correction).toMatchObject({ reply: 'NO', match: 'EXACT', venueName: 'Blue Lagoon Pattaya' })
    expect(correction.matches![0]!.venue).toBe('lotus')
    expect(meaning('ไม่ใช่ค่ะ โลตัสเบย์ พัทยา', { ...at, dialogue: 'CONFIRMING_VENUE' })).toMatchObject({
      reply: 'NO',
      matches: [{ venue: 'lotus' }],
    })
  })

  test('one of those offered, by what tells it from the others', () => {
    const offered = { dialogue: 'MULTIPLE_MATCHES', candidates: ['blue', 'phuket'] }
    expect(meaning('the Phuket one', offered)).toMatchObject({ match: 'EXACT', matches: [{ venue: 'phuket' }] })
    expect(meaning('none of these', offered)).toMatchObject({ reply: 'NONE_OF_THESE', match: 'NONE' })
  })

  test('the venue named in full while another is settled gives the zones', () => {
    expect(meaning('I am at Blue Lagoon Phuket now, no sound in the lobby', at)).toMatchObject({
      match: 'EXACT',
      intents: [{ kind: 'no_sound', zone: 'phuket/Lobby' }],
    })
  })

  test('the only zone is meant, but not by an answer without a wish', () => {
    expect(meaning('turn it down', { venue: 'phuket' }).intents).toMatchObject([{ zone: 'phuket/Lobby' }])
    expect(meaning('yes', { venue: 'phuket' }).intents).toMatchObject([{ zone: null }])
  })

  test('several zones are several wishes', () => {
    expect(read('turn down the lobby and the pool')).toEqual([
      { kind: 'volume_down', zone: 'Lobby' },
      { kind: 'volume_down', zone: 'Pool' },
    ])
  })

  test('a zone without a venue is kept as words', () => {
    expect(meaning('too loud in the ballroom', { dialogue: 'INITIAL' }).intents).toMatchObject([
      { zone: null, zoneText: 'ballroom' },
    ])
  })
})

describe('buttons', () => {
  test.each([
    ['confirm:yes', { reply: 'YES' }],
    ['contact:yes', { reply: 'YES' }],
    ['confirm:no', { reply: 'NO' }],
    ['contact:no', { reply: 'NO' }],
    ['venue:none', { reply: 'NONE_OF_THESE' }],
    ['human', { override: 'HUMAN' }],
    ['venue:phuket', { match: 'EXACT', matches: [{ venue: 'phuket', score: 1 }] }],
    ['zone:blue/Edge', { intents: [{ zone: 'blue/Edge' }] }],
  ])('%s says what it means, whatever its text', (actionId, expected) => {
    expect(meaning('The music stopped', { ...at, actionId, language: 'th' })).toMatchObject({
      action: actionId,
      language: 'th',
      ...expected,
    })
  })

  test('of an unknown button the text counts', () => {
    expect(meaning('yes', { actionId: 'venue:gone' })).toMatchObject({ action: 'venue:gone', reply: 'YES', match: 'NONE' })
  })
})

describe('people', () => {
  test('a name and a position when asked for', () => {
    expect(meaning('Somchai, duty manager', { ...at, dialogue: 'ASKING_PERSON_NAME' })).toMatchObject({
      person: 'Somchai',
      position: 'Duty Manager',
    })
    expect(meaning('ผู้จัดการทั่วไปค่ะ', { ...at, dialogue: 'ASKING_POSITION' })).toMatchObject({ position: 'General Manager' })
  })

  test('a wish instead of a name is no name', () => {
    expect(meaning('the lobby music stopped', { ...at, dialogue: 'ASKING_PERSON_NAME' })).toMatchObject({
      person: null,
      intents: [{ kind: 'no_sound', zone: 'blue/Lobby' }],
    })
  })

  test('the phone on file is named with its contact', () => {
    const contact = {
      venue: 'blue',
      name: 'Blue Lagoon Pattaya',
      location: 'Beach Road, Pattaya',
      contact: 'Anna',
      position: 'General Manager',
    }
    expect(meaning('hello', { dialogue: 'INITIAL', phone: '66812345678' }).onFile).toEqual([contact])
    expect(meaning('hello', { dialogue: 'INITIAL', phone: '66800000000' }).onFile).toEqual([])
  })
})

describe('the matter', () => {
  test.each([
    ['The music in the lobby stopped playing this morning', 'Music stopped in lobby'],
    ['too loud at the drift', 'Music too loud in Drift Bar'],
    ['The remote control is lost. Please advise.', 'The remote control is lost'],
  ])('%s → %s', (text, issue) => {
    expect(meaning(text, { ...at, dialogue: 'ASKING_ISSUE' }).issue).toBe(issue)
  })

  test.each(['hello', 'Somchai', 'edge', 'talk to a human', 'Blue Lagoon Phuket'])('"%s" has none', text => {
    expect(meaning(text, at).issue).toBeNull()
  })
})

test('gives the venue settled with its zones', () => {
  expect(meaning('hello', at)).toMatchObject({
    venueName: 'Blue Lagoon Pattaya',
    venueLocation: 'Beach Road, Pattaya',
    zones: BLUE.map(({ zone, name }) => ({ zone, name })),
  })
  expect(meaning('hello', { venue: 'gone' })).toMatchObject({ venueName: null, venueLocation: null, zones: [] })
})

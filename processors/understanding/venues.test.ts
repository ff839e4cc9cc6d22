import { describe, expect, test } from 'vitest'
import { indexOf, profile, zones } from './testing/fixtures.ts'
import type { VenueIndex } from './venues.ts'

const chain = () =>
  indexOf(
    profile('pattaya', 'Blue Lagoon Pattaya', { location: 'Beach Road, Pattaya', zones: zones('pattaya', 'Edge', 'Lobby') }),
    profile('phuket', 'Blue Lagoon Phuket', { location: 'Patong' }),
    profile('lotus', 'Lotus Bay Hotel', { location: 'Krabi' }),
    profile('siam', 'Siam Terrace', { location: 'Sukhumvit 11, Bangkok', aliases: ['สยามเทอเรส', 'The Garden House'] }),
    profile('rain', 'เรือนไทย เชียงใหม่', { location: 'เชียงใหม่' }),
    profile('coral', 'Coral Spa', {}),
  )

const outcome = (index: VenueIndex, text: string, hints = {}) => {
  const { decision, candidates } = index.match(text, hints)
  return { decision, venues: candidates.map(candidate => candidate.venue), score: candidates[0]?.score }
}

describe('documented outcomes for well-formed names', () => {
  test.each(['Blue Lagoon Pattaya', 'blue lagoon pattaya', 'BLUE LAGOON PATTAYA'])('exact %s scores 1.0', text => {
    expect(outcome(chain(), text)).toMatchObject({ decision: 'EXACT', score: 1 })
  })

  test('a whole phrase of the name scores 0.9', () => {
    expect(outcome(chain(), 'Lotus Bay')).toEqual({ decision: 'LIKELY', venues: ['lotus'], score: 0.9 })
    expect(outcome(chain(), 'Blue Lagoon')).toEqual({ decision: 'AMBIGUOUS', venues: ['pattaya', 'phuket'], score: 0.9 })
  })

  test.each(['Blu Lagoon Pattaya', 'Blue Lagon Pataya', 'Blue Lagoon Beach Pattaya'])('%s is alike, 0.5–0.85', text => {
    const { decision, venues, score } = outcome(chain(), text)
    expect({ decision, first: venues[0] }).toEqual({ decision: 'LIKELY', first: 'pattaya' })
    expect(score).toBeGreaterThanOrEqual(0.5)
    expect(score).toBeLessThanOrEqual(0.85)
  })

  test.each(['hotel', 'restaurant', 'spa'])('a kind of venue in both adds 0.1: %s', kind => {
    const index = indexOf(profile('plain', 'Amber Falcon Krabi'), profile('kind', `Amber Falcon ${kind} Krabi`))
    const scores = new Map(index.match(`Amber Falcn ${kind} Krabi`).candidates.map(({ venue, score }) => [venue, score]))
    const alone = indexOf(profile('kind', `Amber Falcon ${kind} Krabi`)).match(`Amber Falcn Krabi`).candidates[0]!.score
    expect(scores.get('kind')).toBeGreaterThan(alone + 0.05)
    expect(scores.get('kind')).toBeLessThanOrEqual(1)
  })

  test('the sum is never above 1.0', () => {
    const index = indexOf(profile('v', 'Lotus Bay Hotel Krabi'))
    expect(outcome(index, 'Lotus Bay Hotel')).toEqual({ decision: 'LIKELY', venues: ['v'], score: 1 })
  })
})

describe('names in a sentence', () => {
  test.each([
    'Hi, I am from Blue Lagoon Pattaya. What is playing at Edge?',
    'ติดต่อจาก Blue Lagoon Pattaya ค่ะ',
    'no sound at Blue Lagoon Pattaya since this morning',
    'no, it is Blue Lagoon Pattaya',
    'bluelagoon pattaya calling',
    'Blue Lagoon, Pattaya',
    'this is Blue Lagoon Pattaya edge',
  ])('one whole name is exact: %s', text => {
    expect(outcome(chain(), text)).toMatchObject({ decision: 'EXACT', score: 1 })
    expect(outcome(chain(), text).venues[0]).toBe('pattaya')
  })

  test('says where the name stands', () => {
    const text = 'hi, i am from blue lagoon pattaya.'
    const { span } = chain().match(text)
    expect(text.slice(span!.start, span!.end)).toBe('blue lagoon pattaya')
  })

  test('a name with the city of its location is whole', () => {
    expect(outcome(chain(), 'I am from Lotus Bay Hotel Krabi')).toMatchObject({ decision: 'EXACT', venues: ['lotus'] })
  })

  test('the longer of two names wins', () => {
    const index = indexOf(profile('short', 'Blue Lagoon'), profile('long', 'Blue Lagoon Pattaya'))
    expect(outcome(index, 'i am from blue lagoon pattaya').venues[0]).toBe('long')
    expect(outcome(index, 'i am from blue lagoon')).toMatchObject({ decision: 'EXACT' })
    expect(outcome(index, 'i am from blue lagoon').venues[0]).toBe('short')
  })

  test('a brand alone is asked about, and never taken for one of its houses', () => {
    expect(outcome(chain(), 'I am from Blue Lagoon')).toMatchObject({ decision: 'AMBIGUOUS', venues: ['pattaya', 'phuket'] })
  })

  test('another city is another house', () => {
    const elsewhere = outcome(chain(), 'I am from Blue Lagoon Samui')
    expect(elsewhere.decision).toBe('AMBIGUOUS')
    expect(outcome(indexOf(profile('v', 'Blue Lagoon', { location: 'Pattaya' })), 'Blue Lagoon Samui').decision).toBe('NONE')
  })

  test('a denied name is not named', () => {
    expect(outcome(chain(), 'not Blue Lagoon Phuket, Blue Lagoon Pattaya').venues[0]).toBe('pattaya')
    expect(outcome(chain(), 'we are not Lotus Bay Hotel').decision).toBe('NONE')
  })

  test('two names are asked about', () => {
    expect(outcome(chain(), 'Blue Lagoon Pattaya and Siam Terrace')).toMatchObject({ decision: 'AMBIGUOUS' })
  })
})

describe('Thai', () => {
  test.each([
    ['สยามเทอเรส', 'siam', 'EXACT'],
    ['ติดต่อจากสยามเทอเรสค่ะ เพลงดัง', 'siam', 'EXACT'],
    ['เรือนไทย เชียงใหม่', 'rain', 'EXACT'],
    ['เรือนไทย', 'rain', 'LIKELY'],
    ['จากบลูลากูน พัทยา ครับ', 'pattaya', 'LIKELY'],
    ['โรงแรมโลตัสเบย์ กระบี่', 'lotus', 'LIKELY'],
    ['the garden house', 'siam', 'EXACT'],
  ])('%s is %s, %s', (text, venue, decision) => {
    const found = outcome(chain(), text)
    expect({ decision: found.decision, venue: found.venues[0] }).toEqual({ decision, venue })
  })
})

describe('what is no name', () => {
  const odd = () => indexOf(...['ok', 'Japan', 'Horizon', 'Music', 'Lobby', 'Hello', 'A'].map(name => profile(name, name)))

  test.each(['', 'a', 'ok', 'OK!', '?', 'yes', 'hello', 'music', 'thank you', 'ครับ', 'ใช่ค่ะ', '👍'])(
    '"%s" never matches',
    text => {
      for (const hints of [{}, { asking: true }, { strict: true }]) expect(odd().match(text, hints).decision).toBe('NONE')
    },
  )

  test('a venue called like a country is found when asked for', () => {
    expect(outcome(odd(), 'Japan', { asking: true })).toEqual({ decision: 'EXACT', venues: ['Japan'], score: 1 })
    expect(outcome(odd(), 'we are from Japan')).toMatchObject({ decision: 'EXACT', venues: ['Japan'] })
    expect(outcome(odd(), 'please play music from Japan', { strict: true }).decision).toBe('NONE')
  })

  test('a plain word inside a sentence is at most likely', () => {
    expect(outcome(odd(), 'the music is too loud at Horizon').decision).not.toBe('EXACT')
    expect(outcome(odd(), 'the music is too loud at Horizon', { strict: true }).decision).toBe('NONE')
  })

  test.each([
    'the music in the lobby stopped this morning',
    'can you turn it down a bit please, the guests are complaining',
    'เพลงที่ล็อบบี้ดับตั้งแต่เมื่อเช้าครับ',
    'Golden Heron Samui',
    'x'.repeat(5000),
  ])('no venue in "%.40s"', text => {
    expect(chain().match(text).decision).toBe('NONE')
  })
})

describe('choice among those offered', () => {
  test.each([
    ['Phuket', 'phuket'],
    ['the pattaya one please', 'pattaya'],
    ['เอาภูเก็ตค่ะ', 'phuket'],
    ['patong', 'phuket'],
    ['Blue Lagoon Phuket', 'phuket'],
  ])('%s', (text, venue) => {
    expect(
      chain()
        .choose(text, ['pattaya', 'phuket'])
        .candidates.map(candidate => candidate.venue),
    ).toEqual([venue])
  })

  test.each(['Blue Lagoon', 'yes', 'Samui', ''])('"%s" picks none', text => {
    expect(chain().choose(text, ['pattaya', 'phuket']).decision).toBe('NONE')
  })
})

describe('the index over time', () => {
  test('an updated venue is known by its new name only, a removed one by none', () => {
    const index = chain()
    index.upsert(profile('lotus', 'Amber Falcon', { aliases: ['อำพัน'] }))
    expect(index.match('Lotus Bay Hotel').decision).toBe('NONE')
    expect(index.match('Amber Falcon').decision).toBe('EXACT')
    index.upsert(profile('lotus', 'Amber Falcon', { removed: true }))
    expect(index.match('Amber Falcon').decision).toBe('NONE')
    expect(index.venue('lotus')).toBeNull()
    expect(index.size).toBe(5)
    for (const venue of ['pattaya', 'phuket', 'siam', 'rain', 'coral', 'unknown']) index.remove(venue)
    expect(index.size).toBe(0)
    expect(index.match('Blue Lagoon Pattaya').decision).toBe('NONE')
  })

  test('finds venues by the phone on file, in any writing', () => {
    const index = indexOf(
      profile('a', 'One Leaf', { contactPhone: '66812345678' }),
      profile('b', 'Two Leaf', { contactPhone: '+66 81 234 5678' }),
    )
    expect(index.byPhone('66812345678').map(({ venue }) => venue)).toEqual(['a', 'b'])
    index.upsert(profile('a', 'One Leaf', { contactPhone: '66899999999' }))
    expect(index.byPhone('66812345678').map(({ venue }) => venue)).toEqual(['b'])
    expect(index.byPhone('')).toEqual([])
    index.upsert(profile('m', 'Agave House', { contactPhone: '525512340101' }))
    expect(index.byPhone('5215512340101').map(({ venue }) => venue)).toEqual(['m'])
    expect(index.byPhone('5215512340102')).toEqual([])
  })

  test("the sender's venues come first among equals", () => {
    expect(outcome(chain(), 'Blue Lagoon', { near: ['phuket'] }).venues[0]).toBe('phuket')
  })
})

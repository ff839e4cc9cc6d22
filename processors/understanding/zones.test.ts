import { describe, expect, test } from 'vitest'
import { normalise } from './normalize.ts'
import { withoutZones, zonesIn, zonesOf } from './zones.ts'

const venue = [
  'Edge',
  'Horizon',
  'Drift Bar',
  'Lobby',
  'Pool',
  'Pool Bar',
  'Grand Ballroom',
  'Spa Treatment',
  'Spa Lounge',
  'Zone 2',
  'ครัวคุณยาย',
  'Main',
].map(name => ({ zone: name, name }))
const read = (text: string, zones = venue, offered: string[] = []) => {
  const { masked, mentions } = zonesIn(normalise(text), zones)
  return zonesOf(masked, mentions, zones, offered)
}
const one = { zone: null, zoneText: null, zoneChoices: [], allZones: false }

describe('zones of a venue', () => {
  test.each([
    ['edge', 'Edge'],
    ['EDGE', 'Edge'],
    ['the music at Edge is too loud', 'Edge'],
    ['drift', 'Drift Bar'],
    ['drift bar please', 'Drift Bar'],
    ['pool', 'Pool'],
    ['the pool bar', 'Pool Bar'],
    ['ที่สระว่ายน้ำ', 'Pool'],
    ['สระ', 'Pool'],
    ['ที่ล็อบบี้ค่ะ', 'Lobby'],
    ['โซนlobby เบาไป', 'Lobby'],
    ['ห้องบอลรูม', 'Grand Ballroom'],
    ['in the ballroom', 'Grand Ballroom'],
    ['the loby', 'Lobby'],
    ['horizn', 'Horizon'],
    ['ที่ฮอไรซอน', 'Horizon'],
    ['zone 2', 'Zone 2'],
    ['ครัวคุณยาย', 'ครัวคุณยาย'],
    ['the kitchen', 'ครัวคุณยาย'],
    ['spa lounge', 'Spa Lounge'],
    ['at main', 'Main'],
  ])('%s is %s', (text, zone) => {
    expect(read(text)).toEqual([{ ...one, zone }])
  })

  test('several that fit are choices', () => {
    expect(read('the spa')).toEqual([{ ...one, zoneText: 'spa', zoneChoices: ['Spa Treatment', 'Spa Lounge'] }])
    expect(read('สปา')).toEqual([{ ...one, zoneText: 'สปา', zoneChoices: ['Spa Treatment', 'Spa Lounge'] }])
  })

  test('of several, those offered are meant', () => {
    expect(read('the spa', venue, ['Spa Lounge', 'Edge'])).toEqual([{ ...one, zone: 'Spa Lounge' }])
  })

  test.each(['gym', 'zenith', 'rooftop'])('what is no zone of it stays words: %s', words => {
    expect(read(`too loud at the ${words}`)).toEqual([{ ...one, zoneText: words }])
  })

  test('several named are several', () => {
    expect(read('edge and the pool').map(({ zone }) => zone)).toEqual(['Edge', 'Pool'])
  })

  test.each(['all zones', 'everywhere', 'ทุกโซน', 'the whole hotel', 'all', 'are they all online'])('%s is all', text => {
    expect(read(text)).toEqual([{ ...one, allZones: true }])
  })

  test.each(['turn it down', 'the main thing is that it works', 'hello', 'ขอบคุณค่ะ', ''])('"%s" names none', text => {
    expect(read(text)).toEqual([one])
  })
})

test('the only zone of a venue needs no words, but other words are not taken for it', () => {
  const zones = [{ zone: 'z', name: 'Lobby' }]
  expect(read('turn it down', zones)).toEqual([{ ...one, zone: 'z' }])
  expect(read('too loud at Zenith', zones)).toEqual([{ ...one, zoneText: 'zenith' }])
})

test('masks the zones named, so that their words are not read as wishes', () => {
  const zones = [{ zone: 'z', name: 'Skip Bar' }]
  const found = zonesIn('play at skip bar, and the kitchen', zones)
  expect(found.masked.replace(/\s+/g, ' ')).toBe('play at §0 , and the kitchen §1 ')
  expect(withoutZones(found).replace(/\s+/g, ' ')).toBe('play at , and the kitchen ')
})

test('without a venue, zones are words', () => {
  expect(read('too loud at Horizon', [])).toEqual([{ ...one, zoneText: 'horizon' }])
  expect(read('เพลงที่ล็อบบี้ดัง', [])).toEqual([{ ...one, zoneText: 'ล็อบบี้' }])
})

import { describe, expect, test } from 'vitest'
import { normalise } from './normalize.ts'
import {
  canonicalAt,
  expectedShare,
  INTRODUCTIONS,
  isCommon,
  isGeneric,
  isNeverVenue,
  isPlace,
  isType,
  placeWithin,
} from './vocabulary.ts'
import common from './words/common.json' with { type: 'json' }
import places from './words/places.json' with { type: 'json' }
import venueWords from './words/venue-words.json' with { type: 'json' }

describe('word lists', () => {
  test.each(Object.entries(common))('%s has each word once, in one written form', (_, words) => {
    expect(words.filter((word, at) => words.indexOf(word) !== at)).toEqual([])
    expect(words.filter(word => normalise(word) !== word)).toEqual([])
  })

  test('every place has one name, and lies in a place that is known', () => {
    const names = places.map(place => place.name)
    expect(new Set(names).size).toBe(names.length)
    for (const place of places) if ('in' in place) expect(names).toContain(place.in)
    const forms = places.flatMap(place => [place.name, ...place.also])
    expect(forms.filter((form, at) => forms.indexOf(form) !== at)).toEqual([])
  })

  test('no word of a kind of venue is also a place or a translated word', () => {
    const groups = [venueWords.types, venueWords.generic, venueWords.pairs].flatMap(group => Object.keys(group))
    expect(groups.filter((word, at) => groups.indexOf(word) !== at || isPlace(word))).toEqual([])
  })

  test('introductions are made of words that say nothing about a venue', () => {
    const latin = INTRODUCTIONS.flat().filter(word => /^[a-z]+$/.test(word))
    expect(latin.filter(word => !isCommon(word))).toEqual([])
  })
})

test('brings translations and spellings of a place to one word', () => {
  expect(canonicalAt(['hua', 'hin', 'beach'], 0)).toEqual({ word: 'huahin', length: 2 })
  expect(canonicalAt(['พัทยา'], 0)).toEqual({ word: 'pattaya', length: 1 })
  expect(canonicalAt(['โรงแรม'], 0)).toEqual({ word: 'hotel', length: 1 })
  expect(canonicalAt(['lagoon'], 0)).toEqual({ word: 'lagoon', length: 1 })
})

test('knows the place around a place', () => {
  expect(placeWithin('jomtien')).toEqual(['jomtien', 'pattaya'])
  expect(placeWithin('pattaya')).toEqual(['pattaya'])
})

test('expects kinds of venue more often than cities, and cities more often than names', () => {
  expect(isType('hotel') && isGeneric('hotel') && isGeneric('resort') && !isType('resort')).toBe(true)
  expect(expectedShare('hotel')).toBeGreaterThan(expectedShare('pattaya'))
  expect(expectedShare('pattaya')).toBeGreaterThan(expectedShare('lagoon'))
})

test('numbers and times are common words', () => {
  expect(['8', '20', '6pm', '2nd'].every(isCommon)).toBe(true)
  expect(isNeverVenue('ok')).toBe(true)
})

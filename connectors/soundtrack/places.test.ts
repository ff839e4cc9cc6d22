import { describe, expect, it } from 'vitest'
import { locationsOf } from './places.ts'

type House = readonly [name: string, address?: string]

/** Which location each venue has, by name. */
function found(venues: readonly House[], places: readonly House[]): Record<string, string> {
  const named = venues.map(([name, address = '']) => ({ venue: name, name, address }))
  const there = places.map(([name, address = '']) => ({ location: name, locationName: name, locationAddress: address }))
  return Object.fromEntries(locationsOf(named, there))
}

describe('the location of a venue', () => {
  it.each<[string, House[], House[], Record<string, string>]>([
    [
      'has its name',
      [['Coral Sands'], ['Blue Heron']],
      [['CORAL-SANDS'], ['Blue Héron']],
      { 'Coral Sands': 'CORAL-SANDS', 'Blue Heron': 'Blue Héron' },
    ],
    [
      'has its name within its own',
      [['Coral Sands'], ['Blue Heron']],
      [['Reef: Coral Sands (main)']],
      { 'Coral Sands': 'Reef: Coral Sands (main)' },
    ],
    [
      'has its name in Thai',
      [['หาดทราย'], ['ลานนา']],
      [['โรงแรมหาดทราย'], ['โรงแรมลานนา']],
      { หาดทราย: 'โรงแรมหาดทราย', ลานนา: 'โรงแรมลานนา' },
    ],
    [
      'is at its address',
      [
        ['A House', 'Lane 101, Bangkok'],
        ['B House', 'Lane 102'],
      ],
      [
        ['One', 'Lane 101 Bangkok'],
        ['Two', 'Lane 102, Krabi'],
      ],
      { 'A House': 'One', 'B House': 'Two' },
    ],
    [
      'has a part of its name that no other has',
      [['Coral Sands Bangkok'], ['Coral Sands Krabi']],
      [['Krabi'], ['Bangkok']],
      { 'Coral Sands Bangkok': 'Bangkok', 'Coral Sands Krabi': 'Krabi' },
    ],
    [
      'of the same name goes before one that only holds it',
      [['Coral Sands'], ['Coral Sands Krabi']],
      [['Coral Sands Krabi'], ['Coral Sands']],
      { 'Coral Sands': 'Coral Sands', 'Coral Sands Krabi': 'Coral Sands Krabi' },
    ],
  ])('%s', (_, venues, places, expected) => {
    expect(found(venues, places)).toEqual(expected)
  })

  it.each<[string, House[], House[]]>([
    ['two of them fit', [['Coral Sands'], ['Blue Heron']], [['Coral Sands Pool'], ['Coral Sands Bar']]],
    ['it fits two venues', [['Coral Sands Bangkok'], ['Coral Sands Krabi']], [['Coral Sands']]],
    ['it says nothing', [['Coral Sands'], ['Blue Heron']], [['Main'], ['House 2']]],
    ['a name is too short to be told from others', [['Bar'], ['Blue Heron']], [['Rooftop Bar']]],
    [
      'all it says is where both are',
      [
        ['Coral Sands', 'Lane 1, Bangkok'],
        ['Blue Heron', 'Lane 2, Bangkok'],
      ],
      [['Bangkok']],
    ],
  ])('is not guessed where %s', (_, venues, places) => {
    expect(found(venues, places)).toEqual({})
  })
})

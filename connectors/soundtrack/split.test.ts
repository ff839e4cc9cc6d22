import { describe, expect, it } from 'vitest'
import type { WatchedVenue, ZoneReading, ZonesRead } from '../../schemas/types.ts'
import { split } from './split.ts'

const venue = (name: string, location: string | null = null): WatchedVenue => ({
  venue: name,
  location,
  urgent: false,
  name: null,
  address: null,
})
const zone = (name: string, location: string | null = null) => ({ zone: name, name, location }) as ZoneReading
const read = (zones: ZoneReading[], total: number | null = zones.length) => ({ zones, total }) as ZonesRead
const names = (venues: ReturnType<typeof split>['venues']) =>
  Object.fromEntries(venues.map(v => [v.venue, [v.zones.map(z => z.zone).join(), v.complete]]))

describe('split', () => {
  it('gives all zones to the only venue', () => {
    const { venues, unassigned } = split([venue('a')], read([zone('1'), zone('2', 'north')]), true)
    expect(names(venues)).toEqual({ a: ['1,2', true] })
    expect(unassigned).toBe(0)
  })

  it('gives zones to the venue of their location, and those of other locations to nobody', () => {
    const zones = [zone('1', 'north'), zone('2', 'south'), zone('3', 'north'), zone('4', 'elsewhere')]
    const { venues, unassigned, unclear } = split([venue('a', 'north'), venue('b', 'south')], read(zones), true)
    expect(names(venues)).toEqual({ a: ['1,3', true], b: ['2', true] })
    expect([unassigned, unclear]).toEqual([0, []])
  })

  it('does not guess between venues that name no location, or the same one', () => {
    const zones = [zone('1', 'north'), zone('2', 'south'), zone('3', 'east')]
    const watched = [venue('a', 'north'), venue('b'), venue('c', 'east'), venue('d', 'east')]
    const { venues, unassigned, unclear } = split(watched, read(zones), true)
    expect(names(venues)).toEqual({ a: ['1', true] })
    expect(unclear).toEqual(['b', 'c', 'd'])
    expect(unassigned).toBe(2)
  })

  it('finds the location of a venue by its name or address, where the account says them', () => {
    const named = (name: string, address = '') => ({ ...venue(name), name, address })
    const at = (zone: string, location: string, locationName: string, locationAddress: string | null = null) =>
      ({ zone, name: zone, location, locationName, locationAddress }) as ZoneReading
    const watched = [
      named('Coral Sands', 'Lane 101, Bangkok'),
      named('Blue Heron', 'Lane 102'),
      named('Lanna Inn'),
      venue('d', 'east'),
    ]
    const zones = [
      at('1', 'north', 'Reef Group – Coral Sands'),
      at('2', 'south', 'House 2', 'Lane 102, Krabi'),
      at('3', 'west', 'Lanna Inn'),
      at('4', 'east', 'Lanna Inn'),
    ]
    const found = split(watched, read(zones), true)
    expect(names(found.venues)).toEqual({
      'Coral Sands': ['1', true],
      'Blue Heron': ['2', true],
      'Lanna Inn': ['3', true],
      d: ['4', true],
    })
    expect([found.unclear, found.unassigned]).toEqual([[], 0])
    // A part of the account does not say whether there is another of that name.
    expect(split(watched, read(zones), false).unclear).toEqual(['Coral Sands', 'Blue Heron', 'Lanna Inn'])
  })

  it('takes no list for complete while the location of a zone is unknown', () => {
    const { venues, unassigned } = split([venue('a', 'north'), venue('b', 'south')], read([zone('1', 'north'), zone('2')]), true)
    expect(names(venues)).toEqual({ a: ['1', false] })
    expect(unassigned).toBe(1)
  })

  it('takes no list for complete that misses zones, or is a part', () => {
    expect(names(split([venue('a')], read([zone('1')], null), true).venues)).toEqual({ a: ['1', false] })
    expect(names(split([venue('a')], read([zone('1')], 2), false).venues)).toEqual({ a: ['1', false] })
    const part = split([venue('a', 'north'), venue('b', 'south')], read([zone('1', 'north')], 2), false)
    expect(names(part.venues)).toEqual({ a: ['1', true] })
  })

  it('tells a venue that it has no zones, once everything was read', () => {
    expect(names(split([venue('a', 'north')], read([zone('1', 'south')]), true).venues)).toEqual({ a: ['', true] })
  })
})

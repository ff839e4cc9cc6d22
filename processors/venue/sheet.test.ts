import { describe, expect, it } from 'vitest'
import type { KitStep } from '../../engine/testing/testkit.ts'
import { answers, events, MINUTE, NOW, of, playing, profile, venue } from './testing/fixture.ts'

const watches = (step: KitStep) =>
  step.emits.filter(emit => emit.type === 'WatchVenue').map(({ key, record }) => [key, record.location, record.stop])

describe('a row of the sheet', () => {
  it('makes a venue, its profile with the source of each field, and has its account watched', () => {
    const scene = venue()
    scene.kit.handle('ZoneSnapshot', { account: 'other', zones: [playing('z1')], asOf: NOW })
    const row = {
      location: 'Pattaya',
      contactPhone: '081 234 5678',
      priorityLevel: 'high',
      soundtrackLocation: 'loc',
      volumeCap: 12,
      zoneCount: 4,
    }
    const step = scene.row(row)
    expect(profile(step)).toMatchObject({
      venue: 'main:v1',
      name: 'Blue Lagoon',
      location: 'Pattaya',
      contactPhone: '66812345678',
      volumeCap: 12,
      zones: [],
      removed: false,
      provenance: expect.arrayContaining([{ field: 'location', source: 'sheets', at: expect.any(Number) }]),
    })
    expect(events(step)).toMatchObject([{ kind: 'CHANGED' }])
    expect(watches(step)).toEqual([['acc', 'loc', false]])
    expect(of(step, 'WatchVenue')).toMatchObject([{ venue: 'main:v1', account: 'acc', priority: 'high', zones: 4 }])
  })

  it('that says the same again says nothing', () => {
    expect(venue([playing('z1')]).row().emits).toEqual([])
  })

  it('names the fields that have changed', () => {
    const step = venue().row({ slaTier: 'gold', notes: 'quiet after ten' })
    expect(events(step)).toMatchObject([{ kind: 'CHANGED', detail: 'notes, slaTier' }])
    expect(watches(step)).toEqual([])
  })

  it('with another name or address tells it to whoever tells the locations of the account apart', () => {
    const step = venue([playing('z1')]).row({ name: 'Blue Lagoon Bar', location: 'Pattaya' })
    expect(of(step, 'WatchVenue')).toMatchObject([{ account: 'acc', name: 'Blue Lagoon Bar', address: 'Pattaya' }])
    expect(profile(step).zones).toHaveLength(1)
  })

  it('whose cells could not be read leaves what was known of them, and only of them', () => {
    const scene = venue([], {}, { contactPhone: '+66812345678', lastIssueDate: '2026-05-14', notes: 'old', volumeCap: 12 })
    const step = scene.row({ contactPhone: null, lastIssueDate: null, volumeCap: null, unread: ['contactPhone', 'volumeCap'] })
    expect(profile(step)).toMatchObject({ contactPhone: '66812345678', lastIssueDate: null, notes: 'old', volumeCap: 12 })
    expect(events(step)).toMatchObject([{ detail: 'lastIssueDate' }])
  })

  it('whose name could not be read keeps it, and a new venue takes what is there', () => {
    const scene = venue([], {}, { name: 'Blue Lagoon, Pattaya' })
    scene.row({ name: 'Blue Lagoon', unread: ['name'] })
    expect(scene.kit.state?.name).toBe('Blue Lagoon, Pattaya')
    expect(venue([], {}, { name: 'Lotus Bay', unread: ['name', 'location'] }).kit.state).toMatchObject({
      name: 'Lotus Bay',
      location: '',
    })
  })

  it('whose cell could not be read leaves what lies below an override', () => {
    const scene = venue([], {}, { location: 'Pattaya' })
    const override = { by: 'nok', reason: 'test', at: NOW }
    scene.kit.handle('VenueOverride', { ...override, id: 'o1', field: 'location', value: '"Jomtien"' })
    scene.row({ location: '', unread: ['location'] })
    scene.kit.handle('VenueOverride', { ...override, id: 'o2', field: 'location', value: null })
    expect(scene.kit.state?.location).toBe('Pattaya')
  })

  it('with another account stops the old one and forgets its zones', () => {
    const scene = venue([playing('z1')])
    const step = scene.row({ soundtrackAccount: 'acc2' })
    expect(watches(step)).toEqual([
      ['acc', null, true],
      ['acc2', null, false],
    ])
    expect(profile(step).zones).toEqual([])
    expect(scene.read([playing('z1')]).emits).toEqual([])
  })

  it('with another priority has the account watched by it and keeps the zones', () => {
    const step = venue([playing('z1')]).row({ priorityLevel: 'critical' })
    expect(of(step, 'WatchVenue')).toMatchObject([{ account: 'acc', priority: 'critical', stop: false }])
    expect(profile(step).zones).toHaveLength(1)
  })

  it('that has gone keeps the venue, marked as removed, and stops the watching', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    const step = scene.row({ removed: true, name: '' })
    expect(profile(step)).toMatchObject({ name: 'Blue Lagoon', removed: true })
    expect(events(step, 'REMOVED')).toHaveLength(1)
    expect(watches(step)).toEqual([['acc', null, true]])
    expect(answers(step)).toMatchObject([{ outcome: 'UNKNOWN', reason: 'no_zone' }])
    expect(scene.kit.timers).toEqual([])
    expect(watches(scene.row())).toEqual([['acc', null, false]])
    expect(scene.kit.state?.removed).toBe(false)
  })

  it('that has gone before it was known is nothing', () => {
    const scene = venue()
    scene.row({ removed: true })
    expect(scene.row({ removed: true }).emits).toEqual([])
  })
})

describe('the profile', () => {
  it('is written when people see something else: a track, a volume, a status', () => {
    const scene = venue([playing('z1')])
    expect(profile(scene.read([playing('z1', { volume: 9 })])).zones).toMatchObject([{ volume: 9 }])
    expect(profile(scene.read([playing('z1', { volume: 9, track: 'Fast Lane' })])).zones).toMatchObject([{ track: 'Fast Lane' }])
  })

  it('is not written for a reading that shows the same, but every hour for its time', () => {
    const scene = venue([playing('z1')])
    const written = scene.kit.now
    const asOf: number[] = []
    for (let n = 0; n < 27; n++) {
      scene.kit.advance(5 * MINUTE)
      const step = scene.read([playing('z1')])
      if (profile(step) !== undefined) {
        asOf.push(profile(step).zones[0].asOf - written)
        expect(profile(step).updatedAt).toBeLessThanOrEqual(written)
      }
    }
    expect(asOf).toHaveLength(2)
    expect(asOf[0]).toBeGreaterThanOrEqual(60 * MINUTE)
  })

  it('is not written for what is under way', () => {
    const scene = venue([playing('z1')])
    expect(profile(scene.ask('PAUSE', ['z1']))).toBeUndefined()
    expect(profile(scene.unread('provider_down'))).toBeUndefined()
  })
})

import { describe, expect, it } from 'vitest'
import { recordSchema } from '../../schemas/index.ts'
import { alertsOf, answers, MINUTE, playing, profile, venue } from './testing/fixture.ts'

const LIMIT = 16 * 1024
const THAI = 'เพลงที่เปิดอยู่ในล็อบบี้ของโรงแรมตอนนี้'
/** Ids as long as the provider's. */
const id = (n: number) => `U291bmRab25l${String(n).padStart(3, '0')}`.padEnd(88, 'x')
const zones = (count: number, name = 'Zone') =>
  Array.from({ length: count }, (_, n) =>
    playing(id(n), { name: `${name} ${String(n).padStart(3, '0')}`, track: `${THAI} ${n}`, artist: THAI, source: THAI }),
  )
const FULL_ROW = {
  name: THAI,
  location: THAI.repeat(3),
  contactName: THAI,
  contactEmail: 'front.desk@blue-lagoon.example',
  contactPhone: '0812345678',
  contactPosition: THAI,
  soundtrackLocation: 'L'.repeat(66),
  zoneCount: 60,
  subscriptionStatus: 'active',
  lastIssueDate: '2025-06-01',
  notes: THAI.repeat(50),
  priorityLevel: 'critical',
  slaTier: 'gold',
  aliases: Array.from({ length: 20 }, (_, n) => `${THAI}${n}`),
}
const size = (state: unknown) => recordSchema('VenueState').type.toBuffer(state).length

describe('a venue with very many zones', () => {
  it('stays within the limit of a state, texts cut shorter, with requests for all of them under way', () => {
    const scene = venue(zones(60, THAI), {}, FULL_ROW)
    expect(scene.kit.state?.zones).toHaveLength(60)
    for (let n = 0; n < 25; n++) scene.ask('PAUSE', [], { durationMs: MINUTE })
    scene.kit.advance(MINUTE)
    for (let n = 0; n < 25; n++) scene.ask('STATUS', [], { conversation: 'c'.repeat(64) })
    expect(size(scene.kit.state)).toBeLessThanOrEqual(LIMIT)
    expect(answers(scene.ask('STATUS'))).toMatchObject([{ outcome: 'REFUSED', reason: 'busy' }])
  })

  it('still shows what plays, and takes a request for all', () => {
    const scene = venue(zones(60))
    const [answer] = answers(scene.ask('WHAT_PLAYING'))
    expect(answer.zones.every((zone: { track: string | null }) => (zone.track ?? '').length > 1)).toBe(true)
    expect(answers(scene.ask('PAUSE'))).toEqual([])
    expect(scene.kit.state?.zones.every(zone => zone.job !== null)).toBe(true)
    expect(size(scene.kit.state)).toBeLessThanOrEqual(LIMIT)
  })

  it('keeps the first 60 by name and tells operations once how many are left out', () => {
    const scene = venue()
    const step = scene.read(zones(63).reverse())
    expect(profile(step).zones).toHaveLength(60)
    expect(profile(step).zones[59].name).toBe('Zone 059')
    expect(alertsOf(step)).toMatchObject([{ kind: 'too_many_zones', department: 'OPERATIONS', resolved: false }])
    expect(alertsOf(step)[0].text).toContain('3 beyond the first 60')
    expect(alertsOf(scene.read(zones(63)))).toEqual([])
    expect(alertsOf(scene.read(zones(10)))).toMatchObject([{ kind: 'too_many_zones', resolved: true }])
  })

  it('is cut in nothing while it is small', () => {
    const scene = venue([playing('z1', { track: THAI.slice(0, 30) })], {}, { notes: 'n'.repeat(900) })
    expect(scene.zone('z1')?.track).toBe(THAI.slice(0, 30))
    expect(scene.kit.state?.notes).toHaveLength(900)
  })
})

describe('zones of the account', () => {
  it('that a complete reading no longer shows are gone; a reading of one zone takes none away', () => {
    const scene = venue([playing('z1'), playing('z2')])
    scene.readOne(playing('z1'))
    expect(scene.kit.state?.zones).toHaveLength(2)
    expect(profile(scene.read([playing('z2')])).zones).toMatchObject([{ zone: 'z2' }])
  })

  it('are not made of a reading that failed', () => {
    const scene = venue([playing('z1')])
    scene.readOne({ zone: 'z9', name: '', error: 'Forbidden' })
    expect(scene.kit.state?.zones.map(zone => zone.zone)).toEqual(['z1'])
  })

  it('are not wiped by an empty reading', () => {
    const scene = venue([playing('z1')])
    scene.read([])
    expect(scene.kit.state?.zones).toHaveLength(1)
  })

  it('of another account are not this venue’s', () => {
    expect(venue([playing('z1')]).read([playing('z9')], { account: 'other' }).emits).toEqual([])
  })
})

import { describe, expect, it } from 'vitest'
import { events, MINUTE, offline, playing, venue } from './testing/fixture.ts'

/** A reading that is told, and stands for an hour and a half. */
const told = (scene: ReturnType<typeof venue>, zones = [playing('z1'), playing('z2')]) =>
  scene.read(zones, { standsUntil: scene.kit.now + 90 * MINUTE })
const statuses = (scene: ReturnType<typeof venue>) => scene.kit.state?.zones.map(zone => zone.status)

describe('a reading that stands', () => {
  it('is believed for as long as it says, though nothing else is told, and not longer', () => {
    const scene = venue()
    told(scene)
    const until = scene.kit.state?.standsUntil ?? 0
    const due = scene.kit.timers.find(timer => timer.name === 'unread')?.at
    expect(due).toBe(until + 1)
    // A reading of one zone says nothing of the other.
    scene.kit.advance(60 * MINUTE)
    scene.readOne(playing('z1', { volume: 3 }))
    expect(statuses(scene)).toEqual(['ONLINE', 'ONLINE'])
    scene.kit.fire('unread')
    expect(statuses(scene)).toEqual(['UNKNOWN', 'UNKNOWN'])
  })

  it('does not stand for a zone that it could not read', () => {
    const scene = venue([playing('z1'), playing('z2')])
    scene.kit.advance(MINUTE)
    scene.read([playing('z1')], { complete: false, standsUntil: scene.kit.now + 90 * MINUTE })
    scene.kit.advance(16 * MINUTE)
    scene.readOne(playing('z1'))
    expect(statuses(scene)).toEqual(['ONLINE', 'UNKNOWN'])
  })

  it('ends with a failure: from the last time that all was the same, the time of unknown counts', () => {
    const scene = venue()
    told(scene)
    scene.kit.advance(60 * MINUTE)
    const sameAsOf = scene.kit.now - 4 * MINUTE
    const step = scene.read([], { error: 'provider_down', complete: false, sameAsOf })
    expect(statuses(scene)).toEqual(['ONLINE', 'ONLINE'])
    expect(scene.kit.state?.zones.map(zone => [zone.asOf, zone.lastSeen])).toEqual([
      [sameAsOf, sameAsOf],
      [sameAsOf, sameAsOf],
    ])
    expect(events(step, 'CHANGED')).toEqual([])
    expect(scene.kit.timers.find(timer => timer.name === 'unread')?.at).toBe(sameAsOf + 15 * MINUTE + 1)
    scene.kit.fire('unread')
    expect(statuses(scene)).toEqual(['UNKNOWN', 'UNKNOWN'])
  })

  it('that one reading alone calls offline is not confirmed by a failure', () => {
    const scene = venue()
    told(scene)
    scene.kit.advance(MINUTE)
    told(scene, [offline('z1'), playing('z2')])
    const suspect = scene.zone('z1')
    scene.kit.advance(10 * MINUTE)
    scene.read([], { error: 'provider_down', complete: false, sameAsOf: scene.kit.now - MINUTE })
    expect(scene.zone('z1')).toMatchObject({ status: 'ONLINE', suspectAt: suspect?.suspectAt, asOf: suspect?.asOf })
  })
})

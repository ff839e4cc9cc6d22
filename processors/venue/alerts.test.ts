import { describe, expect, it } from 'vitest'
import { alertsOf, events, MINUTE, offline, playing, polls, SECOND, venue } from './testing/fixture.ts'

const both = (first: ReturnType<typeof playing>) => [first, playing('z2')]

/** A venue of two zones, the first of which is offline by two readings. */
function withOneOff() {
  const scene = venue(both(playing('z1')))
  scene.read(both(offline('z1')))
  scene.read(both(offline('z1')))
  return scene
}

describe('zones on and off line', () => {
  it('a check that failed changes nothing but its age: unknown is not offline', () => {
    const scene = venue([playing('z1')])
    for (const error of ['provider_down', 'provider_slow', 'forbidden']) scene.unread(error)
    scene.read([playing('z1', { error: 'Not found', online: null })])
    expect(scene.zone('z1')?.status).toBe('ONLINE')
    scene.kit.advance(16 * MINUTE)
    expect(events(scene.unread('provider_down'))).toMatchObject([{ kind: 'ZONE_UNKNOWN', zone: 'z1' }])
    expect(scene.kit.timers.map(timer => timer.name)).not.toContain('offline:z1')
  })

  it('a zone that nobody reads at all becomes unknown by itself', () => {
    const scene = venue(both(playing('z1')))
    scene.kit.advance(10 * MINUTE)
    scene.readOne(playing('z2'))
    expect(events(scene.kit.fire('unread'))).toMatchObject([
      { kind: 'ZONE_UNKNOWN', zone: 'z1' },
      { kind: 'ZONE_UNKNOWN', zone: 'z2' },
    ])
    expect(scene.zone('z1')).toMatchObject({ status: 'UNKNOWN', asOf: expect.any(Number), lastSeen: expect.any(Number) })
  })

  it('each zone becomes unknown in its own time, whatever the clock of the provider says', () => {
    const scene = venue(both(playing('z1')))
    scene.read([playing('z2')], { complete: false, asOf: scene.kit.now + 2 * MINUTE })
    expect(events(scene.kit.fire('unread'))).toMatchObject([{ zone: 'z1' }])
    expect(events(scene.kit.fire('unread'))).toMatchObject([{ zone: 'z2' }])
    expect(scene.kit.timers).toEqual([])
  })

  it('are recorded when they change, by two readings for offline', () => {
    const scene = venue(both(playing('z1')))
    expect(events(scene.read(both(offline('z1'))))).toEqual([])
    expect(events(scene.read(both(offline('z1', { paired: false }))))).toMatchObject([
      { kind: 'ZONE_OFFLINE', zone: 'z1', detail: 'unpaired' },
    ])
    expect(events(scene.read(both(playing('z1'))))).toMatchObject([{ kind: 'ZONE_ONLINE', zone: 'z1' }])
  })

  it('a suspect zone is read again within 30 s, until it is clear', () => {
    const scene = venue(both(playing('z1')))
    scene.read(both(offline('z1')))
    const suspect = scene.kit.now
    expect(polls(scene.kit.fire('look'))).toMatchObject([{ zone: 'z1', reason: 'flapping' }])
    expect(scene.kit.now - suspect).toBeLessThanOrEqual(30 * SECOND)
    scene.readOne(offline('z1'))
    expect(polls(scene.kit.fire('look'))).toEqual([])
    expect(scene.kit.timers.map(timer => timer.name)).not.toContain('look')
  })

  it('a flapping zone is read at most 30 s apart', () => {
    const scene = venue(both(playing('z1')))
    for (const reading of [offline('z1'), playing('z1'), offline('z1'), playing('z1')]) scene.read(both(reading))
    const looks: number[] = []
    for (let n = 0; n < 3; n++) {
      const before = scene.kit.now
      expect(polls(scene.kit.fire('look'))).toMatchObject([{ reason: 'flapping' }])
      looks.push(scene.kit.now - before)
      scene.readOne(playing('z1'))
    }
    expect(Math.max(...looks)).toBeLessThanOrEqual(30 * SECOND)
    scene.kit.advance(11 * MINUTE)
    expect(polls(scene.kit.fire('look'))).toEqual([])
  })
})

describe('an offline alert', () => {
  it('comes 15 min after the zone went offline, names it, and is resolved when it is back', () => {
    const scene = withOneOff()
    const since = scene.zone('z1')?.since ?? 0
    const step = scene.kit.fire('offline:z1')
    expect(scene.kit.now - since).toBe(15 * MINUTE)
    expect(alertsOf(step)).toMatchObject([
      { department: 'OPERATIONS', priority: 'HIGH', kind: 'zone_offline', venue: 'main:v1', resolved: false },
    ])
    const [raised] = alertsOf(step)
    expect(raised.text).toContain('Zone z1 at Blue Lagoon has been offline since 20')
    expect(alertsOf(scene.read(both(playing('z1'))))).toMatchObject([{ id: raised.id, resolved: true }])
  })

  it('does not come for a zone that is back in time', () => {
    const scene = withOneOff()
    expect(alertsOf(scene.read(both(playing('z1'))))).toEqual([])
    expect(scene.kit.timers.map(timer => timer.name)).not.toContain('offline:z1')
  })

  it('comes again at the earliest 60 min after the last', () => {
    const scene = withOneOff()
    scene.kit.fire('offline:z1')
    const first = scene.kit.now
    scene.read(both(playing('z1')))
    scene.read(both(offline('z1')))
    scene.read(both(offline('z1')))
    expect(alertsOf(scene.kit.fire('offline:z1'))).toEqual([])
    expect(alertsOf(scene.kit.fire('offline:z1'))).toHaveLength(1)
    expect(scene.kit.now - first).toBe(60 * MINUTE)
  })

  it('is critical, and one alone, when no zone is left', () => {
    const scene = withOneOff()
    scene.read([offline('z1'), offline('z2')])
    scene.read([offline('z1'), offline('z2')])
    expect(alertsOf(scene.kit.fire('offline:z1'))).toMatchObject([
      { priority: 'CRITICAL', kind: 'all_zones_offline', text: 'all 2 zones of Blue Lagoon offline' },
    ])
    expect(alertsOf(scene.kit.fire('offline:z2'))).toEqual([])
    expect(scene.kit.timers.map(timer => timer.name).filter(name => name.startsWith('offline'))).toEqual([])
    expect(alertsOf(scene.read([offline('z1'), playing('z2')]))).toMatchObject([{ kind: 'all_zones_offline', resolved: true }])
    expect(alertsOf(scene.kit.fire('offline:z1'))).toMatchObject([{ priority: 'HIGH', kind: 'zone_offline' }])
  })

  it('does not come for a zone that was never set up', () => {
    const scene = venue(both(offline('z1', { paired: false })))
    scene.read(both(offline('z1', { paired: false })))
    expect(alertsOf(scene.kit.fire('offline:z1'))).toEqual([])
  })

  it('is taken back when the zone is no longer there', () => {
    const scene = withOneOff()
    scene.kit.fire('offline:z1')
    expect(alertsOf(scene.read([playing('z2')]))).toMatchObject([{ kind: 'zone_offline', resolved: true }])
  })

  it('takes 15 min and 60 min from the settings, divided by the time scale', () => {
    const scene = venue(both(playing('z1')), { offlineAlertMs: 10 * MINUTE, timeScale: 10 })
    scene.read(both(offline('z1')))
    scene.read(both(offline('z1')))
    const since = scene.zone('z1')?.since ?? 0
    expect(alertsOf(scene.kit.fire('offline:z1'))).toHaveLength(1)
    expect(scene.kit.now - since).toBe(MINUTE)
  })
})

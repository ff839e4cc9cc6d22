import { describe, expect, it } from 'vitest'
import { answers, commands, events, MINUTE, NOW, of, offline, playing, polls, SECOND, venue } from './testing/fixture.ts'

describe('a question', () => {
  it('is answered at once from a reading younger than 30 s', () => {
    const scene = venue([playing('z1'), playing('z2')])
    scene.kit.advance(29 * SECOND)
    const step = scene.ask('WHAT_PLAYING', ['z1'])
    expect(answers(step)).toMatchObject([
      {
        request: 'r1',
        venueName: 'Blue Lagoon',
        kind: 'WHAT_PLAYING',
        outcome: 'CONFIRMED',
        final: true,
        zones: [{ zone: 'z1', status: 'ONLINE', track: 'Slow Tide', artist: 'The Sandbars', volume: 8 }],
      },
    ])
    expect(polls(step)).toEqual([])
    expect(events(step, 'REQUEST')).toMatchObject([{ request: 'r1', detail: 'WHAT_PLAYING' }])
  })

  it('about one zone has that zone read, and is answered by the reading', () => {
    const scene = venue([playing('z1'), playing('z2')])
    scene.kit.advance(MINUTE)
    const step = scene.ask('STATUS', ['z1'])
    expect(answers(step)).toEqual([])
    expect(polls(step)).toMatchObject([{ account: 'acc', zone: 'z1', reason: 'talking' }])
    expect(step.emits.find(emit => emit.type === 'PollSooner')?.key).toBe('acc:z1')
    expect(answers(scene.readOne(playing('z2')))).toEqual([])
    expect(answers(scene.readOne(playing('z1', { volume: 3 })))).toMatchObject([{ outcome: 'CONFIRMED', zones: [{ volume: 3 }] }])
    expect(scene.kit.timers.some(timer => timer.name.startsWith('request'))).toBe(false)
  })

  it('about several zones has the account read', () => {
    const scene = venue([playing('z1'), playing('z2')])
    scene.kit.advance(MINUTE)
    expect(polls(scene.ask('LIST_ZONES'))).toMatchObject([{ account: 'acc', zone: null }])
    const [answer] = answers(scene.read([playing('z1'), playing('z2')]))
    expect(answer.zones.map((zone: { zone: string }) => zone.zone)).toEqual(['z1', 'z2'])
  })

  it('that names a few zones has each of them read, and not the account', () => {
    const scene = venue([playing('z1'), playing('z2'), playing('z3')])
    scene.kit.advance(MINUTE)
    expect(polls(scene.ask('STATUS', ['z1', 'z2'])).map(poll => poll.zone)).toEqual(['z1', 'z2'])
    expect(answers(scene.readOne(playing('z1')))).toEqual([])
    expect(answers(scene.readOne(playing('z2')))).toMatchObject([
      { outcome: 'CONFIRMED', zones: [{ zone: 'z1' }, { zone: 'z2' }] },
    ])
  })

  it('about a venue never read waits for its first reading', () => {
    const scene = venue()
    expect(answers(scene.ask('LIST_ZONES'))).toEqual([])
    expect(answers(scene.read([playing('z1')]))).toMatchObject([{ outcome: 'CONFIRMED', zones: [{ zone: 'z1' }] }])
  })

  it('of a venue whose zones cannot be told from others is answered at once, and so is a wish', () => {
    const scene = venue()
    const told = scene.unread('ambiguous')
    expect(of(told, 'VenueProfile')).toMatchObject([{ zones: [], readError: 'ambiguous' }])
    expect(of(told, 'WatchVenue')).toMatchObject([{ account: 'acc', name: 'Blue Lagoon' }])
    for (const kind of ['LIST_ZONES', 'WHAT_PLAYING', 'PAUSE'] as const) {
      const step = scene.ask(kind)
      expect(answers(step)).toMatchObject([{ outcome: 'REFUSED', reason: 'ambiguous', final: true }])
      expect(polls(step)).toEqual([])
    }
    expect(of(scene.read([playing('z1')]), 'VenueProfile')).toMatchObject([{ readError: '' }])
    expect(answers(scene.ask('LIST_ZONES'))).toMatchObject([{ outcome: 'CONFIRMED', zones: [{ zone: 'z1' }] }])
  })

  it('about a zone that one reading calls offline waits for the second', () => {
    const scene = venue([playing('z1')])
    scene.read([offline('z1')])
    expect(answers(scene.ask('STATUS', ['z1']))).toEqual([])
    expect(answers(scene.readOne(offline('z1')))).toMatchObject([{ outcome: 'CONFIRMED', zones: [{ status: 'OFFLINE' }] }])
  })

  it('never says online or offline of a zone that is suspect', () => {
    const scene = venue([playing('z1')])
    scene.read([offline('z1')])
    scene.ask('STATUS', ['z1'])
    expect(scene.fireUntil(({ final }) => final)).toMatchObject({ outcome: 'UNVERIFIED', zones: [{ status: 'UNKNOWN' }] })
  })

  it.each(['provider_down', 'provider_slow', 'rate_limited'])(
    'that cannot be read (%s) gets the last known status with its time and the reason',
    error => {
      const scene = venue([playing('z1')])
      const asOf = scene.zone('z1')?.asOf
      scene.kit.advance(5 * MINUTE)
      scene.ask('STATUS')
      expect(answers(scene.unread(error))).toMatchObject([
        { outcome: 'UNVERIFIED', reason: error, final: true, zones: [{ status: 'ONLINE', volume: 8, asOf }] },
      ])
    },
  )

  it('without any reading gets a first word in 15 s and the last known status by 25 s', () => {
    const scene = venue([playing('z1')])
    scene.kit.advance(MINUTE)
    scene.ask('STATUS')
    const asked = scene.kit.now
    expect(answers(scene.kit.fire('request:1'))).toMatchObject([{ outcome: 'PENDING', reason: 'provider_slow', final: false }])
    expect(scene.kit.now - asked).toBe(15 * SECOND)
    expect(answers(scene.kit.fire('request:1'))).toMatchObject([
      { outcome: 'UNVERIFIED', reason: 'provider_slow', zones: [{ status: 'ONLINE' }] },
    ])
    expect(scene.kit.now - asked).toBe(25 * SECOND)
  })

  it('about a zone that the provider does not show us says so', () => {
    const scene = venue([playing('z1')])
    scene.read([playing('z1', { error: 'Forbidden', online: null })])
    scene.ask('STATUS', ['z1'])
    const step = scene.readOne(playing('z1', { error: 'Forbidden', online: null }))
    expect(answers(step)).toMatchObject([{ outcome: 'UNVERIFIED', reason: 'forbidden', zones: [{ status: 'ONLINE' }] }])
  })

  it('about a zone that failed before is not answered by the reading of another', () => {
    const scene = venue([playing('z1'), playing('z2')])
    scene.readOne(playing('z1', { error: 'Forbidden', online: null }))
    scene.ask('STATUS', ['z1'])
    expect(answers(scene.readOne(playing('z2')))).toEqual([])
    expect(answers(scene.readOne(playing('z1')))).toMatchObject([{ outcome: 'CONFIRMED' }])
  })

  it('old readings are shown as unknown, with their time', () => {
    const scene = venue([playing('z1')])
    scene.kit.advance(16 * MINUTE)
    scene.ask('STATUS')
    expect(answers(scene.unread('provider_down'))).toMatchObject([{ zones: [{ status: 'UNKNOWN', asOf: expect.any(Number) }] }])
  })

  it('about what plays is not answered by a reading that does not say it', () => {
    const scene = venue([playing('z1')])
    const light = { detail: false, track: null, artist: null, trackStartedAt: null, subscription: null, statusCode: null }
    scene.readOne(playing('z1', light))
    expect(answers(scene.ask('STATUS', ['z1']))).toMatchObject([{ outcome: 'CONFIRMED' }])
    expect(polls(scene.ask('WHAT_PLAYING', ['z1']))).toMatchObject([{ zone: 'z1' }])
    expect(answers(scene.readOne(playing('z1', light)))).toEqual([])
    expect(answers(scene.readOne(playing('z1', { track: 'Fast Lane' })))).toMatchObject([{ zones: [{ track: 'Fast Lane' }] }])
  })

  it('has the zone read at most 30 s apart for three minutes', () => {
    const scene = venue([playing('z1'), playing('z2')])
    scene.ask('STATUS', ['z1'])
    const asked = scene.kit.now
    let last = asked
    for (;;) {
      const step = scene.kit.fire('look')
      if (polls(step).length === 0) break
      expect(step.emits).toMatchObject([{ key: 'acc:z1', record: { zone: 'z1', reason: 'talking' } }])
      expect(scene.kit.now - last).toBeLessThanOrEqual(30 * SECOND)
      last = scene.kit.now
    }
    expect(last - asked).toBeGreaterThan(150 * SECOND)
  })

  it('of nobody is answered to nobody', () => {
    expect(answers(venue([playing('z1')]).ask('STATUS', [], { conversation: null }))).toEqual([])
  })
})

describe('a control request is refused', () => {
  const refused = (reason: string, outcome = 'REFUSED') => [{ outcome, reason, final: true, command: null }]

  it('below the trust that control needs, while questions are answered', () => {
    const scene = venue([playing('z1')])
    const step = scene.ask('PAUSE', ['z1'], { trust: 'CLAIMED' })
    expect(answers(step)).toMatchObject(refused('trust'))
    expect(commands(step)).toEqual([])
    expect(events(step, 'REQUEST')).toMatchObject([
      { outcome: 'REFUSED', detail: 'PAUSE: trust', action: 'PAUSE', reason: 'trust' },
    ])
    expect(answers(scene.ask('STATUS', ['z1'], { trust: 'CLAIMED' }))).toMatchObject([{ outcome: 'CONFIRMED' }])
  })

  it('by a venue that asks for more trust', () => {
    const scene = venue([playing('z1')], { controlTrust: 'BOUND' })
    expect(answers(scene.ask('PAUSE', ['z1']))).toMatchObject(refused('trust'))
    expect(commands(scene.ask('PAUSE', ['z1'], { trust: 'BOUND' }))).toHaveLength(1)
  })

  it('when it is older than 10 minutes: asked about, not done', () => {
    const scene = venue([playing('z1')])
    const step = scene.ask('PAUSE', ['z1'], { requestedAt: scene.kit.now - 11 * MINUTE })
    expect(answers(step)).toMatchObject(refused('stale', 'EXPIRED'))
    expect(commands(step)).toEqual([])
    expect(answers(scene.ask('STATUS', ['z1'], { requestedAt: NOW - 60 * MINUTE }))).toMatchObject([{ outcome: 'CONFIRMED' }])
  })

  it('when it may have been taken before: asked about, not done', () => {
    const scene = venue([playing('z1')])
    const request = { conversation: 'main:c1', kind: 'PAUSE' as const, zones: ['z1'], trust: 'HINTED' as const, requestedAt: NOW }
    for (let n = 0; n < 600; n++) scene.kit.handle('ZoneRequest', { ...request, id: `x${n}`, kind: 'STATUS' }, { id: `x${n}` })
    const step = scene.kit.handle('ZoneRequest', { ...request, id: 'old' }, { id: 'old', idAt: NOW - 1 })
    expect(answers(step)).toMatchObject(refused('stale', 'EXPIRED'))
  })

  it('above the cap, with the cap', () => {
    const scene = venue([playing('z1')], {}, { volumeCap: 10 })
    const step = scene.ask('VOLUME_SET', ['z1'], { value: 11 })
    expect(answers(step)).toMatchObject([{ outcome: 'REFUSED', reason: 'cap', detail: 'the cap is 10 of 16' }])
    expect(commands(step)).toEqual([])
    expect(commands(scene.ask('VOLUME_UP', ['z1'], { value: 6 }))).toMatchObject([{ kind: 'SET_VOLUME', volume: 10 }])
  })

  it('for a zone that the venue has not', () => {
    expect(answers(venue([playing('z1')]).ask('PAUSE', ['z9']))).toMatchObject(refused('no_zone'))
    expect(answers(venue().ask('PAUSE'))).toMatchObject(refused('no_zone'))
  })

  it.each([
    ['offline', {}],
    ['unpaired', { paired: false }],
    ['subscription', { subscription: 'INACTIVE' }],
  ])('for a zone that is off: %s', (reason, how) => {
    const scene = venue([playing('z1')])
    scene.read([offline('z1', how)])
    scene.read([offline('z1', how)])
    const step = scene.ask('PLAY', ['z1'])
    expect(answers(step)).toMatchObject([{ outcome: 'REFUSED', reason, zones: [{ status: 'OFFLINE' }] }])
    expect(commands(step)).toEqual([])
    expect(events(step, 'COMMAND_ENDED')).toMatchObject([{ outcome: 'REFUSED', command: null }])
  })

  it('by a venue that is not in the sheet, or no longer, or has no account', () => {
    const scene = venue([playing('z1')])
    scene.row({ removed: true })
    expect(answers(scene.ask('PAUSE', ['z1']))).toMatchObject(refused('not_found'))
    expect(answers(venue([], {}, { soundtrackAccount: null }).ask('STATUS'))).toMatchObject(refused('no_account'))
  })
})

describe('a control request', () => {
  it('for a zone last seen offline looks again before it is refused', () => {
    const scene = venue([playing('z1')])
    scene.read([offline('z1')])
    scene.read([offline('z1')])
    scene.kit.advance(4 * MINUTE)
    expect(polls(scene.ask('PLAY', ['z1']))).toMatchObject([{ zone: 'z1' }])
    expect(commands(scene.readOne(playing('z1', { playback: 'paused' })))).toMatchObject([{ kind: 'PLAY' }])
  })

  it('for a zone of unknown status is tried', () => {
    const scene = venue([playing('z1', { error: 'Not found', online: null })])
    expect(commands(scene.ask('PAUSE', ['z1']))).toHaveLength(1)
  })

  it('taken twice is one request', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'], { id: 'same' })
    const again = scene.ask('PAUSE', ['z1'], { id: 'same' })
    expect(again.emits).toEqual([])
    expect(scene.kit.state?.requests).toHaveLength(1)
  })

  it('for all zones goes to those that are there and is answered once, with the worst that happened', () => {
    const scene = venue([playing('z1'), playing('z2'), offline('z3')])
    scene.read([playing('z1'), playing('z2'), offline('z3')])
    const step = scene.ask('PAUSE')
    expect(commands(step).map(command => [command.zone, command.id])).toEqual([
      ['z1', 'r1.1'],
      ['z2', 'r1.2'],
    ])
    scene.result('r1.1', 'ACCEPTED')
    expect(answers(scene.readOne(playing('z1', { playback: 'paused' })))).toEqual([])
    expect(answers(scene.result('r1.2', 'REFUSED', { zone: 'z2', reason: 'permission' }))).toMatchObject([
      {
        outcome: 'REFUSED',
        reason: 'permission',
        detail: 'Zone z1: confirmed; Zone z2: refused (permission)',
        zones: [{}, {}],
      },
    ])
  })

  it('waits for the one before it at the same zone; too many are told that it is busy', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    for (let n = 0; n < 5; n++) {
      const step = scene.ask(n === 0 ? 'PLAY' : 'SKIP', ['z1'])
      expect([commands(step), answers(step)]).toEqual([[], []])
    }
    expect(answers(scene.ask('PLAY', ['z1']))).toMatchObject([{ outcome: 'REFUSED', reason: 'busy' }])
    scene.result('r1.1', 'ACCEPTED')
    const step = scene.readOne(playing('z1', { playback: 'paused' }))
    expect(answers(step)).toMatchObject([{ request: 'r1', outcome: 'CONFIRMED' }])
    expect(commands(step)).toMatchObject([{ id: 'r2.1', kind: 'PLAY' }])
  })

  it('waiting behind others is not done after its deadline', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    scene.ask('PLAY', ['z1'])
    const answer = scene.fireUntil(({ request, final }) => request === 'r2' && final)
    expect(answer).toMatchObject({ outcome: 'EXPIRED', reason: 'busy', command: null })
  })

  it('is refused as busy while 20 others are open', () => {
    const scene = venue(Array.from({ length: 30 }, (_, n) => playing(`z${n}`)))
    for (let n = 0; n < 20; n++) expect(answers(scene.ask('PAUSE', [`z${n}`]))).toEqual([])
    expect(answers(scene.ask('PAUSE', ['z20']))).toMatchObject([{ outcome: 'REFUSED', reason: 'busy' }])
  })

  it('at a zone that goes away is not claimed to have happened', () => {
    const scene = venue([playing('z1'), playing('z2')])
    scene.ask('PAUSE', ['z1'])
    scene.ask('PLAY', ['z1'])
    expect(answers(scene.read([playing('z2')]))).toMatchObject([
      { request: 'r1', outcome: 'UNKNOWN', reason: 'no_zone' },
      { request: 'r2', outcome: 'REFUSED', reason: 'no_zone' },
    ])
    expect(scene.kit.timers.map(timer => timer.name)).toEqual(['look', 'unread'])
  })
})

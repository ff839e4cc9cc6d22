import { describe, expect, it } from 'vitest'
import { alertsOf, answers, commands, events, MINUTE, playing, polls, SECOND, venue } from './testing/fixture.ts'

const isFinal = ({ final }: { final: boolean }) => final

describe('a command', () => {
  it('goes to its zone with a deadline of 2 minutes and is noted', () => {
    const scene = venue([playing('z1')])
    const step = scene.ask('VOLUME_SET', ['z1'], { value: 5 })
    expect(step.emits.find(emit => emit.type === 'ZoneCommand')).toMatchObject({
      topic: 'soundtrack.inbox',
      key: 'acc:z1',
      record: {
        id: 'r1.1',
        venue: 'main:v1',
        account: 'acc',
        zone: 'z1',
        kind: 'SET_VOLUME',
        volume: 5,
        notAfter: scene.kit.now + 2 * MINUTE,
      },
    })
    expect(events(step)).toMatchObject([
      { kind: 'REQUEST', request: 'r1' },
      { kind: 'COMMAND', request: 'r1', command: 'r1.1', zone: 'z1', detail: 'SET_VOLUME', action: 'SET_VOLUME', from: 8, to: 5 },
    ])
    expect(answers(step)).toEqual([])
  })

  it('is done only when a reading after its result shows it', () => {
    const scene = venue([playing('z1')])
    scene.ask('VOLUME_SET', ['z1'], { value: 5 })
    expect(answers(scene.readOne(playing('z1', { volume: 5 })))).toEqual([])
    const taken = scene.kit.now + 10 * SECOND
    const accepted = scene.result('r1.1', 'ACCEPTED', { at: taken })
    expect(answers(accepted)).toEqual([])
    expect(polls(accepted)).toMatchObject([{ zone: 'z1', reason: 'verify' }])
    expect(answers(scene.read([playing('z1', { volume: 5 })], { asOf: taken }))).toEqual([])
    const step = scene.read([playing('z1', { volume: 5 })], { asOf: taken + 1 })
    expect(answers(step)).toMatchObject([
      { request: 'r1', outcome: 'CONFIRMED', reason: '', command: 'r1.1', from: 8, to: 5, final: true, zones: [{ volume: 5 }] },
    ])
    expect(events(step, 'COMMAND_ENDED')).toMatchObject([
      { command: 'r1.1', outcome: 'CONFIRMED', action: 'VOLUME_SET', from: 8, to: 5 },
    ])
    expect(scene.kit.timers.map(timer => timer.name)).toEqual(['look', 'unread'])
  })

  it('is shown by a reading that came before its result was heard', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    const taken = scene.kit.now
    scene.readOne(playing('z1', { playback: 'paused' }))
    expect(answers(scene.result('r1.1', 'ACCEPTED', { at: taken }))).toMatchObject([{ outcome: 'CONFIRMED' }])
  })

  it('already fulfilled needs no command', () => {
    const scene = venue([playing('z1')])
    const step = scene.ask('VOLUME_SET', ['z1'], { value: 8 })
    expect(commands(step)).toEqual([])
    expect(answers(step)).toMatchObject([{ outcome: 'CONFIRMED', from: 8, to: 8, command: null }])
  })

  it('of a relative volume reads the zone first where the reading is old, and again while it cannot', () => {
    const scene = venue([playing('z1')])
    scene.kit.advance(5 * MINUTE)
    const asked = scene.ask('VOLUME_DOWN', ['z1'])
    expect([commands(asked), polls(asked)]).toMatchObject([[], [{ zone: 'z1', reason: 'talking' }]])
    expect(polls(scene.kit.fire('job:z1'))).toMatchObject([{ zone: 'z1' }])
    expect(commands(scene.readOne(playing('z1', { volume: 12 })))).toMatchObject([{ kind: 'SET_VOLUME', volume: 10 }])
  })

  it('of a zone that we may not read is refused', () => {
    const scene = venue([playing('z1')])
    scene.kit.advance(5 * MINUTE)
    scene.ask('VOLUME_DOWN', ['z1'])
    const step = scene.readOne(playing('z1', { error: 'Forbidden', online: null }))
    expect(answers(step)).toMatchObject([{ outcome: 'REFUSED', reason: 'forbidden' }])
  })

  it('to skip is proven by another track', () => {
    const scene = venue([playing('z1')])
    expect(commands(scene.ask('SKIP', ['z1']))).toMatchObject([{ kind: 'SKIP', volume: null }])
    scene.result('r1.1', 'ACCEPTED')
    expect(answers(scene.readOne(playing('z1')))).toEqual([])
    const next = playing('z1', { track: 'Fast Lane', trackStartedAt: scene.kit.now })
    expect(answers(scene.readOne(next))).toMatchObject([{ outcome: 'CONFIRMED', zones: [{ track: 'Fast Lane' }] }])
  })

  it('to mute remembers the volume for the unmute', () => {
    const scene = venue([playing('z1', { volume: 11 })])
    expect(commands(scene.ask('MUTE', ['z1']))).toMatchObject([{ kind: 'SET_VOLUME', volume: 0 }])
    scene.result('r1.1', 'ACCEPTED')
    expect(answers(scene.readOne(playing('z1', { volume: 0 })))).toMatchObject([
      { outcome: 'CONFIRMED', zones: [{ detail: 'muted' }] },
    ])
    expect(commands(scene.ask('UNMUTE', ['z1']))).toMatchObject([{ kind: 'SET_VOLUME', volume: 11 }])
  })
})

describe('a command that the provider has not surely done', () => {
  it('answers five troubles in five ways, none of them a success', () => {
    const troubles = {
      down: { scene: 'EXPIRED', reason: 'provider_down' },
      limited: { scene: 'EXPIRED', reason: 'rate_limited' },
      permission: { scene: 'REFUSED', reason: 'permission' },
      slow: { scene: 'UNKNOWN', reason: 'provider_slow' },
      noEffect: { scene: 'ACCEPTED', reason: '' },
    } as const
    const said = Object.values(troubles).map(({ scene: outcome, reason }) => {
      const scene = venue([playing('z1')])
      scene.ask('PAUSE', ['z1'])
      const step = scene.result('r1.1', outcome, { reason })
      scene.readOne(playing('z1'))
      const { outcome: told, reason: why } = answers(step)[0] ?? scene.fireUntil(isFinal)
      return `${told} ${why}`
    })
    expect(said).toEqual([
      'EXPIRED provider_down',
      'EXPIRED rate_limited',
      'REFUSED permission',
      'UNKNOWN provider_slow',
      'UNVERIFIED no_effect',
    ])
  })

  it('without effect is read again after 2, 5, 10 and more seconds and told within 30 s of the command', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    const sent = scene.kit.now
    scene.result('r1.1', 'ACCEPTED')
    const looks: number[] = []
    let answer: { outcome: string; reason: string } | undefined
    while (answer === undefined) {
      const step = scene.kit.fire('job:z1')
      if (polls(step).length > 0) looks.push(Math.round((scene.kit.now - sent) / SECOND))
      answer = answers(step)[0]
      if (answer === undefined) scene.readOne(playing('z1'))
    }
    expect(looks).toEqual([2, 5, 10, 15, 20])
    expect(answer).toMatchObject({ outcome: 'UNVERIFIED', reason: 'no_effect' })
    expect(scene.kit.now - sent).toBeLessThanOrEqual(30 * SECOND)
  })

  it('is not called ineffective where nothing could be read since', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    scene.result('r1.1', 'ACCEPTED')
    scene.unread('provider_down')
    expect(scene.fireUntil(isFinal)).toMatchObject({ outcome: 'UNVERIFIED', reason: 'provider_down' })
  })

  it('has time to be verified when the provider took it late', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    scene.kit.advance(40 * SECOND)
    scene.result('r1.1', 'ACCEPTED')
    expect(answers(scene.kit.fire('job:z1'))).toEqual([])
    expect(answers(scene.readOne(playing('z1', { playback: 'paused' })))).toMatchObject([{ outcome: 'CONFIRMED' }])
  })

  it('while nothing has come back gives one first word within 20 s, and later the outcome', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    const asked = scene.kit.now
    expect(answers(scene.kit.fire('request:1'))).toMatchObject([
      { request: 'r1', outcome: 'PENDING', reason: 'provider_slow', final: false, zones: [{ zone: 'z1' }] },
    ])
    expect(scene.kit.now - asked).toBeLessThanOrEqual(20 * SECOND)
    scene.result('r1.1', 'ACCEPTED')
    expect(answers(scene.readOne(playing('z1', { playback: 'paused' })))).toMatchObject([{ outcome: 'CONFIRMED', final: true }])
  })

  it('that does not come back has the account read, so that the first word says what is the matter', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    const asked = scene.kit.now
    const polls = scene.kit.fire('late:z1').emits.filter(e => e.type === 'PollSooner')
    expect(polls).toMatchObject([{ record: { account: 'acc', zone: null, reason: 'talking' } }])
    expect(scene.kit.now - asked).toBeLessThan(10 * SECOND)
    scene.unread('rate_limited')
    expect(answers(scene.kit.fire('request:1'))).toMatchObject([{ outcome: 'PENDING', reason: 'rate_limited' }])
  })

  it('that came back in time has nothing more read for it', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    scene.result('r1.1', 'ACCEPTED')
    expect(scene.kit.fire('late:z1').emits).toEqual([])
    scene.readOne(playing('z1', { playback: 'paused' }))
    scene.ask('PLAY', ['z1'])
    scene.result('r2.1', 'REFUSED')
    expect(scene.kit.timers.map(t => t.name)).not.toContain('late:z1')
  })

  it('gives no first word once the provider has taken it', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    scene.result('r1.1', 'ACCEPTED')
    expect(answers(scene.kit.fire('request:1'))).toEqual([])
  })

  it('with the provider down is waited for until its deadline and told with the last known status', () => {
    const scene = venue([playing('z1')])
    scene.kit.advance(5 * MINUTE)
    scene.ask('VOLUME_UP', ['z1'])
    const asked = scene.kit.now
    scene.unread('provider_down')
    expect(scene.fireUntil(() => true)).toMatchObject({ outcome: 'PENDING', reason: 'provider_down', final: false })
    const answer = scene.fireUntil(isFinal)
    expect(answer).toMatchObject({ outcome: 'EXPIRED', reason: 'provider_down', zones: [{ status: 'ONLINE', volume: 8 }] })
    expect(scene.kit.now - asked).toBe(2 * MINUTE)
  })

  it('that the connector let expire says what kept it', () => {
    const expire = (readError: string | null) => {
      const scene = venue([playing('z1')])
      scene.ask('PAUSE', ['z1'])
      if (readError !== null) scene.unread(readError)
      return answers(scene.result('r1.1', 'EXPIRED', { reason: 'expired' }))
    }
    expect(expire(null)).toMatchObject([{ outcome: 'EXPIRED', reason: 'provider_down', zones: [{ status: 'ONLINE' }] }])
    expect(expire('rate_limited')).toMatchObject([{ outcome: 'EXPIRED', reason: 'rate_limited' }])
  })

  it('with an unknown result is confirmed when the zone shows it', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    scene.result('r1.1', 'UNKNOWN', { reason: 'provider_slow' })
    expect(answers(scene.readOne(playing('z1', { playback: 'paused' })))).toMatchObject([{ outcome: 'CONFIRMED' }])
  })

  it('to skip is never sent again when its result is unknown', () => {
    const scene = venue([playing('z1')])
    const sent = [
      ...commands(scene.ask('SKIP', ['z1'])),
      ...commands(scene.result('r1.1', 'UNKNOWN', { reason: 'provider_slow' })),
    ]
    let answer: { outcome: string } | undefined
    while (answer === undefined) {
      const step = scene.kit.fire('job:z1')
      sent.push(...commands(step))
      answer = answers(step)[0]
    }
    expect(answer.outcome).toBe('UNKNOWN')
    expect(sent).toHaveLength(1)
  })

  it('takes a real result that comes after an unknown one', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    scene.result('r1.1', 'UNKNOWN', { reason: 'provider_slow' })
    expect(answers(scene.result('r1.1', 'REFUSED', { reason: 'permission' }))).toMatchObject([{ outcome: 'REFUSED' }])
  })

  it('without any result ends as unknown some time after its deadline, never before', () => {
    const scene = venue([playing('z1')])
    scene.ask('PAUSE', ['z1'])
    const asked = scene.kit.now
    expect(scene.fireUntil(isFinal)).toMatchObject({ outcome: 'UNKNOWN', reason: 'provider_slow' })
    expect(scene.kit.now - asked).toBeGreaterThan(2 * MINUTE)
    expect(answers(scene.result('r1.1', 'ACCEPTED'))).toEqual([])
  })
})

describe('what staff cannot mend', () => {
  it('reaches operations when the provider refuses control, once per cooldown', () => {
    const scene = venue([playing('z1')])
    const refuse = (n: number) => {
      scene.ask('PAUSE', ['z1'])
      return alertsOf(scene.result(`r${n}.1`, 'REFUSED', { reason: 'permission', detail: 'Not found' }))
    }
    expect(refuse(1)).toMatchObject([{ department: 'OPERATIONS', priority: 'NORMAL', kind: 'control_refused' }])
    expect(refuse(2)).toEqual([])
    scene.kit.advance(61 * MINUTE)
    expect(refuse(3)).toHaveLength(1)
  })

  it('reaches operations once while the provider is down, and again as resolved', () => {
    const scene = venue([playing('z1')])
    scene.kit.advance(MINUTE)
    expect(alertsOf(scene.unread('provider_down'))).toEqual([])
    const raised = [1, 2, 3].flatMap(() => {
      scene.ask('STATUS')
      return alertsOf(scene.unread('provider_down'))
    })
    expect(raised).toMatchObject([{ kind: 'provider_down', resolved: false }])
    expect(alertsOf(scene.read([playing('z1')]))).toMatchObject([{ kind: 'provider_down', resolved: true }])
  })
})

import { describe, expect, it } from 'vitest'
import { answers, commands, events, MINUTE, playing, venue } from './testing/fixture.ts'

const PAUSED = { playback: 'paused' }
const DURATION = { durationMs: 20 * MINUTE }

/** A venue whose zones have been paused for 20 minutes by request r1, confirmed. */
function pausedFor20(zones: string[] = ['z1'], settings = {}) {
  const scene = venue(
    zones.map(zone => playing(zone)),
    settings,
  )
  scene.ask('PAUSE', zones, DURATION)
  zones.forEach((zone, n) => {
    scene.result(`r1.${n + 1}`, 'ACCEPTED', { zone })
  })
  const step = scene.read(zones.map(zone => playing(zone, PAUSED)))
  return { scene, step }
}
const resumes = (scene: ReturnType<typeof venue>) => scene.kit.timers.filter(timer => timer.name.startsWith('resume:'))

describe('a pause for 20 minutes', () => {
  it('ends by a play of its own, which is verified and told to who asked', () => {
    const { scene, step } = pausedFor20()
    expect(answers(step)).toMatchObject([{ kind: 'PAUSE', outcome: 'CONFIRMED', durationMs: 20 * MINUTE }])
    const paused = scene.kit.now
    const resumed = scene.kit.fire('resume:z1')
    expect(scene.kit.now - paused).toBe(20 * MINUTE)
    const [command] = commands(resumed)
    expect(command).toMatchObject({ kind: 'PLAY', zone: 'z1', notAfter: scene.kit.now + 2 * MINUTE })
    expect(events(resumed, 'REQUEST')).toMatchObject([
      { detail: 'PLAY: the pause is over', action: 'PLAY', reason: 'the pause is over' },
    ])
    scene.result(command.id, 'ACCEPTED')
    const [answer] = answers(scene.readOne(playing('z1')))
    expect(answer).toMatchObject({ kind: 'PLAY', outcome: 'CONFIRMED', command: command.id })
    expect(answer.request).not.toBe('r1')
    expect(scene.kit.state?.resumes).toEqual([])
  })

  it('is as long as the time scale says', () => {
    const { scene } = pausedFor20(['z1'], { timeScale: 60 })
    expect(resumes(scene)).toEqual([{ name: 'resume:z1', at: scene.kit.now + MINUTE / 3 }])
  })

  it('of several zones ends for all of them at once, with one answer', () => {
    const { scene } = pausedFor20(['z1', 'z2'])
    expect(resumes(scene)).toHaveLength(2)
    expect(commands(scene.kit.fire('resume:z1')).map(command => command.zone)).toEqual(['z1', 'z2'])
    expect(resumes(scene)).toEqual([])
    expect(scene.kit.state?.requests).toHaveLength(1)
  })

  it('is over when a person plays', () => {
    const { scene } = pausedFor20()
    scene.ask('PLAY', ['z1'])
    scene.result('r2.1', 'ACCEPTED')
    expect(answers(scene.readOne(playing('z1')))).toMatchObject([{ request: 'r2', outcome: 'CONFIRMED' }])
    expect(resumes(scene)).toEqual([])
  })

  it('still ends when a play in between did not come through', () => {
    const { scene } = pausedFor20()
    scene.ask('PLAY', ['z1'])
    scene.result('r2.1', 'EXPIRED', { reason: 'provider_down' })
    expect(resumes(scene)).toHaveLength(1)
  })

  it('is replaced by a new pause: with its own time, or without end', () => {
    const { scene } = pausedFor20()
    const pause = (request: string, durationMs: number | null) => {
      scene.ask('PAUSE', ['z1'], { durationMs })
      scene.result(`${request}.1`, 'ACCEPTED')
      scene.readOne(playing('z1', PAUSED))
    }
    pause('r2', 60 * MINUTE)
    expect(resumes(scene)).toEqual([{ name: 'resume:z1', at: scene.kit.now + 60 * MINUTE }])
    expect(scene.kit.state?.resumes).toMatchObject([{ request: 2, slots: [1] }])
    pause('r3', null)
    expect(resumes(scene)).toEqual([])
  })

  it('does not end into a pause that a person is just asking for', () => {
    const { scene } = pausedFor20()
    scene.ask('PAUSE', ['z1'])
    expect(commands(scene.kit.fire('resume:z1'))).toEqual([])
    scene.result('r2.1', 'ACCEPTED')
    expect(commands(scene.readOne(playing('z1', PAUSED)))).toEqual([])
    expect(resumes(scene)).toEqual([])
  })

  it('that surely did not happen has no end; one that may have happened has', () => {
    for (const [outcome, expected] of [
      ['REFUSED', 0],
      ['UNKNOWN', 1],
    ] as const) {
      const scene = venue([playing('z1')])
      scene.ask('PAUSE', ['z1'], DURATION)
      const told = answers(scene.result('r1.1', outcome, { reason: 'provider_slow' }))
      if (told.length === 0) scene.fireUntil(({ final }) => final)
      expect(resumes(scene)).toHaveLength(expected)
    }
  })
})

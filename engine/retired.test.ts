import { describe, expect, it } from 'vitest'
import type { ActorDefinition } from './actor.ts'
import { actor } from './actor.ts'
import { Corrupted, Fatal } from './errors.ts'
import { handle } from './handle.ts'
import type { TaskScope } from './step/step.ts'
import { ATTEMPT } from './headers.ts'
import { type Instance, NEW_INSTANCE } from './instance.ts'
import { type Act, bounds, EMPTY } from './testing/bounds-actor.ts'
import { codec, testkit } from './testing/testkit.ts'

const acts: Record<string, Act> = {
  small: context => void context.perform('small', { sequence: 1 }),
  both: context => {
    context.perform('small', { sequence: 1 })
    context.perform('small', { sequence: 2 })
    const letter = { topic: '', partition: 0, offset: 0, key: '', recordType: '', value: Buffer.alloc(0), cause: '', at: 0 }
    context.perform('large', { ...letter, decision: 'SKIP' })
    return undefined
  },
  timer: context => void context.setTimer('tick:x', context.now + 10),
}

/** Code that an update turns into other code, under the same state. */
function updated(to: Partial<ActorDefinition>) {
  const definition = { ...bounds(acts) } as Record<string, unknown>
  const kit = testkit(definition as never as ReturnType<typeof bounds>)
  const send = (kind: string) => kit.handle('TrialInput', { sequence: 0, kind, delayMs: 0 })
  return { kit, send, update: () => Object.assign(definition, to) }
}

const { small, large } = bounds({}).effects as Required<ReturnType<typeof bounds>>['effects']
const failed = (state: unknown, { cause }: { cause: string }) => ({
  ...(state as typeof EMPTY),
  digest: `${(state as typeof EMPTY | null)?.digest ?? ''}told: ${cause.split(':')[0]},`,
})

describe('an effect that new code does not have', () => {
  it('stops the task where it is not listed as retired', () => {
    const { kit, send, update } = updated({ effects: { large } })
    send('both')
    const [first] = kit.started
    update()
    const end = () => kit.end(first?.attempt as string, 'UNKNOWN')
    expect(end).toThrow(Fatal)
    expect(end).toThrow(/has no effect "small".*deploy code that has it, or list it under retired.effects/)
    // What does not concern it goes on.
    expect(send('add').result).toBe('handled')
  })

  it('ends where it is retired, with a dead letter, and the next ones of the key go on', () => {
    const { kit, send, update } = updated({
      effects: { large },
      retired: { effects: ['small'] },
      onPoison: { failed: failed as never },
    })
    const attempts = send('both').effects.map(e => e.attempt)
    update()
    const step = kit.end(attempts[0] as string, 'RELEASED', 'the worker is stopping')
    expect(step).toMatchObject({ result: 'handled', closed: attempts.slice(0, 2) })
    expect(step.emits.map(e => [e.type, e.record.decision, e.record.recordType, e.record.cause])).toEqual([
      [
        'DeadLetter',
        'SKIP',
        'EffectEnded',
        `effect "small" is retired: attempt ${attempts[0]} ended as NOT_DONE; the worker is stopping`,
      ],
      ['DeadLetter', 'SKIP', 'EffectEnded', `effect "small" is retired: attempt ${attempts[1]} ended as NOT_DONE`],
    ])
    expect(codec.decode(step.emits[0]?.record.value).value).toMatchObject({ attempt: attempts[0], outcome: 'NOT_DONE' })
    expect(kit.started.map(s => s.effect)).toEqual(['large'])
    expect(kit.state?.digest).toBe('told: effect "small" is retired,told: effect "small" is retired,')
  })

  it.each([
    ['UNKNOWN', 'UNKNOWN'],
    ['EXPIRED', 'NOT_DONE'],
    ['NOT_DONE', 'NOT_DONE'],
  ] as const)('and had ended as %s is told as %s', (outcome, told) => {
    const { kit, send, update } = updated({ effects: { large }, retired: { effects: ['small'] } })
    const attempt = send('small').effects[0]?.attempt as string
    update()
    expect(kit.end(attempt, outcome).emits[0]?.record.cause).toContain(`ended as ${told}`)
    expect([kit.started, kit.state?.digest]).toEqual([[], ''])
  })

  it('and may have been done by an earlier start is told as UNKNOWN', () => {
    const { kit, send, update } = updated({ effects: { small }, retired: { effects: ['large'] } })
    send('both')
    for (const one of [1, 2]) kit.complete(kit.started[0]?.attempt as string, { sequence: one })
    const attempt = kit.started[0]?.attempt as string
    const end = (start: number, outcome: 'RETRY' | 'RELEASED') =>
      kit.handle('EffectEnded', { attempt, effect: 'large', start, outcome })
    end(0, 'RETRY')
    update()
    expect(end(1, 'RELEASED').emits[0]?.record.cause).toContain('ended as UNKNOWN')
  })

  it('still has its result handled where there is a handler, and otherwise among the dead letters', () => {
    const on = { TrialInput: bounds(acts).on.TrialInput }
    for (const handled of [true, false]) {
      const retired = { effects: { large }, retired: { effects: ['small'] } }
      const { kit, send, update } = updated(handled ? retired : { ...retired, on: on as never })
      const attempt = send('small').effects[0]?.attempt as string
      update()
      const step = kit.handle('TrialDone', { sequence: 1 }, { headers: { [ATTEMPT]: attempt } })
      expect([step.result, step.closed, kit.started]).toEqual(['handled', [attempt], []])
      expect(step.emits.map(e => e.record.cause)).toEqual(
        handled ? [] : [`effect "small" is retired: nothing handles the result of attempt ${attempt}`],
      )
      expect(kit.state?.digest).toBe(handled ? 'done,' : '')
    }
  })
})

describe('a timer that new code does not have', () => {
  it('stops the task where it is not listed as retired', () => {
    const { kit, send, update } = updated({ timers: {} })
    send('timer')
    update()
    expect(() => kit.fire()).toThrow(/has no timer "tick".*retired.timers/)
  })

  it('is removed where it is retired, with a dead letter', () => {
    const { kit, send, update } = updated({ timers: {}, retired: { timers: ['tick'] }, onPoison: { failed: failed as never } })
    send('timer')
    update()
    const step = kit.fire()
    expect([step.result, kit.timers, kit.state?.digest]).toEqual(['handled', [], 'told: timer "tick" is retired,'])
    expect(step.emits.map(e => e.record.cause)).toEqual([expect.stringContaining('timer "tick" is retired: "tick:x" was due')])
  })
})

it('what is retired must not be there, and names are names', () => {
  const base = bounds({})
  expect(() => actor({ ...base, retired: { effects: ['small'] } })).toThrow(/effect "small" is both declared and retired/)
  expect(() => actor({ ...base, retired: { timers: ['tick'] } })).toThrow(/timer "tick" is both declared and retired/)
  expect(() => actor({ ...base, timers: { '\0forget': base.timers?.tick as never } })).toThrow(/is not a valid name/)
  expect(() => actor({ ...base, timers: { 'a:b': base.timers?.tick as never } })).toThrow(/has a colon/)
  expect(() => actor({ ...base, effects: { ['x'.repeat(201)]: small } as never })).toThrow(/is not a valid name/)
})

it('an end whose input is lost is a dead letter; one whose input is damaged is told', () => {
  const attempt = {
    attempt: 'a',
    effect: 'small',
    status: 'STARTED',
    notAfter: null,
    start: 0,
    uncertain: false,
    parts: 0,
    owner: '',
  } as const
  const before: Instance = { ...NEW_INSTANCE, state: EMPTY, ledger: [attempt] }
  const raw = codec.encode('bounds.inbox', 'EffectEnded', { attempt: 'a', effect: 'small', start: 0, outcome: 'NOT_DONE' })
  const end = (code: string) => {
    const place: TaskScope = {
      scope: '',
      topic: 'bounds.inbox',
      partition: 0,
      codec,
      codeVersion: '1',
      owner: '',
      input: () => {
        throw new Corrupted(code, 'told to fail')
      },
      lookup: () => null,
    }
    return handle(
      bounds({}) as never,
      before,
      { key: 'k', offset: 1, timestamp: 1, headers: {}, raw, record: codec.decode(raw) },
      place,
    )
  }
  expect(end('no_input')).toMatchObject({ result: 'poisoned', closed: ['a'], instance: { ledger: [] } })
  expect(() => end('damaged')).toThrow(Corrupted)
})

import { describe, expect, it } from 'vitest'
import type { TrialState } from '../schemas/types.ts'
import { defineTopic, deadLetters, ENGINE_RECORDS } from '../topics/catalog.ts'
import { actor } from './actor.ts'
import { Fatal } from './errors.ts'
import { ATTEMPT, COMMAND, LAST, PART } from './headers.ts'
import { carry, testkit } from './testkit.ts'

const inbox = defineTopic('kit.inbox', 'key', ['TrialInput', 'TrialDone', ...ENGINE_RECORDS])
const outputs = defineTopic('kit.outputs', 'key', ['TrialOutput'])
const other = defineTopic('kit.other', 'key', ['TrialOutput'])
await carry([inbox, outputs])
const EMPTY: TrialState = {
  count: 0,
  last: -1,
  digest: '',
  ticks: 0,
  done: 0,
  unknown: 0,
  undone: 0,
  late: 0,
  payload: Buffer.alloc(0),
}

/** Its digest is what it has handled, in order. */
const make = (onPoison: { default: 'skip' | 'park'; broken?: boolean } = { default: 'skip' }) =>
  actor({
    name: 'kit',
    inbox,
    state: 'TrialState',
    on: {
      TrialInput: (before, { sequence, kind, delayMs }, context) => {
        const state = before ?? EMPTY
        const next = {
          ...state,
          count: state.count + 1,
          last: context.now,
          digest: `${state.digest}${context.maybeSeen ? '?' : ''}${sequence},`,
        }
        if (kind === 'id') return { ...next, digest: `${context.id()} ${context.id()}` }
        if (kind === 'forget') return null
        if (kind === 'once') context.perform('once', { sequence }, { notAfter: delayMs || undefined })
        if (kind === 'again') context.perform('again', { sequence })
        if (kind === 'timer') context.setTimer('tick:x', context.now + delayMs)
        if (kind === 'clear') context.clearTimer('tick:x')
        if (kind === 'refuse') context.refuse('not today')
        if (kind === 'big') return { ...next, payload: Buffer.alloc(20_000) }
        if (kind === 'astray') context.emit(other as never, 'k', 'TrialOutput' as never, {} as never)
        if (kind === 'poison') throw new Error('told to fail')
        return next
      },
      TrialDone: (before, { sequence }, { late }) => {
        const state = before ?? EMPTY
        return { ...state, digest: `${state.digest}${late ? 'late' : 'done'}${sequence},`, done: state.done + 1 }
      },
    },
    timers: { tick: (state, { argument }) => ({ ...state, ticks: state.ticks + 1, digest: `${state.digest}tick ${argument},` }) },
    effects: {
      once: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: 1 },
      again: { input: 'TrialEffect', result: 'TrialDone', retry: 'idempotent', timeoutMs: 1 },
    },
    ended: (state, { outcome, input }) => ({
      ...state,
      digest: `${state.digest}${outcome} ${(input as unknown as { sequence: number }).sequence},`,
    }),
    emits: [outputs],
    onPoison: {
      default: onPoison.default,
      failed: (state, { cause }) => {
        if (onPoison.broken) throw new Error('failed fails too')
        return { ...(state ?? EMPTY), digest: `${state?.digest ?? ''}failed: ${cause},` }
      },
    },
  })

const start = (onPoison?: Parameters<typeof make>[0]) => {
  const kit = testkit(make(onPoison))
  return {
    kit,
    send: (sequence: number, kind = 'add', options: Parameters<typeof kit.handle>[2] & { delayMs?: number } = {}) =>
      kit.handle('TrialInput', { sequence, kind, delayMs: options.delayMs ?? 0 }, options),
    get digest() {
      return kit.state?.digest
    },
  }
}

describe('time and ids', () => {
  it('never runs backwards for a key', () => {
    const { kit, send } = start()
    send(0, 'add', { at: 5_000 })
    send(1, 'add', { at: 3_000 })
    expect(kit.state?.last).toBe(5_000)
  })

  it('makes the same ids at every replay, and different ones within it', () => {
    const [first, second] = [start(), start()]
    for (const { send } of [first, second]) send(0, 'id')
    expect(first.digest).toBe(second.digest)
    const [one, two] = (first.digest as string).split(' ')
    expect(one).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-5[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
    expect(one).not.toBe(two)
  })

  it('handles a record with an id once, a record without one always, and marks what it may have forgotten', () => {
    const story = start()
    story.send(0, 'add', { id: 'a', idAt: 1 })
    expect(story.send(0, 'add', { id: 'a', idAt: 1 }).result).toBe('duplicate')
    story.send(1)
    story.send(1)
    expect(story.digest).toBe('0,1,1,')
    for (let n = 0; n < 512; n++) story.send(2, 'add', { id: `n${n}`, idAt: 1_000 + n })
    story.send(3, 'add', { id: 'old', idAt: 1 })
    expect(story.digest?.endsWith('?3,')).toBe(true)
  })

  it('remembers an id though its record failed', () => {
    const story = start()
    story.send(0, 'poison', { id: 'a' })
    expect(story.send(0, 'poison', { id: 'a' }).result).toBe('duplicate')
  })
})

describe('timers', () => {
  it('fire once, with their argument', () => {
    const story = start()
    story.send(0, 'timer', { delayMs: 500 })
    story.kit.fire()
    expect(story.digest).toBe('0,tick x,')
    expect(story.kit.timers).toEqual([])
  })

  it('that were moved or cleared are stale; one read ahead of its time is put back', () => {
    const story = start()
    story.send(0, 'timer', { delayMs: 500 })
    const { at } = story.kit.timers[0] as { at: number }
    const due = (version: string) =>
      story.kit.handle('TimerDue', { name: 'tick:x', dueAt: at, version }, { at: story.kit.now }).result
    expect(due('0.0')).toBe('put_back')
    story.send(1, 'timer', { delayMs: 900 })
    story.kit.advance(10_000)
    expect(due('0.0')).toBe('stale')
    story.send(2, 'clear')
    expect(due('3.0')).toBe('stale')
    expect(story.kit.state?.ticks).toBe(0)
  })

  it('go with the state', () => {
    const story = start()
    story.send(0, 'timer', { delayMs: 500 })
    story.send(1, 'forget')
    expect([story.kit.state, story.kit.timers]).toEqual([null, []])
  })
})

describe('effects', () => {
  it('start one at a time, the next once the one before has ended', () => {
    const story = start()
    story.send(0, 'once')
    story.send(1, 'again')
    const [first] = story.kit.started
    expect(story.kit.started.map(s => s.input.sequence)).toEqual([0])
    story.kit.complete(first?.attempt as string, { sequence: 0 })
    expect(story.kit.started.map(s => s.input.sequence)).toEqual([1])
    expect(story.kit.complete(first?.attempt as string, { sequence: 0 }).result).toBe('duplicate')
    expect(story.digest).toBe('0,1,done0,')
  })

  it('take the first result; a real one after UNKNOWN is late; the ends reach the actor with the input', () => {
    const story = start()
    story.send(0, 'once')
    const attempt = story.kit.started[0]?.attempt as string
    story.kit.end(attempt, 'UNKNOWN')
    expect(story.kit.end(attempt, 'UNKNOWN').result).toBe('duplicate')
    story.kit.complete(attempt, { sequence: 0 })
    for (const [sequence, outcome] of [
      [1, 'EXPIRED'],
      [2, 'NOT_DONE'],
    ] as const) {
      story.send(sequence, 'once')
      story.kit.end(story.kit.started[0]?.attempt as string, outcome)
    }
    expect(story.digest).toBe('0,UNKNOWN 0,late0,1,EXPIRED 1,2,NOT_DONE 2,')
  })

  it('take results in parts, from the start again where a run starts again', () => {
    const story = start()
    story.send(0, 'again')
    const attempt = story.kit.started[0]?.attempt as string
    const part = (n: number, last: boolean) =>
      story.kit.handle(
        'TrialDone',
        { sequence: n },
        { headers: { [ATTEMPT]: attempt, [PART]: String(n), [LAST]: last ? '1' : '0' } },
      ).result
    expect([part(0, false), part(2, true), part(0, false), part(1, false), part(2, true), part(2, true)]).toEqual([
      'handled',
      'stale',
      'handled',
      'handled',
      'handled',
      'duplicate',
    ])
    expect(story.digest).toBe('0,done0,done0,done1,done2,')
  })

  it('released start anew, and what an earlier start says no longer counts', () => {
    const story = start()
    story.send(0, 'again')
    const attempt = story.kit.started[0]?.attempt as string
    const end = (start: number, outcome: 'RELEASED' | 'RETRY' | 'EXPIRED') =>
      story.kit.handle('EffectEnded', { attempt, effect: 'again', start, outcome }).result
    expect(end(0, 'RELEASED')).toBe('handled')
    expect(end(0, 'EXPIRED')).toBe('duplicate')
    expect(end(1, 'RETRY')).toBe('handled')
    expect(end(1, 'RELEASED')).toBe('duplicate')
    expect(story.kit.started).toHaveLength(1)
    expect(end(2, 'EXPIRED')).toBe('handled')
    expect(story.digest).toBe('0,EXPIRED 0,')
  })
})

describe('quarantine', () => {
  const letters = (step: { emits: readonly { topic: string; record: { decision: string; cause: string } }[] }) =>
    step.emits.filter(e => e.topic === deadLetters.name).map(e => [e.record.decision, e.record.cause])

  it('skips a record that fails, with all that it did, and tells the actor', () => {
    const story = start()
    story.send(0)
    const step = story.send(1, 'poison')
    expect([step.result, letters(step)]).toEqual(['poisoned', [['SKIP', 'told to fail']]])
    expect(story.digest).toBe('0,failed: told to fail,')
  })

  it.each([
    ['a state that is too large', 'big', /16384 at most/],
    ['an emit that is not declared', 'astray', /kit\.other/],
  ])('takes %s for a failure', (_name, kind, cause) => {
    const story = start({ default: 'skip', broken: true })
    story.send(0)
    expect(letters(story.send(1, kind))[0]?.[1]).toMatch(cause)
    expect(story.digest).toBe('0,')
  })

  it('parks a key: what comes later waits in order, engine records too, until a redrive', () => {
    const story = start({ default: 'park', broken: true })
    story.send(0, 'once')
    const attempt = story.kit.started[0]?.attempt as string
    const parked = story.send(1, 'poison')
    expect(letters(parked)[0]?.[0]).toBe('PARK')
    expect(story.send(2).result).toBe('waiting')
    expect(story.kit.complete(attempt, { sequence: 0 }).result).toBe('waiting')
    expect(story.digest).toBe('0,')
    const redrive = (id: string, offset: number, drop: boolean) => story.kit.handle('Redrive', { id, offset, drop }).result
    expect(redrive('wrong', 0, false)).toBe('stale')
    expect(redrive('as it was', 1, false)).toBe('poisoned')
    expect(redrive('drop', 1, true)).toBe('handled')
    expect(redrive('drop', 1, true)).toBe('duplicate')
    expect(story.digest).toBe('0,2,done0,')
    expect(story.send(3).result).toBe('handled')
  })

  it('keeps the outcome of a command under its id', () => {
    const outcomes: unknown[] = []
    const base = make()
    const kit = testkit({
      ...base,
      on: {
        ...base.on,
        TrialDone: (state, _record, context) => {
          outcomes.push(...context.commands)
          return state
        },
      },
    })
    for (const [id, kind] of [
      ['c1', 'add'],
      ['c2', 'refuse'],
      ['c3', 'poison'],
    ] as const) {
      kit.handle('TrialInput', { sequence: 0, kind }, { id, headers: { [COMMAND]: id } })
    }
    kit.handle('TrialDone', { sequence: 0 })
    expect(outcomes).toEqual([
      { id: 'c1', outcome: 'handled', reason: '' },
      { id: 'c2', outcome: 'refused', reason: 'not today' },
      { id: 'c3', outcome: 'skipped', reason: 'told to fail' },
    ])
  })

  it('never skips a record type without a handler', () => {
    const base = make()
    const kit = testkit({ ...base, on: { TrialInput: base.on.TrialInput } as never })
    expect(() => kit.handle('TrialDone', { sequence: 0 })).toThrow(Fatal)
  })
})

describe('the definition of an actor', () => {
  it('is checked when it is made', () => {
    const base = make()
    expect(() => actor({ ...base, on: { TrialInput: base.on.TrialInput } as never })).toThrow(/no handler for TrialDone/)
    expect(() => actor({ ...base, on: { ...base.on, ChatMessage: () => null } as never })).toThrow(
      /handles ChatMessage, which kit.inbox does not carry/,
    )
  })
})

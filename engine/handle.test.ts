import { describe, expect, it } from 'vitest'
import { actor } from './actor.ts'
import { Fatal } from './errors.ts'
import { defineTopic, ENGINE_RECORDS } from '../topics/catalog.ts'
import { handle } from './handle.ts'
import { ATTEMPT, COMMAND, LAST, PART } from './headers.ts'
import { type Instance, NEW_INSTANCE } from './instance.ts'
import { make, start } from './testing/kit-actor.ts'
import { type Act, bounds, boundsOutputs } from './testing/bounds-actor.ts'
import { EMPTY } from './testing/trial-state.ts'
import { carry, codec, testkit } from './testing/testkit.ts'

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
    expect(due('0.0')).toBe('deferred')
    story.send(1, 'timer', { delayMs: 900 })
    story.kit.advance(10_000)
    expect(due('0.0')).toBe('stale')
    story.send(2, 'clear')
    expect(due('3.0')).toBe('stale')
    expect(story.kit.state?.ticks).toBe(0)
  })

  it('are removed before their handler: one that fails has fired, one that sets itself again stays', () => {
    const story = start({ default: 'skip', broken: true })
    story.send(0, 'timer poison', { delayMs: 500 })
    expect(story.kit.fire().result).toBe('poisoned')
    expect(story.kit.timers).toEqual([])
    story.send(1, 'timer again', { delayMs: 500 })
    expect(story.kit.fire().result).toBe('handled')
    expect(story.kit.timers).toEqual([{ name: 'tick:again', at: story.kit.now + 100 }])
    story.kit.fire()
    expect([story.digest, story.kit.timers]).toEqual(['0,1,tick again,tick again,', []])
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

  it('wait for a late result only of the 16 newest that ended as UNKNOWN', () => {
    const story = start()
    const attempts = Array.from({ length: 17 }, (_, n) => {
      story.send(n, 'once')
      const attempt = story.kit.started[0]?.attempt as string
      story.kit.end(attempt, 'UNKNOWN')
      return attempt
    })
    expect(story.kit.complete(attempts[0] as string, { sequence: 0 }).result).toBe('duplicate')
    expect(story.kit.complete(attempts[1] as string, { sequence: 1 }).result).toBe('handled')
    expect(story.digest?.endsWith('16,UNKNOWN 16,late1,')).toBe(true)
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

describe('a record that fails', () => {
  const elsewhere = defineTopic('bounds.elsewhere', 'key', ['TrialOutput'])
  const failing = (more: Parameters<typeof bounds>[1] = {}) => {
    const kit = testkit(
      bounds(
        {
          timer: context => {
            context.setTimer('tick:x', context.now + 10)
            throw new Error('told to fail')
          },
          clear: context => {
            context.clearTimer('tick:y')
            throw new Error('told to fail')
          },
          set: context => void context.setTimer('tick:y', context.now + 10),
          perform: context => {
            context.perform('small', { sequence: 1 })
            throw new Error('told to fail')
          },
          good: context => void context.perform('small', { sequence: 2 }),
          astray: context =>
            void context.emit(elsewhere as never, 'k', 'TrialOutput' as never, { sequence: 0, count: 0 } as never),
          deleted: context => void context.remove(boundsOutputs, 'k'),
        } satisfies Record<string, Act>,
        more,
      ),
    )
    return { kit, send: (kind: string) => kit.handle('TrialInput', { sequence: 0, kind, delayMs: 0 }) }
  }

  it('leaves no timer behind, and takes none away', () => {
    const { kit, send } = failing()
    expect(send('timer').result).toBe('poisoned')
    expect(kit.timers).toEqual([])
    send('set')
    expect(send('clear').result).toBe('poisoned')
    expect(kit.timers.map(t => t.name)).toEqual(['tick:y'])
  })

  it('leaves no attempt behind: the next one starts', () => {
    const { kit, send } = failing()
    expect(send('perform')).toMatchObject({ result: 'poisoned', effects: [] })
    send('good')
    expect(kit.started.map(s => s.input.sequence)).toEqual([2])
  })

  it('is one that writes to a topic which its actor does not declare', async () => {
    await carry([elsewhere])
    const step = failing().send('astray')
    expect(step.emits.map(e => [e.topic, e.record.cause])).toEqual([
      ['dead.letters', 'emits to bounds.elsewhere, which it does not declare'],
    ])
  })

  it('is one that deletes what a topic keeps that is not compacted', () => {
    expect(
      failing()
        .send('deleted')
        .emits.map(e => [e.topic, e.record.cause]),
    ).toEqual([['dead.letters', 'removes from bounds.outputs, which is not compacted']])
  })

  it('is never parked where it is the end of an attempt, whose input has gone', () => {
    const ended = () => {
      throw new Error('told to fail')
    }
    const { kit, send } = failing({ ended, onPoison: { default: 'park' } })
    send('good')
    const step = kit.end(kit.started[0]?.attempt as string, 'NOT_DONE')
    expect(step.emits.map(e => e.record.decision)).toEqual(['SKIP'])
    expect(send('set').result).toBe('handled')
  })
})

describe('a key whose state is gone', () => {
  const DAY = 24 * 60 * 60 * 1000
  const acts: Record<string, Act> = {
    forget: () => null,
    set: context => void context.setTimer('tick:x', context.now + 10),
    perform: context => void context.perform('small', { sequence: 1 }),
    fail: () => {
      throw new Error('told to fail')
    },
    reach: context => {
      context.setTimer('\0forget', 1)
      return undefined
    },
    clear: context => {
      context.clearTimer('\0forget')
      return null
    },
  }
  const story = (more: Parameters<typeof bounds>[1] = {}) => {
    const kit = testkit(bounds(acts, more))
    const send = (kind: string, id?: string, at?: number) =>
      kit.handle(
        'TrialInput',
        { sequence: 0, kind, delayMs: 0 },
        { ...(id === undefined ? {} : { id }), ...(at === undefined ? {} : { at }) },
      )
    return { kit, send }
  }

  it('knows its ids for seven days after the newest, and then nothing is kept', () => {
    const { kit, send } = story()
    send('add', 'a')
    send('forget', 'b')
    const newest = kit.now
    kit.advance(6 * DAY)
    expect([send('add', 'a').result, send('forget', 'b').result]).toEqual(['duplicate', 'duplicate'])
    expect(kit.state).toBeNull()
    expect(kit.bytes).toBeGreaterThan(0)
    expect(kit.timers).toEqual([])
    expect(kit.forget().result).toBe('handled')
    expect([kit.now, kit.bytes]).toEqual([newest + 7 * DAY, 0])
    expect(send('add', 'a').result).toBe('handled')
  })

  it('begins anew with each new id, and ends when a state comes back', () => {
    const { kit, send } = story()
    send('forget', 'a')
    kit.advance(6 * DAY)
    send('forget', 'b')
    const newest = kit.now
    kit.forget()
    expect(kit.now).toBe(newest + 7 * DAY)
    send('forget', 'c')
    send('add', 'd')
    expect(() => kit.forget()).toThrow(/nothing .* is to be forgotten/)
  })

  it('is forgotten though it never had a state: what failed, what was told twice', () => {
    const { kit, send } = story()
    expect(send('fail', 'a').result).toBe('poisoned')
    expect(send('fail', 'a').result).toBe('duplicate')
    kit.forget()
    expect(kit.bytes).toBe(0)
  })

  it('keeps nothing where it has no ids, whatever its decisions and commands', () => {
    const { kit, send } = story()
    kit.handle('TrialInput', { sequence: 0, kind: 'fail', delayMs: 0 }, { headers: { [COMMAND]: 'c' } })
    send('forget')
    expect(kit.bytes).toBe(0)
  })

  it('closes at once what ended as UNKNOWN: its input may be personal', () => {
    const { kit, send } = story()
    const attempts = [0, 1].map(() => {
      const attempt = send('perform').effects[0]?.attempt as string
      kit.end(attempt, 'UNKNOWN')
      return attempt
    })
    expect(send('forget').closed).toEqual(attempts)
    expect(kit.bytes).toBe(0)
    expect(kit.complete(attempts[0] as string, { sequence: 1 }).result).toBe('duplicate')
  })

  it('is kept by an open attempt and by what is parked, and forgotten after them', () => {
    const { kit, send } = story()
    send('perform', 'a')
    send('forget', 'b')
    const newest = kit.now
    expect(() => kit.forget()).toThrow()
    const attempt = kit.started[0]?.attempt as string
    kit.advance(DAY)
    expect(kit.end(attempt, 'NOT_DONE').result).toBe('handled')
    expect(send('forget').result).toBe('handled')
    kit.forget()
    expect([kit.now, kit.bytes]).toEqual([newest + 7 * DAY, 0])

    const parking = story({ onPoison: { default: 'park' } })
    parking.send('fail', 'a')
    expect(() => parking.kit.forget()).toThrow()
    parking.kit.handle('Redrive', { id: 'r', offset: 0, drop: true, value: null, by: 'p' })
    parking.kit.forget()
    expect(parking.kit.bytes).toBe(0)
  })

  it("is the engine's own affair: handlers neither set nor clear its timer", () => {
    const { kit, send } = story()
    expect(send('reach', 'a').result).toBe('poisoned')
    send('clear', 'b')
    const version = (version: string) => kit.handle('TimerDue', { name: '\0forget', dueAt: 0, version }, { at: kit.now }).result
    expect(version('0.0')).toBe('stale')
    kit.forget()
    expect(kit.bytes).toBe(0)
  })

  it('makes no difference by still being in memory', () => {
    const raw = codec.encode('bounds.inbox', 'TrialInput', { sequence: 0, kind: 'set' })
    const incoming = { key: 'k', offset: 7, timestamp: 4_000, headers: {}, raw, record: codec.decode(raw) }
    const nothing = { input: () => null, lookup: () => null }
    const place = { scope: '', topic: 'bounds.inbox', partition: 0, codec, codeVersion: '1', owner: '', ...nothing }
    const step = (before: Instance | null) => handle(bounds(acts) as never, before, incoming, place)
    const commands = [{ id: 'c', outcome: 'handled', reason: '', code: null }]
    expect(step({ ...NEW_INSTANCE, now: 5_000, commands })).toEqual(step(null))
  })
})

describe('the definition of an actor', () => {
  it('that lacks a handler for a record or a timer stops the task, and skips nothing', () => {
    const base = make()
    const kit = testkit({ ...base, on: { TrialInput: base.on.TrialInput } as never })
    expect(() => kit.handle('TrialDone', { sequence: 0 })).toThrow(Fatal)
    const timers = { ...base.timers }
    const forgetful = testkit({ ...base, timers })
    forgetful.handle('TrialInput', { sequence: 0, kind: 'timer', delayMs: 1 })
    delete timers.tick
    expect(() => forgetful.fire()).toThrow(Fatal)
  })

  it('is checked when it is made', () => {
    const base = make()
    expect(() => actor({ ...base, on: { TrialInput: base.on.TrialInput } as never })).toThrow(/no handler for TrialDone/)
    expect(() => actor({ ...base, on: { ...base.on, ChatMessage: () => null } as never })).toThrow(
      /handles ChatMessage, which kit.inbox does not carry/,
    )
  })
})

describe('a command', () => {
  const inbox = defineTopic('told.inbox', 'key', ['TrialInput', ...ENGINE_RECORDS])
  const told = (commands: Instance['commands']) =>
    commands.map(({ id, outcome, reason, code }) => `${id} ${outcome} ${reason}${code ? ` (${code})` : ''}`.trim()).join(', ')
  const state = (digest: string) => ({ ...EMPTY, last: 0, digest })
  const telling = (decision: 'skip' | 'park') =>
    actor({
      name: 'told',
      inbox,
      state: 'TrialState',
      on: {
        TrialInput: (_, { kind }, context) => {
          if (kind === 'refuse') context.refuse('closed', 'not today')
          if (kind === 'poison') throw new Error('told to fail')
          return state(told(context.commands))
        },
      },
      emits: [],
      onPoison: { default: decision, failed: (_state, _failure, context) => state(`failed: ${told(context.commands)}`) },
    })
  const run = async (decision: 'skip' | 'park' = 'skip') => {
    await carry([inbox])
    const kit = testkit(telling(decision))
    let count = 0
    return (kind: string, id = `c${++count}`) => {
      kit.handle('TrialInput', { sequence: 0, kind, delayMs: 0 }, { id, headers: { [COMMAND]: id } })
      return kit.state?.digest
    }
  }

  it('is among the outcomes that its own handler sees, as it stands', async () => {
    const command = await run()
    expect(command('add')).toBe('c1 handled')
    expect(command('refuse')).toBe('c1 handled, c2 refused closed: not today (closed)')
    expect(command('add')).toBe('c1 handled, c2 refused closed: not today (closed), c3 handled')
  })

  it('that fails is told as skipped, or as parked until it is handled', async () => {
    expect((await run('skip'))('poison')).toBe('failed: c1 skipped told to fail')
    const command = await run('park')
    expect(command('poison')).toBe('failed: c1 parked told to fail')
    expect(command('add')).toBe('failed: c1 parked told to fail')
  })

  it('is remembered with the newest 32', async () => {
    const command = await run()
    for (let n = 0; n < 40; n++) command('add')
    expect(command('add')?.split(', ')).toHaveLength(32)
  })
})

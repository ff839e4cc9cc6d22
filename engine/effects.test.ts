import { afterEach, describe, expect, it, vi } from 'vitest'
import type { EffectEnded } from '../schemas/types.ts'
import { type Append, type Log, LogError, MAX_RECORD_BYTES } from '../topics/log.ts'
import { type ActorDefinition, MaybeDone, NotDone, SendRefused, type Port, type Run } from './actor.ts'
import { Corrupted } from './errors.ts'
import { Effects } from './effects.ts'
import { MemoryStore } from './store.ts'
import type { Startable, Task } from './task.ts'
import { bounds } from './testing/bounds-actor.ts'
import { codec } from './testing/testkit.ts'

const INBOX = { topic: 'bounds.inbox', partition: 0 }
const TIMEOUT = 1_000

/** Time that goes on only when all else waits. */
class TurnedClock {
  time = 1_000_000
  #sleeping: { at: number; wake: () => void }[] = []
  now = () => this.time
  mono = () => this.time
  sleep = (ms: number, signal?: AbortSignal) =>
    new Promise<void>(resolve => {
      if (signal?.aborted) return resolve()
      const sleeper = { at: this.time + ms, wake: resolve }
      this.#sleeping.push(sleeper)
      signal?.addEventListener('abort', () => {
        this.#sleeping = this.#sleeping.filter(s => s !== sleeper)
        resolve()
      })
    })

  /** Until then, every sleeper in its turn. */
  async pass(ms: number): Promise<void> {
    const until = this.time + ms
    for (;;) {
      await settle()
      const next = this.#sleeping.sort((a, b) => a.at - b.at)[0]
      if (next === undefined || next.at > until) break
      this.#sleeping.shift()
      this.time = Math.max(this.time, next.at)
      next.wake()
    }
    this.time = until
  }
}

/** Whatever is ready has run. */
const settle = () => new Promise<void>(resolve => setImmediate(resolve))

const errors: string[] = []
afterEach(() => {
  errors.length = 0
})

function world(ports: Record<string, Port<never, never>>, more: Partial<ActorDefinition> = {}) {
  const clock = new TurnedClock()
  const store = new MemoryStore('store')
  const appended: Append[] = []
  const state = { generation: 1 as number | null, lease: Number.POSITIVE_INFINITY, open: 0 }
  const refuse: { with: ((records: readonly Append[]) => unknown) | null } = { with: null }
  const log = {
    append: async (records: readonly Append[]) => {
      const error = refuse.with?.(records)
      if (error) throw error
      appended.push(...records)
      return []
    },
  } as never as Log
  const definition = bounds({}, more) as never as ActorDefinition
  const task = { definition, inbox: INBOX, store, input: () => ({ sequence: 1 }) } as never as Task
  const effects = new Effects({
    log,
    codec,
    clock,
    ports: { bounds: ports as never },
    owned: () => state.generation,
    isOpen: (_inbox, { start }) => start === state.open,
    lease: () => state.lease,
    onError: (what, error) => errors.push(`${what}: ${(error as Error).message}`),
  })
  const start = (more: Partial<Startable> = {}) =>
    effects.start(task, { attempt: 'a1', effect: 'small', notAfter: null, start: 0, uncertain: false, key: 'k', ...more })
  return {
    clock,
    store,
    state,
    refuse,
    effects,
    task,
    start,
    appended,
    /** What has come to the inbox: ends as outcome and reason, results as their sequence. */
    get told() {
      return appended.map(({ value }) => {
        const { type, value: record } = codec.decode(value as Buffer)
        if (type !== 'EffectEnded') return (record as { sequence: number }).sequence
        const { outcome, reason } = record as EffectEnded
        return `${outcome}: ${reason}`
      })
    },
  }
}

const port = (work: (run: Run) => unknown): Port<never, never> => (async (_input: never, run: Run) => work(run)) as never
/** One that leaves, and then does this. */
const leaving = (work: () => unknown) =>
  port(run => {
    run.beforeSend()
    return work()
  })
const never = () => new Promise<never>(() => {})

describe('an attempt ends', () => {
  it('with its result, in parts that say which is the last', async () => {
    const w = world({ small: leaving(() => [{ sequence: 1 }, { sequence: 2 }]) })
    w.start()
    await w.clock.pass(0)
    expect(w.told).toEqual([1, 2])
    expect(w.appended.map(a => a.headers)).toEqual([
      { attempt: 'a1', part: '0', last: '0' },
      { attempt: 'a1', part: '1', last: '1' },
    ])
    expect([w.effects.size, w.store.wasSent('a1')]).toEqual([0, true])
  })

  it('as not done, where its effect, its port or its input is missing, and as UNKNOWN where an earlier start may have done it', async () => {
    for (const [what, start, reason] of [
      ['effect', { effect: 'gone' }, 'actor "bounds" has no effect "gone"'],
      ['effect', { effect: 'constructor' }, 'actor "bounds" has no effect "constructor"'],
      ['port', { effect: 'large' }, 'no port for "large"'],
      ['input', {}, 'its input cannot be read: lost'],
    ] as const) {
      const w = world({ small: port(run => run.beforeSend()) })
      if (what === 'input') {
        w.task.input = () => {
          throw new Corrupted('no_input', 'lost')
        }
      }
      w.start(start)
      await w.clock.pass(0)
      w.start({ ...start, attempt: 'a2', uncertain: true })
      await w.clock.pass(0)
      expect(w.told).toEqual([`NOT_DONE: ${reason}`, `UNKNOWN: ${reason}`])
      expect(w.effects.size).toBe(0)
    }
  })

  it('as UNKNOWN, unrepeated, where code under which it might be repeated has left it uncertain', async () => {
    let runs = 0
    const w = world({ small: port(() => runs++) })
    w.start({ uncertain: true })
    await w.clock.pass(0)
    expect([w.told, runs]).toEqual([['UNKNOWN: it may have been done, and must not be repeated'], 0])
  })

  const circular: Record<string, unknown> = {}
  circular.sequence = circular
  it.each<[string, unknown]>([
    ['no parts', []],
    ['too many parts', Array.from({ length: 10_001 }, () => ({ sequence: 1 }))],
    ['nothing', undefined],
    ['null', null],
    ['a text', 'done'],
    ['what does not fit its schema', { sequence: 'one' }],
    ['what cannot be shown', { sequence: 1n }],
    ['what holds itself', circular],
    ['a part that is none', [{ sequence: 1 }, null]],
  ])('where its result is %s', async (_, result) => {
    for (const [leaves, outcome] of [
      [true, 'UNKNOWN'],
      [false, 'NOT_DONE'],
    ] as const) {
      const w = world({
        small: port(run => {
          if (leaves) run.beforeSend()
          return result
        }),
      })
      w.start()
      await w.clock.pass(60_000)
      expect(w.told).toEqual([expect.stringMatching(new RegExp(`^${outcome}: its result cannot be kept: .`))])
      expect(w.effects.size).toBe(0)
    }
  })

  it.each([-200, -60, -20, 0, 20])('where its result is %i bytes around the limit', async around => {
    const effects = { small: { input: 'TrialEffect', result: 'TrialInput', retry: 'never', timeoutMs: TIMEOUT } } as const
    const result = { sequence: 1, kind: 'add', payload: Buffer.alloc(MAX_RECORD_BYTES + around) }
    const w = world({ small: leaving(() => result) }, { effects })
    w.start()
    await w.clock.pass(60_000)
    expect(w.appended.map(a => a.headers?.attempt !== undefined)).toEqual([around <= -60])
    if (around > -60) expect(w.told[0]).toMatch(/^UNKNOWN: its result cannot be kept: part 0 of the result is \d+ bytes/)
  })

  it.each(['too_large', 'no_topic'] as const)('where the log refuses its result for good: %s', async code => {
    const w = world({ small: leaving(() => ({ sequence: 1 })) })
    w.refuse.with = records => (records.some(r => r.headers !== undefined) ? new LogError(code, 'told to refuse') : null)
    w.start()
    await w.clock.pass(60_000)
    expect(w.told).toEqual(['UNKNOWN: its result cannot be kept: told to refuse'])
    // Not even its end can be told: that is an error, and no endless trying.
    w.refuse.with = () => new LogError(code, 'told to refuse')
    w.start({ attempt: 'a2' })
    await w.clock.pass(60_000)
    expect([w.effects.size, errors.at(-1)]).toEqual([0, 'effect small of bounds failed: not appended: told to refuse'])
  })

  it('once the log takes it again, asked ever more rarely', async () => {
    const w = world({ small: leaving(() => ({ sequence: 1 })) })
    const asked: number[] = []
    w.refuse.with = () => {
      asked.push(w.clock.time - 1_000_000)
      return asked.length < 9 ? new LogError('unavailable', 'not now') : null
    }
    w.start()
    await w.clock.pass(60_000)
    expect(asked).toEqual([0, 100, 300, 700, 1_500, 3_100, 6_300, 11_300, 16_300])
    expect(w.told).toEqual([1])
  })

  it('with a reason of bounded length, whatever was thrown', async () => {
    for (const thrown of ['x'.repeat(1_000_000), Symbol('x'), Object.create(null), new Error('x'.repeat(1_000_000)), undefined]) {
      const w = world({
        small: port(run => {
          run.beforeSend()
          throw thrown
        }),
      })
      w.start()
      await w.clock.pass(0)
      expect(w.told).toEqual([expect.stringMatching(/^UNKNOWN: /)])
      expect((w.told[0] as string).length).toBeLessThan(1_100)
    }
  })
})

describe('the code that a port gives its error', () => {
  const codes = (w: ReturnType<typeof world>) =>
    w.appended.map(({ value }) => (codec.decode(value as Buffer).value as EffectEnded).code)

  it.each([
    ['what was not done', () => new NotDone('busy', { code: 'rate_limited' }), 'rate_limited'],
    ['what may have been done', () => new MaybeDone('broken', { code: 'provider_down' }), 'provider_down'],
    ['what was refused before it was sent', () => new SendRefused('EXPIRED', 'late', { code: 'rate_limited' }), 'rate_limited'],
    ['an error of another kind', () => Object.assign(new Error('reset'), { code: 'ECONNRESET' }), null],
  ])('is told of %s, and of nothing else', async (_, error, code) => {
    const w = world({
      small: leaving(() => {
        throw error()
      }),
    })
    w.start()
    await w.clock.pass(600_000)
    expect(codes(w)).toEqual([code])
  })

  it('is that of the try which kept it from being done', async () => {
    let tries = 0
    const w = world({
      small: port(() => {
        tries += 1
        throw tries === 1 ? new NotDone('busy', { code: 'rate_limited' }) : new SendRefused('EXPIRED', 'late')
      }),
    })
    w.start({ notAfter: w.clock.time + 60_000 })
    await w.clock.pass(600_000)
    expect([w.told, codes(w)]).toEqual([['EXPIRED: busy; late'], ['rate_limited']])
  })
})

describe('what surely was not done', () => {
  it('is tried again five times, ever later; within notAfter until then', async () => {
    const tries: number[] = []
    const w = world({
      small: port(() => {
        tries.push(w.clock.time - 1_000_000)
        throw new NotDone('nobody there')
      }),
    })
    w.start()
    await w.clock.pass(600_000)
    expect([tries, w.told]).toEqual([[0, 500, 1_500, 3_500, 7_500], ['NOT_DONE: nobody there']])
    tries.length = 0
    w.start({ attempt: 'a2', notAfter: w.clock.time + 20_000 })
    await w.clock.pass(600_000)
    expect(tries.length).toBeGreaterThan(5)
    expect(w.told[1]).toBe('EXPIRED: nobody there')
  })

  it.each([0, -5, Number.NaN, Number.POSITIVE_INFINITY])(
    'is tried again though its port asks to wait for %d ms',
    async retryAfterMs => {
      let tries = 0
      const w = world({
        small: port(() => {
          tries += 1
          throw new NotDone('nobody there', { retryAfterMs })
        }),
      })
      w.start({ notAfter: w.clock.time + 2 * 60 * 60 * 1000 })
      await w.clock.pass(3 * 60 * 60 * 1000)
      expect(tries).toBeGreaterThan(1)
      expect(tries).toBeLessThan(300)
      expect(w.told).toEqual(['EXPIRED: nobody there'])
    },
  )

  it('has its note taken back', async () => {
    const w = world({
      small: port(run => {
        run.beforeSend()
        throw new NotDone('refused')
      }),
    })
    w.start({ notAfter: w.clock.time })
    await settle()
    expect(w.store.wasSent('a1')).toBe(false)
  })

  it('keeps its note while an earlier try may have left', async () => {
    let tries = 0
    const w = world({
      large: port(run => {
        tries += 1
        run.beforeSend()
        throw tries === 1 ? new Error('connection reset') : new NotDone('refused')
      }),
    })
    w.start({ effect: 'large', notAfter: w.clock.time + 600 })
    await w.clock.pass(550)
    expect([tries, w.store.wasSent('a1')]).toEqual([2, true])
    await w.clock.pass(600)
    expect([w.told, w.store.wasSent('a1')]).toEqual([['UNKNOWN: refused'], true])
  })

  it('keeps its note where an earlier owner may have left', async () => {
    const w = world({
      large: port(run => {
        run.beforeSend()
        throw new NotDone('refused')
      }),
    })
    w.store.markSent('a1')
    w.start({ effect: 'large', uncertain: true, notAfter: w.clock.time + 1 })
    await w.clock.pass(10)
    expect([w.told, w.store.wasSent('a1')]).toEqual([['UNKNOWN: refused'], true])
  })

  it('is one that could not be noted: nothing leaves, and it is tried again', async () => {
    const left: number[] = []
    const w = world({
      small: leaving(() => {
        left.push(w.clock.time)
        return { sequence: 1 }
      }),
    })
    const note = vi.spyOn(w.store, 'markSent').mockImplementationOnce(() => {
      throw new Error('no space left on device')
    })
    w.start()
    await w.clock.pass(100)
    expect([left, w.told]).toEqual([[], []])
    await w.clock.pass(1_000)
    expect([left, w.told, note.mock.calls.length]).toEqual([[1_000_500], [1], 2])
  })

  it('ends though its note cannot be taken back', async () => {
    const w = world({
      small: port(run => {
        run.beforeSend()
        throw new NotDone('refused')
      }),
    })
    vi.spyOn(w.store, 'clearSent').mockImplementation(() => {
      throw new Error('no space left on device')
    })
    w.start({ notAfter: w.clock.time + 1 })
    await w.clock.pass(10)
    expect(w.told).toEqual(['EXPIRED: refused'])
  })
})

describe('what may not leave', () => {
  const once = (arrange: (w: ReturnType<typeof world>) => unknown, more: Partial<Startable> = {}) => {
    let left = false
    const w = world({
      small: port(async run => {
        await w.clock.sleep(10)
        await arrange(w)
        run.beforeSend()
        left = true
        return { sequence: 1 }
      }),
    })
    w.start(more)
    return w.clock.pass(5_000).then(() => ({ told: w.told, left, noted: w.store.wasSent('a1') }))
  }

  it('is released while the worker is draining, when its lease is over, and when the task has moved', async () => {
    for (const arrange of [
      (w: ReturnType<typeof world>) => void w.effects.drain(1_000),
      (w: ReturnType<typeof world>) => (w.state.lease = w.clock.time),
      (w: ReturnType<typeof world>) => (w.state.generation = 2),
      (w: ReturnType<typeof world>) => (w.state.generation = null),
      (w: ReturnType<typeof world>) => (w.state.open = 1),
    ]) {
      const { told, left, noted } = await once(arrange)
      expect(told).toEqual([expect.stringMatching(/^RELEASED: /)])
      expect([left, noted]).toEqual([false, false])
    }
  })

  it('is expired past its notAfter', async () => {
    const { told, left } = await once(() => {}, { notAfter: 1_000_009 })
    expect([told, left]).toEqual([[expect.stringMatching(/^EXPIRED: it had to be sent by 1970-01-01T00:16:40.009Z/)], false])
  })

  it('is uncertain where an earlier leave of the same try has let it pass', async () => {
    const twice = (effect: 'small' | 'large', then: (w: ReturnType<typeof world>) => void) => {
      const w = world({
        [effect]: port(async run => {
          run.beforeSend()
          await w.clock.sleep(10)
          then(w)
          run.beforeSend()
          return { sequence: 1 }
        }),
      })
      w.start({ effect, notAfter: w.clock.time + 100 })
      return w.clock.pass(5_000).then(() => [w.told, w.store.wasSent('a1')])
    }
    const move = (w: ReturnType<typeof world>) => {
      w.state.generation = 2
    }
    const wait = (w: ReturnType<typeof world>) => {
      w.clock.time += 200
    }
    const fill = (w: ReturnType<typeof world>) => {
      w.store.markSent = () => {
        throw new Error('no space left on device')
      }
    }
    expect(await twice('small', move)).toEqual([[expect.stringMatching(/^UNKNOWN: /)], true])
    expect(await twice('small', wait)).toEqual([[expect.stringMatching(/^UNKNOWN: /)], true])
    expect(await twice('small', fill)).toEqual([[expect.stringMatching(/^UNKNOWN: /)], true])
    expect(await twice('large', move)).toEqual([[expect.stringMatching(/^RETRY: /)], true])
    expect(await twice('large', wait)).toEqual([[expect.stringMatching(/^UNKNOWN: /)], true])
  })

  it('is what a try wants that was given up, or has ended', async () => {
    const refused: unknown[] = []
    const beforeSend = (run: Run) => {
      try {
        run.beforeSend()
      } catch (error) {
        refused.push(error)
        throw error
      }
    }
    let tries = 0
    const w = world({
      small: port(async run => {
        tries += 1
        if (tries > 1) return { sequence: tries }
        await w.clock.sleep(5 * TIMEOUT + 100)
        beforeSend(run)
      }),
    })
    w.start()
    await w.clock.pass(20_000)
    expect([w.told, refused]).toEqual([[2], [expect.any(SendRefused)]])

    const runs: Run[] = []
    const other = world({
      small: port(run => {
        runs.push(run)
        return { sequence: 1 }
      }),
    })
    other.start()
    await other.clock.pass(0)
    expect(() => runs[0]?.beforeSend()).toThrow(SendRefused)
    expect(other.store.wasSent('a1')).toBe(false)
  })
})

describe('a result that comes after its time-out', () => {
  const late = (result: unknown) => {
    let answer: (result: unknown) => void = () => {}
    const w = world({
      small: port(run => {
        run.beforeSend()
        return new Promise(resolve => {
          answer = resolve
        })
      }),
    })
    w.start()
    return w.clock.pass(TIMEOUT + 1).then(async () => {
      expect(w.told).toEqual([`UNKNOWN: no answer within ${TIMEOUT} ms`])
      answer(result)
      return w
    })
  }

  it('is told all the same, and draining waits for it', async () => {
    const w = await late({ sequence: 7 })
    w.refuse.with = () => (w.clock.time < 1_002_000 ? new LogError('unavailable', 'not now') : null)
    await settle()
    const drained = w.effects.drain(10_000).then(() => w.told)
    await w.clock.pass(5_000)
    expect(await drained).toEqual([`UNKNOWN: no answer within ${TIMEOUT} ms`, 7])
  })

  it.each([undefined, [], 'done'])('is an error where it is none (%j), and nothing more', async result => {
    const w = await late(result)
    await w.clock.pass(60_000)
    expect(w.told).toHaveLength(1)
    expect(errors).toEqual([expect.stringMatching(/^late result of effect small/)])
  })
})

describe('draining', () => {
  it('starts nothing new, and says of it that it was released', async () => {
    let runs = 0
    const w = world({ small: port(() => runs++) })
    await w.effects.drain(10)
    w.start()
    w.start({ attempt: 'a2' })
    await w.clock.pass(0)
    expect([w.told, runs]).toEqual([['RELEASED: the worker is stopping', 'RELEASED: the worker is stopping'], 0])
  })

  it('releases what waits to be tried again, and may be repeated only where it must not be lost', async () => {
    const w = world({
      small: port(() => {
        throw new NotDone('nobody there')
      }),
      large: port(run => {
        run.beforeSend()
        throw new Error('connection reset')
      }),
    })
    w.start()
    w.start({ attempt: 'a2', effect: 'large' })
    await w.clock.pass(100)
    const drained = w.effects.drain(10_000)
    await w.clock.pass(0)
    await drained
    expect(w.told).toEqual(['RELEASED: the worker is stopping', 'RETRY: the worker is stopping'])
  })

  it('waits for what runs, so long and no longer', async () => {
    const w = world({ small: leaving(never) }, {
      effects: { small: { input: 'TrialEffect', result: 'TrialDone', retry: 'never', timeoutMs: 60_000 } },
    } as never)
    w.start()
    await w.clock.pass(0)
    let over = false
    void w.effects.drain(10_000).then(() => {
      over = true
    })
    await w.clock.pass(9_999)
    expect(over).toBe(false)
    await w.clock.pass(2)
    expect([over, w.told]).toEqual([true, []])
  })
})

describe('an effect that waits its turn', () => {
  const waiting = (work: (run: Run) => unknown) =>
    world({ small: port(work) }, {
      effects: { small: { input: 'TrialEffect', result: 'TrialDone', retry: 'idempotent', timeoutMs: TIMEOUT, waits: true } },
    } as never)

  it('has no time-out before it leaves, and its own from then on', async () => {
    const turn = Promise.withResolvers<void>()
    let runs = 0
    const w = waiting(async run => {
      runs += 1
      if (runs > 1) return { sequence: runs }
      await turn.promise
      run.beforeSend()
      return never()
    })
    w.start()
    await w.clock.pass(24 * 60 * 60 * 1000)
    expect([w.told, runs]).toEqual([[], 1])
    turn.resolve()
    await w.clock.pass(TIMEOUT - 1)
    expect(runs).toBe(1)
    await w.clock.pass(TIMEOUT)
    expect([w.told, runs]).toEqual([[2], 2])
  })

  it('is tried as often as it comes back with nothing, until it is no longer wanted', async () => {
    let runs = 0
    const w = waiting(run => {
      runs += 1
      run.beforeSend()
      throw new NotDone('nothing new', { retryAfterMs: 100 })
    })
    w.start({ notAfter: w.clock.time + 10_000 })
    await w.clock.pass(9_950)
    expect([w.told, runs]).toEqual([[], 100])
    await w.clock.pass(200)
    expect(w.told).toEqual([expect.stringMatching(/^EXPIRED/)])
  })

  it('is let go without a word when the worker stops, and told that it is over', async () => {
    let over = false
    const w = waiting(run => {
      run.signal.addEventListener('abort', () => {
        over = true
      })
      return never()
    })
    w.start()
    await w.clock.pass(0)
    const drained = w.effects.drain(10_000)
    await w.clock.pass(0)
    await drained
    expect([w.told, over, w.effects.size]).toEqual([[], true, 0])
  })
})

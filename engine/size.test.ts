import { describe, expect, it } from 'vitest'
import { recordSchema } from '../schemas/index.ts'
import { changelog } from '../topics/catalog.ts'
import { Codec, MemoryRegistry } from '../topics/codec.ts'
import { MAX_RECORD_BYTES } from '../topics/log.ts'
import { payloadBytes } from '../topics/records.ts'
import { COMMAND } from './headers.ts'
import { keptBytes, MAX_KEY_BYTES, MAX_TIMER_NAME_BYTES } from './size.ts'
import { type Act, bounds, boundsOutputs } from './testing/bounds-actor.ts'
import { codec, type KitStep, testkit } from './testing/testkit.ts'

const KEY = 'main:key'
/** The envelope's value in its changelog is five bytes longer than its raw Avro; the key comes on top. */
const ENVELOPE = MAX_RECORD_BYTES - KEY.length - 5

function kit(acts: Readonly<Record<string, Act>>, more: Parameters<typeof bounds>[1] = {}) {
  const made = testkit(bounds(acts, more), { key: KEY })
  const send = (kind: string, options: Parameters<typeof made.handle>[2] = {}) =>
    made.handle('TrialInput', { sequence: 0, kind, delayMs: 0 }, options)
  return { kit: made, send }
}

/** Every record that a step writes, as the log measures it. */
function largest(step: KitStep): number {
  return Math.max(
    0,
    ...step.emits.map(e => payloadBytes({ key: e.key, value: e.type && codec.encode(e.topic, e.type, e.record) })),
  )
}

/** The size from which on `fits` no longer holds. */
function border(fits: (size: number) => boolean, from: number, to: number): number {
  let [low, high] = [from, to]
  expect([fits(low), fits(high)]).toEqual([true, false])
  while (high - low > 1) {
    const middle = (low + high) >> 1
    if (fits(middle)) low = middle
    else high = middle
  }
  return high
}

describe('an emit', () => {
  const emitting = (bytes: number, key: string) =>
    kit({
      emit: context => {
        context.emit(boundsOutputs, key, 'TrialOutput', { sequence: 0, count: 0, what: '', payload: Buffer.alloc(bytes) })
        return undefined
      },
    }).send('emit')

  it.each(['k', 'k'.repeat(300_000)])('may be as large as a record with its key, and no larger', key => {
    const fits = (bytes: number) => emitting(bytes, key).result === 'handled'
    const first = border(fits, MAX_RECORD_BYTES - key.length - 100, MAX_RECORD_BYTES)
    expect(largest(emitting(first - 1, key))).toBe(MAX_RECORD_BYTES)
    const refused = emitting(first, key)
    expect(refused.emits.map(e => e.type)).toEqual(['DeadLetter'])
    expect(refused.emits[0]?.record.cause).toContain(`${MAX_RECORD_BYTES + 1} bytes`)
  })
})

describe('the input of an effect', () => {
  const letter = (bytes: number) => ({
    topic: '',
    partition: 0,
    offset: 0,
    key: '',
    recordType: '',
    value: Buffer.alloc(bytes),
    decision: 'SKIP' as const,
    cause: '',
    at: 0,
  })
  const performing = (bytes: number) =>
    kit({
      perform: context => {
        context.perform('large', letter(bytes))
        return undefined
      },
    }).send('perform')

  it('fits with what the ledger writes around it, under its key', async () => {
    const first = border(bytes => performing(bytes).result === 'handled', MAX_RECORD_BYTES - 1_000, MAX_RECORD_BYTES)
    const own = changelog('bounds', bounds({}).inbox)
    const ledgers = await Codec.open(new MemoryRegistry(), [own])
    const { attempt, input } = performing(first - 1).effects[0] as KitStep['effects'][number]
    const { type, fingerprint } = recordSchema('DeadLetter')
    const kept = { key: KEY, attempt, effect: 'large', fingerprint, input: type.toBuffer(input) }
    const value = ledgers.encode(own.name, 'LedgerInput', kept)
    expect(payloadBytes({ key: `${KEY}\0${attempt}`, value })).toBe(MAX_RECORD_BYTES)
    expect(performing(first)).toMatchObject({ result: 'poisoned', effects: [] })
  })
})

describe('a dead letter', () => {
  it('holds the beginning of a record that is too large for it, and says where the rest is', () => {
    const { kit: made } = kit({ poison: fail })
    for (const room of [-100, 0, 60, 200, 1_000, 3_000]) {
      const raw = codec.encode('bounds.inbox', 'TrialInput', {
        sequence: 0,
        kind: 'poison',
        delayMs: 0,
        payload: Buffer.alloc(MAX_RECORD_BYTES - 2_000 - room),
      })
      const step = made.handle('TrialInput', {
        sequence: 0,
        kind: 'poison',
        delayMs: 0,
        payload: Buffer.alloc(MAX_RECORD_BYTES - 2_000 - room),
      })
      const { record } = step.emits[0] as KitStep['emits'][number]
      expect(largest(step)).toBeLessThanOrEqual(MAX_RECORD_BYTES)
      expect(raw.subarray(0, record.value.length).equals(record.value)).toBe(true)
      expect(record.bytes).toBe(record.value.length === raw.length ? -1 : raw.length)
      if (record.bytes > 0) expect(record.cause).toMatch(/told to fail .*the rest is at bounds.inbox\/0\/\d/)
    }
  })

  it.each([MAX_RECORD_BYTES - 1_000, MAX_RECORD_BYTES - 10, MAX_RECORD_BYTES])('of a record of %i bytes fits', bytes => {
    const { kit: made } = kit({ poison: fail })
    const around = codec.encode('bounds.inbox', 'TrialInput', {
      sequence: 0,
      kind: 'poison',
      delayMs: 0,
      payload: Buffer.alloc(400_000),
    })
    const payload = Buffer.alloc(bytes - KEY.length - (around.length - 400_000))
    const step = made.handle('TrialInput', { sequence: 0, kind: 'poison', delayMs: 0, payload })
    expect(step.emits[0]?.record.bytes).toBe(bytes - KEY.length)
    expect(largest(step)).toBeLessThanOrEqual(MAX_RECORD_BYTES)
  })
})

function fail(): never {
  throw new Error('told to fail')
}

describe('a key', () => {
  it.each([
    ['k'.repeat(MAX_KEY_BYTES), 'handled'],
    ['k'.repeat(MAX_KEY_BYTES + 1), 'poisoned'],
    ['ก'.repeat(300_000 / 3), 'poisoned'],
    ['a\0b', 'poisoned'],
    ['\0position', 'poisoned'],
  ])('that no actor can have sends its record to the dead letters (%#)', (key, result) => {
    const made = testkit(bounds({ timer: setOne }), { key })
    const step = made.handle('TrialInput', { sequence: 0, kind: 'timer', delayMs: 0 })
    expect(step.result).toBe(result)
    expect(made.state === null).toBe(result === 'poisoned')
    if (result === 'poisoned') expect(key.startsWith(step.emits[0]?.key as string)).toBe(true)
    expect(largest(step)).toBeLessThanOrEqual(MAX_RECORD_BYTES)
  })
})

const setOne: Act = context => {
  context.setTimer('tick:x', context.now)
  return undefined
}

describe('timers and attempts', () => {
  it('have names and times that a record can hold', () => {
    const set = (name: string, at: number) => kit({ set: context => void context.setTimer(name, at) }).send('set').result
    expect(set(`tick:${'x'.repeat(MAX_TIMER_NAME_BYTES - 5)}`, 1)).toBe('handled')
    expect(set(`tick:${'x'.repeat(MAX_TIMER_NAME_BYTES - 4)}`, 1)).toBe('poisoned')
    expect(set('tick:\0', 1)).toBe('poisoned')
    for (const at of [1e300, Number.NaN, -1e300, 9e15]) expect(set('tick:x', at)).toBe('poisoned')
    expect(set('constructor:x', 1)).toBe('poisoned')
    for (const notAfter of [1e300, Number.NaN, Number.POSITIVE_INFINITY]) {
      const perform: Act = context => void context.perform('small', { sequence: 0 }, { notAfter })
      expect(kit({ perform }).send('perform').result).toBe('poisoned')
    }
  })

  it.each([
    ['timers', (context: Parameters<Act>[0], n: number) => context.setTimer(`tick:${n}${'ก'.repeat(150)}`, n)],
    ['attempts', (context: Parameters<Act>[0], n: number) => void context.perform('small', { sequence: n })],
  ])('that make the envelope too large fail like what throws: %s', { timeout: 30_000 }, (_, one) => {
    let many = 0
    const acts: Record<string, Act> = {
      many: context => {
        for (let n = 0; n < many; n++) one(context, n)
        return undefined
      },
      add: () => undefined,
    }
    const fits = (count: number) => {
      many = count
      return kit(acts).send('many').result === 'handled'
    }
    many = border(fits, 500, 4_500) - 1
    const { kit: made, send } = kit(acts)
    send('many')
    expect(made.bytes).toBeGreaterThan(MAX_RECORD_BYTES / 3)
    // The engine's own notes still have room: ids, outcomes of commands, decisions.
    for (let n = 0; n < 520; n++) {
      const id = `${n}`.padEnd(500, 'ก')
      expect(send(n % 2 === 0 ? 'add' : 'poison', { id, headers: { [COMMAND]: id } }).result).toBe('handled')
    }
    expect(made.bytes).toBeLessThanOrEqual(ENVELOPE)
    const before = [made.timers.length, made.started.length, made.state?.count]
    many += 1
    expect(send('many').result).toBe('poisoned')
    expect([made.timers.length, made.started.length, made.state?.count]).toEqual(before)
  })
})

describe('parked records', () => {
  const parking = (payload: number, headers: Record<string, string> = {}) => {
    const { kit: made } = kit({ poison: fail }, { onPoison: { default: 'park' } })
    const send = () =>
      made.handle('TrialInput', { sequence: 0, kind: 'poison', delayMs: 0, payload: Buffer.alloc(payload) }, { headers })
    return { made, send }
  }

  it.each([100, 5_000, 50_000, 200_000, 450_000, 480_000, 500_000, 520_000])(
    'of %i bytes never make the envelope too large',
    bytes => {
      const { made, send } = parking(bytes)
      for (let n = 0; n < 110; n++) {
        const step = send()
        expect(made.bytes).toBeLessThanOrEqual(ENVELOPE)
        expect(largest(step)).toBeLessThanOrEqual(MAX_RECORD_BYTES)
        // It is kept, or it is among the dead letters as what is gone.
        if (n > 0 || bytes > 480_000)
          expect(step.result === 'parked_behind' || step.emits[0]?.record.decision === 'SKIP').toBe(true)
      }
    },
  )

  it('count with their headers', () => {
    const { made, send } = parking(10, { big: 'x'.repeat(300_000) })
    expect(send().emits[0]?.record.decision).toBe('PARK')
    expect(send().emits[0]?.record).toMatchObject({ decision: 'SKIP', cause: expect.stringContaining('too large to wait') })
    expect(made.bytes).toBeLessThanOrEqual(ENVELOPE)
  })

  it('that are mended with more than there is room for are skipped, and what waits goes on', () => {
    let broken = true
    const act: Act = () => (broken ? fail() : undefined)
    const { kit: made } = kit({ act }, { onPoison: { default: 'park' } })
    const send = (payload: number) =>
      made.handle('TrialInput', { sequence: 0, kind: 'act', delayMs: 0, payload: Buffer.alloc(payload) })
    send(10)
    for (let n = 0; n < 4; n++) send(100_000)
    const value = codec.encode('bounds.inbox', 'TrialInput', {
      sequence: 0,
      kind: 'act',
      delayMs: 0,
      payload: Buffer.alloc(300_000),
    })
    const step = made.handle('Redrive', { id: 'r1', offset: 0, drop: false, value, by: 'p' })
    expect(step.emits[0]?.record).toMatchObject({
      decision: 'SKIP',
      offset: 0,
      cause: expect.stringContaining('too large to be kept'),
    })
    // The next one is now the first that is parked; none of the others was lost.
    broken = false
    expect(made.handle('Redrive', { id: 'r2', offset: 1, drop: false, value: null, by: 'p' }).result).toBe('handled')
    expect(made.state?.count).toBe(4)
  })
})

describe('what handlers throw and say', () => {
  const thrown: [string, () => unknown][] = [
    ['a text', () => 'told'],
    ['nothing', () => undefined],
    ['a symbol', () => Symbol('told')],
    ['an object without a text', () => Object.create(null)],
    ['an error whose message cannot be read', () => Object.defineProperty(new Error(), 'message', { get: fail })],
    ['an error whose message is no text', () => Object.assign(new Error(), { message: { toString: fail } })],
    ['a proxy', () => new Proxy({}, { getPrototypeOf: fail, get: fail })],
    ['a message of a megabyte', () => new Error('x'.repeat(1_000_000))],
  ]
  it.each(thrown)('may be %s', (_, what) => {
    const { send, kit: made } = kit({
      throw: () => {
        throw what()
      },
    })
    const step = send('throw', { id: 'c', headers: { [COMMAND]: 'c' } })
    expect(step.result).toBe('poisoned')
    expect(step.emits[0]?.record.cause.length).toBeLessThanOrEqual(1_000)
    expect(made.bytes).toBeLessThan(10_000)
  })

  it('may be a promise, which is no state', () => {
    const step = kit({ late: (async () => fail()) as never }).send('late')
    expect(step).toMatchObject({ result: 'poisoned', emits: [{ record: { cause: expect.stringContaining('promise') } }] })
  })

  it('may refuse a command for any reason; an id that is too long is poison', () => {
    const { send, kit: made } = kit({ refuse: context => void context.refuse({ toString: () => 'x'.repeat(100_000) } as never) })
    expect(send('refuse', { id: 'c', headers: { [COMMAND]: 'c' } }).result).toBe('handled')
    expect(send('add', { id: 'd', headers: { [COMMAND]: 'c'.repeat(501) } }).result).toBe('poisoned')
    expect(made.bytes).toBeLessThan(5_000)
  })

  it('may be told why an attempt ended in a few words only', () => {
    const ended = (state: unknown, { reason }: { reason: string }) => ({ ...(state as object), digest: reason })
    const { send, kit: made } = kit(
      { perform: context => void context.perform('small', { sequence: 1 }) },
      { ended: ended as never },
    )
    const attempt = send('perform').effects[0]?.attempt as string
    expect(made.end(attempt, 'NOT_DONE', 'x'.repeat(400_000)).result).toBe('handled')
    expect(made.state?.digest).toHaveLength(1_000)
  })

  it('may have any id, with any time', () => {
    const { send, kit: made } = kit({})
    for (let n = 0; n < 600; n++) {
      for (const at of ['soon', '1e300', '', '1.5']) {
        expect(send('add', { id: `${at}${n}`.padEnd(n === 0 ? 400_000 : 1), headers: { at } }).result).toBe('handled')
      }
    }
    expect(send('add', { id: 'soon599', headers: { at: 'soon' } }).result).toBe('duplicate')
    expect(made.bytes).toBeLessThan(10_000)
  })
})

it('what is counted is never less than what it becomes', () => {
  const timers = Array.from({ length: 500 }, (_, n) => ({ name: `tick:ก${n}`, at: 8.64e15 - n, version: `${2 ** 50}.${n}` }))
  const ledger = timers.map(({ version }) => ({
    attempt: version,
    effect: 'small',
    status: 'STARTED' as const,
    notAfter: 8.64e15,
    start: 2 ** 30,
    uncertain: true,
    parts: 2 ** 30,
    owner: 'o'.repeat(36),
  }))
  const parked = timers.map(({ at }) => ({
    offset: at,
    type: 'TrialInput',
    at,
    value: Buffer.alloc(300),
    headers: { a: 'b', กข: 'ค' },
  }))
  const envelope = { now: 0, fingerprint: null, state: null, ring: Buffer.alloc(0), horizon: 0, decisions: [], commands: [] }
  const written = recordSchema('Envelope').type.toBuffer({ ...envelope, timers, ledger, parked })
  expect(keptBytes({ timers, ledger, parked })).toBeGreaterThanOrEqual(written.length)
})

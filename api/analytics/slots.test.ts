import { expect, test, vi } from 'vitest'
import { CONCURRENCY, Slots } from './slots.ts'

const here = () => new AbortController().signal
/** Whether it has a slot yet. */
const isIn = async (entering: Promise<unknown>) => (await Promise.race([entering, Promise.resolve('waits')])) !== 'waits'

test('a principal at their limit waits, and others pass', async () => {
  const slots = new Slots()
  const first = await Promise.all(Array.from({ length: CONCURRENCY.each }, () => slots.enter('nok', 1_000, here())))
  const third = slots.enter('nok', 1_000, here())
  expect(await isIn(third)).toBe(false)
  const other = await slots.enter('ploy', 1_000, here())
  expect(other).toBeTypeOf('function')
  other?.()
  expect(await isIn(third)).toBe(false)
  first[0]?.()
  expect(await third).toBeTypeOf('function')
})

test('the total is limited; the first to wait is the first to run', async () => {
  const slots = new Slots()
  const names = Array.from({ length: CONCURRENCY.all }, (_, n) => `p${n}`)
  const running = await Promise.all(names.map(name => slots.enter(name, 1_000, here())))
  const order: string[] = []
  const waiting = ['a', 'b'].map(name => slots.enter(name, 1_000, here()).then(() => order.push(name)))
  running[0]?.()
  running[0]?.() // releasing twice counts once
  await waiting[0]
  expect(order).toEqual(['a'])
  running[1]?.()
  await waiting[1]
  expect(order).toEqual(['a', 'b'])
})

test('a client that waits too long, or has gone, takes no slot', async () => {
  vi.useFakeTimers()
  try {
    const slots = new Slots()
    const running = await Promise.all(Array.from({ length: CONCURRENCY.each }, () => slots.enter('nok', 1_000, here())))
    const late = slots.enter('nok', 1_000, here())
    const gone = new AbortController()
    const left = slots.enter('nok', 60_000, gone.signal)
    gone.abort()
    expect(await left).toBeNull()
    await vi.advanceTimersByTimeAsync(1_000)
    expect(await late).toBeNull()
    running[0]?.()
    expect(await slots.enter('nok', 1_000, here())).toBeTypeOf('function')
  } finally {
    vi.useRealTimers()
  }
})

test('the queue is limited', async () => {
  const slots = new Slots()
  const gone = new AbortController()
  const many = Array.from({ length: 100 }, () => slots.enter('nok', 60_000, gone.signal))
  expect(await many.at(-1)).toBeNull()
  expect(await slots.enter('ploy', 1_000, here())).toBeTypeOf('function')
  gone.abort()
  await Promise.all(many)
})

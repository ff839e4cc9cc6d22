import { beforeEach, describe, expect, it } from 'vitest'
import { type Instance, NEW_INSTANCE } from './instance.ts'
import { MemoryStore, type StoreBatch } from './store.ts'
import { type Committed, StoreWriter, MAX_WAIT_MS } from './store-writer.ts'

/** A store whose writes end when the test says so. */
class SlowStore extends MemoryStore {
  readonly batches: StoreBatch[] = []
  readonly #ends: { resolve: () => void; reject: (error: Error) => void }[] = []
  override async write(batch: StoreBatch): Promise<void> {
    this.batches.push(batch)
    await new Promise<void>((resolve, reject) => this.#ends.push({ resolve, reject }))
    await super.write(batch)
  }
  end(error?: Error): void {
    const next = this.#ends.shift()
    if (error === undefined) next?.resolve()
    else next?.reject(error)
  }
}

let store: SlowStore
let writer: StoreWriter
let shown: string[]
beforeEach(() => {
  store = new SlowStore('store')
  shown = []
  writer = new StoreWriter(store, touched => shown.push(...touched.keys()))
})

const timers = (...at: number[]): Instance => ({
  ...NEW_INSTANCE,
  timers: at.map(due => ({ name: `t:${due}`, at: due, version: `${due}` })),
})
let position = 0
const committed = (key: string, raw: string | null, more: Partial<Committed> & { before?: Instance; after?: Instance } = {}) => {
  const { before = null, after = NEW_INSTANCE, ...rest } = more
  return {
    touched: new Map([[key, { before, after, raw: raw === null ? null : Buffer.from(raw) }]]),
    inputs: new Map(),
    schemas: new Map(),
    closed: [],
    checkpoint: { changelog: ++position, position, logId: 'log', at: 1, stop: null },
    ...rest,
  }
}
const NOW = 1_000_000

describe('what is committed', () => {
  it('waits, and is written together, a key once and as of the last', async () => {
    writer.add(committed('a', '1', { before: timers(NOW + 9e6), after: timers(NOW + 9e6, NOW + 8e6) }), NOW, 0)
    writer.add(committed('b', '1'), NOW, 500)
    writer.add(committed('a', '2', { before: timers(NOW + 9e6, NOW + 8e6), after: timers(NOW + 8e6) }), NOW, 900)
    expect([writer.due(MAX_WAIT_MS - 1), writer.due(MAX_WAIT_MS), writer.urgent]).toEqual([false, true, false])
    expect(store.batches).toEqual([])
    expect([writer.get('a')?.raw?.toString(), writer.get('b')?.raw?.toString(), writer.get('c')]).toEqual(['2', '1', undefined])
    const written = writer.written()
    store.end()
    await written
    const [batch] = store.batches
    expect(store.batches).toHaveLength(1)
    expect(batch?.changes.map(({ key, bytes }) => `${key} ${bytes?.subarray(8)}`)).toEqual(['a 2', 'b 1'])
    expect(batch?.changes[0]).toMatchObject({ before: timers(NOW + 9e6), after: timers(NOW + 8e6) })
    expect(batch?.checkpoint.position).toBe(position)
    expect([shown, writer.bytes, writer.get('a')]).toEqual([['a', 'b'], 0, undefined])
  })

  it('must not wait where a timer of it is due soon, or was', () => {
    const soon = timers(NOW + MAX_WAIT_MS)
    for (const change of [{ after: soon }, { before: soon }, { before: soon, after: timers(NOW + MAX_WAIT_MS, NOW + 9e6) }]) {
      const fresh = new StoreWriter(store, () => {})
      fresh.add(committed('a', '1', change), NOW, 0)
      expect(fresh.urgent).toBe(true)
    }
    const same = timers(NOW)
    writer.add(committed('a', '1', { before: same, after: { ...same, now: 5 } }), NOW, 0)
    expect(writer.urgent).toBe(false)
  })

  it('is read as it is until the store shows it, also while it is written and more has come', async () => {
    writer.add(committed('a', '1', { inputs: new Map([['a\0i', Buffer.from('in')]]) }), NOW, 0)
    writer.flush()
    writer.add(committed('b', null, { inputs: new Map([['a\0i', null]]) }), NOW, 0)
    expect([writer.get('a')?.raw?.toString(), writer.get('b')?.raw]).toEqual(['1', null])
    expect([writer.input('a\0i'), writer.input('a\0j')]).toEqual([null, undefined])
    writer.flush()
    expect(store.batches).toHaveLength(1)
    const written = writer.written()
    store.end()
    await expect.poll(() => store.batches.length).toBe(2)
    expect([store.get('a')?.subarray(8).toString(), writer.get('a'), writer.input('a\0i')]).toEqual(['1', undefined, null])
    store.end()
    await written
    expect([store.get('b'), writer.get('b'), store.input('a\0i')]).toEqual([null, undefined, null])
  })

  it('is behind where a write does not end while what waits has waited long enough', () => {
    writer.add(committed('a', '1'), NOW, 0)
    expect(writer.behind(MAX_WAIT_MS)).toBe(false)
    writer.flush()
    expect(writer.behind(5 * MAX_WAIT_MS)).toBe(false)
    writer.add(committed('a', '2'), NOW, 100)
    expect([writer.behind(MAX_WAIT_MS), writer.behind(MAX_WAIT_MS + 100)]).toEqual([false, true])
  })

  it('stays to be read when it could not be written, and nothing is written behind it until the store is made anew', async () => {
    writer.add(committed('a', '1', { closed: ['attempt'] }), NOW, 0)
    store.markSent('attempt')
    const written = writer.written()
    writer.add(committed('b', '1'), NOW, 0)
    store.end(new Error('no space left'))
    await written
    expect([writer.failure, writer.get('a')?.raw?.toString()]).toEqual([new Error('no space left'), '1'])
    expect([shown, store.wasSent('attempt')]).toEqual([[], true])
    writer.flush()
    await writer.written()
    expect(store.batches).toHaveLength(1)
    writer.reset()
    expect([writer.failure, writer.get('a'), writer.get('b')]).toEqual([null, undefined, undefined])
    writer.add(committed('c', '1', { closed: ['attempt'] }), NOW, 0)
    const again = writer.written()
    store.end()
    await again
    expect([store.get('c')?.subarray(8).toString(), store.wasSent('attempt')]).toEqual(['1', false])
  })
})

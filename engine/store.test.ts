import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, describe, expect, it } from 'vitest'
import { type Instance, NEW_INSTANCE } from './instance.ts'
import { LmdbStores } from './lmdb.ts'
import { type Change, MemoryStore, type StateStore } from './store.ts'

const checkpoint = { changelog: 7, position: 5, logId: 'log', at: 1, stop: null }
const timer = (name: string, at: number, version: string) => ({ name, at, version })
const withTimers = (...timers: Instance['timers']): Instance => ({ ...NEW_INSTANCE, timers })
const withOpenAttempt = (): Instance => ({
  ...NEW_INSTANCE,
  ledger: [
    { attempt: 'a1', effect: 'send', status: 'STARTED', notAfter: null, start: 0, uncertain: false, parts: 0, owner: 'me' },
  ],
})
const change = (key: string, before: Instance | null, after: Instance | null, bytes: string | null): Change => ({
  key,
  before,
  after,
  bytes: bytes === null ? null : Buffer.from(bytes),
})
const batch = (changes: Change[], inputs: [string, Buffer | null][] = []) => ({
  changes,
  inputs: new Map(inputs),
  schemas: new Map([['f', '{"type":"int"}']]),
  checkpoint,
})

const folders: string[] = []
const opened: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of opened.splice(0)) await close()
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true, force: true })
})

const stores: [string, () => { store: StateStore; reopen: () => Promise<StateStore> }][] = [
  [
    'in memory',
    () => {
      const store = new MemoryStore('m')
      return { store, reopen: async () => store }
    },
  ],
  [
    'on LMDB',
    () => {
      const folder = mkdtempSync(join(tmpdir(), 'store-'))
      folders.push(folder)
      let stores = LmdbStores.open(folder)
      opened.push(() => stores.close())
      return {
        store: stores.store('actor', 3),
        reopen: async () => {
          await stores.close()
          stores = LmdbStores.open(folder)
          return stores.store('actor', 3)
        },
      }
    },
  ],
]

describe.each(stores)('the state store %s', (_name, make) => {
  it('shows values, inputs, schemas and the checkpoint of what was written, and of nothing else', async () => {
    const { store, reopen } = make()
    expect(store.checkpoint()).toBeNull()
    await store.write(batch([change('k', null, NEW_INSTANCE, 'v')], [['k\0a', Buffer.from('in')]]))
    const again = await reopen()
    expect(again.id).toBe(store.id)
    expect(again.get('k')?.toString()).toBe('v')
    expect(again.get('other')).toBeNull()
    expect(again.input('k\0a')?.toString()).toBe('in')
    expect([...again.schemas()]).toEqual(['{"type":"int"}'])
    expect(again.checkpoint()).toEqual(checkpoint)
    await again.write(batch([change('k', NEW_INSTANCE, null, null)], [['k\0a', null]]))
    expect(again.get('k')).toBeNull()
    expect(again.input('k\0a')).toBeNull()
  })

  it('finds timers in the order of their time, and forgets those moved or cleared', async () => {
    const { store } = make()
    const first = withTimers(timer('a', 30, '1.0'), timer('b', 10, '1.1'))
    await store.write(batch([change('k', null, first, 'v'), change('l', null, withTimers(timer('a', 20, '2.0')), 'v')]))
    expect(store.nextDue()).toBe(10)
    expect(store.due(20, 10).map(t => `${t.key} ${t.name} ${t.at}`)).toEqual(['k b 10', 'l a 20'])
    expect(store.due(9, 10)).toEqual([])
    await store.write(batch([change('k', first, withTimers(timer('a', 5, '3.0')), 'v')]))
    expect(store.due(100, 10).map(t => `${t.key} ${t.name} ${t.at} ${t.version}`)).toEqual(['k a 5 3.0', 'l a 20 2.0'])
  })

  it('lists keys with open attempts, and remembers which attempts have left', async () => {
    const { store, reopen } = make()
    await store.write(batch([change('k', null, withOpenAttempt(), 'v'), change('l', null, NEW_INSTANCE, 'v')]))
    store.markSent('a1')
    const again = await reopen()
    expect(again.open()).toEqual(['k'])
    expect(again.wasSent('a1')).toBe(true)
    expect(again.wasSent('a2')).toBe(false)
    await again.write(batch([change('k', withOpenAttempt(), NEW_INSTANCE, 'v')]))
    again.clearSent(['a1'])
    expect(again.open()).toEqual([])
  })

  it('wipes everything but its identity', async () => {
    const { store } = make()
    await store.write(batch([change('k', null, withTimers(timer('a', 1, '1.0')), 'v')]))
    await store.wipe()
    expect(store.get('k')).toBeNull()
    expect(store.nextDue()).toBeNull()
    expect(store.checkpoint()).toBeNull()
  })
})

import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { NEW_INSTANCE } from './instance.ts'
import { LmdbStores } from './lmdb.ts'
import type { StoreBatch } from './store.ts'
import { at, changes, eventually, openWorld, stateOf, statusOf } from './testing/world.ts'

let base = ''
let folder = ''
const opened: LmdbStores[] = []
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'boots-'))
  folder = join(base, 'state')
})
afterEach(async () => {
  for (const stores of opened.splice(0)) await stores.close()
  rmSync(base, { recursive: true, force: true })
})

function opening(boot: string, from = folder): LmdbStores {
  const stores = LmdbStores.open(from, boot)
  opened.push(stores)
  return stores
}

const batch = (text: string, changelog = 1): StoreBatch => ({
  changes: [{ key: 'k', before: null, after: NEW_INSTANCE, bytes: Buffer.from(text) }],
  inputs: new Map(),
  schemas: new Map(),
  checkpoint: { changelog, position: 1, logId: 'log', at: 1, stop: null },
})

const noted = () => JSON.parse(readFileSync(join(folder, 'stores.json'), 'utf8'))
const reached = () => noted().tasks['actor/0']?.changelog

/** The folder as it would be, were the machine to fail now: of the pages that were not synced nothing is certain. */
function failed(from: string): string {
  const left = join(base, 'failed')
  cpSync(from, left, { recursive: true })
  const file = join(left, 'lmdb', 'data.mdb')
  const bytes = readFileSync(file)
  writeFileSync(file, bytes.fill(0xa5, 8_192, bytes.length - 4_096))
  return left
}

describe('a store whose process was killed', () => {
  it('has all that was written, though nothing was synced', async () => {
    const script = join(import.meta.dirname, 'testing/lmdb-child.ts')
    const child: ChildProcess = spawn(process.execPath, [script, 'write', folder], { stdio: ['ignore', 'pipe', 'inherit'] })
    let written = 0
    for await (const line of createInterface({ input: child.stdout! })) {
      written = JSON.parse(line)
      if (written >= 200) break
    }
    child.kill('SIGKILL')
    await once(child, 'exit')
    const store = LmdbStores.open(folder)
    opened.push(store)
    const actor = store.store('actor', 0)
    const reached = actor.checkpoint()?.changelog ?? 0
    expect(reached).toBeGreaterThanOrEqual(written)
    for (let n = 1; n <= reached; n++) expect([actor.get(`${n}/0`)?.[0], actor.get(`${n}/9`)?.[0]]).toEqual([n % 256, n % 256])
  })
})

describe('after another boot of the machine', () => {
  it('what was closed in order is there', async () => {
    const before = opening('one')
    await before.store('actor', 0).write(batch('v'))
    await before.close()
    const store = opening('two').store('actor', 0)
    expect([store.get('k')?.toString(), store.checkpoint()?.lost]).toEqual(['v', undefined])
  })

  it('what was not is gone, but for how far it was, until it is written anew', async () => {
    const before = opening('one')
    await before.store('actor', 0).write(batch('v', 7))
    await eventually(reached).toBe(7)
    const left = failed(folder)
    const after = opening('two', left)
    const store = after.store('actor', 0)
    expect([store.get('k'), after.store('actor', 1).checkpoint()]).toEqual([null, null])
    expect(store.checkpoint()).toEqual({ ...batch('v', 7).checkpoint, lost: true })
    await store.write(batch('w', 8))
    expect([store.get('k')?.toString(), store.checkpoint()]).toEqual(['w', batch('w', 8).checkpoint])
  })

  it('it is known how far it was, even if the next boot fails too, or ends in a kill', async () => {
    await opening('one').store('actor', 0).write(batch('v', 7))
    await eventually(reached).toBe(7)
    let left = failed(folder)
    for (const boot of ['two', 'two', 'three']) {
      const stores = opening(boot, left)
      expect(stores.store('actor', 0).checkpoint()).toMatchObject({ changelog: 7, lost: true })
      const next = join(base, `killed in ${opened.length}`)
      cpSync(left, next, { recursive: true })
      left = next
    }
  })

  it('nothing is written before it is known by whom', async () => {
    const stores = opening('one')
    expect(noted().boot).toBe('one')
    await stores.close()
    expect(noted().boot).toBeNull()
    opening('two')
    expect(noted().boot).toBe('two')
  })
})

describe('a task after a power failure', () => {
  it('is restored from its changelog, and goes on where it stood', async () => {
    const world = await openWorld()
    try {
      let worker = await world.start()
      for (let n = 0; n < 20; n++) await world.append([`key-${n % 4}`, n % 3, { sequence: n }])
      await eventually(async () => (await world.handled()).length).toBe(20)
      await world.stop(worker)
      const states = join(world.folder, 'state')
      const stores = opening('another', failed(states))
      worker = await world.start({ openStore: async (name, partition) => stores.store(name, partition) })
      await world.append(['key-0', 0, { sequence: 20 }])
      // Of the keys of partition 0 "key-0" was written to by 0 and 12.
      await eventually(() => stateOf(worker, 'key-0', 0)?.count).toBe(3)
      expect(stateOf(worker, 'key-1', 0)?.count).toBe(1)
      await eventually(() => worker.status().tasks.every(({ state }) => state === 'RUNNING')).toBe(true)
      await eventually(() => stores.store('world', 0).checkpoint()?.position).toBe(worker.task(at(0))?.position)
      expect(stores.store('world', 0).checkpoint()?.lost).toBeUndefined()
      await world.stop(worker)
    } finally {
      await world.close()
    }
  })

  it('is halted where its changelog is gone as well', async () => {
    let world = await openWorld()
    let worker = await world.start()
    await world.append(['a', 0])
    await eventually(() => stateOf(worker, 'a', 0)?.count).toBe(1)
    await world.stop(worker)
    const states = join(world.folder, 'state')
    await eventually(() => readFileSync(join(states, 'stores.json'), 'utf8')).toContain('world/0')
    const left = failed(states)
    await world.close()
    world = await openWorld()
    try {
      const stores = opening('another', left)
      worker = await world.start({ openStore: async (name, partition) => stores.store(name, partition) })
      await eventually(() => statusOf(worker, 0)?.stopped).toMatch(new RegExp(`${changes.name}/0 holds no state, .*up to 1`))
      await eventually(() => statusOf(worker, 1)?.state).toBe('RUNNING')
    } finally {
      await world.close()
    }
  })
})

it('stores of a version that synced are kept, and from then on count by their boot', async () => {
  await opening('one').store('actor', 0).write(batch('v'))
  await opened.pop()?.close()
  rmSync(join(folder, 'stores.json'))
  const stores = opening('two')
  expect(stores.store('actor', 0).get('k')?.toString()).toBe('v')
  await stores.close()
  expect(existsSync(join(folder, 'stores.json'))).toBe(true)
  expect(opening('three').store('actor', 0).get('k')?.toString()).toBe('v')
})

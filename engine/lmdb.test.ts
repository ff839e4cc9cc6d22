import { type ChildProcess, execFile, spawn, spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { open } from 'lmdb'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { Corrupted, Fatal, Retryable } from './errors.ts'
import { NEW_INSTANCE } from './instance.ts'
import { LmdbStores } from './lmdb.ts'
import { MAX_KEY_BYTES, type StateStore, type StoreBatch } from './store.ts'

const CHILD = join(import.meta.dirname, 'testing/lmdb-child.ts')
let base = ''
let folder = ''
const opened: LmdbStores[] = []
const children: ChildProcess[] = []
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'stores-'))
  folder = join(base, 'state')
})
afterEach(async () => {
  for (const child of children.splice(0)) await kill(child)
  for (const stores of opened.splice(0)) await stores.close()
  rmSync(base, { recursive: true, force: true })
})

function opening(boot?: string, at = folder): LmdbStores {
  const stores = LmdbStores.open(at, boot)
  opened.push(stores)
  return stores
}

/** A process that has the stores open and has noted these attempts. */
async function noting(...attempts: string[]): Promise<{ child: ChildProcess; id: string }> {
  const child = spawn(process.execPath, [CHILD, 'note', folder, ...attempts], { stdio: ['ignore', 'pipe', 'inherit'] })
  children.push(child)
  const [told] = await once(child.stdout!, 'data')
  return { child, id: JSON.parse(String(told)).id }
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return
  child.kill('SIGKILL')
  await once(child, 'exit')
}

const batch = (entries: Record<string, string>, changelog = 1): StoreBatch => ({
  changes: Object.entries(entries).map(([key, text]) => ({ key, before: null, after: NEW_INSTANCE, bytes: Buffer.from(text) })),
  inputs: new Map(),
  schemas: new Map([['f', '{"type":"int"}']]),
  checkpoint: { changelog, position: 1, logId: 'log', at: 1, stop: null },
})

describe('the folder', () => {
  it('is refused to a second process, which is told whose it is and touches nothing', async () => {
    const { child } = await noting('a')
    const before = readFileSync(join(folder, 'left'), 'utf8')
    expect(before).toContain('+a\n')
    const second = () => opening()
    expect(second).toThrow(Fatal)
    expect(second).toThrow(expect.objectContaining({ code: 'locked', message: expect.stringContaining(`process ${child.pid} `) }))
    expect(second).toThrow(folder)
    expect(readFileSync(join(folder, 'left'), 'utf8')).toBe(before)
    await kill(child)
    expect(opening().store('actor', 0).wasSent('a')).toBe(true)
  })

  it('is refused to the same process until it is closed', async () => {
    const first = opening()
    expect(() => opening()).toThrow(expect.objectContaining({ code: 'locked' }))
    await Promise.all([first.close(), first.close()])
    opening()
  })

  it('is free again when it could not be opened, and says what is wrong', async () => {
    const stores = opening()
    await stores.store('actor', 0).write(batch({ k: 'v' }))
    await stores.close()
    const left = join(folder, 'left')
    rmSync(left)
    mkdirSync(left)
    for (let i = 0; i < 2; i++) expect(() => opening()).toThrow(expect.objectContaining({ code: 'store' }))
    rmSync(left, { recursive: true })
    expect(opening().store('actor', 0).get('k')?.toString()).toBe('v')
  })

  it.each<[string, (file: string) => void]>([
    ['cut short', file => truncateSync(file, statSync(file).size >> 1)],
    ['cut to its head', file => truncateSync(file, 8_192)],
    ['cut to nearly nothing', file => truncateSync(file, 100)],
    ['not of LMDB', file => writeFileSync(file, Buffer.alloc(100_000, 7))],
    ['of zeros', file => writeFileSync(file, Buffer.alloc(100_000))],
    ['half of zeros', file => writeFileSync(file, readFileSync(file).fill(0, 4_096))],
  ])('with a file %s is refused by name, and does not end the process', async (_what, harm) => {
    const stores = opening()
    for (let n = 0; n < 20; n++) await stores.store('actor', 0).write(batch({ [n]: 'x'.repeat(10_000) }))
    await stores.close()
    harm(join(folder, 'lmdb', 'data.mdb'))
    const { status, signal, stderr } = spawnSync(process.execPath, [CHILD, 'fill', folder, 'close'], { encoding: 'utf8' })
    expect([status, signal, stderr]).toEqual([
      1,
      null,
      expect.stringContaining(`Fatal: the state stores in ${folder} cannot be opened`),
    ])
  })
})

describe('the owner', () => {
  it('is the same after a restart, however the process ended, so that what never left is known', async () => {
    const { child, id } = await noting('a', 'b')
    await kill(child)
    const stores = opening()
    const store = stores.store('actor', 0)
    expect([store.id, store.wasSent('a'), store.wasSent('b'), store.wasSent('c')]).toEqual([id, true, true, false])
    await stores.close()
    expect(opening().store('other', 1).id).toBe(id)
  })

  it('is another after another boot of the machine, and again after the next', async () => {
    const ids = new Set<string>()
    for (const boot of ['one', 'two', 'one']) {
      const stores = opening(boot)
      ids.add(stores.store('actor', 0).id)
      await stores.close()
    }
    expect(ids.size).toBe(3)
  })

  it('is another in a copy of the folder', async () => {
    const stores = opening()
    const { id } = stores.store('actor', 0)
    await stores.close()
    const copy = join(base, 'copy')
    cpSync(folder, copy, { recursive: true, preserveTimestamps: true })
    expect(opening(undefined, copy).store('actor', 0).id).not.toBe(id)
    expect(opening().store('actor', 0).id).toBe(id)
  })

  const left = () => join(folder, 'left')
  it.each<[string, () => void]>([
    ['deleted', () => rmSync(left())],
    ['emptied', () => writeFileSync(left(), '')],
    ['cut in a line', () => truncateSync(left(), statSync(left()).size - 2)],
    ['cut by a line', () => truncateSync(left(), statSync(left()).size - 3)],
  ])('is another when the notes were %s after a kill', async (_what, harm) => {
    const { child, id } = await noting('a', 'b')
    await kill(child)
    harm()
    const stores = opening()
    const next = stores.store('actor', 0).id
    expect(next).not.toBe(id)
    await stores.close()
    expect(opening().store('actor', 0).id).toBe(next)
  })

  it.each(['written to since', 'closed since'])('is another over an older copy of the notes, the stores %s', async how => {
    const files = ['left', 'left.mark'].map(file => join(folder, file))
    const stores = opening()
    const store = stores.store('actor', 0)
    store.markSent('a')
    const older = files.map(file => readFileSync(file))
    store.markSent('b')
    if (how === 'closed since') await stores.close()
    else await store.write(batch({ k: 'v' }))
    const now = join(base, 'killed') // as the folder is, were the process killed now
    cpSync(join(folder, 'lmdb'), join(now, 'lmdb'), { recursive: true })
    await stores.close()
    rmSync(join(folder, 'lmdb'), { recursive: true })
    cpSync(join(now, 'lmdb'), join(folder, 'lmdb'), { recursive: true })
    for (const [i, file] of files.entries()) writeFileSync(file, older[i]!)
    expect(opening().store('actor', 0).id).not.toBe(store.id)
  })

  it('is another over a folder of the version before, whose state and notes are kept', async () => {
    mkdirSync(folder)
    const before = open<Buffer, string>({ path: join(folder, 'lmdb'), maxDbs: 840, encoding: 'binary', cache: false })
    before.openDB<string, string>({ name: 'about', encoding: 'string' }).putSync('id', 'an id of before')
    before.openDB<Buffer, string>({ name: 'actor/0/values', encoding: 'binary' }).putSync('k', Buffer.from('v'))
    await before.close()
    writeFileSync(join(folder, 'left'), '+a\n+b\n-a\n')
    const stores = opening()
    const store = stores.store('actor', 0)
    expect(store.id).not.toBe('an id of before')
    expect([store.get('k')?.toString(), store.wasSent('a'), store.wasSent('b')]).toEqual(['v', false, true])
    await stores.close()
    expect(opening().store('actor', 0).id).toBe(store.id)
  })
})

describe('stores of tasks', () => {
  it('are listed, and removed with all that is in them', async () => {
    const stores = opening()
    for (const partition of [0, 7]) await stores.store('a/b', partition).write(batch({ k: `of ${partition}` }))
    await stores.store('c', 0).write(batch({ k: 'c' }))
    stores.store('a/b', 0).markSent('attempt')
    const listed = () => stores.list().map(({ actor, partition }) => `${actor}/${partition}`)
    expect(listed().sort()).toEqual(['a/b/0', 'a/b/7', 'c/0'])
    await stores.drop('a/b', 0)
    await stores.drop('a/b', 0)
    await stores.drop('nobody', 3)
    expect(listed().sort()).toEqual(['a/b/7', 'c/0'])
    const anew = stores.store('a/b', 0)
    expect([anew.get('k'), anew.checkpoint(), anew.wasSent('attempt')]).toEqual([null, null, true])
    expect([stores.store('a/b', 7).get('k')?.toString(), stores.store('c', 0).get('k')?.toString()]).toEqual(['of 7', 'c'])
    await stores.close()
    const again = opening()
    expect(again.list()).toHaveLength(3)
    await again.drop('c', 0) // not opened in this process
    expect(again.list()).toHaveLength(2)
  })

  it('are not reached by who held them when they were removed', async () => {
    const stores = opening()
    const old = stores.store('a', 0)
    await old.write(batch({ k: 'a' }))
    const gone = stores.drop('a', 0)
    expect(() => stores.store('a', 0)).toThrow(Retryable)
    await gone
    await stores.store('b', 0).write(batch({ k: 'b' })) // LMDB gives it the same handles
    expect(() => old.get('k')).toThrow(expect.objectContaining({ code: 'store_dropped' }))
    await expect(old.write(batch({ k: 'x' }))).rejects.toThrow(Retryable)
    expect(stores.store('b', 0).get('k')?.toString()).toBe('b')
  })

  it('leave their room to the next, and their places: more tasks than there is room for, one after another', async () => {
    const stores = opening()
    const file = join(folder, 'lmdb', 'data.mdb')
    const sizes: number[] = []
    for (let n = 0; n < 150; n++) {
      const store = stores.store('a', n)
      await store.write(batch(Object.fromEntries(Array.from({ length: 20 }, (_, i) => [i, 'x'.repeat(5_000)]))))
      if (n > 0) await stores.drop('a', n - 1)
      sizes.push(statSync(file).size)
    }
    expect(stores.list()).toEqual([{ actor: 'a', partition: 149 }])
    expect(sizes.at(-1)).toBeLessThan(150 * 20 * 5_000 * 0.2)
    expect(stores.store('a', 149).get('19')?.length).toBe(5_000)
  }, 30_000)
})

describe('what is stored, when it is damaged,', () => {
  it.each(['', 'null', '{"changelog":7', '{"changelog":"7","position":1,"logId":"log","at":1,"stop":null}', '[]'])(
    'is no checkpoint: %s',
    async text => {
      const stores = opening()
      await stores.store('actor', 0).write(batch({ k: 'v' }))
      await stores.close()
      const raw = open<Buffer, string>({ path: join(folder, 'lmdb'), maxDbs: 840, encoding: 'binary', cache: false })
      raw.openDB<string, string>({ name: 'actor/0/meta', encoding: 'string' }).putSync('checkpoint', text)
      await raw.close()
      expect(opening().store('actor', 0).checkpoint()).toBeNull()
    },
  )

  it('is told from a bug: the error names the store', async () => {
    const stores = opening()
    for (let n = 0; n < 300; n++) await stores.store('actor', 0).write(batch({ [`key ${n}`]: 'x'.repeat(500) }))
    await stores.store('whole', 0).write(batch({ k: 'v' }))
    await stores.close()
    const file = join(folder, 'lmdb', 'data.mdb')
    const bytes = readFileSync(file)
    // No page of values says in its head any more what it is.
    for (let page = 4_096 * 2; page < bytes.length; page += 4_096) {
      if (bytes.subarray(page, page + 4_096).includes('xxxx')) bytes.fill(0, page + 8, page + 24)
    }
    writeFileSync(file, bytes)
    const again = opening()
    const store = again.store('actor', 0)
    const reads: ((store: StateStore) => unknown)[] = [s => s.get('key 7'), s => s.get('key 299')]
    const whole = again.store('whole', 0)
    for (const read of reads) {
      expect(() => read(store)).toThrow(Corrupted)
      const told = { code: 'store_damaged', message: expect.stringContaining('actor/0') }
      expect(() => read(store)).toThrow(expect.objectContaining(told))
      expect(whole.get('k')?.toString()).toBe('v')
    }
    await expect(store.write(batch({ 'key 7': 'v' }))).rejects.toThrow(expect.objectContaining({ code: 'store_damaged' }))
    await whole.write(batch({ k: 'w' }))
    expect(whole.get('k')?.toString()).toBe('w')
  })
})

describe('a write', () => {
  it('with a key that LMDB does not take is refused before anything of it is written', async () => {
    const stores = opening()
    const store = stores.store('actor', 0)
    await store.write(batch({ a: '1' }, 1))
    const long = 'é'.repeat(MAX_KEY_BYTES / 2)
    await store.write(batch({ [long]: 'long' }, 2))
    expect([store.get(long)?.toString(), store.checkpoint()?.changelog]).toEqual(['long', 2])
    await expect(store.write(batch({ a: '2', [`${long}x`]: 'v' }, 3))).rejects.toThrow(
      expect.objectContaining({ code: 'key_too_long' }),
    )
    const timer = { name: 'x'.repeat(MAX_KEY_BYTES), at: 1, version: '1' }
    const change = { key: 'k', before: null, after: { ...NEW_INSTANCE, timers: [timer] }, bytes: Buffer.from('v') }
    await expect(store.write({ ...batch({ a: '2' }, 3), changes: [change] })).rejects.toThrow(Fatal)
    expect([store.get('a')?.toString(), store.checkpoint()?.changelog]).toEqual(['1', 2])
  })

  it('after closing is refused, and so is reading', async () => {
    const stores = opening()
    const store = stores.store('actor', 0)
    const last = store.write(batch({ k: 'v' }))
    await stores.close()
    await last
    await expect(store.write(batch({ k: 'w' }))).rejects.toThrow(expect.objectContaining({ code: 'closed' }))
    expect(() => store.get('k')).toThrow(expect.objectContaining({ code: 'closed' }))
    expect(() => store.markSent('a')).toThrow(Retryable)
    expect(() => stores.store('actor', 1)).toThrow(expect.objectContaining({ code: 'closed' }))
    expect(opening().store('actor', 0).get('k')?.toString()).toBe('v')
  })
})

const mountable = spawnSync('unshare', ['-rm', 'mount', '-t', 'tmpfs', 'tmpfs', tmpdir()]).status === 0
describe.skipIf(!mountable)('on a full disk', () => {
  async function filled(fate: string): Promise<Record<string, unknown>[]> {
    mkdirSync(folder)
    // A file system of its own, which is gone with the process.
    const script = 'mount -t tmpfs -o size=3m tmpfs "$1" && exec "$2" "$3" fill "$1" "$4"'
    const args = ['-rm', 'sh', '-c', script, 'sh', folder, process.execPath, CHILD, fate]
    const { stdout } = await promisify(execFile)('unshare', args, { timeout: 30_000 })
    return stdout
      .trim()
      .split('\n')
      .map(line => JSON.parse(line))
  }

  it('a write fails alone and whole, nothing goes unheard, and with room all goes on', async () => {
    const [refusal, shown, ...then] = await filled('room')
    const last = refusal?.last as number
    expect(last).toBeGreaterThan(10)
    expect(refusal).toMatchObject({ refused: { name: 'Retryable', code: 'store_write' }, together: 3, checkpoint: last })
    expect(refusal?.refused).toMatchObject({ message: expect.stringContaining('actor/0') })
    expect(shown).toEqual({ whole: [3_000, 3_000], half: [null, null], other: null })
    expect(then).toEqual([{ again: [last + 1, 3_000, 1] }, { wiped: [null, null] }, { id: true, reopened: null }, 'closed'])
  })

  it('closing ends, and what was written before is there', async () => {
    const told = await filled('close')
    expect(told.slice(2)).toEqual([{ id: true, reopened: told[0]?.last }, 'closed'])
  })
})

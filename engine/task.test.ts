import avro from 'avsc'
import { expect, it, vi } from 'vitest'
import { recordSchema } from '../schemas/index.ts'
import { changelog } from '../topics/catalog.ts'
import type { ActorDefinition } from './actor.ts'
import { Budget } from './budget.ts'
import { CacheBudget } from './generational-cache.ts'
import { systemClock } from './clock.ts'
import { reserved } from './changelog.ts'
import { WriterSchemas } from './writer-schemas.ts'
import { MemoryStore } from './store.ts'
import { Task } from './task.ts'
import { type Act, bounds } from './testing/bounds-actor.ts'
import { carry, codec } from './testing/testkit.ts'

/** A task that has nothing behind it; `fold` hands over one record, `seal` makes the transaction that writes what was folded. */
async function newTask(acts: Readonly<Record<string, Act>> = {}) {
  const definition = bounds(acts) as never as ActorDefinition
  const changes = changelog('bounds', definition.inbox)
  await carry([changes])
  const settings = {
    definition,
    partition: 0,
    codec,
    store: new MemoryStore('store'),
    codeVersion: '1',
    cache: new CacheBudget(100_000),
    lookup: () => null,
  }
  const task = new Task({ ...settings, changelog: changes }, new WriterSchemas())
  const restored = {
    position: 0,
    changelogNext: 0,
    logId: 'log',
    identityWritten: true,
    inbox: { identity: 'inbox', partitions: 1, scope: '' },
    inboxWritten: true,
    schemas: new Map(),
    stop: null,
    unsettled: false,
    givenUp: false,
  }
  task.transition('RESTORING')
  task.restored(restored)
  let offset = 0
  const fold = (type: 'TrialInput' | 'EffectEnded', record: object, key = 'k') => {
    const value = codec.encode(definition.inbox.name, type, record as never)
    const from = offset++
    const records = [{ ...task.inbox, offset: from, timestamp: 1, key, value, headers: {} }]
    const budget = new Budget(systemClock, { sliceMs: 1_000, ms: 1_000, bytes: 1_000_000 })
    task.fold({ ...task.inbox, from, next: offset, records, error: null }, budget)
  }
  /** A transaction has failed: back to the beginning. */
  const restore = () => {
    offset = 0
    task.discard()
    task.restored(restored)
  }
  return { task, fold, restore, seal: () => task.seal('token').appends }
}

it('an attempt is open only in the start that is under way', async () => {
  const { task, fold, seal } = await newTask({ perform: context => void context.perform('small', { sequence: 1 }) })
  fold('TrialInput', { sequence: 0, kind: 'perform' })
  const ledgers = seal().flatMap(({ key, value }) => {
    const read = key === 'k' ? codec.decode(value as Buffer) : null
    return read?.type === 'Envelope' ? read.value.ledger : []
  })
  const attempt = ledgers[0]?.attempt as string
  const open = (start: number, of = attempt) =>
    task.isOpen({ key: 'k', attempt: of, effect: 'small', notAfter: null, start, uncertain: false })
  expect([open(0), open(1), open(0, 'another')]).toEqual([true, false, false])
  fold('EffectEnded', { attempt, effect: 'small', start: 0, outcome: 'RELEASED' })
  expect([open(0), open(1)]).toEqual([false, true])
  fold('EffectEnded', { attempt, effect: 'small', start: 1, outcome: 'NOT_DONE' })
  expect([open(0), open(1)]).toEqual([false, false])
})

it('nothing is handled behind a stop, nor while the stop is on its way to the log', async () => {
  const { task, fold, seal } = await newTask({
    fail: () => {
      throw new Error('told to fail')
    },
  })
  for (let n = 0; n < 30; n++) fold('TrialInput', { sequence: n, kind: 'fail' }, `key-${n}`)
  expect(task.dirty).toBe(true)
  const appends = seal()
  fold('TrialInput', { sequence: 30, kind: 'add' })
  expect(task.dirty).toBe(false)
  task.commitApplied(appends.length - 1, 0, 0)
  // Too much of it is poison once 21 keys have failed; that is known in front of the next record.
  expect([task.state, task.position, task.rewind().offset]).toEqual(['STOPPED', 21, 21])
})

it('a task that is kept forgets what it had folded and not committed', async () => {
  const { task, fold, seal } = await newTask()
  fold('TrialInput', { sequence: 0, kind: 'add' })
  task.commitApplied(seal().length - 1, 0, 0)
  fold('TrialInput', { sequence: 1, kind: 'add' })
  expect([task.dirty, task.rewind().offset]).toEqual([true, 2])
  task.transition('RESTORING')
  task.keep()
  expect([task.dirty, task.rewind().offset, task.position]).toEqual([false, 1, 1])
  expect(task.peek('k')).toMatchObject({ count: 1 })
})

it('goes only from one state to another that may follow it, and says so otherwise', async () => {
  const { task } = await newTask()
  expect(() => task.transition('CREATED')).toThrow('must not go from RUNNING to CREATED')
  expect(() => task.keep()).toThrow('must not go from RUNNING to RUNNING')
  task.halt('told to')
  expect([task.state, task.stopped?.cause]).toEqual(['STOPPED', 'told to'])
  expect(() => task.transition('RUNNING')).toThrow('must not go from STOPPED to RUNNING')
  task.discard()
  expect(task.state).toBe('RESTORING')
  await task.close()
  await task.close()
  expect(() => task.discard()).toThrow('must not go from CLOSED to RESTORING')
})

it('a record that changes nothing writes nothing, and its offset goes with what comes next, or when it is passed', async () => {
  const { task, fold, seal } = await newTask({ look: (_, state) => state })
  const settle = () => {
    const appends = seal()
    task.commitApplied(appends.length - 1, 0, 0)
    return appends.map(({ key }) => key)
  }
  fold('TrialInput', { sequence: 0, kind: 'add' })
  settle()
  fold('TrialInput', { sequence: 1, kind: 'look' })
  fold('TrialInput', { sequence: 2, kind: 'look' }, 'nobody')
  expect([task.dirty, task.position]).toEqual([false, 1])
  fold('TrialInput', { sequence: 3, kind: 'add' })
  expect(settle()).toEqual(['k', reserved.position])
  expect([task.dirty, task.position]).toEqual([false, 4])
  task.pass(false)
  expect(task.dirty).toBe(false)
  fold('TrialInput', { sequence: 4, kind: 'look' })
  task.pass(false)
  expect(task.dirty).toBe(true)
  expect(settle()).toEqual([reserved.position])
  expect([task.dirty, task.position]).toEqual([false, 5])
  expect(task.peek('k')).toMatchObject({ count: 2 })
})

it('writes the schemas of a failed transaction again, whatever was committed meanwhile', async () => {
  const { task, fold, restore, seal } = await newTask()
  const schemas = () => seal().filter(({ value }) => value != null && codec.typeOf(value) === 'SchemaText').length
  fold('TrialInput', { sequence: 0, kind: 'add' })
  expect(schemas()).toBe(2)
  restore()
  // Only appends to its own inbox: nothing is written to the changelog.
  task.append('k', 'TimerDue', { name: 'tick:x', dueAt: 1, version: '1' })
  expect(schemas()).toBe(0)
  task.commitApplied(undefined, 0, 0)
  fold('TrialInput', { sequence: 0, kind: 'add' })
  expect(schemas()).toBe(2)
  task.commitApplied(1, 0, 0)
  fold('TrialInput', { sequence: 1, kind: 'add' })
  expect(schemas()).toBe(0)
})

it('encodes a state once for each record that a handler has taken, and no more when it is sealed', async () => {
  const { task, fold, seal } = await newTask({ clear: () => null })
  const { type } = recordSchema('TrialState')
  const encode = vi.spyOn(avro.Type.prototype, 'encode')
  const add = () => fold('TrialInput', { sequence: 0, kind: 'add' })
  add()
  add()
  seal()
  expect(encode.mock.contexts.filter(of => of === type)).toHaveLength(2)
  encode.mockRestore()
  task.commitApplied(1, 0, 0)
  expect(task.peek('k')).toMatchObject({ count: 2 })
  add()
  fold('TrialInput', { sequence: 0, kind: 'clear' })
  expect(seal().find(({ key }) => key === 'k')?.value).toBeNull()
})

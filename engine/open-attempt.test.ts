import { expect, it } from 'vitest'
import { changelog } from '../topics/catalog.ts'
import type { ActorDefinition } from './actor.ts'
import { Budget } from './budget.ts'
import { systemClock } from './clock.ts'
import { SchemaBook } from './schemas.ts'
import { MemoryStore } from './store.ts'
import { Task } from './task.ts'
import { bounds } from './test-bounds.ts'
import { carry, codec } from './testkit.ts'

it('an attempt is open only in the start that is under way', async () => {
  const definition = bounds({ perform: context => void context.perform('small', { sequence: 1 }) }) as never as ActorDefinition
  const changes = changelog('bounds', definition.inbox)
  await carry([changes])
  const settings = { definition, partition: 0, codec, store: new MemoryStore('store'), codeVersion: '1', cacheBytes: 100_000 }
  const task = new Task({ ...settings, changelog: changes }, new SchemaBook())
  task.restored({
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
  })
  let offset = 0
  const fold = (type: 'TrialInput' | 'EffectEnded', record: object) => {
    const value = codec.encode(definition.inbox.name, type, record as never)
    const from = offset++
    const records = [{ ...task.inbox, offset: from, timestamp: 1, key: 'k', value, headers: {} }]
    const budget = new Budget(systemClock, { sliceMs: 1_000, ms: 1_000, bytes: 1_000_000 })
    task.fold({ ...task.inbox, from, next: offset, records, error: null }, budget)
  }
  fold('TrialInput', { sequence: 0, kind: 'perform' })
  const { appends } = task.seal('token')
  const ledgers = appends.flatMap(({ key, value }) => {
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

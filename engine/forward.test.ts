import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { AlertInput } from '../schemas/types.ts'
import { alerts, changelog, conversationInbox, deadLetters } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../topics/local/log.ts'
import { type Log, LogError, type LogRecord } from '../topics/log.ts'
import { partitionOf } from '../topics/murmur2.ts'
import { Budget } from './budget.ts'
import { systemClock } from './clock.ts'
import { admit, EMPTY_RING } from './dedup-ring.ts'
import { forward } from './forward.ts'
import { CacheBudget } from './generational-cache.ts'
import { RECORD_AT, RECORD_ID } from './headers.ts'
import { replayPartition } from './replay.ts'
import type { Emit } from './step/step.ts'
import { MemoryStore } from './store.ts'
import { Task } from './task.ts'
import { eventually, withMembership } from './testing/world.ts'
import { Worker } from './worker.ts'
import { WriterSchemas } from './writer-schemas.ts'

/** An alert about a conversation becomes a note in it, in two parts if it is urgent; one that has passed does not. */
const notes = forward({
  name: 'alert-notes',
  from: alerts,
  to: conversationInbox,
  forward: ({ value: { id, conversation, text, priority, resolved }, at }) => {
    if (text === 'poison') throw new Error('told to fail')
    if (conversation === null || resolved) return null
    const note = (part: string) => ({
      key: conversation,
      type: 'AgentAction' as const,
      value: { id: `${id}${part}`, kind: 'NOTE' as const, by: 'alerts', text, at },
    })
    return priority === 'CRITICAL' ? [note('-1'), note('-2')] : note('')
  },
})
const notesChangelog = changelog(notes.name, notes.inbox)
const topics = [alerts, conversationInbox, notesChangelog, deadLetters]
const alert = (id: string, more: Partial<AlertInput> = {}): AlertInput => ({
  id,
  conversation: 'c1',
  department: 'OPERATIONS',
  priority: 'NORMAL',
  kind: 'zone_offline',
  text: id,
  at: 1,
  ...more,
})

let folder = ''
let log: LocalLog
let codec: Codec
const workers = new Set<Worker>()
const errors: string[] = []
beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'forward-'))
  log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
  codec = await Codec.open(log, topics)
})
afterEach(async () => {
  for (const worker of workers) await worker.stop()
  workers.clear()
  errors.length = 0
  await log.close()
  rmSync(folder, { recursive: true, force: true })
})

async function start(instance = 'one', on: Log = log): Promise<Worker> {
  const worker = new Worker({
    log: on,
    codec,
    actors: [notes],
    ports: {},
    group: 'forwards',
    instance,
    codeVersion: '1',
    openStore: () => Promise.reject(new Error('a forward has no store')),
    onError: (what, error) => errors.push(`${what}: ${(error as Error).message}`),
  })
  workers.add(worker)
  await worker.start()
  return worker
}

const send = (...records: readonly (readonly [venue: string, alert: AlertInput | null])[]) =>
  log.append(
    records.map(([key, record]) => ({
      topic: alerts.name,
      key,
      value: record === null ? null : codec.encode(alerts.name, 'Alert', record),
    })),
  )

async function all(topic: string): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for (const { partition, low, high } of await log.ends(topic))
    for (let at = low; at < high; ) {
      const read = await log.read({ topic, partition }, at)
      records.push(...read.records)
      at = read.next
    }
  return records
}

/** What has come to a conversation, in its order. */
async function notesOf(key: string): Promise<string[]> {
  const records = (await all(conversationInbox.name)).filter(r => r.key === key)
  return records.map(({ value }) => (codec.decode(value as Buffer).value as { id: string }).id)
}

const idsOf = (records: readonly LogRecord[]) => records.map(({ headers }) => headers[RECORD_ID])

describe('a forward', () => {
  it('copies facts into an inbox, filtered and mapped, with an id and the time of the fact', async () => {
    await send(['v1', alert('a')], ['v1', alert('b', { resolved: true })], ['v1', alert('c', { conversation: null })])
    await send(['v1', alert('d', { priority: 'CRITICAL' })], ['v1', alert('e', { conversation: 'c2' })])
    await start()
    await eventually(() => notesOf('c1')).toEqual(['a', 'd-1', 'd-2'])
    await eventually(() => notesOf('c2')).toEqual(['e'])
    const forwarded = await all(conversationInbox.name)
    expect(new Set(idsOf(forwarded)).size).toBe(4)
    const facts = await all(alerts.name)
    const times = new Set(facts.map(({ timestamp }) => String(timestamp)))
    expect(forwarded.every(({ headers }) => times.has(headers[RECORD_AT] as string))).toBe(true)
  })

  it('keeps nothing but its position, and passes over deletions', async () => {
    await send(['v1', alert('a')], ['v2', null], ['v1', alert('b')])
    const worker = await start()
    await eventually(() => notesOf('c1')).toEqual(['a', 'b'])
    await eventually(async () => worker.status().tasks.every(t => t.waits === null)).toBe(true)
    const types = (await all(notesChangelog.name)).map(({ value }) => codec.typeOf(value as Buffer))
    expect(new Set(types)).toEqual(new Set(['LogIdentity', 'TaskInbox', 'TaskPosition']))
    expect(await all(deadLetters.name)).toEqual([])
  })

  it('makes a dead letter of what it cannot forward, and goes on', async () => {
    await send(['v1', alert('a')], ['v1', alert('x', { text: 'poison' })], ['v1', alert('b')])
    await log.append([{ topic: alerts.name, key: 'v1', value: Buffer.from([9, 9, 9]) }])
    await send(['v1', alert('c')])
    await start()
    await eventually(() => notesOf('c1')).toEqual(['a', 'b', 'c'])
    const letters = (await all(deadLetters.name)).map(({ value }) => codec.decode(value as Buffer).value)
    expect(letters).toMatchObject([
      { topic: 'alerts', key: 'v1', recordType: 'Alert', decision: 'SKIP', cause: 'told to fail' },
      { topic: 'alerts', key: 'v1', recordType: '', decision: 'SKIP' },
    ])
  })

  it('does so exactly once and in order, though commits fail, or nobody knows whether they did, and workers are stopped and killed', async () => {
    const venues = ['v1', 'v2', 'v3', 'v4', 'v5', 'v6', 'v7']
    const expected = (venue: string) => Array.from({ length: 60 }, (_, n) => `${venue}-${n}`)
    let commits = 0
    const failed = { before: 0, after: 0 }
    const unreliable = () =>
      withMembership(log, membership => {
        const begin = membership.begin.bind(membership)
        membership.begin = assignment => {
          const transaction = begin(assignment)
          const commit = transaction.commit.bind(transaction)
          transaction.commit = async () => {
            commits += 1
            if (commits % 4 === 2) {
              failed.before += 1
              await transaction.abort()
              throw new LogError('unavailable', 'told to fail before the commit')
            }
            const ends = await commit()
            if (commits % 4 === 3) {
              failed.after += 1
              throw new LogError('unavailable', 'told to lose the answer')
            }
            return ends
          }
          return transaction
        }
      })
    const one = await start('one', unreliable())
    for (let n = 0; n < 60; n++) {
      await send(...venues.map(venue => [venue, alert(`${venue}-${n}`, { conversation: `of ${venue}` })] as const))
      if (n === 20) {
        await one.stop()
        await start('two', unreliable())
      }
      if (n === 40) {
        // As when the process is killed: the log ends under the worker, whatever it is doing.
        await log.close()
        log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
        await start('two', unreliable())
      }
    }
    await eventually(async () => Promise.all(venues.map(venue => notesOf(`of ${venue}`)))).toEqual(venues.map(expected))
    expect(failed.before).toBeGreaterThan(0)
    expect(failed.after).toBeGreaterThan(0)
  })

  it('makes the same records in a replay, ids included', async () => {
    await send(['v1', alert('a')], ['v1', null], ['v1', alert('b', { priority: 'CRITICAL' })])
    const worker = await start()
    await eventually(() => notesOf('c1')).toEqual(['a', 'b-1', 'b-2'])
    await worker.stop()
    workers.delete(worker)
    const partition = partitionOf('v1', alerts.partitions)
    const emits: Emit[] = []
    const options = { log, codec, definition: notes, codeVersion: '1', partition, emit: (emit: Emit) => void emits.push(emit) }
    expect((await replayPartition(options)).differences).toEqual([])
    const replayed = emits.map(({ topic, headers }) => [topic, headers?.[RECORD_ID]])
    const written = idsOf(await all(conversationInbox.name)).map(id => [conversationInbox.name, id])
    expect(replayed).toEqual(written)
  })

  it('goes on where it stood when it is started again', async () => {
    await send(['v1', alert('a')])
    const first = await start()
    await eventually(() => notesOf('c1')).toEqual(['a'])
    await first.stop()
    workers.delete(first)
    await send(['v1', alert('b')])
    await start()
    await eventually(() => notesOf('c1')).toEqual(['a', 'b'])
  })
})

describe('a fact that is forwarded by itself', () => {
  /** What it becomes, in a task whose changelog and inbox have these identities. */
  function forwarded({ definition = notes, logId = 'changelog', identity = 'source', at = 1 }): { key: string; id: string }[] {
    const task = new Task(
      {
        definition,
        changelog: notesChangelog,
        partition: 0,
        codec,
        store: new MemoryStore('store'),
        codeVersion: '1',
        cache: new CacheBudget(100_000),
        lookup: () => null,
      },
      new WriterSchemas(),
    )
    task.transition('RESTORING')
    const inbox = { identity, partitions: alerts.partitions, scope: '' }
    const position = { position: 7, changelogNext: 0, stop: null, unsettled: false, givenUp: false }
    task.restored({ ...position, logId, inbox, identityWritten: true, inboxWritten: true, schemas: new Map() })
    const value = codec.encode(alerts.name, 'Alert', alert('a'))
    const record = { ...task.inbox, offset: 7, timestamp: at, key: 'v1', value, headers: {} }
    const budget = new Budget(systemClock, { sliceMs: 1_000, ms: 1_000, bytes: 1_000_000 })
    task.fold({ ...task.inbox, from: 7, next: 8, records: [record], error: null }, budget)
    const { appends } = task.seal('token')
    return appends.flatMap(({ topic, key, headers }) =>
      topic === conversationInbox.name ? [{ key: key as string, id: headers?.[RECORD_ID] as string }] : [],
    )
  }

  /** Forwards an alert to these conversations. */
  const copying = (keys: readonly string[], since?: number) =>
    forward({
      name: notes.name,
      from: alerts,
      to: conversationInbox,
      ...(since !== undefined && { since }),
      forward: ({ value: { id, text }, at }) =>
        keys.map(key => ({ key, type: 'AgentAction', value: { id, kind: 'NOTE', by: 'alerts', text, at } })),
    })
  const idOf = (logId: string, identity: string) => forwarded({ logId, identity })[0]?.id as string

  it('is passed over if it is from before the time that the forward begins at', () => {
    const definition = copying(['c1'], 5)
    expect([4, 5, 6].map(at => forwarded({ definition, at }).length)).toEqual([0, 1, 1])
  })

  it('keeps the ids of its records when other code forwards it to others, too, or in another order', () => {
    const [c1, c2, again] = forwarded({ definition: copying(['c1', 'c2', 'c1']) })
    expect(new Set([c1?.id, c2?.id, again?.id]).size).toBe(3)
    expect(forwarded({ definition: copying(['c2']) })).toEqual([c2])
    expect(forwarded({ definition: copying(['c0', 'c2', 'c1', 'c1']) }).slice(1)).toEqual([c2, c1, again])
  })

  it('is recognised by the inbox when it is forwarded again, also after its changelog was lost; a source that was recreated gives other ids', () => {
    const id = idOf('changelog', 'source')
    const again = idOf('another changelog', 'source')
    const taken = admit(EMPTY_RING, id, 1)
    expect(taken.known).toBe(false)
    if (taken.known) return
    expect(admit(taken.ring, again, 1).known).toBe(true)
    expect(admit(taken.ring, idOf('changelog', 'recreated source'), 1).known).toBe(false)
  })
})

it('reads facts only, and shares no source with another actor of its worker', () => {
  const forwarding = { name: 'loop', to: alerts, forward: () => null }
  expect(() => forward({ ...forwarding, from: conversationInbox })).toThrow('only facts are forwarded')
  expect(() => forward({ ...forwarding, from: alerts })).toThrow('only facts are forwarded')
  const other = forward({ name: 'other', from: alerts, to: conversationInbox, forward: () => null })
  const settings = { log, codec, ports: {}, group: 'g', instance: 'i', codeVersion: '1', openStore: () => Promise.reject() }
  expect(() => new Worker({ ...settings, actors: [notes, other] })).toThrow(
    '"other" and "alert-notes" both read alerts: run them in workers of different groups',
  )
})

/** What goes wrong around a worker concerns as little as it can, loses nothing, and is shown. */
import { rmSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import type { SchemaRegistry } from '../topics/codec.ts'
import { LogError, type Polled } from '../topics/log.ts'
import { Fatal } from './errors.ts'
import type { ActorDefinition } from './actor.ts'
import type { StateStore } from './store.ts'
import {
  at,
  changes,
  counter,
  eventually,
  inbox,
  newerInput,
  openWorld,
  outputs,
  stateOf,
  statusOf,
  type World,
  withMembership,
  withOther,
} from './testing/world.ts'

/** Much of it waits for pauses that grow. */
vi.setConfig({ testTimeout: 30_000 })

let world: World
const registry = { down: false, asked: 0 }

/** The log's own registry, when it is not down. */
const through = (log: World['log']): SchemaRegistry => ({
  register: (subject, schema) => log.register(subject, schema),
  schema: async id => {
    registry.asked += 1
    if (registry.down) throw new LogError('unavailable', 'the registry cannot be reached')
    return log.schema(id)
  },
})

beforeEach(async () => {
  Object.assign(registry, { down: false, asked: 0 })
  world = await openWorld({ registry: through })
})
afterEach(() => world.close())

/** A store whose methods may fail. */
function failing(store: StateStore, fail: Partial<StateStore>): StateStore {
  return new Proxy(store, {
    get: (target, name) => {
      const found = Reflect.get(fail, name) ?? Reflect.get(target, name)
      return typeof found === 'function' ? found.bind(target) : found
    },
  })
}
const sequences = async () => (await world.handled()).map(output => output.sequence).toSorted((a, b) => a - b)

describe('a registry that is away', () => {
  it('keeps the partition waiting that needs it, and no other; nothing is lost', async () => {
    const worker = await world.start()
    registry.down = true
    const value = await newerInput(world.log, 100)
    await world.append(['a', 0, { sequence: 1 }], ['b', 1, { sequence: 2 }])
    await world.log.append([{ ...at(1), key: 'b', value }])
    await world.append(['a', 0, { sequence: 3 }], ['b', 1, { sequence: 4 }], ['c', 2, { sequence: 5 }])
    await eventually(sequences).toEqual([1, 2, 3, 5])
    await eventually(() => statusOf(worker, 1)?.waits).toMatch(/schema of the record at offset 1 .*registry cannot be reached/)
    expect([statusOf(worker, 0)?.waits, statusOf(worker, 2)?.waits]).toEqual([null, null])
    registry.down = false
    await eventually(sequences).toEqual([1, 2, 3, 4, 5, 100])
    await eventually(() => statusOf(worker, 1)?.waits).toBeNull()
    expect(stateOf(worker, 'b', 1)).toMatchObject({ count: 3, last: 4 })
  })

  it('is asked for the schema of a parked record that is redriven, and the task waits until it answers', async () => {
    const parks = { ...counter, onPoison: { default: 'park' } } as unknown as ActorDefinition
    const first = await world.start({ actors: [parks] })
    const value = await newerInput(world.log, 0, 'poison')
    await world.log.append([{ ...at(0), key: 'a', value }])
    await eventually(() => first.task(at(0))?.position).toBe(1)
    await world.stop(first)
    // A process that has never seen a record of that schema.
    const folder = world.folder
    await world.log.close()
    await world.stores.close()
    world = await openWorld({ folder, registry: through })
    registry.down = true
    const second = await world.start({ actors: [parks] })
    const redrive = world.codec.encode(inbox.name, 'Redrive', { id: 'r', offset: 0, drop: false, value: null, by: 'ops' })
    await world.log.append([{ ...at(0), key: 'a', value: redrive }])
    await eventually(() => statusOf(second, 0)?.waits).toMatch(/record parked at offset 0 .*registry cannot be reached/)
    registry.down = false
    await eventually(() => second.task(at(0))?.position).toBe(2)
    const causes = (await Promise.all([0, 1, 2, 3, 4, 5].map(p => world.all('dead.letters', p).catch(() => [])))).flat()
    const told = causes.map(r => world.codec.decode(r.value as Buffer).value as { cause: string })
    expect(told.map(({ cause }) => cause)).toEqual(['told to fail', 'told to fail'])
  })

  it('is asked ever more slowly', async () => {
    await world.start()
    registry.down = true
    await world.log.append([{ ...at(0), key: 'a', value: await newerInput(world.log, 1) }])
    const began = performance.now()
    await eventually(() => registry.asked).toBeGreaterThanOrEqual(4)
    expect(performance.now() - began).toBeGreaterThan(50 + 100 + 200)
  })
})

describe('a range that does not begin where the last one ended', () => {
  it.each([
    ['passed over', 1],
    ['handed over twice', -1],
  ])('is not taken: records are %s', async (_what, by) => {
    let spoiled = 0
    const log = withMembership(world.log, membership => {
      const poll = membership.poll.bind(membership)
      membership.poll = async options => {
        const ranges = await poll(options)
        return ranges.map((range): Polled => {
          if (spoiled > 0 || range.from === 0) return range
          spoiled += 1
          const from = range.from + by
          return { ...range, from, records: range.records.filter(r => r.offset >= from) }
        })
      }
    })
    const worker = await world.start({ log })
    await world.append(['a', 0, { sequence: 1 }])
    await eventually(sequences).toEqual([1])
    await world.append(['a', 0, { sequence: 2 }], ['a', 0, { sequence: 3 }])
    await eventually(sequences).toEqual([1, 2, 3])
    expect(spoiled).toBe(1)
    expect(world.errors.join()).toMatch(/got a range that begins at \d+, but the next offset is 1/)
    expect(stateOf(worker, 'a', 0)?.count).toBe(3)
  })
})

describe('a partition that cannot be read', () => {
  it('waits, and says so, while the others go on', async () => {
    let broken = true
    const log = withMembership(world.log, membership => {
      const poll = membership.poll.bind(membership)
      membership.poll = async options => {
        const ranges = await poll(options)
        if (!broken) return ranges
        return ranges.map(range => {
          if (range.partition !== 0) return range
          queueMicrotask(() => membership.start({ ...at(0), offset: range.from }))
          return { ...range, next: range.from, records: [], error: new LogError('corrupt', 'its checksum is wrong') }
        })
      }
    })
    const worker = await world.start({ log })
    await world.append(['a', 0, { sequence: 1 }], ['b', 1, { sequence: 2 }])
    await eventually(sequences).toEqual([2])
    await eventually(() => statusOf(worker, 0)?.waits).toMatch(/its checksum is wrong/)
    broken = false
    await eventually(sequences).toEqual([1, 2])
    await eventually(() => statusOf(worker, 0)?.waits).toBeNull()
  })

  it('stops its task where records are gone, and goes on from where a person says', async () => {
    await world.append(['a', 0, { sequence: 1 }], ['a', 0, { sequence: 2 }], ['a', 0, { sequence: 3 }])
    const log = withMembership(world.log, membership => {
      const poll = membership.poll.bind(membership)
      membership.poll = async options => {
        const ranges = await poll(options)
        return ranges.map(range => {
          if (range.partition !== 0 || range.from !== 0) return range
          return { ...range, next: 0, records: [], error: new LogError('gap', 'world.inbox/0: 2 records are gone') }
        })
      }
    })
    const worker = await world.start({ log })
    await eventually(() => statusOf(worker, 0)?.state).toBe('STOPPED')
    expect(statusOf(worker, 0)?.stopped).toMatch(/2 records are gone.*accept from an offset/)
    await world.decide(0, 'ACCEPT', 2)
    await eventually(sequences).toEqual([3])
    await eventually(async () => (await world.log.groupOffsets('world')).find(p => p.partition === 0)?.offset).toBe(3)
  })
})

describe('an error while records are handled', () => {
  it('during a commit: the task restores only after it, so that nothing is put out twice', async () => {
    const landing = Promise.withResolvers<void>()
    let commits = 0
    const log = withMembership(world.log, membership => {
      const begin = membership.begin.bind(membership)
      membership.begin = assignment => {
        const transaction = begin(assignment)
        const commit = transaction.commit.bind(transaction)
        transaction.commit = async () => {
          // What follows comes while this one is on its way.
          if (++commits === 1) await world.append(['bad', 0, { sequence: 2 }])
          if (commits === 1) await landing.promise
          return commit()
        }
        return transaction
      }
    })
    let fails = 1
    const worker = await world.start({
      log,
      openStore: async (name, partition) => {
        const store = world.stores.store(name, partition)
        const get = (key: string) => {
          if (key === 'bad' && fails-- > 0) throw new Error('MDB_PAGE_NOTFOUND')
          return store.get(key)
        }
        return failing(store, { get })
      },
    })
    await world.append(['a', 0, { sequence: 1 }])
    await eventually(() => statusOf(worker, 0)?.waits).toBe('MDB_PAGE_NOTFOUND')
    landing.resolve()
    await eventually(sequences).toEqual([1, 2])
    expect(await world.handled()).toEqual([
      expect.objectContaining({ sequence: 1, count: 1 }),
      expect.objectContaining({ sequence: 2 }),
    ])
    expect(stateOf(worker, 'a', 0)?.count).toBe(1)
  })

  it('of a damaged local store: it is made anew from the changelog, once', async () => {
    const first = await world.start()
    await world.append(['a', 0, { sequence: 1 }])
    await eventually(() => stateOf(first, 'a', 0)?.count).toBe(1)
    await world.stop(first)
    const store = world.stores.store('world', 0)
    const bytes = Buffer.from('0011223344556677ff', 'hex')
    const checkpoint = store.checkpoint()
    if (checkpoint === null) throw new Error('there is no checkpoint')
    await store.write({
      changes: [{ key: 'a', before: null, after: null, bytes }],
      inputs: new Map(),
      schemas: new Map(),
      checkpoint,
    })
    const second = await world.start()
    await world.append(['a', 0, { sequence: 2 }])
    await eventually(() => stateOf(second, 'a', 0)?.count).toBe(2)
    expect(world.errors).toHaveLength(1)
  })

  it('of a state that this code cannot read: the task stops in front of it', async () => {
    const first = await world.start()
    await world.append(['a', 0, { sequence: 1 }])
    await eventually(() => stateOf(first, 'a', 0)?.count).toBe(1)
    await world.stop(first)
    const other = {
      ...counter,
      state: 'TrialOutput',
      on: { ...counter.on, TrialInput: (_: unknown, { sequence }: { sequence: number }) => ({ sequence, count: 1, what: '' }) },
    } as unknown as ActorDefinition
    const second = await world.start({ actors: [other], codeVersion: '2' })
    await world.append(['new', 0, { sequence: 2 }], ['a', 0, { sequence: 3 }], ['b', 1, { sequence: 4 }])
    await eventually(() => statusOf(second, 0)?.state).toBe('STOPPED')
    expect(statusOf(second, 0)?.stopped).toMatch(/TrialState .*cannot be read as TrialOutput/)
    expect(second.task(at(0))?.position).toBe(2)
    await eventually(() => second.task(at(1))?.position).toBe(1)
    expect(world.errors).toHaveLength(1)
  })
})

describe('a state store', () => {
  it('that fails to open is opened later, and the task is shown meanwhile', async () => {
    let fails = 3
    const worker = await world.start({
      openStore: async (name, partition) => {
        if (partition === 0 && fails-- > 0) throw new Error('no space left on device')
        return world.stores.store(name, partition)
      },
    })
    await eventually(() => statusOf(worker, 0)?.waits).toMatch(/store cannot be opened: no space left/)
    expect(statusOf(worker, 0)?.state).toBe('CREATED')
    await world.append(['a', 0, { sequence: 1 }], ['b', 1, { sequence: 2 }])
    await eventually(sequences).toEqual([1, 2])
  })

  it('that fails to be written loses nothing', async () => {
    let fails = 0
    const worker = await world.start({
      openStore: async (name, partition) => {
        const store = world.stores.store(name, partition)
        const write: StateStore['write'] = async batch => {
          if (fails-- > 0) throw new Error('no space left on device')
          return store.write(batch)
        }
        return failing(store, { write })
      },
    })
    for (let n = 0; n < 20; n++) {
      if (n === 10) fails = 2
      await world.append([`key-${n % 5}`, n % 3, { sequence: n }])
      await eventually(async () => (await world.handled()).length).toBe(n + 1)
    }
    await eventually(() => world.errors.join()).toMatch(/no space left on device/)
    await eventually(() => worker.status().tasks.every(t => t.state === 'RUNNING' && t.waits === null)).toBe(true)
    const written = () => [0, 1, 2].map(p => world.stores.store('world', p).checkpoint()?.position)
    await eventually(written).toEqual([0, 1, 2].map(p => worker.task(at(p))?.position))
  })

  it('that hangs keeps only its partition waiting', async () => {
    const hanging = Promise.withResolvers<void>()
    const worker = await world.start({
      openStore: async (name, partition) => {
        const store = world.stores.store(name, partition)
        return failing(store, {
          write: partition === 0 ? async batch => hanging.promise.then(() => store.write(batch)) : store.write,
        })
      },
    })
    for (let n = 0; statusOf(worker, 0)?.waits === null; n++) {
      await world.append(['a', 0, { sequence: n }])
      await eventually(() => worker.task(at(0))?.position === n + 1 || statusOf(worker, 0)?.waits !== null).toBe(true)
    }
    expect(statusOf(worker, 0)?.waits).toMatch(/its store is behind/)
    await world.append(['b', 1, { sequence: 100_000 }])
    await eventually(async () => (await sequences()).at(-1)).toBe(100_000)
    hanging.resolve()
    await eventually(() => statusOf(worker, 0)?.waits).toBeNull()
  })
})

describe('what throws between begin and commit', () => {
  it('is aborted, stops the task that it is about, and no other', async () => {
    let spoil = true
    const log = withMembership(world.log, membership => {
      const begin = membership.begin.bind(membership)
      membership.begin = assignment => {
        const transaction = begin(assignment)
        const append = transaction.append.bind(transaction)
        transaction.append = record => {
          if (spoil && record.topic === changes.name && record.partition === 0)
            throw new LogError('too_large', 'a record is too large')
          append(record)
        }
        return transaction
      }
    })
    const worker = await world.start({ log })
    await world.append(['a', 0, { sequence: 1 }], ['b', 1, { sequence: 2 }])
    await eventually(() => statusOf(worker, 0)?.stopped).toMatch(/cannot be appended: a record is too large/)
    await eventually(sequences).toEqual([2])
    spoil = false
    await world.decide(0, 'RESUME')
    await eventually(sequences).toEqual([1, 2])
    await eventually(() => worker.status().failing).toBeNull()
  })

  it('and passes by itself is tried again, ever more slowly', async () => {
    const began: number[] = []
    const log = withMembership(world.log, membership => {
      const begin = membership.begin.bind(membership)
      membership.begin = assignment => {
        began.push(performance.now())
        if (began.length <= 4) throw new LogError('unavailable', 'not now')
        return begin(assignment)
      }
    })
    const worker = await world.start({ log })
    await world.append(['a', 0, { sequence: 1 }])
    await eventually(() => worker.status().failing).toBe('not now')
    await eventually(sequences).toEqual([1])
    await eventually(() => worker.status().failing).toBeNull()
    expect((began[4] as number) - (began[0] as number)).toBeGreaterThan(50 + 100 + 200 + 400)
  })
})

describe('a cluster that is not as the task left it', () => {
  const count = async (n: number) => {
    const worker = await world.start()
    for (let sequence = 0; sequence < n; sequence++) await world.append(['a', 0, { sequence }])
    await eventually(() => stateOf(worker, 'a', 0)?.count).toBe(n)
    await world.stop(worker)
  }
  /** The log as of another topic's identity, ends or committed offset. */
  const changed = (other: Parameters<typeof withOther>[1], committed?: (offset: number) => number) => {
    const log = withOther(world.log, other)
    if (committed === undefined) return log
    return withMembership(log as World['log'], membership => {
      const ask = membership.committed.bind(membership)
      membership.committed = async partitions => (await ask(partitions)).map(p => ({ ...p, offset: committed(p.offset) }))
    })
  }

  it('its changelog is empty: it stops, the local store stays, and begins anew only when a person says so', async () => {
    await count(3)
    const removed = world.folder
    await world.log.close()
    for (const suffix of ['', '-wal', '-shm']) rmSync(join(removed, `log.sqlite${suffix}`), { force: true })
    const before = world.stores.store('world', 0).checkpoint()
    await world.stores.close()
    world = await openWorld({ folder: removed })
    const worker = await world.start()
    await eventually(() => statusOf(worker, 0)?.state).toBe('STOPPED')
    expect(statusOf(worker, 0)?.stopped).toMatch(/holds no state, but world.inbox\/0 has been handled up to 3.*decide to rebuild/)
    await eventually(() => statusOf(worker, 1)?.state).toBe('RUNNING')
    expect(world.stores.store('world', 0).checkpoint()).toEqual(before)
    expect(world.stores.store('world', 0).get('a')).not.toBeNull()
    await world.decide(0, 'REBUILD')
    await world.append(['a', 0, { sequence: 9 }])
    await eventually(() => stateOf(worker, 'a', 0)?.count).toBe(1)
  })

  it('its changelog was rolled back: it stops, and the local store stays', async () => {
    await count(3)
    const ends = world.log.ends.bind(world.log)
    const rolledBack = changed({
      ends: async topic => {
        const found = await ends(topic)
        return topic === changes.name ? found.map(e => ({ ...e, high: Math.min(e.high, 3) })) : found
      },
    })
    const worker = await world.start({ log: rolledBack })
    await eventually(() => statusOf(worker, 0)?.stopped).toMatch(/ends at 3, but the local store holds it up to \d+.*rolled back/)
    expect(world.stores.store('world', 0).get('a')).not.toBeNull()
  })

  it('its changelog was rolled back and has grown again: the local store of the lost history is not trusted', async () => {
    await count(3)
    const store = world.stores.store('world', 0)
    const checkpoint = store.checkpoint()
    if (checkpoint?.witness == null) throw new Error('the checkpoint stands on nothing')
    const witness = { ...checkpoint.witness, token: 'of another history' }
    await store.write({ changes: [], inputs: new Map(), schemas: new Map(), checkpoint: { ...checkpoint, witness } })
    const worker = await world.start()
    await eventually(() => statusOf(worker, 0)?.stopped).toMatch(/holds other records now, .*rolled back/)
    expect(store.get('a')).not.toBeNull()
    await world.decide(0, 'REBUILD')
    await world.append(['a', 0, { sequence: 9 }])
    await eventually(() => stateOf(worker, 'a', 0)?.count).toBe(4)
  })

  it('its inbox ends in front of its position: it stops, and goes on from where a person says', async () => {
    await count(3)
    const beyond = changed({}, () => 3)
    const ends = world.log.ends.bind(world.log)
    const shorter = withOther(beyond as World['log'], {
      ends: async topic => (topic === inbox.name ? (await ends(topic)).map(e => ({ ...e, high: 1 })) : ends(topic)),
    })
    const worker = await world.start({ log: shorter })
    await eventually(() => statusOf(worker, 0)?.stopped).toMatch(/next record to handle is 3, but the log ends at 1/)
  })

  it('its inbox is another one: it stops; once accepted, ids made from it are new ones', async () => {
    await count(1)
    const topicId = world.log.topicId.bind(world.log)
    const log = changed({ topicId: async topic => (topic === inbox.name ? 'another' : topicId(topic)) })
    const worker = await world.start({ log })
    await eventually(() => statusOf(worker, 0)?.stopped).toMatch(/deleted and recreated/)
    await world.append(['a', 0, { sequence: 7 }])
    await world.decide(0, 'ACCEPT', 1)
    await eventually(() => stateOf(worker, 'a', 0)?.count).toBe(2)
    const { scope, ...inboxNow } = worker.task(at(0))?.inboxAs ?? { scope: '' }
    expect(inboxNow).toEqual({ identity: 'another', partitions: 3 })
    expect(scope).toMatch(/^\/another/)
    await world.stop(worker)
    const again = await world.start({ log })
    await eventually(() => statusOf(again, 0)?.state).toBe('RUNNING')
    expect(again.task(at(0))?.inboxAs.scope).toBe(scope)
  })

  it('its inbox has other partitions: it stops', async () => {
    await count(1)
    const ends = world.log.ends.bind(world.log)
    const more = changed({
      ends: async topic => [...(await ends(topic)), ...(topic === inbox.name ? [{ partition: 3, low: 0, high: 0 }] : [])],
    })
    const worker = await world.start({ log: more })
    await eventually(() => statusOf(worker, 0)?.stopped).toMatch(/had 3 partitions .* and now has 4/)
  })

  it('its inbox has other partitions, and the end of its changelog is gone: who accepts the one is told of the other', async () => {
    await count(3)
    const more = changed(
      {
        ends: async topic => [
          ...(await world.log.ends(topic)),
          ...(topic === inbox.name ? [{ partition: 3, low: 0, high: 0 }] : []),
        ],
      },
      offset => offset + 2,
    )
    const worker = await world.start({ log: more })
    await eventually(() => statusOf(worker, 0)?.stopped).toMatch(
      /now has 4.*Besides, .*committed offset is 5, but the state .* is that of 3/,
    )
    await world.decide(0, 'ACCEPT', 3)
    await eventually(() => statusOf(worker, 0)?.state).toBe('RUNNING')
  })

  it('somebody has moved its committed offset: it stops', async () => {
    await count(3)
    const worker = await world.start({ log: changed({}, offset => offset - 2) })
    await eventually(() => statusOf(worker, 0)?.stopped).toMatch(/committed offset is 1, but the state .* is that of 3/)
  })

  it('somebody else has gone on with it while its changelog was read: nobody has moved its offset', async () => {
    await count(3)
    let asked = 0
    // As it was before that.
    const log = changed({}, offset => (asked++ === 0 ? offset - 2 : offset))
    const worker = await world.start({ log })
    await eventually(() => statusOf(worker, 0)?.state).toBe('RUNNING')
    expect(stateOf(worker, 'a', 0)?.count).toBe(3)
    expect(world.errors.filter(error => /moved the offset/.test(error))).toEqual([])
    expect(asked).toBeGreaterThan(1)
  })
})

it('reads its identity behind what an aborted transaction has left, and trusts its checkpoint', async () => {
  const first = await world.start()
  await world.append(['a', 0, { sequence: 1 }])
  await eventually(() => stateOf(first, 'a', 0)?.count).toBe(1)
  await world.stop(first)
  let reads = 0
  const read = world.log.read.bind(world.log)
  // As of a log whose first records were aborted: the first pieces hold nothing.
  const log = withOther(world.log, {
    read: async (partition, from, options) => {
      if (partition.topic === changes.name && partition.partition === 0) reads += 1
      if (partition.topic === changes.name && from === 0 && reads === 1) return { records: [], next: 0 }
      return read(partition, from, options)
    },
  })
  let wiped = 0
  const second = await world.start({
    log,
    openStore: async (name, partition) => {
      const store = world.stores.store(name, partition)
      const wipe = async () => {
        if (partition === 0) wiped += 1
        await store.wipe()
      }
      return failing(store, { wipe })
    },
  })
  await eventually(() => statusOf(second, 0)?.state).toBe('RUNNING')
  expect([wiped, stateOf(second, 'a', 0)?.count]).toEqual([0, 1])
})

it('puts each of many timers that are due at once on its inbox once', async () => {
  const worker = await world.start()
  const timers = 1_500
  const inputs = Array.from({ length: timers }, (_, sequence): [string, number, object] => {
    return [`key-${sequence % 50}`, 0, { sequence, kind: 'timer', delayMs: 1 }]
  })
  for (let n = 0; n < timers; n += 500) await world.append(...inputs.slice(n, n + 500))
  const ticks = () => Array.from({ length: 50 }, (_, n) => stateOf(worker, `key-${n}`, 0)?.ticks ?? 0).reduce((a, b) => a + b, 0)
  await eventually(ticks).toBe(timers)
  const due = (await world.all(inbox.name, 0)).filter(r => world.codec.typeOf(r.value as Buffer) === 'TimerDue')
  expect(due).toHaveLength(timers)
})

it('stops a task that holds attempts of an effect which this code does not have', async () => {
  const answer = Promise.withResolvers<never>()
  const first = await world.start({ ports: { world: { once: (() => answer.promise) as never } } })
  await world.append(['a', 0, { sequence: 1, kind: 'once' }])
  await eventually(() => first.task(at(0))?.actors.openAttempts().length).toBe(1)
  // As after a kill: nothing is drained.
  const { effects: _, ...without } = counter
  const second = await world.start({ actors: [without as ActorDefinition], group: 'another', codeVersion: '2' })
  await eventually(() => statusOf(second, 0)?.stopped).toMatch(/no effect "once".*list it under retired.effects/)
  answer.reject(new Error('the test is over'))
})

it('commits that markers are passed, with the next records or by itself', async () => {
  const log = withMembership(world.log, membership => {
    const poll = membership.poll.bind(membership)
    // As of a log where every record is followed by the marker of its transaction.
    membership.poll = async options =>
      (await poll(options)).map(r => ({
        ...r,
        from: r.from * 2,
        next: r.next * 2,
        records: r.records.map(record => ({ ...record, offset: record.offset * 2 })),
      }))
  })
  const worker = await world.start({ log })
  await world.append(['a', 0, { sequence: 1 }], ['a', 0, { sequence: 2 }])
  await eventually(() => worker.task(at(0))?.position).toBe(4)
})

it('tells a person of every halted task', async () => {
  const worker = await world.start()
  await eventually(() => statusOf(worker, 0)?.state).toBe('RUNNING')
  worker.task(at(0))?.haltAfterCommit('told to')
  await eventually(() => statusOf(worker, 0)?.stopped).toBe('told to')
  expect(world.errors).toEqual([`task world.inbox/0 halted: ${new Fatal('stopped', 'told to').message}`])
  expect((await world.all(outputs.name, 0)).length).toBe(0)
})

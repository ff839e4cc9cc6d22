import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setImmediate, setTimeout } from 'node:timers/promises'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import type { TaskAction, TrialInputInput, TrialState } from '../schemas/types.ts'
import { changelog, deadLetters, defineTopic, ENGINE_RECORDS } from '../topics/catalog.ts'
import { Codec } from '../topics/codec.ts'
import { type LocalLog, openLocalLog } from '../topics/local/log.ts'
import type { Assignment, JoinOptions } from '../topics/log.ts'
import { partitionOf } from '../topics/murmur2.ts'
import { actor } from './actor.ts'
import { systemClock } from './clock.ts'
import { LmdbStores } from './lmdb.ts'
import { reserved } from './changelog.ts'
import { withOther } from './testing/world.ts'
import { Worker, type WorkerSettings } from './worker.ts'

const inbox = defineTopic('counter.inbox', 'key', ['TrialInput', ...ENGINE_RECORDS], { partitions: 1 })
const changes = changelog('counter', inbox)
const topics = [inbox, changes, deadLetters]
const AT = { topic: inbox.name, partition: 0 }
const EMPTY = { digest: '', ticks: 0, done: 0, unknown: 0, undone: 0, late: 0, payload: Buffer.alloc(0) }

/** Counts; fails at "poison"; keeps a state of `delayMs` bytes at "big". */
const counter = actor({
  name: 'counter',
  inbox,
  state: 'TrialState',
  on: {
    TrialInput: (state, { sequence, kind, delayMs }): TrialState => {
      if (kind === 'poison') throw new Error('told to fail')
      return { ...EMPTY, count: (state?.count ?? 0) + 1, last: sequence, payload: Buffer.alloc(kind === 'big' ? delayMs : 0) }
    },
  },
  emits: [],
})

let folder: string
let log: LocalLog
let stores: LmdbStores
let codec: Codec
const workers: Worker[] = []
let errors: string[] = []

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'worker-'))
  errors = []
  stores = LmdbStores.open(join(folder, 'state'))
  await open()
})

afterEach(async () => {
  for (const worker of workers.splice(0)) await worker.stop()
  await Promise.all([log.close(), stores.close()])
  rmSync(folder, { recursive: true, force: true })
})

async function open() {
  log = await openLocalLog({ file: join(folder, 'log.sqlite'), topics })
  codec = await Codec.open(log, topics)
}

function newWorker(settings: Partial<WorkerSettings> = {}): Worker {
  const worker = new Worker({
    log,
    codec,
    actors: [counter] as never,
    ports: {},
    group: 'test',
    instance: 'test',
    codeVersion: '1',
    openStore: async (name, partition) => stores.store(name, partition),
    onError: (what, error) => errors.push(`${what}: ${(error as Error).message}`),
    ...settings,
  })
  workers.push(worker)
  return worker
}

async function start(settings: Partial<WorkerSettings> = {}): Promise<Worker> {
  const worker = newWorker(settings)
  await worker.start()
  return worker
}

async function stop(worker: Worker) {
  workers.splice(workers.indexOf(worker), 1)
  await worker.stop()
}

const input = (key: string, record: Partial<TrialInputInput> = {}) => ({
  topic: inbox.name,
  key,
  value: codec.encode(inbox.name, 'TrialInput', { sequence: 0, kind: 'add', ...record }),
})

const count = (worker: Worker, key: string) => (worker.task(AT)?.peek(key) as TrialState | null)?.count ?? 0
const state = (worker: Worker) => worker.task(AT)?.state
const letters = async () => {
  const read = await Promise.all(
    Array.from({ length: deadLetters.partitions }, (_, partition) => log.read({ topic: deadLetters.name, partition }, 0)),
  )
  return read.flatMap(r => r.records).map(r => codec.decode(r.value as Buffer).value as { cause: string; offset: number })
}
/** A person decides how the task goes on. */
const decide = (action: TaskAction, offset = -1) => {
  const record = { id: 'd', action, offset, by: 'ops', reason: 'test', at: Date.now() }
  const value = codec.encode(changes.name, 'TaskDecision', record)
  return log.append([{ topic: changes.name, partition: 0, key: reserved.decision, value }])
}
const eventually = (assertion: () => unknown) => expect.poll(assertion, { timeout: 10_000, interval: 5 })

describe('a worker', () => {
  it('goes on where it stood, with a store that is there, or gone', async () => {
    let worker = await start()
    await log.append([input('a'), input('a'), input('b')])
    await eventually(() => count(worker, 'a')).toBe(2)
    await stop(worker)

    worker = await start()
    await log.append([input('a')])
    await eventually(() => count(worker, 'a')).toBe(3)
    await stop(worker)

    await stores.close()
    rmSync(join(folder, 'state'), { recursive: true })
    stores = LmdbStores.open(join(folder, 'state'))
    worker = await start()
    await log.append([input('a')])
    await eventually(() => count(worker, 'a')).toBe(4)
    await stop(worker)

    expect(errors).toEqual([])
  })

  it('resumes from its changelog when the group has no committed offset', async () => {
    const first = await start()
    await log.append([input('a'), input('a')])
    await eventually(() => count(first, 'a')).toBe(2)
    await stop(first)
    const second = await start({ group: 'another' })
    await log.append([input('a')])
    await eventually(() => count(second, 'a')).toBe(3)
  })

  it('takes into a transaction what came while the last one was on its way', async () => {
    let commits = 0
    const landing = Promise.withResolvers<void>()
    const slow = new Proxy(log, {
      get: (target, name) => {
        if (name !== 'join') return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name)
        return async (options: JoinOptions) => {
          const membership = await target.join(options)
          const begin = membership.begin.bind(membership)
          membership.begin = assignment => {
            const transaction = begin(assignment)
            const commit = transaction.commit.bind(transaction)
            transaction.commit = async () => {
              if (++commits === 1) await landing.promise
              return commit()
            }
            return transaction
          }
          return membership
        }
      },
    })
    const sizes: number[] = []
    const worker = await start({ log: slow, onCommit: records => sizes.push(records) })
    await log.append([input('a')])
    await eventually(() => commits).toBe(1)
    for (let n = 0; n < 3; n++) {
      await log.append([input('a')])
      await setTimeout(20)
    }
    landing.resolve()
    await eventually(() => worker.task(AT)?.position).toBe(4)
    expect(sizes).toEqual([1, 3])
  })

  it('begins no transaction for what was folded before its tasks were given out anew', async () => {
    const happened: string[] = []
    let again: () => void = () => {}
    let armed = false
    const turn = async () => {
      if (armed && happened.push('given anew')) again()
      armed = false
    }
    const watched = new Proxy(log, {
      get: (target, name) => {
        if (name !== 'join') return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name)
        return async (options: JoinOptions) => {
          let given: Assignment | null = null
          const assigned = (assignment: Assignment) => {
            given = assignment
            options.assigned(assignment)
          }
          const membership = await target.join({ ...options, assigned })
          again = () => options.assigned({ ...(given as Assignment) })
          const { begin, start } = { begin: membership.begin.bind(membership), start: membership.start.bind(membership) }
          membership.begin = assignment => {
            happened.push('begun')
            return begin(assignment)
          }
          membership.start = position => {
            happened.push('started')
            start(position)
          }
          return membership
        }
      },
    })
    const worker = await start({ log: watched, clock: { ...systemClock, turn } })
    await eventually(() => state(worker)).toBe('RUNNING')
    // Given out anew between two pieces of a cycle, once after each of them.
    for (let n = 1; n <= 6; n++) {
      armed = true
      await log.append([input('a')])
      await eventually(() => count(worker, 'a')).toBe(n)
    }
    const behind = happened.flatMap((what, i) => (what === 'given anew' ? [happened[i + 1]] : []))
    expect(new Set(behind)).toEqual(new Set(['started']))
  })

  /** A log whose member is given its tasks anew by `again`, in the next generation; `committed` says what the group knows. */
  function givenAnew(committed: (offset: number) => number) {
    let assigned: Assignment | null = null
    let again: () => void = () => {}
    const watched = new Proxy(log, {
      get: (target, name) => {
        if (name !== 'join') return Reflect.get(target, name).bind?.(target) ?? Reflect.get(target, name)
        return async (options: JoinOptions) => {
          const give = (assignment: Assignment) => {
            assigned = assignment
            options.assigned(assignment)
          }
          const membership = await target.join({ ...options, assigned: give })
          again = () => give({ ...(assigned as Assignment), generation: (assigned as Assignment).generation + 1 })
          const ask = membership.committed.bind(membership)
          membership.committed = async partitions => (await ask(partitions)).map(p => ({ ...p, offset: committed(p.offset) }))
          return membership
        }
      },
    })
    return { log: watched, again: () => again() }
  }

  it('keeps a task that is given to it again only with the offset that it has committed', async () => {
    let moved = 0
    const given = givenAnew(offset => offset - moved)
    const worker = await start({ log: given.log })
    await log.append([input('a'), input('a')])
    await eventually(() => count(worker, 'a')).toBe(2)
    moved = 1
    given.again()
    await eventually(() => worker.status().tasks[0]?.stopped).toMatch(/committed offset is 1, but the state .* is that of 2/)
  })

  it('keeps a task that is given to it again only where nothing has come to its changelog', async () => {
    const given = givenAnew(offset => offset)
    const worker = await start({ log: given.log })
    await log.append([input('a')])
    await eventually(() => count(worker, 'a')).toBe(1)
    const before = worker.task(AT)?.changelogNext as number
    given.again()
    await eventually(() => state(worker)).toBe('RUNNING')
    expect(worker.task(AT)?.changelogNext).toBe(before)
    await decide('RESUME')
    given.again()
    await eventually(() => worker.task(AT)?.changelogNext).toBe(before + 1)
    await eventually(() => state(worker)).toBe('RUNNING')
  })

  it('leaves the group also when it is stopped while it still joins', async () => {
    const joining = Promise.withResolvers<void>()
    const join = async (options: JoinOptions) => {
      await joining.promise
      return log.join(options)
    }
    const worker = newWorker({ log: withOther(log, { join }) })
    const started = worker.start()
    const stopped = stop(worker)
    await setImmediate() // as far as it gets without the member
    joining.resolve()
    await Promise.all([started, stopped])
    // A group on a local log has one member at a time.
    await start()
    await eventually(() => state(workers[0] as Worker)).toBe('RUNNING')
  })

  it('finds the record that makes a state too large, and goes on with the others', async () => {
    const worker = await start()
    await log.append([input('a'), input('a', { kind: 'big', delayMs: 20_000 }), input('a'), input('b')])
    await eventually(() => count(worker, 'b')).toBe(1)
    expect(count(worker, 'a')).toBe(2)
    expect((await letters()).map(l => l.offset)).toEqual([1])
    expect((await letters())[0]?.cause).toMatch(/16384 at most/)
  })

  it('puts what cannot be read into dead letters and goes on', async () => {
    const worker = await start()
    await log.append([{ ...input('a'), value: Buffer.from('not avro') }, { ...input('a'), key: null, partition: 0 }, input('a')])
    await eventually(() => count(worker, 'a')).toBe(1)
    expect(await letters()).toHaveLength(2)
  })

  it('stops a task on a record type of newer code, and loses nothing', async () => {
    const worker = await start()
    const id = await log.register('counter.inbox-New', JSON.stringify({ type: 'record', name: 'Newer', fields: [] }))
    const value = Buffer.alloc(5)
    value.writeUInt32BE(id, 1)
    await log.append([input('a'), { ...input('a'), value }, input('a')])
    await eventually(() => state(worker)).toBe('STOPPED')
    expect(worker.status().tasks[0]?.stopped).toMatch(/no record type "Newer"/)
    expect(worker.task(AT)?.position).toBeLessThan(2)
  })

  it('stops a task when too many keys fail at once, until other code comes or a person resumes it', async () => {
    const worker = await start()
    const poison = Array.from({ length: 30 }, (_, n) => input(`key-${n}`, { kind: 'poison' }))
    await log.append(poison)
    await eventually(() => state(worker)).toBe('STOPPED')
    expect(worker.status().tasks[0]?.stopped).toMatch(/21 keys and 21 of 2\d records failed/)
    await stop(worker)

    const same = await start()
    await eventually(() => state(same)).toBe('STOPPED')
    await log.append([input('good')])
    await decide('RESUME')
    await eventually(() => count(same, 'good')).toBe(1)
    await stop(same)

    await log.append(poison)
    const again = await start()
    await eventually(() => state(again)).toBe('STOPPED')
    await stop(again)
    await log.append([input('good')])
    const mended = await start({ codeVersion: '2' })
    await eventually(() => count(mended, 'good')).toBe(2)
  })

  it('names the gap when records it has yet to handle are gone', async () => {
    const worker = await start()
    await log.append([input('a')])
    await eventually(() => count(worker, 'a')).toBe(1)
    await stop(worker)
    const ends = log.ends.bind(log)
    log.ends = async topic => (topic === inbox.name ? [{ partition: 0, low: 5, high: 9 }] : ends(topic))
    const gone = await start()
    await eventually(() => state(gone)).toBe('STOPPED')
    expect(gone.status().tasks[0]?.stopped).toMatch(/next record to handle is 1, but the log begins at 5: 4 are gone/)
  })

  it('keeps its position and identity in the changelog, each under its reserved key', async () => {
    const worker = await start()
    await log.append([input('a'), input('a')])
    await eventually(() => count(worker, 'a')).toBe(2)
    const { records } = await log.read({ topic: changes.name, partition: partitionOf(null, 1) }, 0)
    expect(records[0]?.key).toBe(reserved.identity)
    const position = records.filter(r => r.key === reserved.position).at(-1)
    expect(codec.decode(position?.value as Buffer).value).toMatchObject({ next: 2 })
    await eventually(() => stores.store('counter', 0).checkpoint()?.witness?.offset).toBe(position?.offset)
  })
})

import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, truncateSync, writeFileSync, writeSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { defineTopic, type Topic } from '../catalog.ts'
import { type Assignment, LogError, type LogRecord } from '../log.ts'
import type { Cleaning } from './cleaner.ts'
import { TOGETHER, type Told, topic as fullTopic } from './disk-full-child.ts'
import { type LocalLog, openLocalLog } from './log.ts'

const events = defineTopic('events', 'key', [], { partitions: 1 })
const states = defineTopic('states', 'key', [], { partitions: 1, cleanup: 'compact' })
const START = 1_750_000_000_000

let folder = ''
let file = ''
let now = START
const logs = new Set<LocalLog>()
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'local-log-'))
  file = join(folder, 'deeper', 'log.db')
  now = START
})
afterEach(async () => {
  for (const log of logs) await log.close()
  logs.clear()
  rmSync(folder, { recursive: true, force: true })
})

async function open(more: { topics?: Topic[]; cleaning?: Partial<Cleaning>; onError?: (error: Error) => void } = {}) {
  const log = await openLocalLog({ file, topics: [events, states], now: () => now, ...more })
  logs.add(log)
  return log
}

const at = ({ name }: Topic) => ({ topic: name, partition: 0 })

function append(log: LocalLog, topic: Topic, key: string, value: string | Buffer | null) {
  return log.append([{ topic: topic.name, key, value: typeof value === 'string' ? Buffer.from(value) : value }])
}

async function readAll(log: LocalLog, topic: Topic, maxBytes?: number): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const high = (await log.ends(topic.name))[0]!.high
  for (let from = 0; from < high; ) {
    const read = await log.read(at(topic), from, maxBytes === undefined ? {} : { maxBytes })
    records.push(...read.records)
    from = read.next
  }
  return records
}

const joined = async (log: LocalLog, group = 'g') => {
  let assignment: Assignment | undefined
  const options = { group, topics: [events.name], instance: 'worker', revoked: async () => {} }
  const membership = await log.join({
    ...options,
    assigned: given => {
      assignment = given
    },
  })
  return { membership, assignment: assignment! }
}

async function refusal(work: Promise<unknown>): Promise<LogError> {
  const error = await work.then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(LogError)
  return error as LogError
}

describe('opening', () => {
  it('makes the file with its folder, for its owner only, with an identity that stays', async () => {
    const log = await open()
    const { identity } = log
    expect(identity).toMatch(/^[0-9a-f-]{36}$/)
    expect(statSync(file).mode & 0o077).toBe(0)
    await log.close()
    expect((await open()).identity).toBe(identity)
    file = join(folder, 'other.db')
    expect((await open()).identity).not.toBe(identity)
  })

  it('refuses a file that is open already, and says what to do', async () => {
    await open()
    const { code, message } = await refusal(open())
    expect(code).toBe('locked')
    expect(message).toContain(file)
    expect(message).toContain('stop the other one')
    // Nor has the attempt cost the first its lock.
    const script = 'new (require("node:sqlite").DatabaseSync)(process.argv[1]).exec("BEGIN IMMEDIATE")'
    const other = promisify(execFile)(process.execPath, ['-e', script, file])
    await expect(other).rejects.toThrow('database is locked')
  })

  it('refuses a file that is none of ours, and leaves it as it is', async () => {
    const other = join(folder, 'other.db')
    const database = new DatabaseSync(other)
    database.exec('CREATE TABLE theirs (x)')
    database.close()
    const text = join(folder, 'text.db')
    writeFileSync(text, 'not a database '.repeat(1000))
    for (const path of [other, text]) {
      const before = readFileSync(path)
      const { code, message } = await refusal(openLocalLog({ file: path, topics: [events] }))
      expect(code).toBe('corrupt')
      expect(message).toContain(path)
      if (path === text) expect(readFileSync(path)).toEqual(before)
    }
    const theirs = new DatabaseSync(other)
    expect(theirs.prepare('SELECT name FROM sqlite_schema').all()).toHaveLength(1)
    theirs.close()
  })

  it('says that a folder cannot be written', async () => {
    writeFileSync(join(folder, 'deeper'), 'a file, not a folder')
    const { code, message } = await refusal(open())
    expect(code).toBe('unavailable')
    expect(message).toContain(file)
  })

  it('creates what is new in the catalog, and takes topics that are defined later', async () => {
    const log = await open({ topics: [events] })
    expect((await refusal(log.ends(states.name))).code).toBe('no_topic')
    await log.ensure(states)
    await append(log, states, 'k', 'v')
    await log.close()
    const again = await open({ topics: [events] })
    expect(await readAll(again, states)).toHaveLength(1)
  })

  it('refuses another number of partitions, and changes nothing', async () => {
    await (await open()).close()
    const { message } = await refusal(open({ topics: [{ ...events, partitions: 6 }] }))
    expect(message).toContain('"events" has 1 partitions')
    expect(message).toContain('the catalog says 6')
    const log = await open()
    expect(await log.ends(events.name)).toHaveLength(1)
    expect((await refusal(log.ensure({ ...events, partitions: 2 }))).message).toContain('the catalog says 2')
  })
})

describe('damage', () => {
  /** Changes a byte of a value, somewhere in the file. */
  function damage(value: string): void {
    const bytes = readFileSync(file)
    const found = bytes.indexOf(value)
    expect(found).toBeGreaterThan(0)
    bytes[found + 3]! ^= 1
    writeFileSync(file, bytes)
  }

  it('in a record is found when it is read, with the file, partition and offsets', async () => {
    const log = await open()
    await append(log, events, 'k', 'a good record')
    await append(log, events, 'k', 'a marked record')
    await append(log, events, 'k', 'another good record')
    await log.close()
    damage('a marked record')
    const again = await open()
    expect((await again.read(at(events), 0, { maxBytes: 1 })).records).toHaveLength(1)
    const { code, message } = await refusal(again.read(at(events), 1))
    expect(code).toBe('corrupt')
    expect(message).toContain(file)
    expect(message).toContain('events/0, offsets 1 to 1')
    expect((await again.read(at(events), 2)).records).toHaveLength(1)
  })

  it('of the file is found, and named, wherever it was cut', async () => {
    const log = await open()
    for (let i = 0; i < 50; i++) await append(log, events, 'k', randomBytes(20_000))
    await log.close()
    const whole = statSync(file).size
    for (const left of [whole - 5000, whole >> 1, 5000, 50]) {
      truncateSync(file, left)
      const attempt = async () => {
        const damaged = await open()
        try {
          await readAll(damaged, events)
          await append(damaged, events, 'k', 'v')
        } finally {
          await damaged.close()
        }
      }
      const { code, message } = await refusal(attempt())
      expect([code, message]).toEqual(['corrupt', expect.stringContaining(file)])
    }
  })
})

it('closes itself when the file is damaged under it, and says so', async () => {
  const errors: Error[] = []
  const short = defineTopic('short', 'key', [], { partitions: 1, keepDays: 1 })
  const log = await open({ topics: [short], onError: error => errors.push(error) })
  for (let i = 0; i < 60; i++) await append(log, short, 'k', randomBytes(200_000))
  const waiting = refusal(log.read({ topic: short.name, partition: 0 }, 60, { wait: 25_000 }))
  const descriptor = openSync(file, 'r+')
  writeSync(descriptor, Buffer.alloc(4_000_000, 0xff), 0, 4_000_000, 500_000)
  closeSync(descriptor)
  now += 2 * 24 * 60 * 60 * 1000
  expect((await refusal(log.retain())).code).toBe('corrupt')
  expect((await waiting).code).toBe('closed')
  const { code, message } = await refusal(append(log, short, 'k', 'v'))
  expect([code, message]).toEqual(['closed', expect.stringContaining('is damaged')])
  expect(errors).toMatchObject([{ code: 'corrupt' }])
})

it('refuses with `unavailable` when the disk is full, takes nothing by half, and keeps what it had', async () => {
  const child = [process.execPath, join(import.meta.dirname, 'disk-full-child.ts'), join(folder, 'full.db')]
  // A limit on the size of files, 1.5 MB: writing fails as on a full disk, once the signal that comes with it is ignored.
  const { stdout } = await promisify(execFile)('bash', ['-c', 'trap "" XFSZ; ulimit -f 1500; exec "$@"', 'bash', ...child])
  const { taken, refused }: Told = JSON.parse(stdout)
  expect(refused).toEqual(Array(5).fill('unavailable'))
  expect(taken).toBeGreaterThan(0)
  const log = await openLocalLog({ file: join(folder, 'full.db'), topics: [fullTopic] })
  logs.add(log)
  const highs = (await log.ends(fullTopic.name)).map(({ high }) => high)
  expect(highs).toEqual([(taken * TOGETHER) / 2, (taken * TOGETHER) / 2])
  await log.append([{ topic: fullTopic.name, key: 'k', value: Buffer.from('room again') }])
})

describe('group commit', () => {
  it('takes what comes in one turn of the event loop together, at one log time', async () => {
    let times = 0
    const log = await openLocalLog({ file, topics: [events], now: () => START + times++ })
    logs.add(log)
    await Promise.all(Array.from({ length: 50 }, (_, i) => append(log, events, 'k', `${i}`)))
    const records = await readAll(log, events)
    expect(new Set(records.map(({ timestamp }) => timestamp))).toEqual(new Set([START]))
    expect(records.map(({ value }) => `${value}`)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`))
  })

  it('lets an append go on when a transaction beside it is fenced', async () => {
    const log = await open()
    const first = await joined(log)
    const transaction = first.membership.begin(first.assignment)
    transaction.append({ topic: events.name, key: 'k', value: Buffer.from('fenced') })
    transaction.offsets([{ ...at(events), offset: 1 }])
    await first.membership.leave()
    const [fenced, appended] = await Promise.allSettled([transaction.commit(), append(log, events, 'k', 'beside')])
    expect(fenced).toMatchObject({ status: 'rejected', reason: { code: 'fenced' } })
    expect(appended.status).toBe('fulfilled')
    expect((await readAll(log, events)).map(({ value }) => `${value}`)).toEqual(['beside'])
  })

  it('makes durable what was given to it before it was closed', async () => {
    const log = await open()
    const appending = append(log, events, 'k', 'just before')
    await log.close()
    await appending
    expect(await readAll(await open(), events)).toHaveLength(1)
  })
})

it('gives log time that never runs backwards, over restarts, retention and clocks that do', async () => {
  const short = defineTopic('short', 'key', [], { partitions: 1, keepDays: 1 })
  const log = await open({ topics: [short] })
  await append(log, short, 'k', 'a')
  now = START - 60_000
  await append(log, short, 'k', 'b')
  now = START + 2 * 24 * 60 * 60 * 1000
  await log.retain()
  expect(await readAll(log, short)).toEqual([])
  await log.close()
  now = START - 120_000
  const again = await open({ topics: [short] })
  await append(again, short, 'k', 'c')
  expect((await readAll(again, short)).map(({ offset, timestamp }) => [offset, timestamp])).toEqual([[2, START]])
})

describe('membership', () => {
  it('is one at a time for a group, exclusive, and held until it is left', async () => {
    const log = await open()
    const { membership } = await joined(log)
    expect(membership.exclusive).toBe(true)
    expect(membership.lease()).toBe(Number.POSITIVE_INFINITY)
    const { code, message } = await refusal(joined(log))
    expect([code, message]).toEqual(['locked', expect.stringContaining('"g"')])
    await joined(log, 'another group')
    await membership.leave()
    expect(membership.lease()).toBe(0)
    expect((await refusal(membership.fence())).code).toBe('fenced')
    await joined(log)
  })

  it('does not start what it was not assigned, nor commit its offsets', async () => {
    const log = await open()
    const { membership, assignment } = await joined(log)
    expect(() => membership.start({ ...at(states), offset: 0 })).toThrow('states/0 is not assigned')
    const transaction = membership.begin(assignment)
    expect(() => transaction.offsets([{ ...at(states), offset: 0 }])).toThrow('states/0')
  })

  it('keeps a wake that comes between two polls for the next', async () => {
    const log = await open()
    const { membership } = await joined(log)
    membership.wake()
    expect(await membership.poll({ max: 1, wait: 25_000 })).toEqual([])
    expect(await membership.poll({ max: 1, wait: 1 })).toEqual([])
  })

  it('ends a waiting poll when it leaves', async () => {
    const log = await open()
    const { membership } = await joined(log)
    const waiting = membership.poll({ max: 1, wait: 25_000 })
    await membership.leave()
    expect(await waiting).toEqual([])
  })
})

it('lets the event loop turn while a poll and a read always find something', async () => {
  const log = await open()
  for (let i = 0; i < 50; i++) await append(log, events, 'k', `${i}`)
  const { membership } = await joined(log)
  membership.start({ ...at(events), offset: 0 })
  let turns = 0
  let counting = true
  const count = () => {
    turns++
    if (counting) setImmediate(count)
  }
  setImmediate(count)
  for (let i = 0; i < 50; i++) expect(await membership.poll({ max: 1, wait: 0 })).toHaveLength(1)
  expect(turns).toBeGreaterThanOrEqual(50)
  for (let i = 0; i < 50; i++) expect((await log.read(at(events), i, { maxBytes: 1 })).records).toHaveLength(1)
  expect(turns).toBeGreaterThanOrEqual(100)
  counting = false
})

it('reads the same from memory and from the file, across the border between them', async () => {
  const log = await open()
  const large = Buffer.alloc(200_000, 'x')
  const expected: string[] = []
  for (let i = 0; i < 120; i++) {
    await append(log, events, `large-${i}`, large)
    expected.push(`large-${i}`)
  }
  for (let i = 0; i < 6000; i += 2) {
    await log.append([i, i + 1].map(n => ({ topic: events.name, key: `small-${n}`, value: null })))
    expected.push(`small-${i}`, `small-${i + 1}`)
  }
  const keys = (records: LogRecord[]) => records.map(({ key }) => key)
  expect(keys(await readAll(log, events))).toEqual(expected)
  expect(keys(await readAll(log, events, 700_000))).toEqual(expected)
  const sums = (records: LogRecord[]) => records.map(({ offset, value }) => [offset, value && crc32(value)])
  const before = sums(await readAll(log, events))
  await log.close()
  const again = await open()
  expect(sums(await readAll(again, events))).toEqual(before)
})

describe('cleaning', () => {
  it('happens by itself: retention and compaction', async () => {
    const short = defineTopic('short', 'key', [], { partitions: 1, keepDays: 1 })
    const log = await open({ topics: [short, states], cleaning: { everyMs: 5, activeMs: 1000, dirtyBytes: 1 } })
    await append(log, short, 'k', 'old')
    for (let i = 0; i < 10; i++) await append(log, states, 'k', `${i}`)
    now += 2000
    await vi.waitFor(async () => expect(await readAll(log, states)).toHaveLength(1), { timeout: 10_000 })
    expect(await log.ends(short.name)).toMatchObject([{ low: 0, high: 1 }])
    now += 25 * 60 * 60 * 1000
    await vi.waitFor(async () => expect(await log.ends(short.name)).toMatchObject([{ low: 1, high: 1 }]), { timeout: 10_000 })
  })

  it('leaves records alone that are young', async () => {
    const log = await open({ cleaning: { activeMs: 1000 } })
    for (let i = 0; i < 5; i++) await append(log, states, 'k', `old ${i}`)
    now += 1500
    for (let i = 0; i < 5; i++) await append(log, states, 'k', `young ${i}`)
    await log.compact()
    expect((await readAll(log, states)).map(({ value }) => `${value}`)).toEqual([
      'old 4',
      ...Array.from({ length: 5 }, (_, i) => `young ${i}`),
    ])
  })

  it('leaves of any history what a reader of the newest values needs, and nothing that is replaced and old', async () => {
    const history = fc.array(
      fc.oneof(
        { weight: 6, arbitrary: fc.array(fc.tuple(fc.nat({ max: 12 }), fc.nat({ max: 3 })), { minLength: 1, maxLength: 20 }) },
        { weight: 2, arbitrary: fc.constant('compact' as const) },
        { weight: 1, arbitrary: fc.constant('reopen' as const) },
      ),
      { maxLength: 30 },
    )
    await fc.assert(
      fc.asyncProperty(history, async steps => {
        rmSync(file, { force: true })
        const cleaning = { activeMs: 0, deleteRetentionMs: 1000 }
        let log = await open({ cleaning })
        const values = new Map<string, string>()
        const offsets = new Map<string, number>()
        let high = 0
        for (const step of [...steps, 'compact' as const]) {
          now += 300
          if (step === 'compact') await log.compact(states.name)
          else if (step === 'reopen') {
            await log.close()
            log = await open({ cleaning })
          } else {
            const records = step.map(([key, value]) => ({
              topic: states.name,
              key: `key-${key}`,
              value: value === 0 ? null : Buffer.from(`${value}`),
            }))
            for (const [i, { offset }] of (await log.append(records)).entries()) {
              const { key, value } = records[i]!
              if (value === null) values.delete(key)
              else values.set(key, `${value}`)
              offsets.set(key, offset)
              high = offset + 1
            }
          }
        }
        const records = await readAll(log, states)
        const live = records.filter(({ value }) => value !== null)
        expect(new Map(live.map(({ key, value }) => [key, `${value}`]))).toEqual(values)
        for (const { key, offset } of records) expect(offset).toBe(offsets.get(key!))
        now += 2000
        await log.compact()
        expect((await readAll(log, states)).map(({ key }) => key).toSorted()).toEqual([...values.keys()].toSorted())
        expect((await log.ends(states.name))[0]!.high).toBe(high)
        await log.close()
      }),
      { numRuns: 25 },
    )
  })

  it('goes on while records are appended, and makes the file smaller for what comes', async () => {
    const log = await open({ cleaning: { activeMs: 0 } })
    const value = Buffer.alloc(1000, 'x')
    const round = () => log.append(Array.from({ length: 300 }, (_, i) => ({ topic: states.name, key: `key-${i}`, value })))
    for (let i = 0; i < 20; i++) await round()
    let appending = true
    const appender = (async () => {
      let rounds = 0
      while (appending) {
        await round()
        rounds++
      }
      return rounds
    })()
    await log.compact()
    appending = false
    expect(await appender).toBeGreaterThan(0)
    await log.compact()
    expect(await readAll(log, states)).toHaveLength(300)
    const size = log.size()
    for (let i = 0; i < 15; i++) await round()
    expect(log.size()).toBeLessThan(size + 5_000_000)
  })

  it('ends with the log', async () => {
    const log = await open({ cleaning: { activeMs: 0 } })
    for (let i = 0; i < 20; i++) await append(log, states, 'k', `${i}`)
    const cleaning = refusal(log.compact())
    await log.close()
    expect((await cleaning).code).toBe('closed')
  })
})

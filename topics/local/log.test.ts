import { execFile } from 'node:child_process'
import { readFileSync, statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'
import { promisify } from 'node:util'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import type { Assignment, LogRecord } from '../log.ts'
import { append, at, DAY, events, Fixture, readAll, refusal, START, short, states } from './testing/fixture.ts'
import { type LocalLog, openLocalLog } from './log.ts'

const fixture = new Fixture()

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

describe('opening', () => {
  it('creates the file with its folder, for its owner only, with a lasting identity', async () => {
    const log = await fixture.open()
    const { identity } = log
    expect(identity).toMatch(/^[0-9a-f-]{36}$/)
    expect(statSync(fixture.file).mode & 0o077).toBe(0)
    await log.close()
    expect((await fixture.open()).identity).toBe(identity)
    fixture.file = join(fixture.folder, 'other.db')
    expect((await fixture.open()).identity).not.toBe(identity)
  })

  it('refuses a file that is already open, and says what to do', async () => {
    await fixture.open()
    const { code, message } = await refusal(fixture.open())
    expect(code).toBe('locked')
    expect(message).toContain(fixture.file)
    expect(message).toContain('stop the other one')
    // Nor has the attempt cost the first its lock.
    const script = 'new (require("node:sqlite").DatabaseSync)(process.argv[1]).exec("BEGIN IMMEDIATE")'
    const other = promisify(execFile)(process.execPath, ['-e', script, fixture.file])
    await expect(other).rejects.toThrow('database is locked')
  })

  it('refuses a file that is not a log, and leaves it unchanged', async () => {
    const other = join(fixture.folder, 'other.db')
    const database = new DatabaseSync(other)
    database.exec('CREATE TABLE theirs (x)')
    database.close()
    const text = join(fixture.folder, 'text.db')
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

  it('reports a folder that cannot be written', async () => {
    writeFileSync(join(fixture.folder, 'deeper'), 'a file, not a folder')
    const { code, message } = await refusal(fixture.open())
    expect(code).toBe('unavailable')
    expect(message).toContain(fixture.file)
  })

  it('creates new topics of the catalog, and accepts topics that are defined later', async () => {
    const log = await fixture.open({ topics: [events] })
    expect((await refusal(log.ends(states.name))).code).toBe('no_topic')
    await log.ensure(states)
    await append(log, states, 'k', 'v')
    await log.close()
    const again = await fixture.open({ topics: [events] })
    expect(await readAll(again, states)).toHaveLength(1)
  })

  it('refuses another number of partitions, and changes nothing', async () => {
    await (await fixture.open()).close()
    const { message } = await refusal(fixture.open({ topics: [{ ...events, partitions: 6 }] }))
    expect(message).toContain('"events" has 1 partitions')
    expect(message).toContain('the catalog says 6')
    const log = await fixture.open()
    expect(await log.ends(events.name)).toHaveLength(1)
    expect((await refusal(log.ensure({ ...events, partitions: 2 }))).message).toContain('the catalog says 2')
  })
})

describe('group commit', () => {
  it('commits everything of one turn of the event loop together, at one log time', async () => {
    let times = 0
    const log = await fixture.open({ now: () => START + times++ })
    await Promise.all(Array.from({ length: 50 }, (_, i) => append(log, events, 'k', `${i}`)))
    const records = await readAll(log, events)
    expect(new Set(records.map(({ timestamp }) => timestamp))).toEqual(new Set([START]))
    expect(records.map(({ value }) => `${value}`)).toEqual(Array.from({ length: 50 }, (_, i) => `${i}`))
  })

  it('commits an append although a transaction next to it is fenced', async () => {
    const log = await fixture.open()
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

  it('limits the write-ahead log while records are appended and removed', async () => {
    const log = await fixture.open()
    const wal = () => statSync(`${fixture.file}-wal`).size
    const value = Buffer.alloc(400_000, 'x')
    for (let i = 0; i < 10; i++) {
      const records = Array.from({ length: 10 }, () => ({ topic: short.name, key: 'k', value }))
      await log.append(records)
    }
    expect(wal()).toBeLessThan(16_000_000)
    fixture.now += 2 * DAY
    await log.retain()
    expect(await readAll(log, short)).toEqual([])
    expect(wal()).toBeLessThan(16_000_000)
  })

  it('makes everything durable that was appended before it was closed', async () => {
    const log = await fixture.open()
    const appending = append(log, events, 'k', 'just before')
    await log.close()
    await appending
    expect(await readAll(await fixture.open(), events)).toHaveLength(1)
  })
})

it('assigns log times that never go back, over restarts, retention and clocks that do', async () => {
  const log = await fixture.open({ topics: [short] })
  await append(log, short, 'k', 'a')
  fixture.now = START - 60_000
  await append(log, short, 'k', 'b')
  fixture.now = START + 2 * DAY
  await log.retain()
  expect(await readAll(log, short)).toEqual([])
  await log.close()
  fixture.now = START - 120_000
  const again = await fixture.open({ topics: [short] })
  await append(again, short, 'k', 'c')
  expect((await readAll(again, short)).map(({ offset, timestamp }) => [offset, timestamp])).toEqual([[2, START]])
})

describe('membership', () => {
  it('is one at a time for a group, exclusive, and lasts until the member leaves', async () => {
    const log = await fixture.open()
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
    const log = await fixture.open()
    const { membership, assignment } = await joined(log)
    expect(() => membership.start({ ...at(states), offset: 0 })).toThrow('states/0 is not assigned')
    const transaction = membership.begin(assignment)
    expect(() => transaction.offsets([{ ...at(states), offset: 0 }])).toThrow('states/0')
  })

  it('that starts beyond the end returns nothing of what is appended there later', async () => {
    const log = await fixture.open()
    const { membership } = await joined(log)
    membership.start({ ...at(events), offset: 2 })
    for (let i = 0; i < 4; i++) await append(log, events, 'k', `${i}`)
    const polled = await membership.poll({ max: 10, wait: 1000 })
    expect(polled).toMatchObject([
      { from: 2, next: 2, records: [], error: { code: 'gap', message: expect.stringContaining('0') } },
    ])
    membership.start({ ...at(events), offset: 4 })
    expect(await membership.poll({ max: 10, wait: 1 })).toEqual([])
  })

  it('keeps a wake that comes between two polls for the next', async () => {
    const log = await fixture.open()
    const { membership } = await joined(log)
    membership.wake()
    expect(await membership.poll({ max: 1, wait: 25_000 })).toEqual([])
    expect(await membership.poll({ max: 1, wait: 1 })).toEqual([])
  })

  it('ends a waiting poll when it leaves', async () => {
    const log = await fixture.open()
    const { membership } = await joined(log)
    const waiting = membership.poll({ max: 1, wait: 25_000 })
    await membership.leave()
    expect(await waiting).toEqual([])
  })
})

it('lets the event loop run while a poll and a read always find something', async () => {
  const log = await fixture.open()
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

it('reads the same from memory and from the file, across the boundary between them', { timeout: 30_000 }, async () => {
  const log = await fixture.open()
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
  const again = await fixture.open()
  expect(sums(await readAll(again, events))).toEqual(before)
})

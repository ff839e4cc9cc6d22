/**
 * What the tests of the log share: separate topics, reading to the end, a member with its assignment.
 */
import { randomUUID } from 'node:crypto'
import { afterEach, expect, vi } from 'vitest'
import { defineTopic, type Topic, type TopicOptions } from '../../topics/catalog.ts'
import {
  type Append,
  type Assignment,
  type Log,
  LogError,
  type LogErrorCode,
  type LogRecord,
  type Membership,
  type Polled,
  type Position,
  partitionKey,
  type TopicPartition,
} from '../../topics/log.ts'
import type { Opened } from './log.ts'

export interface Kit {
  /** A log with these topics, closed after the test. */
  open(...topics: Topic[]): Promise<Opened>
  reopen(opened: Opened): Promise<Opened>
  /** Like `reopen`, with damage at a position. */
  damage(opened: Opened, at: Position): Promise<Opened>
}

export function harness(open: (topics: readonly Topic[]) => Promise<Opened>): Kit {
  const living = new Set<Opened>()
  afterEach(async () => {
    for (const opened of living) await opened.close()
    living.clear()
  })
  const tracked = async (opening: Promise<Opened>) => {
    const opened = await opening
    living.add(opened)
    return opened
  }
  return {
    open: (...topics) => tracked(open(topics)),
    reopen: opened => {
      living.delete(opened)
      return tracked(opened.reopen())
    },
    damage: (opened, at) => {
      living.delete(opened)
      if (opened.damage === undefined) throw new Error('this driver claims no `damage`')
      return tracked(opened.damage(at))
    },
  }
}

/** A topic that no other test uses. */
export function newTopic(options: TopicOptions = {}): Topic {
  return defineTopic(`conformance.${randomUUID()}`, 'key', [], { partitions: 3, ...options })
}

export function newGroup(): string {
  return `conformance-${randomUUID()}`
}

export function append({ name }: Topic, key: string | null, text: string | null, more: Partial<Append> = {}): Append {
  return { topic: name, key, value: text === null ? null : Buffer.from(text), ...more }
}

export function texts(records: readonly LogRecord[]): (string | null)[] {
  return records.map(({ value }) => (value === null ? null : value.toString()))
}

/** All records of a partition, or of a topic in the order of its partitions. */
export async function readAll(log: Log, { name, partitions }: Topic, only?: number): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  for (const { partition, low, high } of await log.ends(name)) {
    if (only !== undefined && only !== partition) continue
    for (let at = low; at < high; ) {
      const read = await log.read({ topic: name, partition }, at, { wait: 1000 })
      expect(read.next, `read of ${name}/${partition} from ${at} moves on`).toBeGreaterThan(at)
      records.push(...read.records)
      at = read.next
    }
  }
  expect(partitions).toBeGreaterThan(0)
  return records
}

export interface Member {
  readonly membership: Membership
  readonly assignment: Assignment
  /** Starts these partitions of the assignment, or all of them, by default from the start. */
  start(...partitions: (TopicPartition & { readonly offset?: number })[]): void
  /** Polls once, and fails when a range does not follow the last one. */
  poll(options: { max: number; wait: number }): Promise<Polled[]>
  /** Polls until this many records have come, and fails when a partition cannot be read. */
  take(count: number, max?: number): Promise<LogRecord[]>
  /** Polls until a partition reports an error; `ranges` is what else has come by then. */
  failure(of: TopicPartition): Promise<{ error: LogError; ranges: Polled[] }>
}

export async function join(log: Log, group: string, ...topics: Topic[]): Promise<Member> {
  const assignments: Assignment[] = []
  const membership = await log.join({
    group,
    topics: topics.map(({ name }) => name),
    instance: 'worker-1',
    revoked: async () => {},
    assigned: assignment => assignments.push(assignment),
  })
  await vi.waitFor(() => expect(assignments).not.toEqual([]), { timeout: 20_000 })
  const assignment = assignments.at(-1) as Assignment
  await membership.fence()
  const positions = new Map<string, number>()
  const startAt = membership.start.bind(membership)
  membership.start = position => {
    positions.set(partitionKey(position), position.offset)
    startAt(position)
  }
  const poll = async ({ max, wait }: { max: number; wait: number }) => {
    const ranges = await membership.poll({ max, wait })
    expectToFollow(ranges, positions)
    expect(recordsOf(ranges).length).toBeLessThanOrEqual(max)
    return ranges
  }
  return {
    membership,
    assignment,
    poll,
    start: (...partitions) => {
      const chosen: readonly (TopicPartition & { readonly offset?: number })[] =
        partitions.length > 0 ? partitions : assignment.partitions
      for (const { topic, partition, offset = 0 } of chosen) {
        membership.start({ topic, partition, offset })
      }
    },
    take: async (count, max = 100) => {
      const records: LogRecord[] = []
      while (records.length < count) {
        const ranges = await poll({ max, wait: 5000 })
        expect(ranges.length, `ranges of a poll after ${records.length} of ${count} records`).toBeGreaterThan(0)
        for (const { error } of ranges) if (error !== null) throw error
        records.push(...recordsOf(ranges))
      }
      return records
    },
    failure: async of => {
      const ranges: Polled[] = []
      for (;;) {
        const some = await poll({ max: 100, wait: 20_000 })
        expect(some.length, `ranges of a poll while an error of ${partitionKey(of)} is awaited`).toBeGreaterThan(0)
        const failed = some.find(range => range.error !== null && partitionKey(range) === partitionKey(of))
        ranges.push(...some.filter(range => range !== failed))
        if (failed?.error != null) return { error: failed.error, ranges }
      }
    },
  }
}

export function recordsOf(ranges: readonly Polled[]): LogRecord[] {
  return ranges.flatMap(({ records }) => records)
}

/** Fails when a range does not start where the last one of its partition ended, or has records outside it. */
function expectToFollow(ranges: readonly Polled[], positions: Map<string, number>): void {
  expect(new Set(ranges.map(partitionKey)).size, 'at most one range of each partition').toBe(ranges.length)
  for (const range of ranges) {
    const key = partitionKey(range)
    const { from, next, records, error } = range
    expect(from, `where the range of ${key} begins`).toBe(positions.get(key))
    if (error !== null) {
      expect(error).toBeInstanceOf(LogError)
      expect([next, records]).toEqual([from, []])
    } else {
      expect(next).toBeGreaterThan(from)
    }
    expectOrdered(records)
    for (const record of records) {
      expect(partitionKey(record)).toBe(key)
      expect(record.offset).toBeGreaterThanOrEqual(from)
      expect(record.offset).toBeLessThan(next)
    }
    positions.set(key, next)
  }
}

/** The code of the LogError with which this fails. */
export async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<LogErrorCode | 'no error'> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    if (error instanceof LogError) return error.code
    throw error
  }
  return 'no error'
}

/** Fails when records of a partition are out of order or duplicated. */
export function expectOrdered(records: readonly LogRecord[]): void {
  const last = new Map<string, number>()
  for (const record of records) {
    const key = partitionKey(record)
    expect(record.offset).toBeGreaterThan(last.get(key) ?? -1)
    last.set(key, record.offset)
  }
}

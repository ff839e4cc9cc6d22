/**
 * What the tests of the log share: topics of their own, reading to the end, a member with its assignment.
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
  partitionKey,
  type Polled,
  type TopicPartition,
} from '../../topics/log.ts'
import type { Opened } from './log.ts'

export interface Kit {
  /** A log with these topics, closed after the test. */
  open(...topics: Topic[]): Promise<Opened>
  reopen(opened: Opened): Promise<Opened>
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

/** Everything of a partition, or of a whole topic in the order of its partitions. */
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
  /** Starts these partitions of the assignment, or all of them, from the beginning. */
  start(...partitions: TopicPartition[]): void
  /** Polls until there have been so many records. */
  take(count: number, max?: number): Promise<LogRecord[]>
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
  const reached = new Map<string, number>()
  const startAt = membership.start.bind(membership)
  membership.start = position => {
    reached.set(partitionKey(position), position.offset)
    startAt(position)
  }
  return {
    membership,
    assignment,
    start: (...partitions) => {
      for (const partition of partitions.length > 0 ? partitions : assignment.partitions) {
        membership.start({ ...partition, offset: 0 })
      }
    },
    take: async (count, max = 100) => {
      const records: LogRecord[] = []
      while (records.length < count) {
        const ranges = await membership.poll({ max, wait: 5000 })
        expect(ranges.length, `ranges of a poll after ${records.length} of ${count}`).toBeGreaterThan(0)
        for (const range of ranges) follows(reached, range)
        const some = ranges.flatMap(range => range.records)
        expect(some.length).toBeLessThanOrEqual(max)
        records.push(...some)
      }
      return records
    },
  }
}

/** The code of the LogError that this ends with. */
export async function codeOf(work: Promise<unknown> | (() => unknown)): Promise<LogErrorCode | 'no error'> {
  try {
    await (typeof work === 'function' ? work() : work)
  } catch (error) {
    if (error instanceof LogError) return error.code
    throw error
  }
  return 'no error'
}

/** Fails where records of a partition are out of order or twice there. */
export function expectOrdered(records: readonly LogRecord[]): void {
  const last = new Map<string, number>()
  for (const record of records) {
    const key = partitionKey(record)
    expect(record.offset).toBeGreaterThan(last.get(key) ?? -1)
    last.set(key, record.offset)
  }
}

/** A range begins where the last one of its partition ended, and all its records lie in it, in order. */
export function follows(reached: Map<string, number>, { from, next, records, error, ...at }: Polled): void {
  const key = partitionKey(at)
  expect(error).toBeNull()
  expect(from, `where the range of ${key} begins`).toBe(reached.get(key))
  let last = from - 1
  for (const record of records) {
    expect([partitionKey(record), record.offset > last, record.offset < next]).toEqual([key, true, true])
    last = record.offset
  }
  reached.set(key, next)
}

/**
 * What the tests of the local log share: a folder for each test, a clock that they turn, logs that are closed afterwards.
 */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, vi } from 'vitest'
import { defineTopic, type Topic } from '../../catalog.ts'
import { LogError, type LogRecord } from '../../log.ts'
import { type LocalLog, type LocalLogOptions, openLocalLog } from '../log.ts'

export const events = defineTopic('events', 'key', [], { partitions: 1 })
export const states = defineTopic('states', 'key', [], { partitions: 1, cleanup: 'compact' })
/** Kept for a day. */
export const short = defineTopic('short', 'key', [], { partitions: 1, keepDays: 1 })

export const START = 1_750_000_000_000
export const DAY = 24 * 60 * 60 * 1000

export class Fixture {
  folder = ''
  file = ''
  now = START
  readonly #logs = new Set<LocalLog>()

  constructor() {
    beforeEach(() => {
      this.folder = mkdtempSync(join(tmpdir(), 'local-log-'))
      this.file = join(this.folder, 'deeper', 'log.db')
      this.now = START
    })
    afterEach(async () => {
      for (const log of this.#logs) await log.close()
      this.#logs.clear()
      rmSync(this.folder, { recursive: true, force: true })
    })
  }

  async open(more: Partial<LocalLogOptions> = {}): Promise<LocalLog> {
    const log = await openLocalLog({ file: this.file, topics: [events, states, short], now: () => this.now, ...more })
    this.#logs.add(log)
    return log
  }

  /** Advances the clock until the background has done a whole round: the old records of `short` have gone, twice. */
  async cleaned(log: LocalLog): Promise<void> {
    for (let rounds = 0; rounds < 2; rounds++) {
      await append(log, short, 'k', 'v')
      this.now += 2 * DAY
      const ends = async () => (await log.ends(short.name))[0]
      await vi.waitFor(async () => expect((await ends())?.low).toBe((await ends())?.high), { timeout: 10_000 })
    }
  }
}

/** The one partition of a topic. */
export function at({ name }: Topic) {
  return { topic: name, partition: 0 }
}

export function append(log: LocalLog, topic: Topic, key: string, value: string | Buffer | null) {
  return log.append([{ topic: topic.name, key, value: typeof value === 'string' ? Buffer.from(value) : value }])
}

export async function readAll(log: LocalLog, topic: Topic, maxBytes = 1024 * 1024): Promise<LogRecord[]> {
  const records: LogRecord[] = []
  const high = (await log.ends(topic.name))[0]?.high ?? 0
  for (let from = 0; from < high; ) {
    const read = await log.read(at(topic), from, { maxBytes })
    records.push(...read.records)
    from = read.next
  }
  return records
}

/** The LogError with which this fails. */
export async function refusal(work: Promise<unknown>): Promise<LogError> {
  const error = await work.then(
    () => 'no error',
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(LogError)
  return error as LogError
}

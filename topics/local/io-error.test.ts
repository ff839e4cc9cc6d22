/** A device that fails, and a disk that is full for a while. */
import { execFile } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { describe, expect, it, onTestFinished } from 'vitest'
import type { Assignment } from '../log.ts'
import { append, at, events, Fixture, readAll, refusal, short, states } from './testing/fixture.ts'
import { type Result, topic } from './testing/io-error-child.ts'
import { Database } from './database.ts'
import { LocalLog } from './log.ts'

const fixture = new Fixture()

async function child(what: string): Promise<Result> {
  const script = join(import.meta.dirname, 'testing', 'io-error-child.ts')
  const { stdout } = await promisify(execFile)(process.execPath, [script, join(fixture.folder, 'log.db'), what])
  return JSON.parse(stdout)
}

describe.runIf(process.platform === 'linux')('a device that fails', () => {
  it('in the sync of a commit closes the log for good, and is reported once', async () => {
    const { steps, closed } = await child('sync of a commit')
    expect(steps).toEqual(['ok', 'unknown', 'closed'])
    expect(closed).toEqual([expect.stringContaining('a commit failed half-way')])
  })

  it('in the sync of a checkpoint closes the log for good, and is reported once', async () => {
    const { steps, closed } = await child('sync of a checkpoint')
    expect(steps).toEqual(['ok', 'closed'])
    expect(closed).toEqual([expect.stringContaining('a checkpoint failed')])
  })

  it('in the read of a partition holds up no other', async () => {
    const log = await fixture.open({ file: join(fixture.folder, 'log.db'), topics: [topic] })
    // More than SQLite keeps in memory.
    for (let i = 0; i < 30; i++) {
      await log.append([{ topic: topic.name, key: 'k', value: randomBytes(400_000), partition: 0 }])
    }
    await log.close()
    const { steps, closed } = await child('read')
    expect(steps).toEqual(['ok', '2 partitions', 'unavailable', ...Array(3).fill('failing/0 unavailable'), 'failing/1 1'])
    expect(closed).toEqual([])
  })
})

it('refuses with `unavailable` while the disk is full, and goes on when there is room again', async () => {
  const file = join(fixture.folder, 'log.db')
  const database = new Database(file)
  const closed: Error[] = []
  const log = new LocalLog(database, { file, topics: [events, states, short], onClosed: error => closed.push(error) })
  onTestFinished(() => log.close())
  const given = Promise.withResolvers<Assignment>()
  const options = { group: 'g', topics: [events.name], instance: 'i', revoked: async () => {}, assigned: given.resolve }
  const membership = await log.join(options)
  const assignment = await given.promise
  await append(log, events, 'k', 'before')
  const pages = database.get<{ page_count: number }>('PRAGMA page_count')?.page_count ?? 0
  database.get(`PRAGMA max_page_count = ${pages + 10}`)
  const commit = () => {
    const transaction = membership.begin(assignment)
    transaction.append({ topic: events.name, key: 'k', value: randomBytes(100_000) })
    transaction.offsets([{ ...at(events), offset: 1 }])
    return transaction.commit()
  }
  for (let i = 0; i < 3; i++) {
    expect((await refusal(append(log, events, 'k', randomBytes(100_000)))).code).toBe('unavailable')
    expect((await refusal(commit())).code).toBe('unavailable')
  }
  expect((await readAll(log, events)).map(({ value }) => `${value}`)).toEqual(['before'])
  expect(await membership.committed([at(events)])).toEqual([])
  database.get('PRAGMA max_page_count = 1000000')
  await append(log, events, 'k', 'after')
  await commit()
  expect((await readAll(log, events)).map(({ offset }) => offset)).toEqual([0, 1, 2])
  expect(closed).toEqual([])
})

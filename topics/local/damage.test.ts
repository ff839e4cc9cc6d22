/** One damaged batch concerns its partition alone, whatever of it is damaged. */
import { DatabaseSync } from 'node:sqlite'
import { describe, expect, it } from 'vitest'
import { defineTopic } from '../catalog.ts'
import type { Assignment, LogError, Polled } from '../log.ts'
import { Fixture, refusal } from './fixture.ts'

const spread = defineTopic('spread', 'key', [], { partitions: 3 })
const kept = defineTopic('kept', 'key', [], { partitions: 3, cleanup: 'compact' })
const fixture = new Fixture()
const topics = [spread, kept]

const fill = async (partition: number, from: number) => {
  const log = await fixture.open({ topics })
  for (const topic of topics) {
    for (let n = from; n < from + 3; n++) {
      await log.append([{ topic: topic.name, partition, key: `key-${n}`, value: Buffer.from(`value ${n} `.repeat(20)) }])
    }
  }
  await log.close()
}
/** Damages the batch at offset 1 of partition 1, behind the back of the log. */
const damage = (set: string) => {
  const database = new DatabaseSync(fixture.file)
  const partitions = 'SELECT id FROM partitions WHERE partition = 1'
  const { changes } = database
    .prepare(`UPDATE batches SET ${set} WHERE base_offset = 1 AND partition_id IN (${partitions})`)
    .run()
  database.close()
  expect(changes).toBe(2)
}
const join = async (log: Awaited<ReturnType<typeof fixture.open>>) => {
  const given = Promise.withResolvers<Assignment>()
  const options = { group: 'g', topics: [spread.name], instance: 'i', revoked: async () => {}, assigned: given.resolve }
  const membership = await log.join(options)
  for (const at of (await given.promise).partitions) membership.start({ ...at, offset: 0 })
  return membership
}

describe.each([
  ['its records', 'records = CAST(substr(records, 3) AS BLOB)'],
  ['its checksum', 'crc = crc + 1'],
  ['its length', 'records = CAST(substr(records, 1, 5) AS BLOB)'],
  ['all of it', "records = x''"],
  ['its count', 'count = count + 7'],
])('a batch of which %s is damaged', (_what, set) => {
  it('is an error of its partition, behind what lies in front of it; the others go on', async () => {
    for (const partition of [0, 1, 2]) await fill(partition, 0)
    damage(set)
    const log = await fixture.open({ topics })
    const membership = await join(log)
    const records = new Map<number, number>()
    const errors: Polled[] = []
    const began = performance.now()
    while (errors.length < 3) {
      for (const range of await membership.poll({ max: 100, wait: 1_000 })) {
        if (range.error !== null) errors.push(range)
        else records.set(range.partition, (records.get(range.partition) ?? 0) + range.records.length)
      }
    }
    expect(Object.fromEntries(records)).toEqual({ 0: 3, 1: 1, 2: 3 })
    for (const { partition, from, next, error } of errors) {
      expect([partition, from, next, error?.code]).toEqual([1, 1, 1, 'corrupt'])
      expect(error?.message).toMatch(/spread\/1, offsets 1 to \d+/)
    }
    // Tried again ever more slowly.
    expect(performance.now() - began).toBeGreaterThanOrEqual(300)
    await log.append([{ topic: spread.name, partition: 0, key: 'k', value: Buffer.from('more') }])
    expect((await membership.poll({ max: 100, wait: 1_000 })).flatMap(r => r.records.map(({ offset }) => offset))).toEqual([3])
    expect((await refusal(log.read({ topic: spread.name, partition: 1 }, 1))).code).toBe('corrupt')
  })

  it('keeps no other partition from being compacted, and stays', async () => {
    for (const partition of [0, 1, 2]) await fill(partition, 0)
    for (const partition of [0, 1, 2]) await fill(partition, 0)
    damage(set)
    const errors: Error[] = []
    const cleaning = { everyMs: 10, activeMs: 0, maxLagMs: 0, dirtyBytes: 0 }
    fixture.now += 60_000
    const log = await fixture.open({ topics, cleaning, onError: error => errors.push(error) })
    const left = async (partition: number) => (await log.read({ topic: kept.name, partition }, 0)).records.length
    await expect.poll(() => Promise.all([left(0), left(2)]), { timeout: 5_000 }).toEqual([3, 3])
    expect(errors.map(e => (e as LogError).code)).toContain('corrupt')
    expect((await refusal(log.read({ topic: kept.name, partition: 1 }, 1))).code).toBe('corrupt')
  })
})

it.each([
  ['has lost its row', 'DELETE FROM batches WHERE base_offset = 1'],
  ['says that it ends later', 'UPDATE batches SET last_offset = 5 WHERE base_offset = 1'],
  ['says that it begins later', 'UPDATE batches SET base_offset = 2 WHERE base_offset = 1'],
])('a batch that %s is never passed over', async (_what, sql) => {
  await fill(1, 0)
  const database = new DatabaseSync(fixture.file)
  database.exec(sql)
  database.close()
  const log = await fixture.open({ topics })
  const membership = await join(log)
  const [first] = await membership.poll({ max: 100, wait: 1_000 })
  expect([first?.from, first?.next, first?.records.length]).toEqual([0, 1, 1])
  const [second] = await membership.poll({ max: 100, wait: 1_000 })
  expect([second?.from, second?.next, second?.error?.code]).toEqual([1, 1, 'corrupt'])
})

it('tells of a gap where retention has removed what was still to be read, and passes over nothing', async () => {
  const brief = defineTopic('brief', 'key', [], { partitions: 2, keepDays: 1 })
  const log = await fixture.open({ topics: [brief] })
  const put = (partition: number) => log.append([{ topic: brief.name, partition, key: 'k', value: Buffer.from('v') }])
  const given = Promise.withResolvers<Assignment>()
  const options = { group: 'g', topics: [brief.name], instance: 'i', revoked: async () => {}, assigned: given.resolve }
  const membership = await log.join(options)
  for (const at of (await given.promise).partitions) membership.start({ ...at, offset: 0 })
  await put(0)
  await put(0)
  fixture.now += 2 * 24 * 60 * 60 * 1000
  await log.retain()
  await put(0)
  await put(1)
  const polled = await membership.poll({ max: 10, wait: 1_000 })
  expect(polled.find(r => r.partition === 0)).toMatchObject({ from: 0, next: 0, records: [] })
  expect(polled.find(r => r.partition === 0)?.error).toMatchObject({
    code: 'gap',
    message: expect.stringMatching(/is 0, .*begins at 2: 2 are gone/),
  })
  expect(polled.find(r => r.partition === 1)?.records).toHaveLength(1)
})

it('says once that it has closed itself, and not when it is closed', async () => {
  const told: string[] = []
  const log = await fixture.open({ topics, onClosed: error => told.push(error.message) })
  await log.close()
  expect(told).toEqual([])
})

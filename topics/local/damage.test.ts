/** One damaged batch concerns its partition alone, whatever of it is damaged. */
import { DatabaseSync } from 'node:sqlite'
import { crc32 } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { defineTopic } from '../catalog.ts'
import type { Assignment, LogError, Polled } from '../log.ts'
import { DAY, Fixture, refusal } from './testing/fixture.ts'
import type { LocalLog } from './log.ts'

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
  ['the time of its newest record', 'max_timestamp = 0'],
  ['the time of its first record', 'first_timestamp = first_timestamp + 1'],
  ['a time, beyond all numbers,', 'max_timestamp = 1 << 60'],
  ['the checksum, beyond all numbers,', 'crc = 1 << 60'],
  ['the time of its tombstones', 'tombstones_until = 0'],
  ['the place of it, though it fits in itself,', 'base_offset = 0'],
])('a batch of which %s is damaged', (_what, set) => {
  it('is an error of its partition, after the records before it; the others continue', async () => {
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
      expect(error?.message).toMatch(/spread\/1, offsets \d+ to \d+/)
    }
    // Tried again ever more slowly.
    expect(performance.now() - began).toBeGreaterThanOrEqual(300)
    await log.append([{ topic: spread.name, partition: 0, key: 'k', value: Buffer.from('more') }])
    expect((await membership.poll({ max: 100, wait: 1_000 })).flatMap(r => r.records.map(({ offset }) => offset))).toEqual([3])
    expect((await refusal(log.read({ topic: spread.name, partition: 1 }, 1))).code).toBe('corrupt')
  })

  it('does not stop the compaction of other partitions, and stays', async () => {
    for (const partition of [0, 1, 2]) await fill(partition, 0)
    for (const partition of [0, 1, 2]) await fill(partition, 0)
    damage(set)
    const errors: Error[] = []
    const cleaning = { everyMs: 10, activeMs: 0, maxLagMs: 0, dirtyBytes: 0 }
    fixture.now += 60_000
    const log = await fixture.open({ topics, cleaning, onError: error => errors.push(error) })
    const left = async (partition: number, from = 0) => (await log.read({ topic: kept.name, partition }, from)).records.length
    await expect.poll(() => Promise.all([left(0), left(2)]), { timeout: 5_000 }).toEqual([3, 3])
    // What lies behind the damage is compacted too.
    await expect.poll(() => left(1, 2), { timeout: 5_000 }).toBe(3)
    // It is told of once, however often the cleaner comes by.
    expect(errors.map(e => (e as LogError).code)).toEqual(['corrupt'])
    expect((await refusal(log.read({ topic: kept.name, partition: 1 }, 1))).code).toBe('corrupt')
  })
})

it.each([
  ['has lost its row', 'DELETE FROM batches WHERE base_offset = 1'],
  ['says that it ends later', 'UPDATE batches SET last_offset = 5 WHERE base_offset = 1'],
  ['says that it ends beyond all numbers', 'UPDATE batches SET last_offset = 1 << 60 WHERE base_offset = 1'],
  ['says that it ends before all others', 'UPDATE batches SET last_offset = -1 WHERE base_offset = 1'],
  ['is of another partition', 'UPDATE batches SET partition_id = partition_id - 1 WHERE base_offset = 1'],
  ['says that it begins later', 'UPDATE batches SET base_offset = 2 WHERE base_offset = 1'],
])('a batch that %s is never passed over', async (_what, sql) => {
  await fill(1, 0)
  const database = new DatabaseSync(fixture.file)
  database.exec(sql)
  database.close()
  const log = await fixture.open({ topics })
  const membership = await join(log)
  const own: Polled[] = []
  while (own.length < 2) own.push(...(await membership.poll({ max: 100, wait: 1_000 })).filter(r => r.partition === 1))
  const [first, second] = own
  expect([first?.from, first?.next, first?.records.length]).toEqual([0, 1, 1])
  expect([second?.from, second?.next, second?.error?.code]).toEqual([1, 1, 'corrupt'])
})

it.each([
  ['beyond all numbers', '1 << 60'],
  ['negative', '-5'],
])('gives no offset twice where the newest batch says that its last one is %s', async (_what, last) => {
  await fill(1, 0)
  const database = new DatabaseSync(fixture.file)
  database.exec(`UPDATE batches SET last_offset = ${last} WHERE base_offset = 2`)
  database.close()
  const log = await fixture.open({ topics })
  const at = { topic: spread.name, partition: 1 }
  expect(await log.append([{ ...at, key: 'k', value: null }])).toEqual([{ ...at, offset: 3 }])
  expect((await refusal(log.read(at, 2))).code).toBe('corrupt')
})

it('continues with a correct log time when that of the newest batch is damaged', async () => {
  await fill(1, 0)
  const database = new DatabaseSync(fixture.file)
  database.exec('UPDATE batches SET max_timestamp = 1 << 50 WHERE base_offset = 2')
  database.close()
  const log = await fixture.open({ topics })
  await log.append([{ topic: spread.name, partition: 1, key: 'k', value: null }])
  const { records } = await log.read({ topic: spread.name, partition: 1 }, 3)
  expect(records).toMatchObject([{ timestamp: fixture.now }])
})

describe('a batch of format 1, whose checksum is of its records alone,', () => {
  const old = async (set: string) => {
    await fill(1, 0)
    const database = new DatabaseSync(fixture.file)
    database.function('crc_of', value => crc32(value as unknown as Uint8Array))
    database.exec(
      `PRAGMA user_version = 1; UPDATE batches SET crc = crc_of(records); UPDATE batches SET ${set} WHERE base_offset = 1`,
    )
    database.close()
    return fixture.open({ topics })
  }

  it('is read as it is', async () => {
    const log = await old('crc = crc')
    expect((await log.read({ topic: spread.name, partition: 1 }, 0)).records).toHaveLength(3)
    await log.append([{ topic: spread.name, partition: 1, key: 'k', value: null }])
    expect((await log.read({ topic: spread.name, partition: 1 }, 0)).records).toHaveLength(4)
  })

  it.each(['count = 2', 'base_offset = 0', 'last_offset = 3', 'max_timestamp = 7', 'records = zeroblob(9)'])(
    'is damaged where it contradicts itself: %s',
    async set => {
      const log = await old(set)
      const { code, message } = await refusal(log.read({ topic: spread.name, partition: 1 }, 1))
      expect([code, message]).toEqual(['corrupt', expect.stringContaining('spread/1, offsets ')])
    },
  )
})

describe('retention', () => {
  const brief = defineTopic('brief', 'key', [], { partitions: 2, keepDays: 1 })
  const low = async (log: LocalLog) => (await log.ends(brief.name)).map(ends => ends.low)
  const damaged = async () => {
    const before = await fixture.open({ topics: [brief] })
    for (let n = 0; n < 6; n++) {
      if (n === 3) fixture.now += DAY / 2
      await before.append([{ topic: brief.name, partition: n % 2, key: 'k', value: Buffer.from(`${n}`) }])
    }
    await before.close()
    const database = new DatabaseSync(fixture.file)
    // Partition 0 holds offsets 0 and 1 of the first day, 2 of the second.
    database.exec(
      `UPDATE batches SET max_timestamp = 0 WHERE base_offset = 1
         AND partition_id = (SELECT id FROM partitions WHERE topic = 'brief' AND partition = 0)`,
    )
    database.close()
    const errors: Error[] = []
    return { errors, log: await fixture.open({ topics: [brief], onError: error => errors.push(error) }) }
  }

  it('does not trust the time of a damaged batch: it is removed when the next one is too old, and reported', async () => {
    const { log, errors } = await damaged()
    await log.retain()
    expect(await low(log)).toEqual([0, 0])
    fixture.now += DAY / 2 + 1
    await log.retain()
    await log.retain()
    expect(await low(log)).toEqual([1, 1])
    expect(errors).toMatchObject([{ code: 'corrupt', message: expect.stringMatching(/brief\/0, offsets 1 to 1/) }])
    fixture.now += DAY / 2
    await log.retain()
    expect(await low(log)).toEqual([3, 3])
    expect(errors[1]?.message).toMatch(/brief\/0, offsets 1 to 1.*has been removed/)
    expect(errors).toHaveLength(2)
  })
})

it('reports a gap when retention has removed what was still to be read, and skips nothing', async () => {
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
    message: expect.stringMatching(/offset 0 .*starts at 2: 2 offsets are gone/),
  })
  expect(polled.find(r => r.partition === 1)?.records).toHaveLength(1)
})

it('reports once that it has closed itself, and not when it is closed', async () => {
  const told: string[] = []
  const log = await fixture.open({ topics, onClosed: error => told.push(error.message) })
  await log.close()
  expect(told).toEqual([])
})

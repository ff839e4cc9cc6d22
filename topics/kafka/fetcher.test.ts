import { afterEach, expect, test, vi } from 'vitest'
import { LogError, partitionKey } from '../log.ts'
import { encodeBatch } from './batch.ts'
import type { Cursor } from './cursor.ts'
import { FakeCluster } from './fake.ts'
import { Fetcher, type FetcherSettings } from './fetcher.ts'
import type { SubscriptionSettings } from './subscription.ts'

vi.setConfig({ testTimeout: 15_000 })

const A = { topic: 'venue.inbox', partition: 0 }
const B = { topic: 'venue.inbox', partition: 1 }
const OTHER = { topic: 'issues', partition: 0 }
const STRANGER = { producerId: -1n, producerEpoch: -1, transactional: false }

const fetchers: Fetcher[] = []
afterEach(() => {
  for (const fetcher of fetchers.splice(0)) fetcher.close()
})

function open(settings: Partial<FetcherSettings & SubscriptionSettings> = {}) {
  const cluster = new FakeCluster([A, B, OTHER])
  const client = cluster as unknown as FetcherSettings['client']
  const shared = new Fetcher({ client, wait: 20, quiet: 300, catchUp: 1_000, ...settings })
  fetchers.push(shared)
  const subscribe = () => shared.subscribe({ below: 'gap', beyond: 'gap', onNews: () => {}, ...settings })
  return { cluster, subscribe, fetcher: subscribe() }
}

function batch(...texts: string[]): Buffer {
  return encodeBatch(
    texts.map(text => ({ key: 'k', value: Buffer.from(text) })),
    0,
    STRANGER,
    -1,
    'none',
  )
}

/** Takes until there have been so many records; ranges follow one another. */
async function take(cursor: Cursor, count: number, max = 100): Promise<string[]> {
  const found: string[] = []
  await expect
    .poll(() => {
      const at = cursor.head
      const { from, next, records } = cursor.take(max, 1_000_000)
      expect([from, next]).toEqual([at, cursor.head])
      for (const { offset } of records) expect(offset >= from && offset < next, `${offset} in ${from}..${next}`).toBe(true)
      found.push(...records.map(r => `${r.value}`))
      return found.length
    })
    .toBe(count)
  return found
}

const told = (cursor: Cursor) => expect.poll(() => cursor.telling, { timeout: 8_000, interval: 5 })

test('a fetch that fails leaves what is queued, is told once that has been taken, and goes on where it failed', async () => {
  const { cluster, fetcher } = open()
  const at = cluster.at(A)
  at.put(batch('0', '1', '2'))
  const cursor = fetcher.add({ ...A, offset: 0 })
  await expect.poll(() => cursor.next).toBe(3)
  at.code = () => -1
  const before = at.fetches.length
  await expect.poll(() => at.fetches.length, { interval: 1 }).toBeGreaterThan(before + 1)
  expect(cursor.take(2, 1_000_000)).toMatchObject({ from: 0, next: 2 })
  expect(cursor.telling).toBeNull()
  expect(cursor.take(2, 1_000_000)).toMatchObject({ from: 2, next: 3 })
  await told(cursor).toMatchObject({ code: 'unavailable', kafka: -1 })
  at.code = () => 0
  at.put(batch('3'))
  expect(await take(cursor, 1)).toEqual(['3'])
  expect(new Set(at.fetches)).toEqual(new Set([0, 3, 4]))
})

test('every attempt that fails is told, after pauses that grow', async () => {
  const { cluster, fetcher } = open()
  cluster.at(A).code = () => 29
  const cursor = fetcher.add({ ...A, offset: 0 })
  const times: number[] = []
  for (let i = 0; i < 5; i++) {
    await told(cursor).not.toBeNull()
    expect(cursor.tell()).toMatchObject({ code: 'unavailable', kafka: 29 })
    expect(cursor.tell()).toBeNull()
    times.push(performance.now())
  }
  const pauses = times.slice(1).map((time, i) => time - (times[i] as number))
  for (const [i, pause] of pauses.entries()) expect(pause).toBeGreaterThan(70 * 2 ** i)
  expect(cluster.at(A).fetches).toHaveLength(5)
})

const TROUBLES: Record<string, (cluster: FakeCluster) => void> = {
  'an error that nobody knows': cluster => {
    cluster.at(A).code = () => -1
  },
  'a leader that says for ever that it is none': cluster => {
    cluster.at(A).code = () => 6
  },
  'no leader': cluster => {
    cluster.at(A).leader = null
  },
  'what ends every connection on which it is fetched': cluster => {
    cluster.at(A).breaks = true
  },
  'a broker that cannot be reached': cluster => {
    cluster.at(A).leader = 2
    cluster.away.add(2)
  },
}

for (const [what, breaks] of Object.entries(TROUBLES)) {
  test(`${what} concerns one partition: others go on meanwhile, and it is told`, async () => {
    const { cluster, fetcher } = open()
    breaks(cluster)
    const [bad, good, other] = [A, B, OTHER].map(p => fetcher.add({ ...p, offset: 0 })) as [Cursor, Cursor, Cursor]
    for (let i = 0; i < 20; i++) {
      cluster.at(B).put(batch(`${i}`))
      cluster.at(OTHER).put(batch(`${i}`))
      const began = performance.now()
      expect(await take(good, 1)).toEqual([`${i}`])
      expect(await take(other, 1)).toEqual([`${i}`])
      expect(performance.now() - began).toBeLessThan(1_000)
    }
    await told(bad).toMatchObject({ code: 'unavailable' })
    expect([good.telling, other.telling, bad.head]).toEqual([null, null, 0])
    cluster.at(A).code = () => 0
    cluster.at(A).leader = 1
    cluster.at(A).breaks = false
    cluster.at(A).put(batch('back'))
    await expect.poll(() => bad.count, { timeout: 10_000 }).toBe(1)
    expect(await take(bad, 1)).toEqual(['back'])
    expect(bad.telling).toBeNull()
  })
}

test('a topic that was deleted is told of, and keeps up no other', async () => {
  const { cluster, fetcher } = open()
  cluster.unknown.add(OTHER.topic)
  cluster.at(A).put(batch('0'))
  const gone = fetcher.add({ ...OTHER, offset: 0 })
  const good = fetcher.add({ ...A, offset: 0 })
  expect(await take(good, 1)).toEqual(['0'])
  await told(gone).toMatchObject({ code: 'no_topic' })
})

test('what comes before a damaged batch is handed over, then the damage is told; it is never passed over', async () => {
  const { cluster, fetcher } = open()
  const at = cluster.at(A)
  for (const texts of [['0', '1'], ['2'], ['3']]) at.put(batch(...texts))
  const damaged = at.batches[1]!.bytes
  damaged[damaged.length - 1]! ^= 1
  cluster.at(B).put(batch('of another'))
  const [cursor, other] = [fetcher.add({ ...A, offset: 0 }), fetcher.add({ ...B, offset: 0 })]
  await expect.poll(() => cursor.next).toBe(2)
  expect(await take(cursor, 2)).toEqual(['0', '1'])
  expect(await take(other, 1)).toEqual(['of another'])
  for (let i = 0; i < 3; i++) {
    await told(cursor).toMatchObject({ code: 'corrupt', message: expect.stringContaining(`${partitionKey(A)}: the batch at 2`) })
    cursor.tell()
    expect([cursor.head, cursor.next, cursor.count]).toEqual([2, 2, 0])
  }
  damaged[damaged.length - 1]! ^= 1
  await expect.poll(() => cursor.count, { timeout: 8_000 }).toBe(2)
  expect(await take(cursor, 2)).toEqual(['2', '3'])
})

test('a batch whose length is damaged so that it seems to be cut short is told, not fetched for ever', async () => {
  const { cluster, fetcher } = open()
  cluster.at(A).put(batch('0'))
  cluster.at(A).batches[0]!.bytes.writeInt32BE(1_000_000, 8)
  const cursor = fetcher.add({ ...A, offset: 0 })
  await told(cursor).toMatchObject({ code: 'corrupt', message: expect.stringContaining('longer than what came') })
})

test('what retention removed below the position is a gap that names it, after what was queued', async () => {
  const { cluster, fetcher } = open()
  const at = cluster.at(A)
  at.put(batch('0', '1'))
  const cursor = fetcher.add({ ...A, offset: 0 })
  await expect.poll(() => cursor.next).toBe(2)
  for (let i = 2; i < 10; i++) at.put(batch(`${i}`))
  at.code = () => 0
  const fresh = fetcher.add({ ...A, offset: 0 })
  at.batches = at.batches.filter(b => b.base >= 7)
  at.low = 7
  await told(fresh).toMatchObject({ code: 'gap' })
  expect(fresh.tell()!.message).toMatch(/offset 0 .* first .* is 7: 7 offsets are gone/)
  expect([fresh.head, fresh.count]).toEqual([0, 0])
})

test('a position beyond the end is a gap, but only once a new leader had the time to catch up', async () => {
  const { cluster, fetcher } = open()
  cluster.at(A).put(batch('0'))
  cluster.at(B).put(batch('0'))
  const began = performance.now()
  const [gap, late] = [fetcher.add({ ...A, offset: 5 }), fetcher.add({ ...B, offset: 2 })]
  await expect.poll(() => cluster.at(B).fetches.length).toBeGreaterThan(2)
  for (const text of ['1', '2']) cluster.at(B).put(batch(text))
  expect(await take(late, 1)).toEqual(['2'])
  await told(gap).toMatchObject({ code: 'gap' })
  expect(performance.now() - began).toBeGreaterThan(1_000)
  expect(gap.tell()!.message).toMatch(/offset 5 .* ends before 1/)
  expect(late.telling).toBeNull()
})

test('without a group, what is gone is read over, and what is not there yet is waited for', async () => {
  const { cluster, fetcher } = open({ below: 'first', beyond: 'wait' })
  cluster.at(A).put(batch('0', '1', '2'))
  cluster.at(A).put(batch('3'))
  cluster.at(A).batches.shift()
  cluster.at(A).low = 3
  const [below, beyond] = [fetcher.add({ ...A, offset: 1 }), fetcher.add({ ...B, offset: 1 })]
  expect(await take(below, 1)).toEqual(['3'])
  await expect.poll(() => beyond.answered).toBe(true)
  cluster.at(B).put(batch('0', '1'))
  expect(await take(beyond, 1)).toEqual(['1'])
})

test('what failed before a partition was started anew says nothing of it, and takes nothing away', async () => {
  const { cluster, fetcher } = open()
  cluster.at(A).put(batch('0'))
  cluster.at(A).code = () => -1
  const before = fetcher.add({ ...A, offset: 0 })
  await told(before).toBeInstanceOf(LogError)
  fetcher.clear()
  cluster.at(A).code = () => 0
  const after = fetcher.add({ ...A, offset: 0 })
  expect([...fetcher.cursors()]).toEqual([after])
  expect(await take(after, 1)).toEqual(['0'])
  expect(after.telling).toBeNull()
})

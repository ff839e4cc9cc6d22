import { crc32c } from '@node-rs/crc32'
import { afterEach, expect, test, vi } from 'vitest'
import { LogError, partitionKey } from '../log.ts'
import { encodeBatch } from './batch.ts'
import type { Cursor } from './cursor.ts'
import { FakeCluster } from './testing/fake-cluster.ts'
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
      for (const fetcher of fetchers) fetcher.wake()
      return found.length
    })
    .toBe(count)
  return found
}

const told = (cursor: Cursor) => expect.poll(() => cursor.pendingError, { timeout: 8_000, interval: 5 })

test('a failed fetch keeps what is queued, is reported once that has been taken, and is retried where it failed', async () => {
  const { cluster, fetcher } = open()
  const at = cluster.at(A)
  at.put(batch('0', '1', '2'))
  const cursor = fetcher.add({ ...A, offset: 0 })
  await expect.poll(() => cursor.next).toBe(3)
  at.code = () => -1
  const before = at.fetches.length
  await expect.poll(() => at.fetches.length, { interval: 1 }).toBeGreaterThan(before + 1)
  expect(cursor.take(2, 1_000_000)).toMatchObject({ from: 0, next: 2 })
  expect(cursor.pendingError).toBeNull()
  expect(cursor.take(2, 1_000_000)).toMatchObject({ from: 2, next: 3 })
  await told(cursor).toMatchObject({ code: 'unavailable', kafka: -1 })
  at.code = () => 0
  at.put(batch('3'))
  expect(await take(cursor, 1)).toEqual(['3'])
  await expect.poll(() => new Set(at.fetches)).toEqual(new Set([0, 3, 4]))
})

test('every failed attempt is reported, after growing pauses', async () => {
  const { cluster, fetcher } = open()
  cluster.at(A).code = () => 29
  const cursor = fetcher.add({ ...A, offset: 0 })
  const times: number[] = []
  for (let i = 0; i < 5; i++) {
    await told(cursor).not.toBeNull()
    expect(cursor.takeError()).toMatchObject({ code: 'unavailable', kafka: 29 })
    expect(cursor.takeError()).toBeNull()
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
  test(`${what} concerns one partition: it is reported, and others continue`, async () => {
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
    expect([good.pendingError, other.pendingError, bad.head]).toEqual([null, null, 0])
    cluster.at(A).code = () => 0
    cluster.at(A).leader = 1
    cluster.at(A).breaks = false
    cluster.at(A).put(batch('back'))
    await expect.poll(() => bad.count, { timeout: 10_000 }).toBe(1)
    expect(await take(bad, 1)).toEqual(['back'])
    expect(bad.pendingError).toBeNull()
  })
}

test('a deleted topic is reported, and holds up no other', async () => {
  const { cluster, fetcher } = open()
  cluster.unknown.add(OTHER.topic)
  cluster.at(A).put(batch('0'))
  const gone = fetcher.add({ ...OTHER, offset: 0 })
  const good = fetcher.add({ ...A, offset: 0 })
  expect(await take(good, 1)).toEqual(['0'])
  await told(gone).toMatchObject({ code: 'no_topic' })
})

test('records before a damaged batch are returned, then the damage is reported; it is never skipped', async () => {
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
    await told(cursor).toMatchObject({
      code: 'corrupt',
      message: expect.stringContaining(`${partitionKey(A)}: the batch at offset 2`),
    })
    cursor.takeError()
    expect([cursor.head, cursor.next, cursor.count]).toEqual([2, 2, 0])
  }
  damaged[damaged.length - 1]! ^= 1
  await expect.poll(() => cursor.count, { timeout: 8_000 }).toBe(2)
  expect(await take(cursor, 2)).toEqual(['2', '3'])
})

test('a batch that seems truncated because its length is damaged is reported, not fetched forever', async () => {
  const { cluster, fetcher } = open()
  cluster.at(A).put(batch('0'))
  cluster.at(A).batches[0]!.bytes.writeInt32BE(1_000_000, 8)
  const cursor = fetcher.add({ ...A, offset: 0 })
  await told(cursor).toMatchObject({ code: 'corrupt', message: expect.stringContaining('is truncated') })
})

test('records that retention removed below the position are a reported gap, after what was queued', async () => {
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
  expect(fresh.takeError()!.message).toMatch(/offset 0 .* starts at 7: 7 offsets are gone/)
  expect([fresh.head, fresh.count]).toEqual([0, 0])
})

test('a position beyond the end is a gap, but only once a new leader has had time to catch up', async () => {
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
  expect(gap.takeError()!.message).toMatch(/offset 5 .* ends at 1:/)
  expect(late.pendingError).toBeNull()
})

test('without a group, missing records are skipped, and future ones awaited', async () => {
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

test('a failure from before a partition was restarted does not affect it', async () => {
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
  expect(after.pendingError).toBeNull()
})

const fetches = (cluster: FakeCluster) => cluster.requests.filter(r => r.api === 'Fetch')

test('readers of one partition share a fetch, and each gets what it has not yet had', async () => {
  const { cluster, subscribe, fetcher } = open({ wait: 60_000 })
  cluster.at(A).put(batch('0', '1', '2'))
  const others = Array.from({ length: 3 }, subscribe)
  const cursors = [fetcher, ...others].map(of => of.add({ ...A, offset: 0 }))
  for (const cursor of cursors) expect(await take(cursor, 3)).toEqual(['0', '1', '2'])
  const before = fetches(cluster).length
  cluster.at(A).put(batch('3'))
  for (const cursor of cursors) expect(await take(cursor, 1)).toEqual(['3'])
  // The one that was waiting brought it; another waits for what comes next.
  await expect.poll(() => fetches(cluster).length - before).toBe(1)
  const late = subscribe().add({ ...A, offset: 1 })
  expect(await take(late, 3)).toEqual(['1', '2', '3'])
})

test('a partition that is added or has room again does not wait for the end of a long poll', async () => {
  const { cluster, subscribe, fetcher } = open({ wait: 60_000 })
  const idle = fetcher.add({ ...A, offset: 0 })
  await expect.poll(() => fetches(cluster).length).toBeGreaterThan(0)
  cluster.at(B).put(batch('0'))
  for (let i = 0; i < 5; i++) {
    const began = performance.now()
    expect(await take(subscribe().add({ ...B, offset: 0 }), 1)).toEqual(['0'])
    expect(await take(subscribe().add({ ...OTHER, offset: 0 }), 0)).toEqual([])
    expect(performance.now() - began).toBeLessThan(1_000)
  }
  cluster.at(A).put(batch('at last'))
  expect(await take(idle, 1)).toEqual(['at last'])
})

test('one long poll soon has all partitions, whatever is added in the meantime', async () => {
  const { cluster, subscribe, fetcher } = open({ wait: 200 })
  for (const p of [A, B, OTHER]) {
    fetcher.add({ ...p, offset: 0 })
    subscribe().add({ ...p, offset: 0 })
    await new Promise(setImmediate)
  }
  await expect.poll(() => fetches(cluster).at(-1)?.partitions.toSorted()).toEqual([A, B, OTHER].map(partitionKey).toSorted())
  // From then on there is one at a time: each asks for all of it.
  await expect
    .poll(async () => {
      const before = cluster.requests.length
      await expect.poll(() => cluster.requests.length, { timeout: 5_000 }).toBeGreaterThanOrEqual(before + 3)
      return cluster.requests.slice(before).every(({ connection, partitions }) => {
        return connection === cluster.requests[before]?.connection && partitions.length === 3
      })
    })
    .toBe(true)
})

test('a reader that is behind holds up no other, and catches up', async () => {
  const { cluster, subscribe, fetcher } = open({ wait: 60_000, maxBytes: 1, partitionBytes: 1 })
  cluster.oneBatch = true
  for (let i = 0; i < 60; i++) cluster.at(A).put(batch(`${i}`))
  const ahead = fetcher.add({ ...A, offset: 60 })
  const behind = subscribe().add({ ...A, offset: 0 })
  cluster.at(A).put(batch('60'))
  expect(await take(ahead, 1)).toEqual(['60'])
  expect(behind.next).toBeLessThan(60)
  expect(await take(behind, 61)).toEqual(Array.from({ length: 61 }, (_, i) => `${i}`))
  cluster.at(A).put(batch('for both'))
  for (const cursor of [ahead, behind]) expect(await take(cursor, 1)).toEqual(['for both'])
})

test('a reader that has caught up waits in a long poll, although the one that was ahead is no longer fetched', async () => {
  const { cluster, subscribe, fetcher } = open({ wait: 60_000, bytes: 500 })
  cluster.oneBatch = true
  for (let i = 0; i < 10; i++) cluster.at(A).put(batch('x'.repeat(100)))
  const full = fetcher.add({ ...A, offset: 5 })
  const behind = subscribe().add({ ...A, offset: 0 })
  expect(await take(behind, 10)).toHaveLength(10)
  await expect
    .poll(() => fetches(cluster).at(-1))
    .toMatchObject({ partitions: [partitionKey(A)], connection: expect.toSatisfy(connection => connection < 2) })
  expect(full.count).toBeLessThan(5)
  cluster.at(A).put(batch('more'))
  expect(await take(behind, 1)).toEqual(['more'])
})

test('the queue is bounded over all partitions, and one that is not taken leaves room for the others', async () => {
  const bytes = 100_000
  const { cluster, fetcher } = open({ bytes })
  cluster.oneBatch = true
  const large = () => batch('x'.repeat(5_000))
  for (let i = 0; i < 60; i++) for (const p of [A, B]) cluster.at(p).put(large())
  const alone = fetcher.add({ ...A, offset: 0 })
  await expect.poll(() => alone.queued).toBeGreaterThanOrEqual(bytes / 2)
  const [before] = [alone.queued]
  const other = fetcher.add({ ...B, offset: 0 })
  expect(await take(other, 60)).toHaveLength(60)
  expect(alone.queued).toBe(before)
  expect(alone.queued + other.queued).toBeLessThan(bytes)
  expect(await take(alone, 60)).toHaveLength(60)
})

test('a partition is fetched once others are no longer read, although an answer exceeded the room', async () => {
  const { cluster, fetcher } = open({ bytes: 24_000 })
  const full = [A, B]
  for (const partition of full) cluster.at(partition).put(batch('x'.repeat(13_000)))
  const cursors = full.map(partition => fetcher.add({ ...partition, offset: 0 }))
  await expect.poll(() => cursors.every(({ queued }) => queued > 0)).toBe(true)
  const waiting = fetcher.add({ ...OTHER, offset: 0 })
  // Requests would end here, if it had no room.
  let requests = -1
  const quiet = () => {
    const before = requests
    requests = cluster.requests.length
    return before === requests
  }
  await expect
    .poll(quiet, { interval: 100 })
    .toBe(true)
    .catch(() => {})
  for (const partition of full) fetcher.remove(partition)
  cluster.at(OTHER).put(batch('y'))
  await expect.poll(() => waiting.queued).toBeGreaterThan(0)
})

test('queued records keep little more alive than their own bytes', async () => {
  const { cluster, fetcher } = open()
  cluster.at(A).put(batch('small'))
  cluster.at(B).put(batch('x'.repeat(2_000_000)))
  const [small] = [A, B].map(partition => fetcher.add({ ...partition, offset: 0 })) as [Cursor, Cursor]
  await expect.poll(() => small.queued).toBeGreaterThan(0)
  const [record] = small.take(10, 1_000_000).records
  expect(record?.value?.buffer.byteLength).toBeLessThan(1_000)
})

test('a session that the broker has forgotten is restarted, and nothing is missed', async () => {
  const { cluster, fetcher } = open()
  const cursors = [A, B].map(p => fetcher.add({ ...p, offset: 0 }))
  for (let i = 0; i < 10; i++) {
    cluster.sessions.clear()
    cluster.at(A).put(batch(`${i}`))
    expect(await take(cursors[0] as Cursor, 1)).toEqual([`${i}`])
    cluster.at(B).put(batch(`${i}`))
    expect(await take(cursors[1] as Cursor, 1)).toEqual([`${i}`])
  }
  expect(cursors.map(c => c.pendingError)).toEqual([null, null])
})

test('an answer in flight does not deliver to a partition that is no longer read', async () => {
  const { cluster, fetcher } = open({ wait: 60_000 })
  const lost = fetcher.add({ ...A, offset: 0 })
  const kept = fetcher.add({ ...B, offset: 0 })
  await expect.poll(() => [lost.answered, kept.answered]).toEqual([true, true])
  fetcher.remove(A)
  cluster.at(A).put(batch('of another'))
  cluster.at(B).put(batch('own'))
  expect(await take(kept, 1)).toEqual(['own'])
  expect([lost.next, lost.count]).toEqual([0, 0])
})

test('a complete batch that cannot be decoded is reported at each attempt, with growing pauses, after the records before it', async () => {
  const { cluster, fetcher } = open()
  cluster.at(A).put(batch('0'))
  const odd = batch('1')
  odd.writeInt16BE(2, 21) // a compression that nobody knows
  odd.writeUInt32BE(crc32c(odd.subarray(21)), 17)
  cluster.at(A).put(odd)
  const [cursor, other] = [fetcher.add({ ...A, offset: 0 }), fetcher.add({ ...B, offset: 0 })]
  await expect.poll(() => cursor.count).toBe(2)
  expect(cursor.take(10, 1_000_000).records.map(r => `${r.value}`)).toEqual(['0'])
  const times: number[] = []
  for (let i = 0; i < 4; i++) {
    await expect
      .poll(() => cursor.take(10, 1_000_000).records.length + Number(cursor.pendingError !== null), { interval: 5 })
      .toBe(1)
    expect(cursor.takeError()).toMatchObject({ code: 'corrupt', message: expect.stringContaining('compressed by codec 2') })
    expect([cursor.head, cursor.count, cursor.queued]).toEqual([1, 0, 0])
    times.push(performance.now())
    fetcher.wake()
  }
  const pauses = times.slice(1).map((time, i) => time - (times[i] as number))
  for (const [i, pause] of pauses.entries()) expect(pause).toBeGreaterThan(70 * 2 ** i)
  cluster.at(B).put(batch('well'))
  expect(await take(other, 1)).toEqual(['well'])
  const stored = cluster.at(A).batches[1]!.bytes
  stored.writeInt16BE(0, 21)
  stored.writeUInt32BE(crc32c(stored.subarray(21)), 17)
  expect(await take(cursor, 1)).toEqual(['1'])
  expect([cursor.failing, cursor.pendingError]).toEqual([false, null])
})

test('a partition whose pause ends while the fetcher looks for what it can fetch is not forgotten', async () => {
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] })
  let now = 1_000
  let step = 0
  const clock = vi.spyOn(performance, 'now').mockImplementation(() => {
    now += step
    return now
  })
  try {
    const { cluster, fetcher } = open()
    const at = cluster.at(A)
    at.code = () => 29
    const cursor = fetcher.add({ ...A, offset: 0 })
    await expect.poll(() => cursor.failing).toBe(true)
    await vi.advanceTimersByTimeAsync(20)
    expect(at.fetches).toHaveLength(1)
    // The timer fires a little early, as those of Node do; from then on time passes with every look at the clock.
    now = cursor.pausedUntil - 1.5
    step = 1
    await vi.advanceTimersByTimeAsync(1_000)
    await expect.poll(() => at.fetches.length).toBeGreaterThan(1)
  } finally {
    clock.mockRestore()
    vi.useRealTimers()
  }
})

import { afterEach, expect, test, vi } from 'vitest'
import { codeOf } from '../../test/conformance/harness.ts'
import { type Append, MAX_RECORD_BYTES, type Position, type TopicPartition } from '../log.ts'
import type { AppendsSettings } from './append-requests.ts'
import { Appends } from './appends.ts'
import { decodeBatches } from './testing/decode-batches.ts'
import { FakeCluster } from './testing/fake-cluster.ts'

vi.setConfig({ testTimeout: 15_000 })

const PARTITIONS = 8
const all = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: 'venue.inbox', partition }))
const [bad, good] = all as [TopicPartition, TopicPartition]
const OTHER = { topic: 'issues', partition: 0 }

const opened: Appends[] = []
afterEach(async () => {
  for (const appends of opened.splice(0)) await appends.close()
})

function open(timeout = 10_000) {
  const cluster = new FakeCluster([...all, OTHER])
  const client = cluster as unknown as AppendsSettings['client']
  const appends = new Appends({ client, compression: 'none', partitions: () => PARTITIONS, timeout })
  opened.push(appends)
  return { cluster, appends }
}

function to(partition: TopicPartition, text: string): Append {
  return { ...partition, key: 'k', value: Buffer.from(text) }
}

/** What is in a partition now. */
function stored(cluster: FakeCluster, partition: TopicPartition): string[] {
  const { batches } = cluster.at(partition)
  return decodeBatches(partition, Buffer.concat(batches.map(b => b.bytes)), 0, []).records.map(r => `${r.value}`)
}

/** Ms that it takes. */
async function timed(work: Promise<unknown>): Promise<number> {
  const began = performance.now()
  await work
  return performance.now() - began
}

const produces = (cluster: FakeCluster) => cluster.requests.filter(r => r.api === 'Produce')

test('appends of one turn share a request, and get their own offsets, in order', async () => {
  const { cluster, appends } = open()
  await appends.add(all.map(p => to(p, 'first')))
  const before = produces(cluster).length
  const adding: Promise<Position[]>[] = []
  for (let i = 0; i < 5; i++) for (const p of all) adding.push(appends.add([to(p, `${i}`), to(p, `${i}'`)]))
  const positions = await Promise.all(adding)
  expect(produces(cluster).length - before).toBe(1)
  expect(positions.map(([one, two]) => [one?.offset, two?.offset])).toEqual(
    Array.from({ length: 5 }, (_, i) => all.map(() => [1 + 2 * i, 2 + 2 * i])).flat(),
  )
  const texts = Array.from({ length: 5 }, (_, i) => [`${i}`, `${i}'`]).flat()
  for (const p of all) expect(stored(cluster, p)).toEqual(['first', ...texts])
  expect(cluster.producerIds).toBe(1)
})

test('appends shortly after a request are sent together in the next; a single one is sent at once', async () => {
  const { cluster, appends } = open()
  await appends.add([to(bad, 'first')])
  const before = produces(cluster).length
  const adding: Promise<Position[]>[] = []
  for (const p of all) {
    adding.push(appends.add([to(p, 'one')]))
    await new Promise(setImmediate)
  }
  await Promise.all(adding)
  expect(produces(cluster).length - before).toBeLessThanOrEqual(2)
  for (const p of all) expect(stored(cluster, p).at(-1)).toBe('one')
})

test('appends to a partition while a batch is in flight are sent together', async () => {
  const { cluster, appends } = open()
  await appends.add([to(good, 'first')])
  const stall = Promise.withResolvers<void>()
  cluster.at(good).stall = stall.promise
  const under = appends.add([to(good, 'under way')])
  await expect.poll(() => cluster.at(good).produced).toEqual([1, 1])
  const later = Array.from({ length: 50 }, (_, i) => appends.add([to(good, `${i}`)]))
  stall.resolve()
  await Promise.all([under, ...later])
  expect(cluster.at(good).produced).toEqual([1, 1, 50])
})

const TROUBLES: Record<string, (cluster: FakeCluster) => () => void> = {
  'whose leader says that it is none': cluster => {
    cluster.at(bad).code = () => 6
    return () => {
      cluster.at(bad).code = () => 0
    }
  },
  'without a leader': cluster => {
    cluster.at(bad).leader = null
    return () => {
      cluster.at(bad).leader = 1
    }
  },
  'that lacks replicas': cluster => {
    cluster.at(bad).code = () => 19
    return () => {
      cluster.at(bad).code = () => 0
    }
  },
  'whose broker cannot be reached': cluster => {
    cluster.at(bad).leader = 2
    cluster.away.add(2)
    return () => void cluster.away.delete(2)
  },
  'whose broker hangs': cluster => {
    const stall = Promise.withResolvers<void>()
    cluster.at(bad).leader = 2
    cluster.at(bad).stall = stall.promise
    return () => stall.resolve()
  },
  'whose requests end with the connection': cluster => {
    cluster.at(bad).breaks = true
    return () => {
      cluster.at(bad).breaks = false
    }
  },
  'that takes long, on the same broker': cluster => {
    const stall = Promise.withResolvers<void>()
    cluster.at(bad).stall = stall.promise
    return () => stall.resolve()
  },
}

for (const [what, breaks] of Object.entries(TROUBLES)) {
  test(`a partition ${what} holds up no other, even one that shares a turn or a request with it`, async () => {
    const { cluster, appends } = open()
    await appends.add(all.map(p => to(p, 'first')))
    const mend = breaks(cluster)
    const ended: string[] = []
    const append = (p: TopicPartition, text: string) => appends.add([to(p, text)]).then(() => void ended.push(text))
    const waiting = [append(bad, 'bad 0')]
    for (let i = 0; i < 10; i++) {
      // In one turn with one for the bad partition, or behind it.
      if (i % 2 === 0) waiting.push(append(bad, `bad ${i + 1}`))
      expect(await timed(Promise.all([append(good, `good ${i}`), append(OTHER, `other ${i}`)]))).toBeLessThan(1_000)
    }
    expect(ended.filter(text => text.startsWith('bad'))).toEqual([])
    mend()
    await Promise.all(waiting)
    expect(stored(cluster, bad)).toEqual(['first', 'bad 0', ...[1, 3, 5, 7, 9].map(i => `bad ${i}`)])
    expect(stored(cluster, good)).toEqual(['first', ...Array.from({ length: 10 }, (_, i) => `good ${i}`)])
    expect(cluster.producerIds).toBe(1)
  })
}

test('many slow partitions hold up neither each other nor fast ones', async () => {
  const { cluster, appends } = open()
  await appends.add(all.map(p => to(p, 'first')))
  const stalls = all.slice(0, 6).map(p => {
    const stall = Promise.withResolvers<void>()
    cluster.at(p).stall = stall.promise
    return { p, stall, done: appends.add([to(p, 'slow')]) }
  })
  for (let i = 0; i < 20; i++) expect(await timed(appends.add([to(all[7]!, `${i}`)]))).toBeLessThan(1_000)
  for (const { stall, done, p } of stalls.toReversed()) {
    stall.resolve()
    cluster.at(p).stall = null
    expect(await timed(done)).toBeLessThan(1_000)
  }
  for (const { p } of stalls) expect(stored(cluster, p)).toEqual(['first', 'slow'])
})

test('an append over several partitions fails with the error of one, and its records in the others are stored', async () => {
  const { cluster, appends } = open()
  cluster.at(bad).code = () => 29
  const both = appends.add([to(good, 'a'), to(bad, 'b')])
  const one = appends.add([to(good, 'c')])
  await expect(both).rejects.toMatchObject({ kafka: 29 })
  expect(await one).toEqual([{ ...good, offset: 1 }])
  expect(stored(cluster, good)).toEqual(['a', 'c'])
})

test('a partition that accepts nothing fails its appends in time, and later ones go under another producer id', async () => {
  const { cluster, appends } = open(500)
  await appends.add([to(bad, 'first'), to(good, 'first')])
  const stall = Promise.withResolvers<void>()
  cluster.at(bad).stall = stall.promise
  const goods: Promise<unknown>[] = []
  const failing = timed(expect(appends.add([to(bad, 'may be there')])).rejects.toMatchObject({ code: 'unavailable' }))
  for (let i = 0; i < 5; i++) goods.push(appends.add([to(good, `${i}`)]))
  expect(await failing).toBeLessThan(4_000)
  await Promise.all(goods)
  cluster.at(bad).stall = null
  stall.resolve()
  await appends.add([to(bad, 'later'), to(good, 'later')])
  expect(stored(cluster, bad)).toEqual(['first', 'may be there', 'later'])
  expect(cluster.producerIds).toBe(2)
  const numbers = (p: TopicPartition) => cluster.at(p).batches.map(b => b.producer)
  expect([new Set(numbers(bad)).size, new Set(numbers(good)).size]).toEqual([2, 1])
})

test('a broker that has forgotten the sequence of a partition accepts what follows under another producer id, once', async () => {
  const { cluster, appends } = open()
  await appends.add([to(bad, 'first'), to(good, 'first')])
  const { batches } = cluster.at(bad)
  let forgotten = true
  cluster.at(bad).code = () => {
    const code = forgotten ? 45 : 0
    forgotten = false
    return code
  }
  await Promise.all([appends.add([to(bad, 'second')]), appends.add([to(good, 'second')])])
  expect([stored(cluster, bad), stored(cluster, good)]).toEqual([
    ['first', 'second'],
    ['first', 'second'],
  ])
  expect(batches.map(b => b.producer)).toEqual(['1:0', '2:0'])
})

test('an append that is refused does not fail others of the same batch', async () => {
  const { cluster, appends } = open()
  await appends.add([to(good, 'first')])
  const refused = Buffer.from('refuse me')
  cluster.at(good).refuses = batch => (batch.includes(refused) ? 87 : 0)
  const outcomes = ['a', 'refuse me', 'b', 'c'].map(text => codeOf(appends.add([to(good, text)])))
  expect(await Promise.all(outcomes)).toEqual(['no error', 'unavailable', 'no error', 'no error'])
  expect(stored(cluster, good)).toEqual(['first', 'a', 'b', 'c'])
})

test('an append with a record that is too large is not sent at all; one larger than a batch arrives in order', async () => {
  const { cluster, appends } = open()
  const large = { ...good, key: null, value: Buffer.alloc(MAX_RECORD_BYTES + 1) }
  expect(await codeOf(appends.add([to(bad, 'x'), large]))).toBe('too_large')
  expect(produces(cluster)).toEqual([])
  const texts = Array.from({ length: 40 }, (_, i) => `${i}:`.padEnd(60_000, '.'))
  const positions = await appends.add(texts.map(text => to(good, text)))
  expect(positions.map(p => p.offset)).toEqual(texts.map((_, i) => i))
  expect(stored(cluster, good)).toEqual(texts)
  expect(cluster.at(good).produced.length).toBeGreaterThan(2)
})

test('closing ends waiting appends, at once when nothing is in flight', async () => {
  const { cluster, appends } = open()
  await appends.add([to(good, 'first')])
  cluster.at(bad).leader = null
  const waiting = [appends.add([to(bad, 'waits')]), appends.add([to(bad, 'waits too')])].map(codeOf)
  const written = appends.add([to(good, 'on its way')])
  await written
  expect(await timed(appends.close())).toBeLessThan(1_000)
  expect(await Promise.all(waiting)).toEqual(['closed', 'closed'])
  expect(await codeOf(appends.add([to(good, 'late')]))).toBe('closed')
  expect(stored(cluster, good)).toEqual(['first', 'on its way'])
})

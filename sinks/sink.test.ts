import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { alerts, syncLog } from '../topics/catalog.ts'
import { type Position, partitionKey, type TopicPartition } from '../topics/log.ts'
import { type Sink, type SinkOptions, startSink } from './sink.ts'
import { type RecordBatch, OwnershipLost, type Store } from './store.ts'
import { TestLog } from './testing/log.ts'

const AT = Date.UTC(2026, 4, 1)
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

/** A store in memory, with what may go wrong. */
class MemoryStore implements Store {
  readonly name = 'memory'
  readonly topics = [syncLog]
  readonly positions = new Map<string, number>()
  readonly until = new Map<string, number>()
  readonly written: { at: TopicPartition; from: number; next: number; ids: string[] }[] = []
  down = false
  largest = Number.POSITIVE_INFINITY
  poison = ''
  claims = 0

  wants(_topic: string, type: string): boolean {
    return type === 'SyncRun'
  }

  async claim(partitions: readonly TopicPartition[]) {
    if (this.down) throw new Error('the store is down')
    this.claims++
    return partitions.map(p => {
      const until = this.until.get(partitionKey(p))
      return { position: this.positions.get(partitionKey(p)) ?? 0, ...(until === undefined ? {} : { until }) }
    })
  }

  async write(batches: readonly RecordBatch[]) {
    await sleep(1)
    if (this.down) throw new Error('the store is down')
    const lost = batches.filter(b => (this.positions.get(partitionKey(b.partition)) ?? 0) !== b.from)
    if (lost.length > 0) throw new OwnershipLost(lost.map(b => b.partition))
    const ids = (b: RecordBatch) => b.records.map(r => (r.decoded as { value: { id: string } }).value.id)
    if (batches.some(b => ids(b).includes(this.poison))) throw new RangeError('no place for it')
    for (const b of batches) {
      this.positions.set(partitionKey(b.partition), b.next)
      this.until.delete(partitionKey(b.partition))
      this.written.push({ at: b.partition, from: b.from, next: b.next, ids: ids(b) })
    }
    return { stale: 0 }
  }

  cut(records: readonly unknown[]): number {
    return Math.min(records.length, this.largest)
  }

  refuses(error: unknown): boolean {
    return error instanceof RangeError
  }

  get ids(): string[] {
    return this.written.flatMap(w => w.ids)
  }
}

let log: TestLog
let store: MemoryStore
const sinks: Sink[] = []

beforeEach(async () => {
  log = await TestLog.open()
  store = new MemoryStore()
})
afterEach(async () => {
  await Promise.all(sinks.splice(0).map(sink => sink.close()))
})

async function start(options: Partial<SinkOptions> = {}): Promise<Sink> {
  const sink = await startSink({ log, codec: log.codec, store, logger: quiet, ...options })
  sinks.push(sink)
  return sink
}

const run = (id: string) => ({ id, source: 'sheets:main', startedAt: AT, endedAt: AT, outcome: 'OK' as const })
const put = (id: string, key = 'one'): Promise<Position> => log.put('sync.log', key, 'SyncRun', run(id))
const names = (n: number, from = 0) => Array.from({ length: n }, (_, i) => `r${from + i}`)
const written = (ids: string[]) => vi.waitFor(() => expect([...store.ids].sort()).toEqual([...ids].sort()), { interval: 2 })

test('writes what was there and what comes, each record once, in the order of its partition', async () => {
  for (const id of names(50)) await put(id)
  await start()
  await written(names(50))
  for (const id of names(50, 50)) await put(id)
  await written(names(100))
  expect(store.ids).toEqual(names(100))
})

test('takes what comes while it writes as one batch', async () => {
  await start()
  await Promise.all(names(200).map(id => put(id)))
  await written(names(200))
  expect(store.written.length).toBeLessThan(20)
})

test('lets records wait for a batch to fill', async () => {
  await start({ lingerMs: 100 })
  await put('r0')
  await sleep(20)
  await put('r1')
  await written(['r0', 'r1'])
  expect(store.written).toHaveLength(1)
})

test('goes on with the same batch when the store is back, and says meanwhile what is wrong', async () => {
  const sink = await start()
  await vi.waitFor(() => expect(sink.status().status).toBe('up'))
  store.down = true
  await put('r0')
  await vi.waitFor(() => expect(sink.status()).toMatchObject({ status: 'down', detail: 'the store is down' }))
  store.down = false
  await written(['r0'])
  await vi.waitFor(() => expect(sink.status().status).toBe('up'))
})

test('a batch that was begun is repeated with the same end, however much there is by now', async () => {
  const [{ partition }] = [await put('r0')]
  for (const id of names(9, 1)) await put(id)
  const at = { topic: 'sync.log', partition }
  store.positions.set(partitionKey(at), 2)
  store.until.set(partitionKey(at), 5)
  await start()
  await vi.waitFor(() => expect(store.ids).toEqual(names(8, 2)), { interval: 2 })
  expect(store.written[0]).toEqual({ at, from: 2, next: 5, ids: names(3, 2) })
})

test('a batch that was begun waits for records that are not there yet', async () => {
  const [{ partition }] = [await put('r0')]
  const at = { topic: 'sync.log', partition }
  for (const id of names(3, 1)) await put(id)
  store.until.set(partitionKey(at), 4)
  await start()
  await vi.waitFor(() => expect(store.ids).toEqual(names(4)), { interval: 2 })
  expect(store.written[0]).toMatchObject({ from: 0, next: 4 })
})

test('batches end where the store cuts them', async () => {
  store.largest = 3
  for (const id of names(10)) await put(id)
  await start()
  await vi.waitFor(() => expect(store.ids).toEqual(names(10)), { interval: 2 })
  expect(store.written.map(w => w.ids.length)).toEqual([3, 3, 3, 1])
})

test('a record that the store refuses is left out, alone, and counted once', async () => {
  store.poison = 'r6'
  const sink = await start()
  await Promise.all(names(20).map(id => put(id)))
  await vi.waitFor(() => expect(store.ids).toEqual(names(20).filter(id => id !== 'r6')), { interval: 2 })
  expect(sink.status()).toMatchObject({ status: 'up', skipped: 1 })
})

test('whoever finds a position moved writes nothing, and goes on from where the other came to', async () => {
  await start()
  const { partition } = await put('r0')
  await written(['r0'])
  store.positions.set(partitionKey({ topic: 'sync.log', partition }), 3)
  for (const id of names(5, 1)) await put(id)
  await vi.waitFor(() => expect(store.ids).toEqual(['r0', 'r3', 'r4', 'r5']), { timeout: 5_000, interval: 2 })
})

test('reads no further ahead than it may while the store is down', async () => {
  const sink = await start()
  await vi.waitFor(() => expect(sink.status().status).toBe('up'))
  store.down = true
  const reason = 'x'.repeat(100_000)
  const read = vi.spyOn(log, 'read')
  for (const id of names(100)) await log.put('sync.log', 'one', 'SyncRun', { ...run(id), reason })
  await sleep(50)
  const before = read.mock.calls.length
  for (const id of names(100, 100)) await log.put('sync.log', 'one', 'SyncRun', { ...run(id), reason })
  await sleep(50)
  expect(read.mock.calls.length - before).toBeLessThan(3)
  store.down = false
  await written(names(200))
})

test('a revocation waits for the write that is under way, and nothing is written after it', async () => {
  let revoke: () => Promise<void> = async () => {}
  const join = log.join.bind(log)
  log.join = async options => {
    revoke = options.revoked
    return join(options)
  }
  await start()
  for (const id of names(10)) await put(id)
  await vi.waitFor(() => expect(store.written.length).toBeGreaterThan(0), { interval: 1 })
  await revoke()
  const then = store.written.length
  for (const id of names(10, 10)) await put(id)
  await sleep(30)
  expect(store.written).toHaveLength(then)
})

test('shows the positions that it has, and leaves other topics alone', async () => {
  const sink = await start()
  await put('r0')
  await log.put(alerts.name, 'v', 'Alert', { id: 'a', department: 'GENERAL', priority: 'INFO', kind: 'x', text: '', at: AT })
  await written(['r0'])
  await vi.waitFor(() => expect(sink.positions().reduce((sum, { offset }) => sum + offset, 0)).toBe(1))
  expect(new Set(sink.positions().map(p => p.topic))).toEqual(new Set(['sync.log']))
})

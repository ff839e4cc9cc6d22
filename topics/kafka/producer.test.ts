/** Transactions against a coordinator in memory, in both ways that they go; against a real one: `transactions.test.ts`. */
import { describe, expect, test } from 'vitest'
import { codeOf } from '../../test/conformance/harness.ts'
import { ErrorCode } from './errors.ts'
import { decodeBatches } from './testing/decode-batches.ts'
import { FakeCluster } from './testing/fake-cluster.ts'
import { Outbox } from './outbox.ts'
import { Producer, type ProducerSettings } from './producer.ts'

const INBOX = { topic: 'venue.inbox', partition: 0 }
const [A, B] = [0, 1].map(partition => ({ topic: 'venue.events', partition })) as [typeof INBOX, typeof INBOX]
const MEMBER = { group: 'processors', member: 'member', generation: 1 }

async function open(version: 1 | 2 | null, { transactionTimeout = 10_000, cluster = new FakeCluster([INBOX, A, B]) } = {}) {
  const client = cluster as unknown as ProducerSettings['client']
  const producer = await Producer.open({ client, transactionalId: 'worker', transactionTimeout, compression: 'none', version })
  const { transactions } = cluster
  transactions.asked.length = 0
  const commit = (offset: number, texts: readonly string[] = [], { member = MEMBER, to = A } = {}) => {
    const outbox = new Outbox(() => 2)
    for (const text of texts) outbox.add({ ...to, key: 'k', value: Buffer.from(text) })
    return producer.commit(outbox, [{ ...INBOX, offset }], member)
  }
  return { cluster, transactions, producer, commit }
}

/** The records in a partition, and under which epoch and number each batch came. */
function stored(cluster: FakeCluster, partition = A) {
  const { batches } = cluster.at(partition)
  const { records } = decodeBatches(partition, Buffer.concat(batches.map(b => b.bytes)), 0, [])
  return { texts: records.map(r => `${r.value}`), batches: batches.map(b => `${b.producer}:${b.sequence}`) }
}

const of = (offset: number, wrote: readonly string[] = ['venue.events/0']) => ({
  commit: true,
  wrote,
  offsets: { 'venue.inbox/0': offset },
})

test.each([
  [null, 1],
  [0, 1],
  [1, 1],
  [2, 2],
  [3, 2],
] as const)('a cluster whose transaction.version is %j uses version %i of transactions', async (finalized, version) => {
  const cluster = new FakeCluster([INBOX, A, B])
  cluster.transactions.version = finalized
  const { producer, transactions, commit } = await open(null, { cluster })
  expect(producer.version).toBe(version)
  await commit(1, ['a'])
  expect(transactions.asked).toContain(version === 2 ? 'EndTxn 5' : 'EndTxn 1')
})

test('in version 2 a transaction is three requests, the offsets first, and each has its own epoch and sequence', async () => {
  const { cluster, transactions, commit } = await open(2)
  await commit(1, ['a', 'b'])
  expect(transactions.asked).toEqual(['TxnOffsetCommit 5', 'Produce 12', 'EndTxn 5'])
  await commit(2, ['c'])
  await commit(3)
  await commit(4, ['d'])
  expect(transactions.ended).toEqual([of(1), of(2), of(3, []), of(4)])
  expect(stored(cluster)).toEqual({ texts: ['a', 'b', 'c', 'd'], batches: ['1:0:0', '1:1:0', '1:3:0'] })
})

test('in version 1 everything is registered with the coordinator beforehand, and sequences continue', async () => {
  const { cluster, transactions, commit } = await open(1)
  await commit(1, ['a', 'b'])
  expect(transactions.asked[0]).toBe('AddPartitionsToTxn')
  expect(transactions.asked.toSorted()).toEqual([
    'AddOffsetsToTxn',
    'AddPartitionsToTxn',
    'EndTxn 1',
    'Produce 7',
    'TxnOffsetCommit 3',
  ])
  await commit(2, ['c'])
  expect(transactions.ended).toEqual([of(1), of(2)])
  expect(stored(cluster)).toEqual({ texts: ['a', 'b', 'c'], batches: ['1:0:0', '1:0:2'] })
})

test('while the markers of the last transaction are being written, no record of the next is sent', async () => {
  const { cluster, transactions, commit } = await open(2)
  transactions.marking = 3
  await commit(1, ['a'])
  transactions.asked.length = 0
  await commit(2, ['b'])
  expect(transactions.asked).toEqual([...Array(4).fill('TxnOffsetCommit 5'), 'Produce 12', 'EndTxn 5'])
  expect(stored(cluster).texts).toEqual(['a', 'b'])
})

test('a batch that arrives while another leader adds its partitions is sent again, under its sequence number', async () => {
  const { cluster, transactions, commit } = await open(2)
  const answers = [ErrorCode.CONCURRENT_TRANSACTIONS, 0]
  cluster.at(A).code = () => answers.shift() ?? 0
  await commit(1, ['a'])
  expect(transactions.asked).toEqual(['TxnOffsetCommit 5', 'Produce 12', 'Produce 12', 'EndTxn 5'])
  expect(stored(cluster)).toEqual({ texts: ['a'], batches: ['1:0:0'] })
})

test('epochs run out: the next transaction has another producer id', async () => {
  const { cluster, transactions, commit } = await open(2)
  transactions.epoch = 32_765
  const { commit: another } = await open(2, { cluster })
  expect(await codeOf(commit(1, ['of the life before']))).toBe('fenced')
  await another(2, ['a'])
  await another(3, ['b'])
  expect(stored(cluster).batches).toEqual(['1:32766:0', '2:0:0'])
  expect(transactions.ended).toEqual([of(2), of(3)])
})

describe.each([1, 2] as const)('version %i', version => {
  for (const request of ['TxnOffsetCommit', 'Produce', 'EndTxn']) {
    test(`an answer to ${request} that gets lost leaves the transaction committed, once, and the next one works`, async () => {
      const { cluster, transactions, commit } = await open(version)
      transactions.marking = 2
      await commit(1, ['a'])
      transactions.losing.set(request, 2)
      expect(await commit(2, ['b'])).toEqual(new Map([['venue.events/0', 1]]))
      expect(transactions.losing.get(request)).toBe(0)
      await commit(3, ['c'])
      expect(transactions.ended).toEqual([of(1), of(2), of(3)])
      expect(stored(cluster).texts).toEqual(['a', 'b', 'c'])
    })
  }

  test('a commit that is never answered is unknown: nothing is aborted, and the producer is broken', async () => {
    const { transactions, producer, commit } = await open(version, { transactionTimeout: 60 })
    transactions.losing.set('EndTxn', Number.POSITIVE_INFINITY)
    expect(await codeOf(commit(1, ['a']))).toBe('unknown')
    expect(producer.broken).toBe(true)
    expect(transactions.ended).toEqual([of(1)])
  })

  test('a transaction that the coordinator has aborted after its timeout was certainly not committed', async () => {
    const { cluster, transactions, producer, commit } = await open(version)
    const stall = Promise.withResolvers<void>()
    cluster.at(A).stall = stall.promise
    const committing = codeOf(commit(1, ['a']))
    await expect.poll(() => transactions.asked).toContain(version === 2 ? 'Produce 12' : 'Produce 7')
    transactions.timeOut()
    stall.resolve()
    expect(await committing).toBe('fenced')
    expect(producer.broken).toBe(true)
    expect(transactions.ended.map(e => e.commit)).toEqual([false])
  })

  test.each([
    ['of another member', { ...MEMBER, member: 'stranger' }],
    ['of an older generation', { ...MEMBER, generation: 0 }],
  ])('one %s is refused and aborted', async (_, member) => {
    const { transactions, producer, commit } = await open(version)
    expect(await codeOf(commit(1, ['a'], { member }))).toBe('fenced')
    expect(producer.broken).toBe(true)
    expect(transactions.ended.map(e => [e.commit, e.offsets])).toEqual([[false, {}]])
  })

  test('a transaction with a refused batch is aborted with its offsets', async () => {
    const { cluster, transactions, producer, commit } = await open(version)
    await commit(1, ['a'])
    const [tooLarge, corrupt, abortable] = [10, 2, ErrorCode.TRANSACTION_ABORTABLE]
    for (const code of [tooLarge, corrupt, abortable]) {
      cluster.at(A).refuses = () => code
      const { commit: next } = await open(version, { cluster })
      expect(await codeOf(next(2, ['b']))).toBe(code === tooLarge ? 'too_large' : 'unavailable')
    }
    expect(producer.broken).toBe(false)
    expect(transactions.ended.map(e => [e.commit, e.offsets['venue.inbox/0']])).toEqual([
      [true, 1],
      [false, 2],
      [false, 2],
      [false, 2],
    ])
    expect(stored(cluster).texts).toEqual(['a'])
  })
})

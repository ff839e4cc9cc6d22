import { afterAll, beforeAll, expect, it, vi } from 'vitest'
import { append, codeOf, join, newGroup, newTopic, readAll, texts } from '../../test/conformance/harness.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import type { Topic } from '../catalog.ts'
import type { Append } from '../log.ts'
import { encodeBatch } from './batch.ts'
import { check, KafkaClient } from './client.ts'
import type { Transactional } from './hardening.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'
import { Outbox } from './outbox.ts'
import { Producer } from './producer.ts'
import { produce } from './protocol.ts'
import { txnOffsetCommit } from './transaction-protocol.ts'

vi.setConfig({ testTimeout: 30_000 })

await describeWithStack('a transaction on a real broker', ({ KAFKA_BROKERS }) => {
  const kafka = { brokers: KAFKA_BROKERS?.split(',') ?? [] }
  const inbox = newTopic({ partitions: 1 })
  const at = { topic: inbox.name, partition: 0 }
  const outboxes = Array.from({ length: 20 }, () => newTopic({ partitions: 2 }))
  let log: KafkaLog
  let client: KafkaClient

  beforeAll(async () => {
    log = await openKafkaLog({ kafka, topics: [inbox, ...outboxes], transactionTimeout: 60_000, rebalanceTimeout: 3_000 })
    client = new KafkaClient(kafka)
    await client.use([inbox.name, ...outboxes.map(t => t.name)])
  })
  afterAll(async () => {
    await client?.close()
    await log?.close()
  })

  /** A worker of a group of its own, with a topic of its own to write to. */
  async function newWorker() {
    const group = newGroup()
    const outputs = outboxes.pop() as Topic
    const { membership, assignment } = await join(log, group, inbox)
    const commit = (text: string, offset: number, as = assignment) => {
      const transaction = membership.begin(as)
      transaction.append(append(outputs, 'k', text, { partition: 0 }))
      transaction.offsets([{ ...at, offset }])
      return transaction.commit()
    }
    const seen = async () => ({
      outputs: texts(await readAll(log, outputs)),
      offset: (await log.groupOffsets(group))[0]?.offset,
    })
    return { group, outputs, membership, assignment, commit, seen, id: `${group}.worker-1` }
  }

  /** A producer of this transactional id, as a later life of the worker opens it. */
  function anotherLife(transactionalId: string): Promise<Producer> {
    return Producer.open({ client, transactionalId, transactionTimeout: 60_000, compression: 'none', version: null })
  }

  function outboxOf(...records: Append[]): Outbox {
    const outbox = new Outbox(() => 2)
    for (const record of records) outbox.add(record)
    return outbox
  }

  /** A transaction of this id that has its records sent and its offset committed, but has not ended. */
  async function openTransaction(
    transactionalId: string,
    { group, records = [], offset, timeout }: { group?: string; records?: Append[]; offset?: number; timeout: number },
  ): Promise<{ end(commit: boolean): Promise<void> }> {
    const broker = await client.coordinator('transaction', transactionalId)
    const { producerId, producerEpoch } = await broker.initProducerId({ transactionalId, transactionTimeout: timeout })
    const producer: Transactional = { transactionalId, producerId: BigInt(producerId), producerEpoch }
    const [first] = records
    if (first !== undefined) {
      const { topic, partition = 0 } = first
      await broker.addPartitionsToTxn({ ...producer, topics: [{ topic, partitions: [partition] }] })
      const batch = encodeBatch(records, Date.now(), { ...producer, transactional: true }, 0, 'none')
      const leader = await client.broker(client.leader({ topic, partition }) as number)
      for (const { errorCode } of await client.send(leader, produce('', transactionalId, [{ topic, partition, batch }], 5_000))) {
        check(errorCode)
      }
    }
    if (group !== undefined && offset !== undefined) {
      await broker.addOffsetsToTxn({ ...producer, groupId: group })
      const coordinator = await client.coordinator('group', group)
      const nobody = { group, member: '', generation: -1 }
      for (const code of await client.send(coordinator, txnOffsetCommit('', producer, nobody, [{ ...at, offset }]))) check(code)
    }
    return { end: async commit => void (await broker.endTxn({ ...producer, transactionResult: commit })) }
  }

  it('is taken from a member in its generation; refused in an older one, and from a stranger, and the log goes on', async () => {
    const { membership, assignment, commit, seen } = await newWorker()
    await commit('right', 1)
    for (const wrong of [{ generation: assignment.generation - 1 }, { generation: 99 }, { member: 'nobody' }]) {
      expect(await codeOf(commit('wrong', 7, { ...assignment, ...wrong })), JSON.stringify(wrong)).toBe('fenced')
      expect(await seen()).toEqual({ outputs: ['right'], offset: 1 })
      expect(await codeOf(commit('too early', 7))).toBe('unavailable')
      await membership.fence()
    }
    await commit('right again', 2)
    expect(await seen()).toEqual({ outputs: ['right', 'right again'], offset: 2 })
    await membership.leave()
  })

  it('without a generation would be taken from anybody: it is the generation that refuses', async () => {
    const { group, outputs, membership, seen } = await newWorker()
    const stranger = await anotherLife(`${group}.stranger`)
    const outbox = outboxOf(append(outputs, 'k', 'of a stranger', { partition: 0 }))
    await stranger.commit(outbox, [{ ...at, offset: 9 }], { group, member: '', generation: -1 })
    expect(await seen()).toEqual({ outputs: ['of a stranger'], offset: 9 })
    await membership.leave()
  })

  it('of a zombie is refused once a later life has been opened', async () => {
    const { group, outputs, membership, assignment, commit, seen, id } = await newWorker()
    const later = await anotherLife(id)
    expect(await codeOf(commit('of a zombie', 7))).toBe('fenced')
    const { member, generation } = assignment
    const outbox = outboxOf(append(outputs, 'k', 'of the later life', { partition: 0 }))
    await later.commit(outbox, [{ ...at, offset: 1 }], { group, member, generation })
    expect(await seen()).toEqual({ outputs: ['of the later life'], offset: 1 })
    await membership.leave()
  })

  for (const [how, offset] of [
    ['committed', 5],
    ['aborted', 3],
    ['timed out', 3],
  ] as const) {
    it(`keeps its offsets from being read while it is open, until it is ${how}`, async () => {
      const { group, membership, commit } = await newWorker()
      await commit('before', 3)
      // The coordinator of the group hears of the end of a transaction a moment after whoever ended it.
      await expect.poll(() => log.groupOffsets(group)).toEqual([{ ...at, offset: 3 }])
      const timeout = how === 'timed out' ? 1_500 : 60_000
      const open = await openTransaction(`${group}.other`, { group, offset: 5, timeout })
      let given = false
      const committed = membership.committed([at]).finally(() => {
        given = true
      })
      // Asked in the other way the coordinator answers at once, more than once.
      for (let i = 0; i < 10; i++) expect(await log.groupOffsets(group)).toEqual([{ ...at, offset: 3 }])
      expect(given).toBe(false)
      if (how !== 'timed out') await open.end(how === 'committed')
      expect(await committed).toEqual([{ ...at, offset }])
      await membership.leave()
    })
  }

  it('that was abandoned before its end is ended by the next fence, and its records never show', async () => {
    const { group, outputs, membership, commit, seen, id } = await newWorker()
    const records = [append(outputs, 'k', 'abandoned', { partition: 0 })]
    await openTransaction(id, { group, records, offset: 7, timeout: 60_000 })
    const [end] = await log.ends(outputs.name)
    expect(end).toMatchObject({ partition: 0, low: 0, high: 1 })
    await membership.fence()
    expect(await membership.committed([at])).toEqual([])
    await commit('after', 1)
    expect(await seen()).toEqual({ outputs: ['after'], offset: 1 })
    await membership.leave()
  })

  it('follows upon another at once, fifty times', async () => {
    const { membership, commit, seen } = await newWorker()
    for (let i = 1; i <= 50; i++) await commit(`${i}`, i)
    expect(await seen()).toEqual({ outputs: Array.from({ length: 50 }, (_, i) => `${i + 1}`), offset: 50 })
    await membership.leave()
  })

  it('of more than a batch holds arrives in order', async () => {
    const { outputs, membership, assignment, seen } = await newWorker()
    const transaction = membership.begin(assignment)
    const names = Array.from({ length: 60 }, (_, i) => `${i}:`)
    for (const name of names) transaction.append(append(outputs, 'k', name.padEnd(60_000, '.'), { partition: 0 }))
    transaction.append(append(outputs, 'k', 'small', { partition: 1 }))
    transaction.offsets([{ ...at, offset: 1 }])
    const last = await transaction.commit()
    const { outputs: found } = await seen()
    expect(found.map(text => text?.replaceAll('.', ''))).toEqual([...names, 'small'])
    expect([...last.values()]).toEqual([59, 0])
    await membership.leave()
  })
})

import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { append, codeOf, join, newGroup, newTopic, readAll, texts } from '../../test/conformance/harness.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import type { Topic } from '../catalog.ts'
import type { Append } from '../log.ts'
import { encodeBatch } from './batch.ts'
import { KafkaClient } from './client.ts'
import { ErrorCode, throwIfError, toLogError } from './errors.ts'
import type { Transactional } from './hardening.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'
import { Outbox } from './outbox.ts'
import { Producer } from './producer.ts'
import { produce } from './protocol.ts'
import { endTxn, txnOffsetCommit } from './transaction-protocol.ts'

vi.setConfig({ testTimeout: 30_000 })

await describeWithStack('on a real broker', ({ KAFKA_BROKERS }) => {
  describe.each([1, 2] as const)('a transaction, version %i', version => {
    const kafka = { brokers: KAFKA_BROKERS?.split(',') ?? [] }
    const inbox = newTopic({ partitions: 1 })
    const at = { topic: inbox.name, partition: 0 }
    const outboxes = Array.from({ length: 20 }, () => newTopic({ partitions: 2 }))
    let log: KafkaLog
    let client: KafkaClient

    beforeAll(async () => {
      log = await openKafkaLog({
        kafka,
        topics: [inbox, ...outboxes],
        transactionTimeout: 60_000,
        rebalanceTimeout: 3_000,
        transactionVersion: version,
      })
      client = new KafkaClient(kafka)
      await client.track([inbox.name, ...outboxes.map(t => t.name)])
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
      return Producer.open({ client, transactionalId, transactionTimeout: 60_000, compression: 'none', version })
    }

    function outboxOf(...records: Append[]): Outbox {
      const outbox = new Outbox(() => 2)
      for (const record of records) outbox.add(record)
      return outbox
    }

    /** Sends records, the first of which says where to; the codes that come of it. */
    async function put(producer: Transactional, { topic, partition = 0 }: Append, records: readonly Append[], sequence = 0) {
      const batch = encodeBatch(records, Date.now(), { ...producer, transactional: true }, sequence, 'none')
      const leader = await client.broker(client.leader({ topic, partition }) as number)
      const call = produce('', producer.transactionalId, [{ topic, partition, batch }], 5_000, version === 2 ? 12 : 7)
      return (await client.send(leader, call)).map(({ errorCode }) => errorCode)
    }

    /** A transaction of this id that has its records sent and its offset committed, but has not ended. */
    async function openTransaction(
      transactionalId: string,
      { group, records = [], offset, timeout }: { group?: string; records?: Append[]; offset?: number; timeout: number },
    ): Promise<{ producer: Transactional; end(commit: boolean): Promise<void> }> {
      const broker = await client.coordinator('transaction', transactionalId)
      const { producerId, producerEpoch } = await broker.initProducerId({ transactionalId, transactionTimeout: timeout })
      const producer: Transactional = { transactionalId, producerId: BigInt(producerId), producerEpoch }
      const [first] = records
      const writes = async () => {
        if (first === undefined) return
        const { topic, partition = 0 } = first
        if (version === 1) await broker.addPartitionsToTxn({ ...producer, topics: [{ topic, partitions: [partition] }] })
        for (const code of await put(producer, first, records)) throwIfError(code)
      }
      const commits = async () => {
        if (group === undefined || offset === undefined) return
        if (version === 1) await broker.addOffsetsToTxn({ ...producer, groupId: group })
        const coordinator = await client.coordinator('group', group)
        const nobody = { group, member: '', generation: -1 }
        const call = txnOffsetCommit('', producer, nobody, [{ ...at, offset }], version)
        for (const code of await client.send(coordinator, call)) throwIfError(code)
      }
      await commits()
      await writes()
      const end = async (commit: boolean) => {
        if (version === 1) await broker.endTxn({ ...producer, transactionResult: commit })
        else throwIfError((await client.send(broker, endTxn(producer, commit))).errorCode)
      }
      return { producer, end }
    }

    it('is accepted from a member in its generation; refused in an older one, and from a stranger; the log continues', async () => {
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

    it('without a generation would be accepted from anybody: it is the generation that fences', async () => {
      const { group, outputs, membership, seen } = await newWorker()
      const stranger = await anotherLife(`${group}.stranger`)
      const outbox = outboxOf(append(outputs, 'k', 'of a stranger', { partition: 0 }))
      await stranger.commit(outbox, [{ ...at, offset: 9 }], { group, member: '', generation: -1 })
      expect(await seen()).toEqual({ outputs: ['of a stranger'], offset: 9 })
      await membership.leave()
    })

    it('of a zombie is refused once a later producer has been opened', async () => {
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

    it('that its coordinator has aborted after its timeout is refused: it was certainly not committed', async () => {
      const { group, outputs, membership, seen, id } = await newWorker()
      const records = [append(outputs, 'k', 'too late', { partition: 0 })]
      const open = await openTransaction(id, { group, records, offset: 7, timeout: 1_000 })
      await expect.poll(() => membership.committed([at]), { timeout: 20_000 }).toEqual([])
      const ended = await open.end(true).then(
        () => null,
        (error: unknown) => toLogError(error),
      )
      expect(ended?.code).toBe('fenced')
      expect(await seen()).toEqual({ outputs: [], offset: undefined })
      await membership.leave()
    })

    // Brokers that know no epoch of a transaction take it for a part of the next one.
    it.runIf(version === 2)('is over for what comes late of it, which does not land in the next one', async () => {
      const { group, outputs, membership, commit, seen, id } = await newWorker()
      const record = append(outputs, 'k', 'in time', { partition: 0 })
      const open = await openTransaction(`${id}.other`, { group, records: [record], offset: 1, timeout: 60_000 })
      await open.end(false)
      await expect.poll(() => put(open.producer, record, [record], 1)).toEqual([ErrorCode.INVALID_PRODUCER_EPOCH])
      await commit('after', 2)
      expect(await seen()).toEqual({ outputs: ['after'], offset: 2 })
      await membership.leave()
    })

    it('follows another at once, fifty times, in no more requests than necessary', async () => {
      const { membership, commit, seen } = await newWorker()
      const before = new Map(log.requests())
      for (let i = 1; i <= 50; i++) await commit(`${i}`, i)
      const requests = Object.fromEntries([...log.requests()].map(([kind, n]) => [kind, n - (before.get(kind) ?? 0)]))
      const kinds =
        version === 2 ? ['Produce 12', 'EndTxn 5'] : ['AddOffsetsToTxn 1', 'TxnOffsetCommit 3', 'Produce 7', 'EndTxn 1']
      for (const kind of kinds) expect([kind, requests[kind]]).toEqual([kind, 50])
      if (version === 2) expect(Object.keys(requests).filter(kind => kind.startsWith('Add') && requests[kind] !== 0)).toEqual([])
      expect(await seen()).toEqual({ outputs: Array.from({ length: 50 }, (_, i) => `${i + 1}`), offset: 50 })
      await membership.leave()
    })

    it('larger than a batch arrives in order', async () => {
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
})

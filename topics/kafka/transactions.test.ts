import { randomUUID } from 'node:crypto'
import { afterEach, expect, it } from 'vitest'
import { freePort } from '../../test/stack/server.ts'
import { startBroker } from '../../test/stack/stack.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import { startProxy } from '../../test/torture/proxy.ts'
import { defineTopic, type Topic } from '../catalog.ts'
import type { Assignment, LogRecord, Membership } from '../log.ts'
import { KafkaClient } from './client.ts'
import { Kafka, logLevel } from './hardening.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'
import { Outbox, Producer } from './producer.ts'
import { txnOffsetCommit } from './protocol.ts'

/** Transactions on a real broker: ENGINE 2 to 5 and 7, and what kafkajs gets wrong about them. */
await describeWithStack('transactions on a real broker', ({ KAFKA_BROKERS }) => {
  const brokers = KAFKA_BROKERS.split(',')
  const closers: (() => Promise<unknown>)[] = []
  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
  })
  const topic = (partitions = 1): Topic => defineTopic(`txn.${randomUUID()}`, 'key', [], { partitions })

  async function world(at = brokers, settings: { transactionTimeout?: number; requestTimeout?: number } = {}) {
    const [inbox, outputs] = [topic(), topic()]
    const { requestTimeout = 10_000, transactionTimeout = 10_000 } = settings
    const log = await openKafkaLog({ kafka: { brokers: at, requestTimeout }, topics: [inbox, outputs], transactionTimeout })
    closers.push(() => log.close())
    const member = await joined(log, inbox)
    return { inbox, outputs, log, ...member, position: (offset: number) => ({ topic: inbox.name, partition: 0, offset }) }
  }
  async function joined(log: KafkaLog, inbox: Topic, group = `group-${randomUUID()}`, instance = 'one') {
    const given = Promise.withResolvers<Assignment>()
    const membership = await log.join({ group, instance, topics: [inbox.name], revoked: async () => {}, assigned: given.resolve })
    const assignment = await given.promise
    await membership.fence()
    return { membership, assignment, group }
  }
  const commit = (
    membership: Membership,
    assignment: Assignment,
    outputs: Topic,
    text: string,
    inbox: string,
    offset: number,
  ) => {
    const transaction = membership.begin(assignment)
    transaction.append({ topic: outputs.name, key: 'k', value: Buffer.from(text) })
    transaction.offsets([{ topic: inbox, partition: 0, offset }])
    return transaction.commit()
  }
  async function everything(log: KafkaLog, { name }: Topic): Promise<string[]> {
    const texts: string[] = []
    for (const { partition, low, high } of await log.ends(name)) {
      for (let next = low; next < high; ) {
        const read = await log.read({ topic: name, partition }, next, { wait: 5_000 })
        texts.push(...read.records.map((r: LogRecord) => String(r.value)))
        next = read.next
      }
    }
    return texts
  }

  it('are taken from the present generation only; the same log goes on after a refusal', async () => {
    const { inbox, outputs, log, membership, assignment, position } = await world()
    await commit(membership, assignment, outputs, 'first', inbox.name, 1)
    const strangers = [
      { ...assignment, generation: assignment.generation - 1 },
      { ...assignment, generation: assignment.generation + 1 },
      { ...assignment, member: 'nobody' },
    ]
    for (const stranger of strangers) {
      await expect(commit(membership, stranger, outputs, 'refused', inbox.name, 99)).rejects.toMatchObject({ code: 'fenced' })
      await membership.fence()
    }
    await commit(membership, assignment, outputs, 'second', inbox.name, 2)
    expect(await everything(log, outputs)).toEqual(['first', 'second'])
    expect(await membership.committed([position(0)])).toEqual([position(2)])
  })

  it('would be taken from anybody without member and generation: it is they that refuse a zombie', async () => {
    const { outputs, membership, assignment, position, group } = await world()
    const client = new KafkaClient({ brokers })
    closers.push(() => client.close())
    const zombie = await Producer.open({
      client,
      transactionalId: `z-${randomUUID()}`,
      transactionTimeout: 5_000,
      compression: 'none',
    })
    const outbox = new Outbox(() => 1)
    outbox.add({ topic: outputs.name, key: 'k', value: Buffer.from('of a zombie') })
    // As kafkajs commits them: TxnOffsetCommit without generation and member.
    await zombie.commit(outbox, [position(7)], { group, member: '', generation: -1 })
    expect(await membership.committed([position(0)])).toEqual([position(7)])
    expect(assignment.generation).toBeGreaterThan(0)
  })

  it('of an earlier life are fenced by the next, and what they left open never shows', async () => {
    const { inbox, outputs, log, membership, assignment, group } = await world()
    const earlier = membership.begin(assignment)
    earlier.append({ topic: outputs.name, key: 'k', value: Buffer.from('of the past') })
    earlier.offsets([{ topic: inbox.name, partition: 0, offset: 5 }])
    const client = new KafkaClient({ brokers })
    closers.push(() => client.close())
    await Producer.open({ client, transactionalId: `${group}.one`, transactionTimeout: 5_000, compression: 'none' })
    await expect(earlier.commit()).rejects.toMatchObject({ code: 'fenced' })
    await membership.fence()
    await commit(membership, assignment, outputs, 'of the present', inbox.name, 6)
    expect(await everything(log, outputs)).toEqual(['of the present'])
  })

  it('that hold an offset are waited for by whoever asks for it', async () => {
    const { membership, assignment, position, group } = await world(brokers, { transactionTimeout: 3_000 })
    const client = new KafkaClient({ brokers })
    closers.push(() => client.close())
    const id = `open-${randomUUID()}`
    const broker = await client.coordinator('transaction', id)
    const started = await broker.initProducerId({ transactionalId: id, transactionTimeout: 60_000 })
    const producer = { ...started, producerId: BigInt(started.producerId), transactionalId: id }
    await broker.addOffsetsToTxn({ ...producer, groupId: group })
    await client.send(await client.coordinator('group', group), txnOffsetCommit('', producer, assignment, [position(42)]))
    let known = false
    const asked = membership.committed([position(0)]).then(found => {
      known = true
      return found
    })
    await new Promise(resolve => setTimeout(resolve, 400))
    expect(known).toBe(false)
    await broker.endTxn({ ...producer, transactionResult: true })
    expect(await asked).toEqual([position(42)])
  })

  it('follow each other at once, however many', async () => {
    const { inbox, outputs, log, membership, assignment } = await world()
    for (let n = 0; n < 50; n++) await commit(membership, assignment, outputs, `${n}`, inbox.name, n + 1)
    expect(await everything(log, outputs)).toEqual(Array.from({ length: 50 }, (_, n) => `${n}`))
  })

  it('larger than a record batch may be go in several, in order', async () => {
    const { inbox, outputs, log, membership, assignment } = await world()
    const transaction = membership.begin(assignment)
    const values = Array.from({ length: 12 }, (_, n) => Buffer.alloc(300_000, n))
    for (const value of values) transaction.append({ topic: outputs.name, key: 'k', value })
    transaction.offsets([{ topic: inbox.name, partition: 0, offset: 1 }])
    const ends = await transaction.commit()
    const records: LogRecord[] = []
    for (let next = 0; records.length < values.length; ) {
      const read = await log.read({ topic: outputs.name, partition: 0 }, next, { wait: 5_000 })
      records.push(...read.records)
      next = read.next
    }
    expect(records.map(r => r.value?.[0])).toEqual(values.map((_, n) => n))
    expect(ends.get(`${outputs.name}/0`)).toBe(records.at(-1)!.offset)
  })

  it('are committed once though the answers to Produce and EndTxn are lost', { timeout: 60_000 }, async () => {
    const port = await freePort()
    const proxy = await startProxy(port)
    closers.push(() => proxy.close())
    const { mkdtempSync, rmSync } = await import('node:fs')
    const folder = mkdtempSync(`${process.env.TMPDIR ?? '/tmp'}/broker-`)
    closers.push(async () => rmSync(folder, { recursive: true, force: true }))
    const broker = await startBroker({ folder, proxied: { port, by: proxy.port } })
    closers.push(() => broker.server.kill())
    const { inbox, outputs, log, membership, assignment } = await world([`127.0.0.1:${proxy.port}`], { requestTimeout: 2_000 })
    await commit(membership, assignment, outputs, 'first', inbox.name, 1)
    for (const [n, api] of (['Produce', 'EndTxn', 'AddPartitionsToTxn', 'TxnOffsetCommit'] as const).entries()) {
      proxy.lose(api)
      const lost = proxy.lost
      await commit(membership, assignment, outputs, api, inbox.name, n + 2)
      expect(proxy.lost).toBe(lost + 1)
    }
    expect(await everything(log, outputs)).toEqual(['first', 'Produce', 'EndTxn', 'AddPartitionsToTxn', 'TxnOffsetCommit'])
  })

  /** Several transactional producers of plain kafkajs, each left open or ended as told; the name of each record says what is right. */
  async function aborts(name: string, script: (open: (id: string) => Promise<Scripted>) => Promise<void>) {
    const outputs = topic()
    const log = await openKafkaLog({ kafka: { brokers }, topics: [outputs] })
    closers.push(() => log.close())
    const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 5 } })
    const open = async (id: string): Promise<Scripted> => {
      const producer = kafka.producer({ transactionalId: `${name}-${id}-${randomUUID()}`, maxInFlightRequests: 1 })
      await producer.connect()
      closers.push(() => producer.disconnect())
      let transaction = await producer.transaction()
      let begun = true
      return {
        send: async (value, key = null) => {
          if (!begun) transaction = await producer.transaction()
          begun = true
          await transaction.send({ topic: outputs.name, messages: [{ key, value }] })
        },
        commit: async () => {
          begun = false
          await transaction.commit()
        },
        abort: async () => {
          begun = false
          await transaction.abort()
        },
      }
    }
    await script(open)
    const { membership, assignment } = await joined(log, outputs)
    membership.start({ topic: outputs.name, partition: 0, offset: 0 })
    const kept = (await everything(log, outputs)).sort()
    const polled: string[] = []
    while (polled.length < kept.length)
      polled.push(...(await membership.poll({ max: 100, wait: 5_000 })).map(r => String(r.value)))
    polled.push(...(await membership.poll({ max: 100, wait: 100 })).map(r => String(r.value)))
    expect(assignment.partitions).toHaveLength(1)
    expect(polled.sort()).toEqual(kept)
    return kept
  }

  it('that were aborted never show: of two that overlap, the later aborted first', async () => {
    const kept = await aborts('overlap', async open => {
      const [a, b] = [await open('a'), await open('b')]
      await a.send('aborted a')
      await b.send('aborted b')
      await b.abort()
      await a.send('aborted a too')
      await a.abort()
      await b.send('kept b')
      await b.commit()
    })
    expect(kept).toEqual(['kept b'])
  })

  it('that were aborted never show: several of one producer, one after the other', async () => {
    const kept = await aborts('sequential', async open => {
      const a = await open('a')
      for (let n = 0; n < 3; n++) {
        await a.send(`aborted ${n}`)
        await a.abort()
        await a.send(`kept ${n}`)
        await a.commit()
      }
    })
    expect(kept).toEqual(['kept 0', 'kept 1', 'kept 2'])
  })

  it('that were aborted never show: a key that looks like the marker of an abort', async () => {
    const kept = await aborts('key', async open => {
      const a = await open('a')
      await a.send('aborted', Buffer.alloc(4))
      await a.send('aborted too')
      await a.abort()
    })
    expect(kept).toEqual([])
  })

  it('that were aborted never show: three interleaved', async () => {
    const kept = await aborts('three', async open => {
      const [a, b, c] = [await open('a'), await open('b'), await open('c')]
      for (const one of [a, b, c, a, b, c]) await one.send(one === b ? 'kept b' : 'aborted')
      await c.abort()
      await b.commit()
      await a.abort()
      for (const one of [c, a]) await one.send(one === a ? 'kept a' : 'aborted')
      await a.commit()
      await c.abort()
    })
    expect(kept).toEqual(['kept a', 'kept b', 'kept b'])
  })

  it('of plain kafkajs leak what was aborted, which is why records are read by our own code', async () => {
    const outputs = topic()
    const log = await openKafkaLog({ kafka: { brokers }, topics: [outputs] })
    closers.push(() => log.close())
    const kafka = new Kafka({ brokers, logLevel: logLevel.NOTHING, retry: { initialRetryTime: 5 } })
    const producer = kafka.producer({ transactionalId: `leak-${randomUUID()}`, maxInFlightRequests: 1 })
    await producer.connect()
    closers.push(() => producer.disconnect())
    const aborted = await producer.transaction()
    await aborted.send({ topic: outputs.name, messages: [{ key: Buffer.alloc(4), value: 'a' }, { value: 'aborted' }] })
    await aborted.abort()
    const committed = await producer.transaction()
    await committed.send({ topic: outputs.name, messages: [{ value: 'kept' }] })
    await committed.commit()
    const consumer = kafka.consumer({ groupId: `leak-${randomUUID()}`, maxWaitTimeInMs: 100 })
    await consumer.connect()
    closers.push(() => consumer.disconnect())
    const seen: string[] = []
    await consumer.subscribe({ topic: outputs.name, fromBeginning: true })
    await consumer.run({ eachMessage: async ({ message }) => void seen.push(String(message.value)) })
    await expect.poll(() => seen, { timeout: 10_000 }).toContain('kept')
    expect(seen).toContain('aborted')
    expect(await everything(log, outputs)).toEqual(['kept'])
  })
})

interface Scripted {
  send(value: string, key?: Buffer | null): Promise<void>
  commit(): Promise<void>
  abort(): Promise<void>
}

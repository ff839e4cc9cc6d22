import { afterAll, afterEach, beforeAll, expect, it, vi } from 'vitest'
import { append, join, newGroup, newTopic, texts } from '../../test/conformance/harness.ts'
import { describeWithStack } from '../../test/stack/vitest.ts'
import type { Topic } from '../catalog.ts'
import type { LogRecord, Membership, Polled } from '../log.ts'
import { KafkaClient } from './client.ts'
import { kafkaOf } from './settings.ts'
import { type KafkaLog, openKafkaLog } from './log.ts'
import type { FetchResponse } from './protocol.ts'

vi.setConfig({ testTimeout: 30_000 })

await describeWithStack('what a member polls on a real broker', ({ KAFKA_BROKERS }) => {
  const kafka = { brokers: KAFKA_BROKERS?.split(',') ?? [] }
  const admin = kafkaOf(kafka).admin()
  const logs: KafkaLog[] = []
  beforeAll(() => admin.connect())
  afterAll(() => admin.disconnect())
  afterEach(async () => {
    vi.restoreAllMocks()
    for (const log of logs.splice(0)) await log.close()
  })

  async function open(...topics: Topic[]): Promise<KafkaLog> {
    const log = await openKafkaLog({ kafka, topics, rebalanceTimeout: 3_000 })
    logs.push(log)
    return log
  }

  /** Polls, and checks that the ranges of each partition follow one another. */
  function following(membership: Membership, from = 0) {
    const next = new Map<number, number>()
    const records: LogRecord[] = []
    const errors: Polled[] = []
    const poll = async (max = 1_000, wait = 1_000): Promise<Polled[]> => {
      const polled = await membership.poll({ max, wait })
      for (const range of polled) {
        expect(range.from, `where partition ${range.partition} goes on`).toBe(next.get(range.partition) ?? from)
        expect(range.next).toBeGreaterThanOrEqual(range.from)
        for (const { offset } of range.records) expect(offset >= range.from && offset < range.next).toBe(true)
        if (range.error !== null) {
          expect([range.next, range.records]).toEqual([range.from, []])
          errors.push(range)
        }
        next.set(range.partition, range.next)
        records.push(...range.records)
      }
      return polled
    }
    return { poll, records, errors, next }
  }

  it('are ranges without a gap, over the markers and records of transactions, to the very end', async () => {
    const inbox = newTopic({ partitions: 1 })
    const outputs = newTopic({ partitions: 2 })
    const log = await open(inbox, outputs)
    const writer = await join(log, newGroup(), inbox)
    const commit = async (partition: number, text: string) => {
      const transaction = writer.membership.begin(writer.assignment)
      transaction.append(append(outputs, 'k', text, { partition }))
      transaction.offsets([{ topic: inbox.name, partition: 0, offset: 1 }])
      await transaction.commit()
    }
    for (let i = 0; i < 10; i++) await commit(i % 2, `${i}`)
    const reader = await join(log, newGroup(), outputs)
    reader.start()
    const { poll, records, next } = following(reader.membership)
    while (records.length < 10) await poll(3)
    // The last marker holds nothing for readers: it comes along once nothing else does.
    await expect.poll(async () => (await poll(3, 10)) && [next.get(0), next.get(1)]).toEqual([10, 10])
    expect(texts(records).toSorted()).toEqual(Array.from({ length: 10 }, (_, i) => `${i}`))
    await commit(0, 'more')
    while (records.length < 11) await poll()
    expect(records.at(-1)?.offset).toBe(10)
    await Promise.all([writer, reader].map(m => m.membership.leave()))
  })

  it('is complete after a fetch that failed while records were queued, and other partitions do not notice', async () => {
    const topic = newTopic({ partitions: 2 })
    const log = await open(topic)
    const pad = ''.padEnd(1_000, '.')
    const total = 6_000
    for (let at = 0; at < total; at += 500) {
      const records = [0, 1].flatMap(partition =>
        Array.from({ length: 500 }, (_, i) => append(topic, 'k', `${at + i}${pad}`, { partition })),
      )
      await log.append(records)
    }
    const { membership, start } = await join(log, newGroup(), topic)
    const send = KafkaClient.prototype.send
    let failing = 0
    vi.spyOn(KafkaClient.prototype, 'send').mockImplementation(async function (this: KafkaClient, broker, call) {
      const answer = await send.call(this, broker, call)
      if (call.request.apiKey !== 1 || failing === 0) return answer as never
      const partitions = (answer as FetchResponse).partitions.map(part => {
        if (part.topic !== topic.name || part.partition !== 0 || failing === 0) return part
        failing--
        return { ...part, errorCode: -1, batches: [], bytes: 0 }
      })
      return { ...(answer as FetchResponse), partitions } as never
    })
    start()
    const { poll, records, errors } = following(membership)
    while (records.length < 2_000) await poll(100)
    failing = 3
    while (records.length < 2 * total) await poll(100)
    expect(failing).toBe(0)
    for (const partition of [0, 1]) {
      const own = records.filter(r => r.partition === partition)
      expect(own.map(r => r.offset)).toEqual(Array.from({ length: total }, (_, i) => i))
    }
    expect(errors.every(({ partition, error }) => partition === 0 && error?.code === 'unavailable')).toBe(true)
    await membership.leave()
  })

  it('says where records are gone, at the start and while running, and skips nothing', async () => {
    const topic = newTopic({ partitions: 2 })
    const log = await open(topic)
    const fill = (partition: number, count: number) =>
      log.append(Array.from({ length: count }, (_, i) => append(topic, 'k', `${i}`, { partition })))
    const remove = async (below: number) => {
      // kafkajs looks for the leader in metadata that it does not ask for.
      await admin.fetchTopicOffsets(topic.name)
      await admin.deleteTopicRecords({ topic: topic.name, partitions: [{ partition: 0, offset: `${below}` }] })
    }
    await fill(0, 20)
    await remove(12)
    const { membership } = await join(log, newGroup(), topic)
    membership.start({ topic: topic.name, partition: 0, offset: 5 })
    const first = await membership.poll({ max: 100, wait: 10_000 })
    expect(first).toMatchObject([{ partition: 0, from: 5, next: 5, records: [], error: { code: 'gap' } }])
    expect(first[0]!.error!.message).toMatch(/offset 5 .* starts at 12: 7 offsets are gone/)
    // Another one goes on, and the gap is told again.
    membership.start({ topic: topic.name, partition: 1, offset: 0 })
    await fill(1, 3)
    const seen: Polled[] = []
    while (seen.filter(p => p.error !== null).length < 2 || !seen.some(p => p.records.length > 0)) {
      seen.push(...(await membership.poll({ max: 100, wait: 1_000 })))
    }
    for (const { partition, error, next } of seen) if (partition === 0) expect([error?.code, next]).toEqual(['gap', 5])
    // Once a person has decided, it begins where there is something.
    membership.start({ topic: topic.name, partition: 0, offset: 12 })
    await expect.poll(async () => (await membership.poll({ max: 100, wait: 1_000 })).flatMap(p => p.records)).toHaveLength(8)

    await fill(0, 5)
    await expect.poll(async () => (await membership.poll({ max: 100, wait: 1_000 })).flatMap(p => p.records)).toHaveLength(5)
    membership.stop({ topic: topic.name, partition: 0 })
    await fill(0, 5)
    await remove(28)
    membership.start({ topic: topic.name, partition: 0, offset: 25 })
    expect(await membership.poll({ max: 100, wait: 10_000 })).toMatchObject([{ from: 25, next: 25, error: { code: 'gap' } }])
    await membership.leave()
  })

  it('reports a position beyond the end, and others continue', async () => {
    const topic = newTopic({ partitions: 2 })
    const log = await open(topic)
    await log.append([append(topic, 'k', 'one', { partition: 0 }), append(topic, 'k', 'other', { partition: 1 })])
    const { membership } = await join(log, newGroup(), topic)
    membership.start({ topic: topic.name, partition: 0, offset: 50 })
    membership.start({ topic: topic.name, partition: 1, offset: 0 })
    const polled = await membership.poll({ max: 100, wait: 3_000 })
    expect(polled).toMatchObject([{ partition: 1, error: null, records: [{ offset: 0 }] }])
    const [gap] = await membership.poll({ max: 100, wait: 10_000 })
    expect(gap).toMatchObject({ partition: 0, from: 50, next: 50, error: { code: 'gap' } })
    expect(gap!.error!.message).toMatch(/offset 50 .* ends at 1:/)
    await membership.leave()
  })

  it('reports a topic that is deleted, and continues with the others', async () => {
    const [gone, stays] = [newTopic({ partitions: 1 }), newTopic({ partitions: 1 })]
    const log = await open(gone, stays)
    const { membership, start } = await join(log, newGroup(), gone, stays)
    start()
    expect(await membership.poll({ max: 10, wait: 300 })).toEqual([])
    await admin.deleteTopics({ topics: [gone.name] })
    const seen: Polled[] = []
    for (let i = 0; !seen.some(p => p.error !== null); i++) {
      const began = performance.now()
      await log.append([append(stays, 'k', `${i}`)])
      let came: Polled[] = []
      while (!came.some(p => p.topic === stays.name)) {
        came = await membership.poll({ max: 10, wait: 5_000 })
        seen.push(...came)
      }
      expect(performance.now() - began).toBeLessThan(2_000)
    }
    expect(seen.find(p => p.error !== null)).toMatchObject({ topic: gone.name, error: { code: 'no_topic' } })
    await membership.leave()
  })
})

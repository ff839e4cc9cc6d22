/** What the proxy makes of answers, as the driver reads them. */
import { describe, expect, it } from 'vitest'
import { decodeScanned, encodeBatch } from '../../topics/kafka/batch.ts'
import { fetch, produce } from '../../topics/kafka/protocol.ts'
import { sessionless } from '../../topics/kafka/session.ts'
import { partitionKey } from '../../topics/log.ts'
import { Random } from '../simulation/scheduler.ts'
import { cutAnswer, cutRecords, fetchError, flippedBit, NOT_ENOUGH_REPLICAS, refusedProduce } from './interceptors.ts'
import type { Interceptor } from './proxy.ts'
import { sentParts } from './wire.ts'

const [TOPIC, OTHER] = ['inbox', 'outputs']
const SENDER = { producerId: 1n, producerEpoch: 0, transactional: false }
const WANTED = [TOPIC, OTHER].flatMap(topic => [0, 1].map(partition => ({ topic, partition, offset: 0 })))
const AT = { topic: TOPIC, partition: 1 }

const number = (bytes: 2 | 4 | 8, n: number) => {
  const made = Buffer.alloc(bytes)
  if (bytes === 8) made.writeBigInt64BE(BigInt(n))
  else made.writeIntBE(n, 0, bytes)
  return made
}
const text = (value: string) => Buffer.concat([number(2, value.length), Buffer.from(value)])
const compact = (value: string) => Buffer.concat([Buffer.from([value.length + 1]), Buffer.from(value)])
const array = (items: readonly Buffer[]) => Buffer.concat([number(4, items.length), ...items])
const frame = (...parts: Buffer[]) => {
  const body = Buffer.concat(parts)
  return Buffer.concat([number(4, body.length), body])
}

function batch(texts: readonly string[]): Buffer {
  const records = texts.map(value => ({ key: 'k', value: Buffer.from(value), headers: {} }))
  return encodeBatch(records, 1, SENDER, 0, 'none')
}

/** A broker's answer to a Fetch, version 11: two batches of two records each for every partition. */
function fetched(): Buffer {
  const second = batch(['c', 'd'])
  second.writeBigInt64BE(2n, 0)
  const records = Buffer.concat([batch(['a', 'b']), second])
  const partition = (n: number) =>
    Buffer.concat([
      number(4, n),
      number(2, 0),
      number(8, 4),
      number(8, 4),
      number(8, 0),
      array([]),
      number(4, -1),
      number(4, records.length),
      records,
    ])
  const topics = [TOPIC, OTHER].map(topic => Buffer.concat([text(topic), array([partition(0), partition(1)])]))
  return frame(number(4, 1), number(4, 0), number(2, 0), number(4, 0), array(topics))
}

const read = fetch('', sessionless(new Map(WANTED.map(w => [partitionKey(w), w]))), 0, 1_000_000, 1_000_000)
const decoded = async (answer: Buffer) => {
  const { partitions } = await read.response.parse(await read.response.decode(answer.subarray(8)))
  return partitions.map(part => {
    const { records, next, damage } = decodeScanned(part, 0, part)
    return { ...part, records, next, damage }
  })
}
const change = (interceptor: Interceptor, answer: Buffer) => interceptor.answer?.(answer, 11, Buffer.alloc(0)) as Buffer
const othersOf = (parts: Awaited<ReturnType<typeof decoded>>) =>
  parts.filter(p => p.topic !== TOPIC || p.partition !== 1).map(p => [p.errorCode, p.damage, p.records.length, p.next])
const UNTOUCHED = Array.from({ length: 3 }, () => [0, null, 4, 4])

async function changed(interceptor: Interceptor) {
  const parts = await decoded(change(interceptor, fetched()))
  expect(othersOf(parts)).toEqual(UNTOUCHED)
  return parts.find(p => p.topic === TOPIC && p.partition === 1)!
}

describe('an answer to a Fetch', () => {
  it('gets an error for one partition, so many times', async () => {
    const { interceptors, hits } = fetchError(AT, 74, 1)
    expect(await changed(interceptors[0]!)).toMatchObject({ errorCode: 74, records: [], next: 0 })
    expect(await changed(interceptors[0]!)).toMatchObject({ errorCode: 0, next: 4 })
    expect(hits()).toBe(1)
  })

  it('gets a bit flipped that the checksum covers, wherever that is', async () => {
    for (let seed = 0; seed < 200; seed++) {
      const part = await changed(flippedBit(AT, 1, new Random(seed)).interceptors[0]!)
      expect(part.damage, `seed ${seed}`).not.toBeNull()
    }
  })

  it('gets the records of one partition cut short: whole batches come before the cut', async () => {
    const counts = new Set<number>()
    for (let seed = 0; seed < 200; seed++) {
      const part = await changed(cutRecords(AT, 1, new Random(seed)).interceptors[0]!)
      expect(part).toMatchObject({ errorCode: 0, next: part.records.length })
      // A broker cuts none short but the last of several.
      if (part.records.length > 0) expect(part.damage).toBeNull()
      counts.add(part.records.length)
    }
    expect([...counts].sort()).toEqual([0, 2])
  })

  it('ends too early, though its frame is whole: nothing of it can be read', async () => {
    for (let seed = 0; seed < 200; seed++) {
      const answer = change(cutAnswer(AT, 1, new Random(seed)).interceptors[0]!, fetched())
      expect(answer.readInt32BE(0)).toBe(answer.length - 4)
      await expect(decoded(answer), `seed ${seed}`).rejects.toThrow()
    }
  })
})

describe.each([7, 12] as const)('a Produce, version %i', version => {
  const call = produce(
    '',
    null,
    [0, 1].map(partition => ({ topic: TOPIC, partition, batch: batch(['a']) })),
    1_000,
    version,
  )
  const parts = async (answer: Buffer) => call.response.parse(await call.response.decode(answer.subarray(8)))
  const produced = (partitions: readonly number[]) => {
    const of = partitions.map(n => Buffer.concat([number(4, n), number(2, 0), number(8, 7), number(8, -1), number(8, 0)]))
    if (version === 7) return frame(number(4, 1), array([Buffer.concat([text(TOPIC), array(of)])]), number(4, 0))
    // One of the partitions has records at fault, and says so.
    const fault = Buffer.concat([
      Buffer.from([2]),
      number(4, 0),
      compact('bad'),
      Buffer.from([0]),
      compact('it is bad'),
      Buffer.from([0]),
    ])
    const flexible = of.map((part, i) => Buffer.concat([part, i === 0 ? fault : Buffer.from([1, 0, 0])]))
    const topic = Buffer.concat([compact(TOPIC), Buffer.from([of.length + 1]), ...flexible, Buffer.from([0])])
    return frame(number(4, 1), Buffer.from([0, 2]), topic, number(4, 0), Buffer.from([0]))
  }
  const request = async () => {
    return Buffer.concat((await call.request.encode()).frame(0, version, 1, 'client'))
  }

  it('is kept from the broker for one partition, which is answered by the error', async () => {
    const [interceptor] = refusedProduce(AT, NOT_ENOUGH_REPLICAS, false).interceptors
    const asked = await request()
    const sent = interceptor!.request?.(asked, version) as Buffer
    expect(sent.readInt32BE(0)).toBe(sent.length - 4)
    const frameOfBatch = version === 7 ? 4 + 4 : 4 + 1 + 1
    expect(asked.length - sent.length).toBe(frameOfBatch + batch(['a']).length)
    expect(sentParts(sent, version).map(({ topic, partition }) => [topic, partition])).toEqual([[TOPIC, 0]])
    const answer = interceptor!.answer?.(produced([0]), version, asked) as Buffer
    expect(answer.readInt32BE(0)).toBe(answer.length - 4)
    expect(await parts(answer)).toEqual([
      { topic: TOPIC, partition: 1, errorCode: NOT_ENOUGH_REPLICAS, baseOffset: -1 },
      { topic: TOPIC, partition: 0, errorCode: 0, baseOffset: 7 },
    ])
  })

  it('reaches the broker, and is answered by the error all the same', async () => {
    const [interceptor] = refusedProduce(AT, NOT_ENOUGH_REPLICAS, true).interceptors
    const asked = await request()
    expect(interceptor!.request?.(asked, version)).toBe(asked)
    const answer = interceptor!.answer?.(produced([0, 1]), version, asked) as Buffer
    expect((await parts(answer)).map(p => [p.partition, p.errorCode])).toEqual([
      [0, 0],
      [1, NOT_ENOUGH_REPLICAS],
    ])
  })
})

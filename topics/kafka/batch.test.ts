import { createRequire } from 'node:module'
import { crc32c } from '@node-rs/crc32'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { LogError, type LogRecord } from '../log.ts'
import type { Payload } from '../records.ts'
import { type Compression, encodeBatch, type ProducerIdentity } from './batch.ts'
import { decodeBatches } from './testing/decode-batches.ts'

const require = createRequire(import.meta.url)

interface Theirs {
  offset: string
  timestamp: string
  key: Buffer | null
  value: Buffer | null
  headers: Record<string, Buffer>
}

/** kafkajs's own batches, which these have to agree with. */
const { RecordBatch } = require('kafkajs/src/protocol/recordBatch/v0') as {
  RecordBatch(batch: object): Promise<{ buffer: Buffer }>
}
const Record = require('kafkajs/src/protocol/recordBatch/record/v0') as (record: object) => object
const decodeMessages = require('kafkajs/src/protocol/requests/fetch/v4/decodeMessages') as (decoder: object) => Promise<Theirs[]>
const Decoder = require('kafkajs/src/protocol/decoder') as new (buffer: Buffer) => object
const Long = require('kafkajs/src/utils/long') as { fromValue(n: number | bigint): object }

const where = { topic: 'venue.inbox', partition: 3 }
const sender: ProducerIdentity = { producerId: 4_711n, producerEpoch: 2, transactional: false }
const CODEC = { none: 0, gzip: 1, zstd: 4 }
const APPEND_TIME = 8
const TRANSACTIONAL = 16

const text = fc.string({ unit: 'binary', maxLength: 40 })
const payload = fc.record({
  key: fc.option(fc.oneof(text, fc.constant('\0\0\0\0'))),
  value: fc.option(fc.uint8Array({ maxLength: 400 }).map(bytes => Buffer.from(bytes))),
  // kafkajs takes names such as "constructor" for headers that are there already.
  headers: fc.dictionary(
    text.map(name => `h ${name}`),
    text,
    { maxKeys: 4, noNullPrototype: true },
  ),
})
const payloads = fc.array(payload, { minLength: 1, maxLength: 30 })
const timestamp = fc.integer({ min: 0, max: 2 ** 44 })
const offset = fc.integer({ min: 0, max: 2 ** 50 })
const compression = fc.constantFrom<Compression>('none', 'gzip', 'zstd')

/** A batch where it lies in the log. */
function placed(batch: Buffer, baseOffset: number): Buffer {
  batch.writeBigInt64BE(BigInt(baseOffset), 0)
  return batch
}

/** As the broker changes a batch, with a checksum that is right. */
function changed(batch: Buffer, change: (batch: Buffer) => void): Buffer {
  change(batch)
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

function records(batch: Buffer, from = 0): LogRecord[] {
  const { records, damage } = decodeBatches(where, batch, from, [])
  if (damage !== null) throw damage
  return records
}

function plain(
  list: readonly { offset: number; timestamp: number; key: unknown; value: unknown; headers?: object | undefined }[],
) {
  return list.map(({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key,
    value: value === null ? null : (value as Buffer).toString('hex'),
    headers: Object.entries(headers ?? {}).sort(),
  }))
}

function expected(list: readonly Payload[], base: number, time: number) {
  return plain(list.map((one, i) => ({ ...one, offset: base + i, timestamp: time })))
}

async function theirDecoding(bytes: Buffer) {
  const size = Buffer.alloc(4)
  size.writeInt32BE(bytes.length)
  const decoded = await decodeMessages(new Decoder(Buffer.concat([size, bytes])))
  return plain(
    decoded.map(({ offset, timestamp, key, value, headers }) => ({
      offset: Number(offset),
      timestamp: Number(timestamp),
      key: key === null ? null : key.toString(),
      value,
      headers: Object.fromEntries(Object.entries(headers).map(([name, bytes]) => [name, bytes.toString()])),
    })),
  )
}

async function theirEncoding(list: readonly Payload[], base: number, time: number, gzip: boolean): Promise<Buffer> {
  const { buffer } = await RecordBatch({
    compression: gzip ? CODEC.gzip : CODEC.none,
    firstOffset: Long.fromValue(base),
    firstTimestamp: time,
    maxTimestamp: time + list.length - 1,
    lastOffsetDelta: list.length - 1,
    producerId: Long.fromValue(sender.producerId),
    records: list.map(({ key, value, headers }, i) =>
      Record({
        offsetDelta: i,
        timestampDelta: Long.fromValue(i),
        key: key === null ? null : Buffer.from(key),
        value,
        headers,
      }),
    ),
  })
  return Buffer.from(buffer)
}

/** The same records over and over, more than enough to be worth compressing. */
const many = (list: readonly Payload[]) =>
  Array.from({ length: 12 }, () => [...list, { key: 'filler', value: Buffer.alloc(100) }]).flat()

describe('a record batch', () => {
  test('is read by kafkajs as it was written', () =>
    fc.assert(
      fc.asyncProperty(payloads, offset, timestamp, fc.boolean(), async (list, base, time, gzip) => {
        const written = gzip ? many(list) : list
        const batch = placed(encodeBatch(written, time, sender, 0, gzip ? 'gzip' : 'none'), base)
        expect(batch.readInt16BE(21)).toBe(gzip ? CODEC.gzip : CODEC.none)
        expect(await theirDecoding(batch)).toEqual(expected(written, base, time))
      }),
    ))

  test('is read as kafkajs has written it', () =>
    fc.assert(
      fc.asyncProperty(payloads, offset, timestamp, fc.boolean(), async (list, base, time, gzip) => {
        const batch = await theirEncoding(list, base, time, gzip)
        const decoded = plain(records(batch, base))
        expect(decoded).toEqual(expected(list, base, 0).map((one, i) => ({ ...one, timestamp: time + i })))
      }),
    ))

  test('is read as it was written under every compression', () =>
    fc.assert(
      fc.property(payloads, offset, timestamp, compression, (list, base, time, codec) => {
        const batch = placed(encodeBatch(many(list), time, sender, 0, codec), base)
        expect(batch.readInt16BE(21)).toBe(CODEC[codec])
        expect(plain(records(batch, base))).toEqual(expected(many(list), base, time))
      }),
    ))

  test('carries large values, and many records', async () => {
    const large = [{ key: 'สวัสดี 🎵', value: Buffer.alloc(500_000, 'abc') }]
    const small = Array.from({ length: 20_000 }, (_, i) => ({ key: `k${i}`, value: Buffer.from(`${i}`) }))
    for (const list of [large, small]) {
      for (const codec of ['none', 'gzip', 'zstd'] as const) {
        const batch = encodeBatch(list, 5, sender, 0, codec)
        expect(plain(records(batch))).toEqual(expected(list, 0, 5))
        if (codec !== 'zstd') expect(await theirDecoding(batch)).toEqual(expected(list, 0, 5))
      }
    }
  })

  test('names its producer and sequence number', () => {
    const batch = encodeBatch([{ key: 'k', value: null }], 9, { ...sender, transactional: true }, 77, 'none')
    expect(batch.readInt16BE(21)).toBe(TRANSACTIONAL)
    expect(batch.readBigInt64BE(43)).toBe(4_711n)
    expect([batch.readInt16BE(51), batch.readInt32BE(53), batch.readInt32BE(57)]).toEqual([2, 77, 1])
  })

  test("has the log's time for all its records where the log gave it one", () => {
    const list = [
      { key: 'a', value: null },
      { key: 'b', value: null },
    ]
    const batch = changed(encodeBatch(list, 1_000, sender, 0, 'none'), b => {
      b.writeInt16BE(APPEND_TIME, 21)
      b.writeBigInt64BE(2_000n, 35)
    })
    expect(records(batch).map(r => r.timestamp)).toEqual([2_000, 2_000])
  })

  test('can be read from its middle', () =>
    fc.assert(
      fc.property(payloads, offset, fc.nat(40), compression, (list, base, skip, codec) => {
        const batch = placed(encodeBatch(list, 0, sender, 0, codec), base)
        const from = base + (skip % (list.length + 1))
        const { records, next } = decodeBatches(where, batch, from, [])
        expect(plain(records)).toEqual(expected(list, base, 0).filter(r => r.offset >= from))
        expect(next).toBe(base + list.length)
      }),
    ))

  test('is left for the next fetch when it is truncated', () =>
    fc.assert(
      fc.property(fc.array(payloads, { minLength: 1, maxLength: 4 }), fc.nat(), compression, (lists, at, codec) => {
        let next = 100
        const batches = lists.map(list => {
          const batch = placed(encodeBatch(list, 0, sender, 0, codec), next)
          next += list.length
          return batch
        })
        const all = Buffer.concat(batches)
        const cut = at % (all.length + 1)
        const first = decodeBatches(where, all.subarray(0, cut), 100, [])
        expect(first.bytes).toBeLessThanOrEqual(cut)
        const rest = decodeBatches(where, all.subarray(first.bytes), first.next, [])
        const whole = lists.flat()
        expect(plain([...first.records, ...rest.records])).toEqual(expected(whole, 100, 0))
        expect(first.records.at(-1)?.offset ?? 99).toBe(first.next - 1)
        expect([rest.next, first.bytes + rest.bytes]).toEqual([next, all.length])
      }),
    ))

  test('is found to be damaged at any bit from its format on', () => {
    fc.assert(
      fc.property(payloads, compression, fc.nat(), (list, codec, at) => {
        const batch = encodeBatch(list, 0, sender, 0, codec)
        const bit = at % ((batch.length - 16) * 8)
        batch[16 + (bit >> 3)]! ^= 1 << (bit & 7)
        expect(codeOf(() => records(batch))).toBe('corrupt')
      }),
    )
  })

  test('that claims to be shorter than its header is damaged', () => {
    const batch = encodeBatch([{ key: 'k', value: null }], 0, sender, 0, 'none')
    for (const length of [-(2 ** 31), -12, 0, 48]) {
      batch.writeInt32BE(length, 8)
      expect(
        codeOf(() => records(batch)),
        `${length}`,
      ).toBe('corrupt')
    }
  })

  test('compressed in a way that is not supported is refused by name', () => {
    const batch = changed(encodeBatch([{ key: 'k', value: null }], 0, sender, 0, 'none'), b => b.writeInt16BE(2, 21))
    expect(() => records(batch)).toThrow('venue.inbox/3: the batch at offset 0 is compressed by codec 2')
  })
})

function codeOf(work: () => unknown): string {
  try {
    work()
  } catch (error) {
    return error instanceof LogError ? error.code : String(error)
  }
  return 'no error'
}

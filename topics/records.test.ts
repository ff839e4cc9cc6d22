import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { LogRecord } from './log.ts'
import { type EncodedBatch, type BatchRecord, decodeRecords, encodeRecords, payloadBytes } from './records.ts'

const where = { topic: 'venue.inbox', partition: 3 }
const everything = () => ({ from: 0, records: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY })

function decode(batch: EncodedBatch, window = everything()): LogRecord[] {
  const records: LogRecord[] = []
  decodeRecords(where, batch, window, records)
  return records
}

/** As plain objects with plain prototypes, for comparing. */
function plain(records: readonly BatchRecord[]) {
  return records.map(({ offset, timestamp, key, value, headers }) => ({
    offset,
    timestamp,
    key,
    value: value === null ? null : Buffer.from(value).toString('hex'),
    headers: Object.entries(headers),
  }))
}

const text = fc.string({ unit: 'binary', maxLength: 40 })
const headers = fc.dictionary(fc.oneof(text, fc.constant('__proto__')), text, { maxKeys: 4, noNullPrototype: false })
const record = fc.record({
  gap: fc.oneof(fc.constant(1), fc.integer({ min: 1, max: 2 ** 40 })),
  timestamp: fc.integer({ min: -(2 ** 44), max: 2 ** 44 }),
  key: fc.option(text),
  value: fc.option(fc.uint8Array({ maxLength: 300 }).map(bytes => Buffer.from(bytes))),
  headers,
})
const batches = fc
  .tuple(fc.integer({ min: 0, max: 2 ** 48 }), fc.array(record, { minLength: 1, maxLength: 30 }))
  .map(([base, records]): BatchRecord[] => {
    let offset = base
    return records.map(({ gap, ...rest }, i) => {
      if (i > 0) offset += gap
      return { ...rest, offset }
    })
  })

describe('a batch of records', () => {
  test('is read as it was written', () => {
    fc.assert(
      fc.property(batches, records => {
        const batch = encodeRecords(records)
        expect(plain(decode(batch))).toEqual(plain(records))
        expect(batch).toMatchObject({
          baseOffset: records[0]!.offset,
          lastOffset: records.at(-1)!.offset,
          count: records.length,
          firstTimestamp: records[0]!.timestamp,
          maxTimestamp: Math.max(...records.map(r => r.timestamp)),
        })
      }),
    )
  })

  test('is read in windows of any size without losing or repeating a record', () => {
    fc.assert(
      fc.property(batches, fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 400 }), (records, most, bytes) => {
        const batch = encodeRecords(records)
        const read: LogRecord[] = []
        let from = batch.baseOffset
        while (from <= batch.lastOffset) {
          const window = { from, records: most, bytes }
          const some = decode(batch, window)
          expect(some.length).toBeGreaterThan(0)
          expect(some.length).toBeLessThanOrEqual(most)
          read.push(...some)
          from = window.from
        }
        expect(plain(read)).toEqual(plain(records))
      }),
    )
  })

  test('lies as Kafka lays out records', () => {
    const batch = encodeRecords([
      { offset: 7, timestamp: 1000, key: 'k', value: Buffer.from('v1'), headers: { h: 'x' } },
      { offset: 9, timestamp: 1064, key: null, value: null, headers: {} },
    ])
    const first = ['1a', '00', '00', '00', '02', '6b', '04', '7631', '02', '02', '68', '02', '78']
    const second = ['0e', '00', '8001', '04', '01', '01', '00']
    expect(batch.blob.toString('hex')).toBe([...first, ...second].join(''))
  })

  test('gives values as views of its bytes', () => {
    const batch = encodeRecords([{ offset: 0, timestamp: 0, key: null, value: Buffer.from('value'), headers: {} }])
    expect(decode(batch)[0]!.value!.buffer).toBe(batch.blob.buffer)
  })

  test('is refused when its bytes are truncated', () => {
    fc.assert(
      fc.property(batches, fc.nat(), (records, at) => {
        const batch = encodeRecords(records)
        const blob = batch.blob.subarray(0, at % batch.blob.length)
        expect(() => decode({ ...batch, blob })).toThrow(RangeError)
      }),
    )
  })

  test('with a changed byte gives other records or is refused, and is never read beyond its end', () => {
    const attempt = (batch: EncodedBatch): LogRecord[] | unknown => {
      try {
        return decode(batch)
      } catch (error) {
        return error
      }
    }
    fc.assert(
      fc.property(batches, fc.nat(), fc.integer({ min: 1, max: 255 }), (records, at, change) => {
        const batch = encodeRecords(records)
        batch.blob[at % batch.blob.length]! ^= change
        const outcome = attempt(batch)
        if (Array.isArray(outcome)) expect(outcome.length).toBeLessThanOrEqual(records.length)
        else expect(outcome).toBeInstanceOf(RangeError)
      }),
    )
  })
})

test('the payload of a record is the bytes of its key, value and headers', () => {
  expect(payloadBytes({ key: 'ก', value: Buffer.alloc(10), headers: { a: 'é' } })).toBe(3 + 10 + 1 + 2)
  expect(payloadBytes({ key: null, value: null })).toBe(0)
})

/**
 * The checksum of a batch's row. It covers the records and what the row says of them, so that damage to an offset or a time is
 * found as surely as damage to a value.
 */
import { crc32 } from 'node:zlib'
import type { TopicPartition } from '../log.ts'
import { type EncodedBatch, decodeRecords } from '../records.ts'

/** Added to checksums of rows of format 2; those of format 1 are of the records alone, and below it. */
const WHOLE_ROW = 2 ** 32

interface Row extends EncodedBatch {
  readonly tombstonesUntil: number | null
}

export function checksumOf(partitionId: number, row: Row): number {
  const { baseOffset, lastOffset, count, firstTimestamp, maxTimestamp, tombstonesUntil, blob } = row
  const tombstones = tombstonesUntil === null ? [0, 0] : [1, tombstonesUntil]
  const fields = [partitionId, baseOffset, lastOffset, count, firstTimestamp, maxTimestamp, ...tombstones]
  return WHOLE_ROW + crc32(blob, crc32(Buffer.from(Float64Array.from(fields).buffer)))
}

/** What is wrong with a row as it was read; null where nothing is. */
export function damageOf(at: TopicPartition & { readonly id: number }, row: Row, crc: number): string | null {
  if (crc >= WHOLE_ROW) return crc === checksumOf(at.id, row) ? null : 'its checksum is wrong'
  if (crc !== crc32(row.blob)) return 'its checksum is wrong'
  return contradiction(at, row)
}

/** Format 1: what the row says has to be what its records say. */
function contradiction(at: TopicPartition, row: Row): string | null {
  try {
    const records: Parameters<typeof decodeRecords>[3] = []
    decodeRecords(at, row, { from: 0, records: row.count, bytes: Number.POSITIVE_INFINITY }, records)
    const [first, last] = [records[0], records.at(-1)]
    if (records.length !== row.count) return `it says ${row.count} records, but holds ${records.length}`
    if (first?.offset !== row.baseOffset) return `it begins with offset ${first?.offset}, but says ${row.baseOffset}`
    if (last?.offset !== row.lastOffset) return `it ends with offset ${last?.offset}, but says ${row.lastOffset}`
    const newest = records.reduce((max, { timestamp }) => Math.max(max, timestamp), 0)
    return newest === row.maxTimestamp ? null : `its newest record is of ${newest}, but it says ${row.maxTimestamp}`
  } catch (error) {
    return (error as Error).message
  }
}

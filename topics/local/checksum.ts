/**
 * The checksum of a batch's row. It covers the records and the other columns of the row, so that damage to an offset or a time is found
 * just as damage to a value is.
 */
import { crc32 } from 'node:zlib'
import type { TopicPartition } from '../log.ts'
import { type EncodedBatch, decodeRecords } from '../records.ts'

/** Added to the checksums of format 2, which cover the whole row; those of format 1 cover the records alone, and are smaller. */
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

/** What is wrong with a row that was read; null when it is intact. */
export function damageOf(at: TopicPartition & { readonly id: number }, row: Row, crc: number): string | null {
  if (crc >= WHOLE_ROW) return crc === checksumOf(at.id, row) ? null : 'its checksum is wrong'
  if (crc !== crc32(row.blob)) return 'its checksum is wrong'
  return contradiction(at, row)
}

/** Format 1: the columns of the row must agree with its records. */
function contradiction(at: TopicPartition, row: Row): string | null {
  try {
    const records: Parameters<typeof decodeRecords>[3] = []
    decodeRecords(at, row, { from: 0, records: row.count, bytes: Number.POSITIVE_INFINITY }, records)
    const [first, last] = [records[0], records.at(-1)]
    if (records.length !== row.count) return `its row says ${row.count} records, but it has ${records.length}`
    if (first?.offset !== row.baseOffset) return `it starts at offset ${first?.offset}, but its row says ${row.baseOffset}`
    if (last?.offset !== row.lastOffset) return `it ends at offset ${last?.offset}, but its row says ${row.lastOffset}`
    const newest = records.reduce((max, { timestamp }) => Math.max(max, timestamp), 0)
    return newest === row.maxTimestamp ? null : `its newest record has time ${newest}, but its row says ${row.maxTimestamp}`
  } catch (error) {
    return (error as Error).message
  }
}

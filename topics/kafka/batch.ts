/**
 * Kafka's record batches, format v2 (KIP-98; org.apache.kafka.common.record.DefaultRecordBatch), made and read in one pass
 * over one buffer. kafkajs makes an object and several buffers for every field of every record, which is most of its CPU time.
 *
 *   0 baseOffset 8 · 8 length 4 · 12 leaderEpoch 4 · 16 magic 1 · 17 crc32c 4 · 21 attributes 2 · 23 lastOffsetDelta 4
 *   27 firstTimestamp 8 · 35 maxTimestamp 8 · 43 producerId 8 · 51 producerEpoch 2 · 53 firstSequence 4 · 57 count 4 · 61 records
 */
import { gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib'
import { crc32c } from '@node-rs/crc32'
import { LogError, type LogRecord, partitionKey, type TopicPartition } from '../log.ts'
import { decodeRecords, encodePayloads, type Payload } from '../records.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

/** Who writes a batch, for a broker that takes each batch once. */
export interface Sender {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly transactional: boolean
}

const HEAD = 61
const CODECS = { none: 0, gzip: 1, zstd: 4 } as const
const APPEND_TIME = 8
const TRANSACTIONAL = 16
const CONTROL = 32
/** Smaller ones are not worth compressing. */
const COMPRESS_FROM = 1024

/** @param records at least one @param timestamp of all of them, ms; the log puts its own in its place */
export function encodeBatch(
  records: readonly Payload[],
  timestamp: number,
  sender: Sender,
  firstSequence: number,
  compression: Compression,
): Buffer {
  const plain = encodePayloads(records, HEAD)
  const codec = plain.length < COMPRESS_FROM ? 'none' : compression
  const batch = codec === 'none' ? plain : compressed(plain, codec)
  const count = records.length
  batch.writeBigInt64BE(0n, 0)
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt32BE(-1, 12)
  batch[16] = 2
  batch.writeInt16BE(CODECS[codec] | (sender.transactional ? TRANSACTIONAL : 0), 21)
  batch.writeInt32BE(count - 1, 23)
  batch.writeBigInt64BE(BigInt(timestamp), 27)
  batch.writeBigInt64BE(BigInt(timestamp), 35)
  batch.writeBigInt64BE(sender.producerId, 43)
  batch.writeInt16BE(sender.producerEpoch, 51)
  batch.writeInt32BE(firstSequence, 53)
  batch.writeInt32BE(count, 57)
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17)
  return batch
}

function compressed(plain: Buffer, codec: 'gzip' | 'zstd'): Buffer {
  const records = plain.subarray(HEAD)
  const body = codec === 'gzip' ? gzipSync(records) : zstdCompressSync(records)
  const batch = Buffer.allocUnsafe(HEAD + body.length)
  body.copy(batch, HEAD)
  return batch
}

/** A transaction that was aborted, and its first offset in the partition. */
export interface Aborted {
  readonly producerId: bigint
  readonly firstOffset: number
}

export interface Decoded {
  /** Records of committed transactions and of none. */
  readonly records: LogRecord[]
  /** Where to read on: beyond control records, aborted ones and gaps. */
  readonly next: number
  readonly bytes: number
  /** `corrupt`: the batch at `next` is damaged, or compressed in a way that is not supported. What is before it is given. */
  readonly damage: LogError | null
}

/**
 * The committed records of a fetched part of a partition, from an offset on. `aborted` may come in any order: brokers sort it
 * by where the transactions end. A batch cut short at the end is left for the next fetch; brokers cut
 * none but those that follow a whole one.
 */
export function decodeBatches(where: TopicPartition, bytes: Buffer, from: number, aborted: readonly Aborted[]): Decoded {
  const pending = aborted.length > 1 ? aborted.toSorted((a, b) => a.firstOffset - b.firstOffset) : aborted
  const leftOut = new Set<bigint>()
  const records: LogRecord[] = []
  let begun = 0
  let next = from
  let at = 0
  /** Where the batch began that could not be read, and how many records there were before it. */
  let begin = 0
  let before = 0
  const stopped = (damage: LogError): Decoded => {
    records.length = before
    return { records, next, bytes: begin, damage }
  }
  while (bytes.length - at >= HEAD) {
    begin = at
    before = records.length
    const end = at + 12 + bytes.readInt32BE(at + 8)
    if (end < at + HEAD)
      return stopped(new LogError('corrupt', `${partitionKey(where)}: a batch of ${end - at} bytes at ${next}`))
    if (end > bytes.length) break
    const batch = bytes.subarray(at, end)
    at = end
    const baseOffset = Number(batch.readBigInt64BE(0))
    const lastOffset = baseOffset + batch.readInt32BE(23)
    const damaged = (what: string, cause?: unknown) =>
      stopped(new LogError('corrupt', `${partitionKey(where)}: the batch at ${baseOffset} ${what}`, { cause }))
    if (batch[16] !== 2) return damaged(`is of format ${batch[16]}, not 2`)
    if (crc32c(batch.subarray(21)) !== batch.readUInt32BE(17)) return damaged('does not match its checksum')
    if (lastOffset < from) continue
    const attributes = batch.readInt16BE(21)
    while (begun < pending.length && (pending[begun] as Aborted).firstOffset <= lastOffset) {
      leftOut.add((pending[begun++] as Aborted).producerId)
    }
    const producerId = batch.readBigInt64BE(43)
    const control = (attributes & CONTROL) !== 0
    if (control && isAbort(batch)) leftOut.delete(producerId)
    if (control || ((attributes & TRANSACTIONAL) !== 0 && leftOut.has(producerId))) {
      next = lastOffset + 1
      continue
    }
    let blob: Buffer | null
    try {
      blob = decompress(batch.subarray(HEAD), attributes & 7)
    } catch (error) {
      return damaged('cannot be decompressed', error)
    }
    if (blob === null) return damaged(`is compressed by codec ${attributes & 7}; none, gzip and zstd are supported`)
    const maxTimestamp = Number(batch.readBigInt64BE(35))
    const window = { from, records: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }
    try {
      decodeRecords(
        where,
        {
          baseOffset,
          lastOffset,
          count: batch.readInt32BE(57),
          firstTimestamp: Number(batch.readBigInt64BE(27)),
          maxTimestamp,
          appendTime: (attributes & APPEND_TIME) === 0 ? undefined : maxTimestamp,
          blob,
        },
        window,
        records,
      )
    } catch (error) {
      return damaged('cannot be read', error)
    }
    next = lastOffset + 1
  }
  return { records, next, bytes: at, damage: null }
}

/** The key of a control record is a version and a type, two bytes each; type 0 says that its producer's transaction was aborted. */
function isAbort(batch: Buffer): boolean {
  // length, attributes, timestamp delta and offset delta are one byte each for the single small record; the key has a length.
  const key = HEAD + 5
  return batch.readInt16BE(key + 2) === 0
}

function decompress(body: Buffer, codec: number): Buffer | null {
  if (codec === CODECS.none) return body
  if (codec === CODECS.gzip) return gunzipSync(body)
  if (codec === CODECS.zstd) return zstdDecompressSync(body)
  return null
}

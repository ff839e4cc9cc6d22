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
import {
  type EncodedBatch,
  decodeRecords,
  encodePayloads,
  type DecodeProgress,
  type Payload,
  type ReadWindow,
} from '../records.ts'

export type Compression = 'none' | 'gzip' | 'zstd'

/** Who writes a batch, for a broker that takes each batch once. */
export interface ProducerIdentity {
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
  sender: ProducerIdentity,
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

/**
 * A whole batch of committed records. They are decoded once they are taken: until then nothing of it is in memory but its bytes,
 * which several readers share.
 */
export interface FetchedBatch extends EncodedBatch {
  /** Of the blob. */
  readonly codec: number
}

export interface Scanned {
  readonly batches: readonly FetchedBatch[]
  /** Where to read on: beyond control records, aborted ones and gaps. */
  readonly next: number
  /** Bytes that were looked at. */
  readonly bytes: number
  /** `corrupt`: the batch at `next` is damaged. What is before it is given. */
  readonly damage: LogError | null
}

/**
 * The batches of committed records in a fetched part of a partition that reach to an offset or beyond. `aborted` may come in any
 * order: brokers sort it by where the transactions end. A batch cut short at the end is left for the next fetch; brokers cut
 * none but those that follow a whole one.
 */
export function scanBatches(where: TopicPartition, bytes: Buffer, from: number, aborted: readonly Aborted[]): Scanned {
  const pending = aborted.length > 1 ? aborted.toSorted((a, b) => a.firstOffset - b.firstOffset) : aborted
  const leftOut = new Set<bigint>()
  const batches: FetchedBatch[] = []
  let begun = 0
  let next = from
  let at = 0
  while (bytes.length - at >= HEAD) {
    const begin = at
    const end = at + 12 + bytes.readInt32BE(at + 8)
    const stopped = (damage: LogError): Scanned => ({ batches, next, bytes: begin, damage })
    if (end < at + HEAD)
      return stopped(new LogError('corrupt', `${partitionKey(where)}: a batch of ${end - at} bytes at ${next}`))
    if (end > bytes.length) break
    const batch = bytes.subarray(at, end)
    at = end
    const baseOffset = Number(batch.readBigInt64BE(0))
    const lastOffset = baseOffset + batch.readInt32BE(23)
    if (batch[16] !== 2) return stopped(damaged(where, baseOffset, `is of format ${batch[16]}, not 2`))
    if (crc32c(batch.subarray(21)) !== batch.readUInt32BE(17))
      return stopped(damaged(where, baseOffset, 'does not match its checksum'))
    if (lastOffset < from) continue
    const attributes = batch.readInt16BE(21)
    while (begun < pending.length && (pending[begun] as Aborted).firstOffset <= lastOffset) {
      leftOut.add((pending[begun++] as Aborted).producerId)
    }
    next = lastOffset + 1
    const producerId = batch.readBigInt64BE(43)
    const control = (attributes & CONTROL) !== 0
    if (control && isAbort(batch)) leftOut.delete(producerId)
    if (control || ((attributes & TRANSACTIONAL) !== 0 && leftOut.has(producerId))) continue
    const maxTimestamp = Number(batch.readBigInt64BE(35))
    batches.push({
      baseOffset,
      lastOffset,
      count: batch.readInt32BE(57),
      firstTimestamp: Number(batch.readBigInt64BE(27)),
      maxTimestamp,
      appendTime: (attributes & APPEND_TIME) === 0 ? undefined : maxTimestamp,
      codec: attributes & 7,
      blob: keepable(batch.subarray(HEAD)),
    })
  }
  return { batches, next, bytes: at, damage: null }
}

/** Up to this many bytes are copied where they would keep several times as many alive. */
const SMALL = 64 * 1024
const SEVERAL = 4

/** The same bytes, which may be kept for long: of an answer that has others' records as well, only its own part stays. */
function keepable(blob: Buffer): Buffer {
  if (blob.length > SMALL || blob.buffer.byteLength < SEVERAL * blob.length) return blob
  const copy = Buffer.allocUnsafeSlow(blob.length)
  blob.copy(copy)
  return copy
}

/** The batch with its records as they are to be decoded. @throws {LogError} `corrupt` */
export function decompressed(where: TopicPartition, batch: FetchedBatch): EncodedBatch {
  const { blob, codec, baseOffset } = batch
  if (codec === CODECS.none) return batch
  let plain: Buffer | null
  try {
    plain = decompress(blob, codec)
  } catch (error) {
    throw damaged(where, baseOffset, 'cannot be decompressed', error)
  }
  if (plain === null) throw damaged(where, baseOffset, `is compressed by codec ${codec}; none, gzip and zstd are supported`)
  return { ...batch, blob: plain }
}

/** Takes records of a batch as `decodeRecords` does. Where it cannot be read, nothing of it is taken. @throws {LogError} `corrupt` */
export function takeRecords(
  where: TopicPartition,
  batch: EncodedBatch,
  window: ReadWindow,
  into: LogRecord[],
  passed: DecodeProgress,
): void {
  const before = into.length
  try {
    decodeRecords(where, batch, window, into, passed)
  } catch (error) {
    into.length = before
    throw damaged(where, batch.baseOffset, 'cannot be read', error)
  }
}

export interface Decoded {
  readonly records: LogRecord[]
  readonly next: number
  readonly bytes: number
  readonly damage: LogError | null
}

/** All the records from an offset on. `damage` is of the batch at `next`. */
export function decodeScanned(where: TopicPartition, from: number, scanned: Scanned): Decoded {
  const records: LogRecord[] = []
  const window = { from, records: Number.POSITIVE_INFINITY, bytes: Number.POSITIVE_INFINITY }
  for (const batch of scanned.batches) {
    try {
      takeRecords(where, decompressed(where, batch), window, records, { bytes: 0, records: 0 })
    } catch (error) {
      return { records, next: Math.max(from, batch.baseOffset), bytes: scanned.bytes, damage: error as LogError }
    }
  }
  const { next, bytes, damage } = scanned
  return { records, next, bytes, damage }
}

function damaged(where: TopicPartition, baseOffset: number, what: string, cause?: unknown): LogError {
  return new LogError('corrupt', `${partitionKey(where)}: the batch at ${baseOffset} ${what}`, { cause })
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

/**
 * Kafka's record batches, format v2 (KIP-98; org.apache.kafka.common.record.DefaultRecordBatch), written and read in one pass over one
 * buffer. kafkajs creates an object and several buffers for every field of every record, which takes most of its CPU time.
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

/** The writer of a batch: by it the broker recognises batches that it already has. */
export interface ProducerIdentity {
  readonly producerId: bigint
  readonly producerEpoch: number
  readonly transactional: boolean
}

const HEAD_BYTES = 61
const CODECS = { none: 0, gzip: 1, zstd: 4 } as const
const APPEND_TIME = 8
const TRANSACTIONAL = 16
const CONTROL = 32
/** Smaller batches are not worth compressing. */
const MIN_COMPRESS_BYTES = 1024

/** @param records at least one @param timestamp of all of them, ms; the broker replaces it by the log append time */
export function encodeBatch(
  records: readonly Payload[],
  timestamp: number,
  sender: ProducerIdentity,
  firstSequence: number,
  compression: Compression,
): Buffer {
  const plain = encodePayloads(records, HEAD_BYTES)
  const codec = plain.length < MIN_COMPRESS_BYTES ? 'none' : compression
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
  const records = plain.subarray(HEAD_BYTES)
  const body = codec === 'gzip' ? gzipSync(records) : zstdCompressSync(records)
  const batch = Buffer.allocUnsafe(HEAD_BYTES + body.length)
  body.copy(batch, HEAD_BYTES)
  return batch
}

/** A transaction that was aborted, and its first offset in the partition. */
export interface Aborted {
  readonly producerId: bigint
  readonly firstOffset: number
}

/**
 * A complete batch of committed records. It is decoded when its records are taken: until then only its bytes are in memory, which several
 * readers share.
 */
export interface FetchedBatch extends EncodedBatch {
  /** Of the blob. */
  readonly codec: number
}

export interface Scanned {
  readonly batches: readonly FetchedBatch[]
  /** Where to read next: beyond control records, aborted records and gaps. */
  readonly next: number
  /** Bytes that were scanned. */
  readonly bytes: number
  /** `corrupt`: the batch at `next` is damaged. Those before it are returned. */
  readonly damage: LogError | null
}

/**
 * The batches of committed records in a fetched part of a partition that reach an offset or go beyond it. `aborted` may be in any order:
 * brokers sort it by the ends of the transactions. A batch that is truncated at the end is left for the next fetch; brokers truncate only
 * batches that follow a complete one.
 */
export function scanBatches(where: TopicPartition, bytes: Buffer, from: number, aborted: readonly Aborted[]): Scanned {
  const pending = aborted.length > 1 ? aborted.toSorted((a, b) => a.firstOffset - b.firstOffset) : aborted
  const aborting = new Set<bigint>()
  const batches: FetchedBatch[] = []
  let begun = 0
  let next = from
  let at = 0
  while (bytes.length - at >= HEAD_BYTES) {
    const begin = at
    const end = at + 12 + bytes.readInt32BE(at + 8)
    const stopped = (damage: LogError): Scanned => ({ batches, next, bytes: begin, damage })
    if (end < at + HEAD_BYTES)
      return stopped(
        new LogError('corrupt', `${partitionKey(where)}: the batch at offset ${next} claims to have ${end - at} bytes`),
      )
    if (end > bytes.length) break
    const batch = bytes.subarray(at, end)
    at = end
    const baseOffset = Number(batch.readBigInt64BE(0))
    const lastOffset = baseOffset + batch.readInt32BE(23)
    if (batch[16] !== 2) return stopped(damaged(where, baseOffset, `has format ${batch[16]}, not 2`))
    if (crc32c(batch.subarray(21)) !== batch.readUInt32BE(17))
      return stopped(damaged(where, baseOffset, 'does not match its checksum'))
    if (lastOffset < from) continue
    const attributes = batch.readInt16BE(21)
    while (begun < pending.length && (pending[begun] as Aborted).firstOffset <= lastOffset) {
      aborting.add((pending[begun++] as Aborted).producerId)
    }
    next = lastOffset + 1
    const producerId = batch.readBigInt64BE(43)
    const control = (attributes & CONTROL) !== 0
    if (control && isAbort(batch)) aborting.delete(producerId)
    if (control || ((attributes & TRANSACTIONAL) !== 0 && aborting.has(producerId))) continue
    const maxTimestamp = Number(batch.readBigInt64BE(35))
    batches.push({
      baseOffset,
      lastOffset,
      count: batch.readInt32BE(57),
      firstTimestamp: Number(batch.readBigInt64BE(27)),
      maxTimestamp,
      appendTime: (attributes & APPEND_TIME) === 0 ? undefined : maxTimestamp,
      codec: attributes & 7,
      blob: keepable(batch.subarray(HEAD_BYTES)),
    })
  }
  return { batches, next, bytes: at, damage: null }
}

/** A batch of up to this size is copied if it would keep a buffer of at least this many times its size alive. */
const SMALL_BYTES = 64 * 1024
const MIN_WASTE_FACTOR = 4

/** The same bytes, safe to keep for long: they do not keep the rest of a large answer in memory. */
function keepable(blob: Buffer): Buffer {
  if (blob.length > SMALL_BYTES || blob.buffer.byteLength < MIN_WASTE_FACTOR * blob.length) return blob
  const copy = Buffer.allocUnsafeSlow(blob.length)
  blob.copy(copy)
  return copy
}

/** The batch with its records decompressed. @throws {LogError} `corrupt` */
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

/** Like `decodeRecords`, but takes nothing of a batch that cannot be read. @throws {LogError} `corrupt` */
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

/** All records from an offset on. `damage` is that of the batch at `next`. */
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
  return new LogError('corrupt', `${partitionKey(where)}: the batch at offset ${baseOffset} ${what}`, { cause })
}

/** The key of a control record is a version and a type, two bytes each; type 0 means that the producer's transaction was aborted. */
function isAbort(batch: Buffer): boolean {
  // The length, attributes, timestamp delta, offset delta and key length of the single small record are one byte each.
  const key = HEAD_BYTES + 5
  return batch.readInt16BE(key + 2) === 0
}

function decompress(body: Buffer, codec: number): Buffer | null {
  if (codec === CODECS.none) return body
  if (codec === CODECS.gzip) return gunzipSync(body)
  if (codec === CODECS.zstd) return zstdDecompressSync(body)
  return null
}

/**
 * A batch of records as bytes, in the record layout of Kafka's record format v2 (KIP-98; org.apache.kafka.common.record
 * .DefaultRecord). Numbers are zigzag varints, texts UTF-8; a length of -1 is null.
 *
 *   record  = length attributes(one byte, 0) timestampDelta offsetDelta keyLength key valueLength value headerCount header…
 *   header  = keyLength key valueLength value
 *
 * Deltas are against the first offset and timestamp of the batch.
 */
import type { Headers, LogRecord, TopicPartition } from './log.ts'

export type BatchRecord = Omit<LogRecord, 'topic' | 'partition'>

export interface EncodedBatch {
  readonly baseOffset: number
  /** Offset of its last record; there may be gaps between the two. */
  readonly lastOffset: number
  readonly count: number
  readonly firstTimestamp: number
  readonly maxTimestamp: number
  /** Log append time of all records, when the log set it; otherwise each record has its own. */
  readonly appendTime?: number | undefined
  /** The records. */
  readonly blob: Buffer
}

const NO_HEADERS: Headers = Object.freeze(Object.create(null) as Record<string, string>)

/** Bytes of a record's key, value and headers: what the size limit counts. */
export function payloadBytes({ key, value, headers }: Payload): number {
  let bytes = (key === null ? 0 : utf8Bytes(key)) + (value === null ? 0 : value.length)
  for (const name in headers) bytes += Buffer.byteLength(name) + Buffer.byteLength((headers as Headers)[name] as string)
  return bytes
}

/** What a record carries. */
export interface Payload {
  readonly key: string | null
  readonly value: Buffer | null
  readonly headers?: Headers | undefined
}

/** @param records at least one, in offset order. */
export function encodeRecords(records: readonly BatchRecord[]): EncodedBatch {
  const first = records[0] as BatchRecord
  const last = records[records.length - 1] as BatchRecord
  const lengths: number[] = []
  let size = 0
  let maxTimestamp = first.timestamp
  for (const record of records) {
    const length = lengthOf(record, record.timestamp - first.timestamp, record.offset - first.offset)
    lengths.push(length)
    size += varintBytes(length) + length
    if (record.timestamp > maxTimestamp) maxTimestamp = record.timestamp
  }
  const blob = Buffer.allocUnsafeSlow(size)
  let at = 0
  for (let i = 0; i < records.length; i++) {
    const record = records[i] as BatchRecord
    at = writeRecord(blob, at, record, lengths[i] as number, record.timestamp - first.timestamp, record.offset - first.offset)
  }
  const { offset: baseOffset, timestamp: firstTimestamp } = first
  return { baseOffset, lastOffset: last.offset, count: records.length, firstTimestamp, maxTimestamp, blob }
}

/** Records without a place in the log yet: offsets start at 0, all with the same time. `head` bytes are left free in front. */
export function encodePayloads(records: readonly Payload[], head: number): Buffer {
  const lengths: number[] = []
  let size = head
  for (let i = 0; i < records.length; i++) {
    const length = lengthOf(records[i] as Payload, 0, i)
    lengths.push(length)
    size += varintBytes(length) + length
  }
  const bytes = Buffer.allocUnsafeSlow(size)
  let at = head
  for (let i = 0; i < records.length; i++) at = writeRecord(bytes, at, records[i] as Payload, lengths[i] as number, 0, i)
  return bytes
}

function writeRecord(into: Buffer, start: number, record: Payload, length: number, timestampDelta: number, offsetDelta: number) {
  const { key, value, headers } = record
  let at = writeVarint(into, start, length)
  into[at++] = 0
  at = writeVarint(into, at, timestampDelta)
  at = writeVarint(into, at, offsetDelta)
  at = key === null ? writeVarint(into, at, -1) : writeText(into, at, key)
  at = writeVarint(into, at, value === null ? -1 : value.length)
  if (value !== null) {
    into.set(value, at)
    at += value.length
  }
  at = writeVarint(into, at, countOf(headers))
  for (const name in headers) at = writeText(into, writeText(into, at, name), (headers as Headers)[name] as string)
  return at
}

/** How much to take of a batch: from which offset, and at most how many records and bytes. */
export interface ReadWindow {
  from: number
  records: number
  bytes: number
}

/** How much of a batch has been decoded: decoding continues from there. */
export interface DecodeProgress {
  bytes: number
  records: number
}

/**
 * Appends the records of a batch that are in the window to `into`, and narrows the window to the rest of it: `from` moves to the next
 * offset to read. The first record is taken however large it is. Values are views of the batch's bytes.
 *
 * @param passed where to start; updated to where decoding stopped
 * @throws RangeError when the bytes are not such a batch.
 */
export function decodeRecords(
  where: TopicPartition,
  batch: EncodedBatch,
  window: ReadWindow,
  into: LogRecord[],
  passed: DecodeProgress = { bytes: 0, records: 0 },
): void {
  const { topic, partition } = where
  const { blob, baseOffset, firstTimestamp, count, appendTime } = batch
  cursor = passed.bytes
  for (let i = passed.records; i < count; i++) {
    const start = cursor
    passed.bytes = start
    passed.records = i
    const length = readVarint(blob)
    const end = cursor + length
    if (length < 0 || end > blob.length) throw damaged(`record ${i} reaches beyond the ${blob.length} bytes`)
    cursor++ // attributes
    const ownTimestamp = firstTimestamp + readVarint(blob)
    const timestamp = appendTime ?? ownTimestamp
    const offset = baseOffset + readVarint(blob)
    if (offset < window.from) {
      cursor = end
      continue
    }
    const bytes = end - start
    if (window.records <= 0) return
    if (bytes > window.bytes && into.length > 0) {
      window.bytes = 0
      return
    }
    const key = readText(blob)
    const valueLength = readVarint(blob)
    const value = valueLength < 0 ? null : blob.subarray(cursor, cursor + valueLength)
    if (value !== null) cursor += valueLength
    const headers = readHeaders(blob)
    if (cursor !== end) throw damaged(`record ${i} has ${end - start} bytes but its fields take ${cursor - start}`)
    into.push({ topic, partition, offset, timestamp, key, value, headers })
    window.from = offset + 1
    window.records--
    window.bytes -= bytes
  }
  if (cursor !== blob.length) throw damaged(`${blob.length - cursor} bytes follow the last of ${count} records`)
  passed.bytes = cursor
  passed.records = count
  window.from = Math.max(window.from, batch.lastOffset + 1)
}

function damaged(what: string): RangeError {
  return new RangeError(`not a batch of records: ${what}`)
}

function countOf(headers: Headers | undefined): number {
  let count = 0
  for (const _ in headers) count++
  return count
}

function lengthOf({ key, value, headers }: Payload, timestampDelta: number, offsetDelta: number): number {
  let length = 1 + varintBytes(timestampDelta) + varintBytes(offsetDelta)
  length += key === null ? 1 : textBytes(key)
  length += value === null ? 1 : varintBytes(value.length) + value.length
  length += varintBytes(countOf(headers))
  for (const name in headers) length += textBytes(name) + textBytes((headers as Headers)[name] as string)
  return length
}

/** Length in UTF-8. Short ASCII, as keys are, is counted here, which is cheaper than a call. */
function utf8Bytes(text: string): number {
  if (text.length > SHORT) return Buffer.byteLength(text)
  for (let i = 0; i < text.length; i++) if (text.charCodeAt(i) >= 0x80) return Buffer.byteLength(text)
  return text.length
}
const SHORT = 64

function textBytes(text: string): number {
  const length = utf8Bytes(text)
  return varintBytes(length) + length
}

function writeText(into: Buffer, at: number, text: string): number {
  const length = utf8Bytes(text)
  const start = writeVarint(into, at, length)
  if (length === text.length && length <= SHORT) {
    for (let i = 0; i < length; i++) into[start + i] = text.charCodeAt(i)
  } else into.write(text, start, length, 'utf8')
  return start + length
}

/** Numbers up to ±2^52: by division, since bit operators would cut them to 32 bits. */
function zigzag(n: number): number {
  return n >= 0 ? n * 2 : n * -2 - 1
}

function varintBytes(n: number): number {
  let rest = zigzag(n)
  let bytes = 1
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) bytes++
  return bytes
}

function writeVarint(into: Buffer, start: number, n: number): number {
  let at = start
  let rest = zigzag(n)
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) into[at++] = (rest % 0x80) | 0x80
  into[at++] = rest
  return at
}

/** Position in the bytes being decoded. Decoding is synchronous, so one for all is enough. */
let cursor = 0

function readVarint(from: Buffer): number {
  let byte = from[cursor++] as number
  let rest = byte & 0x7f
  for (let scale = 0x80; byte >= 0x80; scale *= 0x80) {
    byte = from[cursor++] as number
    if (scale > 2 ** 49) throw damaged(`a number at byte ${cursor} is too long`)
    rest += (byte & 0x7f) * scale
  }
  return rest % 2 === 0 ? rest / 2 : -(rest + 1) / 2
}

function readText(from: Buffer): string | null {
  const length = readVarint(from)
  if (length < 0) return null
  const start = cursor
  cursor += length
  return from.toString('utf8', start, cursor)
}

function readHeaders(from: Buffer): Headers {
  const count = readVarint(from)
  if (count === 0) return NO_HEADERS
  if (count < 0 || count > from.length) throw damaged(`${count} headers`)
  const headers = Object.create(null) as Record<string, string>
  for (let i = 0; i < count; i++) {
    const name = readText(from) ?? ''
    headers[name] = readText(from) ?? ''
  }
  return headers
}

/** The types of Kafka's protocol on the wire (https://kafka.apache.org/protocol#protocol_types): written into, and read from, buffers. */
import type { TopicPartition } from '../log.ts'
import type { Call, Encoded } from './hardening.ts'

/** In front of a request's body: size 4, api key 2, version 2, correlation id 4, client id 2 + up to 114. */
const FRAME_BYTES = 128

/** From this size on, copying bytes costs more than sending them as a piece of their own. */
export const LARGE_BYTES = 4 * 1024

/** Writes a request into a growing buffer, with room in front for the frame. Large byte strings are not copied, but sent as pieces in between. */
export class Writer implements Encoded {
  readonly #pieces: Buffer[] = []
  #buffer: Buffer
  /** Where the current piece starts. */
  #from = 0
  #at = FRAME_BYTES

  constructor(size = 256) {
    this.#buffer = Buffer.allocUnsafe(FRAME_BYTES + size)
  }
  /** The whole request: size, header, body. Can be called again with another correlation id. */
  frame(apiKey: number, apiVersion: number, correlationId: number, clientId: string): Buffer[] {
    const id = Buffer.from(clientId)
    const start = FRAME_BYTES - 14 - id.length
    if (start < 0) throw new RangeError(`a client id of ${id.length} bytes; the limit is ${FRAME_BYTES - 14}`)
    const last = this.#buffer.subarray(this.#from, this.#at)
    const [first = last, ...others] = [...this.#pieces, last]
    const size = others.reduce((sum, piece) => sum + piece.length, first.length) - start - 4
    first.writeInt32BE(size, start)
    first.writeInt16BE(apiKey, start + 4)
    first.writeInt16BE(apiVersion, start + 6)
    first.writeInt32BE(correlationId, start + 8)
    first.writeInt16BE(id.length, start + 12)
    id.copy(first, start + 14)
    return [first.subarray(start), ...others]
  }
  int8(n: number): this {
    this.#room(1)
    this.#at = this.#buffer.writeInt8(n, this.#at)
    return this
  }
  int16(n: number): this {
    this.#room(2)
    this.#at = this.#buffer.writeInt16BE(n, this.#at)
    return this
  }
  int32(n: number): this {
    this.#room(4)
    this.#at = this.#buffer.writeInt32BE(n, this.#at)
    return this
  }
  int64(n: bigint | number): this {
    this.#room(8)
    this.#at = this.#buffer.writeBigInt64BE(BigInt(n), this.#at)
    return this
  }
  uvarint(n: number): this {
    this.#room(5)
    let rest = n
    for (; rest >= 0x80; rest >>>= 7) this.#buffer[this.#at++] = (rest & 0x7f) | 0x80
    this.#buffer[this.#at++] = rest
    return this
  }
  bytes(bytes: Buffer): this {
    if (bytes.length >= LARGE_BYTES) {
      this.#pieces.push(this.#buffer.subarray(this.#from, this.#at), bytes)
      this.#from = this.#at
      return this
    }
    this.#room(bytes.length)
    this.#buffer.set(bytes, this.#at)
    this.#at += bytes.length
    return this
  }
  text(text: string | null): this {
    if (text === null) return this.int16(-1)
    const bytes = Buffer.from(text)
    return this.int16(bytes.length).bytes(bytes)
  }
  compactText(text: string | null): this {
    if (text === null) return this.uvarint(0)
    const bytes = Buffer.from(text)
    return this.uvarint(bytes.length + 1).bytes(bytes)
  }
  array<T>(items: readonly T[], write: (item: T) => void): this {
    this.int32(items.length)
    for (const item of items) write(item)
    return this
  }
  /** A compact array of structs, each ending with no tagged fields. */
  compactArray<T>(items: readonly T[], write: (item: T) => void): this {
    this.uvarint(items.length + 1)
    for (const item of items) {
      write(item)
      this.noTags()
    }
    return this
  }
  noTags(): this {
    return this.uvarint(0)
  }
  #room(bytes: number): void {
    if (this.#at + bytes <= this.#buffer.length) return
    const larger = Buffer.allocUnsafe(Math.max(this.#buffer.length * 2, this.#at + bytes))
    this.#buffer.copy(larger, 0, 0, this.#at)
    this.#buffer = larger
  }
}

export class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }
  int16(): number {
    const n = this.#bytes.readInt16BE(this.#at)
    this.#at += 2
    return n
  }
  int32(): number {
    const n = this.#bytes.readInt32BE(this.#at)
    this.#at += 4
    return n
  }
  int64(): bigint {
    const n = this.#bytes.readBigInt64BE(this.#at)
    this.#at += 8
    return n
  }
  uvarint(): number {
    let n = 0
    for (let shift = 0; ; shift += 7) {
      const byte = this.#bytes.readUInt8(this.#at++)
      n += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return n
    }
  }
  take(length: number): Buffer {
    const bytes = this.#bytes.subarray(this.#at, this.#at + length)
    this.#at += length
    return bytes
  }
  text(): string {
    return this.take(this.int16()).toString()
  }
  compactText(): string {
    return this.take(Math.max(0, this.uvarint() - 1)).toString()
  }
  array<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.int32()) }, read)
  }
  compactArray<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.uvarint() - 1) }, () => {
      const item = read()
      this.tags()
      return item
    })
  }
  tags(): void {
    for (let n = this.uvarint(); n > 0; n--) {
      this.uvarint()
      this.take(this.uvarint())
    }
  }
}

interface Api {
  readonly apiKey: number
  readonly apiVersion: number
  readonly apiName: string
}

export function call<T>(api: Api, write: () => Writer, read: (reader: Reader) => T, requestTimeout?: number): Call<T> {
  return {
    request: { ...api, expectResponse: () => true, encode: async () => write() },
    response: {
      // kafkajs reads `clientSideThrottleTime` of the decoded response.
      decode: async raw => ({ clientSideThrottleTime: 0, body: read(new Reader(raw)) }),
      parse: async decoded => (decoded as { body: T }).body,
    },
    logResponseError: false,
    ...(requestTimeout === undefined ? {} : { requestTimeout }),
  }
}

export function byTopic<T extends TopicPartition>(items: readonly T[]): { topic: string; items: T[] }[] {
  const topics = new Map<string, T[]>()
  for (const item of items) {
    const of = topics.get(item.topic)
    if (of === undefined) topics.set(item.topic, [item])
    else of.push(item)
  }
  return [...topics].map(([topic, items]) => ({ topic, items }))
}

/**
 * As much of Kafka's protocol as it takes to put something else into an answer (https://kafka.apache.org/protocol). A frame is a
 * request or an answer with its size in front of it; places in it are counted from there.
 */
import type { TopicPartition } from '../../topics/log.ts'

/** A partition within the answer to a Fetch, and where its fields are. */
export interface FetchedPart extends TopicPartition {
  readonly error: number
  /** High watermark, last stable offset. */
  readonly marks: number
  /** Length of its records, four bytes; the records follow. */
  readonly records: number
  /** Bytes of its records. */
  readonly length: number
}

/** A partition within the answer to a Metadata, and where its fields are. */
export interface DescribedPart extends TopicPartition {
  readonly error: number
  readonly leader: number
}

/** A partition within the answer to a Produce, and where its fields are. */
export interface ProducedPart extends TopicPartition {
  readonly error: number
  readonly baseOffset: number
}

/** A partition within a Produce: all of it lies from `from` to `to`, and the number of its neighbours and itself at `among`. */
export interface SentPart extends TopicPartition {
  readonly from: number
  readonly to: number
  readonly among: number
  readonly flexible: boolean
}

/** Fields of a frame, one after the other. */
class Walk {
  readonly bytes: Buffer
  /** Newer versions of a request have short numbers and tags. */
  readonly flexible: boolean
  at: number

  constructor(bytes: Buffer, at: number, flexible = false) {
    this.bytes = bytes
    this.at = at
    this.flexible = flexible
    if (flexible) this.tags()
  }
  skip(length: number): number {
    this.at += length
    return this.at - length
  }
  int16(): number {
    return this.bytes.readInt16BE(this.skip(2))
  }
  int32(): number {
    return this.bytes.readInt32BE(this.skip(4))
  }
  uvarint(): number {
    for (let n = 0, shift = 0; ; shift += 7) {
      const byte = this.bytes.readUInt8(this.skip(1))
      n += (byte & 0x7f) * 2 ** shift
      if (byte < 0x80) return n
    }
  }
  text(): string {
    const length = Math.max(0, this.flexible ? this.uvarint() - 1 : this.int16())
    return this.bytes.toString('utf8', this.skip(length), this.at)
  }
  array<T>(read: () => T): T[] {
    return Array.from({ length: Math.max(0, this.flexible ? this.uvarint() - 1 : this.int32()) }, () => {
      const item = read()
      if (this.flexible) this.tags()
      return item
    })
  }
  /** An array of numbers. */
  numbers(bytesEach: number): void {
    this.skip(Math.max(0, this.flexible ? this.uvarint() - 1 : this.int32()) * bytesEach)
  }
  tags(): void {
    for (let n = this.uvarint(); n > 0; n--) {
      this.uvarint()
      this.skip(this.uvarint())
    }
  }
}

const ANSWER = 8

function expect(what: string, version: number, from: number, to: number): void {
  if (version < from || version > to) throw new Error(`${what} version ${version} is not understood here, ${from} to ${to} are`)
}

export function fetchedParts(answer: Buffer, version: number): FetchedPart[] {
  expect('Fetch', version, 4, 11)
  const w = new Walk(answer, ANSWER)
  w.skip(4) // throttle time
  if (version >= 7) w.skip(6) // error and session
  const topics = w.array(() => {
    const topic = w.text()
    return w.array((): FetchedPart => {
      const partition = w.int32()
      const error = w.skip(2)
      const marks = w.skip(16)
      if (version >= 5) w.skip(8) // start
      w.numbers(16) // aborted transactions
      if (version >= 11) w.skip(4) // preferred replica
      const records = w.at
      const length = Math.max(0, w.int32())
      w.skip(length)
      return { topic, partition, error, marks, records, length }
    })
  })
  return topics.flat()
}

export function describedParts(answer: Buffer, version: number): DescribedPart[] {
  expect('Metadata', version, 1, 12)
  const w = new Walk(answer, ANSWER, version >= 9)
  if (version >= 3) w.skip(4) // throttle time
  w.array(() => {
    w.skip(4)
    w.text()
    w.skip(4)
    w.text() // rack
  })
  if (version >= 2) w.text() // cluster
  w.skip(4) // controller
  const topics = w.array(() => {
    w.skip(2)
    const topic = w.text()
    if (version >= 10) w.skip(16) // its id
    w.skip(1) // internal
    const parts = w.array((): DescribedPart => {
      const error = w.skip(2)
      const partition = w.int32()
      const leader = w.skip(4)
      if (version >= 7) w.skip(4) // epoch
      w.numbers(4) // replicas
      w.numbers(4) // those in sync
      if (version >= 5) w.numbers(4) // those that are offline
      return { topic, partition, error, leader }
    })
    if (version >= 8) w.skip(4) // what is allowed
    return parts
  })
  return topics.flat()
}

export function producedParts(answer: Buffer, version: number): ProducedPart[] {
  expect('Produce', version, 5, 12)
  const w = new Walk(answer, ANSWER, version >= 9)
  const topics = w.array(() => {
    const topic = w.text()
    return w.array((): ProducedPart => {
      const partition = w.int32()
      const error = w.skip(2)
      const baseOffset = w.skip(8)
      w.skip(16) // append time, start
      if (version >= 8) {
        w.array(() => {
          w.skip(4)
          w.text()
        }) // records that are at fault
        w.text() // in words
      }
      return { topic, partition, error, baseOffset }
    })
  })
  return topics.flat()
}

export function sentParts(request: Buffer, version: number): SentPart[] {
  expect('Produce', version, 5, 12)
  const flexible = version >= 9
  const head = new Walk(request, 12)
  head.text() // client
  const w = new Walk(request, head.at, flexible)
  w.text() // transactional id
  w.skip(6) // acknowledgements, time-out
  const topics = w.array(() => {
    const topic = w.text()
    const among = w.at
    return w.array((): SentPart => {
      const from = w.at
      const partition = w.int32()
      w.skip(Math.max(0, flexible ? w.uvarint() - 1 : w.int32()))
      // Its tags are its own.
      const to = new Walk(request, w.at, flexible).at
      return { topic, partition, from, to, among, flexible }
    })
  })
  return topics.flat()
}

/** The frame with other bytes from one place to another. */
export function spliced(frame: Buffer, from: number, to: number, by: Buffer): Buffer {
  const made = Buffer.concat([frame.subarray(0, from), by, frame.subarray(to)])
  made.writeInt32BE(made.length - 4, 0)
  return made
}

/** The answer to a Fetch, with nothing but an error for this partition. */
export function withFetchError(answer: Buffer, part: FetchedPart, code: number): Buffer {
  const changed = spliced(answer, part.records, part.records + 4 + part.length, Buffer.alloc(4))
  changed.writeInt16BE(code, part.error)
  changed.writeBigInt64BE(-1n, part.marks)
  changed.writeBigInt64BE(-1n, part.marks + 8)
  return changed
}

/** The answer to a Fetch, with these records for this partition. */
export function withRecords(answer: Buffer, part: FetchedPart, records: Buffer): Buffer {
  const length = Buffer.alloc(4)
  length.writeInt32BE(records.length)
  return spliced(answer, part.records, part.records + 4 + part.length, Buffer.concat([length, records]))
}

/** The Produce without this partition: the broker never hears of that batch. */
export function withoutPart(request: Buffer, { from, to, among, flexible }: SentPart): Buffer {
  return counted(spliced(request, from, to, NOTHING), among, -1, flexible)
}

/** The answer to a Produce, with one partition more, that was not appended to. */
export function withRefusal(answer: Buffer, version: number, { topic, partition }: TopicPartition, code: number): Buffer {
  const flexible = version >= 9
  const name = Buffer.from(topic)
  const part = Buffer.alloc(30, 0xff)
  part.writeInt32BE(partition, 0)
  part.writeInt16BE(code, 4)
  const entry = flexible
    ? [uvarint(name.length + 1), name, uvarint(2), part, Buffer.from([1, 0, 0]), NO_TAGS] // no records, no words, no tags
    : [number(2, name.length), name, number(4, 1), part]
  const topics = new Walk(answer, ANSWER, flexible).at
  const count = new Walk(answer, topics)
  if (flexible) count.uvarint()
  else count.int32()
  return counted(spliced(answer, count.at, count.at, Buffer.concat(entry)), topics, 1, flexible)
}

const NOTHING = Buffer.alloc(0)
const NO_TAGS = Buffer.alloc(1)

/** The frame with the number of an array at this place so much more. */
function counted(frame: Buffer, at: number, more: number, flexible: boolean): Buffer {
  const w = new Walk(frame, at)
  const count = (flexible ? w.uvarint() : w.int32()) + more
  return spliced(frame, at, w.at, flexible ? uvarint(count) : number(4, count))
}

function number(bytes: 2 | 4, n: number): Buffer {
  const made = Buffer.alloc(bytes)
  made.writeIntBE(n, 0, bytes)
  return made
}

function uvarint(n: number): Buffer {
  const bytes: number[] = []
  let rest = n
  for (; rest >= 0x80; rest >>>= 7) bytes.push((rest & 0x7f) | 0x80)
  return Buffer.from([...bytes, rest])
}

/**
 * Audit events of answers that the log does not have yet. Two files per process: one is written while the other is appended to the
 * log.
 *
 *   answers ─▶ write(2) ─▶ a          b ─▶ log ─▶ truncated
 *                          └─ rotate ─▶┘
 *
 * What was written is in the page cache, and so survives the process however it ends. It is not synced to disk; the log's append is.
 * Each frame has a checksum, so that a frame torn by a machine failure is detected. The next process that starts on the folder
 * recovers what is left.
 */
import { closeSync, existsSync, ftruncateSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Lock, lockFile } from '../../topics/lock.ts'
import { LogError } from '../../topics/log.ts'

/** Log end offsets by partition, taken before a file's first event was written: its events lie at these offsets or later. */
export type Ends = Readonly<Record<string, number>>

/** The events that an ended process left in one of its files. */
export interface Leftover {
  readonly ends: Ends
  readonly values: readonly Buffer[]
  /** Bytes after the last intact frame. */
  readonly damagedBytes: number
}

const HEADER_BYTES = 8
const LENGTH_BYTES = 4

export class Journal {
  readonly leftovers: readonly Leftover[]
  readonly #lock: Lock
  readonly #others: readonly Lock[]
  readonly #old: Segment[]
  #current: Segment
  #other: Segment
  #ends: Ends

  /**
   * Several processes may share the folder: each has its own files, and recovers those of ended processes.
   * @param ends the current log end offsets
   */
  constructor(folder: string, ends: Ends) {
    mkdirSync(folder, { recursive: true, mode: 0o700 })
    const slots = readdirSync(folder).flatMap(name => /^(\d+)\.lock$/.exec(name)?.[1] ?? [])
    const free = slots.flatMap(slot => {
      const lock = tryLock(folder, slot)
      return lock === null ? [] : [{ slot, lock }]
    })
    const [own = newSlot(folder), ...others] = free
    this.#lock = own.lock
    this.#others = others.map(({ lock }) => lock)
    const segments = (slot: string) => ['a', 'b'].map(name => new Segment(join(folder, `${slot}.${name}`)))
    const mine = segments(own.slot) as [Segment, Segment]
    this.#old = [...mine, ...others.flatMap(({ slot }) => segments(slot))]
    this.leftovers = this.#old.flatMap(segment => segment.read() ?? [])
    ;[this.#current, this.#other] = mine
    this.#ends = ends
  }

  /** Call once all leftovers are in the log, and before the first append. */
  start(): void {
    for (const segment of this.#old.splice(0)) {
      segment.empty()
      if (segment !== this.#current && segment !== this.#other) segment.close()
    }
    for (const lock of this.#others) lock.release()
  }

  /** The values survive the process once this returns. @throws if they cannot be written; then none of them is */
  append(values: readonly Buffer[]): void {
    if (this.#current.length === 0) this.#current.append([Buffer.from(JSON.stringify(this.#ends))])
    this.#current.append(values)
  }

  /** Later appends go to the other file, which must be empty. */
  rotate(ends: Ends): void {
    ;[this.#current, this.#other] = [this.#other, this.#current]
    this.#ends = ends
  }

  /** The log has everything that was appended before the last rotation. */
  discardRotated(): void {
    this.#other.empty()
  }

  close(): void {
    this.#current.close()
    this.#other.close()
    this.#lock.release()
  }
}

/** A file of frames: length, checksum, then values, each with its length. The first frame holds the end offsets. */
class Segment {
  length = 0
  readonly #fd: number

  constructor(file: string) {
    this.#fd = openSync(file, existsSync(file) ? 'r+' : 'w+', 0o600)
    this.length = fstatSync(this.#fd).size
  }

  append(values: readonly Buffer[]): void {
    const frame = encode(values)
    try {
      const written = writeSync(this.#fd, frame, 0, frame.length, this.length)
      if (written < frame.length) throw new Error(`wrote only ${written} of ${frame.length} bytes`)
    } catch (error) {
      ftruncateSync(this.#fd, this.length)
      throw error
    }
    this.length += frame.length
  }

  read(): Leftover | null {
    const bytes = Buffer.alloc(this.length)
    readSync(this.#fd, bytes, 0, bytes.length, 0)
    const frames: Buffer[][] = []
    let at = 0
    for (let frame = decode(bytes, at); frame !== null; frame = decode(bytes, at)) {
      frames.push(frame.values)
      at = frame.next
    }
    const [head, ...rest] = frames
    if (bytes.length === 0) return null
    const ends = head === undefined ? {} : (JSON.parse(String(head[0])) as Ends)
    return { ends, values: rest.flat(), damagedBytes: bytes.length - at }
  }

  empty(): void {
    if (this.length > 0) ftruncateSync(this.#fd, 0)
    this.length = 0
  }

  close(): void {
    closeSync(this.#fd)
  }
}

function encode(values: readonly Buffer[]): Buffer {
  let size = HEADER_BYTES
  for (const value of values) size += LENGTH_BYTES + value.length
  const frame = Buffer.allocUnsafe(size)
  let at = HEADER_BYTES
  for (const value of values) {
    frame.writeUInt32BE(value.length, at)
    at += LENGTH_BYTES + value.copy(frame, at + LENGTH_BYTES)
  }
  frame.writeUInt32BE(size - HEADER_BYTES, 0)
  frame.writeUInt32BE(crc32(frame.subarray(HEADER_BYTES)), LENGTH_BYTES)
  return frame
}

/** Null at the end of the file, and for a torn frame. */
function decode(bytes: Buffer, start: number): { values: Buffer[]; next: number } | null {
  if (start + HEADER_BYTES > bytes.length) return null
  const next = start + HEADER_BYTES + bytes.readUInt32BE(start)
  if (next > bytes.length || crc32(bytes.subarray(start + HEADER_BYTES, next)) !== bytes.readUInt32BE(start + LENGTH_BYTES))
    return null
  const values: Buffer[] = []
  for (let at = start + HEADER_BYTES; at < next; ) {
    const end = at + LENGTH_BYTES + bytes.readUInt32BE(at)
    values.push(bytes.subarray(at + LENGTH_BYTES, end))
    at = end
  }
  return { values, next }
}

function newSlot(folder: string): { slot: string; lock: Lock } {
  for (let n = 0; ; n++) {
    const lock = tryLock(folder, String(n))
    if (lock !== null) return { slot: String(n), lock }
  }
}

/** Null if a running process holds it. */
function tryLock(folder: string, slot: string): Lock | null {
  try {
    return lockFile(join(folder, `${slot}.lock`))
  } catch (error) {
    if (error instanceof LogError && error.code === 'locked') return null
    throw error
  }
}

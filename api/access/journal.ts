/**
 * What the audit trail says of answers and the log does not have yet: two files of this process, of which one is written while the log
 * takes what is in the other.
 *
 *   answers ─▶ write(2) ─▶ a        b ─▶ log ─▶ emptied
 *                          └─ turn ─▶┘
 *
 * What was written has reached the system: it outlives the process however that ends. It is not synced: that the log's append is. A
 * frame has a checksum, so that one which a machine lost half of is known. Whoever starts next on the folder finds what is left.
 */
import { closeSync, existsSync, ftruncateSync, fstatSync, mkdirSync, openSync, readdirSync, readSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { crc32 } from 'node:zlib'
import { type Lock, lockFile } from '../../topics/lock.ts'
import { LogError } from '../../topics/log.ts'

/** Next offsets of the topic by partition, when the first of a file was written: what the log has of it lies behind. */
export type Ends = Readonly<Record<string, number>>

/** What a process that has ended left. */
export interface Left {
  readonly ends: Ends
  readonly values: readonly Buffer[]
  /** Bytes behind the last good frame. */
  readonly damaged: number
}

const HEAD = 8
const LENGTH = 4

export class Journal {
  readonly left: readonly Left[]
  readonly #lock: Lock
  readonly #others: readonly Lock[]
  readonly #old: Segment[]
  #current: Segment
  #other: Segment
  #ends: Ends

  /**
   * Several processes may share the folder: each has files of its own in it, and takes over what ended ones have left.
   * @param ends of the topic now
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
    this.left = this.#old.flatMap(segment => segment.read() ?? [])
    ;[this.#current, this.#other] = mine
    this.#ends = ends
  }

  /** To be called once all that was left is in the log. Nothing is kept before. */
  begin(): void {
    for (const segment of this.#old.splice(0)) {
      segment.empty()
      if (segment !== this.#current && segment !== this.#other) segment.close()
    }
    for (const lock of this.#others) lock.release()
  }

  /** Outlives the process once it returns. @throws when it cannot be written: then nothing of it is there */
  keep(values: readonly Buffer[]): void {
    if (this.#current.length === 0) this.#current.append([Buffer.from(JSON.stringify(this.#ends))])
    this.#current.append(values)
  }

  /** What comes from now on goes to the other file, which has to be empty. */
  turn(ends: Ends): void {
    ;[this.#current, this.#other] = [this.#other, this.#current]
    this.#ends = ends
  }

  /** The log has all of what was kept before the last turn. */
  taken(): void {
    this.#other.empty()
  }

  close(): void {
    this.#current.close()
    this.#other.close()
    this.#lock.release()
  }
}

/** A file of frames: length, checksum, then values each with its length. The first frame has the ends. */
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
      if (written < frame.length) throw new Error(`only ${written} of ${frame.length} bytes could be written`)
    } catch (error) {
      ftruncateSync(this.#fd, this.length)
      throw error
    }
    this.length += frame.length
  }

  read(): Left | null {
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
    return { ends, values: rest.flat(), damaged: bytes.length - at }
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
  let size = HEAD
  for (const value of values) size += LENGTH + value.length
  const frame = Buffer.allocUnsafe(size)
  let at = HEAD
  for (const value of values) {
    frame.writeUInt32BE(value.length, at)
    at += LENGTH + value.copy(frame, at + LENGTH)
  }
  frame.writeUInt32BE(size - HEAD, 0)
  frame.writeUInt32BE(crc32(frame.subarray(HEAD)), LENGTH)
  return frame
}

/** Null at the end, and for a frame of which not all is there. */
function decode(bytes: Buffer, start: number): { values: Buffer[]; next: number } | null {
  if (start + HEAD > bytes.length) return null
  const next = start + HEAD + bytes.readUInt32BE(start)
  if (next > bytes.length || crc32(bytes.subarray(start + HEAD, next)) !== bytes.readUInt32BE(start + LENGTH)) return null
  const values: Buffer[] = []
  for (let at = start + HEAD; at < next; ) {
    const end = at + LENGTH + bytes.readUInt32BE(at)
    values.push(bytes.subarray(at + LENGTH, end))
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

/** Null where a living process has it. */
function tryLock(folder: string, slot: string): Lock | null {
  try {
    return lockFile(join(folder, `${slot}.lock`))
  } catch (error) {
    if (error instanceof LogError && error.code === 'locked') return null
    throw error
  }
}

/**
 * Attempts that have left: a set that outlives the process. One line an event, written before it counts and left to the
 * operating system to keep, so that a note costs microseconds. What a crash of the machine may lose is of no account: another
 * boot is another owner, of which nothing is said.
 *
 *   #<owner> <epoch>              whose notes these are, and how often they were written anew
 *   +<attempt>  has left          -<attempt>  its end is known
 *
 * That an attempt is not in the file says that it never left; so a file that is not the one last written is worse than none.
 * How far it was written stands beside (`.mark`) and, as of its last write, in the store.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { Retryable } from './errors.ts'

/** Lines beyond those needed after which the file is written anew. */
const SLACK = 20_000

/** How far the notes were written. */
export interface Mark {
  readonly epoch: number
  readonly bytes: number
}

export class Notes {
  readonly #path: string
  readonly #owner: string
  readonly #noted: Set<string>
  readonly #markFile: number
  /** Ends that could not be written yet. Without them an attempt counts as left, which is safe. */
  #owed = ''
  #file: number
  #epoch: number
  #bytes: number
  #lines: number
  #closed = false

  private constructor(path: string, owner: string, found: Found) {
    this.#path = path
    this.#owner = owner
    this.#noted = found.noted
    this.#epoch = found.epoch
    this.#bytes = found.bytes
    this.#lines = found.lines
    this.#file = openSync(path, 'r+')
    try {
      this.#markFile = openSync(markPath(path), constants.O_RDWR | constants.O_CREAT, 0o600)
      this.#writeMark(this.#bytes)
    } catch (error) {
      closeSync(this.#file)
      throw error
    }
  }

  /** The notes of this owner, or null when they are not, or not all, what it last wrote. @throws when they cannot be read */
  static open(path: string, owner: string, known: Mark): Notes | null {
    const found = read(path)
    const beside = parseMark(readFile(markPath(path)).toString())
    if (found === null || found.owner !== owner || beside === null) return null
    if (isBefore(found, known) || isBefore(found, beside)) return null
    return new Notes(path, owner, found)
  }

  /** Notes of a new owner. What others have noted stays: an attempt that has left once may do so again. */
  static create(path: string, owner: string): Notes {
    // As before there were headers, the first line may be a note.
    const { noted } = parse(Buffer.concat([Buffer.from('\n'), readFile(path)]))
    rmSync(markPath(path), { force: true })
    const { file, bytes } = writeAnew(path, owner, 1, noted)
    closeSync(file)
    return new Notes(path, owner, { owner, epoch: 1, bytes, noted, lines: noted.size })
  }

  get mark(): Mark {
    return { epoch: this.#epoch, bytes: this.#bytes }
  }

  has(attempt: string): boolean {
    return this.#noted.has(attempt)
  }

  /** @throws {Retryable} `note` when it could not be written; then it does not count. */
  add(attempt: string): void {
    if (this.#noted.has(attempt)) return
    try {
      this.#write(`+${attempt}\n`)
    } catch (error) {
      throw new Retryable('note', `${this.#path}: "${attempt} has left" could not be written: ${(error as Error).message}`, {
        cause: error,
      })
    }
    this.#noted.add(attempt)
    this.#shorten()
  }

  /** Does not fail: an end that cannot be written is written with the next line. */
  delete(attempt: string): void {
    if (!this.#noted.delete(attempt)) return
    const line = `-${attempt}\n`
    try {
      this.#write(line)
    } catch {
      this.#owed += line
      return
    }
    this.#shorten()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true // before the descriptors may be those of other files
    closeSync(this.#file)
    closeSync(this.#markFile)
  }

  /** At the place where the last good line ends: what a failed write leaves behind is removed, or overwritten by the next. */
  #write(line: string): void {
    if (this.#closed) throw new Error('it is closed')
    const text = this.#owed + line
    try {
      const end = writeAll(this.#file, text, this.#bytes)
      this.#writeMark(end)
      this.#bytes = end
    } catch (error) {
      ftruncateSync(this.#file, this.#bytes)
      throw error
    }
    this.#owed = ''
    this.#lines++
  }

  #writeMark(bytes: number): void {
    writeAll(this.#markFile, markText({ epoch: this.#epoch, bytes }), 0)
  }

  /** Writes the file anew when it has grown. Where that fails the old one stays in use. */
  #shorten(): void {
    if (this.#lines < this.#noted.size + SLACK) return
    this.#lines = this.#noted.size
    let anew: { file: number; bytes: number }
    try {
      anew = writeAnew(this.#path, this.#owner, this.#epoch + 1, this.#noted)
    } catch {
      return // it has grown by as much again before the next attempt
    }
    const old = this.#file
    this.#file = anew.file
    this.#bytes = anew.bytes
    this.#epoch++
    this.#owed = ''
    closeSync(old)
  }
}

interface Found extends Mark {
  readonly owner: string
  readonly noted: Set<string>
  readonly lines: number
}

/** Null when it is not a file of notes. A last line cut short belongs to a note that was never relied on. */
function read(path: string): Found | null {
  const content = readFile(path)
  const { header, events, noted, clean } = parse(content)
  const [, owner, epoch] = /^#(\S+) (\d+)$/.exec(header) ?? []
  if (!clean || owner === undefined) return null
  return { owner, epoch: Number(epoch), bytes: content.lastIndexOf('\n') + 1, noted, lines: events }
}

function parse(content: Buffer) {
  const [header = '', ...events] = content.toString().split('\n').slice(0, -1)
  const noted = new Set<string>()
  let clean = true
  for (const line of events) {
    if (line.startsWith('+')) noted.add(line.slice(1))
    else if (line.startsWith('-')) noted.delete(line.slice(1))
    else clean = false
  }
  return { header, events: events.length, noted, clean }
}

/** Empty when it is not there. */
function readFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

function isBefore(a: Mark, b: Mark): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.bytes < b.bytes)
}

/** The old file stays until the new one is whole. */
function writeAnew(path: string, owner: string, epoch: number, noted: ReadonlySet<string>): { file: number; bytes: number } {
  const made = `${path}.new`
  const file = openSync(made, 'w+', 0o600)
  try {
    const bytes = writeAll(file, `#${owner} ${epoch}\n${[...noted].map(attempt => `+${attempt}\n`).join('')}`, 0)
    renameSync(made, path)
    return { file, bytes }
  } catch (error) {
    closeSync(file)
    rmSync(made, { force: true })
    throw error
  }
}

/** All of the text at this place; the system may take it in pieces. Returns where it ends. */
function writeAll(file: number, text: string, at: number): number {
  const bytes = Buffer.from(text)
  for (let done = 0; done < bytes.length; ) {
    const written = writeSync(file, bytes, done, bytes.length - done, at + done)
    if (written === 0) throw new Error('the system takes nothing')
    done += written
  }
  return at + bytes.length
}

function markPath(path: string): string {
  return `${path}.mark`
}

/** Of one length, so that it is overwritten in one place. */
export function markText({ epoch, bytes }: Mark): string {
  return `${String(epoch).padStart(12, '0')} ${String(bytes).padStart(16, '0')}\n`
}

export function parseMark(text: string | null | undefined): Mark | null {
  const [, epoch, bytes] = /^(\d{12}) (\d{16})\n$/.exec(text ?? '') ?? []
  return epoch === undefined ? null : { epoch: Number(epoch), bytes: Number(bytes) }
}

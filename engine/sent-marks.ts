/**
 * Attempts whose requests may have been sent: a set that outlives the process. One line per event, written before the mark counts;
 * it is not synced, so that a mark costs microseconds. A crash of the machine may lose marks, which does no harm: another boot is
 * another owner, and no mark of it means nothing.
 *
 *   #<owner> <epoch>              owner of the marks, and how often the file was rewritten
 *   +<attempt>  may be sent       -<attempt>  its end is known
 *
 * An attempt that is not in the file was never sent; so a file other than the one last written must not be trusted. Its extent is kept
 * beside it (`.mark`) and, as of the last write there, in the store.
 */
import { closeSync, constants, ftruncateSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs'
import { Retryable } from './errors.ts'

/** Superfluous lines after which the file is rewritten. */
const MAX_SUPERFLUOUS_LINES = 20_000

/** How much of the file is written. */
export interface Extent {
  readonly epoch: number
  readonly bytes: number
}

export class SentMarks {
  readonly #path: string
  readonly #owner: string
  readonly #sent: Set<string>
  readonly #extentFile: number
  /** Ends that could not be written yet. Without them an attempt counts as sent, which is safe. */
  #unwritten = ''
  #file: number
  #epoch: number
  #bytes: number
  #lines: number
  #closed = false

  private constructor(path: string, owner: string, found: Found) {
    this.#path = path
    this.#owner = owner
    this.#sent = found.sent
    this.#epoch = found.epoch
    this.#bytes = found.bytes
    this.#lines = found.lines
    this.#file = openSync(path, 'r+')
    try {
      this.#extentFile = openSync(extentPath(path), constants.O_RDWR | constants.O_CREAT, 0o600)
      this.#writeExtent(this.#bytes)
    } catch (error) {
      closeSync(this.#file)
      throw error
    }
  }

  /** The marks of this owner; null if they are not exactly what it last wrote. @throws if they cannot be read */
  static open(path: string, owner: string, known: Extent): SentMarks | null {
    const found = read(path)
    const beside = parseExtent(readFile(extentPath(path)).toString())
    if (found === null || found.owner !== owner || beside === null) return null
    if (isBefore(found, known) || isBefore(found, beside)) return null
    return new SentMarks(path, owner, found)
  }

  /** Marks of a new owner. Those of others stay: an attempt that was sent once may be sent again. */
  static create(path: string, owner: string): SentMarks {
    // A file from before there were headers begins with a mark.
    const { sent } = parse(Buffer.concat([Buffer.from('\n'), readFile(path)]))
    rmSync(extentPath(path), { force: true })
    const { file, bytes } = rewrite(path, owner, 1, sent)
    closeSync(file)
    return new SentMarks(path, owner, { owner, epoch: 1, bytes, sent, lines: sent.size })
  }

  get extent(): Extent {
    return { epoch: this.#epoch, bytes: this.#bytes }
  }

  has(attempt: string): boolean {
    return this.#sent.has(attempt)
  }

  /** @throws {Retryable} `note` if it could not be written; then it does not count */
  add(attempt: string): void {
    if (this.#sent.has(attempt)) return
    try {
      this.#write(`+${attempt}\n`)
    } catch (error) {
      const why = `${this.#path}: cannot mark attempt ${attempt} as sent: ${(error as Error).message}`
      throw new Retryable('note', why, { cause: error })
    }
    this.#sent.add(attempt)
    this.#shorten()
  }

  /** Does not throw: an end that cannot be written is written with the next line. */
  delete(attempt: string): void {
    if (!this.#sent.delete(attempt)) return
    const line = `-${attempt}\n`
    try {
      this.#write(line)
    } catch {
      this.#unwritten += line
      return
    }
    this.#shorten()
  }

  close(): void {
    if (this.#closed) return
    this.#closed = true // first, because the descriptors may soon be those of other files
    closeSync(this.#file)
    closeSync(this.#extentFile)
  }

  /** Writes where the last good line ends: the remains of a failed write are removed, or overwritten by the next. */
  #write(line: string): void {
    if (this.#closed) throw new Error('the file is closed')
    const text = this.#unwritten + line
    try {
      const end = writeAll(this.#file, text, this.#bytes)
      this.#writeExtent(end)
      this.#bytes = end
    } catch (error) {
      ftruncateSync(this.#file, this.#bytes)
      throw error
    }
    this.#unwritten = ''
    this.#lines++
  }

  #writeExtent(bytes: number): void {
    writeAll(this.#extentFile, extentText({ epoch: this.#epoch, bytes }), 0)
  }

  /** Rewrites the file once it has grown. If that fails the old one stays in use. */
  #shorten(): void {
    if (this.#lines < this.#sent.size + MAX_SUPERFLUOUS_LINES) return
    this.#lines = this.#sent.size
    let rewritten: { file: number; bytes: number }
    try {
      rewritten = rewrite(this.#path, this.#owner, this.#epoch + 1, this.#sent)
    } catch {
      return // tried again once it has grown by as much again
    }
    const old = this.#file
    this.#file = rewritten.file
    this.#bytes = rewritten.bytes
    this.#epoch++
    this.#unwritten = ''
    closeSync(old)
  }
}

interface Found extends Extent {
  readonly owner: string
  readonly sent: Set<string>
  readonly lines: number
}

/** Null if it is not a file of marks. A truncated last line belongs to a mark that was never relied on. */
function read(path: string): Found | null {
  const content = readFile(path)
  const { header, events, sent, clean } = parse(content)
  const [, owner, epoch] = /^#(\S+) (\d+)$/.exec(header) ?? []
  if (!clean || owner === undefined) return null
  return { owner, epoch: Number(epoch), bytes: content.lastIndexOf('\n') + 1, sent, lines: events }
}

function parse(content: Buffer) {
  const [header = '', ...events] = content.toString().split('\n').slice(0, -1)
  const sent = new Set<string>()
  let clean = true
  for (const line of events) {
    if (line.startsWith('+')) sent.add(line.slice(1))
    else if (line.startsWith('-')) sent.delete(line.slice(1))
    else clean = false
  }
  return { header, events: events.length, sent, clean }
}

/** Empty if there is no such file. */
function readFile(path: string): Buffer {
  try {
    return readFileSync(path)
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return Buffer.alloc(0)
    throw error
  }
}

function isBefore(a: Extent, b: Extent): boolean {
  return a.epoch < b.epoch || (a.epoch === b.epoch && a.bytes < b.bytes)
}

/** The old file stays until the new one is complete. */
function rewrite(path: string, owner: string, epoch: number, sent: ReadonlySet<string>): { file: number; bytes: number } {
  const made = `${path}.new`
  const file = openSync(made, 'w+', 0o600)
  try {
    const bytes = writeAll(file, `#${owner} ${epoch}\n${[...sent].map(attempt => `+${attempt}\n`).join('')}`, 0)
    renameSync(made, path)
    return { file, bytes }
  } catch (error) {
    closeSync(file)
    rmSync(made, { force: true })
    throw error
  }
}

/** Writes all of the text at `at`; the system may take it in pieces. Returns where it ends. */
function writeAll(file: number, text: string, at: number): number {
  const bytes = Buffer.from(text)
  for (let done = 0; done < bytes.length; ) {
    const written = writeSync(file, bytes, done, bytes.length - done, at + done)
    if (written === 0) throw new Error('nothing was written')
    done += written
  }
  return at + bytes.length
}

function extentPath(path: string): string {
  return `${path}.mark`
}

/** Of constant length, so that it can be overwritten in place. */
export function extentText({ epoch, bytes }: Extent): string {
  return `${String(epoch).padStart(12, '0')} ${String(bytes).padStart(16, '0')}\n`
}

export function parseExtent(text: string | null | undefined): Extent | null {
  const [, epoch, bytes] = /^(\d{12}) (\d{16})\n$/.exec(text ?? '') ?? []
  return epoch === undefined ? null : { epoch: Number(epoch), bytes: Number(bytes) }
}

/**
 * Attempts that have left: a set that outlives the process. One line an event, written before it counts and left to the
 * operating system to keep, so that a note costs microseconds; the file is written anew at each start and when it has grown.
 *
 *   +<attempt>  has left        -<attempt>  its end is known
 */
import { closeSync, existsSync, openSync, readFileSync, renameSync, writeFileSync, writeSync } from 'node:fs'

/** Lines beyond those needed after which the file is written anew. */
const SLACK = 20_000

export class Notes {
  readonly #path: string
  readonly #noted: Set<string>
  #file: number
  #lines = 0

  private constructor(path: string, noted: Set<string>) {
    this.#path = path
    this.#noted = noted
    this.#file = this.#rewrite()
  }

  static open(path: string): Notes {
    const noted = new Set<string>()
    // A last line cut short belongs to a note that was never relied on.
    const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').slice(0, -1) : []
    for (const line of lines) {
      if (line.startsWith('+')) noted.add(line.slice(1))
      else noted.delete(line.slice(1))
    }
    return new Notes(path, noted)
  }

  has(attempt: string): boolean {
    return this.#noted.has(attempt)
  }

  add(attempt: string): void {
    if (this.#noted.has(attempt)) return
    this.#noted.add(attempt)
    this.#write(`+${attempt}\n`)
  }

  delete(attempt: string): void {
    if (this.#noted.delete(attempt)) this.#write(`-${attempt}\n`)
  }

  close(): void {
    closeSync(this.#file)
  }

  #write(line: string): void {
    writeSync(this.#file, line)
    this.#lines += 1
    if (this.#lines < this.#noted.size + SLACK) return
    closeSync(this.#file)
    this.#file = this.#rewrite()
  }

  #rewrite(): number {
    writeFileSync(`${this.#path}.new`, [...this.#noted].map(attempt => `+${attempt}\n`).join(''))
    renameSync(`${this.#path}.new`, this.#path)
    this.#lines = this.#noted.size
    return openSync(this.#path, 'a')
  }
}

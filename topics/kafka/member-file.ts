/**
 * The member id of an instance, kept over restarts: without it, an instance that was killed would be waited for until its session
 * times out. A lock beside it keeps a second process of the same name away.
 */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname } from 'node:path'
import { type Lock, lockFile } from '../lock.ts'

export class MemberFile {
  readonly #path: string | null
  #lock: Lock | null = null

  /** @param path null: the id is kept nowhere */
  constructor(path: string | null) {
    this.#path = path
  }

  /**
   * Makes the file this process's own: otherwise a running instance of the same name would be made to leave, and its transactions fenced.
   * @throws {LogError} `locked` while another process of this instance holds it
   */
  hold(): void {
    if (this.#path === null) return
    mkdirSync(dirname(this.#path), { recursive: true })
    this.#lock = lockFile(`${this.#path}.lock`)
  }

  /** The id that the last process of this instance had; null where none is known. */
  read(): string | null {
    if (this.#path === null) return null
    try {
      return readFileSync(this.#path, 'utf8')
    } catch {
      return null // the first start of this instance
    }
  }

  write(member: string): void {
    if (this.#path !== null) writeFileSync(this.#path, member)
  }

  release(): void {
    this.#lock?.release()
  }
}

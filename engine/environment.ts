/**
 * An LMDB environment with defined failures. A write that fails rejects one promise and leaves nothing behind; a read that fails means
 * damage; closing always ends. It is synced when it is closed.
 */
import { closeSync, existsSync, openSync, readSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Database, open, type RootDatabase } from 'lmdb'
import { Corrupted, Fatal, messageOf, Retryable } from './errors.ts'

/** What is not in the types of lmdb. */
type Untyped = RootDatabase<Buffer, string> & {
  readonly env: { info(): { lastPageNumber: number } }
  sync(done: (error?: Error) => void): void
  _endWrites: unknown
}

export class Environment {
  readonly root: RootDatabase<Buffer, string>
  /** What is known of the environment itself. */
  readonly about: Database<string, string>
  readonly #folder: string
  readonly #writing = new Set<Promise<void>>()
  /** The last write has failed, and its flush will never complete. */
  #failed = false
  #refusal: Fatal | null = null

  /**
   * @param syncs whether every write is synced, as it was when what is there was written
   * @throws when it cannot be opened
   */
  constructor(folder: string, maxDatabases: number, syncs: boolean) {
    this.#folder = folder
    const path = join(folder, 'lmdb')
    const file = join(path, 'data.mdb')
    refuseForeign(file)
    // Batching by the turn of the event loop would make a promise of its own for each turn, whose rejection nobody can hear.
    this.root = open({ path, maxDbs: maxDatabases, encoding: 'binary', cache: false, eventTurnBatching: false, noSync: !syncs })
    refuseCut(this.root, file)
    this.about = this.root.openDB<string, string>({ name: 'about', encoding: 'string' })
  }

  /** Opens a database, and creates it if it does not exist. @throws {Retryable} `store_open` if it cannot be opened now */
  database<V>(name: string, encoding: 'binary' | 'string'): Database<V, never> {
    this.#refuse()
    try {
      return this.root.openDB<V, never>({ name, encoding })
    } catch (error) {
      throw new Retryable('store_open', `${this.#folder}: the database ${name} cannot be opened: ${messageOf(error)}`, {
        cause: error,
      })
    }
  }

  /** Names of its databases. */
  names(): string[] {
    return this.read('the list of databases', () => [...this.root.getKeys()])
  }

  /** @throws {Corrupted} `store_damaged` if what is stored cannot be read */
  read<T>(what: string, read: () => T): T {
    this.#refuse()
    try {
      return read()
    } catch (error) {
      this.root.resetReadTxn() // all stores share it, and LMDB gives up one that has met damage
      throw new Corrupted('store_damaged', `${this.#folder}: ${what} cannot be read: ${messageOf(error)}`, { cause: error })
    }
  }

  /**
   * Writes all that `work` writes, or nothing. `work` must not throw half-way: the first half would be written.
   * @throws {Retryable} `store_write` if it could not be written; {Fatal} if no later write can be
   */
  write(what: string, work: () => void): Promise<void> {
    const writing = this.#write(what, work)
    this.#writing.add(writing)
    const over = () => this.#writing.delete(writing)
    writing.then(over, over)
    return writing
  }

  async #write(what: string, work: () => void): Promise<void> {
    this.#refuse()
    try {
      await this.root.batch(work)
      this.#failed = false
    } catch (error) {
      this.#failed = true
      const cause = await causeOf(error)
      this.#lookAfterFailure(cause)
      throw new Retryable('store_write', `${this.#folder}: ${what} could not be written: ${messageOf(cause)}`, { cause })
    }
  }

  /** After a failed write of its own head LMDB accepts nothing more, and another write would never end. */
  #lookAfterFailure(cause: unknown): void {
    try {
      this.root.resetReadTxn()
      this.about.get('owner')
    } catch (error) {
      const why = `${messageOf(cause)}, then ${messageOf(error)}`
      this.#refusal = new Fatal(
        'store',
        `the state stores in ${this.#folder} accept no more writes: ${why}; restart the process`,
        {
          cause: error,
        },
      )
      throw this.#refusal
    }
  }

  /** Writes `last` if possible, and waits for pending writes. Resolves with whether everything is on disk. */
  async close(last: (() => void) | null): Promise<boolean> {
    if (last !== null && this.#refusal === null && !this.#failed) {
      // What it writes is kept elsewhere too.
      await this.write('the extent of the sent marks', last).catch(() => {})
    }
    const broken = this.#refusal !== null
    this.#refusal ??= new Fatal('closed', `the state stores in ${this.#folder} are closed`)
    await Promise.allSettled(this.#writing)
    // LMDB would wait for what was not written.
    if (this.#failed || broken) (this.root as Untyped)._endWrites = undefined
    const whole = !this.#failed && !broken && (await this.#synced())
    await this.root.close()
    return whole
  }

  #synced(): Promise<boolean> {
    return new Promise(resolve => (this.root as Untyped).sync(error => resolve(error == null)))
  }

  #refuse(): void {
    if (this.#refusal !== null) throw this.#refusal
  }
}

const PAGE = 4096
/** Magic number and version of the format, which both heads begin with, behind the head of their page. */
const HEAD = Buffer.from('dec0efbe02000000', 'hex')
const HEAD_AT = 24
const PAGE_SIZE_AT = 48

/** LMDB aborts the process over a foreign file, or one whose heads are lost. */
function refuseForeign(file: string): void {
  if (!existsSync(file) || statSync(file).size === 0) return
  const bytes = Buffer.alloc(PAGE)
  const descriptor = openSync(file, 'r')
  try {
    for (let at = 0, n = 0; n < 2; n++, at = bytes.readUInt32LE(PAGE_SIZE_AT)) {
      const read = readSync(descriptor, bytes, 0, PAGE, at)
      if (read === PAGE && bytes.subarray(HEAD_AT, HEAD_AT + HEAD.length).equals(HEAD)) continue
      throw new Error(`${file} is damaged, or not of LMDB`)
    }
  } finally {
    closeSync(descriptor)
  }
}

/** A truncated file would end the process at the first read of what is missing (SIGBUS). */
function refuseCut(root: RootDatabase<Buffer, string>, file: string): void {
  const { lastPageNumber } = (root as Untyped).env.info()
  const { pageSize } = root.getStats() as { pageSize: number }
  const { size } = statSync(file)
  if (size >= (lastPageNumber + 1) * pageSize) return
  void root.close()
  throw new Error(`${file} is cut short: ${size} bytes, ${(lastPageNumber + 1) * pageSize} are needed`)
}

/** lmdb gives the cause in a promise of its own, which settles with or right after the failure. */
async function causeOf(error: unknown): Promise<unknown> {
  const { commitError } = error as { commitError?: Promise<never> }
  if (commitError === undefined) return error
  const told = commitError.catch(cause => cause)
  return Promise.race([told, new Promise(resolve => setTimeout(() => resolve(error), 1_000).unref())])
}

/**
 * The SQLite file under the log: one process owns it, a commit that has returned is durable (WAL, FULL sync), and every
 * failure is a LogError that names the file.
 *
 *   topics ─ partitions ─ batches      groups ─ group_offsets      schemas ─ subjects      identity
 */
import { closeSync, mkdirSync, openSync, statSync } from 'node:fs'
import { dirname } from 'node:path'
import { DatabaseSync, type SQLInputValue, type StatementSync } from 'node:sqlite'
import { forgetHolder, nameHolder } from '../lock.ts'
import { LogError } from '../log.ts'
import { isFileDamage, isSyncFailure, toLogError, neverWritten } from './sqlite-errors.ts'
import { prepareTables } from './tables.ts'

/** How SQLite says that a file can get smaller, in steps. */
const INCREMENTAL = 2
/** How much the WAL takes before a checkpoint. */
const CHECKPOINT_BYTES = 4 * 1024 * 1024
/** A file of an earlier version is made anew at the start, so that it can get smaller, up to this size: that takes about a second. */
const SMALL_FILE = 64 * 1024 * 1024
/** What a transaction writes beside what is counted: pages of indexes and small tables. */
const SMALL_BYTES = 16 * 1024

export class Database {
  readonly file: string
  /** A random UUID, made with the file. */
  readonly identity: string
  /** Called when the file cannot be trusted with another commit, as after a failed sync, whose data the system may have dropped. */
  broken: (error: LogError) => void = () => {}
  /** Told of a checkpoint that failed and will be tried again. */
  troubled: (error: LogError) => void = () => {}
  /** Bytes that were written since the last checkpoint, about. */
  #ahead = 0
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  /** @throws {LogError} `locked`, `corrupt` or `unavailable`. */
  constructor(file: string) {
    this.file = file
    let db: DatabaseSync | undefined
    try {
      makeFile(file)
      db = new DatabaseSync(file, { timeout: 0 })
      // The exclusive lock comes first: in WAL mode it then needs no shared memory, and a second process is refused here.
      db.exec('PRAGMA locking_mode = EXCLUSIVE')
      // Before the first page is written: later only VACUUM changes it.
      db.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      db.exec('PRAGMA wal_autocheckpoint = 0')
      // What retention and compaction remove is overwritten, as erasing a person asks for.
      db.exec(`PRAGMA secure_delete = ON; PRAGMA journal_size_limit = ${64 * 1024 * 1024}`)
      db.exec('BEGIN IMMEDIATE')
      prepareTables(db, file)
      db.exec('COMMIT')
      this.identity = db.prepare('SELECT id FROM identity').get()?.id as string
      this.#db = db
      nameHolder(file)
    } catch (error) {
      db?.close()
      throw toLogError(error, file)
    }
  }

  /**
   * All of `work` or nothing.
   * @param bytes how much it writes, about
   * @throws {LogError} `unavailable` or `corrupt`: nothing of it is there; `unknown`: the commit itself failed half-way.
   */
  transaction(work: () => void, bytes = 0): void {
    try {
      this.run('BEGIN IMMEDIATE')
      work()
      this.#commit()
      this.#ahead += bytes + SMALL_BYTES
    } catch (error) {
      this.#rollBack()
      if (error instanceof LogError && (error.code === 'unknown' || isFileDamage(error))) this.broken(error)
      throw error
    }
  }

  /** Whether it is time for one. */
  get checkpointDue(): boolean {
    return this.#ahead >= CHECKPOINT_BYTES
  }

  /**
   * Brings what was committed from the WAL into the file. It takes about as long as writing it did, so that whoever writes
   * gives it a turn of its own; SQLite would do it within a commit, and keep its failures to itself.
   */
  checkpoint(): void {
    this.#ahead = 0
    try {
      this.#statement('PRAGMA wal_checkpoint(PASSIVE)').all()
    } catch (error) {
      const said = toLogError(error, this.file)
      if (!isSyncFailure(error) && !isFileDamage(said)) {
        this.troubled(said)
        return
      }
      this.broken(new LogError(said.code, `${this.file}: a checkpoint failed: ${(error as Error).message}`, { cause: error }))
    }
  }

  /** Whether the file can get smaller. */
  get shrinks(): boolean {
    return this.#pragma('auto_vacuum') === INCREMENTAL
  }

  /** How many pages the file has, and how many of them hold nothing. */
  room(): { pages: number; free: number } {
    return { pages: this.#pragma('page_count'), free: this.#pragma('freelist_count') }
  }

  /** Moves what lies at the end of the file to free pages, and cuts so many off. Nothing of it is there when it fails. @throws {LogError} */
  shrink(pages: number): void {
    try {
      this.#statement(`PRAGMA incremental_vacuum(${pages})`).all()
      this.#ahead += 2 * pages * this.#pragma('page_size') + SMALL_BYTES
    } catch (error) {
      const said = toLogError(error, this.file)
      if (isSyncFailure(error)) this.broken(said)
      throw said
    }
  }

  /** A file that an earlier version made keeps every page it ever had. A small one is changed; of a larger one somebody is told. */
  makeShrinkable(): void {
    if (this.shrinks) return
    const bytes = this.#pragma('page_count') * this.#pragma('page_size')
    const how = `"PRAGMA auto_vacuum = INCREMENTAL; VACUUM" of SQLite, while the service is stopped, changes that`
    const what = `${this.file} does not get smaller when records are removed, for an earlier version made it: ${how}`
    if (bytes > SMALL_FILE) {
      this.troubled(new LogError('unavailable', what))
      return
    }
    try {
      this.#db.exec('VACUUM')
      this.#ahead += bytes
    } catch (error) {
      this.troubled(new LogError('unavailable', `${what}; at the start it failed: ${(error as Error).message}`, { cause: error }))
    }
  }

  #pragma(name: string): number {
    return Number(Object.values(this.get<Record<string, number>>(`PRAGMA ${name}`) ?? {})[0])
  }

  /** A failed write may have rolled it back already. */
  #rollBack(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
    } catch (error) {
      this.broken(toLogError(error, this.file))
    }
  }

  #commit(): void {
    try {
      this.#statement('COMMIT').run()
    } catch (error) {
      if (neverWritten(error)) throw toLogError(error, this.file)
      throw new LogError('unknown', `${this.file}: a commit failed half-way: ${(error as Error).message}`, { cause: error })
    }
  }

  run(sql: string, ...values: SQLInputValue[]): void {
    try {
      this.#statement(sql).run(...values)
    } catch (error) {
      throw toLogError(error, this.file)
    }
  }

  get<T>(sql: string, ...values: SQLInputValue[]): T | undefined {
    return this.all<T>(sql, ...values)[0]
  }

  all<T>(sql: string, ...values: SQLInputValue[]): T[] {
    try {
      return this.#statement(sql).all(...values) as T[]
    } catch (error) {
      throw toLogError(error, this.file)
    }
  }

  /** Bytes on disk. */
  size(): number {
    const bytes = (file: string) => statSync(file, { throwIfNoEntry: false })?.size ?? 0
    return bytes(this.file) + bytes(`${this.file}-wal`)
  }

  close(): void {
    if (!this.#db.isOpen) return
    forgetHolder(this.file)
    this.#db.close()
  }

  #statement(sql: string): StatementSync {
    const known = this.#statements.get(sql)
    if (known !== undefined) return known
    const made = this.#db.prepare(sql)
    this.#statements.set(sql, made)
    return made
  }
}

/**
 * It holds personal data: for its owner only; SQLite gives the WAL the same rights. A file that is there is not touched: to
 * open and close it would drop the lock of a log of this very process (POSIX locks belong to process and file).
 */
function makeFile(file: string): void {
  mkdirSync(dirname(file), { recursive: true })
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

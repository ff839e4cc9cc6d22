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

/** Value of `PRAGMA auto_vacuum` for a file that can shrink step by step. */
const INCREMENTAL = 2
/** Size of the WAL at which a checkpoint is due. */
const CHECKPOINT_BYTES = 4 * 1024 * 1024
/** Up to this size a file of an earlier version is rewritten at the start so that it can shrink: that takes about a second. */
const MAX_REWRITE_BYTES = 64 * 1024 * 1024
/** What a transaction writes beside what is counted: pages of indexes and small tables. */
const OVERHEAD_BYTES = 16 * 1024

export class Database {
  readonly file: string
  /** A random UUID, created with the file. */
  readonly identity: string
  /** Called when the file must not be written to any more, as after a failed sync, whose data the system may have dropped. */
  onBroken: (error: LogError) => void = () => {}
  /** Called for failures after which the log goes on, as of a checkpoint that will be tried again. */
  onProblem: (error: LogError) => void = () => {}
  /** Bytes in the WAL that no checkpoint has copied yet, about. */
  #walBytes = 0
  readonly #db: DatabaseSync
  readonly #statements = new Map<string, StatementSync>()

  /** @throws {LogError} `locked`, `corrupt` or `unavailable`. */
  constructor(file: string) {
    this.file = file
    let db: DatabaseSync | undefined
    try {
      createFile(file)
      db = new DatabaseSync(file, { timeout: 0 })
      // The exclusive lock comes first: WAL mode then needs no shared memory, and a second process is refused here.
      db.exec('PRAGMA locking_mode = EXCLUSIVE')
      // Before the first page is written: later only VACUUM can change it.
      db.exec('PRAGMA auto_vacuum = INCREMENTAL; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL')
      db.exec('PRAGMA wal_autocheckpoint = 0')
      // What retention and compaction remove is overwritten: the erasure of a person requires it.
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
   * @throws {LogError} `unavailable` or `corrupt`: nothing was written; `unknown`: the commit itself failed half-way.
   */
  transaction(work: () => void, bytes = 0): void {
    try {
      this.run('BEGIN IMMEDIATE')
      work()
      this.#commit()
      this.#walBytes += bytes + OVERHEAD_BYTES
    } catch (error) {
      this.#rollBack()
      if (error instanceof LogError && (error.code === 'unknown' || isFileDamage(error))) this.onBroken(error)
      throw error
    }
  }

  /** Whether the WAL is large enough for a checkpoint. */
  get checkpointDue(): boolean {
    return this.#walBytes >= CHECKPOINT_BYTES
  }

  /**
   * Copies committed pages from the WAL into the file. It takes about as long as writing them did, so callers give it a turn of the event
   * loop of its own; SQLite would do it within a commit, and would not report its failures.
   */
  checkpoint(): void {
    this.#walBytes = 0
    try {
      this.#statement('PRAGMA wal_checkpoint(PASSIVE)').all()
    } catch (error) {
      const failed = toLogError(error, this.file)
      if (!isSyncFailure(error) && !isFileDamage(failed)) {
        this.onProblem(failed)
        return
      }
      this.onBroken(new LogError(failed.code, `${this.file}: a checkpoint failed: ${(error as Error).message}`, { cause: error }))
    }
  }

  /** Whether the file can shrink. */
  get canShrink(): boolean {
    return this.#pragma('auto_vacuum') === INCREMENTAL
  }

  /** How many pages the file has, and how many of them are free. */
  pageCounts(): { pages: number; free: number } {
    return { pages: this.#pragma('page_count'), free: this.#pragma('freelist_count') }
  }

  /** Moves pages from the end of the file to free ones, and truncates it by this many pages. On failure nothing changes. @throws {LogError} */
  shrink(pages: number): void {
    try {
      this.#statement(`PRAGMA incremental_vacuum(${pages})`).all()
      this.#walBytes += 2 * pages * this.#pragma('page_size') + OVERHEAD_BYTES
    } catch (error) {
      const failed = toLogError(error, this.file)
      if (isSyncFailure(error)) this.onBroken(failed)
      throw failed
    }
  }

  /** A file of an earlier version keeps every page it ever had. A small one is rewritten; for a large one the fix is reported. */
  makeShrinkable(): void {
    if (this.canShrink) return
    const bytes = this.#pragma('page_count') * this.#pragma('page_size')
    const how = `run "PRAGMA auto_vacuum = INCREMENTAL; VACUUM" on it with SQLite while the service is stopped`
    const what = `${this.file} was created by an earlier version and does not shrink when records are removed: ${how}`
    if (bytes > MAX_REWRITE_BYTES) {
      this.onProblem(new LogError('unavailable', what))
      return
    }
    try {
      this.#db.exec('VACUUM')
      this.#walBytes += bytes
    } catch (error) {
      this.onProblem(
        new LogError('unavailable', `${what}; at startup that failed: ${(error as Error).message}`, { cause: error }),
      )
    }
  }

  #pragma(name: string): number {
    return Number(Object.values(this.get<Record<string, number>>(`PRAGMA ${name}`) ?? {})[0])
  }

  /** A failed write may already have rolled back. */
  #rollBack(): void {
    try {
      if (this.#db.isTransaction) this.#db.exec('ROLLBACK')
    } catch (error) {
      this.onBroken(toLogError(error, this.file))
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
    const prepared = this.#db.prepare(sql)
    this.#statements.set(sql, prepared)
    return prepared
  }
}

/**
 * The file holds personal data, so only its owner may read it; SQLite gives the WAL the same permissions. An existing file is not
 * touched: opening and closing it would release the lock of a log in this process (POSIX locks belong to process and file).
 */
function createFile(file: string): void {
  mkdirSync(dirname(file), { recursive: true })
  try {
    closeSync(openSync(file, 'wx', 0o600))
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

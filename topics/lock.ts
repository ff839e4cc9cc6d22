/**
 * A lock that a process holds as long as it lives: the operating system releases it, however the process ends. It is an exclusive
 * transaction on an empty SQLite file, to which nothing is ever written; `<path>.pid` beside it names the holder.
 */
import { readFileSync, rmSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { DatabaseSync } from 'node:sqlite'
import { LogError } from './log.ts'

export interface Lock {
  /** May be called again. */
  release(): void
}

/** Keeps the connections: one without a reference would be closed, and its lock released. */
const held = new Set<DatabaseSync>()

/**
 * Takes the lock of this path, whose folder must exist. Nothing else in the process may open the file: closing it would release the
 * lock (POSIX locks belong to process and file; SQLite handles that among its own connections).
 * @throws {LogError} `locked` by another process or this one, naming it; `unavailable` when the file cannot be opened
 */
export function lockFile(path: string): Lock {
  let db: DatabaseSync | undefined
  try {
    db = new DatabaseSync(path, { timeout: 0 })
    db.exec('BEGIN EXCLUSIVE')
  } catch (error) {
    db?.close()
    const message = (error as Error).message
    if (!isBusy(error)) throw new LogError('unavailable', `${path} cannot be locked: ${message}`, { cause: error })
    throw new LogError('locked', `${path} is locked by ${holderOf(path)}: stop it, or give this process another folder`, {
      cause: error,
    })
  }
  const connection = db
  held.add(connection)
  nameHolder(path)
  return {
    release() {
      if (!held.delete(connection)) return
      forgetHolder(path)
      connection.close()
    },
  }
}

/** The holder of the lock, as its process has described itself. */
export function holderOf(path: string): string {
  try {
    const [pid, host, since, command] = readFileSync(holderFile(path), 'utf8').split('\n')
    if (!pid || !host || !since || !command) return 'another process'
    const itself = Number(pid) === process.pid && host === hostname() ? 'this very ' : ''
    return `${itself}process ${pid} on ${host} (${command}), since ${since}`
  } catch {
    return 'another process' // no description, or one that only its own user can read
  }
}

/** Describes this process as the holder. A failure, as on a full disk, is no reason not to hold the lock. */
export function nameHolder(path: string): void {
  const lines = [process.pid, hostname(), new Date().toISOString(), process.argv.slice(0, 2).join(' '), '']
  forgetHolder(path) // never leave the previous holder's description
  try {
    writeFileSync(holderFile(path), lines.join('\n'))
  } catch {
    forgetHolder(path)
  }
}

/** To be called while the lock is still held. */
export function forgetHolder(path: string): void {
  try {
    rmSync(holderFile(path), { force: true })
  } catch {
    // The folder may be read-only. What stays behind is read only while the lock is held.
  }
}

function holderFile(path: string): string {
  return `${path}.pid`
}

/** SQLITE_BUSY; the low byte is the primary code (https://www.sqlite.org/rescode.html). */
export function isBusy(error: unknown): boolean {
  return error instanceof Error && 'errcode' in error && (Number(error.errcode) & 0xff) === 5
}

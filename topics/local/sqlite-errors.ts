/** What a failure of SQLite means for the log. */
import { holderOf } from '../lock.ts'
import { LogError } from '../log.ts'

// Result codes of SQLite (https://www.sqlite.org/rescode.html); the low byte is the primary one.
const SQLITE_BUSY = 5
const SQLITE_CORRUPT = 11
const SQLITE_FULL = 13
const SQLITE_NOTADB = 26
const SQLITE_IOERR_WRITE = 778
const SQLITE_IOERR_FSYNC = 1034
const SQLITE_IOERR_DIR_FSYNC = 1290

function resultCode(error: unknown): number {
  return error instanceof Error && 'errcode' in error && typeof error.errcode === 'number' ? error.errcode : 0
}

/** Whether SQLite itself cannot make sense of the file: it is damaged beyond one row. */
export function isFileDamage({ cause }: LogError): boolean {
  const code = resultCode(cause) & 0xff
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}

/** After it, what the system has written and what it has dropped cannot be told apart. */
export function isSyncFailure(error: unknown): boolean {
  return [SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC].includes(resultCode(error))
}

/** The frame that marks the commit is the last to be written to the WAL, so a write that failed left none. */
export function neverWritten(error: unknown): boolean {
  return resultCode(error) === SQLITE_FULL || resultCode(error) === SQLITE_IOERR_WRITE
}

export function toLogError(error: unknown, file: string): LogError {
  if (error instanceof LogError) return error
  const message = (error as Error).message
  if ((error as NodeJS.ErrnoException).code === 'ERR_OUT_OF_RANGE') return new LogError('corrupt', message, { cause: error })
  switch (resultCode(error) & 0xff) {
    case SQLITE_BUSY:
      return new LogError(
        'locked',
        `${file} is in use by ${holderOf(file)}, and one process owns a local log: stop the other one, give this one a folder of its own, or use Kafka to run several`,
        { cause: error },
      )
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new LogError('corrupt', `${file} is damaged (${message}): restore it from a backup, or move it away to begin anew`, {
        cause: error,
      })
    default:
      return new LogError('unavailable', `${file} cannot be read or written: ${message}`, { cause: error })
  }
}

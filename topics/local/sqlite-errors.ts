/** What a failure of SQLite means for the log. */
import { holderOf } from '../lock.ts'
import { LogError } from '../log.ts'

// Result codes of SQLite (https://www.sqlite.org/rescode.html); the low byte is the primary code.
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

/** Whether SQLite itself cannot read the file: the damage goes beyond one row. */
export function isFileDamage({ cause }: LogError): boolean {
  const code = resultCode(cause) & 0xff
  return code === SQLITE_CORRUPT || code === SQLITE_NOTADB
}

/** After a failed sync nobody can tell which writes the system has kept. */
export function isSyncFailure(error: unknown): boolean {
  return [SQLITE_IOERR_FSYNC, SQLITE_IOERR_DIR_FSYNC].includes(resultCode(error))
}

/** The frame that marks the commit is written to the WAL last, so a failed write has left none. */
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
        `${file} is in use by ${holderOf(file)}, and a local log belongs to one process: stop the other one, give this one another folder, or use Kafka to run several`,
        { cause: error },
      )
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return new LogError(
        'corrupt',
        `${file} is damaged (${message}): restore it from a backup, or move it away to start with an empty log`,
        {
          cause: error,
        },
      )
    default:
      return new LogError('unavailable', `${file} cannot be read or written: ${message}`, { cause: error })
  }
}

/**
 * Detects changes of the sheet's file. It polls the file instead of subscribing to the operating system, so that renames over the file,
 * network drives and mounted volumes work the same way.
 */
import { type BigIntStats, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'

export interface WatchOptions {
  readonly file: string
  /** How often the file is checked, ms. */
  readonly intervalMs?: number
  /** Called once the file has been unchanged for one interval; called again later if it fails. */
  changed(): Promise<void>
}

export interface Watch {
  close(): void
}

/** A file that is written to without a pause is reported after this many intervals. */
const PATIENCE = 3

/** Watches from now on: what the file is at this moment counts as known. */
export function watchSheet({ file, intervalMs = 1000, changed }: WatchOptions): Watch {
  let known = identity(statSync(file, { bigint: true, throwIfNoEntry: false }))
  let last = known
  let restless = 0
  let closed = false
  let timer: NodeJS.Timeout | undefined

  async function look(): Promise<void> {
    const seen = await stat(file, { bigint: true }).then(identity, () => NONE)
    if (closed) return
    restless = seen === last ? 0 : restless + 1
    last = seen
    if (seen !== known && (restless === 0 || restless >= PATIENCE)) {
      await changed().then(
        () => (known = seen),
        () => {}, // it still differs from what is known, so the next check reports it again
      )
    }
    if (!closed) timer = setTimeout(look, intervalMs)
  }
  timer = setTimeout(look, intervalMs)

  return {
    close() {
      closed = true
      clearTimeout(timer)
    },
  }
}

const NONE = 'none'

/** Differs after any write or replacement: ctime also where a copy keeps mtime and size. */
function identity(stats: BigIntStats | undefined): string {
  if (stats === undefined) return NONE
  return [stats.ino, stats.size, stats.mtimeNs, stats.ctimeNs].join('/')
}

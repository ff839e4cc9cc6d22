/**
 * Tells when the sheet's file has changed. It asks the file rather than the operating system: renames over the file, network
 * drives and mounted volumes are seen alike.
 */
import { type BigIntStats, statSync } from 'node:fs'
import { stat } from 'node:fs/promises'

export interface WatchOptions {
  readonly file: string
  /** How often the file is asked, ms. */
  readonly intervalMs?: number
  /** Told once the file has been the same for one interval; told again later when it fails. */
  changed(): Promise<void>
}

export interface Watch {
  close(): void
}

/** A file written without a pause is told of after so many intervals. */
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
        () => {}, // it is still unlike what is known, so the next look tells again
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

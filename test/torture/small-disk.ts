/** A file system of a few megabytes, in memory, which can be filled. Linux, and root only. */
import { execFileSync } from 'node:child_process'
import { closeSync, mkdirSync, openSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'

export interface SmallDisk {
  /** Takes all the room there is. @returns how many bytes that was */
  fill(): number
  free(): void
  unmount(): void
}

const PIECE = Buffer.alloc(64 * 1024)
/** The least that a file system gives out. */
const LEAST = 4 * 1024

/** @returns null where none can be mounted */
export function mountSmallDisk(folder: string, megabytes: number): SmallDisk | null {
  if (process.platform !== 'linux' || process.getuid?.() !== 0) return null
  mkdirSync(folder, { recursive: true })
  try {
    execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${megabytes}m`, 'torture', folder], { stdio: 'ignore' })
  } catch {
    // Containers may not, even as root.
    return null
  }
  const unmount = () => void execFileSync('umount', ['-l', folder])
  // A run that is broken off leaves no mount behind.
  process.once('exit', unmount)
  const ballast = join(folder, 'ballast')
  return {
    fill: () => {
      const file = openSync(ballast, 'w')
      let bytes = 0
      for (let size = PIECE.length; size >= LEAST; ) {
        try {
          bytes += writeSync(file, PIECE, 0, size)
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error
          size /= 2
        }
      }
      closeSync(file)
      return bytes
    },
    free: () => rmSync(ballast, { force: true }),
    unmount: () => {
      process.off('exit', unmount)
      unmount()
    },
  }
}

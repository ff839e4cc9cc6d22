/**
 * One stack for many: for `npm run stack`, and for all test files of one run. Whoever comes first starts it, and writes down
 * where it is; the others find it there.
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { StackMissing } from './install.ts'
import { startStack } from './stack.ts'

export interface Kept {
  readonly env: Readonly<Record<string, string>>
  readonly folder: string | null
  readonly pids: Readonly<Record<string, number>>
  /** When each of the processes was started: a process id may be given to another. */
  readonly started: Readonly<Record<string, string>>
}

/** The stack of this folder, started where none runs. */
export async function sharedStack(folder: string): Promise<Kept> {
  mkdirSync(folder, { recursive: true })
  const lock = join(folder, 'stack.lock')
  for (;;) {
    const running = runningStack(folder)
    if (running !== null) return running
    try {
      mkdirSync(lock)
    } catch {
      const failure = join(folder, 'stack.failed')
      if (existsSync(failure)) {
        const { missing, message } = JSON.parse(readFileSync(failure, 'utf8'))
        throw missing ? new StackMissing(message) : new Error(message)
      }
      await sleep(100)
      continue
    }
    try {
      const pids: Record<string, number> = {}
      const started: Record<string, string> = {}
      // Written down one by one: whoever starts them may be ended before the last is up.
      const spawned = (name: string, pid: number) => {
        pids[name] = pid
        started[name] = startOf(pid) ?? ''
        writeFileSync(startingIn(folder), JSON.stringify({ env: {}, folder: null, pids, started }))
      }
      const { env, folder: data } = await startStack({ detached: true, spawned })
      const kept = { env, folder: data, pids, started }
      writeFileSync(`${fileIn(folder)}.new`, JSON.stringify(kept, null, 2))
      renameSync(`${fileIn(folder)}.new`, fileIn(folder))
      return kept
    } catch (error) {
      // Those who wait for it are not to try one after the other.
      const failure = { missing: error instanceof StackMissing, message: (error as Error).message }
      writeFileSync(join(folder, 'stack.failed'), JSON.stringify(failure))
      throw error
    } finally {
      rmSync(lock, { recursive: true, force: true })
    }
  }
}

/** The stack that runs for this folder, or null. */
export function runningStack(folder: string): Kept | null {
  if (!existsSync(fileIn(folder))) return null
  const kept = JSON.parse(readFileSync(fileIn(folder), 'utf8')) as Kept
  return Object.keys(kept.pids).every(name => isOurs(kept, name)) ? kept : null
}

/** Ends what of it still runs, and only that. Returns what was ended. */
export async function stopShared(folder: string): Promise<string[]> {
  const file = [fileIn(folder), startingIn(folder)].find(existsSync)
  if (file === undefined) return []
  const kept = JSON.parse(readFileSync(file, 'utf8')) as Kept
  const ours = Object.keys(kept.pids).filter(name => isOurs(kept, name))
  for (const name of ours) process.kill(kept.pids[name] as number, name === 'Postgres' ? 'SIGINT' : 'SIGTERM')
  for (let waited = 0; ours.some(name => isOurs(kept, name)); waited += 50) {
    if (waited > 20_000) for (const name of ours) if (isOurs(kept, name)) process.kill(kept.pids[name] as number, 'SIGKILL')
    await sleep(50)
  }
  if (kept.folder !== null) rmSync(kept.folder, { recursive: true, force: true })
  rmSync(fileIn(folder), { force: true })
  rmSync(startingIn(folder), { force: true })
  rmSync(join(folder, 'stack.failed'), { force: true })
  return ours
}

/** Those that are being started. */
function startingIn(folder: string): string {
  return join(folder, 'starting.json')
}

function fileIn(folder: string): string {
  return join(folder, 'stack.json')
}

function isOurs({ pids, started }: Kept, name: string): boolean {
  const at = startOf(pids[name] as number)
  return at !== null && at === started[name]
}

/** When a process was started, in the kernel's own count; null where there is none. */
function startOf(pid: number): string | null {
  try {
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')[1]?.split(' ') ?? []
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}

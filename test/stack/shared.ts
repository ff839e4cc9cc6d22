/**
 * One stack for many: for `npm run stack`, and for all test files of one run. Whoever comes first starts it, and writes down
 * where it is; the others find it there. Each process is written down as soon as there is one: a starter that is killed half-way
 * leaves nothing that could not be ended.
 */
import { existsSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { cacheFolder, StackMissing } from './install.ts'
import { withFileLock } from './lock.ts'
import { type StackOptions, startStack } from './stack.ts'

export interface Kept {
  /** The servers' data and logs. */
  readonly folder: string
  /** A process id may be given to another: `started` tells them apart. */
  readonly processes: Readonly<Record<string, { readonly pid: number; readonly started: string | null }>>
  /** The addresses, once all of it answers. */
  readonly env?: Readonly<Record<string, string>>
  /** Why it could not be started: those who wait for it are not to try one after the other. */
  readonly failed?: { readonly missing: boolean; readonly message: string }
}

/** Where `npm run stack` writes down what it started. */
export function stackFolder(): string {
  return join(cacheFolder(), 'running')
}

/**
 * Addresses of the stack that is written down in this folder; it is started where none runs.
 *
 * @param again Also when starting it has failed before.
 * @throws {StackMissing}
 */
export async function sharedStack(
  folder: string,
  { again = false, ...options }: Pick<StackOptions, 'only' | 'features'> & { again?: boolean } = {},
): Promise<Readonly<Record<string, string>>> {
  if (process.platform !== 'linux')
    throw new StackMissing('the real servers are looked after by way of /proc, which is Linux only')
  return (
    runningStack(folder) ??
    (await withFileLock(join(folder, 'lock'), async () => {
      const running = runningStack(folder)
      if (running !== null) return running
      const before = read(folder)
      if (before?.failed !== undefined && !again) throw new (before.failed.missing ? StackMissing : Error)(before.failed.message)
      if (before !== null) await end(before)
      return start(folder, options)
    }))
  )
}

async function start(folder: string, options: StackOptions): Promise<Readonly<Record<string, string>>> {
  let kept: Kept = { folder: mkdtempSync(join(tmpdir(), 'stack-')), processes: {} }
  const note = (news: Partial<Kept>) => {
    kept = { ...kept, ...news }
    write(folder, kept)
  }
  note({})
  try {
    const { env } = await startStack({
      ...options,
      folder: kept.folder,
      detached: true,
      spawned: (name, pid) => note({ processes: { ...kept.processes, [name]: { pid, started: startOf(pid) } } }),
    })
    note({ env })
    return env
  } catch (error) {
    note({ failed: { missing: error instanceof StackMissing, message: (error as Error).message } })
    throw error
  }
}

/** Addresses of the stack that runs for this folder, or null when not all of it runs. */
export function runningStack(folder: string): Readonly<Record<string, string>> | null {
  const kept = read(folder)
  return kept?.env !== undefined && Object.keys(kept.processes).every(name => isOurs(kept, name)) ? kept.env : null
}

/** Ends what of it still runs, and only that, and removes the folder. Returns what was ended. */
export async function stopShared(folder: string): Promise<string[]> {
  if (!existsSync(folder)) return []
  return withFileLock(join(folder, 'lock'), async () => {
    const kept = read(folder)
    const ended = kept === null ? [] : await end(kept)
    rmSync(folder, { recursive: true, force: true })
    return ended
  })
}

/**
 * The same at once and without a promise, for a process that exits. Whoever is still starting some of it finds the folder gone,
 * and ends what he has.
 */
export function abandonShared(folder: string): void {
  const kept = read(folder)
  rmSync(folder, { recursive: true, force: true })
  if (kept === null) return
  const names = Object.keys(kept.processes)
  for (const name of names) tell(kept, name, name === POSTGRES ? 'SIGQUIT' : 'SIGKILL')
  const until = Date.now() + 5_000
  while (names.some(name => isOurs(kept, name)) && Date.now() < until)
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 10)
  rmSync(kept.folder, { recursive: true, force: true })
}

async function end(kept: Kept): Promise<string[]> {
  const ours = Object.keys(kept.processes).filter(name => isOurs(kept, name))
  for (const name of ours) tell(kept, name, name === POSTGRES ? 'SIGINT' : 'SIGTERM')
  const until = Date.now() + 15_000
  while (ours.some(name => isOurs(kept, name))) {
    if (Date.now() > until) for (const name of ours) tell(kept, name, 'SIGKILL')
    await sleep(50)
  }
  rmSync(kept.folder, { recursive: true, force: true })
  return ours
}

/** By SIGTERM it would wait for its clients, and by SIGKILL leave its shared memory behind. */
const POSTGRES = 'Postgres'

function tell(kept: Kept, name: string, signal: NodeJS.Signals): void {
  if (isOurs(kept, name)) process.kill(kept.processes[name]?.pid as number, signal)
}

function read(folder: string): Kept | null {
  const file = join(folder, 'stack.json')
  return existsSync(file) ? JSON.parse(readFileSync(file, 'utf8')) : null
}

/** @throws when the folder is gone: whoever removed it wants no stack any more. */
function write(folder: string, kept: Kept): void {
  if (!existsSync(folder)) throw new Error(`the stack of ${folder} has been stopped`)
  const file = join(folder, 'stack.json')
  writeFileSync(`${file}.new`, JSON.stringify(kept, null, 2))
  renameSync(`${file}.new`, file)
}

function isOurs(kept: Kept, name: string): boolean {
  const { pid, started } = kept.processes[name] as { pid: number; started: string | null }
  return started !== null && startOf(pid) === started
}

/** When a process was started, in the kernel's own count since the machine was; null where none runs. */
export function startOf(pid: number): string | null {
  try {
    // The name of the program, in brackets, may hold anything.
    const fields = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ').at(-1)?.split(' ') ?? []
    return fields[0] === 'Z' ? null : (fields[19] ?? null)
  } catch {
    return null
  }
}

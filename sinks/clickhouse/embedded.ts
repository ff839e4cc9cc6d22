/**
 * A ClickHouse in the data folder: a child process runs chdb and speaks ClickHouse's HTTP interface on a loopback port.
 *
 *   <dataDir>/clickhouse/         its tables
 *   <dataDir>/clickhouse.json     {pid, owner, url} of the running child, readable by us alone; `npm run sql` reads it
 *   <dataDir>/clickhouse.log      the child's log since its last start
 *
 *   starting ─▶ up ─(died)─▶ down ─(back-off)─▶ starting …        stop() from any state
 *
 * The child has none of our secrets, and another user if we are root (confinement.ts). It ends when we do, even when we are killed,
 * since that closes the channel between us.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { closeSync, existsSync, mkdirSync, openSync, readFileSync, realpathSync, rmSync, writeFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { type Confinement, confine } from './confinement.ts'
import { DATABASE } from './chdb.ts'

export interface EmbeddedClickHouse {
  /** With user and password; it does not change while this process lives. */
  readonly url: string
  status(): { readonly status: 'up' | 'down'; readonly detail: string }
  /** Ends the child after its current statements, within 5 s. */
  stop(): Promise<void>
}

const CHILD = join(import.meta.dirname, 'child.ts')
const START_MS = 30_000
const STOP_MS = 10_000
/** A process that was just killed may take a moment to disappear. */
const IN_USE_MS = 2_000
const BACK_OFF_MS = { first: 200, most: 10_000 }
/** After this uptime, the back-off starts from the beginning. */
const STABLE_MS = 60_000

/** @throws when chdb has no build for this platform, the child does not start, or another live process uses the folder. */
export async function startEmbeddedClickHouse(options: {
  dataDir: string
  log: Pick<Logger, 'info' | 'warn'>
}): Promise<EmbeddedClickHouse> {
  requireBuild()
  mkdirSync(options.dataDir, { recursive: true })
  const dataDir = realpathSync(options.dataDir)
  await leftRunning(dataDir, options.log)
  const server = new Embedded(dataDir, options.log)
  await server.start()
  return server
}

/** The URL of the child that runs on this folder, whichever process started it; null if there is none. */
export function runningOn(dataDir: string): string | null {
  const noted = readNote(dataDir)
  return noted !== null && isOurs(noted.pid, realpathSync(dataDir)) ? noted.url : null
}

interface Running {
  /** How it ended, once it has. */
  readonly ended: Promise<string>
}

class Embedded implements EmbeddedClickHouse {
  readonly #dataDir: string
  readonly #log: Pick<Logger, 'info' | 'warn'>
  readonly #password = randomBytes(24).toString('base64url')
  readonly #stopping = new AbortController()
  readonly #confinement: Confinement
  #port = 0
  #child: ChildProcess | null = null
  #upSince: number | null = null
  #detail = 'is starting'
  #failures = 0
  #keeping: Promise<void> = Promise.resolve()

  constructor(dataDir: string, log: Pick<Logger, 'info' | 'warn'>) {
    this.#dataDir = dataDir
    this.#log = log
    this.#confinement = confine(join(dataDir, 'clickhouse'), [process.execPath, CHILD, chdbFolder()], log)
  }

  get url(): string {
    return `http://default:${this.#password}@127.0.0.1:${this.#port}/${DATABASE}`
  }

  status(): { status: 'up' | 'down'; detail: string } {
    return this.#upSince === null ? { status: 'down', detail: this.#detail } : { status: 'up', detail: '' }
  }

  async start(): Promise<void> {
    this.#keeping = this.#keep(await this.#spawn())
    process.once('exit', this.#killAtExit)
  }

  async stop(): Promise<void> {
    this.#stopping.abort()
    if (this.#child?.connected) this.#child.disconnect()
    const kill = setTimeout(this.#killAtExit, STOP_MS)
    await this.#keeping
    clearTimeout(kill)
    process.off('exit', this.#killAtExit)
    rmSync(join(this.#dataDir, 'clickhouse.json'), { force: true })
  }

  readonly #killAtExit = () => this.#child?.kill('SIGKILL')

  /** Restarts the child whenever it has ended. */
  async #keep(first: Running): Promise<void> {
    let running: Running | null = first
    while (!this.#stopping.signal.aborted) {
      if (running !== null) {
        const since = this.#upSince
        this.#detail = `the child process ended (${await running.ended})`
        this.#upSince = null
        if (since !== null && performance.now() - since > STABLE_MS) this.#failures = 0
        if (this.#stopping.signal.aborted) return
        this.#log.warn({ reason: this.#detail }, 'embedded ClickHouse is restarting')
      }
      await sleep(Math.min(BACK_OFF_MS.first * 2 ** this.#failures++, BACK_OFF_MS.most), undefined, {
        signal: this.#stopping.signal,
      }).catch(() => {})
      if (this.#stopping.signal.aborted) return
      running = await this.#spawn().catch(error => {
        this.#detail = messageOf(error)
        return null
      })
    }
  }

  /** Resolves once the child listens. @throws when it ends before, or takes too long */
  async #spawn(): Promise<Running> {
    const said = openSync(join(this.#dataDir, 'clickhouse.log'), 'w', 0o600)
    const { place, command, options } = this.#confinement
    const [program, ...before] = command
    const args = [...before, CHILD, join(this.#dataDir, 'clickhouse'), String(this.#port), place]
    const child = spawn(program, args, {
      stdio: ['ignore', said, said, 'ipc'],
      // In its own session: a Ctrl-C in our terminal is for us, and the store ends after those who write to it.
      detached: true,
      ...options,
    })
    closeSync(said)
    this.#child = child
    child.unref()
    child.channel?.unref()
    child.send({ password: this.#password }, () => {}) // if it has ended, that is handled below
    const ended = new Promise<string>(resolve => {
      child.once('error', error => resolve(messageOf(error)))
      child.once('exit', (code, signal) => resolve(String(signal ?? code)))
    })
    const listening = new Promise<number>(resolve => child.once('message', m => resolve((m as { port: number }).port)))
    const tooLong = new AbortController()
    const first = await Promise.race([
      listening,
      ended.then(how => `ended while it started (${how})`),
      sleep(START_MS, `did not listen within ${START_MS} ms`, { signal: tooLong.signal }),
    ])
    tooLong.abort()
    if (typeof first === 'string') {
      child.kill('SIGKILL')
      await ended
      throw new Error(`embedded ClickHouse ${first}: ${lastWords(this.#dataDir)}`)
    }
    this.#port = first
    this.#upSince = performance.now()
    writeNote(this.#dataDir, { pid: child.pid as number, owner: process.pid, url: this.url })
    this.#log.info({ child: child.pid }, 'embedded ClickHouse is running')
    return { ended }
  }
}

function requireBuild(): void {
  try {
    createRequire(import.meta.url).resolve('chdb')
    const libc = process.platform === 'linux' ? '-gnu' : ''
    createRequire(createRequire(import.meta.url).resolve('chdb')).resolve(
      `@chdb/lib-${process.platform}-${process.arch}${libc}/package.json`,
    )
  } catch (error) {
    throw new Error(
      `no embedded ClickHouse for ${process.platform}-${process.arch} (package chdb: ${messageOf(error)}); ` +
        'set CLICKHOUSE_URL to a ClickHouse server of your own',
      { cause: error },
    )
  }
}

function chdbFolder(): string {
  return dirname(createRequire(import.meta.url).resolve('chdb/package.json'))
}

interface Note {
  readonly pid: number
  readonly owner: number
  readonly url: string
}

function writeNote(dataDir: string, note: Note): void {
  writeFileSync(join(dataDir, 'clickhouse.json'), `${JSON.stringify(note)}\n`, { mode: 0o600 })
}

function readNote(dataDir: string): Note | null {
  try {
    return JSON.parse(readFileSync(join(dataDir, 'clickhouse.json'), 'utf8'))
  } catch {
    return null // no file, or an incomplete one of a killed process: its child is found by its lock
  }
}

/** Waits for the child of a killed process; kills it if it hangs. */
async function leftRunning(dataDir: string, log: Pick<Logger, 'warn'>): Promise<void> {
  const note = readNote(dataDir)
  if (note === null) return
  const began = performance.now()
  while (isOurs(note.pid, dataDir)) {
    const waited = performance.now() - began
    if (waited > IN_USE_MS && parentOf(note.pid) === note.owner) {
      throw new Error(
        `process ${note.owner} uses the ClickHouse of ${dataDir}: give this one another DATA_DIR, or set CLICKHOUSE_URL`,
      )
    }
    if (waited > STOP_MS) {
      log.warn({ child: note.pid }, 'the ClickHouse process left running does not end; killing it')
      process.kill(note.pid, 'SIGKILL')
    }
    await sleep(20)
  }
}

const PROC = existsSync('/proc/self')

/** Whether this process is the child of this data folder: it has both in its command line. */
function isOurs(pid: number, dataDir: string): boolean {
  try {
    const command = PROC ? readFileSync(`/proc/${pid}/cmdline`, 'utf8').replaceAll('\0', ' ') : ps(pid, 'command=')
    return command.includes(`${CHILD} ${join(dataDir, 'clickhouse')} `)
  } catch {
    return false // already ended
  }
}

/** Another than its owner once that has ended. */
function parentOf(pid: number): number | null {
  try {
    if (!PROC) return Number(ps(pid, 'ppid='))
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8')
    return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1])
  } catch {
    return null
  }
}

function ps(pid: number, what: string): string {
  return execFileSync('ps', ['-o', what, '-p', String(pid)], { encoding: 'utf8' })
}

function lastWords(dataDir: string): string {
  return readFileSync(join(dataDir, 'clickhouse.log'), 'utf8').trim().split('\n').slice(-5).join(' | ')
}

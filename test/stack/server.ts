/** A server process of ours: started with its output in a file, waited for, stopped or killed by its own process id. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, existsSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly logFile: string
  readonly uid?: number
  /** True once it answers; to give up by itself when there is no answer. */
  readonly ready: () => Promise<boolean>
  readonly readyMs?: number
  readonly stopSignal?: NodeJS.Signals
  /** It outlives this process. Otherwise it ends with it, even when that is killed. */
  readonly detached?: boolean
  /** Told of each process, before it is waited for. */
  readonly spawned?: ((name: string, pid: number) => void) | undefined
}

export class Server {
  readonly #options: ServerOptions
  #child: ChildProcess | null = null

  constructor(options: ServerOptions) {
    this.#options = options
  }

  get pid(): number {
    return this.#child?.pid ?? 0
  }

  /** @throws with the end of its output when it does not answer in time, or ends. */
  async start(): Promise<void> {
    const child = this.#spawn()
    try {
      if (child.pid !== undefined) this.#options.spawned?.(this.#options.name, child.pid)
      await this.#answers(child)
    } catch (error) {
      await this.kill()
      throw error
    }
  }

  async stop(): Promise<void> {
    await this.#end(this.#options.stopSignal ?? 'SIGTERM', 20_000)
  }

  async kill(): Promise<void> {
    await this.#end('SIGKILL', 10_000)
  }

  /** Stops it in its tracks, and lets it go on. */
  signal(signal: 'SIGSTOP' | 'SIGCONT'): void {
    this.#child?.kill(signal)
  }

  #spawn(): ChildProcess {
    const { command, args, logFile, uid, detached = false } = this.#options
    const [program, ...rest] = [...(detached ? [] : WITH_PARENT), command, ...args] as [string, ...string[]]
    const out = openSync(logFile, 'a')
    try {
      this.#child = spawn(program, rest, {
        stdio: ['ignore', out, out],
        detached,
        ...(uid === undefined ? {} : { uid, gid: uid }),
      })
    } finally {
      closeSync(out)
    }
    if (detached) this.#child.unref()
    return this.#child
  }

  async #answers(child: ChildProcess): Promise<void> {
    const { name, logFile, ready, readyMs = 60_000 } = this.#options
    let failed: Error | null = null
    child.once('error', error => {
      failed = error
    })
    const until = Date.now() + readyMs
    for (;;) {
      const answers = await ready().catch(() => false)
      const ended = child.exitCode !== null || child.signalCode !== null
      if (failed !== null || ended || (!answers && Date.now() > until)) {
        const why = failed ?? (ended ? `it ended with ${child.exitCode ?? child.signalCode}` : `no answer within ${readyMs} ms`)
        throw new Error(`${name} did not start: ${why}\n${readFileSync(logFile, 'utf8').slice(-3_000)}`)
      }
      // Of a process that has ended, an answer is another's, on the same port.
      if (answers) return
      await sleep(50)
    }
  }

  async #end(signal: NodeJS.Signals, ms: number): Promise<void> {
    const child = this.#child
    this.#child = null
    if (child === null || child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return
    const gone = new Promise<void>(resolve => child.once('exit', () => resolve()))
    child.kill(signal)
    const timer = setTimeout(() => child.kill('SIGKILL'), ms)
    await gone
    clearTimeout(timer)
  }
}

/** Linux ends the process when its parent has ended; it replaces itself by the server, under the same process id. */
const WITH_PARENT = existsSync('/usr/bin/setpriv') ? ['/usr/bin/setpriv', '--pdeathsig', 'KILL', '--'] : []

const given = new Set<number>()

/**
 * A port that nobody listens on, below those that the kernel gives to clients (Linux: from 32768): a client that tries again and
 * again to reach a server that is down may be given that very port, and the server could not come back to it.
 */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < 1_000; tries++) {
    const port = 20_000 + Math.floor(Math.random() * 12_000)
    if (given.has(port) || !(await isFree(port))) continue
    given.add(port)
    return port
  }
  throw new Error('no free port between 20000 and 32000 on 127.0.0.1')
}

function isFree(port: number): Promise<boolean> {
  return new Promise(resolve => {
    const server = createServer().once('error', () => resolve(false))
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)))
  })
}

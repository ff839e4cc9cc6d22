/** A server process of ours: started with its output in a file, waited for, stopped or killed by its own process id. */
import { type ChildProcess, spawn } from 'node:child_process'
import { closeSync, openSync, readFileSync } from 'node:fs'
import { createServer } from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'

export interface ServerOptions {
  readonly name: string
  readonly command: string
  readonly args: readonly string[]
  readonly logFile: string
  readonly uid?: number
  /** True once it answers. */
  readonly ready: () => Promise<boolean>
  readonly readyMs?: number
  readonly stopSignal?: NodeJS.Signals
  /** It outlives this process. */
  readonly detached?: boolean
  /** Told as soon as there is a process. */
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
    const { name, command, args, logFile, uid, ready, readyMs = 60_000, detached = false } = this.#options
    const out = openSync(logFile, 'a')
    const child = spawn(command, [...args], {
      stdio: ['ignore', out, out],
      detached,
      ...(uid === undefined ? {} : { uid, gid: uid }),
    })
    closeSync(out)
    this.#child = child
    if (child.pid !== undefined) this.#options.spawned?.(name, child.pid)
    let failed: Error | null = null
    child.once('error', error => {
      failed = error
    })
    if (detached) child.unref()
    const until = Date.now() + readyMs
    while (!(await ready().catch(() => false))) {
      const ended = child.exitCode !== null || child.signalCode !== null
      if (failed !== null || ended || Date.now() > until) {
        await this.kill()
        const why = failed ?? (ended ? `it ended with ${child.exitCode ?? child.signalCode}` : `no answer within ${readyMs} ms`)
        throw new Error(`${name} did not start: ${why}\n${readFileSync(logFile, 'utf8').slice(-3_000)}`)
      }
      await sleep(50)
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

export function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer().once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { port: number }
      server.close(() => resolve(port))
    })
  })
}

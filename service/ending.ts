/**
 * How the process ends: because it is asked to, or because of a failure that it cannot recover from by itself. Then it says why and
 * exits, so that its supervisor restarts it: a process that answers but does nothing would look alive.
 *
 *   SIGTERM ─▶ stop ─▶ exit 0
 *   failure ─▶ say why ─▶ stop, each part for a moment ─▶ exit 1
 *                              └─ not ended by then: killed
 */

/** Time that one part, and all of them together, may take to stop after a failure, ms. */
const PART_MS = 1_500
const ALL_MS = 8_000

export interface EndingOptions {
  /** Called at most once. @param partMs how long each part may take; without it, as long as it needs */
  readonly stop: (partMs?: number) => Promise<unknown>
  readonly say: (why: string, error?: unknown) => void
  readonly exit?: (code: number) => void
  /** Ends the process unconditionally: an exit can hang while a state store is open. */
  readonly kill?: () => void
}

export class Ending {
  readonly #options: Required<EndingOptions>
  #code: number | null = null

  constructor(options: EndingOptions) {
    this.#options = { exit: code => process.exit(code), kill: () => process.kill(process.pid, 'SIGKILL'), ...options }
  }

  get begun(): boolean {
    return this.#code !== null
  }

  /** Ends on signals and on uncaught errors. */
  listen(): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.asked(signal))
    // Unhandled rejections arrive here, too.
    process.on('uncaughtException', (error, origin) => {
      this.failed(
        origin === 'unhandledRejection' ? 'a rejection that nobody has handled' : 'an error that nobody has caught',
        error,
      )
    })
  }

  /** An orderly stop, with as much time as it needs. */
  asked(why: string): void {
    if (this.#code !== null) return
    this.#code = 0
    this.#options.say(`${why}: stopping`)
    this.#end()
  }

  /** A failure that the process cannot recover from. */
  failed(what: string, error: unknown): void {
    const { say, kill } = this.#options
    say(`${what}: stopping, to be started anew`, error)
    if (this.#code === 1) return
    const ending = this.#code !== null
    this.#code = 1
    setTimeout(kill, ALL_MS)
    if (!ending) this.#end(PART_MS)
  }

  #end(partMs?: number): void {
    const { stop, exit } = this.#options
    const ended = () => exit(this.#code ?? 1)
    stop(partMs).then(ended, error => {
      this.failed('stopping failed', error)
      ended()
    })
  }
}

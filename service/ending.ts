/**
 * How the process ends: because it is asked to, or because something has happened that it cannot get over by itself. Then it says why
 * and exits, for whoever watches over it to start it anew: half a process that answers looks alive and does nothing.
 *
 *   SIGTERM ─▶ stop ─▶ exit 0
 *   failure ─▶ say why ─▶ stop, each part for a moment ─▶ exit 1
 *                              └─ not ended by then: killed
 */

/** What a part may take to stop once something has failed, and all of them together, ms. */
const PART_MS = 1_500
const ALL_MS = 8_000

export interface EndingOptions {
  /** Called once at most, with how long a part may take, ms; without, as long as it needs. */
  readonly stop: (partMs?: number) => Promise<unknown>
  readonly say: (why: string, error?: unknown) => void
  readonly exit?: (code: number) => void
  /** Ends the process whatever it does: an exit can hang where a state store is open. */
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

  /** Ends for signals, and for errors that nobody has caught. */
  listen(): void {
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => this.asked(signal))
    // A rejection that nobody has handled comes here, too.
    process.on('uncaughtException', (error, origin) => {
      this.failed(
        origin === 'unhandledRejection' ? 'a rejection that nobody has handled' : 'an error that nobody has caught',
        error,
      )
    })
  }

  /** Somebody wants it to end: in order, with as much time as that takes. */
  asked(why: string): void {
    if (this.#code !== null) return
    this.#code = 0
    this.#options.say(`${why}: stopping`)
    this.#end()
  }

  /** It cannot go on. */
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

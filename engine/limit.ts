import type { Clock } from './clock.ts'

/** Why a limit is lifted: a reason of our own spares making an exception with its stack. */
const OVER = 'over'

/** Before leaving, a port may queue this many time-outs long. */
const QUEUE_TIMEOUTS = 5

/** The time-out of one try: generous while it queues, or none for what waits its turn; strict from the moment it leaves. */
export class Limit {
  readonly #clock: Clock
  readonly #ms: number
  readonly #timedOut = new AbortController()
  #stop = new AbortController()

  constructor(clock: Clock, ms: number, waits = false) {
    this.#clock = clock
    this.#ms = ms
    if (!waits) this.#arm(ms * QUEUE_TIMEOUTS)
  }

  get signal(): AbortSignal {
    return this.#timedOut.signal
  }

  restart(): void {
    this.#stop.abort(OVER)
    this.#stop = new AbortController()
    this.#arm(this.#ms)
  }

  race<T>(work: Promise<T>): Promise<T> {
    return new Promise((resolve, reject) => {
      work.then(resolve, reject)
      this.signal.addEventListener('abort', () => reject(new Error(`no answer within ${this.#ms} ms`)), { once: true })
    })
  }

  /** It is over now, whatever the time. */
  giveUp(): void {
    this.#timedOut.abort()
  }

  end(): void {
    this.#stop.abort(OVER)
  }

  #arm(ms: number): void {
    const { signal } = this.#stop
    void this.#clock.sleep(ms, signal).then(() => {
      if (!signal.aborted) this.#timedOut.abort()
    })
  }
}

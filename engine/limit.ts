import type { Clock } from './clock.ts'

/** Abort reason: a string is cheaper than the default exception with its stack. */
const OVER = 'over'

/** Before sending, a port may queue for this many time-outs. */
const QUEUE_TIMEOUTS = 5

/** The time-out of one try: generous while it queues, or none if the effect waits its turn; strict once it is sent. */
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

  /** Times out now. */
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

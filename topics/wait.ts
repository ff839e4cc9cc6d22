/** Waiting that something else can end. */

/** Longer timers would fire at once. */
export const MAX_TIMER_MS = 2 ** 31 - 1

/** One caller waits; whoever has news wakes it. */
export class Waiter {
  #resume: (() => void) | null = null

  /** Resolves on `wake`, or after this many ms. */
  wait(ms: number): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer)
        this.#resume = null
        resolve()
      }
      const timer = setTimeout(done, Math.min(ms, MAX_TIMER_MS))
      this.#resume = done
    })
  }

  /** Does nothing while nobody waits. */
  wake(): void {
    this.#resume?.()
  }
}

/** Lets other work of the event loop run first. */
export function turn(): Promise<void> {
  return new Promise(resolve => {
    setImmediate(resolve)
  })
}

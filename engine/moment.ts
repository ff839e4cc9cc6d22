/**
 * A moment that comes once, and that is waited for again and again beside something else. `Promise.race` would keep everything that
 * it was raced with until the moment comes: what has been read, for as long as somebody reads.
 */
export class Moment {
  readonly #waiting = new Set<() => void>()
  #over = false

  get over(): boolean {
    return this.#over
  }

  come(): void {
    this.#over = true
    for (const tell of [...this.#waiting]) tell()
    this.#waiting.clear()
  }

  /** How many wait for it. */
  get waiting(): number {
    return this.#waiting.size
  }

  /** What comes of `work`, or null once the moment has come: then nobody hears of an error of it any more. */
  or<T>(work: Promise<T>): Promise<T | null> {
    return new Promise((resolve, reject) => {
      const tell = () => resolve(null)
      if (this.#over) tell()
      else this.#waiting.add(tell)
      work.then(resolve, reject).finally(() => this.#waiting.delete(tell))
    })
  }
}

/**
 * How much of what a task handles fails, over the last minute of log time: a ring of seconds, so that a record costs the same
 * however many have failed.
 */
const WINDOW_SECONDS = 60
/** Too much is more failing keys than this, and a larger share of the records than this. */
const MAX_KEYS = 20
const MAX_SHARE = 0.01

interface Second {
  second: number
  handled: number
  poisoned: number
  readonly keys: Set<string>
}

export class PoisonRate {
  #seconds: Second[] = []
  #handled = 0
  #poisoned = 0
  /** In how many seconds of the window each key failed. */
  readonly #keys = new Map<string, number>()

  /** A record is about to be handled. @param now log time, ms */
  handled(now: number): void {
    this.#at(now).handled += 1
    this.#handled += 1
  }

  poisoned(key: string, now: number): void {
    const at = this.#at(now)
    at.poisoned += 1
    this.#poisoned += 1
    if (at.keys.has(key)) return
    at.keys.add(key)
    this.#keys.set(key, (this.#keys.get(key) ?? 0) + 1)
  }

  /** What is too much; null while it is not. */
  tooMuch(): string | null {
    if (this.#keys.size <= MAX_KEYS || this.#poisoned <= this.#handled * MAX_SHARE) return null
    return `${this.#keys.size} keys and ${this.#poisoned} of ${this.#handled} records failed within a minute`
  }

  clear(): void {
    this.#seconds = []
    this.#handled = 0
    this.#poisoned = 0
    this.#keys.clear()
  }

  /** The second of this time, or the newest there is: log time does not run backwards by much. */
  #at(now: number): Second {
    const second = Math.floor(now / 1000)
    const newest = this.#seconds.at(-1)
    if (newest !== undefined && newest.second >= second) return newest
    for (let first = this.#seconds[0]; first !== undefined && first.second <= second - WINDOW_SECONDS; first = this.#seconds[0]) {
      this.#forget(first)
      this.#seconds.shift()
    }
    const made = { second, handled: 0, poisoned: 0, keys: new Set<string>() }
    this.#seconds.push(made)
    return made
  }

  #forget({ handled, poisoned, keys }: Second): void {
    this.#handled -= handled
    this.#poisoned -= poisoned
    for (const key of keys) {
      const left = (this.#keys.get(key) ?? 1) - 1
      if (left === 0) this.#keys.delete(key)
      else this.#keys.set(key, left)
    }
  }
}

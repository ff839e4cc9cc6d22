/** Pauses between tries: twice as long each time up to a bound, each drawn from the upper half so that many do not come at once. */
export class Backoff {
  readonly #first: number
  readonly #most: number
  readonly #random: () => number
  #failures = 0

  /** @param first and most in ms; `random` gives numbers from 0 up to, and without, 1 */
  constructor(first: number, most: number, random: () => number = Math.random) {
    this.#first = first
    this.#most = most
    this.#random = random
  }

  /** The next pause, ms. */
  next(): number {
    const ms = Math.min(this.#first * 2 ** this.#failures, this.#most)
    this.#failures += 1
    return Math.ceil(ms / 2 + (this.#random() * ms) / 2)
  }

  /** It went well: the next pause is the first one again. */
  reset(): void {
    this.#failures = 0
  }

  get failures(): number {
    return this.#failures
  }
}

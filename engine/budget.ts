/** What a cycle may cost before it is committed: its folding keeps the process from all other work. */
import type { Clock } from './clock.ts'

/** The clock is looked at once for so many records. */
const STRIDE = 8

export class Budget {
  readonly #clock: Clock
  readonly #until: number
  #bytes: number
  #looked = 0
  #late = false

  /** @param ms of folding; `bytes` that the transaction will hold, about */
  constructor(clock: Clock, ms: number, bytes: number) {
    this.#clock = clock
    this.#until = clock.mono() + ms
    this.#bytes = bytes
  }

  spend(bytes: number): void {
    this.#bytes -= bytes
  }

  get spent(): boolean {
    if (this.#bytes <= 0) return true
    if (++this.#looked % STRIDE === 0) this.#late = this.#clock.mono() >= this.#until
    return this.#late
  }
}

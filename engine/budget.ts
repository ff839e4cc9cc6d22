/**
 * What a cycle may cost before it is committed. Folding keeps the process from all other work, so it is done in slices, between
 * which other work comes first; what a transaction holds bounds what sealing and writing it will cost.
 */
import type { Clock } from './clock.ts'

/** The clock is looked at once for so many records. */
const STRIDE = 16

export interface BudgetOptions {
  /** Of one slice, ms. */
  readonly sliceMs: number
  /** Of all slices, ms. */
  readonly ms: number
  /** What the transaction holds, about. */
  readonly bytes: number
}

export class Budget {
  readonly #clock: Clock
  readonly #sliceMs: number
  readonly #until: number
  #sliceUntil: number
  #bytes: number
  #looked = 0
  #sliced = false

  constructor(clock: Clock, { sliceMs, ms, bytes }: BudgetOptions) {
    this.#clock = clock
    this.#sliceMs = sliceMs
    this.#bytes = bytes
    const now = clock.mono()
    this.#until = now + ms
    this.#sliceUntil = now + sliceMs
  }

  spend(bytes: number): void {
    this.#bytes -= bytes
  }

  /** The slice is over, or all of it. */
  get spent(): boolean {
    if (this.#bytes <= 0) return true
    if (++this.#looked % STRIDE === 0) this.#sliced = this.#clock.mono() >= this.#sliceUntil
    return this.#sliced
  }

  /** All of it is over. */
  get exhausted(): boolean {
    return this.#bytes <= 0 || this.#clock.mono() >= this.#until
  }

  /** Another slice begins. */
  nextSlice(): void {
    this.#sliced = false
    this.#sliceUntil = this.#clock.mono() + this.#sliceMs
  }
}

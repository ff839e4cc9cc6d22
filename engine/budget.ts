/**
 * What a cycle may cost before it is committed. Folding blocks the process, so it is done in slices with other work in between; the bytes
 * of a transaction bound the cost of sealing and writing it.
 */
import type { Clock } from './clock.ts'

/** Records per look at the clock. */
const RECORDS_PER_CHECK = 16

export interface BudgetOptions {
  /** Of one slice, ms. */
  readonly sliceMs: number
  /** Of all slices, ms. */
  readonly ms: number
  /** Of the transaction, approximately. */
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

  /** The slice is over, or the whole budget. */
  get spent(): boolean {
    if (this.#bytes <= 0) return true
    if (++this.#looked % RECORDS_PER_CHECK === 0) this.#sliced = this.#clock.mono() >= this.#sliceUntil
    return this.#sliced
  }

  /** The whole budget is over. */
  get exhausted(): boolean {
    return this.#bytes <= 0 || this.#clock.mono() >= this.#until
  }

  /** Begins another slice. */
  nextSlice(): void {
    this.#sliced = false
    this.#sliceUntil = this.#clock.mono() + this.#sliceMs
  }
}

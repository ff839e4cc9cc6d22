/** Counts the tokens that were none, by address, so that guessing ends before it costs a look-up. */
import { normalizeIP } from '@fastify/rate-limit'

/** Addresses that are remembered, the oldest first. */
const MOST = 20_000

export class Guesses {
  readonly #max: number
  readonly #windowMs: number
  readonly #now: () => number
  readonly #windows = new Map<string, { count: number; readonly ends: number }>()

  /** @param max bad tokens of an address (IPv6: of a network of 64 bits) in each window */
  constructor(max: number, windowMs: number, now: () => number = Date.now) {
    this.#max = max
    this.#windowMs = windowMs
    this.#now = now
  }

  /** Seconds until another token is looked up for an address; 0 where it is at once. */
  wait(address: string): number {
    const window = this.#windows.get(normalizeIP(address))
    if (window === undefined || window.count < this.#max) return 0
    return Math.max(0, Math.ceil((window.ends - this.#now()) / 1000))
  }

  failed(address: string): void {
    const name = normalizeIP(address)
    const known = this.#windows.get(name)
    if (known !== undefined && known.ends > this.#now()) return void known.count++
    this.#windows.delete(name)
    if (this.#windows.size >= MOST) this.#windows.delete(this.#windows.keys().next().value as string)
    this.#windows.set(name, { count: 1, ends: this.#now() + this.#windowMs })
  }
}

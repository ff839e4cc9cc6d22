/** Counts invalid tokens by address, so that guessing is refused before it costs a look-up. */
import { normalizeIP } from '@fastify/rate-limit'

const MAX_ADDRESSES = 20_000

export class BadTokens {
  readonly #max: number
  readonly #windowMs: number
  readonly #now: () => number
  /** By address, oldest first. */
  readonly #windows = new Map<string, { count: number; readonly ends: number }>()

  /** @param max invalid tokens per address (IPv6: per /64 network) and window */
  constructor(max: number, windowMs: number, now: () => number = Date.now) {
    this.#max = max
    this.#windowMs = windowMs
    this.#now = now
  }

  /** Seconds until another token of this address is looked up; 0 if at once. */
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
    if (this.#windows.size >= MAX_ADDRESSES) this.#windows.delete(this.#windows.keys().next().value as string)
    this.#windows.set(name, { count: 1, ends: this.#now() + this.#windowMs })
  }
}

/**
 * Caches results for a short time; concurrent requests for the same key share one load. For results that many ask for and that may
 * be slightly stale. Requests that may see different results must use different keys.
 */
export class RequestCache<T> {
  readonly #ttlMs: number
  readonly #maxEntries: number
  /** Oldest first. */
  readonly #entries = new Map<string, { readonly result: Promise<T>; readonly until: number }>()

  /** @param maxEntries beyond which the oldest are dropped */
  constructor(ttlMs: number, maxEntries = 2_000) {
    this.#ttlMs = ttlMs
    this.#maxEntries = maxEntries
  }

  get(key: string, load: () => Promise<T>): Promise<T> {
    const now = performance.now()
    const known = this.#entries.get(key)
    if (known !== undefined && known.until > now) return known.result
    const result = load()
    this.#entries.delete(key)
    this.#entries.set(key, { result, until: now + this.#ttlMs })
    if (this.#entries.size > this.#maxEntries) this.#entries.delete(this.#entries.keys().next().value as string)
    // Failures are not cached.
    result.catch(() => {
      if (this.#entries.get(key)?.result === result) this.#entries.delete(key)
    })
    return result
  }
}

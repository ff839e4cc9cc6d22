/**
 * Caches that share one budget of bytes, each of two generations. Once the recent generations of all caches fill their share, they become
 * the previous ones, and entries that were not used since are dropped. So entries in use stay, whichever cache they belong to.
 * Null is cached like any other value: it means that there is nothing under the key.
 */
interface Entry<V> {
  readonly value: V | null
  readonly bytes: number
}

/** Estimated cost of an entry besides its value: its key, its place in the map, its objects. */
const OVERHEAD_BYTES = 500

export class CacheBudget {
  /** Bytes of each generation. */
  readonly #share: number
  readonly #caches = new Set<Pick<Cache<unknown>, 'age'>>()
  #recent = 0

  /** @param bytes that all entries of all its caches may take, approximately */
  constructor(bytes: number) {
    this.#share = bytes / 2
  }

  /** A cache of this budget, until it is closed. */
  open<V>(): Cache<V> {
    const cache = new Cache<V>(this)
    this.#caches.add(cache)
    return cache
  }

  /** Bytes were added to a recent generation, or removed from it (negative). */
  spend(bytes: number): void {
    this.#recent += bytes
    if (this.#recent < this.#share) return
    for (const cache of this.#caches) cache.age()
    this.#recent = 0
  }

  forget(cache: Pick<Cache<unknown>, 'age'>): void {
    this.#caches.delete(cache)
  }
}

export class Cache<V> {
  readonly #budget: CacheBudget
  #recent = new Map<string, Entry<V>>()
  #previous = new Map<string, Entry<V>>()
  /** Of the recent generation. */
  #bytes = 0

  constructor(budget: CacheBudget) {
    this.#budget = budget
  }

  get size(): number {
    return this.#recent.size + this.#previous.size
  }

  /** Undefined if the key is not cached. */
  get(key: string): V | null | undefined {
    const recent = this.#recent.get(key)
    if (recent !== undefined) return recent.value
    const previous = this.#previous.get(key)
    if (previous === undefined) return undefined
    this.#previous.delete(key)
    this.#put(key, previous)
    return previous.value
  }

  /** @param bytes of the value in memory, approximately */
  set(key: string, value: V | null, bytes: number): void {
    this.#previous.delete(key)
    this.#put(key, { value, bytes: bytes + OVERHEAD_BYTES })
  }

  /** The recent generation becomes the previous one, which is dropped. */
  age(): void {
    this.#previous = this.#recent
    this.#recent = new Map()
    this.#bytes = 0
  }

  clear(): void {
    this.#budget.spend(-this.#bytes)
    this.age()
    this.#previous = new Map()
  }

  /** Empties the cache and takes it out of its budget. */
  close(): void {
    this.clear()
    this.#budget.forget(this)
  }

  #put(key: string, entry: Entry<V>): void {
    const more = entry.bytes - (this.#recent.get(key)?.bytes ?? 0)
    this.#recent.set(key, entry)
    this.#bytes += more
    this.#budget.spend(more)
  }
}

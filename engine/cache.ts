/**
 * Caches that share one budget of bytes, each of two generations: what is not used while the young ones fill up, all together,
 * falls out with the old ones. So whoever uses its entries keeps them, and nobody holds room for what is not used.
 * A null is kept like any other value: that there is nothing is worth knowing, too.
 */
interface Entry<V> {
  readonly value: V | null
  readonly bytes: number
}

/** What an entry costs besides its bytes, about: its key, its place in the map, the objects it is made of. */
const OVERHEAD = 500

export class CacheBudget {
  /** Bytes of each generation. */
  readonly #share: number
  readonly #caches = new Set<Pick<Cache<unknown>, 'age'>>()
  #young = 0

  /** @param bytes that all entries of all its caches may take, about */
  constructor(bytes: number) {
    this.#share = bytes / 2
  }

  /** A cache of this budget, until it is closed. */
  open<V>(): Cache<V> {
    const cache = new Cache<V>(this)
    this.#caches.add(cache)
    return cache
  }

  /** So many bytes have come to a young generation, or gone from it. */
  spend(bytes: number): void {
    this.#young += bytes
    if (this.#young < this.#share) return
    for (const cache of this.#caches) cache.age()
    this.#young = 0
  }

  forget(cache: Pick<Cache<unknown>, 'age'>): void {
    this.#caches.delete(cache)
  }
}

export class Cache<V> {
  readonly #budget: CacheBudget
  #young = new Map<string, Entry<V>>()
  #old = new Map<string, Entry<V>>()
  /** Of the young ones. */
  #bytes = 0

  constructor(budget: CacheBudget) {
    this.#budget = budget
  }

  get size(): number {
    return this.#young.size + this.#old.size
  }

  /** Undefined where the cache knows nothing of the key. */
  get(key: string): V | null | undefined {
    const young = this.#young.get(key)
    if (young !== undefined) return young.value
    const old = this.#old.get(key)
    if (old === undefined) return undefined
    this.#old.delete(key)
    this.#put(key, old)
    return old.value
  }

  /** @param bytes of the value in memory, about */
  set(key: string, value: V | null, bytes: number): void {
    this.#old.delete(key)
    this.#put(key, { value, bytes: bytes + OVERHEAD })
  }

  /** What is young is old from now on, and what was old is gone. */
  age(): void {
    this.#old = this.#young
    this.#young = new Map()
    this.#bytes = 0
  }

  clear(): void {
    this.#budget.spend(-this.#bytes)
    this.age()
    this.#old = new Map()
  }

  /** Nothing is kept any more, and nothing of it counts. */
  close(): void {
    this.clear()
    this.#budget.forget(this)
  }

  #put(key: string, entry: Entry<V>): void {
    const more = entry.bytes - (this.#young.get(key)?.bytes ?? 0)
    this.#young.set(key, entry)
    this.#bytes += more
    this.#budget.spend(more)
  }
}

/**
 * A cache bounded in bytes, of two generations: what is not used while the young one fills up falls out with the old one.
 * A null is kept like any other value: that there is nothing is worth knowing, too.
 */
interface Entry<V> {
  readonly value: V | null
  readonly bytes: number
}

/** What an entry costs besides its bytes, about: its key, its place in the map, the objects it is made of. */
const OVERHEAD = 500

export class Cache<V> {
  /** Bytes of each generation. */
  #share: number
  #young = new Map<string, Entry<V>>()
  #old = new Map<string, Entry<V>>()
  #bytes = 0

  /** @param bytes that all entries may take, about */
  constructor(bytes: number) {
    this.#share = bytes / 2
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
    this.#put(key, old)
    return old.value
  }

  /** @param bytes of the value in memory, about */
  set(key: string, value: V | null, bytes: number): void {
    this.#put(key, { value, bytes: bytes + OVERHEAD })
  }

  clear(): void {
    this.#young = new Map()
    this.#old = new Map()
    this.#bytes = 0
  }

  /** From now on all entries may take so many bytes. */
  resize(bytes: number): void {
    this.#share = bytes / 2
  }

  #put(key: string, entry: Entry<V>): void {
    this.#bytes += entry.bytes - (this.#young.get(key)?.bytes ?? 0)
    this.#young.set(key, entry)
    if (this.#bytes < this.#share) return
    this.#old = this.#young
    this.#young = new Map()
    this.#bytes = 0
  }
}

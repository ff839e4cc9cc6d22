/** Look-ups through a cache. What the cache does not know, or cannot say in time, is read where it comes from. */
import type { Cache, Kind } from './cache.ts'

export interface HotStats {
  readonly hits: number
  readonly misses: number
  /** The cache could not be asked. */
  readonly failures: number
}

export class Hot {
  readonly #cache: Cache
  readonly #flights = new Map<string, Promise<unknown>>()
  readonly #stats = new Map<Kind, { hits: number; misses: number; failures: number }>()

  constructor(cache: Cache) {
    this.#cache = cache
  }

  /**
   * What is kept; otherwise what `load` finds, which is kept from then on unless something newer is. Those who ask at once for the
   * same share one load.
   */
  async readThrough<T>(kind: Kind, id: string, load: () => Promise<{ value: T; version: number } | null>): Promise<T | null> {
    const stats = this.#of(kind)
    try {
      const json = await this.#cache.get(kind, id)
      if (json !== null) {
        stats.hits++
        return JSON.parse(json) as T
      }
      stats.misses++
    } catch {
      stats.failures++
    }
    const key = `${kind} ${id}`
    const flying = this.#flights.get(key) as Promise<T | null> | undefined
    if (flying !== undefined) return flying
    const flight = this.#load(kind, id, load).finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }

  /** Forgets a value, so that the next look-up reads it anew. Waits for no cache that is away: there is nothing to forget then. */
  async invalidate(kind: Kind, id: string): Promise<void> {
    await this.#cache.invalidate(kind, id).catch(() => this.#of(kind).failures++)
  }

  /** By kind, since the start. */
  stats(): ReadonlyMap<Kind, HotStats> {
    return this.#stats
  }

  async #load<T>(kind: Kind, id: string, load: () => Promise<{ value: T; version: number } | null>): Promise<T | null> {
    const loaded = await load()
    if (loaded === null) return null
    const { value, version } = loaded
    void this.#cache.put([{ kind, id, version, json: JSON.stringify(value) }]).catch(() => this.#of(kind).failures++)
    return value
  }

  #of(kind: Kind) {
    const stats = this.#stats.get(kind) ?? { hits: 0, misses: 0, failures: 0 }
    this.#stats.set(kind, stats)
    return stats
  }
}

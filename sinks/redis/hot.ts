/** Look-ups through a cache. What the cache does not know, or cannot say in time, is read where it comes from. */
import type { Cache, KeptText, Kind } from './cache.ts'

export interface HotStats {
  readonly hits: number
  readonly misses: number
  /** The cache could not be asked. */
  readonly failures: number
}

export class Hot {
  readonly #cache: Cache
  readonly #flights = new Map<string, Promise<string | null>>()
  readonly #stats = new Map<Kind, { hits: number; misses: number; failures: number }>()

  constructor(cache: Cache) {
    this.#cache = cache
  }

  /**
   * The JSON that is kept; otherwise what `load` finds, which is kept from then on unless something newer is. Those who ask at once
   * for the same share one load.
   */
  async readText(
    kind: Kind,
    id: string,
    load: () => Promise<{ value: unknown; version: number } | null>,
  ): Promise<string | null> {
    const stats = this.#of(kind)
    try {
      const json = await this.#cache.get(kind, id)
      if (json !== null) {
        stats.hits++
        return json
      }
      stats.misses++
    } catch {
      stats.failures++
    }
    const key = `${kind} ${id}`
    const flying = this.#flights.get(key)
    if (flying !== undefined) return flying
    const flight = this.#load(kind, id, load).finally(() => this.#flights.delete(key))
    this.#flights.set(key, flight)
    return flight
  }

  /** What is kept in this process; null where it has to be read. */
  peek(kind: Kind, id: string): KeptText | null {
    const kept = this.#cache.peek?.(kind, id) ?? null
    if (kept !== null) this.#of(kind).hits++
    return kept
  }

  /** Forgets a value, so that the next look-up reads it anew. Waits for no cache that is away: there is nothing to forget then. */
  async invalidate(kind: Kind, id: string): Promise<void> {
    await this.#cache.invalidate(kind, id).catch(() => this.#of(kind).failures++)
  }

  /** Forgets everything. @throws when the cache cannot be asked */
  flush(): Promise<void> {
    return this.#cache.flush()
  }

  /** By kind, since the start. */
  stats(): ReadonlyMap<Kind, HotStats> {
    return this.#stats
  }

  async #load(kind: Kind, id: string, load: () => Promise<{ value: unknown; version: number } | null>): Promise<string | null> {
    const loaded = await load()
    if (loaded === null) return null
    const json = JSON.stringify(loaded.value)
    const entry = { kind, id, version: loaded.version, json }
    void this.#cache.put([entry]).catch(() => this.#of(kind).failures++)
    return json
  }

  #of(kind: Kind) {
    let stats = this.#stats.get(kind)
    if (stats === undefined) {
      stats = { hits: 0, misses: 0, failures: 0 }
      this.#stats.set(kind, stats)
    }
    return stats
  }
}

/** Lookups through a cache. On a miss, or when the cache does not answer in time, the value is loaded from its source. */
import type { Cache, KeptText, Kind } from './cache.ts'

export interface LookupStats {
  readonly hits: number
  readonly misses: number
  /** Lookups that the cache did not answer. */
  readonly failures: number
}

/** What `load` finds: a value and the offset it was made from; null if there is none. */
export type Load = () => Promise<{ value: unknown; version: number } | null>

export interface ReadThrough {
  /** Returns the cached JSON, or loads, caches and returns it. Cache failures fall back to `load`. @throws what `load` throws */
  readText(kind: Kind, id: string, load: Load): Promise<string | null>
  /** What is cached in this process; null when it must be read. */
  peek?(kind: Kind, id: string): KeptText | null
  /** Drops a value, so that the next lookup loads it again. */
  invalidate(kind: Kind, id: string): Promise<void>
  /** Drops everything; the log and lookups fill the cache again. @throws when the cache cannot be reached */
  flush(): Promise<void>
  /** How lookups ended since the start, by kind. */
  stats?(): ReadonlyMap<string, LookupStats>
}

/** Caches nothing. */
export const noCache: ReadThrough = {
  readText: async (_kind, _id, load) => {
    const loaded = await load()
    return loaded === null ? null : JSON.stringify(loaded.value)
  },
  invalidate: async () => {},
  flush: async () => {},
}

export class ReadThroughCache implements ReadThrough {
  readonly #cache: Cache
  readonly #loading = new Map<string, Promise<string | null>>()
  readonly #stats = new Map<Kind, { hits: number; misses: number; failures: number }>()

  constructor(cache: Cache) {
    this.#cache = cache
  }

  /** Concurrent lookups of the same value share one load. An older value than the cached one is returned, and not cached. */
  async readText(kind: Kind, id: string, load: Load): Promise<string | null> {
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
    const underway = this.#loading.get(key)
    if (underway !== undefined) return underway
    const loading = this.#load(kind, id, load).finally(() => this.#loading.delete(key))
    this.#loading.set(key, loading)
    return loading
  }

  peek(kind: Kind, id: string): KeptText | null {
    const kept = this.#cache.peek?.(kind, id) ?? null
    if (kept !== null) this.#of(kind).hits++
    return kept
  }

  /** Does not fail for an unreachable cache: that is counted. */
  async invalidate(kind: Kind, id: string): Promise<void> {
    await this.#cache.invalidate(kind, id).catch(() => this.#of(kind).failures++)
  }

  flush(): Promise<void> {
    return this.#cache.flush()
  }

  stats(): ReadonlyMap<Kind, LookupStats> {
    return this.#stats
  }

  async #load(kind: Kind, id: string, load: Load): Promise<string | null> {
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

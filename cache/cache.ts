/** A cache of JSON values. Each carries the offset of the record it was made from, so an older value never replaces a newer one. */

/** What is cached: its key and its time to live, ms. All keys of a venue share one slot of a cluster. */
export const KINDS = {
  venue: { key: (id: string) => `v1:venue:{${id}}`, ttlMs: 60 * 60_000 },
  zones: { key: (id: string) => `v1:zone_status:{${id}}`, ttlMs: 5 * 60_000 },
  conversation: { key: (id: string) => `v1:conv:{${id}}`, ttlMs: 2 * 60 * 60_000 },
} as const
export type Kind = keyof typeof KINDS

/** How long a deletion is remembered, so that no older value comes back. */
export const TOMBSTONE_MS = 10 * 60_000

/** Varies a TTL by up to 10 %, so that values written together do not expire together. */
export function jittered(ms: number): number {
  return Math.round(ms * (0.9 + Math.random() * 0.2))
}

export interface Entry {
  readonly kind: Kind
  readonly id: string
  readonly version: number
  /** JSON; null for a deletion. */
  readonly json: string | null
}

export interface KeptText {
  readonly json: string
  etag?: string
}

export interface Cache {
  /** The cached JSON; null if there is none. @throws when the cache does not answer in time */
  get(kind: Kind, id: string): Promise<string | null>
  /** The same, synchronously, from a cache in this process, with room for the ETag of whoever serves it. */
  peek?(kind: Kind, id: string): KeptText | null
  put(entries: readonly Entry[]): Promise<void>
  /** Drops the value and keeps its version, so that only a value as new or newer takes its place. */
  invalidate(kind: Kind, id: string): Promise<void>
  /** Drops everything. */
  flush(): Promise<void>
}

interface Slot {
  readonly version: number
  readonly json: string | null
  readonly until: number
  etag?: string
}

/** A cache in this process. When it is full, the least recently used entry is evicted. */
export class MemoryCache implements Cache {
  readonly #slots = new Map<string, Slot>()
  readonly #maxEntries: number

  constructor(maxEntries = 50_000) {
    this.#maxEntries = maxEntries
  }

  async get(kind: Kind, id: string): Promise<string | null> {
    return this.peek(kind, id)?.json ?? null
  }

  peek(kind: Kind, id: string): KeptText | null {
    const key = KINDS[kind].key(id)
    const kept = this.#live(key)
    if (kept === undefined || !isText(kept)) return null
    this.#slots.delete(key)
    this.#slots.set(key, kept)
    return kept
  }

  async put(entries: readonly Entry[]): Promise<void> {
    for (const { kind, id, version, json } of entries) {
      const { key, ttlMs } = KINDS[kind]
      const kept = this.#live(key(id))
      if (kept !== undefined && (kept.version > version || (kept.version === version && kept.json !== null))) continue
      this.#set(key(id), { version, json, until: Date.now() + jittered(json === null ? TOMBSTONE_MS : ttlMs) })
    }
  }

  async invalidate(kind: Kind, id: string): Promise<void> {
    const key = KINDS[kind].key(id)
    const kept = this.#live(key)
    if (kept !== undefined) this.#set(key, { version: kept.version, json: null, until: Date.now() + TOMBSTONE_MS })
  }

  async flush(): Promise<void> {
    this.#slots.clear()
  }

  #live(key: string): Slot | undefined {
    const kept = this.#slots.get(key)
    return kept !== undefined && kept.until > Date.now() ? kept : undefined
  }

  #set(key: string, kept: Slot): void {
    this.#slots.delete(key)
    this.#slots.set(key, kept)
    if (this.#slots.size > this.#maxEntries) this.#slots.delete(this.#slots.keys().next().value as string)
  }
}

function isText(kept: Slot): kept is Slot & KeptText {
  return kept.json !== null
}

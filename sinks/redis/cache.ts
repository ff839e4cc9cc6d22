/** Values by key, each with the offset of the record that it was made from: an older one never replaces a newer one. */

/** What is kept, under which key, and for how long (ms). A venue's keys share a slot of a cluster. */
export const KINDS = {
  venue: { key: (id: string) => `v1:venue:{${id}}`, ttl: 60 * 60_000 },
  zones: { key: (id: string) => `v1:zone_status:{${id}}`, ttl: 5 * 60_000 },
  conversation: { key: (id: string) => `v1:conv:{${id}}`, ttl: 2 * 60 * 60_000 },
  /** `id` is the query and the conversation, with a colon between. */
  search: { key: (id: string) => `v1:search:${id}`, ttl: 30 * 60_000 },
  response: { key: (id: string) => `v1:response:${id}`, ttl: 60 * 60_000 },
  /** `id` is the source and the venue. */
  sync: { key: (id: string) => `v1:sync:${id}`, ttl: 60 * 60_000 },
  customer: { key: (id: string) => `v1:customer:{${id}}`, ttl: 5 * 60_000 },
  template: { key: (id: string) => `v1:template:${id}`, ttl: 60 * 60_000 },
} as const
export type Kind = keyof typeof KINDS

/** How long a deletion is remembered, so that nothing older comes back. */
export const TOMBSTONE_MS = 10 * 60_000

/** TTLs differ by up to 10 %, so that what was written together does not end together. */
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
  /** The JSON; null where none is kept. @throws when it cannot be asked in time */
  get(kind: Kind, id: string): Promise<string | null>
  /** The same, of a cache in this process: what it keeps, with room for a tag of whoever shows it. */
  peek?(kind: Kind, id: string): KeptText | null
  put(entries: readonly Entry[]): Promise<void>
  /** Forgets the values, not which versions they had. */
  invalidate(kind: Kind, id: string): Promise<void>
  /** Forgets everything that is kept here. */
  flush(): Promise<void>
}

interface Kept {
  readonly version: number
  readonly json: string | null
  readonly until: number
  etag?: string
}

/** In this process; the entries used longest ago go first. */
export class MemoryCache implements Cache {
  readonly #kept = new Map<string, Kept>()
  readonly #most: number

  constructor(most = 50_000) {
    this.#most = most
  }

  async get(kind: Kind, id: string): Promise<string | null> {
    return this.peek(kind, id)?.json ?? null
  }

  peek(kind: Kind, id: string): KeptText | null {
    const key = KINDS[kind].key(id)
    const kept = this.#alive(key)
    if (kept === undefined || !isText(kept)) return null
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    return kept
  }

  async put(entries: readonly Entry[]): Promise<void> {
    for (const { kind, id, version, json } of entries) {
      const { key, ttl } = KINDS[kind]
      const kept = this.#alive(key(id))
      if (kept !== undefined && (kept.version > version || (kept.version === version && kept.json !== null))) continue
      this.#set(key(id), { version, json, until: Date.now() + jittered(json === null ? TOMBSTONE_MS : ttl) })
    }
  }

  async invalidate(kind: Kind, id: string): Promise<void> {
    const key = KINDS[kind].key(id)
    const kept = this.#alive(key)
    if (kept !== undefined) this.#set(key, { version: kept.version, json: null, until: Date.now() + TOMBSTONE_MS })
  }

  async flush(): Promise<void> {
    this.#kept.clear()
  }

  #alive(key: string): Kept | undefined {
    const kept = this.#kept.get(key)
    return kept !== undefined && kept.until > Date.now() ? kept : undefined
  }

  #set(key: string, kept: Kept): void {
    this.#kept.delete(key)
    this.#kept.set(key, kept)
    if (this.#kept.size > this.#most) this.#kept.delete(this.#kept.keys().next().value as string)
  }
}

function isText(kept: Kept): kept is Kept & KeptText {
  return kept.json !== null
}

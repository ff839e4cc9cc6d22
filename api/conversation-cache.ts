/**
 * Caches conversations in this process until Postgres notifies us that they have changed:
 *
 *   read ─▶ cached? ─▶ answer
 *             └ no ─▶ Postgres ─▶ cached, unless it changed during the read       changed, connection lost ─▶ dropped
 *
 * Entries hold what Postgres has; visibility and masking are applied per request.
 */
import type { KeptText } from '../cache/cache.ts'

export interface CachedConversation extends KeptText {
  /** The conversation's venue, which decides who sees it. */
  readonly venue: string | null
  /** ms since the epoch. */
  readonly openedAt: number
}

const MAX_BYTES = 32 * 1024 * 1024
/** Overhead of an entry besides its text. */
const ENTRY_BYTES = 500
/** Entries expire even without a notification: rows may be changed by hand. */
const MAX_AGE_MS = 60_000

interface Entry {
  readonly conversation: CachedConversation
  readonly bytes: number
  readonly until: number
}

export class ConversationCache {
  readonly #maxBytes: number
  readonly #now: () => number
  /** Least recently used first. */
  readonly #entries = new Map<string, Entry>()
  /** Reads in progress. One whose conversation changed since it began is removed. */
  readonly #reads = new Map<string, Promise<CachedConversation | null>>()
  #bytes = 0
  #listening = false

  /** @param maxBytes approximate size of the cache. @param now monotonic ms */
  constructor(maxBytes = MAX_BYTES, now: () => number = () => performance.now()) {
    this.#maxBytes = maxBytes
    this.#now = now
  }

  get bytes(): number {
    return this.#bytes
  }

  /** The cached conversation; null if it must be read. */
  peek(id: string): CachedConversation | null {
    const entry = this.#entries.get(id)
    if (entry === undefined) return null
    this.#entries.delete(id)
    if (entry.until <= this.#now()) {
      this.#bytes -= entry.bytes
      return null
    }
    this.#entries.set(id, entry)
    return entry.conversation
  }

  /** The cached conversation, or the result of `read`, which concurrent requests share. */
  get(id: string, read: () => Promise<CachedConversation | null>): Promise<CachedConversation | null> {
    const cached = this.peek(id)
    if (cached !== null) return Promise.resolve(cached)
    // Without notifications, a read in progress may be older than the requester's own last write.
    if (!this.#listening) return read()
    const inProgress = this.#reads.get(id)
    if (inProgress !== undefined) return inProgress
    const reading: Promise<CachedConversation | null> = read().then(
      conversation => {
        if (this.#reads.get(id) === reading) {
          this.#reads.delete(id)
          if (conversation !== null) this.#store(id, conversation)
        }
        return conversation
      },
      error => {
        if (this.#reads.get(id) === reading) this.#reads.delete(id)
        throw error
      },
    )
    this.#reads.set(id, reading)
    return reading
  }

  forget(id: string): void {
    this.#reads.delete(id)
    const entry = this.#entries.get(id)
    if (entry === undefined) return
    this.#entries.delete(id)
    this.#bytes -= entry.bytes
  }

  flush(): void {
    this.#reads.clear()
    this.#entries.clear()
    this.#bytes = 0
  }

  begun(): void {
    this.flush()
    this.#listening = true
  }

  changed(conversations: readonly string[] | null): void {
    if (conversations === null) this.flush()
    else for (const id of conversations) this.forget(id)
  }

  lost(): void {
    this.#listening = false
    this.flush()
  }

  #store(id: string, conversation: CachedConversation): void {
    // V8 stores text that is not Latin-1 with two bytes per character.
    const bytes = 2 * conversation.json.length + ENTRY_BYTES
    if (bytes > this.#maxBytes / 8) return
    this.forget(id)
    this.#entries.set(id, { conversation, bytes, until: this.#now() + MAX_AGE_MS })
    this.#bytes += bytes
    for (const oldest of this.#entries.keys()) {
      if (this.#bytes <= this.#maxBytes) break
      this.forget(oldest)
    }
  }
}

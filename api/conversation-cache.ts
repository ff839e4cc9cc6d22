/**
 * Conversations as they are read often, kept in this process until the serving store says that something of them has changed:
 *
 *   read ─▶ kept? ─▶ answer
 *             └ no ─▶ Postgres ─▶ kept, unless it has changed meanwhile        changed, lost ─▶ forgotten
 *
 * Kept is what Postgres has. Who may see it, and what of it, is decided for each who asks.
 */
import type { KeptText } from './hot.ts'

export interface Thread extends KeptText {
  /** Id of the venue that it is of, by which it is decided who sees it. */
  readonly venue: string | null
  /** ms since the epoch. */
  readonly openedAt: number
}

const MOST_BYTES = 32 * 1024 * 1024
/** What one costs beside its text. */
const ENTRY_BYTES = 500
/** Not even what nothing was heard of is kept for longer: rows may be changed by hand. */
const LONGEST_MS = 60_000

interface Kept {
  readonly thread: Thread
  readonly bytes: number
  readonly until: number
}

export class Threads {
  readonly #most: number
  readonly #now: () => number
  /** Those used longest ago first. */
  readonly #kept = new Map<string, Kept>()
  /** Reads under way; one of which something has changed since it began is no longer here. */
  readonly #reads = new Map<string, Promise<Thread | null>>()
  #bytes = 0
  #listening = false

  /** @param most bytes that are kept, about. @param now monotonic ms */
  constructor(most = MOST_BYTES, now: () => number = () => performance.now()) {
    this.#most = most
    this.#now = now
  }

  get bytes(): number {
    return this.#bytes
  }

  /** What is kept; null where it has to be read. */
  peek(id: string): Thread | null {
    const kept = this.#kept.get(id)
    if (kept === undefined) return null
    this.#kept.delete(id)
    if (kept.until <= this.#now()) {
      this.#bytes -= kept.bytes
      return null
    }
    this.#kept.set(id, kept)
    return kept.thread
  }

  /** What is kept, or what `read` finds; those who ask for the same at once share one read. */
  get(id: string, read: () => Promise<Thread | null>): Promise<Thread | null> {
    const kept = this.peek(id)
    if (kept !== null) return Promise.resolve(kept)
    // While nothing is heard of, a read that began before may be older than what the asker has just done.
    if (!this.#listening) return read()
    const under = this.#reads.get(id)
    if (under !== undefined) return under
    const reading: Promise<Thread | null> = read().then(
      thread => {
        if (this.#reads.get(id) === reading) {
          this.#reads.delete(id)
          if (thread !== null) this.#keep(id, thread)
        }
        return thread
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
    const kept = this.#kept.get(id)
    if (kept === undefined) return
    this.#kept.delete(id)
    this.#bytes -= kept.bytes
  }

  flush(): void {
    this.#reads.clear()
    this.#kept.clear()
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

  #keep(id: string, thread: Thread): void {
    // Two bytes a sign, as V8 keeps what is not Latin.
    const bytes = 2 * thread.json.length + ENTRY_BYTES
    if (bytes > this.#most / 8) return
    this.forget(id)
    this.#kept.set(id, { thread, bytes, until: this.#now() + LONGEST_MS })
    this.#bytes += bytes
    for (const oldest of this.#kept.keys()) {
      if (this.#bytes <= this.#most) break
      this.forget(oldest)
    }
  }
}

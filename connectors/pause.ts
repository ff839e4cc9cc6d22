/**
 * How long a provider is not called after it has reported a rate limit: what its own numbers say, and never less than a pause that grows
 * with each limit in a row. Numbers that say "go on" while the answer says "too much" are wrong: others use the credential, too.
 *
 *   limit ─▶ 1 s ─ limit ─▶ 2 s ─ limit ─▶ 4 s … at most 30 s, each with up to a quarter more;  a good answer ─▶ anew
 */

export interface PauseOptions {
  /** After the first limit; never below a second. */
  readonly firstMs?: number
  /** After many; what the provider itself says may be longer. */
  readonly mostMs?: number
}

/** What else a pause needs, for tests. */
export interface Clockwork {
  /** Monotonic ms. */
  readonly now?: () => number
  /** From 0 to below 1. */
  readonly random?: () => number
}

export const LEAST_PAUSE_MS = 1_000
const MOST_PAUSE_MS = 30_000
/** Requests that were limited at the same time do not return at the same time. */
const SPREAD = 0.25

/** The pause after the n-th limit in a row, ms. */
export function pauseMs(n: number, { firstMs = LEAST_PAUSE_MS, mostMs = MOST_PAUSE_MS }: PauseOptions = {}): number {
  return Math.max(LEAST_PAUSE_MS, Math.min(mostMs, firstMs * 2 ** Math.min(30, n - 1)))
}

/** Longer by up to a quarter: no request returns before the time that the provider named. */
export function spread(ms: number, random: () => number = Math.random): number {
  return Math.ceil(ms * (1 + SPREAD * random()))
}

/** The pause of a credential, which all its requests keep. */
export class Pause {
  readonly #options: PauseOptions
  readonly #now: () => number
  readonly #random: () => number
  #limits = 0
  #since = Number.NEGATIVE_INFINITY
  #until = Number.NEGATIVE_INFINITY

  constructor({ now = () => performance.now(), random = Math.random, ...options }: PauseOptions & Clockwork = {}) {
    this.#options = options
    this.#now = now
    this.#random = random
  }

  /** How long it still lasts, ms. */
  get left(): number {
    return Math.max(0, Math.ceil(this.#until - this.#now()))
  }

  /**
   * A request was rate limited. @param sentAt when it left, by the same clock @param leastMs what the provider says of how long
   * @returns how long nothing is to be sent, ms
   */
  limited(sentAt: number, leastMs = 0): number {
    const now = this.#now()
    // Of those that left before the pause, one is enough to make it longer.
    if (sentAt >= this.#since) {
      this.#limits += 1
      this.#since = now
    }
    const ms = Math.max(pauseMs(this.#limits, this.#options), leastMs)
    this.#until = Math.max(this.#until, now + (this.#since === now ? spread(ms, this.#random) : leastMs))
    return this.left
  }

  /** A request succeeded. One that was sent before the limit was reported says nothing about it. */
  passed(sentAt: number): void {
    if (sentAt >= this.#since) this.#limits = 0
  }
}

/** What `Retry-After` says, ms: seconds or a date (RFC 9110, 10.2.3). Null where there is none that can be read. */
export function retryAfterOf(headers: Headers, now = Date.now()): number | null {
  const value = headers.get('retry-after')?.trim()
  if (!value) return null
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - now
  return Number.isFinite(ms) && ms >= 0 ? ms : null
}

/** Counts by name; the oldest are forgotten, for an attempt that expired does not come back to say so. */
export function counter(max = 10_000): (name: string) => number {
  const counts = new Map<string, number>()
  return name => {
    const count = (counts.get(name) ?? 0) + 1
    counts.delete(name)
    counts.set(name, count)
    for (const oldest of counts.keys()) {
      if (counts.size <= max) break
      counts.delete(oldest)
    }
    return count
  }
}

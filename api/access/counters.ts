/**
 * Counts requests in fixed windows, for the rate limits: in this process, or in Redis for all processes together. A shared count is
 * reserved in batches of one hundredth of the limit and used up locally, so that Redis is not asked for every request; the limit
 * still holds exactly. While Redis does not respond, each process counts on its own.
 *
 *   Redis  ├────────────┬──────────┬──────────┬─ ─ ─ ─ ┤ max
 *            others'    reserved: ████ used ░░░ left
 */
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { withTimeout } from '../../domain/timeout.ts'

interface Window {
  /** ms since the epoch. */
  ends: number
  /** Requests of this process. */
  count: number
  /** The shared count after the last reservation, and how much of that is left. */
  shared: number
  left: number
}

export interface Counted {
  /** Requests in this window, including this one. */
  readonly count: number
  readonly endsInMs: number
}

const MAX_WINDOWS = 20_000
/** Redis must respond within this time, and is not asked for a while if it does not. */
const REDIS_TIMEOUT_MS = 250
const REDIS_PAUSE_MS = 1_000
/** A limit is reserved in this many batches; smaller ones are counted one by one. */
const BATCHES = 100

export class Counters {
  readonly #redis: Redis | null
  readonly #log: Pick<Logger, 'warn'>
  /** Oldest first. */
  readonly #windows = new Map<string, Window>()
  #askAgainAt = 0

  constructor(redis: Redis | null, log: Pick<Logger, 'warn'>) {
    this.#redis = redis
    this.#log = log
  }

  /**
   * Counts one more request. Returns a promise only if Redis must be asked.
   * @param name of the limit and the requester
   */
  count(name: string, windowMs: number, max: number): Counted | Promise<Counted> {
    const now = Date.now()
    const window = this.#window(name, now, windowMs)
    const own = ++window.count
    const counted = (count: number): Counted => ({ count, endsInMs: Math.max(0, window.ends - now) })
    if (this.#redis === null || this.#redis.status !== 'ready' || now < this.#askAgainAt) return counted(own)
    if (window.left > 0) return counted(window.shared - --window.left)
    if (window.shared > max) return counted(window.shared)
    return this.#reserve(this.#redis, name, window, windowMs, Math.max(1, Math.floor(max / BATCHES))).then(
      () => counted(window.shared - --window.left),
      error => {
        this.#askAgainAt = Date.now() + REDIS_PAUSE_MS
        this.#log.warn({ reason: messageOf(error) }, 'rate limits counted per process: Redis does not respond')
        return counted(own)
      },
    )
  }

  #window(name: string, now: number, windowMs: number): Window {
    const known = this.#windows.get(name)
    if (known !== undefined && known.ends > now) return known
    this.#windows.delete(name)
    if (this.#windows.size >= MAX_WINDOWS) this.#windows.delete(this.#windows.keys().next().value as string)
    const window = { ends: now + windowMs, count: 0, shared: 0, left: 0 }
    this.#windows.set(name, window)
    return window
  }

  async #reserve(redis: Redis, name: string, window: Window, windowMs: number, batch: number): Promise<void> {
    const key = `limit:${name}`
    const asked = redis.multi().set(key, 0, 'PX', windowMs, 'NX').incrby(key, batch).pttl(key).exec()
    const [, counted, ends] = (await withTimeout(asked, REDIS_TIMEOUT_MS)) ?? []
    const [count, left] = [counted?.[1], ends?.[1]]
    if (typeof count !== 'number' || typeof left !== 'number') throw new Error('Redis did not return a count')
    window.shared = count
    window.left += batch
    if (left > 0) window.ends = Date.now() + left
  }
}

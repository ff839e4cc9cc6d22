/**
 * Counts requests in fixed windows, for the rate limits: in this process, or shared over all of them in Redis. Of a shared count a
 * hundredth of the limit is taken at a time and used up here, so that Redis is not asked at every request; the limit holds
 * exactly. While Redis does not answer, each process counts for itself.
 *
 *   Redis  ├────────────┬──────────┬──────────┬─ ─ ─ ─ ┤ max
 *            others'       taken: ████ used ░░░ left
 */
import type { Redis } from 'ioredis'
import type { Logger } from 'pino'
import { messageOf } from '../../engine/errors.ts'
import { inTime } from './deadline.ts'

interface Window {
  /** ms since the epoch. */
  ends: number
  /** Requests of this process. */
  count: number
  /** The shared count when some was last taken, and what is left of that. */
  shared: number
  left: number
}

export interface Counted {
  /** Requests in this window, this one among them. */
  readonly count: number
  readonly endsInMs: number
}

const MOST_WINDOWS = 20_000
/** Redis has to answer within this, and is left alone for a while when it does not. */
const ANSWER_MS = 250
const PAUSE_MS = 1_000
/** Limits below this are counted one by one. */
const SHARES = 100

export class Counters {
  readonly #redis: Redis | null
  readonly #log: Pick<Logger, 'warn'>
  /** The oldest first. */
  readonly #windows = new Map<string, Window>()
  #askAgainAt = 0

  constructor(redis: Redis | null, log: Pick<Logger, 'warn'>) {
    this.#redis = redis
    this.#log = log
  }

  /**
   * Counts one request more; a promise only where Redis has to be asked.
   * @param name of whom and of what, together
   */
  count(name: string, windowMs: number, max: number): Counted | Promise<Counted> {
    const now = Date.now()
    const window = this.#window(name, now, windowMs)
    const own = ++window.count
    const counted = (count: number): Counted => ({ count, endsInMs: Math.max(0, window.ends - now) })
    if (this.#redis === null || this.#redis.status !== 'ready' || now < this.#askAgainAt) return counted(own)
    if (window.left > 0) return counted(window.shared - --window.left)
    if (window.shared > max) return counted(window.shared)
    return this.#take(this.#redis, name, window, windowMs, Math.max(1, Math.floor(max / SHARES))).then(
      () => counted(window.shared - --window.left),
      error => {
        this.#askAgainAt = Date.now() + PAUSE_MS
        this.#log.warn({ reason: messageOf(error) }, 'rate limits are counted in this process: Redis does not answer')
        return counted(own)
      },
    )
  }

  #window(name: string, now: number, windowMs: number): Window {
    const known = this.#windows.get(name)
    if (known !== undefined && known.ends > now) return known
    this.#windows.delete(name)
    if (this.#windows.size >= MOST_WINDOWS) this.#windows.delete(this.#windows.keys().next().value as string)
    const window = { ends: now + windowMs, count: 0, shared: 0, left: 0 }
    this.#windows.set(name, window)
    return window
  }

  async #take(redis: Redis, name: string, window: Window, windowMs: number, share: number): Promise<void> {
    const key = `limit:${name}`
    const asked = redis.multi().set(key, 0, 'PX', windowMs, 'NX').incrby(key, share).pttl(key).exec()
    const [, counted, ends] = (await inTime(asked, ANSWER_MS)) ?? []
    const [count, left] = [counted?.[1], ends?.[1]]
    if (typeof count !== 'number' || typeof left !== 'number') throw new Error('the count was not taken')
    window.shared = count
    window.left += share
    if (left > 0) window.ends = Date.now() + left
  }
}

/**
 * Soundtrack's token bucket as we see it: queries cost tokens by their complexity, deducted before they run. What is urgent
 * is served first; a request that would wait too long fails at once. Polls wait elsewhere, in their schedule, and take what is left.
 */
import { NotDone } from '../../engine/actor.ts'

/** Size of the provider's bucket. */
export const BUCKET_TOKENS = 3_600

/** The tokens do not suffice, here or at the provider: nothing was done. `retryAfterMs` says when they may. */
export class RateLimited extends NotDone {
  /** True when the provider said so, false when we did not even ask. */
  readonly byProvider: boolean
  constructor(message: string, retryAfterMs: number, byProvider: boolean) {
    super(message, { retryAfterMs })
    this.name = 'RateLimited'
    this.byProvider = byProvider
  }
}

export interface TokenBudgetOptions {
  readonly perSecond: number
  /** Longest that a query may wait for its tokens, ms. */
  readonly patienceMs: number
  /** Monotonic ms. */
  readonly now?: () => number
}

interface Waiter {
  readonly cost: number
  readonly priority: number
  readonly done: (error?: Error) => void
}

export class TokenBudget {
  readonly #options: Required<TokenBudgetOptions>
  /** By priority, then as they came. */
  readonly #waiting: Waiter[] = []
  #tokens = BUCKET_TOKENS
  #at: number
  #heldUntil = Number.NEGATIVE_INFINITY
  #timer: NodeJS.Timeout | undefined

  constructor(options: TokenBudgetOptions) {
    this.#options = { now: () => performance.now(), ...options }
    this.#at = this.#options.now()
  }

  get perSecond(): number {
    return this.#options.perSecond
  }

  /** Tokens in the bucket now. */
  get available(): number {
    const now = this.#options.now()
    this.#tokens = Math.min(BUCKET_TOKENS, this.#tokens + ((now - this.#at) / 1000) * this.#options.perSecond)
    this.#at = now
    return this.#tokens
  }

  /** How long nothing is given out for what the provider has said, ms. */
  get held(): number {
    return Math.max(0, Math.ceil(this.#heldUntil - this.#options.now()))
  }

  /** Time until these tokens are available, if no one else takes any, ms. */
  waitFor(cost: number): number {
    return Math.max(this.held, Math.ceil(((cost - this.available) / this.#options.perSecond) * 1000))
  }

  /** Takes tokens that no request waits for, if at least this many remain. @returns whether it did */
  takeNow(cost: number, beside = 0): boolean {
    if (this.#waiting.length > 0 || this.waitFor(cost + beside) > 0) return false
    this.#tokens -= cost
    return true
  }

  /** Tokens that were taken and not used. */
  giveBack(tokens: number): void {
    this.#tokens = Math.min(BUCKET_TOKENS, this.available + tokens)
    this.#serve()
  }

  /** Grants nothing for this long, however many tokens there seem to be. */
  hold(ms: number): void {
    this.#heldUntil = Math.max(this.#heldUntil, this.#options.now() + ms)
  }

  /**
   * Waits until the tokens are available and takes them. Lower priorities are served first.
   * @param patienceMs longest that it may wait, where it is not that of all
   * @throws {RateLimited} at once, when it would take longer than the patience; the signal's reason, when it is aborted
   */
  async take(cost: number, priority: number, signal: AbortSignal, patienceMs = this.#options.patienceMs): Promise<void> {
    const before = this.#waiting.filter(w => w.priority <= priority).reduce((sum, w) => sum + w.cost, 0)
    const wait = this.waitFor(before + cost)
    if (wait > patienceMs) {
      throw new RateLimited(`${before + cost} tokens are there in ${Math.ceil(wait / 1000)} s`, wait, false)
    }
    signal.throwIfAborted()
    await new Promise<void>((resolve, reject) => {
      const abort = () => waiter.done(signal.reason)
      const waiter: Waiter = {
        cost,
        priority,
        done: error => {
          signal.removeEventListener('abort', abort)
          const at = this.#waiting.indexOf(waiter)
          if (at >= 0) this.#waiting.splice(at, 1)
          if (error === undefined) return resolve()
          reject(error)
          this.#serve()
        },
      }
      signal.addEventListener('abort', abort)
      const at = this.#waiting.findIndex(w => w.priority > priority)
      this.#waiting.splice(at < 0 ? this.#waiting.length : at, 0, waiter)
      this.#serve()
    })
  }

  /** The provider has only this many tokens left for us: others may use the same credential. */
  lower(available: number): void {
    this.#tokens = Math.min(this.available, available)
  }

  #serve(): void {
    clearTimeout(this.#timer)
    for (let first = this.#waiting[0]; first !== undefined; first = this.#waiting[0]) {
      const wait = this.waitFor(first.cost)
      if (wait > 0) {
        this.#timer = setTimeout(() => this.#serve(), wait)
        return
      }
      this.#tokens -= first.cost
      first.done()
    }
  }
}

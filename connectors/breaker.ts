/**
 * When a provider counts as down, and when it is asked again: cockatiel's circuit breaker with what it does not have.
 *
 *   closed ─▶ open ─5 s─▶ half open: one try ─ failed ─▶ open, twice as long, up to 300 s
 *     ▲                        └────────────── well ─▶ closed
 *     └── sources: a number of consecutive failures; message channels: a failure rate over many calls, for several people
 */
import { CircuitState, ConsecutiveBreaker, ExponentialBackoff, type IBackoffFactory, type IBreaker } from 'cockatiel'

export interface BreakerOptions {
  /** Opens after this many failures in a row (3). */
  readonly failures?: number
  /** Instead: opens once more than this share of the latest calls has failed. */
  readonly rate?: { readonly share?: number; readonly calls?: number }
  /** How long it is open at first (5,000), and at most (300,000): doubled each time that a try fails. A tenth is random. */
  readonly probeMs?: number
  readonly mostMs?: number
}

export const BREAKER_DEFAULTS = { failures: 3, probeMs: 5_000, mostMs: 300_000, share: 0.5, calls: 20 } as const

const JITTER = 0.1

/** How long it stays open each time. @param drawn called with the length of the current period */
export function openings(
  { probeMs = BREAKER_DEFAULTS.probeMs, mostMs = BREAKER_DEFAULTS.mostMs }: BreakerOptions,
  timeScale: number,
  drawn: (ms: number) => void,
  random: () => number = Math.random,
): IBackoffFactory<unknown> {
  return new ExponentialBackoff<number>({
    initialDelay: probeMs / timeScale,
    maxDelay: Math.max(probeMs, mostMs) / timeScale,
    generator: (times = 0, { initialDelay, maxDelay }) => {
      const ms = Math.min(maxDelay, initialDelay * 2 ** Math.min(30, times) * (1 + JITTER * random()))
      drawn(ms)
      return [ms, times + 1]
    },
  })
}

/** The policy that decides; `noted` is called for each call before the policy is asked. */
export interface Judge {
  readonly breaker: IBreaker
  /** @param party whom the call was for, where it was for somebody */
  noted(failed: boolean, party: string | undefined): void
}

export function judgeOf({ failures = BREAKER_DEFAULTS.failures, rate }: BreakerOptions): Judge {
  if (rate === undefined) return { breaker: new ConsecutiveBreaker(failures), noted: () => {} }
  const judge = new FailureRate(rate.share ?? BREAKER_DEFAULTS.share, rate.calls ?? BREAKER_DEFAULTS.calls)
  return { breaker: judge, noted: (failed, party) => judge.noted(failed, party) }
}

/** Fewer people than this are themselves the trouble: a number that was given up, a message that the provider stumbles over. */
const LEAST_PARTIES = 3

/**
 * Opens when the share of failures is too high, both of the latest calls and of the people that they were for, each of whom counts
 * once: so that the errors of one person, however often repeated, never silence the others.
 */
class FailureRate implements IBreaker {
  readonly #share: number
  readonly #least: number
  /** Twice as many as are needed, the latest last. */
  #calls: { readonly failed: boolean; readonly party: string | undefined }[] = []

  constructor(share: number, least: number) {
    this.#share = share
    this.#least = least
  }

  get state(): unknown {
    return this.#calls
  }
  set state(calls: unknown) {
    this.#calls = calls as never
  }

  noted(failed: boolean, party: string | undefined): void {
    this.#calls.push({ failed, party })
    if (this.#calls.length > 2 * this.#least) this.#calls.shift()
  }

  success(state: CircuitState): void {
    if (state === CircuitState.HalfOpen) this.#calls = []
  }

  failure(state: CircuitState): boolean {
    if (state !== CircuitState.Closed) return true
    const calls = this.#calls
    if (calls.length < this.#least || calls.filter(call => call.failed).length <= this.#share * calls.length) return false
    // The latest word of each person.
    const people = new Map(calls.flatMap(({ party, failed }) => (party === undefined ? [] : [[party, failed]])))
    const failing = [...people.values()].filter(Boolean).length
    return failing >= LEAST_PARTIES && failing > this.#share * people.size
  }
}

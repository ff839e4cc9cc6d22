/**
 * Every call to the outside goes through here: a budget and a queue (bottleneck), then retries, a circuit breaker and a
 * time-out (cockatiel).
 *
 *   call ─▶ ┌ admitted? ─▶ reservoir ─▶ a free slot ─▶ breaker closed? ─▶ run.beforeSend() ─▶ request, timed ┐ ─▶ result
 *           └──────────────────────────── again after a back-off, where that is safe ◀──────────────────┘
 */
import Bottleneck from 'bottleneck'
import {
  CircuitState,
  circuitBreaker,
  ExponentialBackoff,
  halfJitterGenerator,
  handleWhen,
  retry,
  TaskCancelledError,
  TimeoutStrategy,
  timeout,
} from 'cockatiel'
import { NotDone, SendRefused, type Run } from '../engine/actor.ts'
import { type BreakerOptions, judgeOf, openings } from './breaker.ts'
import { BreakerOpen, isProviderFault, isTransient, neverSent, TimedOut } from './call-errors.ts'

export interface OutboundOptions {
  /** The outside service, for errors and metrics. */
  readonly name: string
  /** Requests under way at once; 3 where absent. */
  readonly concurrency?: number
  /** Least time between the starts of two requests. */
  readonly minTimeMs?: number
  /** A budget: at most `amount` (of weight) in each window of `perMs`. Not scaled by `timeScale`. */
  readonly reservoir?: { readonly amount: number; readonly perMs: number }
  /** Of one try, from the moment it leaves. */
  readonly timeoutMs: number
  readonly breaker?: BreakerOptions
  /** Which errors are the provider's failures; `isProviderFault` where absent. */
  readonly failure?: (error: unknown) => boolean
  /** Tries in all (3), and the waits between them: `firstMs` (500), doubled each time, half of it random, `maxMs` (30,000) at most. */
  readonly retry?: { readonly attempts?: number; readonly firstMs?: number; readonly maxMs?: number }
  /** Divides the breaker's times. */
  readonly timeScale?: number
}

export interface CallOptions {
  /** How much of the reservoir every try takes; 1 where absent. */
  readonly weight?: number
  /** 0 (first) to 9; 5 where absent. */
  readonly priority?: number
  /** Which errors may be tried again; `isTransient` where absent. A send that may not happen twice says `neverSent`. */
  readonly retryable?: (error: unknown) => boolean
  /** Whom it is for, where failures may be that person's alone. */
  readonly party?: string
  /** Awaited at every try before it queues: a budget that the provider counts its own way. Its errors end the call. */
  readonly admit?: () => Promise<void>
}

export interface Outbound {
  readonly name: string
  readonly state: 'closed' | 'open' | 'half_open'
  /** Tries that wait for a slot. */
  readonly queued: number
  /**
   * Runs one request: queues, then at every try calls `run.beforeSend()` right before `request`.
   * @throws {BreakerOpen} when nothing left, because the provider is down
   * @throws {SendRefused} as `run.beforeSend()` threw it, or RELEASED once `close` was called, where no try had left
   * @throws {NotDone} instead of it where earlier tries had left and surely came to nothing
   * @throws {TimedOut} when no answer came in time, or `run.signal` was aborted
   * @throws whatever `request` threw at the last try. When an earlier try may have been done and the last one surely was
   *   not, the earlier one's error is thrown: only an error of `neverSent` says that nothing was done.
   */
  call<T>(run: Run, request: (signal: AbortSignal) => Promise<T>, options?: CallOptions): Promise<T>
  /** Least time between the starts of two tries from now on, ms. */
  pace(minTimeMs: number): void
  /** What waits is released, what runs may finish. */
  close(): Promise<void>
}

/** While one try finds out whether the provider is back, the others wait this long, ms. */
const PROBE_WAIT_MS = 1_000

export function outbound(options: OutboundOptions): Outbound {
  const { name, concurrency = 3, minTimeMs = 0, reservoir, timeoutMs, timeScale = 1 } = options
  const { attempts = 3, firstMs = 500, maxMs = 30_000 } = options.retry ?? {}
  const { failure = isProviderFault, breaker: settings = {} } = options
  const judge = judgeOf(settings)
  let openMs = 0
  const breaker = circuitBreaker(handleWhen(failure), {
    halfOpenAfter: openings(settings, timeScale, ms => {
      openMs = ms
    }),
    breaker: judge.breaker,
  })
  const limit = timeout(timeoutMs, TimeoutStrategy.Aggressive)
  const backoff = new ExponentialBackoff({ initialDelay: firstMs, maxDelay: maxMs, generator: halfJitterGenerator })
  const slots = new Bottleneck({ maxConcurrent: concurrency, minTime: minTimeMs })
  // Apart from the slots: bottleneck would take a weight from its free slots too.
  const budget = reservoir === undefined ? null : limiter(reservoir)
  let openedAt = 0
  let closing: Promise<unknown> | null = null
  breaker.onBreak(() => {
    openedAt = Date.now()
  })

  /** How long the breaker lets nothing through; 0 when it does. */
  const shutFor = () => {
    if (breaker.state === CircuitState.Closed) return 0
    if (breaker.state === CircuitState.HalfOpen) return PROBE_WAIT_MS
    return Math.max(0, Math.ceil(openedAt + openMs - Date.now()))
  }
  const checkBreaker = () => {
    const ms = shutFor()
    if (ms > 0) throw new BreakerOpen(name, ms)
  }

  async function once<T>(run: Run, request: (signal: AbortSignal) => Promise<T>, call: CallOptions): Promise<T> {
    const { weight = 1, priority = 5, admit, party } = call
    checkBreaker()
    await admit?.()
    let left = false
    const beforeSend = () => {
      if (run.signal.aborted) throw new TimedOut(`${name}: given up while it waited`)
      // Checked again, without an await before the breaker's own check: it may have opened while this one queued.
      checkBreaker()
      run.beforeSend()
      left = true
      return breaker.execute(() => noted(inTime(request, run.signal), party))
    }
    const inSlot = () => slots.schedule({ priority }, beforeSend)
    try {
      return await (budget === null ? inSlot() : budget.schedule({ priority, weight }, inSlot))
    } catch (error) {
      if (budget !== null && !left && closing === null) void budget.incrementReservoir(weight)
      if (error instanceof Bottleneck.BottleneckError) throw new SendRefused('RELEASED', `${name}: ${error.message}`)
      throw error
    }
  }

  /** Tells the judge what became of a call, before the breaker asks it. */
  async function noted<T>(call: Promise<T>, party: string | undefined): Promise<T> {
    try {
      const result = await call
      judge.noted(false, party)
      return result
    } catch (error) {
      judge.noted(failure(error), party)
      throw error
    }
  }

  async function inTime<T>(request: (signal: AbortSignal) => Promise<T>, given: AbortSignal): Promise<T> {
    const late = (error: unknown) => new TimedOut(`${name}: no answer within ${timeoutMs} ms`, { cause: error })
    try {
      return await limit.execute(
        ({ signal }) =>
          request(signal).catch(error => {
            // The request may notice the abort before the time-out policy does.
            throw signal.aborted ? late(error) : error
          }),
        given,
      )
    } catch (error) {
      throw error instanceof TaskCancelledError ? late(error) : error
    }
  }

  return {
    name,
    get state() {
      return STATES[breaker.state]
    },
    get queued() {
      return slots.queued()
    },
    async call(run, request, call = {}) {
      const { retryable = isTransient } = call
      const again = (error: unknown) =>
        !(error instanceof NotDone) && !(error instanceof SendRefused) && retryable(error) && shutFor() === 0
      let uncertain: unknown = null
      let asked = false
      const ask = (signal: AbortSignal) => {
        asked = true
        return request(signal)
      }
      const tries = retry(handleWhen(again), { maxAttempts: attempts - 1, backoff }).execute(async () => {
        try {
          return await once(run, ask, call)
        } catch (error) {
          if (!neverSent(error)) uncertain = error
          throw error
        }
      }, run.signal)
      try {
        return await untilAborted(tries, run.signal, () => new TimedOut(`${name}: given up`))
      } catch (error) {
        if (uncertain !== null && neverSent(error)) throw uncertain
        // Something has left, and surely nothing came of it: only the port can know.
        if (asked && error instanceof SendRefused) throw new NotDone(`${name}: ${error.message}`, { cause: error })
        throw error
      }
    },
    pace(minTimeMs) {
      slots.updateSettings({ minTime: minTimeMs })
    },
    async close() {
      closing ??= Promise.all([slots.stop(STOPPED), budget?.stop(STOPPED)])
      await closing
    },
  }
}

const STATES = {
  [CircuitState.Closed]: 'closed',
  [CircuitState.Open]: 'open',
  [CircuitState.Isolated]: 'open',
  [CircuitState.HalfOpen]: 'half_open',
} as const

const STOPPED = { dropWaitingJobs: true, dropErrorMessage: 'closing', enqueueErrorMessage: 'closing' }

function limiter({ amount, perMs }: { amount: number; perMs: number }): Bottleneck {
  return new Bottleneck({ reservoir: amount, reservoirRefreshAmount: amount, reservoirRefreshInterval: perMs })
}

/** The promise, or `late()` as an error once the signal is aborted. */
function untilAborted<T>(promise: Promise<T>, signal: AbortSignal, late: () => Error): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = () => reject(late())
    if (signal.aborted) abort()
    signal.addEventListener('abort', abort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', abort))
  })
}

/** What readiness says of a provider. */
export function healthOf({ state }: Outbound): { status: 'up' | 'degraded'; detail: string } {
  if (state === 'closed') return { status: 'up', detail: '' }
  return { status: 'degraded', detail: 'the provider fails: calls are held back until it answers again' }
}

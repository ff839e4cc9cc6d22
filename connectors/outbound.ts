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
  /** Which errors are the provider's failures; `providerFailure` where absent. */
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
  /** Which errors may be tried again; `transient` where absent. A send that may not happen twice says `surelyNothing`. */
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
   *   not, the earlier one's error is thrown: only an error of `surelyNothing` says that nothing was done.
   */
  call<T>(run: Run, request: (signal: AbortSignal) => Promise<T>, options?: CallOptions): Promise<T>
  /** Least time between the starts of two tries from now on, ms. */
  pace(minTimeMs: number): void
  /** What waits is released, what runs may finish. */
  close(): Promise<void>
}

/** The provider answered with a status that is not 2xx. */
export class HttpFailure extends Error {
  readonly status: number
  readonly body: string
  readonly headers: Headers
  constructor(status: number, body: string, headers: Headers) {
    super(`HTTP ${status}${body === '' ? '' : `: ${body.slice(0, 300)}`}`)
    this.name = 'HttpFailure'
    this.status = status
    this.body = body
    this.headers = headers
  }
}

/** There was no usable answer. `left` is false when the request surely never reached the provider. */
export class TransportFailure extends Error {
  readonly left: boolean
  constructor(message: string, left: boolean, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TransportFailure'
    this.left = left
  }
}

/** No answer in time: it may or may not have been done. */
export class TimedOut extends Error {
  constructor(message: string, options?: ErrorOptions) {
    super(message, options)
    this.name = 'TimedOut'
  }
}

/** The breaker is open: nothing left. `retryAfterMs` says when it lets a try through. */
export class BreakerOpen extends NotDone {
  constructor(service: string, retryAfterMs: number) {
    super(`${service} is down; tried again in ${Math.ceil(retryAfterMs / 1000)} s`, { retryAfterMs })
    this.name = 'BreakerOpen'
  }
}

const RETRIED_STATUS: readonly number[] = [500, 502, 503, 504]

/** Nothing was done: safe to repeat, whatever the request was. */
export function surelyNothing(error: unknown): boolean {
  return error instanceof NotDone || error instanceof SendRefused || (error instanceof TransportFailure && !error.left)
}

/** Surely nothing, or a passing failure that the provider itself reports: HTTP 500, 502, 503, 504. */
export function transient(error: unknown): boolean {
  return surelyNothing(error) || (error instanceof HttpFailure && RETRIED_STATUS.includes(error.status))
}

/** Transient, and every failure that leaves open whether it was done: only for a request that may happen twice. */
export function repeatable(error: unknown): boolean {
  return transient(error) || error instanceof TimedOut || error instanceof TransportFailure
}

/** A failure of the provider, not of what was asked: what the breaker counts. */
export function providerFailure(error: unknown): boolean {
  return error instanceof TransportFailure || error instanceof TimedOut || (error instanceof HttpFailure && error.status >= 500)
}

/** While one try finds out whether the provider is back, the others wait this long, ms. */
const PROBE_WAIT = 1_000

export function outbound(options: OutboundOptions): Outbound {
  const { name, concurrency = 3, minTimeMs = 0, reservoir, timeoutMs, timeScale = 1 } = options
  const { attempts = 3, firstMs = 500, maxMs = 30_000 } = options.retry ?? {}
  const { failure = providerFailure, breaker: settings = {} } = options
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
    if (breaker.state === CircuitState.HalfOpen) return PROBE_WAIT
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
      const { retryable = transient } = call
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
          if (!surelyNothing(error)) uncertain = error
          throw error
        }
      }, run.signal)
      try {
        return await untilAborted(tries, run.signal, () => new TimedOut(`${name}: given up`))
      } catch (error) {
        if (uncertain !== null && surelyNothing(error)) throw uncertain
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

/**
 * Fetches a URL and reads the answer as JSON (null where it is empty).
 * @throws {HttpFailure} for a status that is not 2xx
 * @throws {TransportFailure} when no answer came, or one that is not JSON
 */
export async function fetchJson(
  url: string | URL,
  init: RequestInit,
  signal: AbortSignal,
): Promise<{ body: unknown; headers: Headers }> {
  const { text, response } = await fetchText(url, init, signal)
  if (!response.ok) throw new HttpFailure(response.status, text, response.headers)
  try {
    return { body: text === '' ? null : JSON.parse(text), headers: response.headers }
  } catch (error) {
    throw new TransportFailure(`answered HTTP ${response.status} with what is not JSON: ${text.slice(0, 100)}`, true, {
      cause: error,
    })
  }
}

async function fetchText(url: string | URL, init: RequestInit, signal: AbortSignal) {
  try {
    const response = await fetch(url, { ...init, signal })
    return { text: await response.text(), response }
  } catch (error) {
    if (signal.aborted) throw error
    const cause = (error as { cause?: { code?: string; message?: string } }).cause
    const left = !NEVER_CONNECTED.includes(cause?.code ?? '')
    throw new TransportFailure(cause?.message || (error as Error).message, left, { cause: error })
  }
}

/** Error codes of Node and undici for a connection that was never made. */
const NEVER_CONNECTED = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'ENETUNREACH', 'EHOSTUNREACH', 'UND_ERR_CONNECT_TIMEOUT']

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

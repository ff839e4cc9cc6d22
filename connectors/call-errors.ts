/** How a call to the outside fails, and what that says of whether it was done. */
import { NotDone, SendRefused } from '../engine/actor.ts'

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
export function neverSent(error: unknown): boolean {
  return error instanceof NotDone || error instanceof SendRefused || (error instanceof TransportFailure && !error.left)
}

/** Surely nothing, or a passing failure that the provider itself reports: HTTP 500, 502, 503, 504. */
export function isTransient(error: unknown): boolean {
  return neverSent(error) || (error instanceof HttpFailure && RETRIED_STATUS.includes(error.status))
}

/** A failure of the provider, not of what was asked: what the breaker counts. */
export function isProviderFault(error: unknown): boolean {
  return error instanceof TransportFailure || error instanceof TimedOut || (error instanceof HttpFailure && error.status >= 500)
}

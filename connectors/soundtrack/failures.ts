/** What an error of the client means, in the words that the rest of the system knows. */
import { messageOf } from '../../engine/errors.ts'
import { BreakerOpen, HttpFailure, neverSent, TimedOut, TransportFailure } from '../call-errors.ts'
import { RateLimited } from './budget.ts'

export type Reason =
  | 'provider_down'
  | 'provider_slow'
  | 'rate_limited'
  | 'unauthenticated'
  | 'forbidden'
  | 'permission'
  | 'invalid'

export interface Failure {
  readonly reason: Reason
  /** True when it may have been done all the same. */
  readonly uncertain: boolean
  /** The provider's words. */
  readonly detail: string
}

export interface GraphqlError {
  readonly message: string
  readonly path?: readonly (string | number)[]
  readonly extensions?: { readonly code?: string }
}

/** The provider answered, and what was asked for is not in the answer. */
export class GraphqlFailure extends Error {
  readonly errors: readonly GraphqlError[]
  constructor(errors: readonly GraphqlError[], otherwise: string) {
    super(errors.map(e => e.message).join('; ') || otherwise)
    this.name = 'GraphqlFailure'
    this.errors = errors
  }
}

/** Explains an error of the client. @throws the error itself, where it is none of the provider's */
export function failureOf(error: unknown): Failure {
  const detail = messageOf(error)
  const uncertain = !neverSent(error)
  if (error instanceof RateLimited) return { reason: 'rate_limited', uncertain, detail }
  if (error instanceof TimedOut) return { reason: 'provider_slow', uncertain, detail }
  if (error instanceof BreakerOpen || error instanceof TransportFailure) return { reason: 'provider_down', uncertain, detail }
  if (error instanceof HttpFailure) {
    if (error.status >= 500) return { reason: 'provider_down', uncertain, detail }
    return { reason: STATUS[error.status] ?? 'invalid', uncertain: false, detail }
  }
  if (error instanceof GraphqlFailure) {
    const reason = graphqlReason(error.errors)
    return { reason, uncertain: reason === 'provider_down', detail }
  }
  throw error
}

/** Why an attempt was given up: a code for the actor, and words for people. */
export function whyGivenUp(error: unknown): { code: Reason; words: string } {
  const { reason, detail } = failureOf(error)
  return { code: reason, words: `${reason}: ${detail}` }
}

/** Reasons of the provider's that count for more than how the attempt ended. */
const OF_PROVIDER: readonly string[] = ['provider_down', 'provider_slow', 'rate_limited']

/** The provider's reason for an attempt's end; null where it ended for one of its own. Earlier versions have it in the words alone. */
export function reasonOfEnd({ code, reason }: { code: string | null; reason: string }): Reason | null {
  const said = code ?? reason.slice(0, Math.max(reason.indexOf(': '), 0))
  return OF_PROVIDER.includes(said) ? (said as Reason) : null
}

const STATUS: Readonly<Record<number, Reason>> = { 401: 'unauthenticated', 403: 'forbidden' }

function graphqlReason(errors: readonly GraphqlError[]): Reason {
  const said = (code: RegExp, message: RegExp) => errors.some(e => code.test(e.extensions?.code ?? '') || message.test(e.message))
  if (said(/^UNAUTH(ENTICATED|ORIZED)$/, /^unauth(enticated|orized)/i)) return 'unauthenticated'
  if (said(/^FORBIDDEN$/, /^forbidden/i)) return 'forbidden'
  // A command at a zone without control rights ends in "Not found".
  if (said(/^NOT_FOUND$/, /^not found/i)) return 'permission'
  if (said(/^INTERNAL/, /^internal (server )?error/i)) return 'provider_down'
  return 'invalid'
}

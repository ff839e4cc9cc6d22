/** Rate limits, each counted separately for every principal, or for every address without one. */

import { MINUTE_MS } from '../../domain/time.ts'

export const LIMITS = {
  /** Lists and searches of venues. */
  search: { max: 100, windowMs: MINUTE_MS },
  /** A venue, its zones, a conversation. */
  status: { max: 1_000, windowMs: MINUTE_MS },
  /** Refreshing data of external providers. */
  sync: { max: 10, windowMs: MINUTE_MS },
  /** Sending e-mail. */
  email: { max: 50, windowMs: 60 * MINUTE_MS },
  login: { max: 10, windowMs: MINUTE_MS },
  /** Invalid tokens, by address. */
  token: { max: 600, windowMs: MINUTE_MS },
  /** Webhooks, counted before their signature is checked. A provider sends all of its traffic from few addresses. */
  webhooks: { max: 60_000, windowMs: MINUTE_MS },
  other: { max: 600, windowMs: MINUTE_MS },
} as const satisfies Readonly<Record<string, { readonly max: number; readonly windowMs: number }>>

export type LimitName = keyof typeof LIMITS
export const LIMIT_NAMES = Object.keys(LIMITS) as readonly LimitName[]

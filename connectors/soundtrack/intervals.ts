/**
 * How often accounts of each rank are read: as often as the rank wants, or as the refill of the tokens allows, whichever is less. What
 * a higher rank takes is bounded, so that a lower one is late, but never left out. The lowest takes whatever there is.
 */
import type { SoundtrackSettings } from './polling.ts'

/** First come, first served. `unread` is never late: it takes what the critical leave, until all have been read once. */
export const RANKS = ['asked', 'critical', 'unread', 'changed', 'normal', 'quiet'] as const
export type Rank = (typeof RANKS)[number]

/** Of the refill: the rest is for commands and for what people ask. */
const FOR_POLLS = 0.95
/** Of what is left, at most. */
const SHARE = { critical: 0.8, changed: 0.5 } as const
/** Of the share of both, a normal account gets this many times as much as a quiet one. */
const NORMAL_BEFORE_QUIET = 2

export interface Intervals {
  /** Between two reads of an account, ms by the clock. */
  readonly every: ReadonlyMap<Rank, number>
  /** The tokens do not suffice for what is wanted. */
  readonly behind: boolean
}

/** @param costs tokens that one read of every account of the rank takes */
export function intervals(
  costs: ReadonlyMap<Rank, number>,
  tokensPerSecond: number,
  { quietMs, urgentMs, changedMs, gapMs, timeScale }: SoundtrackSettings,
): Intervals {
  let left = tokensPerSecond * FOR_POLLS
  const cost = (rank: Rank) => costs.get(rank) ?? 0
  const bounded = (rank: Rank, wantedMs: number, share: number) => {
    // At this interval it takes no more than its share.
    const every = Math.max(wantedMs / timeScale, (cost(rank) / (left * share)) * 1000)
    left -= (cost(rank) / every) * 1000
    return every
  }
  const critical = bounded('critical', urgentMs, SHARE.critical)
  const changed = bounded('changed', changedMs, SHARE.changed)
  const [gap, quiet] = [gapMs / timeScale, quietMs / timeScale]
  const behind = cost('unread') + cost('normal') + cost('quiet') > (left * quiet) / 1000
  const weight = NORMAL_BEFORE_QUIET * cost('normal')
  // The last needs no bound: the tokens are one.
  const normal = cost('quiet') === 0 ? quiet : bounded('normal', quietMs, weight / (weight + cost('quiet')) || 1)
  const every = new Map<Rank, number>([
    ['asked', gap],
    ['critical', critical],
    ['unread', gap],
    ['changed', changed],
    ['normal', normal],
    ['quiet', quiet],
  ])
  return { every, behind }
}

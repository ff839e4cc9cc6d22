/**
 * Zones that are read at most 30 s apart: offline by one reading only, changing back and forth, or talked about.
 */
import type { VenueState, ZoneSlot } from '../../schemas/types.ts'
import { pollSooner, type Turn } from './context.ts'
import { isDoubtful, isWatched } from './zones.ts'

const FIRST_LOOK_MS = 10_000
const LOOK_MS = 25_000

/** Somebody asks about these zones. */
export function talkedAbout(state: VenueState, zones: readonly ZoneSlot[], turn: Turn): VenueState {
  const talkedAt = turn.context.now
  const talked = { ...state, zones: state.zones.map(zone => (zones.includes(zone) ? { ...zone, talkedAt } : zone)) }
  watchClosely(state, talked, turn)
  return talked
}

/** Begins the watch, if it has not begun before. */
export function watchClosely(before: VenueState, after: VenueState, { context }: Turn): void {
  const { now } = context
  const isBusy = (state: VenueState) => state.zones.some(zone => isWatched(zone, now))
  if (isBusy(before) || !isBusy(after)) return
  context.setTimer('look', now + FIRST_LOOK_MS)
}

/** The timer of the watch: it goes on until no zone needs it. */
export function lookDue(state: VenueState, turn: Turn): VenueState {
  const { now } = turn.context
  const watched = state.zones.filter(zone => isWatched(zone, now))
  const [first] = watched
  if (first === undefined) return state
  const reason = watched.some(zone => isDoubtful(zone, now)) ? 'flapping' : 'talking'
  pollSooner(turn, state, watched.length === 1 ? first.zone : null, reason)
  turn.context.setTimer('look', now + LOOK_MS)
  return state
}

/**
 * Zones that are read at most 30 s apart: offline by a single reading, flapping, or being talked about.
 */
import type { VenueState, ZoneSlot } from '../../schemas/types.ts'
import { pollSooner, type VenueStep } from './context.ts'
import { isDoubtful, isWatched } from './zones.ts'

const FIRST_READING_MS = 10_000
const READING_INTERVAL_MS = 25_000

/** Marks these zones as being talked about. */
export function talkedAbout(state: VenueState, zones: readonly ZoneSlot[], step: VenueStep): VenueState {
  const talkedAt = step.context.now
  const talked = { ...state, zones: state.zones.map(zone => (zones.includes(zone) ? { ...zone, talkedAt } : zone)) }
  watchClosely(state, talked, step)
  return talked
}

/** Starts the watch unless it is running. */
export function watchClosely(before: VenueState, after: VenueState, { context }: VenueStep): void {
  const { now } = context
  const isBusy = (state: VenueState) => state.zones.some(zone => isWatched(zone, now))
  if (isBusy(before) || !isBusy(after)) return
  context.setTimer('look', now + FIRST_READING_MS)
}

/** The timer of the watch: repeats until no zone needs it. */
export function lookDue(state: VenueState, step: VenueStep): VenueState {
  const { now } = step.context
  const watched = state.zones.filter(zone => isWatched(zone, now))
  const [first] = watched
  if (first === undefined) return state
  const reason = watched.some(zone => isDoubtful(zone, now)) ? 'flapping' : 'talking'
  pollSooner(step, state, watched.length === 1 ? first.zone : null, reason)
  step.context.setTimer('look', now + READING_INTERVAL_MS)
  return state
}

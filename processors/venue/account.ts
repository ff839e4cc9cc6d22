/**
 * The Soundtrack account that is read for a venue: it is watched anew when the venue's fields change what has to be read.
 */
import type { VenueState } from '../../schemas/types.ts'
import { soundtrackInbox } from '../../topics/catalog.ts'
import { type VenueStep, watchAccount } from './context.ts'
import { leave } from './snapshots.ts'

/** Fields of a venue that the reading of its account depends on. */
export const WATCHED: readonly string[] = ['soundtrackAccount', 'soundtrackLocation', 'priorityLevel', 'name', 'location']

/** Reads the account of the changed venue. Zones of another account or location are no longer the venue's. */
export function watch(before: VenueState, after: VenueState, step: VenueStep): VenueState {
  const { soundtrackAccount: account, soundtrackLocation: location } = after
  const moved = before.soundtrackAccount !== account || before.soundtrackLocation !== location
  if (before.soundtrackAccount !== account) unwatch(before, step)
  watchAccount(step, after)
  return moved ? leave({ ...after, readError: '' }, after.zones, step) : after
}

/** Stops reading the account for this venue. */
export function unwatch({ soundtrackAccount: account }: VenueState, { context }: VenueStep): void {
  if (account === null) return
  context.clearTimer('unread')
  context.clearTimer('look')
  context.emit(soundtrackInbox, account, 'WatchVenue', { venue: context.key, account, stop: true })
}

/**
 * The Soundtrack account that is polled for a venue, and what happens when the venue's fields change what must be polled.
 */
import type { VenueState } from '../../schemas/types.ts'
import { soundtrackInbox } from '../../topics/catalog.ts'
import { type VenueStep, watchAccount } from './context.ts'
import { leave } from './snapshots.ts'

/** Fields whose change restarts the polling. */
export const WATCHED: readonly string[] = ['soundtrackAccount', 'soundtrackLocation', 'priorityLevel', 'name', 'location']

/** Polls the account of the changed venue. Zones of its former account or location are dropped. */
export function watch(before: VenueState, after: VenueState, step: VenueStep): VenueState {
  const { soundtrackAccount: account, soundtrackLocation: location } = after
  const moved = before.soundtrackAccount !== account || before.soundtrackLocation !== location
  if (before.soundtrackAccount !== account) unwatch(before, step)
  watchAccount(step, after)
  return moved ? leave({ ...after, readError: '' }, after.zones, step) : after
}

/** Stops polling the account for this venue. */
export function unwatch({ soundtrackAccount: account }: VenueState, { context }: VenueStep): void {
  if (account === null) return
  context.clearTimer('unread')
  context.clearTimer('look')
  context.emit(soundtrackInbox, account, 'WatchVenue', { venue: context.key, account, stop: true })
}

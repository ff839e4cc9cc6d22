/**
 * A venue: its master data from several sources, the state of its zones, and the requests that people make of them.
 */
import { tenantOf } from '../../domain/tenants.ts'
import { actor } from '../../engine/actor.ts'
import type { VenueState } from '../../schemas/types.ts'
import { venueInbox, venueJournal } from '../../topics/catalog.ts'
import { offlineDue } from './alerts.ts'
import { type VenueStep, VENUE_EMITS, VENUE_LOOKUPS, type VenueContext } from './context.ts'
import { jobDue, lateDue, takeResult } from './jobs.ts'
import { takeOverride, takeRefresh } from './overrides.ts'
import { publish } from './profile.ts'
import { requestDue, resumeDue, takeRequest } from './requests.ts'
import { trimmed } from './room.ts'
import { scaled, settingsFor, type VenueSettings } from './settings.ts'
import { takeRow } from './sheet.ts'
import { takeSnapshot, unreadDue } from './snapshots.ts'
import { lookDue } from './watching.ts'

/** The actor of a venue, by the venue's id. */
export const venueActor = (given: VenueSettings) => {
  const settings = scaled(given)
  /** Runs a handler under the tenant's settings; then trims the state and publishes the profile when it is due. */
  const run = (before: VenueState | null, context: VenueContext, handle: (step: VenueStep) => VenueState | null) => {
    const known = before?.tenant ?? null
    const news = context.lookup('tenant', { tenant: tenantOf(context.key), known: known?.version ?? 0 })
    const handled = handle({ context, settings: settingsFor(news ?? known, settings) })
    const after = handled === null || news === null ? handled : { ...handled, tenant: news }
    return publish(before, after === null || after === before ? after : trimmed(after), context, settings.profileMs)
  }
  return actor({
    name: 'venue',
    inbox: venueInbox,
    state: 'VenueState',
    emits: VENUE_EMITS,
    lookups: VENUE_LOOKUPS,
    journal: venueJournal,
    on: {
      SheetRow: (state, row, context) => run(state, context, step => takeRow(state, row, step)),
      ZoneSnapshot: (state, snapshot, context) => run(state, context, step => takeSnapshot(state, snapshot, step)),
      ZoneRequest: (state, request, context) => run(state, context, step => takeRequest(state, request, step)),
      ZoneResult: (state, result, context) =>
        run(state, context, step => (state === null ? null : takeResult(state, result, step))),
      VenueOverride: (state, override, context) => run(state, context, step => takeOverride(state, override, step)),
      VenueRefresh: (state, refresh, context) => run(state, context, step => takeRefresh(state, refresh, step)),
    },
    timers: {
      request: (state, { argument }, context) => run(state, context, step => requestDue(state, Number(argument), step)),
      job: (state, { argument }, context) => run(state, context, step => jobDue(state, argument, step)),
      late: (state, { argument }, context) => run(state, context, step => lateDue(state, argument, step)),
      resume: (state, { argument }, context) => run(state, context, step => resumeDue(state, argument, step)),
      offline: (state, { argument }, context) => run(state, context, step => offlineDue(state, argument, step)),
      look: (state, _timer, context) => run(state, context, step => lookDue(state, step)),
      unread: (state, _timer, context) => run(state, context, step => unreadDue(state, step)),
    },
  })
}

/**
 * A venue: what its sources say of it, what its zones do, and what people want of them.
 */
import { tenantOf } from '../../domain/tenants.ts'
import { actor } from '../../engine/actor.ts'
import type { VenueState } from '../../schemas/types.ts'
import { venueInbox, venueJournal } from '../../topics/catalog.ts'
import { offlineDue } from './alerts.ts'
import { type Turn, VENUE_EMITS, VENUE_LOOKUPS, type VenueContext } from './context.ts'
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
  /** Runs a step under the tenant's settings; then the state is made to fit, and the profile written when it is due. */
  const run = (before: VenueState | null, context: VenueContext, step: (turn: Turn) => VenueState | null) => {
    const known = before?.tenant ?? null
    const news = context.lookup('tenant', { tenant: tenantOf(context.key), known: known?.version ?? 0 })
    const stepped = step({ context, settings: settingsFor(news ?? known, settings) })
    const after = stepped === null || news === null ? stepped : { ...stepped, tenant: news }
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
      SheetRow: (state, row, context) => run(state, context, turn => takeRow(state, row, turn)),
      ZoneSnapshot: (state, snapshot, context) => run(state, context, turn => takeSnapshot(state, snapshot, turn)),
      ZoneRequest: (state, request, context) => run(state, context, turn => takeRequest(state, request, turn)),
      ZoneResult: (state, result, context) =>
        run(state, context, turn => (state === null ? null : takeResult(state, result, turn))),
      VenueOverride: (state, override, context) => run(state, context, turn => takeOverride(state, override, turn)),
      VenueRefresh: (state, refresh, context) => run(state, context, turn => takeRefresh(state, refresh, turn)),
    },
    timers: {
      request: (state, { argument }, context) => run(state, context, turn => requestDue(state, Number(argument), turn)),
      job: (state, { argument }, context) => run(state, context, turn => jobDue(state, argument, turn)),
      late: (state, { argument }, context) => run(state, context, turn => lateDue(state, argument, turn)),
      resume: (state, { argument }, context) => run(state, context, turn => resumeDue(state, argument, turn)),
      offline: (state, { argument }, context) => run(state, context, turn => offlineDue(state, argument, turn)),
      look: (state, _timer, context) => run(state, context, turn => lookDue(state, turn)),
      unread: (state, _timer, context) => run(state, context, turn => unreadDue(state, turn)),
    },
  })
}

/**
 * The venue's profile: published when something visible has changed, and periodically to refresh its times.
 */
import { COMMAND } from '../../engine/headers.ts'
import { venueProfiles } from '../../topics/catalog.ts'
import type { VenueProfileInput, VenueState, ZoneSlot } from '../../schemas/types.ts'
import type { VenueContext } from './context.ts'

/** Publishes the profile when it is due, and after every command. @returns the state with the time of publication */
export function publish(
  before: VenueState | null,
  after: VenueState | null,
  context: VenueContext,
  profileMs: number,
): VenueState | null {
  const commanded = context.headers[COMMAND] !== undefined
  if (after === null || (after === before && !commanded)) return after
  const changed = before === null || visibleState(before) !== visibleState(after)
  const read = newestReading(after)
  const timely = read > newestReading(before ?? after) && context.now - after.publishedAt >= profileMs
  if (!changed && !timely && !commanded) return after
  const updatedAt = changed ? context.now : after.updatedAt
  const published = { ...after, updatedAt, publishedAt: context.now }
  context.emit(venueProfiles, context.key, 'VenueProfile', profileOf(published, context))
  return published
}

function profileOf(state: VenueState, { key, commands }: Pick<VenueContext, 'key' | 'commands'>): VenueProfileInput {
  const {
    provenance,
    zones,
    publishedAt,
    readError,
    nextSlot,
    requests,
    nextRequest,
    resumes,
    alerts,
    overrides,
    standsFrom,
    standsUntil,
    tenant,
    ...master
  } = state
  const read = newestReading(state)
  return {
    venue: key,
    ...master,
    readError: zones.length === 0 ? readError : '',
    provenance: read === 0 ? provenance : [...provenance, { field: 'zones', source: 'soundtrack', at: read }],
    zones: zones.map(zone => ({ ...seen(zone), lastSeen: zone.lastSeen, asOf: zone.asOf })),
    overrides: overrides.map(({ field, by, reason, at }) => ({ field, by, reason, at })),
    commands: [...commands],
  }
}

/** The visible fields of a zone, without the times that every reading changes. */
function seen({ zone, name, status, detail, playback, volume, track, artist, source, since }: ZoneSlot) {
  return { zone, name, status, detail, playback, volume, track, artist, source, since }
}

/** Everything visible, as a string to compare. */
function visibleState(state: VenueState): string {
  const { provenance, updatedAt, zones, ...master } = profileOf(state, { key: '', commands: [] })
  return JSON.stringify([master, state.zones.map(seen)])
}

function newestReading({ zones }: VenueState): number {
  return Math.max(0, ...zones.map(zone => zone.asOf ?? 0))
}

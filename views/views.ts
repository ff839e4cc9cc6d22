/**
 * Records as those see them who read them through a cache: the same fields, under the same names, as the API reads from the serving
 * store. JSON only: times are ISO 8601.
 */
import { VENUE_FIELD_NAMES, type VenueFieldName } from '../domain/venue-fields.ts'
import type { ConversationProfile, VenueProfile } from '../schemas/types.ts'

export type ZoneView = ReturnType<typeof zoneView>
export type VenueView = ReturnType<typeof venueView>
export type ConversationView = ReturnType<typeof conversationView>

export function venueView(venue: VenueProfile) {
  return {
    id: venue.venue,
    region: regionOf(venue.location),
    removed: venue.removed,
    provenance: Object.fromEntries(venue.provenance.map(({ field, source, at }) => [field, { source, at: iso(at) }])),
    overrides: venue.overrides.map(({ at, ...override }) => ({ ...override, at: iso(at) })),
    ...shownFields(venue),
    updatedAt: iso(venue.updatedAt),
    contact: { name: venue.contactName, email: venue.contactEmail, phone: venue.contactPhone, position: venue.contactPosition },
    zones: venue.zones.map(zoneView).sort((a, b) => compare(a.name, b.name) || compare(a.id, b.id)),
  }
}

/** Those of a venue's fields that are shown as they are; the contact's are shown together. */
type ShownField = Exclude<VenueFieldName, `contact${string}`>
export const SHOWN_FIELDS = VENUE_FIELD_NAMES.filter((field): field is ShownField => !field.startsWith('contact'))

function shownFields(venue: VenueProfile) {
  return Object.fromEntries(SHOWN_FIELDS.map(field => [field, venue[field]])) as Pick<VenueProfile, ShownField>
}

function zoneView(zone: VenueProfile['zones'][number]) {
  return {
    id: zone.zone,
    name: zone.name,
    status: zone.status.toLowerCase(),
    detail: zone.detail,
    playing: zone.playback === null ? null : zone.playback.toLowerCase() === 'playing',
    playback: zone.playback,
    volume: zone.volume,
    track: zone.track,
    artist: zone.artist,
    source: zone.source,
    since: zone.since === null ? null : iso(zone.since),
    lastSeen: zone.lastSeen === null ? null : iso(zone.lastSeen),
    asOf: zone.asOf === null ? null : iso(zone.asOf),
  }
}

/** Who answers in a conversation, and about what; nothing of what was said. */
export function conversationView(conversation: ConversationProfile) {
  return {
    id: conversation.conversation,
    channel: conversation.channel,
    state: conversation.state,
    owner: conversation.owner.toLowerCase(),
    assignee: conversation.assignee,
    trust: conversation.trust.toLowerCase(),
    language: conversation.language,
    venue: conversation.venue,
    venueName: conversation.venueName,
    openedAt: iso(conversation.openedAt),
    updatedAt: iso(conversation.updatedAt),
    lastInboundAt: iso(conversation.lastInboundAt),
  }
}

/** What follows the last comma of a location, in small letters. */
export function regionOf(location: string): string {
  return location
    .slice(location.lastIndexOf(',') + 1)
    .trim()
    .toLowerCase()
}

const LAST_TIME = Date.UTC(9999, 11, 31)

function iso(ms: number): string {
  return new Date(Math.min(Math.max(ms, 0), LAST_TIME)).toISOString()
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

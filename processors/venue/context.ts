/**
 * What every handler of a venue needs, and what several of them emit.
 */
import type { Context } from '../../engine/actor.ts'
import type { VenueEventInput, VenueState } from '../../schemas/types.ts'
import { alerts, conversationInbox, soundtrackInbox, venueEvents, venueProfiles, zoneKey } from '../../topics/catalog.ts'
import type { VenueSettings } from './settings.ts'

export const VENUE_EMITS = [conversationInbox, soundtrackInbox, venueProfiles, venueEvents, alerts]

/** Answers when the tenant's settings are newer than the known version. */
export const VENUE_LOOKUPS = { tenant: { input: 'TenantAsked', result: 'TenantSettings', unnumbered: true } } as const

// biome-ignore lint/complexity/noBannedTypes: a venue has no effects
export type VenueContext = Context<(typeof VENUE_EMITS)[number], {}, typeof VENUE_LOOKUPS>

/** The context and the tenant's settings, scaled. */
export interface VenueStep {
  readonly context: VenueContext
  readonly settings: VenueSettings
}

/** Emits an event of the venue. */
export function recordEvent({ context }: VenueStep, event: Omit<VenueEventInput, 'id' | 'venue' | 'at'>): void {
  const { key, now } = context
  context.emit(venueEvents, key, 'VenueEvent', { id: context.id(), venue: key, at: now, ...event })
}

/** Asks for a reading soon: of one zone, or of the whole account if none is named. */
export function pollSooner({ context }: VenueStep, state: VenueState, zone: string | null, reason: string): void {
  const account = state.soundtrackAccount
  if (account === null) return
  const key = zone === null ? account : zoneKey(account, zone)
  context.emit(soundtrackInbox, key, 'PollSooner', { venue: context.key, account, zone, reason })
}

/** Starts polling the account for this venue. Its name and address tell its zones from others of the account. */
export function watchAccount({ context }: VenueStep, state: VenueState): void {
  const { soundtrackAccount: account, soundtrackLocation: location, priorityLevel: priority, zoneCount: zones } = state
  if (account === null) return
  const { name, location: address } = state
  const watched = { venue: context.key, account, location, priority, zones, name, address }
  context.emit(soundtrackInbox, account, 'WatchVenue', watched)
}

/**
 * What a venue's handlers say to others.
 */
import type { Context } from '../../engine/actor.ts'
import type { AlertInput, VenueEventInput, VenueState } from '../../schemas/types.ts'
import { alerts, conversationInbox, soundtrackInbox, venueEvents, venueProfiles, zoneKey } from '../../topics/catalog.ts'
import type { VenueSettings } from './settings.ts'

export const VENUE_EMITS = [conversationInbox, soundtrackInbox, venueProfiles, venueEvents, alerts]

/** Answers where the tenant has settings that are not known yet. */
export const VENUE_LOOKUPS = { tenant: { input: 'TenantAsked', result: 'TenantSettings', oncePerRecord: true } } as const

// biome-ignore lint/complexity/noBannedTypes: a venue has no effects
export type VenueContext = Context<(typeof VENUE_EMITS)[number], {}, typeof VENUE_LOOKUPS>

/** What every step of a handler needs. The settings are scaled. */
export interface Turn {
  readonly context: VenueContext
  readonly settings: VenueSettings
}

export function note({ context }: Turn, event: Omit<VenueEventInput, 'id' | 'venue' | 'at'>): void {
  const { key, now } = context
  context.emit(venueEvents, key, 'VenueEvent', { id: context.id(), venue: key, at: now, ...event })
}

export function alert({ context }: Turn, raised: Omit<AlertInput, 'venue' | 'at'>): void {
  context.emit(alerts, context.key, 'Alert', { venue: context.key, at: context.now, ...raised })
}

/** Asks for a reading soon: of one zone, or of the account where none is named. */
export function pollSooner({ context }: Turn, state: VenueState, zone: string | null, reason: string): void {
  const account = state.soundtrackAccount
  if (account === null) return
  const key = zone === null ? account : zoneKey(account, zone)
  context.emit(soundtrackInbox, key, 'PollSooner', { venue: context.key, account, zone, reason })
}

/** Has the account read for this venue; what the venue is called and where it is tells its zones from others of the account. */
export function watchAccount({ context }: Turn, state: VenueState): void {
  const { soundtrackAccount: account, soundtrackLocation: location, priorityLevel: priority, zoneCount: zones } = state
  if (account === null) return
  const { name, location: address } = state
  const watched = { venue: context.key, account, location, priority, zones, name, address }
  context.emit(soundtrackInbox, account, 'WatchVenue', watched)
}

/**
 * What support is alerted to. The id of an alert is made of what it is about: the same id again is the same alert, with newer words or
 * resolved.
 */
import type { Department } from '../schemas/types.ts'

/** Kinds of alerts about a venue as a whole. */
export const VENUE_ALERTS = {
  allZonesOffline: 'all_zones_offline',
  tooManyZones: 'too_many_zones',
  controlRefused: 'control_refused',
  providerDown: 'provider_down',
} as const
export type VenueAlertKind = (typeof VENUE_ALERTS)[keyof typeof VENUE_ALERTS]

export type AlertKind = VenueAlertKind | 'zone_offline' | 'handover' | 'send_failed' | 'sheet_refused' | 'soundtrack_ambiguous'

/** Who looks after an alert that names no department. */
export const DEFAULT_DEPARTMENT: Department = 'OPERATIONS'

/** What an alert is about, as its record has it. */
export interface AlertSubject {
  readonly id: string
  readonly kind: AlertKind
}

/** A zone of a venue is offline. */
export function zoneOffline(venue: string, zone: string): AlertSubject {
  return { id: `zone_offline:${venue}:${zone}`, kind: 'zone_offline' }
}

/** A venue as a whole. */
export function ofVenue(kind: VenueAlertKind, venue: string): AlertSubject {
  return { id: `${kind}:${venue}`, kind }
}

/** A conversation waits for a department. @param first id of the handover: one that goes to several departments has an alert for each */
export function handedOver(first: string, department: Department): AlertSubject {
  return { id: `${first}:${department}`, kind: 'handover' }
}

/** A message did not reach a person, or may not have. */
export function sendFailed(message: string): AlertSubject {
  return { id: `send_failed:${message}`, kind: 'send_failed' }
}

/** The content of a sheet was not accepted. */
export function sheetRefused(sheet: string): AlertSubject {
  return { id: `sheet_refused:${sheet}`, kind: 'sheet_refused' }
}

/** Zones of a Soundtrack account could belong to more than one venue. */
export function soundtrackAmbiguous(account: string): AlertSubject {
  return { id: `soundtrack_ambiguous:${account}`, kind: 'soundtrack_ambiguous' }
}

/** A new venue's state, and reading and replacing parts of a state. */
import type { OpenRequest, VenueState, ZoneSlot } from '../../schemas/types.ts'

export const NEW_VENUE: VenueState = {
  name: '',
  location: '',
  aliases: [],
  contactName: null,
  contactEmail: null,
  contactPhone: null,
  contactPosition: null,
  soundtrackAccount: null,
  soundtrackLocation: null,
  zoneCount: null,
  subscriptionStatus: null,
  lastIssueDate: null,
  notes: null,
  priorityLevel: null,
  slaTier: null,
  volumeCap: 16,
  provenance: [],
  removed: false,
  updatedAt: 0,
  publishedAt: 0,
  readError: '',
  zones: [],
  nextSlot: 1,
  requests: [],
  nextRequest: 1,
  resumes: [],
  alerts: [],
  overrides: [],
  standsFrom: 0,
  standsUntil: 0,
  tenant: null,
}

export function zoneAt(state: VenueState, slot: number): ZoneSlot | undefined {
  return state.zones.find(zone => zone.slot === slot)
}

export function requestAt(state: VenueState, seq: number): OpenRequest | undefined {
  return state.requests.find(request => request.seq === seq)
}

export function withZone(state: VenueState, changed: ZoneSlot): VenueState {
  return { ...state, zones: state.zones.map(zone => (zone.slot === changed.slot ? changed : zone)) }
}

export function withRequest(state: VenueState, changed: OpenRequest): VenueState {
  return { ...state, requests: state.requests.map(request => (request.seq === changed.seq ? changed : request)) }
}

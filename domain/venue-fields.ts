/** The fields of a venue that its sources give and that support may force, each with its column in tables. */
import type { VenueProfile } from '../schemas/types.ts'

interface VenueField {
  readonly column: string
  readonly type: 'text' | 'integer' | 'jsonb'
}

export const VENUE_FIELDS = {
  name: { column: 'name', type: 'text' },
  location: { column: 'location', type: 'text' },
  aliases: { column: 'aliases', type: 'jsonb' },
  contactName: { column: 'contact_name', type: 'text' },
  contactEmail: { column: 'contact_email', type: 'text' },
  contactPhone: { column: 'contact_phone', type: 'text' },
  contactPosition: { column: 'contact_position', type: 'text' },
  soundtrackAccount: { column: 'soundtrack_account_id', type: 'text' },
  soundtrackLocation: { column: 'soundtrack_location_id', type: 'text' },
  zoneCount: { column: 'zone_count', type: 'integer' },
  subscriptionStatus: { column: 'subscription_status', type: 'text' },
  lastIssueDate: { column: 'last_issue_date', type: 'text' },
  notes: { column: 'notes', type: 'text' },
  priorityLevel: { column: 'priority_level', type: 'text' },
  slaTier: { column: 'sla_tier', type: 'text' },
  volumeCap: { column: 'volume_cap', type: 'integer' },
} as const satisfies { readonly [F in keyof VenueProfile]?: VenueField }

export type VenueFieldName = keyof typeof VENUE_FIELDS
export const VENUE_FIELD_NAMES = Object.keys(VENUE_FIELDS) as VenueFieldName[]

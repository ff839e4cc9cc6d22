/** The fields of a venue that its sources give and that support may force, each with its column in tables. */
import type { VenueProfile } from '../schemas/types.ts'

interface VenueField {
  readonly column: string
  readonly type: 'text' | 'integer' | 'jsonb'
  /** Most bytes of a text, greatest value of a number. A field has it if it may be null and has no rule of its own. */
  readonly most?: number
}

export const VENUE_FIELDS = {
  name: { column: 'name', type: 'text' },
  location: { column: 'location', type: 'text' },
  aliases: { column: 'aliases', type: 'jsonb' },
  contactName: { column: 'contact_name', type: 'text', most: 100 },
  contactEmail: { column: 'contact_email', type: 'text' },
  contactPhone: { column: 'contact_phone', type: 'text' },
  contactPosition: { column: 'contact_position', type: 'text', most: 60 },
  soundtrackAccount: { column: 'soundtrack_account_id', type: 'text' },
  soundtrackLocation: { column: 'soundtrack_location_id', type: 'text' },
  zoneCount: { column: 'zone_count', type: 'integer', most: 10_000 },
  subscriptionStatus: { column: 'subscription_status', type: 'text', most: 40 },
  lastIssueDate: { column: 'last_issue_date', type: 'text', most: 20 },
  notes: { column: 'notes', type: 'text', most: 1_000 },
  priorityLevel: { column: 'priority_level', type: 'text', most: 40 },
  slaTier: { column: 'sla_tier', type: 'text', most: 40 },
  volumeCap: { column: 'volume_cap', type: 'integer' },
} as const satisfies { readonly [F in keyof VenueProfile]?: VenueField }

export type VenueFieldName = keyof typeof VENUE_FIELDS
export const VENUE_FIELD_NAMES = Object.keys(VENUE_FIELDS) as VenueFieldName[]

/** Fields that may be null and have no rule of their own. */
export type PlainFieldName = {
  [F in VenueFieldName]: (typeof VENUE_FIELDS)[F] extends { readonly most: number } ? F : never
}[VenueFieldName]
export const PLAIN_FIELD_NAMES = VENUE_FIELD_NAMES.filter((field): field is PlainFieldName => 'most' in VENUE_FIELDS[field])

import type { VenueProfile } from '../../../schemas/types.ts'
import { venueProfiles } from '../../../topics/catalog.ts'
import { isoTime } from '../values.ts'
import { type Columns, type ColumnType, defineTable, text } from './table.ts'

/** Columns that hold a field of the profile as it is. */
const FIELDS: readonly (readonly [column: string, field: keyof VenueProfile, type: ColumnType])[] = [
  ['id', 'venue', text],
  ['name', 'name', text],
  ['location', 'location', text],
  ['aliases', 'aliases', 'jsonb'],
  ['contact_name', 'contactName', text],
  ['contact_email', 'contactEmail', text],
  ['contact_phone', 'contactPhone', text],
  ['contact_position', 'contactPosition', text],
  ['soundtrack_account_id', 'soundtrackAccount', text],
  ['soundtrack_location_id', 'soundtrackLocation', text],
  ['zone_count', 'zoneCount', 'integer'],
  ['subscription_status', 'subscriptionStatus', text],
  ['last_issue_date', 'lastIssueDate', text],
  ['notes', 'notes', text],
  ['priority_level', 'priorityLevel', text],
  ['sla_tier', 'slaTier', text],
  ['volume_cap', 'volumeCap', 'integer'],
  ['commands', 'commands', 'jsonb'],
  ['removed', 'removed', 'boolean'],
  ['updated_at', 'updatedAt', 'timestamptz'],
]

const COLUMNS: Columns = {
  ...Object.fromEntries(FIELDS.map(([column, , type]) => [column, type])),
  provenance: 'jsonb',
  overrides: 'jsonb',
  version: 'bigint',
}

export const venues = defineTable({
  name: 'venues',
  key: ['id'],
  columns: COLUMNS,
  from: {
    VenueProfile: {
      topics: [venueProfiles],
      rows: (venue, { version }) => ({
        ...Object.fromEntries(FIELDS.map(([column, field]) => [column, venue[field]])),
        provenance: Object.fromEntries(venue.provenance.map(({ field, source, at }) => [field, { source, at: isoTime(at) }])),
        overrides: venue.overrides.map(({ at, ...override }) => ({ ...override, at: isoTime(at) })),
        version,
      }),
    },
  },
  deletedBy: [venueProfiles],
  rebuild: 'replace',
})

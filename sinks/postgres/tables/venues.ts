import { VENUE_FIELD_NAMES, VENUE_FIELDS } from '../../../domain/venue-fields.ts'
import type { VenueProfile } from '../../../schemas/types.ts'
import { venueProfiles } from '../../../topics/catalog.ts'
import { isoTime } from '../values.ts'
import { type Columns, type ColumnType, defineTable, text } from './table.ts'

/** Columns that hold a field of the profile as it is. */
const FIELDS: readonly (readonly [column: string, field: keyof VenueProfile, type: ColumnType])[] = [
  ['id', 'venue', text],
  ...VENUE_FIELD_NAMES.map(field => [VENUE_FIELDS[field].column, field, VENUE_FIELDS[field].type] as const),
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

/**
 * The master fields of a venue: those that come from the sheet and that support may override.
 */
import { phoneDigits } from '../../domain/phone.ts'
import { clip, clipped } from '../../domain/text.ts'
import { PLAIN_FIELD_NAMES, type PlainFieldName, VENUE_FIELDS, type VenueFieldName } from '../../domain/venue-fields.ts'
import type { SheetRow, VenueState } from '../../schemas/types.ts'
import { MAX_VOLUME } from './rules.ts'

export type Master = Pick<VenueState, VenueFieldName>

/** The master fields of a row, cut to the lengths that fit into a state. */
export function master(row: SheetRow, countryCode: string): Master {
  return {
    ...plainFields(row),
    name: clip(row.name, 120),
    location: clip(row.location, 200),
    aliases: row.aliases.slice(0, 12).map(alias => clip(alias, 60)),
    contactEmail: clipped(row.contactEmail, 100),
    contactPhone: phoneDigits(row.contactPhone, countryCode),
    soundtrackAccount: row.soundtrackAccount,
    soundtrackLocation: row.soundtrackLocation,
    volumeCap: Math.min(MAX_VOLUME, Math.max(0, row.volumeCap ?? MAX_VOLUME)),
  }
}

function plainFields(row: SheetRow): Pick<VenueState, PlainFieldName> {
  const fields = PLAIN_FIELD_NAMES.map(field => {
    const value = row[field]
    return [field, typeof value === 'string' ? clip(value, VENUE_FIELDS[field].most) : value]
  })
  return Object.fromEntries(fields) as Pick<VenueState, PlainFieldName>
}

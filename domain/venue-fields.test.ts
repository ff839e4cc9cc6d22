import { expect, test } from 'vitest'
import { type AvroComplex, schemaFiles } from '../schemas/files.ts'
import { VENUE_FIELD_NAMES } from './venue-fields.ts'

const fieldsOf = (path: string) => schemaFiles().find(file => file.path === path)?.schema.fields ?? []
const names = (fields: readonly { readonly name: string }[]) => fields.map(({ name }) => name)

test.each(['venue/VenueState.avsc', 'venue/VenueProfile.avsc'])('%s has every field', path => {
  expect(names(fieldsOf(path))).toEqual(expect.arrayContaining(VENUE_FIELD_NAMES))
})

test('a row of the sheet has every field, and no other that is listed nowhere', () => {
  const about = ['venue', 'sheet', 'removed', 'readAt', 'unread']
  expect(names(fieldsOf('venue/SheetRow.avsc')).sort()).toEqual([...about, ...VENUE_FIELD_NAMES].sort())
  for (const path of ['sheets/SheetPart.avsc', 'sheets/SheetBucket.avsc']) {
    const rows = fieldsOf(path).find(({ name }) => name === 'rows')?.type as AvroComplex
    expect(names((rows.items as AvroComplex).fields ?? [])).toEqual(expect.arrayContaining(VENUE_FIELD_NAMES))
  }
})

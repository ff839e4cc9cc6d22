/** Venues as the API shows them. */
import { type Static, Type } from 'typebox'
import { PLAIN_FIELD_NAMES, type PlainFieldName, VENUE_FIELDS } from '../../domain/venue-fields.ts'
import { IntegerOrNull, oneOf, orNull, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'

export const VenueItem = Type.Object({
  id: Text,
  name: Text,
  location: Text,
  region: Text,
  soundtrackAccount: TextOrNull,
  subscriptionStatus: TextOrNull,
  priorityLevel: TextOrNull,
  slaTier: TextOrNull,
  zoneCounts: Type.Object({ online: Type.Integer(), offline: Type.Integer(), unknown: Type.Integer() }),
  updatedAt: Time,
  score: Type.Optional(Type.Number({ description: 'Similarity in a search; 1 if the name is the query' })),
})

export const Zone = Type.Object({
  id: Text,
  name: Text,
  status: oneOf('online', 'offline', 'unknown'),
  detail: Type.String({ description: 'unpaired, no_subscription, expired, muted …, or empty' }),
  playing: orNull(Type.Boolean(), { description: 'null if unknown' }),
  playback: TextOrNull,
  volume: orNull(Type.Integer(), { description: '0 to 16' }),
  track: TextOrNull,
  artist: TextOrNull,
  source: TextOrNull,
  since: TimeOrNull,
  lastSeen: TimeOrNull,
  asOf: orNull(Time, { description: 'When it was last read; updated hourly while nothing changes' }),
})

type ShownPlain = Exclude<PlainFieldName, `contact${string}`>
type SchemaOf<F extends ShownPlain> = (typeof VENUE_FIELDS)[F]['type'] extends 'integer'
  ? typeof IntegerOrNull
  : typeof TextOrNull
const PLAIN = Object.fromEntries(
  PLAIN_FIELD_NAMES.filter(field => !field.startsWith('contact')).map(field => [
    field,
    VENUE_FIELDS[field].type === 'integer' ? IntegerOrNull : TextOrNull,
  ]),
) as { readonly [F in ShownPlain]: SchemaOf<F> }

export const Venue = Type.Object({
  id: Text,
  ...PLAIN,
  name: Text,
  location: Text,
  region: Text,
  aliases: Type.Array(Text),
  contact: Type.Object({ name: TextOrNull, email: TextOrNull, phone: TextOrNull, position: TextOrNull }),
  soundtrackAccount: TextOrNull,
  soundtrackLocation: TextOrNull,
  volumeCap: Type.Integer(),
  removed: Type.Boolean(),
  updatedAt: Time,
  zones: Type.Array(Zone),
  provenance: Type.Record(Type.String(), Type.Object({ source: Text, at: Time }), {
    description: 'Source and time of every field',
  }),
  overrides: Type.Array(Type.Object({ field: Text, by: Text, reason: Text, at: Time })),
})
export type Venue = Static<typeof Venue>

export const VenueEvent = Type.Object({
  id: Text,
  kind: Text,
  zone: TextOrNull,
  request: TextOrNull,
  command: TextOrNull,
  detail: TextOrNull,
  outcome: TextOrNull,
  from: IntegerOrNull,
  to: IntegerOrNull,
  at: Time,
})

export const VenueFilters = {
  q: Type.Optional(
    Type.String({ minLength: 1, maxLength: 200, description: 'Part of the name, or a similar name, in any case' }),
  ),
  region: Type.Optional(Type.String({ maxLength: 200 })),
  status: Type.Optional(oneOf('online', 'offline', 'unknown')),
  subscription: Type.Optional(Type.String({ maxLength: 100 })),
  priority: Type.Optional(Type.String({ maxLength: 100 })),
}

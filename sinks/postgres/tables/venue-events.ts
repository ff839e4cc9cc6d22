import { venueEvents as topic } from '../../../topics/catalog.ts'
import { defineTable, lower, text, time } from './table.ts'

export const venueEvents = defineTable({
  name: 'venue_events',
  key: ['id'],
  columns: {
    id: text,
    venue_id: text,
    kind: text,
    zone: text,
    request: text,
    command: text,
    detail: text,
    outcome: text,
    volume_from: 'integer',
    volume_to: 'integer',
    at: time,
    version: 'bigint',
  },
  from: {
    VenueEvent: {
      topics: [topic],
      rows: (event, { version }) => ({
        id: event.id,
        venue_id: event.venue,
        kind: lower(event.kind),
        zone: event.zone,
        request: event.request,
        command: event.command,
        detail: event.detail,
        outcome: event.outcome,
        volume_from: event.from,
        volume_to: event.to,
        at: event.at,
        version,
      }),
    },
  },
  rebuild: 'replace',
})

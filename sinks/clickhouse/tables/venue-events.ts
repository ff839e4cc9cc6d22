import { venueEvents as topic } from '../../../topics/catalog.ts'
import { defineTable, lower, timeText } from './table.ts'

export const venueEvents = defineTable({
  name: 'venue_events',
  columns: ['event_id', 'venue_id', 'kind', 'zone_id', 'request_id', 'command_id', 'detail', 'outcome', 'at'],
  from: {
    VenueEvent: {
      topics: [topic],
      rows: event => ({
        event_id: event.id,
        venue_id: event.venue,
        kind: lower(event.kind),
        zone_id: event.zone ?? '',
        request_id: event.request ?? '',
        command_id: event.command ?? '',
        detail: event.detail ?? '',
        outcome: lower(event.outcome ?? ''),
        at: timeText(event.at),
      }),
    },
  },
})

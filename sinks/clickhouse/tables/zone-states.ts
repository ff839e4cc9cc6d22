import type { VenueEventKind } from '../../../schemas/types.ts'
import { venueEvents } from '../../../topics/catalog.ts'
import { defineTable, timeText } from './table.ts'

const STATUSES: { readonly [K in VenueEventKind]?: string } = {
  ZONE_ONLINE: 'online',
  ZONE_OFFLINE: 'offline',
  ZONE_UNKNOWN: 'unknown',
}

export const zoneStates = defineTable({
  name: 'zone_states',
  columns: ['event_id', 'venue_id', 'zone_id', 'status', 'detail', 'at'],
  from: {
    VenueEvent: {
      topics: [venueEvents],
      rows: ({ id, venue, kind, zone, detail, at }) => {
        const status = STATUSES[kind]
        if (status === undefined) return []
        return { event_id: id, venue_id: venue, zone_id: zone ?? '', status, detail: detail ?? '', at: timeText(at) }
      },
    },
  },
  rollups: [
    {
      name: 'zone_changes_daily',
      time: 'day',
      span: '1 DAY',
      keys: ['day', 'venue_id', 'zone_id'],
      value: 'changes',
      raw: `SELECT toDate(at) AS day, venue_id, zone_id, arraySort(groupUniqArray((at, status::String))) AS changes
      FROM zone_states GROUP BY day, venue_id, zone_id`,
    },
  ],
})

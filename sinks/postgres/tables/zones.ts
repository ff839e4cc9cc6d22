import { venueProfiles } from '../../../topics/catalog.ts'
import { defineTable, lower, text, time } from './table.ts'

export const zones = defineTable({
  name: 'zones',
  key: ['venue_id', 'id'],
  columns: {
    venue_id: text,
    id: text,
    name: text,
    status: text,
    detail: text,
    playback: text,
    volume: 'integer',
    track: text,
    artist: text,
    source: text,
    since: time,
    last_seen: time,
    as_of: time,
    version: 'bigint',
  },
  from: {
    VenueProfile: {
      topics: [venueProfiles],
      rows: (venue, { version }) =>
        venue.zones.map(zone => ({
          venue_id: venue.venue,
          id: zone.zone,
          name: zone.name,
          status: lower(zone.status),
          detail: zone.detail,
          playback: zone.playback,
          volume: zone.volume,
          track: zone.track,
          artist: zone.artist,
          source: zone.source,
          since: zone.since,
          last_seen: zone.lastSeen,
          as_of: zone.asOf,
          version,
        })),
    },
  },
  partOf: 'venue_id',
  deletedBy: [venueProfiles],
  rebuild: 'replace',
})

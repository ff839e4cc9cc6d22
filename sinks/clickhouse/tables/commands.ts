/** The steps of requests to a venue's zones. */
import type { VenueEvent, VenueEventKind } from '../../../schemas/types.ts'
import { venueEvents } from '../../../topics/catalog.ts'
import { defineTable, lower, timeText } from './table.ts'

const STEPS: { readonly [K in VenueEventKind]?: string } = { REQUEST: 'requested', COMMAND: 'sent', COMMAND_ENDED: 'ended' }

export const commands = defineTable({
  name: 'commands',
  columns: [
    'event_id',
    'venue_id',
    'step',
    'request_id',
    'command_id',
    'zone_id',
    'kind',
    'outcome',
    'reason',
    'volume_from',
    'volume_to',
    'at',
  ],
  from: {
    VenueEvent: {
      topics: [venueEvents],
      rows: event => {
        const step = STEPS[event.kind]
        if (step === undefined) return []
        const { kind, reason } = requestOf(event)
        return {
          event_id: event.id,
          venue_id: event.venue,
          step,
          request_id: event.request ?? '',
          command_id: event.command ?? '',
          zone_id: event.zone ?? '',
          kind: lower(kind),
          outcome: lower(event.outcome ?? ''),
          reason,
          volume_from: volume(event.from),
          volume_to: volume(event.to),
          at: timeText(event.at),
        }
      },
    },
  },
  rollups: [
    {
      name: 'commands_daily',
      time: 'day',
      span: '1 DAY',
      keys: ['day', 'venue_id', 'kind', 'outcome', 'reason'],
      value: 'commands',
      raw: `SELECT toDate(at) AS day, venue_id, kind, outcome, reason, uniqExact(request_id, zone_id) AS commands
      FROM commands WHERE outcome != '' GROUP BY day, venue_id, kind, outcome, reason`,
    },
  ],
})

/** What was requested, and why it ended as it did. Events of earlier versions have it in their detail alone: `PAUSE: trust`. */
function requestOf({ action, reason, detail }: VenueEvent): { kind: string; reason: string } {
  if (action !== null) return { kind: action, reason: reason ?? '' }
  const [kind = '', why = ''] = (detail ?? '').split(': ', 2)
  return { kind, reason: why }
}

/** Within what the column can hold. */
function volume(value: number | null): number | null {
  return value === null ? null : Math.min(Math.max(value, -1000), 1000)
}

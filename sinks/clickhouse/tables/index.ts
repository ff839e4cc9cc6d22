/**
 * Every table that the sink writes. A table is added by its file, its line here and its migration; which topics are read, the inserts
 * and the checks of its roll-ups follow from that.
 */
import { ENGINE_RECORDS } from '../../../topics/catalog.ts'
import type { RecordName } from '../../../schemas/types.ts'
import { commands } from './commands.ts'
import { conversationEvents } from './conversation-events.ts'
import { deliveries } from './deliveries.ts'
import { issueLog } from './issue-log.ts'
import { messageLog } from './message-log.ts'
import { syncRuns } from './sync-runs.ts'
import type { Table } from './table.ts'
import { venueEvents } from './venue-events.ts'
import { zoneStates } from './zone-states.ts'

export const TABLES: readonly Table[] = [
  conversationEvents,
  messageLog,
  deliveries,
  venueEvents,
  zoneStates,
  commands,
  syncRuns,
  issueLog,
]

/** Records on topics that tables are made from, which make no rows there. */
export const WITHOUT_ROWS: readonly RecordName[] = [
  ...ENGINE_RECORDS,
  'Understood', // told by conversation events
  'VenueAnswer', // told by venue events
  'AgentAction', // told by conversation events
  'ErasePerson', // nothing here names a person
  'SyncRefusals', // may quote cells of the sheet
  'DeliveryStatus', // on a channel's inbox: the connector passes on what is new of it
]

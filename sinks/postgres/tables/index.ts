/**
 * Every table that the sink writes. A table is added by its file and its line here; which topics are read, how rows are written, what
 * a rebuild makes, what an erasure deletes and which months are dropped follow from that.
 */
import type { RecordName } from '../../../schemas/types.ts'
import { ENGINE_RECORDS } from '../../../topics/catalog.ts'
import { alerts } from './alerts.ts'
import { auditLog } from './audit-log.ts'
import { conversationArchive, schemas } from './conversation-archive.ts'
import { conversationEvents } from './conversation-events.ts'
import { conversationNotes } from './conversation-notes.ts'
import { conversations } from './conversations.ts'
import { deadLetters } from './dead-letters.ts'
import { erasedMessages, erasures } from './erasures.ts'
import { issues } from './issues.ts'
import { messageReports } from './message-reports.ts'
import { messages } from './messages.ts'
import { syncRefusals } from './sync-refusals.ts'
import { syncRuns } from './sync-runs.ts'
import type { Table } from './table.ts'
import { tenantSettings } from './tenant-settings.ts'
import { venueEvents } from './venue-events.ts'
import { venues } from './venues.ts'
import { zones } from './zones.ts'

/** In the order in which a batch writes them. */
export const TABLES: readonly Table[] = [
  venues,
  zones,
  venueEvents,
  conversations,
  conversationEvents,
  conversationNotes,
  conversationArchive,
  schemas,
  messages,
  messageReports, // after the messages they may belong to
  issues,
  alerts,
  tenantSettings,
  syncRuns,
  syncRefusals,
  auditLog,
  deadLetters,
  erasures,
  erasedMessages,
]

/** Records on topics that tables are made from, which make no rows there. */
export const WITHOUT_ROWS: readonly RecordName[] = [
  ...ENGINE_RECORDS,
  'DeliveryStatus', // on a channel's inbox: the connector passes on what is new of it
]

/**
 * What `/api/v1/live` sends: for each topic, how its record becomes an event, which permission it requires, and whose scope decides
 * who receives it. To send another record, add its source to SOURCES, at the end: event ids list positions in this order.
 */
import type { Alert, Issue, RecordName, Records } from '../../schemas/types.ts'
import { alerts, conversationProfiles, issues, type Topic, venueProfiles } from '../../topics/catalog.ts'
import type { Decoded } from '../../topics/codec.ts'
import { conversationView, venueView } from '../../views/views.ts'
import type { Permission } from '../access/principal.ts'
import { masked } from '../masks.ts'
import { permissions as alertPermissions } from '../routes/alerts.ts'
import { permissions as conversationPermissions } from '../routes/conversations.ts'
import { permissions as issuePermissions } from '../routes/issues.ts'
import { permissions as venuePermissions } from '../routes/venues.ts'

/** The content of an event, and who may receive it. */
export interface Update {
  /** The venue it belongs to; null if none. */
  readonly venue: string | null
  /** An id that begins with the tenant; empty if only an installation-wide scope receives it. */
  readonly owner: string
  readonly data: object
  /** The data for roles that do not see personal data, if it differs. */
  readonly masked?: object
}

export interface LiveSource {
  readonly topic: Topic
  readonly event: string
  readonly permission: Permission
  /** The update of a record; null for a record that is not sent. */
  readonly updateOf: (key: string, record: Decoded | null) => Update | null
}

interface SourceOptions<R extends RecordName> {
  readonly topic: Topic<R>
  readonly record: R
  readonly event: string
  readonly permission: Permission
  readonly update: (value: Records[R]) => Update
  /** The venue of a deleted key, if deletions are sent. */
  readonly deleted?: (key: string) => string | null
}

function source<R extends RecordName>(options: SourceOptions<R>): LiveSource {
  const { topic, record, event, permission, update, deleted } = options
  return {
    topic,
    event,
    permission,
    updateOf: (key, decoded) => {
      if (decoded?.type === record) return update(decoded.value as Records[R])
      if (decoded !== null || deleted === undefined) return null
      return { venue: deleted(key), owner: key, data: { id: key, deleted: true } }
    },
  }
}

export const SOURCES: readonly LiveSource[] = [
  source({
    topic: venueProfiles,
    record: 'VenueProfile',
    event: 'venue',
    permission: venuePermissions.READ,
    update: profile => {
      const { contact, notes, provenance, overrides, ...data } = venueView(profile)
      return { venue: data.id, owner: data.id, data }
    },
    deleted: key => key,
  }),
  source({
    topic: conversationProfiles,
    record: 'ConversationProfile',
    event: 'conversation',
    permission: conversationPermissions.READ,
    update: profile => {
      const data = conversationView(profile)
      return { venue: data.venue, owner: data.id, data }
    },
    deleted: () => null,
  }),
  source({
    topic: alerts,
    record: 'Alert',
    event: 'alert',
    permission: alertPermissions.READ,
    update: alert => ({ venue: alert.venue, owner: alert.venue ?? alert.conversation ?? '', data: alertView(alert) }),
  }),
  source({
    topic: issues,
    record: 'Issue',
    event: 'issue',
    permission: issuePermissions.READ,
    update: issue => {
      const data = issueView(issue)
      return { venue: issue.venue, owner: issue.conversation, data, masked: { ...data, assignee: masked(data.assignee) } }
    },
  }),
]

function alertView({ department, priority, at, ...alert }: Alert) {
  return { ...alert, department: department.toLowerCase(), priority: priority.toLowerCase(), at: new Date(at) }
}

function issueView(issue: Issue) {
  const { id, conversation, venue, venueName, department, priority, reason, status, assignee, openedAt, updatedAt } = issue
  return {
    id,
    conversation,
    venue,
    venueName,
    department: department.toLowerCase(),
    priority: priority.toLowerCase(),
    reason,
    status: status.toLowerCase(),
    assignee,
    openedAt: new Date(openedAt),
    updatedAt: new Date(updatedAt),
  }
}

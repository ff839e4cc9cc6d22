/** Every version of an issue. One that is erased stays: what is kept of it names nobody. */
import { issues } from '../../../topics/catalog.ts'
import { defineTable, lower, timeOrNull, timeText } from './table.ts'

export const issueLog = defineTable({
  name: 'issue_log',
  columns: [
    'issue_id',
    'conversation_id',
    'channel',
    'venue_id',
    'department',
    'priority',
    'reason',
    'status',
    'opened_at',
    'due_at',
    'responded_at',
    'resolved_at',
    'updated_at',
  ],
  from: {
    Issue: {
      topics: [issues],
      rows: issue => ({
        issue_id: issue.id,
        conversation_id: issue.conversation,
        channel: issue.channel,
        venue_id: issue.venue ?? '',
        department: lower(issue.department),
        priority: lower(issue.priority),
        reason: issue.reason,
        status: lower(issue.status),
        opened_at: timeText(issue.openedAt),
        due_at: timeOrNull(issue.dueAt),
        responded_at: timeOrNull(issue.respondedAt),
        resolved_at: timeOrNull(issue.resolvedAt),
        updated_at: timeText(issue.updatedAt),
      }),
    },
  },
})

import { alerts as topic } from '../../../topics/catalog.ts'
import { defineTable, lower, text, time } from './table.ts'

export const alerts = defineTable({
  name: 'alerts',
  key: ['id'],
  columns: {
    id: text,
    venue_id: text,
    conversation_id: text,
    department: text,
    priority: text,
    kind: text,
    text,
    resolved: 'boolean',
    at: time,
    version: 'bigint',
  },
  from: {
    Alert: {
      topics: [topic],
      rows: (alert, { version }) => ({
        id: alert.id,
        venue_id: alert.venue,
        conversation_id: alert.conversation,
        department: lower(alert.department),
        priority: lower(alert.priority),
        kind: alert.kind,
        text: alert.text,
        resolved: alert.resolved,
        at: alert.at,
        version,
      }),
    },
  },
  conversation: 'conversation_id',
  erased: 't.at <= e.at',
  rebuild: 'update',
})

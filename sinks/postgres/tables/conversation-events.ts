import { conversationEvents as topic } from '../../../topics/catalog.ts'
import { defineTable, lower, text, time } from './table.ts'

export const conversationEvents = defineTable({
  name: 'conversation_events',
  key: ['id'],
  columns: {
    id: text,
    conversation_id: text,
    kind: text,
    venue_id: text,
    language: text,
    from: text,
    to: text,
    detail: text,
    score: 'float8',
    runner_up: 'float8',
    message: text,
    request: text,
    at: time,
    version: 'bigint',
  },
  from: {
    ConversationEvent: {
      topics: [topic],
      rows: (event, { version }) => ({
        id: event.id,
        conversation_id: event.conversation,
        kind: lower(event.kind),
        venue_id: event.venue,
        language: event.language,
        from: event.from,
        to: event.to,
        detail: event.detail,
        score: event.score,
        runner_up: event.runnerUp,
        message: event.message,
        request: event.request,
        at: event.at,
        version,
      }),
    },
  },
  conversation: 'conversation_id',
  // Message ids written by earlier versions may contain a phone number.
  scrubbed: { set: 'message = NULL', where: "t.at <= e.at AND t.kind IN ('intent', 'message_status') AND t.message IS NOT NULL" },
  rebuild: 'replace',
})

import { conversationInbox } from '../../../topics/catalog.ts'
import { ON_CONVERSATION_INBOX } from './erased.ts'
import { defineTable, text, time } from './table.ts'

export const conversationNotes = defineTable({
  name: 'conversation_notes',
  key: ['id'],
  columns: { id: text, conversation_id: text, by_id: text, by_name: text, text, at: time, version: 'bigint' },
  from: {
    AgentAction: {
      topics: [conversationInbox],
      rows: (action, { key, version }) =>
        action.kind === 'NOTE'
          ? {
              id: action.id,
              conversation_id: key,
              by_id: action.by,
              by_name: action.byName,
              text: action.text ?? '',
              at: action.at,
              version,
            }
          : [],
    },
  },
  conversation: 'conversation_id',
  erased: `t.version < e.version AND ${ON_CONVERSATION_INBOX}`,
  rebuild: 'update',
})

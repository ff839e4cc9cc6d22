/** Orders to erase a person, by the inbox that they were on. */
import { channelInboxes, conversationInbox } from '../../../topics/catalog.ts'
import { defineTable, text, time } from './table.ts'

export const erasures = defineTable({
  name: 'erasures',
  key: ['conversation_id', 'topic'],
  columns: { conversation_id: text, topic: text, at: time, logged_at: time, version: 'bigint' },
  from: {
    ErasePerson: {
      topics: [conversationInbox, ...channelInboxes().values()],
      // On the conversation's inbox the order carries the clock of whoever gave it, so log time counts there.
      rows: ({ at }, { key, topic, timestamp, version }) => ({
        conversation_id: key,
        topic,
        at: topic === conversationInbox.name ? timestamp : at,
        logged_at: timestamp,
        version,
      }),
    },
  },
  conversation: 'conversation_id',
  rebuild: 'update',
})

/** Messages that were erased, by digest, so that one delivered again is recognised. Written by `eraseAgain`. */
export const erasedMessages = defineTable({
  name: 'erased_messages',
  key: ['conversation_id', 'ref'],
  columns: { conversation_id: text, ref: text, at: time },
  conversation: 'conversation_id',
  rebuild: 'add',
})

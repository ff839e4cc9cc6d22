/** What conversations were made from, as it came, for replay and explanation: their inbox, and what was looked up for it. */
import { conversationInbox, conversationJournal } from '../../../topics/catalog.ts'
import { ASKED_FOR, erasedBefore, ON_CONVERSATION_INBOX } from './erased.ts'
import { defineTable, text, time } from './table.ts'

export const conversationArchive = defineTable({
  name: 'conversation_archive',
  key: ['topic', 'partition', 'offset', 'at'],
  monthly: 'at',
  ages: true,
  columns: {
    topic: text,
    partition: 'integer',
    offset: 'bigint',
    conversation_id: text,
    at: time,
    record_type: text,
    fingerprint: 'bytea',
    value: 'bytea',
    headers: 'jsonb',
  },
  raw: {
    topics: [conversationInbox, conversationJournal],
    row: ({ topic, partition, offset, key, timestamp, headers }, { name, fingerprint, raw }) => ({
      topic,
      partition,
      offset,
      conversation_id: key ?? '',
      at: timestamp,
      record_type: name,
      fingerprint: Buffer.from(fingerprint, 'hex'),
      value: raw,
      headers,
    }),
  },
  conversation: 'conversation_id',
  // What the connector still reported of messages it had sent lies behind the order.
  erased: `(t.topic = e.topic AND t."offset" < e.version)
      OR (${ON_CONVERSATION_INBOX} AND t.topic = '${conversationJournal.name}' AND ${ASKED_FOR} < e.version)
      OR (NOT ${ON_CONVERSATION_INBOX} AND t.record_type IN ('SendOutcome', 'DeliveryStatus') AND t.at <= e.logged_at)
      OR ${erasedBefore("(t.headers->>'id')")}`,
  rebuild: 'add',
})

/** The schemas that archived records were written with. Written before the batch, by the store. */
export const schemas = defineTable({
  name: 'schemas',
  key: ['fingerprint'],
  columns: { fingerprint: 'bytea', schema: text },
  rebuild: 'add',
})

/** What became of messages that went out; by our id, by a digest of the provider's, or by both. */
import { reference } from '../../../domain/ids.ts'
import { channelInboxes, conversationInbox } from '../../../topics/catalog.ts'
import { defineTable, statusOf, timeText } from './table.ts'

export const deliveries = defineTable({
  name: 'deliveries',
  columns: ['conversation_id', 'message_id', 'provider_ref', 'status', 'rank', 'error_code', 'at'],
  from: {
    SendResult: {
      topics: [...channelInboxes().values()],
      // A refusal is reported by the connector, with its reason. A part that others follow is not the message.
      rows: ({ accepted, more, id, providerId, at }, key) =>
        accepted && !more
          ? {
              conversation_id: key,
              message_id: id,
              provider_ref: providerId === null ? '' : reference(providerId),
              ...statusOf('sent'),
              error_code: 0,
              at: timeText(at),
            }
          : [],
    },
    SendOutcome: {
      topics: [conversationInbox],
      rows: ({ id, providerId, status, errorCode, at }, key) => ({
        conversation_id: key,
        message_id: id,
        provider_ref: providerId === null ? '' : reference(providerId),
        ...statusOf(status),
        error_code: errorCode ?? 0,
        at: timeText(at),
      }),
    },
    DeliveryStatus: {
      topics: [conversationInbox],
      rows: ({ providerId, status, errorCode, at }, key) => ({
        conversation_id: key,
        message_id: '',
        provider_ref: reference(providerId),
        ...statusOf(status),
        error_code: errorCode ?? 0,
        at: timeText(at),
      }),
    },
  },
})

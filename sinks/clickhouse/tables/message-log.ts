import { reference } from '../../../domain/ids.ts'
import { channelInboxes, conversationInbox } from '../../../topics/catalog.ts'
import { defineTable, lengthOf, lower, timeText } from './table.ts'

const MAX_CHOICES = 255

export const messageLog = defineTable({
  name: 'message_log',
  columns: ['message_id', 'direction', 'conversation_id', 'channel', 'kind', 'text_length', 'choices', 'at', 'received_at'],
  from: {
    ChatMessage: {
      topics: [conversationInbox],
      rows: (message, key) => ({
        message_id: reference(message.id),
        direction: 'in',
        conversation_id: key,
        channel: message.channel,
        kind: lower(message.kind),
        text_length: lengthOf(message.text ?? ''),
        choices: 0,
        at: timeText(message.sentAt),
        received_at: timeText(message.receivedAt),
      }),
    },
    SendMessage: {
      topics: [...channelInboxes().values()],
      rows: message => ({
        message_id: message.id,
        direction: 'out',
        conversation_id: message.conversation,
        channel: message.channel,
        // What it offers, however the channel shows it.
        kind: message.buttons.length === 0 ? 'text' : 'button',
        text_length: lengthOf(message.text),
        choices: Math.min(message.buttons.length, MAX_CHOICES),
        at: timeText(message.createdAt),
        received_at: timeText(message.createdAt),
      }),
    },
  },
})

/** Conversations as the API shows them. */
import { type Static, Type } from 'typebox'
import { ListQuery } from '../lists.ts'
import { oneOf, orNull, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'

/** Messages and notes in the detail of a conversation. */
export const MESSAGES = 200
export const NOTES = 100
/** How far back message texts are searched. */
export const SEARCHED_PERIOD = '90 days'

const item = {
  id: Text,
  channel: Type.String({ description: 'whatsapp, line, green-api …' }),
  user: Type.String({ description: "The provider's id of the person or group" }),
  state: Text,
  owner: oneOf('bot', 'waiting', 'agent', 'watch', 'unknown'),
  assignee: orNull(Text, { description: 'Id of the support agent it is assigned to' }),
  trust: oneOf('claimed', 'hinted', 'bound', 'unknown'),
  language: TextOrNull,
  venue: orNull(Text, { description: 'Id of the venue, once identified' }),
  venueName: TextOrNull,
  contact: Type.Object({ name: TextOrNull, position: TextOrNull }),
  issue: TextOrNull,
  openedAt: Time,
  updatedAt: Time,
  lastInboundAt: Time,
}
export const ConversationItem = Type.Object(item)

export const Message = Type.Object({
  id: Text,
  direction: oneOf('in', 'out'),
  kind: Text,
  text: TextOrNull,
  at: Time,
  status: oneOf('queued', 'sent', 'delivered', 'read', 'failed', 'unknown'),
  reason: Text,
})

const Request = Type.Object({
  id: Text,
  kind: Text,
  zone: TextOrNull,
  zoneName: TextOrNull,
  value: orNull(Type.Number()),
  outcome: oneOf('pending', 'confirmed', 'refused', 'unverified', 'expired', 'unknown'),
  reason: Text,
  at: Time,
  endedAt: TimeOrNull,
})

export const Conversation = Type.Object({
  ...item,
  senders: Type.Array(Type.Object({ id: Text, name: TextOrNull, trust: Text })),
  messages: Type.Array(Message, { description: `The newest ${MESSAGES}, oldest first; older ones at /messages` }),
  requests: Type.Array(Request),
  notes: Type.Array(Type.Object({ id: Text, by: Text, byName: Text, text: Text, at: Time }), {
    description: `The newest ${NOTES} notes of colleagues, oldest first`,
  }),
})
export type Conversation = Static<typeof Conversation>

export const ConversationEvent = Type.Object({
  id: Text,
  kind: Text,
  venue: TextOrNull,
  from: TextOrNull,
  to: TextOrNull,
  detail: TextOrNull,
  score: orNull(Type.Number()),
  runnerUp: orNull(Type.Number()),
  message: TextOrNull,
  request: TextOrNull,
  at: Time,
})

export const ConversationFilters = {
  channel: Type.Optional(Type.String({ maxLength: 50 })),
  user: Type.Optional(Type.String({ maxLength: 200, description: "The provider's id" })),
  state: Type.Optional(Type.String({ maxLength: 50 })),
  owner: Type.Optional(oneOf('bot', 'waiting', 'agent', 'watch')),
  assignee: Type.Optional(Type.String({ maxLength: 200 })),
  venue: Type.Optional(Type.String({ maxLength: 500 })),
  language: Type.Optional(Type.String({ maxLength: 10 })),
  q: Type.Optional(
    Type.String({ minLength: 3, maxLength: 200, description: `Part of a name, or of a message of the last ${SEARCHED_PERIOD}` }),
  ),
}

export const ConversationQuery = Type.Object({ ...ListQuery, ...ConversationFilters }, { additionalProperties: false })

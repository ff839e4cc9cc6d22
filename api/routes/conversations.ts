import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { Problem } from '../problem.ts'
import { IdParams, oneOf, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'
import type { Api } from '../types.ts'

/** The newest messages that a conversation's detail shows. */
const MESSAGES = 200

const item = {
  id: Text,
  channel: Type.String({ description: 'whatsapp, line, green-api …' }),
  user: Type.String({ description: "the provider's id of the person, or of the group" }),
  state: Text,
  owner: oneOf('bot', 'waiting', 'agent', 'watch', 'unknown'),
  trust: oneOf('claimed', 'hinted', 'bound', 'unknown'),
  language: TextOrNull,
  venue: Type.Union([Text, Type.Null()], { description: 'id of the venue, once identified' }),
  venueName: TextOrNull,
  contact: Type.Object({ name: TextOrNull, position: TextOrNull }),
  issue: TextOrNull,
  openedAt: Time,
  updatedAt: Time,
  lastInboundAt: Time,
}
const ConversationItem = Type.Object(item)

const Message = Type.Object({
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
  value: Type.Union([Type.Number(), Type.Null()]),
  outcome: oneOf('pending', 'confirmed', 'refused', 'unverified', 'expired', 'unknown'),
  reason: Text,
  at: Time,
  endedAt: TimeOrNull,
})

/** Columns of an item, under the names of the answer. */
const ITEM = `id, channel, user_id AS user, state, owner, trust, language, venue_id AS venue, venue_name AS "venueName", issue,
  json_build_object('name', contact_name, 'position', contact_position) AS contact,
  opened_at AS "openedAt", updated_at AS "updatedAt", last_inbound_at AS "lastInboundAt"`

const Conversation = Type.Object({
  ...item,
  senders: Type.Array(Type.Object({ id: Text, name: TextOrNull, trust: Text })),
  messages: Type.Array(Message, { description: `the newest ${MESSAGES}, oldest first` }),
  requests: Type.Array(Request),
})

export function conversationRoutes(app: Api, { pool }: { pool: pg.Pool }): void {
  app.get(
    '/conversations',
    {
      schema: {
        summary: 'Conversations, newest first',
        querystring: Type.Object({
          ...ListQuery,
          channel: Type.Optional(Type.String({ maxLength: 50 })),
          user: Type.Optional(Type.String({ maxLength: 500, description: "the provider's id" })),
        }),
        response: { 200: listOf(ConversationItem) },
      },
    },
    async ({ query: { limit, cursor, channel, user } }) => {
      const [openedAt, id] = after('conversations', cursor, 'time')
      const { rows } = await pool.query<Static<typeof ConversationItem>>(
        `SELECT ${ITEM} FROM conversations
         WHERE ($1::text IS NULL OR channel = $1) AND ($2::text IS NULL OR user_id = $2)
           AND ($3::timestamptz IS NULL OR (opened_at, id) < ($3, $4))
         ORDER BY opened_at DESC, id DESC LIMIT $5`,
        [channel ?? null, user ?? null, openedAt, id, limit + 1],
      )
      return page('conversations', rows, limit, row => [row.openedAt.toISOString(), row.id])
    },
  )

  app.get(
    '/conversations/:id',
    {
      schema: {
        summary: 'A conversation with its messages and requests',
        params: IdParams,
        response: { 200: Conversation },
      },
    },
    async ({ params: { id } }) => {
      const { rows } = await pool.query<Omit<Static<typeof Conversation>, 'messages'>>(
        `SELECT ${ITEM}, senders, requests FROM conversations WHERE id = $1`,
        [id],
      )
      if (rows[0] === undefined) throw new Problem('not_found', `no conversation with the id "${id}"`)
      // Version -1 marks a message of which only the status has come so far.
      const { rows: messages } = await pool.query<Static<typeof Message>>(
        `SELECT id, direction, kind, text, at, status, reason FROM messages WHERE conversation_id = $1 AND version >= 0
         ORDER BY at DESC, direction DESC, version DESC LIMIT $2`,
        [id, MESSAGES],
      )
      return { ...rows[0], messages: messages.reverse() }
    },
  )
}

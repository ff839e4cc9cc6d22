/** Conversations: list, detail, messages, events. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { canSee, permission, seesPersonalData } from '../access/principal.ts'
import { visible } from '../access/scope-sql.ts'
import type { CachedConversation, ConversationCache } from '../conversation-cache.ts'
import { sendCached, sendWithEtag } from '../etag.ts'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { maskPaths } from '../masks.ts'
import { Problem } from '../problem.ts'
import { RequestCache } from '../request-cache.ts'
import { IdParams, NotModified } from '../schemas.ts'
import type { Api } from '../types.ts'
import {
  conversationNotFound,
  ITEM,
  readConversation,
  readMessages,
  requireConversation,
  requireVisible,
} from './conversation-reader.ts'
import {
  Conversation,
  ConversationEvent,
  ConversationItem,
  ConversationQuery,
  Message,
  SEARCHED_PERIOD,
} from './conversation-schemas.ts'

const READ = permission('conversations:read', ['admin', 'agent', 'staff'])
export const permissions = { READ }

/** How long a list is cached: less than a change takes to be visible. */
const LIST_CACHED_MS = 250

const PERSONAL_ITEM = ['user', 'contact.name', 'issue']
const PERSONAL = [...PERSONAL_ITEM, 'senders.id', 'senders.name', 'messages.text', 'notes.text', 'notes.byName']

export interface Context {
  readonly pool: pg.Pool
  readonly conversations: ConversationCache
}

export function routes(app: Api, { pool, conversations }: Context): void {
  const lists = new RequestCache<string>(LIST_CACHED_MS)

  app.get(
    '/conversations',
    {
      config: { permission: READ, personal: true },
      schema: {
        summary: 'Conversations, newest first',
        querystring: ConversationQuery,
        headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
        response: { 200: listOf(ConversationItem), 304: NotModified },
      },
    },
    async (request, reply) => {
      const { query, principal } = request
      const { limit, cursor, channel = null, user = null, state = null, owner = null, assignee = null, venue = null } = query
      const { language = null, q } = query
      if (user !== null && !seesPersonalData(principal))
        throw new Problem('forbidden', 'user is personal data: your role may not filter by it')
      const [openedAt, id] = parseCursor('conversations', cursor, 'time')
      const scope = visible(principal, 'c.venue_id', 'c.id', 1)
      const pattern = q === undefined ? null : `%${q.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`
      const values = [...scope.values, channel, user, state, owner, assignee, venue, language, pattern, openedAt, id, limit + 1]
      const personal = seesPersonalData(principal)
      const json = await lists.get(JSON.stringify([personal, ...values]), async () => {
        const { rows } = await pool.query<Static<typeof ConversationItem>>({
          name: 'conversations',
          text: `SELECT ${ITEM} FROM conversations c
         WHERE ${scope.sql} AND ($4::text IS NULL OR channel = $4) AND ($5::text IS NULL OR user_id = $5)
           AND ($6::text IS NULL OR state = $6) AND ($7::text IS NULL OR owner = $7) AND ($8::text IS NULL OR assignee = $8)
           AND ($9::text IS NULL OR venue_id = $9) AND ($10::text IS NULL OR language = $10)
           AND ($11::text IS NULL OR lower(coalesce(venue_name, '') || ' ' || coalesce(contact_name, '')) LIKE $11 OR c.id IN (
             SELECT conversation_id FROM messages WHERE at > now() - interval '${SEARCHED_PERIOD}' AND lower(text) LIKE $11))
           AND ($12::timestamptz IS NULL OR (opened_at, id) < ($12, $13))
         ORDER BY opened_at DESC, id DESC LIMIT $14`,
          values,
        })
        const shown = personal ? rows : rows.map(row => withMask(row, PERSONAL_ITEM))
        return reply.serialize(page('conversations', shown, limit, row => [row.openedAt.toISOString(), row.id])) as string
      })
      return sendWithEtag(request, reply, json)
    },
  )

  app.get(
    '/conversations/:id',
    {
      config: { permission: READ, personal: true, limit: 'status' },
      schema: {
        summary: 'A conversation with its messages, requests and notes',
        params: IdParams,
        headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
        response: { 200: Conversation, 304: NotModified },
      },
    },
    (request, reply) => {
      const { params, principal } = request
      const cached = principal.scope.regions === null ? conversations.peek(params.id) : null
      if (cached === null) return show(request, reply, params.id)
      // Sent synchronously: there is no promise for Fastify to await.
      if (!canSee(principal, cached.venue, params.id, null)) throw conversationNotFound(params.id)
      send(request, reply, cached)
    },
  )

  app.get(
    '/conversations/:id/messages',
    {
      config: { permission: READ, personal: true, limit: 'status' },
      schema: {
        summary: 'Its messages, newest first',
        params: IdParams,
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(Message) },
      },
    },
    async ({ params: { id }, query: { limit, cursor }, principal }) => {
      await requireConversation(pool, principal, id)
      const rows = await readMessages(pool, id, cursor, limit + 1)
      const shown = seesPersonalData(principal) ? rows : rows.map(row => withMask(row, ['text']))
      return page('messages', shown, limit, row => [row.at.toISOString(), [row.direction, row.version, row.id].join(' ')])
    },
  )

  app.get(
    '/conversations/:id/events',
    {
      config: { permission: READ, personal: true },
      schema: {
        summary: 'Its events, newest first',
        params: IdParams,
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(ConversationEvent) },
      },
    },
    async ({ params: { id }, query: { limit, cursor }, principal }) => {
      await requireConversation(pool, principal, id)
      const { rows } = await pool.query<Static<typeof ConversationEvent>>({
        name: 'conversation-events',
        text: `SELECT id, kind, venue_id AS venue, "from", "to", detail, score, runner_up AS "runnerUp", message, request, at
         FROM conversation_events WHERE conversation_id = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3))
         ORDER BY at DESC, id DESC LIMIT $4`,
        values: [id, ...parseCursor('events', cursor, 'time'), limit + 1],
      })
      return page('events', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )

  /** @throws {Problem} `not_found` */
  async function show(request: FastifyRequest, reply: FastifyReply, id: string): Promise<void> {
    const found = await conversations.get(id, () => readConversation(pool, id, reply))
    await send(request, reply, await requireVisible(pool, request.principal, id, found ?? undefined))
  }

  function send(request: FastifyRequest, reply: FastifyReply, conversation: CachedConversation): FastifyReply {
    if (seesPersonalData(request.principal)) return sendCached(request, reply, conversation)
    return sendWithEtag(request, reply, JSON.stringify(withMask(JSON.parse(conversation.json), PERSONAL)))
  }
}

function withMask<T extends object>(row: T, paths: readonly string[]): T {
  return maskPaths(row, paths) as T
}

import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { conversationInbox } from '../../topics/catalog.ts'
import { type Commands, WriteHeaders, written } from '../commands.ts'
import { answer, answerKept } from '../etag.ts'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { maskPaths } from '../masks.ts'
import { Memo } from '../request-cache.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { type Principal, sees, seesPersonalData, visible } from '../access/principal.ts'
import { Problem } from '../problem.ts'
import { IdParams, isoSql, NotModified, oneOf, orNull, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'
import type { Thread, Threads } from '../conversation-cache.ts'
import type { Api } from '../types.ts'
import { ACTIONS, type Action, changeOf, type Seen, Words } from './actions.ts'

/** The newest messages that a conversation's detail shows, and all of its notes up to so many. */
const MESSAGES = 200
const NOTES = 100
/** How long a list is kept: less than it takes a change to be seen. */
const LIST_MS = 250
/** How far back the words of messages are searched. */
const SEARCHED = '90 days'

const item = {
  id: Text,
  channel: Type.String({ description: 'whatsapp, line, green-api …' }),
  user: Type.String({ description: "the provider's id of the person, or of the group" }),
  state: Text,
  owner: oneOf('bot', 'waiting', 'agent', 'watch', 'unknown'),
  assignee: orNull(Text, { description: 'id of the person of support who has it' }),
  trust: oneOf('claimed', 'hinted', 'bound', 'unknown'),
  language: TextOrNull,
  venue: orNull(Text, { description: 'id of the venue, once identified' }),
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
  value: orNull(Type.Number()),
  outcome: oneOf('pending', 'confirmed', 'refused', 'unverified', 'expired', 'unknown'),
  reason: Text,
  at: Time,
  endedAt: TimeOrNull,
})

/** Columns of an item, under the names of the answer. */
const ITEM = `id, channel, user_id AS user, state, owner, assignee, trust, language, venue_id AS venue, venue_name AS "venueName", issue,
  json_build_object('name', contact_name, 'position', contact_position) AS contact,
  opened_at AS "openedAt", updated_at AS "updatedAt", last_inbound_at AS "lastInboundAt"`

const MESSAGE = 'id, direction, kind, text, at, status, reason, version'
/** Providers know whole seconds: of one second, what was said comes before what was answered. */
const NEWEST = 'ORDER BY at DESC, direction DESC, version DESC, id DESC'
const NOTE = 'id, by_id AS by, by_name AS "byName", text, at'

/** Rows as an array of JSON objects, with times as they are answered. */
const arrayOf = (columns: string, from: string) =>
  `(SELECT coalesce(json_agg(to_jsonb(row) || jsonb_build_object('at', ${isoSql('row.at')})), '[]') FROM (SELECT ${columns} FROM ${from}) row)`

const Conversation = Type.Object({
  ...item,
  senders: Type.Array(Type.Object({ id: Text, name: TextOrNull, trust: Text })),
  messages: Type.Array(Message, { description: `the newest ${MESSAGES}, oldest first; older ones under /messages` }),
  requests: Type.Array(Request),
  notes: Type.Array(Type.Object({ id: Text, by: Text, byName: Text, text: Text, at: Time }), {
    description: `the newest ${NOTES} of colleagues, oldest first`,
  }),
})
type Conversation = Static<typeof Conversation>

const ConversationEvent = Type.Object({
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

const PERSONAL_ITEM = ['user', 'contact.name', 'issue']
const PERSONAL = [...PERSONAL_ITEM, 'senders.id', 'senders.name', 'messages.text', 'notes.text', 'notes.byName']

const Filters = {
  channel: Type.Optional(Type.String({ maxLength: 50 })),
  user: Type.Optional(Type.String({ maxLength: 200, description: "the provider's id" })),
  state: Type.Optional(Type.String({ maxLength: 50 })),
  owner: Type.Optional(oneOf('bot', 'waiting', 'agent', 'watch')),
  assignee: Type.Optional(Type.String({ maxLength: 200 })),
  venue: Type.Optional(Type.String({ maxLength: 500 })),
  language: Type.Optional(Type.String({ maxLength: 10 })),
  q: Type.Optional(
    Type.String({ minLength: 3, maxLength: 200, description: `part of a name, or of a message of the last ${SEARCHED}` }),
  ),
}

interface Given {
  readonly text?: string
  readonly assignee?: string | null
  readonly sender?: string
  readonly venue?: string
}

interface Context {
  readonly pool: pg.Pool
  readonly commands: Commands
  readonly fingerprint: Fingerprint
  readonly threads: Threads
}

export function conversationRoutes(app: Api, { pool, commands, fingerprint, threads }: Context): void {
  const listed = new Memo<string>(LIST_MS)

  app.get(
    '/conversations',
    {
      config: { permission: 'conversations:read', personal: true },
      schema: {
        summary: 'Conversations, newest first',
        querystring: Type.Object({ ...ListQuery, ...Filters }, { additionalProperties: false }),
        headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
        response: { 200: listOf(ConversationItem), 304: NotModified },
      },
    },
    async (request, reply) => {
      const { query, principal } = request
      const { limit, cursor, channel = null, user = null, state = null, owner = null, assignee = null, venue = null } = query
      const { language = null, q } = query
      if (user !== null && !seesPersonalData(principal))
        throw new Problem('forbidden', 'user is personal data: your role does not search by it')
      const [openedAt, id] = after('conversations', cursor, 'time')
      const scope = visible(principal, 'c.venue_id', 'c.id', 1)
      const pattern = q === undefined ? null : `%${q.toLowerCase().replace(/[\\%_]/g, '\\$&')}%`
      const values = [...scope.values, channel, user, state, owner, assignee, venue, language, pattern, openedAt, id, limit + 1]
      const personal = seesPersonalData(principal)
      const json = await listed.get(JSON.stringify([personal, ...values]), async () => {
        const { rows } = await pool.query<Static<typeof ConversationItem>>({
          name: 'conversations',
          text: `SELECT ${ITEM} FROM conversations c
         WHERE ${scope.sql} AND ($4::text IS NULL OR channel = $4) AND ($5::text IS NULL OR user_id = $5)
           AND ($6::text IS NULL OR state = $6) AND ($7::text IS NULL OR owner = $7) AND ($8::text IS NULL OR assignee = $8)
           AND ($9::text IS NULL OR venue_id = $9) AND ($10::text IS NULL OR language = $10)
           AND ($11::text IS NULL OR lower(coalesce(venue_name, '') || ' ' || coalesce(contact_name, '')) LIKE $11 OR c.id IN (
             SELECT conversation_id FROM messages WHERE at > now() - interval '${SEARCHED}' AND lower(text) LIKE $11))
           AND ($12::timestamptz IS NULL OR (opened_at, id) < ($12, $13))
         ORDER BY opened_at DESC, id DESC LIMIT $14`,
          values,
        })
        const shown = personal ? rows : rows.map(row => hidden(row, PERSONAL_ITEM))
        return reply.serialize(page('conversations', shown, limit, row => [row.openedAt.toISOString(), row.id])) as string
      })
      return answer(request, reply, json)
    },
  )

  app.get(
    '/conversations/:id',
    {
      config: { permission: 'conversations:read', personal: true, limit: 'status' },
      schema: {
        summary: 'A conversation with its messages, requests and notes',
        params: IdParams,
        headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
        response: { 200: Conversation, 304: NotModified },
      },
    },
    (request, reply) => {
      const { params, principal } = request
      const kept = principal.scope.regions === null ? threads.peek(params.id) : null
      if (kept === null) return show(request, reply, params.id)
      // Answered at once: nothing is returned for Fastify to wait for.
      if (!sees(principal, kept.venue, params.id, null)) throw notFound(params.id)
      tell(request, reply, kept)
    },
  )

  /** @throws {Problem} `not_found` */
  async function show(request: FastifyRequest, reply: FastifyReply, id: string): Promise<void> {
    const found = await threads.get(id, () => read(id, reply))
    await tell(request, reply, await requireSeen(request.principal, id, found ?? undefined))
  }

  function tell(request: FastifyRequest, reply: FastifyReply, thread: Thread): FastifyReply {
    if (seesPersonalData(request.principal)) return answerKept(request, reply, thread)
    return answer(request, reply, JSON.stringify(hidden(JSON.parse(thread.json), PERSONAL)))
  }

  /** @param reply of its route, whose schema says what is shown */
  async function read(id: string, reply: FastifyReply): Promise<Thread | null> {
    const { rows } = await pool.query<Conversation>({
      name: 'conversation',
      text: `SELECT ${ITEM}, senders, requests, ${arrayOf(MESSAGE, `messages WHERE conversation_id = $1 ${NEWEST} LIMIT ${MESSAGES}`)} AS messages,
             ${arrayOf(NOTE, `conversation_notes WHERE conversation_id = $1 ORDER BY at DESC LIMIT ${NOTES}`)} AS notes
           FROM (SELECT * FROM conversations WHERE id = $1 ORDER BY opened_at DESC LIMIT 1) c`,
      values: [id],
    })
    const found = rows[0]
    if (found === undefined) return null
    // Read newest first, told oldest first.
    found.messages.reverse()
    found.notes.reverse()
    return { venue: found.venue, openedAt: found.openedAt.getTime(), json: reply.serialize(found) as string }
  }

  app.get(
    '/conversations/:id/messages',
    {
      config: { permission: 'conversations:read', personal: true, limit: 'status' },
      schema: {
        summary: 'Its messages, newest first',
        params: IdParams,
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(Message) },
      },
    },
    async ({ params: { id }, query: { limit, cursor }, principal }) => {
      await requireConversation(principal, id)
      const rows = await messagesOf(id, after('messages', cursor, 'time'), limit + 1)
      const shown = seesPersonalData(principal) ? rows : rows.map(row => hidden(row, ['text']))
      return page('messages', shown, limit, row => [row.at.toISOString(), [row.direction, row.version, row.id].join(' ')])
    },
  )

  app.get(
    '/conversations/:id/events',
    {
      config: { permission: 'conversations:read', personal: true },
      schema: {
        summary: 'What happened in it, newest first',
        params: IdParams,
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(ConversationEvent) },
      },
    },
    async ({ params: { id }, query: { limit, cursor }, principal }) => {
      await requireConversation(principal, id)
      const { rows } = await pool.query<Static<typeof ConversationEvent>>({
        name: 'conversation-events',
        text: `SELECT id, kind, venue_id AS venue, "from", "to", detail, score, runner_up AS "runnerUp", message, request, at
         FROM conversation_events WHERE conversation_id = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3))
         ORDER BY at DESC, id DESC LIMIT $4`,
        values: [id, ...after('events', cursor, 'time'), limit + 1],
      })
      return page('events', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )

  for (const [path, { kind, summary, body }] of Object.entries(ACTIONS)) {
    const permission = kind === 'APPROVE' ? 'conversations:approve' : 'conversations:write'
    const schema = { summary, params: IdParams, headers: WriteHeaders, response: written }
    app.post(
      `/conversations/:id/${path}`,
      {
        config: { permission, personal: true, action: `conversations.${kind.toLowerCase()}` },
        schema: Object.keys(body).length === 0 ? schema : { ...schema, body: Type.Object(body, { additionalProperties: false }) },
      },
      async (request, reply) => {
        const given = (request.body ?? {}) as Given & { trust?: string }
        const { trust, ...rest } = given
        const level = trust === undefined ? {} : { trust: trust.toUpperCase() as 'CLAIMED' | 'HINTED' | 'BOUND' }
        return give(request, reply, request.params.id, { ...rest, ...level, kind })
      },
    )
  }

  app.post(
    '/messages',
    {
      config: { permission: 'conversations:write', personal: true, action: 'conversations.reply' },
      schema: {
        summary: 'Write to the person of a conversation, taking over',
        headers: WriteHeaders,
        body: Type.Object(
          { conversation: Type.String({ minLength: 1, maxLength: 500 }), text: Words },
          { additionalProperties: false },
        ),
        response: written,
      },
    },
    async (request, reply) => give(request, reply, request.body.conversation, { kind: 'REPLY', text: request.body.text }),
  )

  async function give(request: FastifyRequest, reply: FastifyReply, conversation: string, action: Action): Promise<FastifyReply> {
    const { principal } = request
    const found = await requireConversation(principal, conversation)
    Object.assign(request.audited, changeOf(found, action, principal.id, fingerprint))
    try {
      return await commands.give(request, reply, {
        target: 'conversation',
        object: conversation,
        topic: conversationInbox,
        key: conversation,
        type: 'AgentAction',
        record: (id, at) => ({ ...action, id, at, by: principal.id, byName: principal.name }),
      })
    } finally {
      // Whoever reads it next sees what they have done, whether it was heard of yet or not.
      threads.forget(conversation)
    }
  }

  async function messagesOf(id: string, [before, message]: [string, string] | [null, null], limit: number) {
    const [, direction, version, of] = /^(in|out) (\d{1,18}) (.+)$/s.exec(message ?? '') ?? []
    if (message !== null && of === undefined) throw new Problem('invalid_cursor', 'cursor is not one that this list gave')
    const { rows } = await pool.query<Static<typeof Message> & { version: string }>({
      name: 'messages',
      text: `SELECT ${MESSAGE} FROM messages
       WHERE conversation_id = $1 AND ($2::timestamptz IS NULL OR (at, direction, version, id) < ($2, $3, $4::bigint, $5)) ${NEWEST} LIMIT $6`,
      values: [id, before, direction ?? null, version ?? null, of ?? null, limit],
    })
    return rows
  }

  /** @throws {Problem} `not_found` when there is none that the asker may see */
  async function requireConversation(principal: Principal, id: string): Promise<Seen> {
    const { rows } = await pool.query<Seen>({
      name: 'conversation-seen',
      text: 'SELECT venue_id AS venue, owner, assignee, senders FROM conversations WHERE id = $1 ORDER BY opened_at DESC LIMIT 1',
      values: [id],
    })
    return requireSeen(principal, id, rows[0])
  }

  /** @throws {Problem} `not_found` */
  async function requireSeen<C extends { venue: string | null }>(
    principal: Principal,
    id: string,
    found: C | undefined,
  ): Promise<C> {
    if (found === undefined) throw notFound(id)
    const region = principal.scope.regions === null ? null : await regionOf(found.venue)
    if (!sees(principal, found.venue, id, region)) throw notFound(id)
    return found
  }

  async function regionOf(venue: string | null): Promise<string | null> {
    const { rows } = await pool.query<{ region: string }>('SELECT region FROM venues WHERE id = $1', [venue])
    return rows[0]?.region ?? null
  }
}

function hidden<T extends object>(row: T, paths: readonly string[]): T {
  return maskPaths(row, paths) as T
}

function notFound(id: string): Problem {
  return new Problem('not_found', `no conversation with the id "${id}"`)
}

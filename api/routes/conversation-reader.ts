/** Reads conversations, and decides who sees them. */
import type { FastifyReply } from 'fastify'
import type pg from 'pg'
import type { Static } from 'typebox'
import { canSee, type Principal } from '../access/principal.ts'
import type { CachedConversation } from '../conversation-cache.ts'
import { parseCursor } from '../lists.ts'
import { Problem } from '../problem.ts'
import { isoSql } from '../schemas.ts'
import { type Conversation, MESSAGES, type Message, NOTES } from './conversation-schemas.ts'

/** Columns of an item, under the names of the response. */
export const ITEM = `id, channel, user_id AS user, state, owner, assignee, trust, language, venue_id AS venue, venue_name AS "venueName", issue,
  json_build_object('name', contact_name, 'position', contact_position) AS contact,
  opened_at AS "openedAt", updated_at AS "updatedAt", last_inbound_at AS "lastInboundAt"`

const MESSAGE = 'id, direction, kind, text, at, status, reason, version'
/** Providers give whole seconds: within one second, a message sorts before the reply to it. */
const NEWEST = 'ORDER BY at DESC, direction DESC, version DESC, id DESC'
const NOTE = 'id, by_id AS by, by_name AS "byName", text, at'

/** Rows as an array of JSON objects, with times in the form of the response. */
const arrayOf = (columns: string, from: string) =>
  `(SELECT coalesce(json_agg(to_jsonb(row) || jsonb_build_object('at', ${isoSql('row.at')})), '[]') FROM (SELECT ${columns} FROM ${from}) row)`

/** What decides who sees a conversation, and what an action changes. */
export interface ConversationHead {
  readonly venue: string | null
  readonly owner: string
  readonly assignee: string | null
  readonly senders: readonly { readonly id: string; readonly trust: string }[]
}

/** Reads the detail of a conversation; null if there is none. @param reply of its route, whose schema decides what is shown */
export async function readConversation(pool: pg.Pool, id: string, reply: FastifyReply): Promise<CachedConversation | null> {
  const { rows } = await pool.query<Conversation>({
    name: 'conversation',
    text: `SELECT ${ITEM}, senders, requests, ${arrayOf(MESSAGE, `messages WHERE conversation_id = $1 ${NEWEST} LIMIT ${MESSAGES}`)} AS messages,
           ${arrayOf(NOTE, `conversation_notes WHERE conversation_id = $1 ORDER BY at DESC LIMIT ${NOTES}`)} AS notes
         FROM (SELECT * FROM conversations WHERE id = $1 ORDER BY opened_at DESC LIMIT 1) c`,
    values: [id],
  })
  const found = rows[0]
  if (found === undefined) return null
  // Read newest first, shown oldest first.
  found.messages.reverse()
  found.notes.reverse()
  return { venue: found.venue, openedAt: found.openedAt.getTime(), json: reply.serialize(found) as string }
}

export type MessageRow = Static<typeof Message> & { version: string }

/** Messages of a conversation, newest first. @throws {Problem} `invalid_cursor` */
export async function readMessages(pool: pg.Pool, id: string, cursor: string | undefined, limit: number): Promise<MessageRow[]> {
  const [before, message] = parseCursor('messages', cursor, 'time')
  const [, direction, version, of] = /^(in|out) (\d{1,18}) (.+)$/s.exec(message ?? '') ?? []
  if (message !== null && of === undefined) throw new Problem('invalid_cursor', 'invalid cursor for this list')
  const { rows } = await pool.query<MessageRow>({
    name: 'messages',
    text: `SELECT ${MESSAGE} FROM messages
     WHERE conversation_id = $1 AND ($2::timestamptz IS NULL OR (at, direction, version, id) < ($2, $3, $4::bigint, $5)) ${NEWEST} LIMIT $6`,
    values: [id, before, direction ?? null, version ?? null, of ?? null, limit],
  })
  return rows
}

/** @throws {Problem} `not_found` if there is none that the principal sees */
export async function requireConversation(pool: pg.Pool, principal: Principal, id: string): Promise<ConversationHead> {
  const { rows } = await pool.query<ConversationHead>({
    name: 'conversation-seen',
    text: 'SELECT venue_id AS venue, owner, assignee, senders FROM conversations WHERE id = $1 ORDER BY opened_at DESC LIMIT 1',
    values: [id],
  })
  return requireVisible(pool, principal, id, rows[0])
}

/** @throws {Problem} `not_found` */
export async function requireVisible<C extends { venue: string | null }>(
  pool: pg.Pool,
  principal: Principal,
  id: string,
  found: C | undefined,
): Promise<C> {
  if (found === undefined) throw conversationNotFound(id)
  const region = principal.scope.regions === null ? null : await regionOf(pool, found.venue)
  if (!canSee(principal, found.venue, id, region)) throw conversationNotFound(id)
  return found
}

async function regionOf(pool: pg.Pool, venue: string | null): Promise<string | null> {
  const { rows } = await pool.query<{ region: string }>('SELECT region FROM venues WHERE id = $1', [venue])
  return rows[0]?.region ?? null
}

export function conversationNotFound(id: string): Problem {
  return new Problem('not_found', `no conversation with the id "${id}"`)
}

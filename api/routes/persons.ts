/** What is kept of one person: for them to have, or to be erased. */
import { type Static, Type } from 'typebox'
import { type ErasureOptions, Erasures } from '../erasures.ts'
import { masked } from '../masks.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { nameOf } from '../access/principal.ts'
import { Problem } from '../problem.ts'
import { orNull, Text, TextOrNull, Time } from '../schemas.ts'
import type { Api } from '../types.ts'

/** More messages than that are the newest ones, and `more` says so. */
const MESSAGES = 10_000

const Person = Type.Object(
  {
    channel: Type.String({ minLength: 1, maxLength: 50 }),
    user: Type.String({ minLength: 1, maxLength: 200, description: "the provider's id of them: of WhatsApp the phone's digits" }),
  },
  { additionalProperties: false },
)

const Export = Type.Object({
  channel: Text,
  user: Text,
  at: Time,
  conversations: Type.Array(
    Type.Object({
      id: Text,
      name: TextOrNull,
      trust: TextOrNull,
      venue: TextOrNull,
      venueName: TextOrNull,
      contactName: TextOrNull,
      contactPosition: TextOrNull,
      language: TextOrNull,
      issue: TextOrNull,
      requests: Type.Array(Type.Any()),
      others: Type.Integer({ description: 'other people in it: of their messages, requests and notes nothing is here' }),
      openedAt: Time,
      updatedAt: Time,
    }),
  ),
  messages: Type.Array(
    Type.Object({ conversation: Text, id: Text, direction: Text, kind: Text, text: TextOrNull, status: Text, at: Time }),
  ),
  more: Type.Boolean({ description: `whether there are older messages than the newest ${MESSAGES}` }),
  notes: Type.Array(Type.Object({ conversation: Text, text: Text, at: Time })),
  issues: Type.Array(Type.Object({ id: Text, conversation: Text, reason: Text, text: TextOrNull, status: Text, openedAt: Time })),
  venues: Type.Array(
    Type.Object({
      id: Text,
      name: Text,
      contactName: TextOrNull,
      contactEmail: TextOrNull,
      contactPhone: TextOrNull,
      contactPosition: TextOrNull,
    }),
    { description: 'where their phone is on file, of a channel whose ids are phones' },
  ),
})
type Export = Static<typeof Export>
type Found = Export['conversations'][number]

/** Conversations that somebody takes part in, with what is known of them there. */
const CONVERSATIONS = `SELECT c.id, s.name, s.trust, c.venue_id AS venue, c.venue_name AS "venueName", c.language,
    CASE WHEN alone THEN c.contact_name END AS "contactName", CASE WHEN alone THEN c.contact_position END AS "contactPosition",
    CASE WHEN alone THEN c.issue END AS issue, CASE WHEN alone THEN c.requests ELSE '[]' END AS requests,
    (SELECT count(*)::integer FROM jsonb_array_elements(c.senders) o WHERE o->>'id' <> $2) AS others,
    c.opened_at AS "openedAt", c.updated_at AS "updatedAt"
  FROM conversations c
  LEFT JOIN LATERAL (SELECT x->>'name' AS name, x->>'trust' AS trust FROM jsonb_array_elements(c.senders) x WHERE x->>'id' = $2 LIMIT 1) s ON true
  CROSS JOIN LATERAL (SELECT NOT EXISTS (SELECT 1 FROM jsonb_array_elements(c.senders) o WHERE o->>'id' <> $2) AS alone) a
  WHERE c.channel = $1 AND (c.user_id = $2 OR c.senders @> jsonb_build_array(jsonb_build_object('id', $2::text)))
  ORDER BY c.opened_at, c.id`

const Order = Type.Object(
  {
    ...Person.properties,
    reason: Type.String({
      minLength: 1,
      maxLength: 500,
      description: 'why, for those who look later; kept for ever, so without names or numbers of persons',
    }),
  },
  { additionalProperties: false },
)

const Receipt = Type.Object({
  id: Text,
  channel: Text,
  conversations: Type.Array(Text),
  shared: Type.Array(Text, { description: 'conversations with others, which stay: they are not of this person alone' }),
  reason: Text,
  requestedBy: Text,
  at: Time,
  verifiedAt: orNull(Time, { description: 'when every store was found without anything of before; null while some is not' }),
  stores: Type.Array(
    Type.Object({
      store: Text,
      found: orNull(Type.Integer(), { description: 'how many were there; null where they are not counted' }),
      left: orNull(Type.Integer(), { description: 'how many still are; null where the store is not read back' }),
      agesOut: orNull(Time, { description: 'when the last of it is gone by itself; null where that is now, or does not apply' }),
      detail: Text,
    }),
  ),
})

export function personRoutes(app: Api, options: ErasureOptions & { fingerprint: Fingerprint }): void {
  const { pool, fingerprint } = options
  const erasures = new Erasures(options)
  app.post(
    '/persons/export',
    {
      config: { permission: 'persons:export', whole: true, personal: true, action: 'persons.export' },
      schema: {
        summary: 'All that the serving store has of one person; the audit trail, which has no names, is left out',
        body: Person,
        response: { 200: Export },
      },
    },
    async ({ body: { channel, user }, audited }) => {
      const { rows: conversations } = await pool.query<Found>(CONVERSATIONS, [channel, user])
      const ids = conversations.map(({ id }) => id)
      const alone = conversations.filter(({ others }) => others === 0).map(({ id }) => id)
      const [messages, notes, issues, venues] = await Promise.all([
        pool.query<Export['messages'][number]>(
          `SELECT conversation_id AS conversation, id, direction, kind, text, status, at FROM messages
           WHERE (conversation_id = ANY($1) AND sender_id = $2) OR conversation_id = ANY($3) ORDER BY at DESC, id DESC LIMIT $4`,
          [ids, user, alone, MESSAGES + 1],
        ),
        pool.query<Export['notes'][number]>(
          'SELECT conversation_id AS conversation, text, at FROM conversation_notes WHERE conversation_id = ANY($1) ORDER BY at',
          [alone],
        ),
        pool.query<Export['issues'][number]>(
          `SELECT id, conversation_id AS conversation, reason, text, status, opened_at AS "openedAt" FROM issues
           WHERE conversation_id = ANY($1) ORDER BY opened_at`,
          [alone],
        ),
        pool.query<Export['venues'][number]>(
          `SELECT id, name, contact_name AS "contactName", contact_email AS "contactEmail", contact_phone AS "contactPhone",
             contact_position AS "contactPosition" FROM venues
           WHERE contact_phone = $1 AND NOT removed ORDER BY id`,
          [user],
        ),
      ])
      Object.assign(audited, {
        object: `${channel}:${masked(user)}`,
        after: `exported: ${conversations.length} conversations, ${Math.min(messages.rows.length, MESSAGES)} messages`,
      })
      return {
        channel,
        user,
        at: new Date(),
        conversations,
        messages: messages.rows.slice(0, MESSAGES).reverse(),
        more: messages.rows.length > MESSAGES,
        notes: notes.rows,
        issues: issues.rows,
        venues: venues.rows,
      }
    },
  )
  app.post(
    '/persons/erase',
    {
      config: { permission: 'persons:erase', whole: true, personal: true, action: 'persons.erase' },
      schema: {
        summary: 'Has everything of one person erased',
        body: Order,
        response: { 202: Type.Object({ id: Text, conversations: Type.Integer(), at: Time }) },
      },
    },
    async ({ body: { channel, user, reason }, principal, audited }, reply) => {
      const whom = fingerprint([channel, user])
      Object.assign(audited, { object: `${channel}:${whom}` })
      const digits = user.replace(/\D/g, '')
      if (digits.length >= 5 && reason.replace(/\D/g, '').includes(digits))
        throw new Problem('invalid_request', 'the reason says whom it is about: it is kept, so leave that out')
      const { rows } = await pool.query<Found>(CONVERSATIONS, [channel, user])
      const known = rows.filter(({ others }) => others === 0).map(({ id }) => id)
      const shared = rows.filter(({ others }) => others > 0).map(({ id }) => id)
      const ordered = await erasures.order({ channel, user, whom, known, shared, reason, by: nameOf(principal) })
      const { id, conversations } = ordered
      audited.after = `erasure ${id}: ${conversations} conversations`
      const location = `/api/v1/persons/erasures/${id}`
      return reply.code(202).header('location', location).send({ id, conversations, at: new Date() })
    },
  )

  app.get(
    '/persons/erasures/:erasure',
    {
      config: { permission: 'persons:erase', whole: true, personal: true, action: 'persons.erasure' },
      schema: {
        summary: 'The receipt of an erasure: every store, read back',
        params: Type.Object({ erasure: Type.String({ minLength: 1, maxLength: 100 }) }),
        response: { 200: Receipt },
      },
    },
    async ({ params: { erasure } }) => {
      const receipt = await erasures.receipt(erasure)
      if (receipt === null) throw new Problem('not_found', 'there is no such erasure')
      return receipt
    },
  )
}

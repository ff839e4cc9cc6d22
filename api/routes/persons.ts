/** Personal data: its export and its erasure. */
import { phonesOf } from '../../domain/phone.ts'
import { type Static, Type } from 'typebox'
import { type ErasureOptions, Erasures } from '../erasure/erasures.ts'
import { masked } from '../masks.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { permission, principalKey } from '../access/principal.ts'
import { Problem } from '../problem.ts'
import { orNull, Text, TextOrNull, Time } from '../schemas.ts'
import type { Api } from '../types.ts'

const EXPORT = permission('persons:export', ['admin'])
const ERASE = permission('persons:erase', ['admin'])
export const permissions = { EXPORT, ERASE }

/** Of a person with more messages the newest are exported, and `more` is true. */
const MAX_MESSAGES = 10_000
/** Shorter numbers in a reason are not taken for the person's id. */
const MIN_ID_DIGITS = 5

const Person = Type.Object(
  {
    channel: Type.String({ minLength: 1, maxLength: 50 }),
    user: Type.String({
      minLength: 1,
      maxLength: 200,
      description: "The provider's id of the person; for WhatsApp the digits of the phone number",
    }),
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
      others: Type.Integer({ description: 'Number of other participants; their messages, requests and notes are not included' }),
      openedAt: Time,
      updatedAt: Time,
    }),
  ),
  messages: Type.Array(
    Type.Object({ conversation: Text, id: Text, direction: Text, kind: Text, text: TextOrNull, status: Text, at: Time }),
  ),
  more: Type.Boolean({ description: `Whether there are older messages than the newest ${MAX_MESSAGES}` }),
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
    { description: 'Venues where their phone number is on file, for channels whose ids are phone numbers' },
  ),
})
type Export = Static<typeof Export>
type Found = Export['conversations'][number]

/** Conversations in which a person takes part, with what is known of them there. */
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
      description: 'Kept for ever: do not name persons or their numbers',
    }),
  },
  { additionalProperties: false },
)

const Receipt = Type.Object({
  id: Text,
  channel: Text,
  conversations: Type.Array(Text),
  shared: Type.Array(Text, { description: 'Conversations with other participants, which are not erased' }),
  reason: Text,
  requestedBy: Text,
  at: Time,
  verifiedAt: orNull(Time, { description: 'When every store was found to be erased; null until then' }),
  stores: Type.Array(
    Type.Object({
      store: Text,
      found: orNull(Type.Integer(), { description: 'Number of entries before; null if not counted' }),
      left: orNull(Type.Integer(), { description: 'Number of entries left; null if the store is not read back' }),
      agesOut: orNull(Time, { description: 'When the retention of the last entry ends; null if that does not apply' }),
      detail: Text,
    }),
  ),
})

export function routes(app: Api, options: ErasureOptions & { fingerprint: Fingerprint }): void {
  const { pool, fingerprint } = options
  const erasures = new Erasures(options)
  app.post(
    '/persons/export',
    {
      config: { permission: EXPORT, installationWide: true, personal: true, action: 'persons.export' },
      schema: {
        summary: 'Everything that Postgres holds about a person, except the audit trail, which names nobody',
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
          [ids, user, alone, MAX_MESSAGES + 1],
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
           WHERE contact_phone = ANY($1) AND NOT removed ORDER BY id`,
          [phonesOf(user)],
        ),
      ])
      Object.assign(audited, {
        object: `${channel}:${masked(user)}`,
        after: `exported: ${conversations.length} conversations, ${Math.min(messages.rows.length, MAX_MESSAGES)} messages`,
      })
      return {
        channel,
        user,
        at: new Date(),
        conversations,
        messages: messages.rows.slice(0, MAX_MESSAGES).reverse(),
        more: messages.rows.length > MAX_MESSAGES,
        notes: notes.rows,
        issues: issues.rows,
        venues: venues.rows,
      }
    },
  )
  app.post(
    '/persons/erase',
    {
      config: { permission: ERASE, installationWide: true, personal: true, action: 'persons.erase' },
      schema: {
        summary: 'Erase everything about a person',
        body: Order,
        response: { 202: Type.Object({ id: Text, conversations: Type.Integer(), at: Time }) },
      },
    },
    async ({ body: { channel, user, reason }, principal, audited }, reply) => {
      const whom = fingerprint([channel, user])
      Object.assign(audited, { object: `${channel}:${whom}` })
      const digits = user.replace(/\D/g, '')
      if (digits.length >= MIN_ID_DIGITS && reason.replace(/\D/g, '').includes(digits))
        throw new Problem('invalid_request', 'the reason contains the id of the person: it is kept, so leave the id out')
      const { rows } = await pool.query<Found>(CONVERSATIONS, [channel, user])
      const known = rows.filter(({ others }) => others === 0).map(({ id }) => id)
      const shared = rows.filter(({ others }) => others > 0).map(({ id }) => id)
      const ordered = await erasures.order({ channel, user, whom, known, shared, reason, by: principalKey(principal) })
      const { id, conversations } = ordered
      audited.after = `erasure ${id}: ${conversations} conversations`
      const location = `/api/v1/persons/erasures/${id}`
      return reply.code(202).header('location', location).send({ id, conversations, at: new Date() })
    },
  )

  app.get(
    '/persons/erasures/:erasure',
    {
      config: { permission: ERASE, installationWide: true, personal: true, action: 'persons.erasure' },
      schema: {
        summary: 'The receipt of an erasure: what each store holds now',
        params: Type.Object({ erasure: Type.String({ minLength: 1, maxLength: 100 }) }),
        response: { 200: Receipt },
      },
    },
    async ({ params: { erasure } }) => {
      const receipt = await erasures.receipt(erasure)
      if (receipt === null) throw new Problem('not_found', `no erasure with the id "${erasure}"`)
      return receipt
    },
  )
}

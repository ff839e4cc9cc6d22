/** The audit trail. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { auditHash, FIRST_HASH } from '../../domain/audit-hash.ts'
import { permission } from '../access/principal.ts'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { IntegerOrNull, orNull, Text, TextOrNull, Time } from '../schemas.ts'
import type { Api } from '../types.ts'

const READ = permission('audit:read', ['admin'])
export const permissions = { READ }

const AuditEvent = Type.Object({
  id: Text,
  actor: Text,
  actorKind: Text,
  role: Text,
  action: Text,
  object: TextOrNull,
  outcome: Text,
  status: Type.Integer(),
  personal: Type.Boolean(),
  requestId: Text,
  command: TextOrNull,
  before: TextOrNull,
  after: TextOrNull,
  at: Time,
  hash: Type.String({ description: 'SHA-256 of the previous hash and this event, hex' }),
})

const COLUMNS = `id, actor, actor_kind AS "actorKind", role, action, object, outcome, status, personal, request_id AS "requestId",
  command, before, after, at`

const Verification = Type.Object({
  intact: Type.Boolean(),
  events: Type.Integer({ description: 'Events that were checked' }),
  brokenAt: orNull(Type.Integer(), {
    description: 'Offset of the first event whose hash does not follow from the previous one',
  }),
  from: IntegerOrNull,
  to: IntegerOrNull,
  hash: orNull(Text, { description: 'Of the last event checked; store it elsewhere to detect truncation' }),
})

/** Events that one verification checks. */
const MAX_VERIFIED = 100_000
const VERIFIED_AT_ONCE = 5_000

export function routes(app: Api, { pool }: { pool: pg.Pool }): void {
  app.get(
    '/audit',
    {
      config: { permission: READ, installationWide: true, personal: true },
      schema: {
        summary: 'Audit events, newest first',
        querystring: Type.Object(
          {
            ...ListQuery,
            actor: Type.Optional(Type.String({ maxLength: 200 })),
            action: Type.Optional(Type.String({ maxLength: 200 })),
            object: Type.Optional(Type.String({ maxLength: 500 })),
            from: Type.Optional(Type.String({ format: 'date-time' })),
            to: Type.Optional(Type.String({ format: 'date-time' })),
          },
          { additionalProperties: false },
        ),
        response: { 200: listOf(AuditEvent) },
      },
    },
    async ({ query }) => {
      const { limit, cursor, actor = null, action = null, object = null, from = null, to = null } = query
      const { rows } = await pool.query<Static<typeof AuditEvent>>(
        `SELECT ${COLUMNS}, encode(hash, 'hex') AS hash FROM audit_log
         WHERE ($1::text IS NULL OR actor = $1) AND ($2::text IS NULL OR action = $2) AND ($3::text IS NULL OR object = $3)
           AND ($4::timestamptz IS NULL OR at >= $4) AND ($5::timestamptz IS NULL OR at < $5)
           AND ($6::timestamptz IS NULL OR (at, id) < ($6, $7))
         ORDER BY at DESC, id DESC LIMIT $8`,
        [actor, action, object, from, to, ...parseCursor('audit', cursor, 'time'), limit + 1],
      )
      return page('audit', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )

  app.get(
    '/audit/verify',
    {
      config: { permission: READ, installationWide: true },
      schema: {
        summary: `Verifies the hash chain of the audit trail, at most ${MAX_VERIFIED} events`,
        querystring: Type.Object(
          { from: Type.Optional(Type.Integer({ minimum: 0, description: 'Offset of the first event' })) },
          { additionalProperties: false },
        ),
        response: { 200: Verification },
      },
    },
    async ({ query: { from = 0 } }) => verify(pool, from),
  )
}

type Row = Static<typeof AuditEvent> & { log_offset: string; previous_hash: Buffer; own: Buffer }

async function verify(pool: pg.Pool, from: number): Promise<Static<typeof Verification>> {
  let [previous, events, next]: [Buffer | null, number, number] = [null, 0, from]
  let first: number | null = null
  for (;;) {
    const { rows } = await pool.query<Row>(
      `SELECT ${COLUMNS}, log_offset, previous_hash, hash AS own FROM audit_log WHERE log_partition = 0 AND log_offset >= $1
       ORDER BY log_offset LIMIT ${VERIFIED_AT_ONCE}`,
      [next],
    )
    for (const { log_offset, previous_hash, own, at, ...event } of rows) {
      const offset = Number(log_offset)
      first ??= offset
      const before = previous ?? (from === 0 ? FIRST_HASH : previous_hash)
      const expected = auditHash(before, offset, { ...event, at: at.getTime() })
      if (!before.equals(previous_hash) || !expected.equals(own))
        return { intact: false, events, brokenAt: offset, from: first, to: offset, hash: null }
      previous = own
      events++
      next = offset + 1
    }
    if (rows.length < VERIFIED_AT_ONCE || events >= MAX_VERIFIED)
      return {
        intact: true,
        events,
        brokenAt: null,
        from: first,
        to: first === null ? null : next - 1,
        hash: previous?.toString('hex') ?? null,
      }
  }
}

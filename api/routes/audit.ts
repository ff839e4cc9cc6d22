/** The audit trail, and what this installation is set to. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { auditHash, FIRST_HASH } from '../../domain/audit-hash.ts'
import type { Hot } from '../hot.ts'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { Problem } from '../problem.ts'
import { IntegerOrNull, orNull, Text, TextOrNull, Time } from '../schemas.ts'
import type { Threads } from '../conversation-cache.ts'
import type { Api } from '../types.ts'

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
  hash: Type.String({ description: 'SHA-256 over the event before it and this one, hex' }),
})

const COLUMNS = `id, actor, actor_kind AS "actorKind", role, action, object, outcome, status, personal, request_id AS "requestId",
  command, before, after, at`

const Verification = Type.Object({
  intact: Type.Boolean(),
  events: Type.Integer({ description: 'looked at' }),
  brokenAt: orNull(Type.Integer(), {
    description: 'offset of the first event that does not follow from the one before',
  }),
  from: IntegerOrNull,
  to: IntegerOrNull,
  hash: orNull(Text, { description: 'of the last event, to be written down elsewhere' }),
})

const Forgotten = Type.Unsafe<undefined>({ type: 'null', description: 'forgotten' })

/** Events that one verification looks at. */
const MOST = 100_000

/** What is told of the settings; no secret is among them. */
export interface PublicSettings {
  readonly [name: string]: string | number | boolean | null
}

interface Context {
  readonly pool: pg.Pool
  readonly settings?: PublicSettings
  readonly hot?: Hot | null
  readonly threads: Threads
}

export function auditRoutes(app: Api, { pool, settings = {}, hot = null, threads }: Context): void {
  app.get(
    '/audit',
    {
      config: { permission: 'audit:read', whole: true, personal: true },
      schema: {
        summary: 'Who did what, newest first',
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
        [actor, action, object, from, to, ...after('audit', cursor, 'time'), limit + 1],
      )
      return page('audit', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )

  app.get(
    '/audit/verify',
    {
      config: { permission: 'audit:read', whole: true },
      schema: {
        summary: `Whether nobody has changed the audit trail: follows its chain of hashes, at most ${MOST} events`,
        querystring: Type.Object(
          { from: Type.Optional(Type.Integer({ minimum: 0, description: 'offset of the first event' })) },
          { additionalProperties: false },
        ),
        response: { 200: Verification },
      },
    },
    async ({ query: { from = 0 } }) => verify(pool, from),
  )

  app.get(
    '/settings',
    {
      config: { permission: 'settings:read', whole: true },
      schema: {
        summary: 'What this installation is set to; no secrets',
        response: { 200: Type.Record(Type.String(), Type.Any()) },
      },
    },
    async () => settings,
  )

  app.post(
    '/cache/flush',
    {
      config: { permission: 'cache:flush', whole: true, limit: 'sync', action: 'cache.flush' },
      schema: { summary: 'Forget every look-up that is kept: it fills again', response: { 204: Forgotten } },
    },
    async ({ audited }, reply) => {
      audited.after = 'flushed'
      threads.flush()
      await hot?.flush().catch(cause => {
        throw new Problem('unavailable', 'the cache cannot be reached now', { cause })
      })
      return reply.code(204).send(undefined)
    },
  )
}

type Row = Static<typeof AuditEvent> & { log_offset: string; previous_hash: Buffer; own: Buffer }

async function verify(pool: pg.Pool, from: number): Promise<Static<typeof Verification>> {
  let [previous, events, next]: [Buffer | null, number, number] = [null, 0, from]
  let first: number | null = null
  for (;;) {
    const { rows } = await pool.query<Row>(
      `SELECT ${COLUMNS}, log_offset, previous_hash, hash AS own FROM audit_log WHERE log_partition = 0 AND log_offset >= $1
       ORDER BY log_offset LIMIT 5000`,
      [next],
    )
    for (const { log_offset, previous_hash, own, at, ...event } of rows) {
      const offset = Number(log_offset)
      first ??= offset
      const begins = previous ?? (from === 0 ? FIRST_HASH : previous_hash)
      const wanted = auditHash(begins, offset, { ...event, at: at.getTime() })
      if (!begins.equals(previous_hash) || !wanted.equals(own))
        return { intact: false, events, brokenAt: offset, from: first, to: offset, hash: null }
      previous = own
      events++
      next = offset + 1
    }
    if (rows.length < 5000 || events >= MOST)
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

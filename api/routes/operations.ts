/** What support and operations look at: alerts, issues, the runs of every synchronisation, and what became of commands. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { type Commands, Outcome } from '../commands.ts'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { maskPaths } from '../masks.ts'
import { seesEverything, seesPersonalData, visible } from '../access/principal.ts'
import { Problem } from '../problem.ts'
import { IdParams, oneOf, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'
import type { Api } from '../types.ts'

const DEPARTMENTS = ['operations', 'design', 'sales', 'finance', 'general', 'unknown'] as const
const PRIORITIES = ['critical', 'high', 'normal', 'info', 'unknown'] as const

const Alert = Type.Object({
  id: Text,
  venue: TextOrNull,
  conversation: TextOrNull,
  department: oneOf(...DEPARTMENTS),
  priority: oneOf(...PRIORITIES),
  kind: Type.String({ description: 'zone_offline, handover, sheet_refused, send_failed …' }),
  text: Text,
  resolved: Type.Boolean(),
  at: Time,
})

const Issue = Type.Object({
  id: Text,
  conversation: Text,
  channel: Text,
  venue: TextOrNull,
  venueName: TextOrNull,
  department: oneOf(...DEPARTMENTS),
  priority: oneOf(...PRIORITIES),
  reason: Text,
  text: TextOrNull,
  status: oneOf('open', 'acknowledged', 'resolved', 'unknown'),
  assignee: TextOrNull,
  openedAt: Time,
  dueAt: TimeOrNull,
  respondedAt: TimeOrNull,
  resolvedAt: TimeOrNull,
  resolvedBy: TextOrNull,
  updatedAt: Time,
})

const Refusal = Type.Object({
  line: Type.Integer({ description: 'Line in the sheet' }),
  column: Type.String({ description: 'Empty where it is about the whole row' }),
  value: Type.String({ description: 'Shortened; of personal data only its shape' }),
  expected: Text,
  refused: Type.Boolean({
    description: 'True: the row was refused. False: the cell costs itself, and what was known of it stays',
  }),
  reason: Text,
})

const SyncRun = Type.Object({
  id: Text,
  source: Text,
  startedAt: Time,
  endedAt: Time,
  outcome: oneOf('ok', 'unchanged', 'refused', 'failed', 'unknown'),
  venues: Type.Integer(),
  changed: Type.Integer(),
  errors: Type.Integer(),
  durationMs: Type.Number(),
  reason: Text,
  refusals: Type.Array(Refusal, { description: 'The first of what could not be read; all of it is at /sync-runs/{id}/refusals' }),
})

/** Runs of earlier versions said less of what they could not read. */
function whole(refusal: Partial<Static<typeof Refusal>>): Static<typeof Refusal> {
  return { line: 0, column: '', value: '', expected: '', refused: true, reason: '', ...refusal }
}

const filters = {
  department: Type.Optional(oneOf(...DEPARTMENTS)),
  priority: Type.Optional(oneOf(...PRIORITIES)),
  venue: Type.Optional(Type.String({ maxLength: 500 })),
}

export function operationsRoutes(app: Api, { pool, commands }: { pool: pg.Pool; commands: Commands }): void {
  app.get(
    '/alerts',
    {
      config: { permission: 'alerts:read' },
      schema: {
        summary: 'Alerts, newest first',
        querystring: Type.Object(
          {
            ...ListQuery,
            ...filters,
            kind: Type.Optional(Type.String({ maxLength: 100 })),
            resolved: Type.Optional(Type.Boolean()),
          },
          { additionalProperties: false },
        ),
        response: { 200: listOf(Alert) },
      },
    },
    async ({ query, principal }) => {
      const { limit, cursor, department = null, priority = null, venue = null, kind = null, resolved = null } = query
      // The id of an alert is not the tenant's; whose it is, its venue or conversation says.
      const scope = visible(principal, 'a.venue_id', 'coalesce(a.venue_id, a.conversation_id)', 1)
      const { rows } = await pool.query<Static<typeof Alert>>({
        name: 'alerts',
        text: `SELECT id, venue_id AS venue, conversation_id AS conversation, department, priority, kind, text, resolved, at
         FROM alerts a WHERE (${scope.sql} OR (coalesce(a.venue_id, a.conversation_id) IS NULL AND $12::boolean))
           AND ($4::text IS NULL OR department = $4) AND ($5::text IS NULL OR priority = $5) AND ($6::text IS NULL OR venue_id = $6)
           AND ($7::text IS NULL OR kind = $7) AND ($8::boolean IS NULL OR resolved = $8)
           AND ($9::timestamptz IS NULL OR (at, id) < ($9, $10))
         ORDER BY at DESC, id DESC LIMIT $11`,
        values: [
          ...scope.values,
          department,
          priority,
          venue,
          kind,
          resolved,
          ...after('alerts', cursor, 'time'),
          limit + 1,
          seesEverything(principal),
        ],
      })
      return page('alerts', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )

  app.get(
    '/issues',
    {
      config: { permission: 'issues:read', personal: true },
      schema: {
        summary: 'What a human has to see to, newest first',
        querystring: Type.Object(
          {
            ...ListQuery,
            ...filters,
            status: Type.Optional(oneOf('open', 'acknowledged', 'resolved', 'unresolved')),
            assignee: Type.Optional(Type.String({ maxLength: 200 })),
            conversation: Type.Optional(Type.String({ maxLength: 500 })),
          },
          { additionalProperties: false },
        ),
        response: { 200: listOf(Issue) },
      },
    },
    async ({ query, principal }) => {
      const { limit, cursor, department = null, priority = null, venue = null, status = null, assignee = null } = query
      const scope = visible(principal, 'i.venue_id', 'i.conversation_id', 1)
      const { rows } = await pool.query<Static<typeof Issue>>({
        name: 'issues',
        text: `SELECT id, conversation_id AS conversation, channel, venue_id AS venue, venue_name AS "venueName", department, priority,
           reason, text, status, assignee, opened_at AS "openedAt", due_at AS "dueAt", responded_at AS "respondedAt",
           resolved_at AS "resolvedAt", resolved_by AS "resolvedBy", updated_at AS "updatedAt"
         FROM issues i WHERE ${scope.sql} AND ($4::text IS NULL OR department = $4) AND ($5::text IS NULL OR priority = $5)
           AND ($6::text IS NULL OR venue_id = $6)
           AND ($7::text IS NULL OR status = $7 OR ($7 = 'unresolved' AND status <> 'resolved'))
           AND ($8::text IS NULL OR assignee = $8) AND ($9::text IS NULL OR conversation_id = $9)
           AND ($10::timestamptz IS NULL OR (opened_at, id) < ($10, $11))
         ORDER BY opened_at DESC, id DESC LIMIT $12`,
        values: [
          ...scope.values,
          department,
          priority,
          venue,
          status,
          assignee,
          query.conversation ?? null,
          ...after('issues', cursor, 'time'),
          limit + 1,
        ],
      })
      const shown = seesPersonalData(principal)
        ? rows
        : rows.map(row => maskPaths(row, ['text', 'assignee', 'resolvedBy']) as typeof row)
      return page('issues', shown, limit, row => [row.openedAt.toISOString(), row.id])
    },
  )

  app.get(
    '/sync-runs',
    {
      config: { permission: 'sync:read', whole: true, personal: true },
      schema: {
        summary: 'Runs of the synchronisations, newest first',
        querystring: Type.Object(
          { ...ListQuery, source: Type.Optional(Type.String({ maxLength: 200 })) },
          { additionalProperties: false },
        ),
        response: { 200: listOf(SyncRun) },
      },
    },
    async ({ query: { limit, cursor, source = null } }) => {
      const { rows } = await pool.query<Static<typeof SyncRun>>({
        name: 'sync-runs',
        text: `SELECT id, source, started_at AS "startedAt", ended_at AS "endedAt", outcome, venues, changed, errors,
           duration_ms AS "durationMs", reason, coalesce((SELECT jsonb_path_query_array(f.refusals, '$[0 to 199]')
             FROM sync_refusals f WHERE f.run_id = r.id ORDER BY f.page LIMIT 1), refusals) AS refusals
         FROM sync_runs r WHERE ($1::text IS NULL OR source = $1) AND ($2::timestamptz IS NULL OR (started_at, id) < ($2, $3))
         ORDER BY started_at DESC, id DESC LIMIT $4`,
        values: [source, ...after('sync-runs', cursor, 'time'), limit + 1],
      })
      const shown = rows.map(row => ({ ...row, refusals: row.refusals.map(whole) }))
      return page('sync-runs', shown, limit, row => [row.startedAt.toISOString(), row.id])
    },
  )

  app.get(
    '/sync-runs/:id/refusals',
    {
      config: { permission: 'sync:read', whole: true },
      schema: {
        summary: 'Every row and cell that a synchronisation could not read, in the order of the sheet',
        params: IdParams,
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(Refusal) },
      },
    },
    async ({ params: { id }, query: { limit, cursor } }) => {
      const { rows } = await pool.query<{ page: number; n: number; refusal: Partial<Static<typeof Refusal>> }>({
        name: 'sync-refusals',
        text: `SELECT page, n::int, refusal FROM sync_refusals, jsonb_array_elements(refusals) WITH ORDINALITY AS e(refusal, n)
         WHERE run_id = $1 AND ($2::int IS NULL OR (page, n) > ($2, $3)) ORDER BY page, n LIMIT $4`,
        values: [id, ...after('sync-refusals', cursor, 'number'), limit + 1],
      })
      const { items, next } = page('sync-refusals', rows, limit, row => [String(row.page), String(row.n)])
      return { items: items.map(({ refusal }) => whole(refusal)), next }
    },
  )

  app.get(
    '/commands/:id',
    {
      config: { permission: 'self:read', limit: 'status' },
      schema: { summary: 'What has become of a write of yours', params: IdParams, response: { 200: Outcome } },
    },
    async ({ params: { id }, principal }) => {
      const outcome = await commands.outcomeOf(principal, id)
      if (outcome === null) throw new Problem('not_found', `no command of yours with the id "${id}"`)
      return outcome
    },
  )
}

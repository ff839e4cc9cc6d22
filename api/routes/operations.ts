/** What an operator looks at: alerts, and the runs of every synchronisation. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { oneOf, Text, TextOrNull, Time } from '../schemas.ts'
import type { Api } from '../types.ts'

const Alert = Type.Object({
  id: Text,
  venue: TextOrNull,
  conversation: TextOrNull,
  department: oneOf('operations', 'design', 'sales', 'finance', 'general', 'unknown'),
  priority: oneOf('critical', 'high', 'normal', 'info', 'unknown'),
  kind: Type.String({ description: 'zone_offline, handover, sheet_refused, send_failed …' }),
  text: Text,
  resolved: Type.Boolean(),
  at: Time,
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
  refusals: Type.Array(Type.Object({ line: Type.Integer(), reason: Text })),
})

export function operationsRoutes(app: Api, { pool }: { pool: pg.Pool }): void {
  app.get(
    '/alerts',
    { schema: { summary: 'Alerts, newest first', querystring: Type.Object(ListQuery), response: { 200: listOf(Alert) } } },
    async ({ query: { limit, cursor } }) => {
      const { rows } = await pool.query<Static<typeof Alert>>(
        `SELECT id, venue_id AS venue, conversation_id AS conversation, department, priority, kind, text, resolved, at
         FROM alerts WHERE $1::timestamptz IS NULL OR (at, id) < ($1, $2)
         ORDER BY at DESC, id DESC LIMIT $3`,
        [...after('alerts', cursor, 'time'), limit + 1],
      )
      return page('alerts', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )

  app.get(
    '/sync-runs',
    {
      schema: {
        summary: 'Runs of the synchronisations, newest first',
        querystring: Type.Object(ListQuery),
        response: { 200: listOf(SyncRun) },
      },
    },
    async ({ query: { limit, cursor } }) => {
      const { rows } = await pool.query<Static<typeof SyncRun>>(
        `SELECT id, source, started_at AS "startedAt", ended_at AS "endedAt", outcome, venues, changed, errors,
           duration_ms AS "durationMs", reason, refusals
         FROM sync_runs WHERE $1::timestamptz IS NULL OR (started_at, id) < ($1, $2)
         ORDER BY started_at DESC, id DESC LIMIT $3`,
        [...after('sync-runs', cursor, 'time'), limit + 1],
      )
      return page('sync-runs', rows, limit, row => [row.startedAt.toISOString(), row.id])
    },
  )
}

/** Synchronisation runs: each reading of a source, and what of it could not be read. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { permission } from '../access/principal.ts'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { IdParams, oneOf, Text, Time } from '../schemas.ts'
import type { Api } from '../types.ts'

const READ = permission('sync:read', ['admin', 'agent', 'ops'])
export const permissions = { READ }

const Refusal = Type.Object({
  line: Type.Integer({ description: 'Line of the sheet' }),
  column: Type.String({ description: 'Empty if it concerns the whole row' }),
  value: Type.String({ description: 'Shortened; of personal data only the shape' }),
  expected: Text,
  refused: Type.Boolean({
    description: 'True: the row was refused. False: only the cell was, and its previous value stays',
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
  refusals: Type.Array(Refusal, { description: 'The first 200; all of them at /sync-runs/{id}/refusals' }),
})

/** Refusals of runs by earlier versions lack some fields. */
function complete(refusal: Partial<Static<typeof Refusal>>): Static<typeof Refusal> {
  return { line: 0, column: '', value: '', expected: '', refused: true, reason: '', ...refusal }
}

export function routes(app: Api, { pool }: { pool: pg.Pool }): void {
  app.get(
    '/sync-runs',
    {
      config: { permission: READ, installationWide: true, personal: true },
      schema: {
        summary: 'Synchronisation runs, newest first',
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
        values: [source, ...parseCursor('sync-runs', cursor, 'time'), limit + 1],
      })
      const shown = rows.map(row => ({ ...row, refusals: row.refusals.map(complete) }))
      return page('sync-runs', shown, limit, row => [row.startedAt.toISOString(), row.id])
    },
  )

  app.get(
    '/sync-runs/:id/refusals',
    {
      config: { permission: READ, installationWide: true },
      schema: {
        summary: 'Rows and cells that a synchronisation could not read, in the order of the sheet',
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
        values: [id, ...parseCursor('sync-refusals', cursor, 'number'), limit + 1],
      })
      const { items, next } = page('sync-refusals', rows, limit, row => [String(row.page), String(row.n)])
      return { items: items.map(({ refusal }) => complete(refusal)), next }
    },
  )
}

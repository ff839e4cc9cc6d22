/** Alerts. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { isInstallationWide, permission } from '../access/principal.ts'
import { visible } from '../access/scope-sql.ts'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { Text, TextOrNull, Time } from '../schemas.ts'
import type { Api } from '../types.ts'
import { Department, filters, Priority } from './departments.ts'

const READ = permission('alerts:read', ['admin', 'agent', 'staff', 'ops'])
export const permissions = { READ }

const Alert = Type.Object({
  id: Text,
  venue: TextOrNull,
  conversation: TextOrNull,
  department: Department,
  priority: Priority,
  kind: Type.String({ description: 'zone_offline, handover, sheet_refused, send_failed …' }),
  text: Text,
  resolved: Type.Boolean(),
  at: Time,
})

export function routes(app: Api, { pool }: { pool: pg.Pool }): void {
  app.get(
    '/alerts',
    {
      config: { permission: READ },
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
      // The id of an alert does not begin with the tenant; those of its venue and conversation do.
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
          ...parseCursor('alerts', cursor, 'time'),
          limit + 1,
          isInstallationWide(principal),
        ],
      })
      return page('alerts', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )
}

/** Issues: what a human must deal with. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { permission, seesPersonalData } from '../access/principal.ts'
import { visible } from '../access/scope-sql.ts'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { maskPaths } from '../masks.ts'
import { oneOf, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'
import type { Api } from '../types.ts'
import { Department, filters, Priority } from './departments.ts'

const READ = permission('issues:read', ['admin', 'agent', 'staff', 'ops'])
export const permissions = { READ }

const Issue = Type.Object({
  id: Text,
  conversation: Text,
  channel: Text,
  venue: TextOrNull,
  venueName: TextOrNull,
  department: Department,
  priority: Priority,
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

export function routes(app: Api, { pool }: { pool: pg.Pool }): void {
  app.get(
    '/issues',
    {
      config: { permission: READ, personal: true },
      schema: {
        summary: 'Issues for a human to deal with, newest first',
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
          ...parseCursor('issues', cursor, 'time'),
          limit + 1,
        ],
      })
      const shown = seesPersonalData(principal)
        ? rows
        : rows.map(row => maskPaths(row, ['text', 'assignee', 'resolvedBy']) as typeof row)
      return page('issues', shown, limit, row => [row.openedAt.toISOString(), row.id])
    },
  )
}

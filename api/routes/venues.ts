import { hash } from 'node:crypto'
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { Problem } from '../problem.ts'
import { IdParams, IntegerOrNull, oneOf, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'
import type { Api } from '../types.ts'

const VenueItem = Type.Object({
  id: Text,
  name: Text,
  location: Text,
  soundtrackAccount: TextOrNull,
  subscriptionStatus: TextOrNull,
  priorityLevel: TextOrNull,
  slaTier: TextOrNull,
  zoneCounts: Type.Object({ online: Type.Integer(), offline: Type.Integer(), unknown: Type.Integer() }),
  updatedAt: Time,
})

const Zone = Type.Object({
  id: Text,
  name: Text,
  status: oneOf('online', 'offline', 'unknown'),
  detail: Type.String({ description: 'unpaired, no_subscription, expired, muted … or empty' }),
  playing: Type.Union([Type.Boolean(), Type.Null()], { description: 'null where it is not known' }),
  playback: TextOrNull,
  volume: Type.Union([Type.Integer(), Type.Null()], { description: '0 to 16' }),
  track: TextOrNull,
  artist: TextOrNull,
  source: TextOrNull,
  since: TimeOrNull,
  lastSeen: TimeOrNull,
  asOf: Type.Union([Time, Type.Null()], { description: 'when it was last read' }),
})

const Venue = Type.Object({
  id: Text,
  name: Text,
  location: Text,
  aliases: Type.Array(Text),
  contact: Type.Object({ name: TextOrNull, email: TextOrNull, phone: TextOrNull, position: TextOrNull }),
  soundtrackAccount: TextOrNull,
  soundtrackLocation: TextOrNull,
  zoneCount: IntegerOrNull,
  subscriptionStatus: TextOrNull,
  lastIssueDate: TextOrNull,
  notes: TextOrNull,
  priorityLevel: TextOrNull,
  slaTier: TextOrNull,
  volumeCap: Type.Integer(),
  removed: Type.Boolean(),
  updatedAt: Time,
  zones: Type.Array(Zone),
  provenance: Type.Record(Type.String(), Type.Object({ source: Text, at: Time }), {
    description: 'source and time of every field',
  }),
})

export function venueRoutes(app: Api, { pool }: { pool: pg.Pool }): void {
  app.get(
    '/venues',
    {
      schema: {
        summary: 'Venues by name',
        querystring: Type.Object({
          ...ListQuery,
          q: Type.Optional(Type.String({ maxLength: 200, description: 'part of the name, in any case' })),
        }),
        response: { 200: listOf(VenueItem) },
      },
    },
    async ({ query: { limit, cursor, q } }) => {
      const [name, id] = after('venues', cursor, 'text')
      const { rows } = await pool.query<Static<typeof VenueItem> & { sortedBy: string }>(
        `SELECT id, name, location, soundtrack_account_id AS "soundtrackAccount", subscription_status AS "subscriptionStatus",
           priority_level AS "priorityLevel", sla_tier AS "slaTier", updated_at AS "updatedAt", lower(name) AS "sortedBy",
           (SELECT json_build_object(
             'online', count(*) FILTER (WHERE status = 'online'),
             'offline', count(*) FILTER (WHERE status = 'offline'),
             'unknown', count(*) FILTER (WHERE status = 'unknown')
           ) FROM zones WHERE venue_id = v.id) AS "zoneCounts"
         FROM venues v
         WHERE NOT removed AND ($1::text IS NULL OR strpos(lower(name), lower($1)) > 0)
           AND ($2::text IS NULL OR (lower(name), id) > ($2, $3))
         ORDER BY lower(name), id LIMIT $4`,
        [q ?? null, name, id, limit + 1],
      )
      return page('venues', rows, limit, row => [row.sortedBy, row.id])
    },
  )

  app.get(
    '/venues/:id',
    {
      schema: {
        summary: 'A venue, its zones, and where every field comes from',
        params: IdParams,
        headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
        response: {
          200: Venue,
          304: Type.Unsafe<undefined>({ type: 'null', description: 'as the ETag in If-None-Match has it' }),
        },
      },
    },
    async (request, reply) => {
      const { id } = request.params
      const { rows } = await pool.query<Omit<Static<typeof Venue>, 'zones'>>(
        `SELECT id, name, location, aliases, notes, removed, provenance, soundtrack_account_id AS "soundtrackAccount",
           soundtrack_location_id AS "soundtrackLocation", zone_count AS "zoneCount",
           subscription_status AS "subscriptionStatus", last_issue_date AS "lastIssueDate", priority_level AS "priorityLevel",
           sla_tier AS "slaTier", volume_cap AS "volumeCap", updated_at AS "updatedAt", json_build_object(
             'name', contact_name, 'email', contact_email, 'phone', contact_phone, 'position', contact_position
           ) AS contact
         FROM venues WHERE id = $1`,
        [id],
      )
      if (rows[0] === undefined) throw new Problem('not_found', `no venue with the id "${id}"`)
      const { rows: zones } = await pool.query<Static<typeof Zone>>(
        `SELECT id, name, status, detail, lower(playback) = 'playing' AS playing, playback, volume, track, artist, source,
           since, last_seen AS "lastSeen", as_of AS "asOf"
         FROM zones WHERE venue_id = $1 ORDER BY name, id`,
        [id],
      )
      const body = { ...rows[0], zones }
      const etag = `"${hash('sha256', JSON.stringify(body), 'base64url').slice(0, 22)}"`
      reply.header('etag', etag).header('cache-control', 'private, no-cache')
      if (matches(request.headers['if-none-match'], etag)) return reply.code(304).send(undefined)
      return body
    },
  )
}

/** RFC 9110, 13.1.2: weak comparison with any of the listed tags. */
function matches(ifNoneMatch: string | undefined, etag: string): boolean {
  if (ifNoneMatch === undefined) return false
  return ifNoneMatch.split(',').some(tag => tag.trim() === '*' || tag.trim().replace(/^W\//, '') === etag)
}

/** Venues: search, detail, zones, history, refresh. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { venueInbox } from '../../topics/catalog.ts'
import { permission, seesPersonalData } from '../access/principal.ts'
import { visible, visibleSql } from '../access/scope-sql.ts'
import { WriteHeaders, written } from '../command-schemas.ts'
import type { Commands, CommandTarget } from '../commands.ts'
import { sendCached, sendWithEtag } from '../etag.ts'
import type { KeptText } from '../../cache/cache.ts'
import { noCache, type ReadThrough } from '../../cache/read-through.ts'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { RequestCache } from '../request-cache.ts'
import { IdParams, NotModified } from '../schemas.ts'
import type { Api } from '../types.ts'
import { loadVenue, requireVenue, requireVisible, withoutPersonalData } from './venue-reader.ts'
import { Venue, VenueEvent, VenueFilters, VenueItem, Zone } from './venue-schemas.ts'

const READ = permission('venues:read', ['admin', 'agent', 'staff', 'analyst', 'ops'])
const REFRESH = permission('venues:refresh', ['admin', 'agent', 'staff', 'ops'])
export const permissions = { READ, REFRESH }

export const VENUE: CommandTarget = { name: 'venue', inbox: venueInbox, profiles: 'venues' }
export const targets = [VENUE]

const ITEM = `v.id, v.name, v.location, v.region, v.soundtrack_account_id AS "soundtrackAccount",
  v.subscription_status AS "subscriptionStatus", v.priority_level AS "priorityLevel", v.sla_tier AS "slaTier",
  v.updated_at AS "updatedAt", lower(v.name) AS "sortedBy",
  (SELECT json_build_object(
    'online', count(*) FILTER (WHERE status = 'online'),
    'offline', count(*) FILTER (WHERE status = 'offline'),
    'unknown', count(*) FILTER (WHERE status = 'unknown')
  ) FROM zones WHERE venue_id = v.id) AS "zoneCounts"`

/** Visible venues that match the filters: parameters 1 to 7. */
const FILTERS = `NOT v.removed AND ${visibleSql('v.id', 'v.id', 1)} AND ($4::text IS NULL OR v.region = lower($4))
  AND ($5::text IS NULL OR v.id IN (SELECT venue_id FROM zones WHERE zones.status = $5))
  AND ($6::text IS NULL OR lower(v.subscription_status) = lower($6)) AND ($7::text IS NULL OR lower(v.priority_level) = lower($7))`

/** How long search results are cached: names seldom change. */
const SEARCH_CACHED_MS = 10_000

type Item = Static<typeof VenueItem> & { sortedBy: string }

export interface Context {
  readonly pool: pg.Pool
  readonly commands: Commands
  readonly hot?: ReadThrough | null
}

export function routes(app: Api, { pool, commands, hot: cache }: Context): void {
  const hot = cache ?? noCache
  const searches = new RequestCache<ReturnType<typeof page<Item>>>(SEARCH_CACHED_MS)

  app.get(
    '/venues',
    {
      config: {
        permission: READ,
        limit: request => ((request.query as { q?: string }).q === undefined ? 'other' : 'search'),
      },
      schema: {
        summary: 'Venues by name; with q, those with a similar name, best match first',
        querystring: Type.Object({ ...ListQuery, ...VenueFilters }, { additionalProperties: false }),
        response: { 200: listOf(VenueItem) },
      },
    },
    async ({ query, principal }) => {
      const { limit, cursor, q, region = null, status = null, subscription = null, priority = null } = query
      const scope = visible(principal, 'v.id', 'v.id', 1)
      const values = [...scope.values, region, status, subscription, priority]
      if (q !== undefined)
        return searches.get(JSON.stringify([...values, q, cursor, limit]), () => search(q, values, cursor, limit))
      const [name, id] = parseCursor('venues', cursor, 'text')
      const { rows } = await pool.query<Item>({
        name: 'venues',
        text: `SELECT ${ITEM} FROM venues v WHERE ${FILTERS} AND ($8::text IS NULL OR (lower(v.name), v.id) > ($8, $9))
         ORDER BY lower(v.name), v.id LIMIT $10`,
        values: [...values, name, id, limit + 1],
      })
      return page('venues', rows, limit, row => [row.sortedBy, row.id])
    },
  )

  app.get(
    '/venues/:id',
    {
      config: { permission: READ, personal: true, limit: 'status' },
      schema: {
        summary: 'A venue with its zones and the source of every field',
        params: IdParams,
        headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
        response: { 200: Venue, 304: NotModified },
      },
    },
    (request, reply) => {
      const kept = hot.peek?.('venue', request.params.id) ?? null
      if (kept === null) return show(request, reply)
      // Sent synchronously: there is no promise for Fastify to await.
      requireVisible(request, kept.json)
      send(request, reply, kept)
    },
  )

  app.get(
    '/venues/:id/zones',
    {
      config: { permission: READ, limit: 'status' },
      schema: {
        summary: 'State of its zones, as last read',
        params: IdParams,
        response: { 200: Type.Object({ items: Type.Array(Zone) }) },
      },
    },
    async request => ({ items: (JSON.parse(await readVenue(request)) as Venue).zones }),
  )

  app.get(
    '/venues/:id/history',
    {
      config: { permission: READ },
      schema: {
        summary: 'Events at a venue, newest first',
        params: IdParams,
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(VenueEvent) },
      },
    },
    async ({ params: { id }, query: { limit, cursor }, principal }) => {
      await requireVenue(pool, principal, id)
      const { rows } = await pool.query<Static<typeof VenueEvent>>({
        name: 'venue-history',
        text: `SELECT id, kind, zone, request, command, detail, outcome, volume_from AS "from", volume_to AS "to", at FROM venue_events
         WHERE venue_id = $1 AND ($2::timestamptz IS NULL OR (at, id) < ($2, $3)) ORDER BY at DESC, id DESC LIMIT $4`,
        values: [id, ...parseCursor('history', cursor, 'time'), limit + 1],
      })
      return page('history', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )

  app.post(
    '/venues/:id/refresh',
    {
      config: { permission: REFRESH, limit: 'sync', action: 'venues.refresh' },
      schema: { summary: 'Read its zones from the provider now', params: IdParams, headers: WriteHeaders, response: written },
    },
    async (request, reply) => {
      const { id: venue } = request.params
      await requireVenue(pool, request.principal, venue)
      await hot.invalidate('venue', venue)
      request.audited.after = 'refresh'
      const by = request.principal.id
      return commands.submit(request, reply, {
        target: VENUE.name,
        object: venue,
        topic: venueInbox,
        key: venue,
        type: 'VenueRefresh',
        record: (id, at) => ({ id, by, at }),
      })
    },
  )

  /** A match of a part of the name ranks above a similar name. Thai, which has no spaces between words, is matched by parts. */
  async function search(q: string, values: readonly unknown[], cursor: string | undefined, limit: number) {
    const [score, id] = parseCursor('venues?q', cursor, 'text')
    const words = q.toLowerCase()
    const pattern = `%${words.replace(/[\\%_]/g, '\\$&')}%`
    const { rows } = await pool.query<Item>({
      name: 'venue-search',
      text: `WITH found AS (
          SELECT v.*, round(greatest(CASE WHEN lower(v.name) = $8 THEN 1.0 WHEN v.names LIKE $9 THEN 0.9 ELSE 0 END,
            word_similarity($8, v.names) * 0.85)::numeric, 4)::float8 AS score
          FROM venues v WHERE ${FILTERS} AND (v.names LIKE $9 OR $8 <% v.names)
        )
        SELECT v.score, ${ITEM} FROM found v
        WHERE ($10::text IS NULL OR (v.score, v.id) < ($10::float8, $11))
        ORDER BY v.score DESC, v.id DESC LIMIT $12`,
      values: [...values, words, pattern, score, id, limit + 1],
    })
    return page('venues?q', rows, limit, row => [String(row.score), row.id])
  }

  /** JSON of a venue. @throws {Problem} `not_found` if the principal does not see it */
  async function readVenue(request: FastifyRequest): Promise<string> {
    const { id } = request.params as { id: string }
    const found = await hot.readText('venue', id, () => loadVenue(pool, id))
    requireVisible(request, found)
    return found
  }

  async function show(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    await send(request, reply, { json: await readVenue(request) })
  }

  function send(request: FastifyRequest, reply: FastifyReply, kept: KeptText): FastifyReply {
    if (seesPersonalData(request.principal)) return sendCached(request, reply, kept)
    return sendWithEtag(request, reply, JSON.stringify(withoutPersonalData(JSON.parse(kept.json))))
  }
}

import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { venueInbox } from '../../topics/catalog.ts'
import { type Commands, WriteHeaders, written } from '../commands.ts'
import { answer, answerKept } from '../etag.ts'
import { claim, COLUMNS, fieldOf, OF_THE_WHOLE } from './overrides.ts'
import { direct, type Hot, type KeptText } from '../hot.ts'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { masked } from '../masks.ts'
import { Memo } from '../request-cache.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { type Principal, sees, seesEverything, seesPersonalData, visible, visibleSql } from '../access/principal.ts'
import { Problem } from '../problem.ts'
import { IdParams, IntegerOrNull, isoSql, NotModified, oneOf, orNull, Text, TextOrNull, Time, TimeOrNull } from '../schemas.ts'
import type { Api } from '../types.ts'

const VenueItem = Type.Object({
  id: Text,
  name: Text,
  location: Text,
  region: Text,
  soundtrackAccount: TextOrNull,
  subscriptionStatus: TextOrNull,
  priorityLevel: TextOrNull,
  slaTier: TextOrNull,
  zoneCounts: Type.Object({ online: Type.Integer(), offline: Type.Integer(), unknown: Type.Integer() }),
  updatedAt: Time,
  score: Type.Optional(Type.Number({ description: 'of a search: 1 where the name is what was asked for' })),
})

const Zone = Type.Object({
  id: Text,
  name: Text,
  status: oneOf('online', 'offline', 'unknown'),
  detail: Type.String({ description: 'unpaired, no_subscription, expired, muted … or empty' }),
  playing: orNull(Type.Boolean(), { description: 'null where it is not known' }),
  playback: TextOrNull,
  volume: orNull(Type.Integer(), { description: '0 to 16' }),
  track: TextOrNull,
  artist: TextOrNull,
  source: TextOrNull,
  since: TimeOrNull,
  lastSeen: TimeOrNull,
  asOf: orNull(Time, { description: 'when it was last read; to the hour while nothing of it changes' }),
})

const Venue = Type.Object({
  id: Text,
  name: Text,
  location: Text,
  region: Text,
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
    description: 'source and time of every field; its age is the time since',
  }),
  overrides: Type.Array(Type.Object({ field: Text, by: Text, reason: Text, at: Time })),
})
type Venue = Static<typeof Venue>

const VenueEvent = Type.Object({
  id: Text,
  kind: Text,
  zone: TextOrNull,
  request: TextOrNull,
  command: TextOrNull,
  detail: TextOrNull,
  outcome: TextOrNull,
  from: IntegerOrNull,
  to: IntegerOrNull,
  at: Time,
})

const Filters = {
  q: Type.Optional(Type.String({ minLength: 1, maxLength: 200, description: 'part of the name, or one like it, in any case' })),
  region: Type.Optional(Type.String({ maxLength: 200 })),
  status: Type.Optional(oneOf('online', 'offline', 'unknown')),
  subscription: Type.Optional(Type.String({ maxLength: 100 })),
  priority: Type.Optional(Type.String({ maxLength: 100 })),
}

const ITEM = `v.id, v.name, v.location, v.region, v.soundtrack_account_id AS "soundtrackAccount",
  v.subscription_status AS "subscriptionStatus", v.priority_level AS "priorityLevel", v.sla_tier AS "slaTier",
  v.updated_at AS "updatedAt", lower(v.name) AS "sortedBy",
  (SELECT json_build_object(
    'online', count(*) FILTER (WHERE status = 'online'),
    'offline', count(*) FILTER (WHERE status = 'offline'),
    'unknown', count(*) FILTER (WHERE status = 'unknown')
  ) FROM zones WHERE venue_id = v.id) AS "zoneCounts"`

/** Of those that the asker may see, which: parameters 1 to 7. */
const FILTERS = `NOT v.removed AND ${visibleSql('v.id', 'v.id', 1)} AND ($4::text IS NULL OR v.region = lower($4))
  AND ($5::text IS NULL OR v.id IN (SELECT venue_id FROM zones WHERE zones.status = $5))
  AND ($6::text IS NULL OR lower(v.subscription_status) = lower($6)) AND ($7::text IS NULL OR lower(v.priority_level) = lower($7))`

/** How long the answer to a search is kept: names change seldom. */
const SEARCH_MS = 10_000

type Item = Static<typeof VenueItem> & { sortedBy: string }

interface Context {
  readonly pool: pg.Pool
  readonly commands: Commands
  readonly hot?: Hot | null
  readonly fingerprint: Fingerprint
}

export function venueRoutes(app: Api, context: Context): void {
  const { pool, commands, fingerprint } = context
  const hot = context.hot ?? direct
  const found = new Memo<ReturnType<typeof page<Item>>>(SEARCH_MS)

  app.get(
    '/venues',
    {
      config: {
        permission: 'venues:read',
        limit: request => ((request.query as { q?: string }).q === undefined ? 'other' : 'search'),
      },
      schema: {
        summary: 'Venues by name; with q those of a name like it, the most alike first',
        querystring: Type.Object({ ...ListQuery, ...Filters }, { additionalProperties: false }),
        response: { 200: listOf(VenueItem) },
      },
    },
    async ({ query, principal }) => {
      const { limit, cursor, q, region = null, status = null, subscription = null, priority = null } = query
      const scope = visible(principal, 'v.id', 'v.id', 1)
      const values = [...scope.values, region, status, subscription, priority]
      if (q !== undefined) return found.get(JSON.stringify([...values, q, cursor, limit]), () => search(q, values, cursor, limit))
      const [name, id] = after('venues', cursor, 'text')
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
      config: { permission: 'venues:read', personal: true, limit: 'status' },
      schema: {
        summary: 'A venue, its zones, and where every field comes from',
        params: IdParams,
        headers: Type.Object({ 'if-none-match': Type.Optional(Type.String()) }),
        response: { 200: Venue, 304: NotModified },
      },
    },
    (request, reply) => {
      const kept = hot.peek?.('venue', request.params.id) ?? null
      if (kept === null) return show(request, reply)
      // Answered at once: nothing is returned for Fastify to wait for.
      requireSeen(request, kept.json)
      tell(request, reply, kept)
    },
  )

  app.get(
    '/venues/:id/zones',
    {
      config: { permission: 'venues:read', limit: 'status' },
      schema: {
        summary: 'What its zones do, as last read',
        params: IdParams,
        response: { 200: Type.Object({ items: Type.Array(Zone) }) },
      },
    },
    async request => ({ items: (JSON.parse(await readVenue(request)) as Venue).zones }),
  )

  app.get(
    '/venues/:id/history',
    {
      config: { permission: 'venues:read' },
      schema: {
        summary: 'What happened at a venue, newest first',
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
        values: [id, ...after('history', cursor, 'time'), limit + 1],
      })
      return page('history', rows, limit, row => [row.at.toISOString(), row.id])
    },
  )

  const FieldParams = Type.Object({ ...IdParams.properties, field: Type.String({ pattern: '^[A-Za-z]{1,40}$' }) })

  app.put(
    '/venues/:id/overrides/:field',
    {
      config: { permission: 'venues:override', personal: true, action: 'venues.override' },
      schema: {
        summary: 'Force a field of a venue to a value, whatever its sources say',
        params: FieldParams,
        headers: WriteHeaders,
        body: Type.Object(
          {
            value: Type.Any({ description: 'of the type of the field' }),
            reason: Type.Optional(Type.String({ maxLength: 200 })),
          },
          { additionalProperties: false },
        ),
        response: written,
      },
    },
    async (request, reply) => {
      const { id, field } = request.params
      const { value, reason = '' } = request.body as { value: unknown; reason?: string }
      return override(request, reply, id, { field, value: JSON.stringify(value ?? null), reason })
    },
  )

  app.delete(
    '/venues/:id/overrides/:field',
    {
      config: { permission: 'venues:override', personal: true, action: 'venues.takeBackOverride' },
      schema: {
        summary: 'Take an override back: what the sources say is there again',
        params: FieldParams,
        headers: WriteHeaders,
        response: written,
      },
    },
    async (request, reply) =>
      override(request, reply, request.params.id, { field: request.params.field, value: null, reason: '' }),
  )

  app.post(
    '/venues/:id/refresh',
    {
      config: { permission: 'venues:refresh', limit: 'sync', action: 'venues.refresh' },
      schema: { summary: 'Have its zones read now', params: IdParams, headers: WriteHeaders, response: written },
    },
    async (request, reply) => {
      const { id: venue } = request.params
      await requireVenue(pool, request.principal, venue)
      await hot.invalidate('venue', venue)
      request.audited.after = 'refresh'
      const by = request.principal.id
      return commands.give(request, reply, {
        target: 'venue',
        object: venue,
        topic: venueInbox,
        key: venue,
        type: 'VenueRefresh',
        record: (id, at) => ({ id, by, at }),
      })
    },
  )

  async function override(
    request: FastifyRequest,
    reply: Parameters<Commands['give']>[1],
    venue: string,
    what: { field: string; value: string | null; reason: string },
  ) {
    const { principal } = request
    await requireVenue(pool, principal, venue)
    const { field, value } = what
    const column = Object.hasOwn(COLUMNS, field) ? COLUMNS[field] : undefined
    const before = column === undefined ? undefined : await fieldOf(pool, venue, column)
    Object.assign(request.audited, {
      object: venue,
      before: `${field} ${fingerprint(before)}`,
      after: value === null ? `${field} taken back` : `${field} ${fingerprint(JSON.parse(value))}`,
    })
    if (OF_THE_WHOLE.has(what.field) && !seesEverything(principal)) {
      throw new Problem(
        'forbidden',
        `${what.field} decides whose music plays or who is trusted: only who sees the whole installation forces it`,
      )
    }
    const held = value === null ? null : await claim(pool, venue, field, value)
    await hot.invalidate('venue', venue)
    const by = principal.id
    let known = false
    try {
      const answered = await commands.give(request, reply, {
        target: 'venue',
        object: venue,
        topic: venueInbox,
        key: venue,
        type: 'VenueOverride',
        record: (id, at) => ({ id, by, at, ...what }),
      })
      known = reply.statusCode !== 202
      return answered
    } catch (error) {
      known = error instanceof Problem && error.code === 'command_refused'
      throw error
    } finally {
      if (known) await held?.release()
    }
  }

  /** A part of a name comes before what is only like it; Thai has no spaces between words, and is found as a part. */
  async function search(q: string, values: readonly unknown[], cursor: string | undefined, limit: number) {
    const [score, id] = after('venues?q', cursor, 'text')
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

  /** JSON of a venue that the asker may see. @throws {Problem} `not_found` */
  async function readVenue(request: FastifyRequest): Promise<string> {
    const { id } = request.params as { id: string }
    const found = await hot.readText('venue', id, () => load(pool, id))
    requireSeen(request, found)
    return found
  }

  async function show(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    await tell(request, reply, { json: await readVenue(request) })
  }

  function tell(request: FastifyRequest, reply: FastifyReply, kept: KeptText): FastifyReply {
    if (seesPersonalData(request.principal)) return answerKept(request, reply, kept)
    return answer(request, reply, JSON.stringify(withoutPersons(JSON.parse(kept.json))))
  }
}

async function load(pool: pg.Pool, id: string): Promise<{ value: Venue; version: number } | null> {
  const { rows } = await pool.query<Venue & { version: string }>({
    name: 'venue',
    text: `SELECT v.id, v.name, v.location, v.region, v.aliases, v.notes, v.removed, v.provenance, v.overrides, v.version,
       v.soundtrack_account_id AS "soundtrackAccount", v.soundtrack_location_id AS "soundtrackLocation",
       v.zone_count AS "zoneCount", v.subscription_status AS "subscriptionStatus", v.last_issue_date AS "lastIssueDate",
       v.priority_level AS "priorityLevel", v.sla_tier AS "slaTier", v.volume_cap AS "volumeCap", v.updated_at AS "updatedAt",
       json_build_object('name', contact_name, 'email', contact_email, 'phone', contact_phone, 'position', contact_position) AS contact,
       (SELECT coalesce(json_agg(z ORDER BY z.name, z.id), '[]') FROM (
         SELECT id, name, status, detail, lower(playback) = 'playing' AS playing, playback, volume, track, artist, source,
           ${isoSql('since')} AS since, ${isoSql('last_seen')} AS "lastSeen", ${isoSql('as_of')} AS "asOf"
         FROM zones WHERE venue_id = v.id) z) AS zones
     FROM venues v WHERE v.id = $1`,
    values: [id],
  })
  if (rows[0] === undefined) return null
  const { version, ...value } = rows[0]
  return { value, version: Number(version) }
}

function withoutPersons(venue: Venue): Venue {
  const { name, email, phone, position } = venue.contact
  const overrides = venue.overrides.map(({ by, reason, ...rest }) => ({
    ...rest,
    by: masked(by) ?? '',
    reason: masked(reason) ?? '',
  }))
  return {
    ...venue,
    overrides,
    notes: null,
    contact: { name: masked(name), email: masked(email), phone: masked(phone), position },
  }
}

/** @throws {Problem} `not_found` when there is none that the asker may see */
export async function requireVenue(pool: pg.Pool, principal: Principal, id: string): Promise<void> {
  const scope = visible(principal, 'v.id', 'v.id', 2)
  const { rowCount } = await pool.query({
    name: 'venue-seen',
    text: `SELECT 1 FROM venues v WHERE v.id = $1 AND ${scope.sql}`,
    values: [id, ...scope.values],
  })
  if (rowCount === 0) throw notFound(id)
}

/** @throws {Problem} `not_found` when it is none that the asker may see */
function requireSeen({ params, principal }: FastifyRequest, json: string | null): asserts json is string {
  const { id } = params as { id: string }
  const region = () => (principal.scope.regions === null ? null : (JSON.parse(json as string) as Venue).region)
  if (json === null || !sees(principal, id, id, region())) throw notFound(id)
}

function notFound(id: string): Problem {
  return new Problem('not_found', `no venue with the id "${id}"`)
}

/** Reads venues, and decides who sees them. */
import type { FastifyRequest } from 'fastify'
import type pg from 'pg'
import { VENUE_FIELDS } from '../../domain/venue-fields.ts'
import { SHOWN_FIELDS } from '../../views/views.ts'
import { canSee, type Principal } from '../access/principal.ts'
import { visible } from '../access/scope-sql.ts'
import { masked } from '../masks.ts'
import { Problem } from '../problem.ts'
import { isoSql } from '../schemas.ts'
import type { Venue } from './venue-schemas.ts'

const FIELDS = SHOWN_FIELDS.map(field => `v.${VENUE_FIELDS[field].column} AS "${field}"`).join(', ')

/** A venue with its zones, and the version of its row; null if there is none. */
export async function loadVenue(pool: pg.Pool, id: string): Promise<{ value: Venue; version: number } | null> {
  const { rows } = await pool.query<Venue & { version: string }>({
    name: 'venue',
    text: `SELECT v.id, v.region, v.removed, v.provenance, v.overrides, v.version, v.updated_at AS "updatedAt", ${FIELDS},
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

/** A copy with personal data masked. */
export function withoutPersonalData(venue: Venue): Venue {
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

/** @throws {Problem} `not_found` if there is none that the principal sees */
export async function requireVenue(pool: pg.Pool, principal: Principal, id: string): Promise<void> {
  const scope = visible(principal, 'v.id', 'v.id', 2)
  const { rowCount } = await pool.query({
    name: 'venue-seen',
    text: `SELECT 1 FROM venues v WHERE v.id = $1 AND ${scope.sql}`,
    values: [id, ...scope.values],
  })
  if (rowCount === 0) throw notFound(id)
}

/** @throws {Problem} `not_found` unless the principal sees this venue */
export function requireVisible({ params, principal }: FastifyRequest, json: string | null): asserts json is string {
  const { id } = params as { id: string }
  const region = () => (principal.scope.regions === null ? null : (JSON.parse(json as string) as Venue).region)
  if (json === null || !canSee(principal, id, id, region())) throw notFound(id)
}

function notFound(id: string): Problem {
  return new Problem('not_found', `no venue with the id "${id}"`)
}

/** Overrides: fields of a venue that are forced to a value, whatever its sources say. */
import type { FastifyReply, FastifyRequest } from 'fastify'
import type pg from 'pg'
import { Type } from 'typebox'
import { VENUE_FIELDS, type VenueFieldName } from '../../domain/venue-fields.ts'
import { venueInbox } from '../../topics/catalog.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { isInstallationWide, permission } from '../access/principal.ts'
import { WriteHeaders, written } from '../command-schemas.ts'
import type { Commands } from '../commands.ts'
import { noCache, type ReadThrough } from '../../cache/read-through.ts'
import { Problem } from '../problem.ts'
import { IdParams } from '../schemas.ts'
import type { Api } from '../types.ts'
import { claimValue } from './override-claims.ts'
import { requireVenue } from './venue-reader.ts'
import { VENUE } from './venues.ts'

const OVERRIDE = permission('venues:override', ['admin', 'agent'])
export const permissions = { OVERRIDE }

/** Fields that decide whose music plays or who is trusted: forcing them requires an installation-wide scope. */
const INSTALLATION_WIDE: ReadonlySet<string> = new Set(['soundtrackAccount', 'soundtrackLocation', 'contactPhone'])

export interface Context {
  readonly pool: pg.Pool
  readonly commands: Commands
  readonly hot?: ReadThrough | null
  readonly fingerprint: Fingerprint
}

export function routes(app: Api, { pool, commands, fingerprint, hot: cache }: Context): void {
  const hot = cache ?? noCache
  const FieldParams = Type.Object({ ...IdParams.properties, field: Type.String({ pattern: '^[A-Za-z]{1,40}$' }) })

  app.put(
    '/venues/:id/overrides/:field',
    {
      config: { permission: OVERRIDE, personal: true, action: 'venues.override' },
      schema: {
        summary: 'Force a field of a venue to a value, whatever its sources say',
        params: FieldParams,
        headers: WriteHeaders,
        body: Type.Object(
          {
            value: Type.Any({ description: "Of the field's type" }),
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
      config: { permission: OVERRIDE, personal: true, action: 'venues.takeBackOverride' },
      schema: {
        summary: 'Remove an override: the field shows the value of its sources again',
        params: FieldParams,
        headers: WriteHeaders,
        response: written,
      },
    },
    async (request, reply) =>
      override(request, reply, request.params.id, { field: request.params.field, value: null, reason: '' }),
  )

  async function override(
    request: FastifyRequest,
    reply: FastifyReply,
    venue: string,
    change: { field: string; value: string | null; reason: string },
  ) {
    const { principal } = request
    await requireVenue(pool, principal, venue)
    const { field, value } = change
    const column = Object.hasOwn(VENUE_FIELDS, field) ? VENUE_FIELDS[field as VenueFieldName].column : undefined
    const before = column === undefined ? undefined : await fieldOf(pool, venue, column)
    Object.assign(request.audited, {
      object: venue,
      before: `${field} ${fingerprint(before)}`,
      after: value === null ? `${field} taken back` : `${field} ${fingerprint(JSON.parse(value))}`,
    })
    if (INSTALLATION_WIDE.has(field) && !isInstallationWide(principal)) {
      throw new Problem(
        'forbidden',
        `${field} decides whose music plays or who is trusted: forcing it requires an installation-wide scope`,
      )
    }
    const held = value === null ? null : await claimValue(pool, venue, field, value)
    await hot.invalidate('venue', venue)
    const by = principal.id
    let known = false
    try {
      const sent = await commands.submit(request, reply, {
        target: VENUE.name,
        object: venue,
        topic: venueInbox,
        key: venue,
        type: 'VenueOverride',
        record: (id, at) => ({ id, by, at, ...change }),
      })
      known = reply.statusCode !== 202
      return sent
    } catch (error) {
      known = error instanceof Problem && error.code === 'command_refused'
      throw error
    } finally {
      if (known) await held?.release()
    }
  }
}

async function fieldOf(pool: pg.Pool, venue: string, column: string): Promise<unknown> {
  const { rows } = await pool.query<{ value: unknown }>(`SELECT to_jsonb(${column}) AS value FROM venues WHERE id = $1`, [venue])
  return rows[0]?.value
}

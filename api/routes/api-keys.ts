/** Keys for programs, of the tenant of whoever asks. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { Problem } from '../problem.ts'
import { IdParams, oneOf, Text, Time, TimeOrNull } from '../schemas.ts'
import type { Api } from '../types.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import type { Identities } from '../access/identities.ts'
import { makeKey } from '../access/keys.ts'
import { nameOf, ROLES, scopeValues, withinSql } from '../access/principal.ts'
import { grant, lower, Names } from './users.ts'

const key = {
  id: Text,
  name: Text,
  role: oneOf(...ROLES),
  regions: Names,
  venues: Names,
  createdBy: Text,
  createdAt: Time,
  expiresAt: TimeOrNull,
  revokedAt: TimeOrNull,
  lastUsedAt: TimeOrNull,
}
const ApiKey = Type.Object(key)
type ApiKey = Static<typeof ApiKey>

const NewKey = Type.Object(
  {
    name: Type.String({ minLength: 1, maxLength: 200, description: 'what it is for' }),
    role: oneOf(...ROLES),
    regions: Type.Optional(Names),
    venues: Type.Optional(Names),
    days: Type.Integer({ minimum: 1, maximum: 730, default: 365, description: 'how long it is good' }),
  },
  { additionalProperties: false },
)

const COLUMNS = `id, name, role, regions, venues, created_by AS "createdBy", created_at AS "createdAt", expires_at AS "expiresAt",
  revoked_at AS "revokedAt", last_used_at AS "lastUsedAt"`

interface Context {
  readonly pool: pg.Pool
  readonly identities: Identities
  readonly fingerprint: Fingerprint
}

export function keyRoutes(app: Api, { pool, identities, fingerprint: digest }: Context): void {
  app.get(
    '/api-keys',
    {
      config: { permission: 'people:read', personal: true },
      schema: {
        summary: 'API keys of a scope within your own, by id; without their secrets, which are not kept',
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(ApiKey) },
      },
    },
    async ({ query: { limit, cursor }, principal }) => {
      const [id] = after('api-keys', cursor, 'text')
      const { rows } = await pool.query<ApiKey>(
        `SELECT ${COLUMNS} FROM api_keys WHERE ${withinSql(1)} AND ($4::text IS NULL OR id > $4) ORDER BY id LIMIT $5`,
        [...scopeValues(principal), id, limit + 1],
      )
      return page('api-keys', rows, limit, row => [row.id, row.id])
    },
  )

  app.post(
    '/api-keys',
    {
      config: { permission: 'people:write', personal: true },
      schema: {
        summary: 'Make an API key; it is shown this once, and ends with whoever made it, or with the key that did',
        headers: Type.Object({
          'idempotency-key': Type.Optional(
            Type.String({ pattern: '^[\\x21-\\x7e]{1,200}$', description: 'under the same one no other key is made' }),
          ),
        }),
        body: NewKey,
        response: { 201: Type.Object({ ...key, key: Type.String({ description: 'to be sent as a bearer token' }) }) },
      },
    },
    async ({ body, headers, principal, audited }, reply) => {
      const granted = { role: body.role, regions: lower(body.regions), venues: body.venues ?? null }
      grant(principal, granted)
      if (principal.kind === 'user' && principal.account == null)
        throw new Problem(
          'forbidden',
          'a key ends with the account of its maker, and you have none here: ask an admin to add you',
        )
      const once = headers['idempotency-key']
      const made = makeKey(once === undefined ? undefined : `${nameOf(principal)}\n${once}`)
      const { rows } = await pool.query<ApiKey>(
        `INSERT INTO api_keys (id, hash, tenant, name, role, regions, venues, created_by, owner, made_with, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, least(now() + make_interval(days => $11),
           (SELECT expires_at FROM api_keys WHERE id = $10))) ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
        [
          made.id,
          made.hash,
          principal.scope.tenant,
          body.name,
          granted.role,
          granted.regions,
          granted.venues,
          principal.id,
          principal.account ?? null,
          principal.kind === 'key' ? principal.id : null,
          body.days,
        ],
      )
      const [row] = rows
      if (row === undefined)
        throw new Problem(
          'conflict',
          `the key ${made.id} was made under this Idempotency-Key; if it was not read, revoke it first`,
        )
      Object.assign(audited, { object: made.id, after: digest(row) })
      return reply.code(201).send({ ...row, key: made.key })
    },
  )

  app.delete(
    '/api-keys/:id',
    {
      config: { permission: 'people:write', personal: true },
      schema: {
        summary: 'Revoke an API key, and those that were made with it',
        params: IdParams,
        response: { 204: Type.Unsafe<undefined>({ type: 'null', description: 'revoked' }) },
      },
    },
    async ({ params: { id }, principal, audited }, reply) => {
      const { rows } = await pool.query<{ id: string }>(
        `WITH RECURSIVE ending AS (
           SELECT id FROM api_keys WHERE ${withinSql(1)} AND id = $4
           UNION SELECT k.id FROM api_keys k JOIN ending e ON k.made_with = e.id
         )
         UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE id IN (SELECT id FROM ending) RETURNING id`,
        [...scopeValues(principal), id],
      )
      if (rows.length === 0) throw new Problem('not_found', `no API key with the id "${id}"`)
      Object.assign(audited, { object: id, after: `revoked ${rows.map(row => row.id).join(', ')}`.slice(0, 500) })
      await identities.changed()
      return reply.code(204).send(undefined)
    },
  )
}

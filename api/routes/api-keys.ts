/** API keys of the requester's tenant. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import type { Fingerprint } from '../access/fingerprint.ts'
import { addGrantList, grantable, granted, grantOf } from '../access/grants.ts'
import type { Identities } from '../access/identities.ts'
import { makeKey } from '../access/keys.ts'
import { principalKey } from '../access/principal.ts'
import { scopeValues, withinScopeSql } from '../access/scope-sql.ts'
import { IdempotencyKey } from '../command-schemas.ts'
import { Problem } from '../problem.ts'
import { IdParams, Text, Time, TimeOrNull } from '../schemas.ts'
import type { Api } from '../types.ts'
import { permissions as people } from './users.ts'

const { READ, WRITE } = people

const key = {
  id: Text,
  name: Text,
  ...granted,
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
    name: Type.String({ minLength: 1, maxLength: 200, description: 'What the key is for' }),
    ...grantable,
    days: Type.Integer({ minimum: 1, maximum: 730, default: 365, description: 'How long it is valid' }),
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

export function routes(app: Api, { pool, identities, fingerprint: digest }: Context): void {
  addGrantList(app, pool, {
    path: '/api-keys',
    summary: 'API keys whose scope lies within your own, by id; their secrets are not stored',
    permission: READ,
    table: 'api_keys',
    columns: COLUMNS,
    item: ApiKey,
  })

  app.post(
    '/api-keys',
    {
      config: { permission: WRITE, personal: true },
      schema: {
        summary: 'Create an API key. It is shown only once, and ends with the account or the key that created it',
        headers: Type.Object({
          'idempotency-key': IdempotencyKey('A repeated request with the same key creates no other API key'),
        }),
        body: NewKey,
        response: { 201: Type.Object({ ...key, key: Type.String({ description: 'Send it as a bearer token' }) }) },
      },
    },
    async ({ body, headers, principal, audited }, reply) => {
      const { role, regions, venues } = grantOf(principal, body)
      if (principal.kind === 'user' && principal.account == null)
        throw new Problem(
          'forbidden',
          'a key ends with the account that created it, and you have no account here: ask an admin to add you',
        )
      const once = headers['idempotency-key']
      const made = makeKey(once === undefined ? undefined : `${principalKey(principal)}\n${once}`)
      const { rows } = await pool.query<ApiKey>(
        `INSERT INTO api_keys (id, hash, tenant, name, role, regions, venues, created_by, owner, made_with, expires_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, least(now() + make_interval(days => $11),
           (SELECT expires_at FROM api_keys WHERE id = $10))) ON CONFLICT DO NOTHING RETURNING ${COLUMNS}`,
        [
          made.id,
          made.hash,
          principal.scope.tenant,
          body.name,
          role,
          regions,
          venues,
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
          `the key ${made.id} was created with this Idempotency-Key; if you do not have it, revoke it first`,
        )
      Object.assign(audited, { object: made.id, after: digest(row) })
      return reply.code(201).send({ ...row, key: made.key })
    },
  )

  app.delete(
    '/api-keys/:id',
    {
      config: { permission: WRITE, personal: true },
      schema: {
        summary: 'Revoke an API key and those created with it',
        params: IdParams,
        response: { 204: Type.Unsafe<undefined>({ type: 'null', description: 'Revoked' }) },
      },
    },
    async ({ params: { id }, principal, audited }, reply) => {
      const { rows } = await pool.query<{ id: string }>(
        `WITH RECURSIVE ending AS (
           SELECT id FROM api_keys WHERE ${withinScopeSql(1)} AND id = $4
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

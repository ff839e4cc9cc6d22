/** Users of the requester's tenant. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { Type } from 'typebox'
import type { Fingerprint } from '../access/fingerprint.ts'
import { addGrantList, grantable, grantOf } from '../access/grants.ts'
import type { Identities } from '../access/identities.ts'
import { hashPassword, NewPassword } from '../access/passwords.ts'
import { permission } from '../access/principal.ts'
import { scopeValues, withinScopeSql } from '../access/scope-sql.ts'
import {
  assertMayBind,
  assertMayChange,
  describeChange,
  lockWithAdmins,
  revokeKeys,
  USER_COLUMNS,
  User,
  UserChange,
  UserName,
  withChange,
} from '../access/user-changes.ts'
import { Problem } from '../problem.ts'
import { IdParams } from '../schemas.ts'
import type { Api } from '../types.ts'

const READ = permission('people:read', ['admin'])
const WRITE = permission('people:write', ['admin'])
/** Of users and of API keys. */
export const permissions = { READ, WRITE }

const NewUser = Type.Object(
  {
    id: Type.Optional(
      Type.String({
        pattern: '^[\\x21-\\x7e]{1,200}$',
        description: "Subject of the user's tokens of the CRM, if there are any",
      }),
    ),
    email: Type.String({ minLength: 3, maxLength: 320, pattern: '^[^\\s@]+@[^\\s@]+$' }),
    name: UserName,
    ...grantable,
    password: Type.Optional(NewPassword),
  },
  { additionalProperties: false },
)

interface Context {
  readonly pool: pg.Pool
  readonly identities: Identities
  readonly fingerprint: Fingerprint
}

export function routes(app: Api, { pool, identities, fingerprint: digest }: Context): void {
  addGrantList(app, pool, {
    path: '/users',
    summary: 'Users whose scope lies within your own, by id',
    permission: READ,
    table: 'users',
    columns: USER_COLUMNS,
    item: User,
  })

  app.get(
    '/users/:id',
    {
      config: { permission: READ, personal: true },
      schema: { summary: 'A user', params: IdParams, response: { 200: User } },
    },
    async ({ params: { id }, principal, audited }) => {
      const { rows } = await pool.query<User>(`SELECT ${USER_COLUMNS} FROM users WHERE ${withinScopeSql(1)} AND id = $4`, [
        ...scopeValues(principal),
        id,
      ])
      if (rows[0] === undefined) throw notFound(id)
      audited.object = id
      return rows[0]
    },
  )

  app.post(
    '/users',
    {
      config: { permission: WRITE, personal: true },
      schema: { summary: 'Add a user', body: NewUser, response: { 201: User } },
    },
    async ({ body, principal, audited }, reply) => {
      const { tenant } = principal.scope
      const { email, name, password } = body
      if (body.id !== undefined) assertMayBind(principal, body.id)
      const { id = `${tenant}:${randomBytes(9).toString('hex')}` } = body
      const { role, regions, venues } = grantOf(principal, body)
      const hash = password === undefined ? null : await hashPassword(password)
      const { rows } = await pool
        .query<User>(
          `INSERT INTO users (id, tenant, email, name, role, regions, venues, password_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           RETURNING ${USER_COLUMNS}`,
          [id, tenant, email, name, role, regions, venues, hash],
        )
        .catch(error => {
          throw isTaken(error) ? new Problem('conflict', 'there is a user with this id or e-mail address') : error
        })
      const user = rows[0] as User
      Object.assign(audited, { object: id, after: digest(user) })
      await identities.changed()
      return reply.code(201).send(user)
    },
  )

  app.patch(
    '/users/:id',
    {
      config: { permission: WRITE, personal: true },
      schema: {
        summary: 'Change a user; a new password ends their sessions, disabling them ends their sessions and keys',
        params: IdParams,
        body: UserChange,
        response: { 200: User },
      },
    },
    async ({ params: { id }, body, principal, audited }) => {
      if (body.password !== undefined && principal.account === id)
        throw new Problem('forbidden', 'change your own password with the current one: POST /api/v1/me/password')
      const hash = body.password === undefined ? null : await hashPassword(body.password)
      const { before, after } = await transaction(pool, async client => {
        const rows = await lockWithAdmins(client, principal.scope.tenant, id)
        const before = rows.find(row => row.id === id)
        if (before === undefined) throw notFound(id)
        const changed = withChange(before, body)
        assertMayChange(principal, before, changed, rows)
        const { rows: updated } = await client.query<User>(
          `UPDATE users SET name = $2, role = $3, regions = $4, venues = $5, disabled = $6,
             password_hash = coalesce($7, password_hash), updated_at = now(),
             tokens_from = CASE WHEN $8 THEN clock_timestamp() + interval '1 millisecond' ELSE tokens_from END
           WHERE id = $1 AND tenant = $9 RETURNING ${USER_COLUMNS}`,
          [
            id,
            changed.name,
            changed.role,
            changed.regions,
            changed.venues,
            changed.disabled,
            hash,
            hash !== null || (changed.disabled && !before.disabled),
            principal.scope.tenant,
          ],
        )
        if (changed.disabled) await revokeKeys(client, principal.scope.tenant, id)
        return { before, after: updated[0] as User }
      })
      Object.assign(audited, { object: id, before: digest(before), after: describeChange(before, after, body, digest) })
      await identities.changed()
      return after
    },
  )

  app.delete(
    '/users/:id',
    {
      config: { permission: WRITE, personal: true },
      schema: {
        summary: 'Remove a user and end their sessions and keys; a user of the CRM then has the rights that its tokens claim',
        params: IdParams,
        response: { 204: Type.Unsafe<undefined>({ type: 'null', description: 'Removed' }) },
      },
    },
    async ({ params: { id }, principal, audited }, reply) => {
      if (principal.account === id) throw new Problem('forbidden', 'you cannot remove yourself: ask another admin')
      const { tenant } = principal.scope
      const before = await transaction(pool, async client => {
        const rows = await lockWithAdmins(client, tenant, id)
        const before = rows.find(row => row.id === id)
        if (before === undefined) throw notFound(id)
        assertMayChange(principal, before, { ...before, disabled: true }, rows)
        await revokeKeys(client, tenant, id)
        await client.query('DELETE FROM users WHERE tenant = $1 AND id = $2', [tenant, id])
        return before
      })
      Object.assign(audited, { object: id, before: digest(before), after: 'removed' })
      await identities.changed()
      return reply.code(204).send(undefined)
    },
  )
}

function notFound(id: string): Problem {
  return new Problem('not_found', `no user with the id "${id}"`)
}

/** Whether a unique index refused the row. */
function isTaken(error: unknown): boolean {
  return error instanceof pg.DatabaseError && error.code === '23505'
}

async function transaction<T>(pool: pg.Pool, run: (client: pg.PoolClient) => Promise<T>): Promise<T> {
  const client = await pool.connect()
  try {
    await client.query('BEGIN')
    const result = await run(client)
    await client.query('COMMIT')
    client.release()
    return result
  } catch (error) {
    // A connection that cannot even roll back is closed.
    await client.query('ROLLBACK').then(
      () => client.release(),
      () => client.release(true),
    )
    throw error
  }
}

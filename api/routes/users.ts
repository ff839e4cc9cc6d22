/** The people who may use the API, of the tenant of whoever asks. */
import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { type Static, Type } from 'typebox'
import { after, ListQuery, listOf, page } from '../lists.ts'
import { Problem } from '../problem.ts'
import { IdParams, oneOf, Text, Time } from '../schemas.ts'
import type { Api } from '../types.ts'
import type { Fingerprint } from '../access/fingerprint.ts'
import { type Identities, isGivenHere, isScoped } from '../access/identities.ts'
import { hashPassword, NewPassword } from '../access/passwords.ts'
import { type Principal, ROLES, type Role, scopeValues, within, withinSql } from '../access/principal.ts'

export const Names = Type.Unsafe<string[] | null>({
  type: ['null', 'array'],
  items: { type: 'string', minLength: 1, maxLength: 200, pattern: '\\S' },
  maxItems: 1_000,
  description: 'null for all of them',
})

const User = Type.Object({
  id: Text,
  email: Text,
  name: Text,
  role: oneOf(...ROLES),
  regions: Names,
  venues: Names,
  disabled: Type.Boolean(),
  hasPassword: Type.Boolean({ description: 'false for those who come with a token of the CRM' }),
  createdAt: Time,
  updatedAt: Time,
})
type User = Static<typeof User>

const Email = Type.String({ minLength: 3, maxLength: 320, pattern: '^[^\\s@]+@[^\\s@]+$' })
const Name = Type.String({ minLength: 1, maxLength: 200 })

const NewUser = Type.Object(
  {
    id: Type.Optional(
      Type.String({ pattern: '^[\\x21-\\x7e]{1,200}$', description: 'subject of their tokens of the CRM, where they have such' }),
    ),
    email: Email,
    name: Name,
    role: oneOf(...ROLES),
    regions: Type.Optional(Names),
    venues: Type.Optional(Names),
    password: Type.Optional(NewPassword),
  },
  { additionalProperties: false },
)

const Change = Type.Object(
  {
    name: Type.Optional(Name),
    role: Type.Optional(oneOf(...ROLES)),
    regions: Type.Optional(Names),
    venues: Type.Optional(Names),
    disabled: Type.Optional(Type.Boolean()),
    password: Type.Optional(NewPassword),
  },
  { additionalProperties: false, minProperties: 1 },
)

const COLUMNS = `id, email, name, role, regions, venues, disabled, password_hash IS NOT NULL AS "hasPassword",
  created_at AS "createdAt", updated_at AS "updatedAt"`

interface Context {
  readonly pool: pg.Pool
  readonly identities: Identities
  readonly fingerprint: Fingerprint
}

export function userRoutes(app: Api, { pool, identities, fingerprint: digest }: Context): void {
  app.get(
    '/users',
    {
      config: { permission: 'people:read', personal: true },
      schema: {
        summary: 'Users of a scope within your own, by id',
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(User) },
      },
    },
    async ({ query: { limit, cursor }, principal }) => {
      const [id] = after('users', cursor, 'text')
      const { rows } = await pool.query<User>(
        `SELECT ${COLUMNS} FROM users WHERE ${withinSql(1)} AND ($4::text IS NULL OR id > $4) ORDER BY id LIMIT $5`,
        [...scopeValues(principal), id, limit + 1],
      )
      return page('users', rows, limit, row => [row.id, row.id])
    },
  )

  app.get(
    '/users/:id',
    {
      config: { permission: 'people:read', personal: true },
      schema: { summary: 'A user', params: IdParams, response: { 200: User } },
    },
    async ({ params: { id }, principal, audited }) => {
      const { rows } = await pool.query<User>(`SELECT ${COLUMNS} FROM users WHERE ${withinSql(1)} AND id = $4`, [
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
      config: { permission: 'people:write', personal: true },
      schema: { summary: 'Add a user', body: NewUser, response: { 201: User } },
    },
    async ({ body, principal, audited }, reply) => {
      const { tenant } = principal.scope
      const { email, name, role, password } = body
      if (body.id !== undefined) refuseId(principal, body.id)
      const { id = `${tenant}:${randomBytes(9).toString('hex')}` } = body
      const granted = { role, regions: lower(body.regions), venues: body.venues ?? null }
      grant(principal, granted)
      const hash = password === undefined ? null : await hashPassword(password)
      const { rows } = await pool
        .query<User>(
          `INSERT INTO users (id, tenant, email, name, role, regions, venues, password_hash) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
           RETURNING ${COLUMNS}`,
          [id, tenant, email, name, role, granted.regions, granted.venues, hash],
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
      config: { permission: 'people:write', personal: true },
      schema: {
        summary: 'Change a user; a new password, or disabling them, ends their sessions, and disabling them their keys',
        params: IdParams,
        body: Change,
        response: { 200: User },
      },
    },
    async ({ params: { id }, body, principal, audited }) => {
      if (body.password !== undefined && principal.account === id)
        throw new Problem('forbidden', 'your own password is changed with the present one: POST /api/v1/me/password')
      const hash = body.password === undefined ? null : await hashPassword(body.password)
      const { before, after } = await transaction(pool, async client => {
        const rows = await lockAdminsAnd(client, principal.scope.tenant, id)
        const before = rows.find(row => row.id === id)
        if (before === undefined) throw notFound(id)
        const changed = changedBy(before, body)
        refuseChange(principal, before, changed, rows)
        const { rows: updated } = await client.query<User>(
          `UPDATE users SET name = $2, role = $3, regions = $4, venues = $5, disabled = $6,
             password_hash = coalesce($7, password_hash), updated_at = now(),
             tokens_from = CASE WHEN $8 THEN clock_timestamp() + interval '1 millisecond' ELSE tokens_from END
           WHERE id = $1 AND tenant = $9 RETURNING ${COLUMNS}`,
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
        if (changed.disabled) await endKeys(client, principal.scope.tenant, id)
        return { before, after: updated[0] as User }
      })
      Object.assign(audited, { object: id, before: digest(before), after: changesOf(before, after, body, digest) })
      await identities.changed()
      return after
    },
  )

  app.delete(
    '/users/:id',
    {
      config: { permission: 'people:write', personal: true },
      schema: {
        summary: 'Remove a user, and end their sessions and keys; whom the CRM knows is again who its tokens say',
        params: IdParams,
        response: { 204: Type.Unsafe<undefined>({ type: 'null', description: 'removed' }) },
      },
    },
    async ({ params: { id }, principal, audited }, reply) => {
      if (principal.account === id) throw new Problem('forbidden', 'nobody removes themselves: ask another admin')
      const { tenant } = principal.scope
      const before = await transaction(pool, async client => {
        const rows = await lockAdminsAnd(client, tenant, id)
        const before = rows.find(row => row.id === id)
        if (before === undefined) throw notFound(id)
        refuseChange(principal, before, { ...before, disabled: true }, rows)
        await endKeys(client, tenant, id)
        await client.query('DELETE FROM users WHERE tenant = $1 AND id = $2', [tenant, id])
        return before
      })
      Object.assign(audited, { object: id, before: digest(before), after: 'removed' })
      await identities.changed()
      return reply.code(204).send(undefined)
    },
  )
}

/** All who could be the last admin are locked, in one order; and the user. */
async function lockAdminsAnd(client: pg.PoolClient, tenant: string, id: string): Promise<User[]> {
  const { rows } = await client.query<User>(
    `SELECT ${COLUMNS} FROM users WHERE tenant = $1 AND (id = $2 OR (role = 'admin' AND NOT disabled)) ORDER BY id FOR UPDATE`,
    [tenant, id],
  )
  return rows
}

/** The keys that somebody made, and those that were made with them. */
async function endKeys(client: pg.PoolClient, tenant: string, owner: string): Promise<void> {
  await client.query('UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant = $1 AND owner = $2', [
    tenant,
    owner,
  ])
}

/**
 * Whose account it is says the subject of the CRM's tokens: it becomes that person's for the whole tenant.
 * @throws {Problem} for an id that this principal may not bind to an account
 */
function refuseId(principal: Principal, id: string): void {
  const { regions, venues } = principal.scope
  if (regions !== null || venues !== null)
    throw new Problem('forbidden', 'only who sees all of the tenant says whose account it is: leave the id out')
  if (isGivenHere(id) || /^[a-z0-9][a-z0-9-]{0,49}:/.test(id))
    throw new Problem('conflict', `the id "${id}" is not one of the CRM's: ids of this form are given here`)
}

/** What became of the user, and which fields it was about. */
function changesOf(before: User, after: User, body: Static<typeof Change>, digest: Fingerprint): string {
  const differ = (Object.keys(body) as (keyof typeof body)[]).filter(
    field => field === 'password' || JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  )
  return `${digest(after)} (${differ.join(', ') || 'nothing changed'})`
}

function changedBy(user: User, { name, role, regions, venues, disabled }: Static<typeof Change>): User {
  return {
    ...user,
    name: name ?? user.name,
    role: role ?? user.role,
    regions: regions === undefined ? user.regions : lower(regions),
    venues: venues === undefined ? user.venues : venues,
    disabled: disabled ?? user.disabled,
  }
}

/** @throws {Problem} for a change that this principal may not make. @param admins those who are so now, and the user */
function refuseChange(principal: Principal, before: User, changed: User, admins: readonly User[]): void {
  const rights = ({ role, regions, venues, disabled }: User) => JSON.stringify([role, regions, venues, disabled])
  if (principal.account === before.id && rights(before) !== rights(changed)) {
    throw new Problem('forbidden', 'nobody changes their own role, scope or state: ask another admin')
  }
  grant(principal, before)
  grant(principal, changed)
  const isAdmin = ({ role, disabled }: User) => role === 'admin' && !disabled
  const others = admins.filter(user => user.id !== before.id && isAdmin(user))
  if (isAdmin(before) && !isAdmin(changed) && others.length === 0) {
    throw new Problem('conflict', 'this is the last admin: make another one first')
  }
}

/** @throws {Problem} when more would be granted than the principal has, or staff would see all of a tenant. */
export function grant(principal: Principal, granted: { role: Role; regions: string[] | null; venues: string[] | null }): void {
  const { regions, venues } = granted
  if (!within(principal.scope, { tenant: principal.scope.tenant, regions, venues })) {
    throw new Problem('forbidden', 'nobody grants more regions or venues than they have themselves')
  }
  if (!isScoped(granted.role, granted)) throw new Problem('invalid_request', 'staff need "venues" or "regions"')
}

/** Regions of venues are in lower case. */
export function lower(names: string[] | null | undefined): string[] | null {
  return names?.map(name => name.trim().toLowerCase()) ?? null
}

function notFound(id: string): Problem {
  return new Problem('not_found', `no user with the id "${id}"`)
}

/** A unique index has it already. */
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
    // A connection on which not even that works is thrown away.
    await client.query('ROLLBACK').then(
      () => client.release(),
      () => client.release(true),
    )
    throw error
  }
}

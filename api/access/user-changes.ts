/** Changes of users: which ones are allowed, and what they end. */
import type pg from 'pg'
import { type Static, Type } from 'typebox'
import { Problem } from '../problem.ts'
import { oneOf, Text, Time } from '../schemas.ts'
import type { Fingerprint } from './fingerprint.ts'
import { assertMayGrant, granted, lowerCase, Names } from './grants.ts'
import { isLocalId } from './identities.ts'
import { NewPassword } from './passwords.ts'
import { type Principal, ROLES } from './principal.ts'

export const User = Type.Object({
  id: Text,
  email: Text,
  name: Text,
  ...granted,
  disabled: Type.Boolean(),
  hasPassword: Type.Boolean({ description: "False for those who sign in with the CRM's tokens" }),
  createdAt: Time,
  updatedAt: Time,
})
export type User = Static<typeof User>

export const UserName = Type.String({ minLength: 1, maxLength: 200 })

export const UserChange = Type.Object(
  {
    name: Type.Optional(UserName),
    role: Type.Optional(oneOf(...ROLES)),
    regions: Type.Optional(Names),
    venues: Type.Optional(Names),
    disabled: Type.Optional(Type.Boolean()),
    password: Type.Optional(NewPassword),
  },
  { additionalProperties: false, minProperties: 1 },
)
export type UserChange = Static<typeof UserChange>

export const USER_COLUMNS = `id, email, name, role, regions, venues, disabled, password_hash IS NOT NULL AS "hasPassword",
  created_at AS "createdAt", updated_at AS "updatedAt"`

/** Reads and locks the user and all active admins, in a fixed order, so that the last admin cannot be removed concurrently. */
export async function lockWithAdmins(client: pg.PoolClient, tenant: string, id: string): Promise<User[]> {
  const { rows } = await client.query<User>(
    `SELECT ${USER_COLUMNS} FROM users WHERE tenant = $1 AND (id = $2 OR (role = 'admin' AND NOT disabled)) ORDER BY id FOR UPDATE`,
    [tenant, id],
  )
  return rows
}

/** Revokes the keys that a user created, and those created with them. */
export async function revokeKeys(client: pg.PoolClient, tenant: string, owner: string): Promise<void> {
  await client.query('UPDATE api_keys SET revoked_at = coalesce(revoked_at, now()) WHERE tenant = $1 AND owner = $2', [
    tenant,
    owner,
  ])
}

/**
 * An id given with a new user is the subject of the CRM's tokens: that person becomes this user for the whole tenant.
 * @throws {Problem} for an id that this principal may not bind to an account
 */
export function assertMayBind(principal: Principal, id: string): void {
  const { regions, venues } = principal.scope
  if (regions !== null || venues !== null)
    throw new Problem('forbidden', 'choosing the id of an account requires a scope over the whole tenant: leave the id out')
  if (isLocalId(id) || /^[a-z0-9][a-z0-9-]{0,49}:/.test(id))
    throw new Problem('conflict', `the id "${id}" cannot be a subject of the CRM: ids of this form are assigned here`)
}

/** @param admins the active admins before the change. @throws {Problem} for a change that this principal may not make */
export function assertMayChange(principal: Principal, before: User, changed: User, admins: readonly User[]): void {
  const rights = ({ role, regions, venues, disabled }: User) => JSON.stringify([role, regions, venues, disabled])
  if (principal.account === before.id && rights(before) !== rights(changed)) {
    throw new Problem('forbidden', 'you cannot change your own role, scope or state: ask another admin')
  }
  assertMayGrant(principal, before)
  assertMayGrant(principal, changed)
  const isAdmin = ({ role, disabled }: User) => role === 'admin' && !disabled
  const others = admins.filter(user => user.id !== before.id && isAdmin(user))
  if (isAdmin(before) && !isAdmin(changed) && others.length === 0) {
    throw new Problem('conflict', 'this is the last admin: add another one first')
  }
}

export function withChange(user: User, { name, role, regions, venues, disabled }: UserChange): User {
  return {
    ...user,
    name: name ?? user.name,
    role: role ?? user.role,
    regions: regions === undefined ? user.regions : lowerCase(regions),
    venues: venues === undefined ? user.venues : venues,
    disabled: disabled ?? user.disabled,
  }
}

/** The user after a change, and which fields it changed, for the audit trail. */
export function describeChange(before: User, after: User, change: UserChange, digest: Fingerprint): string {
  const changed = (Object.keys(change) as (keyof UserChange)[]).filter(
    field => field === 'password' || JSON.stringify(before[field]) !== JSON.stringify(after[field]),
  )
  return `${digest(after)} (${changed.join(', ') || 'nothing changed'})`
}

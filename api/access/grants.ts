/** Role and scope as users and API keys are granted them, and who may grant what. */
import type pg from 'pg'
import { type TSchema, Type } from 'typebox'
import { ListQuery, listOf, page, parseCursor } from '../lists.ts'
import { Problem } from '../problem.ts'
import { oneOf } from '../schemas.ts'
import type { Api } from '../types.ts'
import { isScoped } from './identities.ts'
import { isWithinScope, type Permission, type Principal, ROLES, type Role } from './principal.ts'
import { scopeValues, withinScopeSql } from './scope-sql.ts'

export const Names = Type.Unsafe<string[] | null>({
  type: ['null', 'array'],
  items: { type: 'string', minLength: 1, maxLength: 200, pattern: '\\S' },
  maxItems: 1_000,
  description: 'null for all',
})

/** Fields of a user or a key. */
export const granted = { role: oneOf(...ROLES), regions: Names, venues: Names }
/** Fields of a request that grants them. */
export const grantable = { role: oneOf(...ROLES), regions: Type.Optional(Names), venues: Type.Optional(Names) }

export interface Grant {
  readonly role: Role
  readonly regions: string[] | null
  readonly venues: string[] | null
}

/** What a request grants. @throws {Problem} `forbidden`, `invalid_request` if the principal may not grant it */
export function grantOf(
  principal: Principal,
  { role, regions, venues }: { role: Role; regions?: string[] | null; venues?: string[] | null },
): Grant {
  const grant = { role, regions: lowerCase(regions), venues: venues ?? null }
  assertMayGrant(principal, grant)
  return grant
}

/** @throws {Problem} if more would be granted than the principal has, or staff would not be limited to some venues */
export function assertMayGrant(principal: Principal, grant: Grant): void {
  const { regions, venues } = grant
  if (!isWithinScope(principal.scope, { tenant: principal.scope.tenant, regions, venues })) {
    throw new Problem('forbidden', 'you cannot grant more regions or venues than you have')
  }
  if (!isScoped(grant.role, grant)) throw new Problem('invalid_request', 'the role staff requires "venues" or "regions"')
}

/** Regions are stored in lower case. */
export function lowerCase(names: string[] | null | undefined): string[] | null {
  return names?.map(name => name.trim().toLowerCase()) ?? null
}

/** Adds the route that lists users or keys whose scope lies within the requester's, by id. */
export function addGrantList<T extends TSchema>(
  app: Api,
  pool: pg.Pool,
  list: {
    readonly path: string
    readonly summary: string
    readonly permission: Permission
    readonly table: string
    readonly columns: string
    readonly item: T
  },
): void {
  const { path, summary, permission, table, columns, item } = list
  const name = path.slice(1)
  app.get(
    path,
    {
      config: { permission, personal: true },
      schema: {
        summary,
        querystring: Type.Object(ListQuery, { additionalProperties: false }),
        response: { 200: listOf(item) },
      },
    },
    async ({ query: { limit, cursor }, principal }) => {
      const [id] = parseCursor(name, cursor, 'text')
      const { rows } = await pool.query<{ id: string }>(
        `SELECT ${columns} FROM ${table} WHERE ${withinScopeSql(1)} AND ($4::text IS NULL OR id > $4) ORDER BY id LIMIT $5`,
        [...scopeValues(principal), id, limit + 1],
      )
      return page(name, rows, limit, row => [row.id, row.id]) as never
    },
  )
}

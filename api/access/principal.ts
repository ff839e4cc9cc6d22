/** Who asks, what they may do, and of which venues. */
import type { LimitName } from './limits.ts'

export const ROLES = ['admin', 'agent', 'staff', 'analyst', 'ops'] as const
/** `staff` works at a venue; `agent` at support. */
export type Role = (typeof ROLES)[number]

/** Who may what. What is not here nobody may. */
export const PERMISSIONS = {
  'venues:read': ['admin', 'agent', 'staff', 'analyst', 'ops'],
  'venues:refresh': ['admin', 'agent', 'staff', 'ops'],
  'venues:override': ['admin', 'agent'],
  'conversations:read': ['admin', 'agent', 'staff'],
  'conversations:write': ['admin', 'agent'],
  'conversations:approve': ['admin', 'agent'],
  'alerts:read': ['admin', 'agent', 'staff', 'ops'],
  'issues:read': ['admin', 'agent', 'staff', 'ops'],
  'sync:read': ['admin', 'agent', 'ops'],
  'quarantine:read': ['admin', 'ops'],
  'quarantine:write': ['admin', 'ops'],
  'tasks:read': ['admin', 'ops'],
  'tasks:write': ['admin', 'ops'],
  'audit:read': ['admin'],
  'cache:flush': ['admin', 'ops'],
  'settings:read': ['admin', 'ops'],
  'people:read': ['admin'],
  'people:write': ['admin'],
  'persons:export': ['admin'],
  'persons:erase': ['admin'],
  'analytics:query': ['admin', 'analyst'],
  /** About oneself. */
  'self:read': ROLES,
  'self:write': ROLES,
} as const satisfies Readonly<Record<string, readonly Role[]>>
export type Permission = keyof typeof PERMISSIONS

/** Phones, e-mail addresses, names and what people wrote; others see them masked. */
const SEES_PERSONAL_DATA: readonly Role[] = ['admin', 'agent', 'staff']

/** What of a tenant somebody may see; null for all of it. */
export interface Scope {
  readonly tenant: string
  readonly regions: readonly string[] | null
  readonly venues: readonly string[] | null
}

export interface Principal {
  readonly id: string
  /** `token` is the installation's own, ADMIN_TOKEN. */
  readonly kind: 'user' | 'key' | 'token'
  readonly name: string
  readonly role: Role
  readonly scope: Scope
  /** The account here that it is, or whose key it is; null where there is none. */
  readonly account?: string | null
}

/** The id of the installation's own token, which nobody else has. */
export const ADMIN_ID = 'admin-token'

/** A name that nobody else has: ids are of a tenant, and keys, users and the installation's token have ids each of their own. */
export function nameOf({ kind, scope: { tenant }, id }: Principal): string {
  return `${kind}:${tenant}:${id}`
}

export function isRole(value: unknown): value is Role {
  return (ROLES as readonly unknown[]).includes(value)
}

/** The tenant of the installation itself: what belongs to no venue and no conversation is its. */
export const HOME_TENANT = 'main'

/** Whether somebody sees the whole installation: what is not told apart by venue is for them alone. */
export function seesEverything({ scope: { tenant, regions, venues } }: Principal): boolean {
  return tenant === HOME_TENANT && regions === null && venues === null
}

/** Whether a scope holds nothing that the other does not: nobody grants more than they have. */
export function within(outer: Scope, inner: Scope): boolean {
  const holds = (all: readonly string[] | null, some: readonly string[] | null) =>
    all === null || some?.every(one => all.includes(one)) === true
  return outer.tenant === inner.tenant && holds(outer.regions, inner.regions) && holds(outer.venues, inner.venues)
}

/**
 * The condition under which somebody may see a user or a key: its scope is within theirs.
 * @param first number of the first of its three parameters
 */
export function withinSql(first: number): string {
  const holds = (column: string, n: number) => `($${n}::text[] IS NULL OR ${column} <@ $${n}::text[])`
  return `(tenant = $${first}::text AND ${holds('regions', first + 1)} AND ${holds('venues', first + 2)})`
}

export function scopeValues({ scope: { tenant, regions, venues } }: Pick<Principal, 'scope'>): unknown[] {
  return [tenant, regions, venues]
}

export function may(principal: Principal, permission: Permission): boolean {
  return Object.hasOwn(PERMISSIONS, permission) && (PERMISSIONS[permission] as readonly Role[]).includes(principal.role)
}

export function seesPersonalData({ role }: Principal): boolean {
  return SEES_PERSONAL_DATA.includes(role)
}

/**
 * The condition under which somebody may see a row of a venue, for a WHERE. Rows without a venue are seen by those who see all of
 * their tenant.
 * @param venueId SQL of the venue's id, such as `c.venue_id`
 * @param id SQL of the row's own id, which begins with the tenant
 * @param first number of the first of its three parameters
 */
export function visible(
  { scope }: Pick<Principal, 'scope'>,
  venueId: string,
  id: string,
  first: number,
): { sql: string; values: unknown[] } {
  return { sql: visibleSql(venueId, id, first), values: scopeValues({ scope }) }
}

/** The SQL of `visible` alone. */
export function visibleSql(venueId: string, id: string, first: number): string {
  const [tenant, regions, venues] = [`$${first}::text`, `$${first + 1}::text[]`, `$${first + 2}::text[]`]
  return `(starts_with(${id}, ${tenant} || ':') AND (${venues} IS NULL OR ${venueId} = ANY(${venues}))
    AND (${regions} IS NULL OR ${venueId} IN (SELECT id FROM venues WHERE region = ANY(${regions}))))`
}

/**
 * Whether a row that has been read is visible: the same condition.
 * @param region of the row's venue, as it is now; null where there is none. Who is of no regions is not asked for it.
 */
export function sees(
  { scope: { tenant, regions, venues } }: Pick<Principal, 'scope'>,
  venueId: string | null,
  id: string,
  region: string | null,
): boolean {
  if (!id.startsWith(`${tenant}:`)) return false
  if (venues !== null && (venueId === null || !venues.includes(venueId))) return false
  return regions === null || (venueId !== null && region !== null && regions.includes(region))
}

declare module 'fastify' {
  interface FastifyContextConfig {
    /** Whether it is for those alone who see the whole installation. */
    whole?: true
    /** What one has to be allowed. A route under /api without it is refused at the start. */
    permission?: Permission
    /** Lets everybody in, without a token. */
    public?: true
    /** Whether it shows or changes personal data: then even reads are audited. */
    personal?: boolean
    /** Name of the operation for the audit, such as `conversations.reply`; otherwise made of method and path. */
    action?: string
    /** Whether it is kept from running while the audit trail takes nothing: otherwise by the method. */
    write?: boolean
    /** The rate limit that it counts towards, `other` where none is named. */
    limit?: LimitName | ((request: FastifyRequest) => LimitName)
  }
  interface FastifyRequest {
    /** Set for every request under /api and /clickhouse that got past the door. */
    principal: Principal
    /** For the audit: what the request was about; set by the route. `told` once what became of it is in the trail. */
    audited: { object?: string | null; command?: string | null; before?: string | null; after?: string | null; told?: boolean }
  }
}

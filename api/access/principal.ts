/** Who makes a request, what their role permits, and which venues they see. */

import { DEFAULT_TENANT } from '../../domain/tenants.ts'

export const ROLES = ['admin', 'agent', 'staff', 'analyst', 'ops'] as const
/** `staff` work at a venue, `agent`s in support. */
export type Role = (typeof ROLES)[number]

/** What a route requires. Declared beside the routes that require it; a role that is not listed does not have it. */
export interface Permission {
  readonly name: string
  readonly roles: readonly Role[]
}

/** @param name `<resource>:<verb>`, as `/api/v1/me` and the OpenAPI document show it */
export function permission(name: string, roles: readonly Role[]): Permission {
  return { name, roles }
}

/** Roles that see phone numbers, e-mail addresses, names and message texts; for the others they are masked. */
const SEES_PERSONAL_DATA: readonly Role[] = ['admin', 'agent', 'staff']

/** The part of a tenant that a principal sees; null means all of it. */
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
  /** The local account, or the account that owns the key; null if there is none. */
  readonly account?: string | null
}

/** The id of the installation's own token. It is reserved. */
export const ADMIN_ID = 'admin-token'

/** A unique name across tenants and kinds: a user and a key may have the same id. */
export function principalKey({ kind, scope: { tenant }, id }: Principal): string {
  return `${kind}:${tenant}:${id}`
}

export function isRole(value: unknown): value is Role {
  return (ROLES as readonly unknown[]).includes(value)
}

/** Whether the scope covers the whole installation, as resources that are not divided by venue require. */
export function isInstallationWide({ scope: { tenant, regions, venues } }: Principal): boolean {
  return tenant === DEFAULT_TENANT && regions === null && venues === null
}

/** Whether `inner` holds nothing that `outer` does not. Nobody may grant more than they have. */
export function isWithinScope(outer: Scope, inner: Scope): boolean {
  const holds = (all: readonly string[] | null, some: readonly string[] | null) =>
    all === null || some?.every(one => all.includes(one)) === true
  return outer.tenant === inner.tenant && holds(outer.regions, inner.regions) && holds(outer.venues, inner.venues)
}

export function hasPermission({ role }: Principal, { roles }: Permission): boolean {
  return roles.includes(role)
}

export function seesPersonalData({ role }: Principal): boolean {
  return SEES_PERSONAL_DATA.includes(role)
}

/**
 * Whether a row that was read is visible. The same condition as `visibleSql`.
 * @param region the current region of the row's venue, null if it has none; only needed for principals limited by regions
 */
export function canSee(
  { scope: { tenant, regions, venues } }: Pick<Principal, 'scope'>,
  venueId: string | null,
  id: string,
  region: string | null,
): boolean {
  if (!id.startsWith(`${tenant}:`)) return false
  if (venues !== null && (venueId === null || !venues.includes(venueId))) return false
  return regions === null || (venueId !== null && region !== null && regions.includes(region))
}

/** Scopes as conditions of a WHERE clause. Each takes three parameters: tenant, regions, venues. */
import type { Principal } from './principal.ts'

/** Values of the three parameters. */
export function scopeValues({ scope: { tenant, regions, venues } }: Pick<Principal, 'scope'>): unknown[] {
  return [tenant, regions, venues]
}

/**
 * The condition under which a user or an API key is visible: its scope lies within the principal's.
 * @param first number of the first of the three parameters
 */
export function withinScopeSql(first: number): string {
  const holds = (column: string, n: number) => `($${n}::text[] IS NULL OR ${column} <@ $${n}::text[])`
  return `(tenant = $${first}::text AND ${holds('regions', first + 1)} AND ${holds('venues', first + 2)})`
}

/**
 * The condition under which a row that belongs to a venue is visible, with its parameters' values. A row without a venue is visible
 * to those who see all of its tenant.
 * @param venueId SQL of the venue's id, such as `c.venue_id`
 * @param id SQL of the row's own id, which begins with the tenant
 * @param first number of the first of the three parameters
 */
export function visible(
  principal: Pick<Principal, 'scope'>,
  venueId: string,
  id: string,
  first: number,
): { sql: string; values: unknown[] } {
  return { sql: visibleSql(venueId, id, first), values: scopeValues(principal) }
}

/** The SQL of `visible` alone. */
export function visibleSql(venueId: string, id: string, first: number): string {
  const [tenant, regions, venues] = [`$${first}::text`, `$${first + 1}::text[]`, `$${first + 2}::text[]`]
  return `(starts_with(${id}, ${tenant} || ':') AND (${venues} IS NULL OR ${venueId} = ANY(${venues}))
    AND (${regions} IS NULL OR ${venueId} IN (SELECT id FROM venues WHERE region = ANY(${regions}))))`
}

/**
 * Merges several sources into one venue, field by field: a manual override always wins, then the owner of the field, then the newest
 * value, then the source's priority.
 */

export type Source = 'override' | 'sheets' | 'soundtrack' | 'gmail' | 'database'

/** Where a value comes from, and its time at the source, ms. */
export interface Origin {
  readonly source: string
  readonly at: number
}

/** The values that a source offers. */
export interface Offer<V extends object> {
  readonly source: Source
  readonly at: number
  readonly values: Partial<V>
}

export interface FieldOrigin extends Origin {
  readonly field: string
}

const PRIORITY: readonly string[] = ['override', 'sheets', 'soundtrack', 'gmail', 'database']

/** Live fields are Soundtrack's; everything else about a venue is the sheet's. */
const LIVE: ReadonlySet<string> = new Set(['status', 'playback', 'volume', 'track', 'artist', 'source', 'zones'])

function ownerOf(field: string): Source {
  return LIVE.has(field) ? 'soundtrack' : 'sheets'
}

/** Whether an offered value replaces the current one. */
export function wins(field: string, offered: Origin, held: Origin | undefined): boolean {
  if (held === undefined) return true
  const byOverride = compare(offered.source === 'override', held.source === 'override')
  if (byOverride !== 0) return byOverride > 0
  const owner = ownerOf(field)
  const byOwner = compare(offered.source === owner, held.source === owner)
  if (byOwner !== 0) return byOwner > 0
  if (offered.at !== held.at) return offered.at > held.at
  return PRIORITY.indexOf(offered.source) <= PRIORITY.indexOf(held.source)
}

/**
 * Merges an offer into the current fields.
 * @returns the fields, their origins, and the names of fields that changed
 */
export function merge<V extends object>(
  fields: V,
  origins: readonly FieldOrigin[],
  { source, at, values }: Offer<V>,
): { fields: V; origins: FieldOrigin[]; changed: string[] } {
  const held = new Map(origins.map(origin => [origin.field, origin]))
  const merged: V = { ...fields }
  const changed: string[] = []
  for (const field of Object.keys(values) as (keyof V & string)[]) {
    if (!wins(field, { source, at }, held.get(field))) continue
    const value = values[field] as V[typeof field]
    const differs = !same(merged[field], value)
    if (!differs && isEmpty(value) && !held.has(field)) continue
    held.set(field, { field, source, at })
    merged[field] = value
    if (differs) changed.push(field)
  }
  return { fields: merged, origins: [...held.values()], changed }
}

/** 1 when only the first is true, -1 when only the second is, otherwise 0. */
function compare(first: boolean, second: boolean): number {
  return Number(first) - Number(second)
}

function same(a: unknown, b: unknown): boolean {
  return a === b || (Array.isArray(a) && Array.isArray(b) && a.length === b.length && a.every((item, n) => item === b[n]))
}

function isEmpty(value: unknown): boolean {
  return value === null || value === '' || (Array.isArray(value) && value.length === 0)
}

/**
 * Whose zone is it? An account may hold many venues: a zone goes to the venue that names its location, or whose name or address
 * the location has; without locations, to the only venue there is. What could belong to more than one is not guessed.
 */
import type { WatchedVenue, ZoneReading, ZonesRead } from '../../schemas/types.ts'
import { locationsOf } from './places.ts'

export interface Split {
  /** The reading of each venue; a venue without one is left out. */
  readonly venues: readonly { readonly venue: string; readonly zones: readonly ZoneReading[]; readonly complete: boolean }[]
  /** Venues that cannot be distinguished: they name no location, or the same one. */
  readonly unclear: readonly string[]
  /** Zones that could belong to more than one venue. */
  readonly unassigned: number
}

/** Splits one part of a read; `whole` when it is the only one. */
export function split(given: readonly WatchedVenue[], { zones, total }: ZonesRead, whole: boolean): Split {
  // Whether a name is the only one of its kind, a part of an account does not say.
  const watched = whole ? withLocations(given, zones) : given
  const only = watched[0]
  if (watched.length === 1 && only?.location === null) {
    return { venues: [{ venue: only.venue, zones, complete: whole && total !== null }], unclear: [], unassigned: 0 }
  }
  const claims = Map.groupBy(watched, w => w.location)
  const byLocation = Map.groupBy(zones, z => z.location)
  const clear = watched.filter(w => w.location !== null && claims.get(w.location)?.length === 1)
  const unclear = watched.filter(w => !clear.includes(w)).map(w => w.venue)
  const claimed = new Set(clear.map(w => w.location))
  // Zones of other locations belong to no venue, unless there is one that they might belong to.
  const unassigned = zones.filter(z => z.location === null || (unclear.length > 0 && !claimed.has(z.location))).length
  // A zone whose location could not be read may belong to any venue, so no venue's list is complete.
  const complete = total !== null && !byLocation.has(null)
  const venues = clear
    .map(({ venue, location }) => ({ venue, zones: byLocation.get(location) ?? [], complete }))
    .filter(v => v.zones.length > 0 || (whole && complete))
  return { venues, unclear, unassigned }
}

function withLocations(watched: readonly WatchedVenue[], zones: readonly ZoneReading[]): readonly WatchedVenue[] {
  const named = new Set(watched.map(w => w.location))
  const nameless = watched.filter(w => w.location === null)
  if (watched.length < 2 || nameless.length === 0) return watched
  const places = new Map(zones.filter(z => !named.has(z.location)).map(z => [z.location, z]))
  const found = locationsOf(nameless, [...places.values()])
  return watched.map(w => ({ ...w, location: w.location ?? found.get(w.venue) ?? null }))
}

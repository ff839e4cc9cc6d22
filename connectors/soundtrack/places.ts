/**
 * Which location of an account is a venue's, by what both are called and where they are, where the sheet does not say it. Only what
 * fits one venue and one location, and no other, counts: the rest is for a person to say.
 */
import type { WatchedVenue, ZoneReading } from '../../schemas/types.ts'

type Named = Pick<WatchedVenue, 'venue' | 'name' | 'address'>
type Place = Pick<ZoneReading, 'location' | 'locationName' | 'locationAddress'>

/** From the surest sign to the weakest that still counts. */
const SIGNS: readonly ((venue: Named, place: Place) => boolean)[] = [
  ({ name }, { locationName }) => compact(name) !== '' && compact(name) === compact(locationName),
  ({ name, address }, { locationName, locationAddress }) =>
    holds(locationName, name) ||
    holds(locationName, address) ||
    holds(locationAddress, name) ||
    holds(locationAddress, address) ||
    holds(address, locationAddress),
  // The location has a part of the name or address: "Krabi" of Blue Heron, Krabi.
  ({ name, address }, { locationName }) => {
    const own = new Set([...wordsOf(name), ...wordsOf(address)])
    const said = wordsOf(locationName)
    return said.length > 0 && said.every(word => own.has(word))
  },
]

/** @returns the location of each venue that one can be found for */
export function locationsOf(venues: readonly Named[], places: readonly Place[]): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  for (const sign of SIGNS) {
    const taken = new Set(found.values())
    const left = venues.filter(({ venue }) => !found.has(venue))
    const free = places.filter(({ location }) => location !== null && !taken.has(location))
    const pairs = left.flatMap(venue =>
      free.filter(place => sign(venue, place)).map(place => [venue.venue, place.location] as const),
    )
    for (const [venue, location] of pairs) {
      const alone = pairs.every(([v, l]) => (v === venue) === (l === location))
      if (alone && location !== null) found.set(venue, location)
    }
  }
  return found
}

function wordsOf(text: string | null): string[] {
  return (
    (text ?? '')
      .normalize('NFKD')
      .toLowerCase()
      .replace(/[\u0300-\u036f]/g, '')
      .match(/[\p{L}\p{M}\p{N}]+/gu) ?? []
  )
}

function compact(text: string | null): string {
  return wordsOf(text).join('')
}

/** Shorter names are found in anything. */
const LEAST = 4

/** Whether a text has another one whole: its words in a row; in a script without spaces, its letters. */
function holds(text: string | null, part: string | null): boolean {
  const [all, words] = [wordsOf(text), wordsOf(part)]
  if (words.join('').length < LEAST) return false
  if (words.some(word => /\p{Script=Thai}/u.test(word))) return all.join('').includes(words.join(''))
  return all.some((_, at) => words.every((word, n) => all[at + n] === word))
}

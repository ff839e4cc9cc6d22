/**
 * Understanding against the in-memory venue index: a look-up answers at once. A venue that has just entered the index has no zones
 * yet, so words about a zone could not be resolved. For such a venue the look-up has no answer, and the effect waits for the first
 * reading. It does not wait if the message cannot name a zone, if the venue will have none, or while the sender is still being
 * identified: requests made on the way are understood again afterwards. Once the zones arrive, only what depends on them is
 * evaluated again.
 */
import type { Lookup, Port } from '../../engine/actor.ts'
import type { Understand, UnderstoodInput, VenueProfile } from '../../schemas/types.ts'
import { takesZone, understanding } from './understand.ts'
import type { VenueIndex } from './venues.ts'

export interface UnderstandPortOptions {
  readonly index: VenueIndex
  /** How long to wait for a new venue's zones, ms. */
  readonly patienceMs?: number
  readonly now?: () => number
}

/** States in which the venue and the contact are known. */
const SETTLED = new Set(['ASKING_ISSUE', 'IDENTIFIED'])
/** Shorter than the effect's timeout, so that it is one try. */
const PATIENCE_MS = 4_500
/** How long a venue counts as new; after that it has no zones, or they cannot be read. */
const NEW_FOR_MS = 60_000

/** Returns null when the venue's zones must be waited for. */
export function understandLookup({
  index,
  now = Date.now,
}: Omit<UnderstandPortOptions, 'patienceMs'>): Lookup<'Understand', 'Understood'> {
  return input => {
    const { understood } = understanding(input, index)
    const id = awaited(input, understood)
    const venue = id === null ? null : index.venue(id)
    return venue !== null && isNew(venue, now()) ? null : understood
  }
}

export function understandPort({
  index,
  patienceMs = PATIENCE_MS,
  now = Date.now,
}: UnderstandPortOptions): Port<'Understand', 'Understood'> {
  return async (input, { signal }) => {
    const until = now() + patienceMs
    const { understood, again } = understanding(input, index)
    const id = awaited(input, understood)
    if (id === null) return understood
    let waited = false
    for (let venue = index.venue(id); venue !== null && isNew(venue, now()); venue = index.venue(id)) {
      const ms = Math.min(until, venue.updatedAt + NEW_FOR_MS) - now()
      if (ms <= 0 || signal.aborted) return understood
      waited = true
      if (!(await news(index, id, ms, signal))) return understood
    }
    return waited ? again() : understood
  }
}

/** Resolves to true once the venue changes; to false after `ms`, or when aborted. */
function news(index: VenueIndex, venue: string, ms: number, signal: AbortSignal): Promise<boolean> {
  return new Promise(resolve => {
    const end = (came: boolean) => {
      unwatch()
      clearTimeout(timer)
      signal.removeEventListener('abort', given)
      resolve(came)
    }
    const given = () => end(false)
    const unwatch = index.watch(venue, () => end(true))
    const timer = setTimeout(given, ms)
    signal.addEventListener('abort', given)
  })
}

/** The venue whose zones a message may be about. */
function awaited({ venue, dialogue }: Understand, understood: UnderstoodInput): string | null {
  return SETTLED.has(dialogue) && mayNameZone(understood) ? venue : null
}

/** Whether zones could change the meaning: a greeting, a complaint or a sales question means the same without them. */
function mayNameZone({ intents = [], override }: UnderstoodInput): boolean {
  return override === 'NONE' && (intents.length === 0 || intents.some(({ kind }) => takesZone(kind)))
}

function isNew({ zones, zoneCount, soundtrackAccount, readError, updatedAt }: VenueProfile, now: number): boolean {
  return zones.length === 0 && readError === '' && zoneCount !== 0 && soundtrackAccount !== null && now - updatedAt < NEW_FOR_MS
}

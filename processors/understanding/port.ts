/**
 * Understanding against the venue index, which is in memory: a look-up answers at once. A venue that is only just in the index has
 * no zones yet: its first reading is under way, and a word about a zone would mean nothing. For such a venue the look-up has no
 * answer, and the effect waits a moment; not for a message that is about no zone, not where it is known that none will come, and not
 * while it is found out who writes from where: what is asked on the way is understood again once that is known. A message is
 * understood once by either: when its venue's news have come, only what hangs on zones is made out again.
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

/** States of a dialogue that has its venue and its contact. */
const SETTLED = new Set(['ASKING_ISSUE', 'IDENTIFIED'])
/** Less than the effect's time-out, so that it is one try. */
const PATIENCE_MS = 4_500
/** A venue is new for this long; later it has no zones because there are none, or none can be read. */
const NEW_FOR_MS = 60_000

/** Null where zones are to be waited for. */
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

/** Resolves to true once something new is known of a venue; to false after so many ms, or when nobody waits any longer. */
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

/** A greeting, a complaint, a question for sales: whatever a zone is called, it means the same. */
function mayNameZone({ intents = [], override }: UnderstoodInput): boolean {
  return override === 'NONE' && (intents.length === 0 || intents.some(({ kind }) => takesZone(kind)))
}

function isNew({ zones, zoneCount, soundtrackAccount, readError, updatedAt }: VenueProfile, now: number): boolean {
  return zones.length === 0 && readError === '' && zoneCount !== 0 && soundtrackAccount !== null && now - updatedAt < NEW_FOR_MS
}

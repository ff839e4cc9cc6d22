/**
 * The port of the effect `understand`. A venue that is only just in the index has no zones yet: its first reading is under way,
 * and a word about a zone would mean nothing. For such a venue the answer waits a moment; not for a message that is about no zone,
 * and not where it is known that none will come.
 */
import { setTimeout as sleep } from 'node:timers/promises'
import type { Port } from '../../engine/actor.ts'
import type { UnderstoodInput, VenueProfile } from '../../schemas/types.ts'
import { takesZone, understand } from './understand.ts'
import type { VenueIndex } from './venues.ts'

export interface UnderstandPortOptions {
  readonly index: VenueIndex
  /** How long to wait for a new venue's zones, ms. */
  readonly patienceMs?: number
  readonly now?: () => number
}

const LOOK_MS = 25
/** A venue is new for this long; later it has no zones because there are none, or none can be read. */
const NEW_FOR_MS = 60_000

export function understandPort({
  index,
  patienceMs = 6_000,
  now = Date.now,
}: UnderstandPortOptions): Port<'Understand', 'Understood'> {
  return async (input, { signal }) => {
    const began = now()
    for (;;) {
      const understood = understand(input, index)
      const venue = index.venue(input.venue ?? concerned(understood) ?? '')
      if (!mayNameZone(understood)) return understood
      if (venue === null || !isNew(venue, now()) || now() - began >= patienceMs || signal.aborted) return understood
      await sleep(LOOK_MS)
    }
  }
}

/** The one venue that a message is about, as far as anybody can tell. */
function concerned({ match, matches, onFile }: UnderstoodInput): string | undefined {
  if (match === 'EXACT' || match === 'LIKELY') return matches?.[0]?.venue
  return onFile?.length === 1 ? onFile[0]?.venue : undefined
}

/** A greeting, a complaint, a question for sales: whatever a zone is called, it means the same. */
function mayNameZone({ intents = [], override }: UnderstoodInput): boolean {
  return override === 'NONE' && (intents.length === 0 || intents.some(({ kind }) => takesZone(kind)))
}

function isNew({ zones, zoneCount, soundtrackAccount, readError, updatedAt }: VenueProfile, now: number): boolean {
  return zones.length === 0 && readError === '' && zoneCount !== 0 && soundtrackAccount !== null && now - updatedAt < NEW_FOR_MS
}

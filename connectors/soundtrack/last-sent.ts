/**
 * What was last sent to the venues of an account, and whether a reading differs from it. Kept in memory only: the first reading after
 * a start is always sent.
 */
import { hash } from 'node:crypto'
import type { ZoneReadingInput } from '../../schemas/types.ts'

/** What a reading says: presence and playback of every zone, and all the rest, where it was asked for. */
interface Said {
  readonly state: string
  readonly detail: string | null
}

export class LastSent {
  #state: string | null = null
  #detail: string | null = null
  #error: string | null = null
  /** When it was sent; 0 for never. */
  at = 0
  /** When the zones were last found unchanged. */
  sameAsOf: number | null = null

  /** The next reading is sent: these zones were reported by other means, or what was sent is unknown. */
  forget(): void {
    this.#state = null
  }

  /** @returns whether the reading says anything new, and whether it is of presence or playback */
  read(zones: readonly ZoneReadingInput[], at: number): { news: boolean; changed: boolean } {
    const { state, detail } = saidBy(zones)
    const changed = this.#state !== null && this.#state !== state
    const news = this.#state !== state || this.#error !== null || (detail !== null && detail !== this.#detail)
    this.sameAsOf = at
    this.#error = null
    this.#state = state
    // A reading without details says nothing of them.
    this.#detail = detail ?? this.#detail
    return { news, changed }
  }

  /** @returns whether this failure is new */
  failed(error: string): boolean {
    const news = this.#error !== error
    this.#error = error
    return news
  }
}

function saidBy(zones: readonly ZoneReadingInput[]): Said {
  const ordered = zones.toSorted((a, b) => (a.zone < b.zone ? -1 : 1))
  const state = ordered.map(z => [z.zone, z.name, z.location, z.paired, z.online, z.playback, z.volume, z.error])
  if (!zones.every(z => z.detail ?? true)) return { state: digest(state), detail: null }
  const detail = ordered.map(z => [z.subscription, z.statusCode, z.track, z.artist, z.source, z.trackStartedAt])
  return { state: digest(state), detail: digest(detail) }
}

/** Ten thousand accounts are kept: digests rather than readings. */
function digest(what: unknown): string {
  return hash(
    'sha1',
    JSON.stringify(what, (_key, value) => value ?? null),
    'base64',
  )
}

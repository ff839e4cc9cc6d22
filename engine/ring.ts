/**
 * The ids of the newest records that an actor has taken, by their time: what makes a redelivered record known.
 * Immutable bytes, 16 an entry, oldest first:  | hash of the id (8) | time, ms (8) |
 *
 * They are kept for long, and are never part of a pool: of that, each would keep all 64 KB.
 */
import { hash } from 'node:crypto'

export const RING_ENTRIES = 512
const ENTRY = 16
/** Of a full one. */
export const RING_BYTES = RING_ENTRIES * ENTRY

export interface Ring {
  readonly entries: Buffer
  /** Newest time that has fallen out; 0 while the ring was never full. */
  readonly horizon: number
}

export const EMPTY_RING: Ring = { entries: Buffer.alloc(0), horizon: 0 }

export type Taken =
  | { readonly known: true }
  /** `maybeSeen`: it is older than what the ring remembers, so nobody can tell. */
  | { readonly known: false; readonly maybeSeen: boolean; readonly ring: Ring }

/** Looks an id up, and puts it in where it is new. `at` is the record's own time, ms. */
export function take(ring: Ring, id: string, at: number): Taken {
  const mark = hash('sha1', id, 'buffer').subarray(0, 8)
  const { entries, horizon } = ring
  for (let from = entries.indexOf(mark); from >= 0; from = entries.indexOf(mark, from + 1)) {
    if (from % ENTRY === 0) return { known: true }
  }
  if (horizon > 0 && at <= horizon) return { known: false, maybeSeen: true, ring }
  let place = entries.length
  while (place > 0 && entries.readDoubleBE(place - 8) > at) place -= ENTRY
  const full = entries.length >= RING_BYTES
  const dropped = full ? ENTRY : 0
  const grown = Buffer.allocUnsafeSlow(entries.length + ENTRY)
  entries.copy(grown, 0, 0, place)
  mark.copy(grown, place)
  grown.writeDoubleBE(at, place + 8)
  entries.copy(grown, place + ENTRY, place)
  return {
    known: false,
    maybeSeen: false,
    ring: {
      entries: grown.subarray(dropped),
      horizon: full ? Math.max(horizon, grown.readDoubleBE(8)) : horizon,
    },
  }
}

/** Time of the newest id, ms; 0 where there is none. */
export function newest({ entries, horizon }: Ring): number {
  return entries.length === 0 ? horizon : entries.readDoubleBE(entries.length - 8)
}

/** A ring as it was stored. */
export function ringOf(entries: Buffer, horizon: number): Ring {
  if (entries.length === 0 && horizon === 0) return EMPTY_RING
  const own = Buffer.allocUnsafeSlow(entries.length)
  entries.copy(own)
  return { entries: own, horizon }
}

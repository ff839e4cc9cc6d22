/**
 * The ids of the newest records that an actor has taken, by their time: they recognise a redelivered record.
 * Immutable bytes, 16 per entry, oldest first:  | hash of the id (8) | time, ms (8) |
 *
 * They live long, so they are never slices of Node's buffer pool: each would keep 64 KB of it alive.
 */
import { hash } from 'node:crypto'

export const RING_ENTRIES = 512
const ENTRY_BYTES = 16
/** Of a full ring. */
export const RING_BYTES = RING_ENTRIES * ENTRY_BYTES

export interface Ring {
  readonly entries: Buffer
  /** Newest time that has been dropped; 0 if the ring was never full. */
  readonly horizon: number
}

export const EMPTY_RING: Ring = { entries: Buffer.alloc(0), horizon: 0 }

export type Admission =
  | { readonly known: true }
  /** `possiblyDuplicate`: it is older than anything the ring remembers, so it cannot tell. */
  | { readonly known: false; readonly possiblyDuplicate: boolean; readonly ring: Ring }

/** Looks up an id, and adds it if it is new. `at` is the record's own time, ms. */
export function admit(ring: Ring, id: string, at: number): Admission {
  const mark = hash('sha1', id, 'buffer').subarray(0, 8)
  const { entries, horizon } = ring
  for (let from = entries.indexOf(mark); from >= 0; from = entries.indexOf(mark, from + 1)) {
    if (from % ENTRY_BYTES === 0) return { known: true }
  }
  if (horizon > 0 && at <= horizon) return { known: false, possiblyDuplicate: true, ring }
  let place = entries.length
  while (place > 0 && entries.readDoubleBE(place - 8) > at) place -= ENTRY_BYTES
  const full = entries.length >= RING_BYTES
  const dropped = full ? ENTRY_BYTES : 0
  const grown = Buffer.allocUnsafeSlow(entries.length + ENTRY_BYTES)
  entries.copy(grown, 0, 0, place)
  mark.copy(grown, place)
  grown.writeDoubleBE(at, place + 8)
  entries.copy(grown, place + ENTRY_BYTES, place)
  return {
    known: false,
    possiblyDuplicate: false,
    ring: {
      entries: grown.subarray(dropped),
      horizon: full ? Math.max(horizon, grown.readDoubleBE(8)) : horizon,
    },
  }
}

/** Time of the newest id, ms; 0 if there is none. */
export function newest({ entries, horizon }: Ring): number {
  return entries.length === 0 ? horizon : entries.readDoubleBE(entries.length - 8)
}

/** A ring from its stored bytes. */
export function ringOf(entries: Buffer, horizon: number): Ring {
  if (entries.length === 0 && horizon === 0) return EMPTY_RING
  const own = Buffer.allocUnsafeSlow(entries.length)
  entries.copy(own)
  return { entries: own, horizon }
}

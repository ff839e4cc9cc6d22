import { describe, expect, it } from 'vitest'
import { EMPTY_RING, RING_ENTRIES, type Ring, ringOf, admit } from './dedup-ring.ts'

const taken = (ring: Ring, id: string, at: number): Ring => {
  const result = admit(ring, id, at)
  if (result.known) throw new Error(`${id} is known`)
  return result.ring
}

describe('the ring of ids', () => {
  it('knows what it has taken, and nothing else', () => {
    const ring = taken(taken(EMPTY_RING, 'a', 10), 'b', 5)
    expect(admit(ring, 'a', 10).known).toBe(true)
    expect(admit(ring, 'b', 99).known).toBe(true)
    expect(admit(ring, 'c', 1)).toMatchObject({ known: false, possiblyDuplicate: false })
  })

  it('forgets the oldest by their own time, not by arrival, and says of anything older that it may have been seen', () => {
    let ring = taken(EMPTY_RING, 'late but new', 100_000)
    for (let n = 0; n < RING_ENTRIES; n++) ring = taken(ring, `id${n}`, 1_000 + n)
    expect(ring.entries).toHaveLength(RING_ENTRIES * 16)
    expect(admit(ring, 'late but new', 100_000).known).toBe(true)
    expect(admit(ring, 'id0', 1_000)).toMatchObject({ known: false, possiblyDuplicate: true })
    expect(admit(ring, 'id1', 1_001).known).toBe(true)
    expect(admit(ring, 'never seen, older', 500)).toMatchObject({ known: false, possiblyDuplicate: true })
    expect(admit(ring, 'never seen, newer', 1_001)).toMatchObject({ known: false, possiblyDuplicate: false })
  })

  it('leaves the ring that it was given as it was', () => {
    const before = taken(EMPTY_RING, 'a', 1)
    const bytes = Buffer.from(before.entries)
    taken(before, 'b', 2)
    expect(before.entries.equals(bytes)).toBe(true)
  })

  it('keeps no more memory than it has entries, also when it was read from a store', () => {
    let ring = EMPTY_RING
    for (let n = 0; n < 10; n++) ring = taken(ring, `id${n}`, n)
    const stored = Buffer.from(ring.entries)
    expect(stored.buffer.byteLength).toBeGreaterThan(1_000)
    for (const { entries } of [ring, ringOf(stored, 5)]) {
      expect(entries.equals(stored)).toBe(true)
      expect(entries.buffer.byteLength).toBe(10 * 16)
    }
    expect([ringOf(stored, 5).horizon, ringOf(Buffer.alloc(0), 0)]).toEqual([5, EMPTY_RING])
  })
})

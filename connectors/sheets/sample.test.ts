import { describe, expect, it } from 'vitest'
import type { SheetVenueInput } from '../../schemas/types.ts'
import { knownOf, sampleOf } from './sample.ts'

const row = (n: number, more: Partial<SheetVenueInput> = {}): SheetVenueInput => ({
  venue: String(n),
  name: `Venue ${n}`,
  location: '',
  soundtrackAccount: `account-${n}`,
  contactPhone: `+6680000${1000 + n}`,
  contactEmail: null,
  ...more,
})
const rows = (count: number, of: (n: number) => SheetVenueInput = n => row(n)) =>
  Array.from({ length: count }, (_, n) => of(n + 1))
const known = (after: readonly SheetVenueInput[], kept: readonly string[] = []) => knownOf(sampleOf(rows(10)), after, kept)

describe('the same sheet', () => {
  it.each<[string, SheetVenueInput[], number]>([
    ['unchanged, in another order', rows(10).reverse(), 10],
    ['that has grown', rows(5_000), 10],
    ['with other names', rows(10, n => row(n, { name: `House ${n}` })), 10],
    ['with other accounts and phones', rows(10, n => row(n, { soundtrackAccount: 'x', contactPhone: null })), 10],
    ['that has lost some', rows(7), 7],
    [
      'with other venues under its ids',
      rows(10, n => ({ venue: String(n), name: `House ${n}`, location: '', contactPhone: `+6681000${n}` })),
      0,
    ],
    ['with the same venues under other ids', rows(10, n => row(n, { venue: String(n + 100) })), 0],
  ])('%s', (_, after, count) => {
    expect(known(after)).toBe(count)
  })

  it('keeps a venue whose row was refused', () => {
    expect(known(rows(9), ['10'])).toBe(10)
  })

  it('is told by a few of its venues, without a word of theirs', () => {
    const sample = sampleOf(rows(10_000))
    expect(sample).toHaveLength(16)
    expect(sample).toEqual(sampleOf(rows(10_000).reverse()))
    expect(JSON.stringify(sample).length).toBeLessThan(1_000)
    expect(JSON.stringify(sample)).not.toMatch(/Venue|account|6680/)
  })
})

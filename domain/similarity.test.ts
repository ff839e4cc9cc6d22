import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { damerau, maxEdits, jaroWinkler, trigrams } from './similarity.ts'

const word = fc.string({ unit: fc.constantFrom('a', 'b', 'c'), maxLength: 7 })

describe('damerau', () => {
  test.each([
    ['lagoon', 'lagon', 1],
    ['lagoon', 'lagono', 1],
    ['lagoon', 'pagoon', 1],
    ['lagoon', 'lagoon', 0],
    ['ab', 'ba', 1],
  ])('%s and %s are %i apart', (a, b, edits) => {
    expect(damerau(a, b, 3)).toBe(edits)
  })

  test('is symmetric, and stops one beyond the most', () => {
    fc.assert(
      fc.property(word, word, fc.integer({ min: 0, max: 3 }), (a, b, most) => {
        const full = damerau(a, b, 20)
        expect(damerau(b, a, 20)).toBe(full)
        expect(damerau(a, b, most)).toBe(Math.min(full, most + 1))
      }),
    )
  })
})

describe('jaroWinkler', () => {
  test('has the values of the literature', () => {
    expect(jaroWinkler('martha', 'marhta')).toBeCloseTo(0.961, 3)
    expect(jaroWinkler('dixon', 'dicksonx')).toBeCloseTo(0.813, 3)
    expect(jaroWinkler('abc', 'xyz')).toBe(0)
  })

  test('lies between 0 and 1, and is 1 for the same word', () => {
    fc.assert(
      fc.property(word, word, (a, b) => {
        expect(jaroWinkler(a, b)).toBeGreaterThanOrEqual(0)
        expect(jaroWinkler(a, b)).toBeLessThanOrEqual(1)
        expect(jaroWinkler(a, a)).toBe(1)
      }),
    )
  })
})

test('longer words are maxEdits more', () => {
  expect([3, 4, 7, 8].map(maxEdits)).toEqual([0, 1, 1, 2])
})

test('trigrams mark the edges of a word', () => {
  expect([...trigrams('edge')]).toEqual([' ed', 'edg', 'dge', 'ge '])
})

import { describe, expect, it } from 'vitest'
import { clip } from './text.ts'

describe('a text cut to bytes', () => {
  it.each([
    ['short', 10, 'short'],
    ['exactly ten', 11, 'exactly ten'],
    ['longer than that', 10, 'longer …'],
    ['ที่นี่', 12, 'ที่…'],
  ])('%s in %i', (text, bytes, expected) => {
    const cut = clip(text, bytes)
    expect(cut).toBe(expected)
    expect(Buffer.byteLength(cut)).toBeLessThanOrEqual(bytes)
    expect(clip(cut, bytes)).toBe(cut)
  })
})

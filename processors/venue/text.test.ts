import { describe, expect, it } from 'vitest'
import { clip, phoneDigits } from './text.ts'

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

describe('a phone as people write it', () => {
  it.each([
    ['081-234-5678', '66812345678'],
    ['+66 (0)81 234 5678', '66812345678'],
    ['0066 81 234 5678', '66812345678'],
    ['66812345678', '66812345678'],
    ['081 234 5678 / 02 111 2222', '66812345678'],
    ['ask the front desk', null],
    [null, null],
  ])('%s', (written, digits) => {
    expect(phoneDigits(written, '66')).toBe(digits)
  })
})

import { describe, expect, test } from 'vitest'
import { clauses, normalise, tokens } from './normalize.ts'

const texts = (text: string) => tokens(normalise(text)).map(token => token.text)

describe('normalise', () => {
  test.each([
    ['Café Ñandú', 'cafe nandu'],
    ["O'Brien’s", 'obriens'],
    ['Ｂｌｕｅ', 'blue'],
    ['Sea & Sand', 'sea  and  sand'],
    ['sooooo loud', 'so loud'],
    ['Tower III', 'tower iii'],
    ['๒๐ นาที', '20 นาที'],
    ['Đà Nẵng', 'da nang'],
  ])('writes %s as %s', (text, form) => {
    expect(normalise(text)).toBe(form)
  })

  test('keeps Thai vowels and tones, in one spelling', () => {
    expect(normalise('น้ำ')).toBe(normalise('นํ้า'))
    expect(normalise('สระว่ายน้ำ')).toBe('สระว่ายน้ำ')
    expect(normalise('เเขก')).toBe('แขก')
    expect(normalise('ดังมากกกกก')).toBe('ดังมาก')
  })

  test('reads the start and the end of a long paste', () => {
    const long = normalise(`first ${'x '.repeat(5000)} last`)
    expect(long.length).toBeLessThan(4000)
    expect(long).toContain('first')
    expect(long).toContain('last')
  })
})

describe('tokens', () => {
  test.each([
    ['J. W. Palms', ['jw', 'palms']],
    ['J W Palms', ['jw', 'palms']],
    ['St Lucia', ['saint', 'lucia']],
    ['Lotus St', ['lotus', 'street']],
    ['Lotus Intl Htl BKK Grp', ['lotus', 'international', 'hotel', 'bangkok', 'group']],
    ['โซนlobby เบาไป', ['โซน', 'lobby', 'เบาไป']],
    ['I am a fan', ['i', 'am', 'a', 'fan']],
  ])('parts %s', (text, parts) => {
    expect(texts(text)).toEqual(parts)
  })

  test('says what stands between, and where', () => {
    expect(tokens('blue lagoon, pattaya. edge').map(({ gap, start, end }) => [gap, start, end])).toEqual([
      ['space', 0, 4],
      ['space', 5, 11],
      ['comma', 13, 20],
      ['stop', 22, 26],
    ])
  })
})

test('clauses part at punctuation but not inside numbers', () => {
  expect(clauses('set it to 7.5, please! lo-fi at 10:30? ok')).toEqual(['set it to 7.5', 'please', 'lo fi at 10:30', 'ok'])
  expect(clauses('?')).toEqual([])
})

import { expect, test } from 'vitest'
import { languageOf } from './language.ts'

test.each([
  ['The music is too loud at Horizon', 'en'],
  ['เพลงที่โซน Horizon ดังเกินไป', 'th'],
  ['volume โซน lobby เบาไป', 'th'],
  ['I am from บลูลากูน, please turn it down', 'en'],
  ['ใช่ค่ะ', 'th'],
  ['โซน Drift Bar Rooftop Lounge ค่ะ', 'th'],
  ['', 'en'],
])('"%s" is %s', (text, language) => {
  expect(languageOf(text, null)).toBe(language)
})

test.each(['ok', 'Edge', '1', 'Blue Lagoon Pattaya', '👍', ''])('"%s" leaves the language remembered', text => {
  expect(languageOf(text, 'th')).toBe('th')
  expect(languageOf(text, 'en')).toBe('en')
})

test('whole sentences change the language', () => {
  expect(languageOf('what is playing at the pool', 'th')).toBe('en')
  expect(languageOf('ตอนนี้เปิดเพลงอะไรอยู่คะ', 'en')).toBe('th')
})

test('an unknown language is not remembered', () => {
  expect(languageOf('1', 'fr')).toBe('en')
})

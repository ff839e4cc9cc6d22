import { expect, test } from 'vitest'
import { firstName, type PhraseKey, phrase } from './words.ts'
import en from './words/en.json' with { type: 'json' }
import th from './words/th.json' with { type: 'json' }

const placeholders = (text: string) => [...new Set([...text.matchAll(/\{(\w+)\}/g)].map(m => m[1]))].sort()

test('both languages have the same phrases', () => {
  expect(Object.keys(th)).toEqual(Object.keys(en))
})

test.each(Object.keys(en) as PhraseKey[])('"%s" needs the same values in every variant of both languages', key => {
  const [first, ...others] = [...en[key], ...th[key]]
  expect(en[key].length).toBeGreaterThan(0)
  expect(th[key].length).toBeGreaterThan(0)
  for (const variant of others) expect(placeholders(variant)).toEqual(placeholders(first ?? ''))
})

test('Thai is Thai, and English has none of it', () => {
  const bare = (text: string) => text.replaceAll(/\{\w+\}|[^\p{L}]/gu, '')
  for (const [key, variants] of Object.entries(en)) for (const text of variants) expect(text, key).not.toMatch(/[\u0e00-\u0e7f]/)
  for (const [key, variants] of Object.entries(th)) {
    for (const text of variants) if (bare(text) !== '') expect(text, key).toMatch(/[\u0e00-\u0e7f]/)
  }
})

test('buttons and rows fit the channel', () => {
  for (const language of ['en', 'th'] as const) {
    for (const key of ['button.yes', 'button.no', 'button.all_zones'] as const)
      expect(phrase(language, key).length).toBeLessThanOrEqual(20)
    expect(phrase(language, 'list.none').length).toBeLessThanOrEqual(24)
  }
})

test('variants follow the turn, and a missing value is an error that names it', () => {
  expect(phrase('en', 'thanks', {}, 0)).not.toBe(phrase('en', 'thanks', {}, 1))
  expect(phrase('en', 'thanks', {}, 1)).toBe(phrase('en', 'thanks', {}, 1 + en.thanks.length))
  expect(() => phrase('en', 'zone.ask')).toThrow('phrase "zone.ask" needs a value for {list}')
})

test('values are said as they are', () => {
  expect(phrase('en', 'track', { track: '$& {zone}' })).toBe('"$& {zone}"')
})

test.each([
  ['John Smith', 'John'],
  ['Mr. John Smith', 'John'],
  ['Khun Somchai', 'Somchai'],
  ['คุณสมชาย ใจดี', 'สมชาย'],
  ['นาย สมชาย', 'สมชาย'],
  ['Dr', 'Dr'],
])('%s is called %s', (name, called) => {
  expect(firstName(name)).toBe(called)
})

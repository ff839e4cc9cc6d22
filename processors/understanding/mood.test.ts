import { describe, expect, test } from 'vitest'
import { condensed, issueLabel, sentimentOf } from './mood.ts'
import { normalise } from './normalize.ts'

test.each([
  ['no music anywhere, urgent', 'URGENT'],
  ['ด่วนมากครับ', 'URGENT'],
  ['we are full tonight!!', 'URGENT'],
  ['emergency', 'URGENT'],
  ['thank you!!', 'POSITIVE'],
  ['the music stopped!!', 'URGENT'],
  ['this is terrible', 'NEGATIVE'],
  ['เพลงน่าเบื่อมาก', 'NEGATIVE'],
  ['ขอบคุณค่ะ', 'POSITIVE'],
  ['perfect, thanks', 'POSITIVE'],
  ['what is playing?', 'NEUTRAL'],
  ['', 'NEUTRAL'],
])('"%s" is %s', (text, mood) => {
  expect(sentimentOf(normalise(text))).toBe(mood)
})

describe('the matter in a few words', () => {
  test.each([
    ['no_sound', 'the music in the lobby stopped playing', 'lobby', 'en', 'Music stopped in lobby'],
    ['no_sound', 'there is no music', null, 'en', 'No music'],
    ['volume_down', 'too loud', 'Drift Bar', 'en', 'Music too loud in Drift Bar'],
    ['no_sound', 'เพลงที่ล็อบบี้ดับ', 'ล็อบบี้', 'th', 'เพลงหยุดที่ล็อบบี้'],
    ['volume_up', 'เบาไป', 'Edge', 'th', 'เพลงเบาเกินไปที่ Edge'],
  ] as const)('%s: %s', (kind, clause, words, language, issue) => {
    expect(issueLabel(kind, clause, { words, all: false }, language)).toBe(issue)
  })

  test('names all zones', () => {
    expect(issueLabel('device_offline', 'offline', { words: null, all: true }, 'en')).toBe('Device offline in all zones')
  })

  test('courtesies have none', () => {
    expect(issueLabel('greeting', 'hello', { words: null, all: false }, 'en')).toBeNull()
    expect(issueLabel('unknown', 'x', { words: null, all: false }, 'en')).toBeNull()
  })

  test('other words are cut after their first sentence', () => {
    expect(condensed('The remote is lost. Nobody knows where.')).toBe('The remote is lost')
    const long = condensed(`we ${'really '.repeat(40)}`)!
    expect(long.length).toBeLessThanOrEqual(81)
    expect(long).toMatch(/really…$/)
    expect(condensed('?!')).toBeNull()
  })
})

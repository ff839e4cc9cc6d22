import { describe, expect, test } from 'vitest'
import { compile } from './phrases.ts'

const lists = { genre: ['jazz', 'bossa nova', 'แจ๊ส'] }

describe('phrases', () => {
  test.each([
    ['turn … up', 'turn the volume up', true],
    ['turn … up', 'turn up', true],
    ['turn … up', 'turn it and then go all the way up', false],
    ['too loud|noisy', 'it is too noisy here', true],
    ['stop the? music', 'stop music', true],
    ['stop the? music', 'stop the music', true],
    ['please? play', 'please play', true],
    ['^ play $', 'play it', false],
    ['^ play $', 'play', true],
    ['complain*', 'complaining', true],
    ['pair', 'repair', false],
    ['volume #', 'volume 8', true],
    ['volume #', 'volume 80s', false],
    ['play §', 'play §0', true],
    ['play @genre', 'play bossa nova', true],
    ['เปิด … @genre', 'เปิดเพลงแนวแจ๊ส', true],
    ['ปิดเสียง', 'เปิดเสียง', false],
    ['ปิดเสียง', 'ช่วยปิดเสียง', true],
    ['เพิ่ม … เสียง', 'เพิ่มระดับเสียง', true],
    ['ครั้งที่ สอง|สาม', 'ครั้งที่สาม', true],
    ['โซน lobby', 'ที่โซนlobby', true],
    ["don't", 'dont', true],
  ])('"%s" in "%s": %s', (phrase, text, found) => {
    expect(compile([phrase], lists).test(text)).toBe(found)
  })

  test('no phrases match nothing', () => {
    expect(compile([]).test('anything')).toBe(false)
  })

  test.each(['', 'play @unknown', 'one||two', '*'])('"%s" is refused', phrase => {
    expect(() => compile([phrase])).toThrow()
  })
})

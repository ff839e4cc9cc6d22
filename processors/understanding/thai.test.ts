import { describe, expect, test } from 'vitest'
import { segment, skeleton, ThaiWords } from './thai.ts'

describe('segment', () => {
  const words = new ThaiWords(['ติดต่อจาก', 'มา', 'เปิดเพลง', 'อะไร', 'ที่'])

  test('parts known words from the unknown name between them', () => {
    expect(segment('ติดต่อจากบลูลากูน', [words])).toEqual(['ติดต่อจาก', 'บลูลากูน'])
    expect(segment('เปิดเพลงอะไร', [words])).toEqual(['เปิดเพลง', 'อะไร'])
  })

  test('does not part a name at a short word inside it', () => {
    expect(segment('โรมานติก', [words])).toEqual(['โรมานติก'])
  })

  test('never begins a part with a mark of the letter before', () => {
    expect(segment('ที่ที่่าที่', [words]).join('')).toBe('ที่ที่่าที่')
    for (const part of segment('กิ่กก์ที่ก้า', [words])) expect(part).not.toMatch(/^[\u0e30-\u0e3a\u0e47-\u0e4e]/)
  })

  test('uses the words of a catalogue as they come and go', () => {
    const catalogue = new ThaiWords()
    catalogue.add('ลากูน')
    catalogue.add('ลากูน')
    expect(segment('บลูลากูนติดต่อจาก', [words, catalogue])).toEqual(['บลู', 'ลากูน', 'ติดต่อจาก'])
    catalogue.remove('ลากูน')
    expect(segment('บลูลากูนติดต่อจาก', [words, catalogue])).toEqual(['บลู', 'ลากูน', 'ติดต่อจาก'])
    catalogue.remove('ลากูน')
    expect(segment('บลูลากูนติดต่อจาก', [words, catalogue])).toEqual(['บลูลากูน', 'ติดต่อจาก'])
  })
})

describe('skeleton', () => {
  test.each([
    ['พัทยา', 'pattaya', 'PTY'],
    ['บลูลากูน', 'bluelagoon', 'BLLKN'],
    ['ภูเก็ต', 'phuket', 'PKT'],
    ['เชียงใหม่', 'chiangmai', 'CNM'],
    ['วิลล่า', 'villa', 'WL'],
    ['รีสอร์ท', 'resort', 'LST'],
    ['ฮอไรซอน', 'horizon', 'HLSN'],
    ['ฟีนิกซ์', 'fenix', 'FNK'],
  ])('%s and %s share %s', (thai, latin, key) => {
    expect(skeleton(thai)).toBe(key)
    expect(skeleton(latin)).toBe(key)
  })
})

import { describe, expect, test } from 'vitest'
import { clauses, normalise } from './normalize.ts'
import { durationIn, volumeIn } from './slots.ts'

const clause = (text: string) => clauses(normalise(text)).join(' ')
const MINUTE = 60_000

describe('volume', () => {
  test.each([
    ['set volume to 8 at edge', 8],
    ['ตั้งเสียงไว้ที่ระดับ 8 ให้หน่อยครับ', 8],
    ['ระดับแปด', 8],
    ['ตั้งเสียงเป็น ๑๐', 10],
    ['50 %', 8],
    ['50%', 8],
    ['25 percent', 4],
    ['set it to 100', 16],
    ['volume to two', 2],
    ['turn it down to 5', 5],
    ['ลดเสียงเหลือ 5', 5],
    ['half volume', 8],
    ['ลดครึ่งหนึ่ง', 8],
    ['max volume', 16],
    ['volume to 0', 0],
    ['at 8pm set volume 6', 6],
    ['volume 7 for 2 hours', 7],
  ])('%s → %i', (text, target) => {
    expect(volumeIn(clause(text))).toEqual({ target, steps: null })
  })

  test.each([
    ['turn it up +2', 2],
    ['-3', 3],
    ['up by 2 steps', 2],
    ['turn it down 5', 5],
    ['เพิ่มเสียงอีก 2', 2],
    ['2 levels up', 2],
    ['a bit louder', 1],
    ['เพิ่มอีกนิดนะคะ', 1],
    ['a lot louder', 4],
    ['up by 40', 16],
  ])('%s → %i steps', (text, steps) => {
    expect(volumeIn(clause(text))).toEqual({ target: null, steps })
  })

  test.each(['too loud', 'pause for 20 minutes', 'half the guests cannot hear', 'at 18:00', 'ลดเสียงหน่อยค่ะ'])(
    '%s → none',
    text => {
      expect(volumeIn(clause(text))).toEqual({ target: null, steps: null })
    },
  )
})

describe('duration', () => {
  test.each([
    ['for 20 minutes', 20],
    ['20min', 20],
    ['20 นาทีนะคะ', 20],
    ['๒๐ นาที', 20],
    ['ยี่สิบนาที', 20],
    ['twenty minutes', 20],
    ['for an hour', 60],
    ['half an hour', 30],
    ['ครึ่งชั่วโมง', 30],
    ['ชั่วโมงครึ่ง', 90],
    ['1.5 hours', 90],
    ['1 hour 30 minutes', 90],
    ['หนึ่งชั่วโมง', 60],
    ['2 ชม', 120],
    ['30 seconds', 0.5],
  ])('%s → %d min', (text, minutes) => {
    expect(durationIn(clause(text))).toBe(minutes * MINUTE)
  })

  test.each(['at 6 pm', 'until 18:00', 'volume 8', '500 hours', 'now'])('%s → none', text => {
    expect(durationIn(clause(text))).toBeNull()
  })
})

import { describe, expect, test } from 'vitest'
import { normalise } from './normalize.ts'
import { overrideIn, replyIn } from './reply.ts'

const reply = (text: string) => replyIn(normalise(text))
const override = (text: string) => overrideIn(normalise(text))

describe('yes and no', () => {
  test.each([
    'yes',
    'Yes please',
    'yep',
    'ok',
    'OK!',
    'correct',
    "that's right",
    'Hi, yes',
    'yes, the lobby stopped',
    'ใช่',
    'ใช่ค่ะ',
    'ใช่ครับ',
    'ครับ',
    'ค่ะ',
    'ครับผม',
    'ถูกต้องค่ะ',
    'โอเคค่ะ',
    'ได้เลยครับ',
    '👍',
  ])('"%s" is yes', text => {
    expect(reply(text)).toEqual({ reply: 'YES', number: null })
  })

  test.each([
    'no',
    'No.',
    'nope',
    'no thanks',
    'no, it is Lotus Bay Pattaya',
    'wrong',
    'not this one',
    'ไม่ใช่',
    'ไม่ใช่ค่ะ',
    'ไม่ใช่ครับ',
    'ไม่ค่ะ',
    'เปล่าครับ',
    '❌',
  ])('"%s" is no', text => {
    expect(reply(text)).toEqual({ reply: 'NO', number: null })
  })

  test.each([
    'no music in the lobby',
    'No sound',
    'ไม่มีเพลงเลย',
    'ได้ยินไหม',
    'ใช่ไหมคะ',
    'yesterday it stopped',
    'not working',
    'right now it is loud',
    '?',
    '',
    'edge',
  ])('"%s" is neither', text => {
    expect(reply(text).reply).toBe('NONE')
  })
})

describe('choices', () => {
  test.each([
    ['1', 1],
    ['5', 5],
    ['๒', 2],
    ['#3', 3],
    ['2.', 2],
    ['number 2', 2],
    ['no. 2', 2],
    ['option two please', 2],
    ['the second one', 2],
    ['one', 1],
    ['ข้อ 1 ค่ะ', 1],
    ['อันที่สองครับ', 2],
    ['หมายเลขสาม', 3],
    ['2️⃣', 2],
    ['8', 8],
  ])('%s → %i', (text, number) => {
    expect(reply(text)).toEqual({ reply: 'NUMBER', number })
  })

  test.each(['0', '๐', 'none', 'none of these', 'none of them please', 'not in the list', 'ไม่มีในรายการค่ะ', 'ไม่ใช่ทั้งหมด'])(
    '"%s" is none of these',
    text => {
      expect(reply(text).reply).toBe('NONE_OF_THESE')
    },
  )

  test.each(['2 zones are offline', '20 minutes', '0812345678', '1 2', 'volume 8'])('"%s" is no choice', text => {
    expect(reply(text).reply).toBe('NONE')
  })
})

describe('words that hold in every state', () => {
  test.each([
    ['talk to a human', 'HUMAN'],
    ['Can I speak with someone please', 'HUMAN'],
    ['agent', 'HUMAN'],
    ['ขอคุยกับเจ้าหน้าที่', 'HUMAN'],
    ['ติดต่อแอดมินค่ะ', 'HUMAN'],
    ['restart', 'RESTART'],
    ['Restart please', 'RESTART'],
    ['start over', 'RESTART'],
    ['เริ่มใหม่ค่ะ', 'RESTART'],
    ['stop', 'STOP'],
    ['STOP.', 'STOP'],
    ['please stop messaging me', 'STOP'],
    ['ยกเลิกการรับข้อความ', 'STOP'],
  ])('%s → %s', (text, kind) => {
    expect(override(text)).toEqual({ override: kind, language: null })
  })

  test.each([
    ['english please', 'en'],
    ['ขอภาษาอังกฤษค่ะ', 'en'],
    ['in Thai please', 'th'],
    ['ภาษาไทย', 'th'],
  ])('%s → the language %s', (text, language) => {
    expect(override(text)).toEqual({ override: 'LANGUAGE', language })
  })

  test.each([
    'restart the music',
    'stop the music',
    'the music stopped',
    "I don't want to talk to a human",
    'play some thai music in the lobby',
    'my position is receptionist',
    'พนักงานต้อนรับค่ะ',
    'play it again',
    '',
  ])('"%s" is none', text => {
    expect(override(text).override).toBe('NONE')
  })
})

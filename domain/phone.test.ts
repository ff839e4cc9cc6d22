import { describe, expect, it } from 'vitest'
import { canonicalPhone, phoneDigits, phonesIn, phonesOf, plainText } from './phone.ts'

describe('a phone as people and spreadsheets write it', () => {
  it.each([
    ['+66 81 234 5678', '66812345678'],
    ['081-234-5678', '66812345678'],
    ["'0812345678", '66812345678'],
    ['="0812345678"', '66812345678'],
    ['0066 81 234 5678', '66812345678'],
    ['+66 (0)81 234 5678', '66812345678'],
    ['+66 081 234 5678', '66812345678'],
    ['(02) 123.4567', '6621234567'],
    ['66812345678', '66812345678'],
    ['+1 415 555 0123', '14155550123'],
    ['+6591234567', '6591234567'],
    ['66800000101.0', '66800000101'],
    ['66800000101,00', '66800000101'],
    ['66,800,000,101', '66800000101'],
    ['6.6800000101E+10', '66800000101'],
    ['๐๘๑-๒๓๔-๕๖๗๘', '66812345678'],
    ['０８１ ２３４ ５６７８', '66812345678'],
    ['\u202a+66 81 234 5678\u202c', '66812345678'],
    ['โทร. 081 234 5678', '66812345678'],
    ['Mobile Tel: 081 234 5678', '66812345678'],
    ['02 123 4567 ต่อ 12', '6621234567'],
    ['02 123 4567 ext. 12', '6621234567'],
    ['02-123-4567-9', '6621234567'],
    ['081 234 5678 (K. Dao)', '66812345678'],
    ['คุณดาว 081 234 5678', '66812345678'],
    ['Khun Dao: 081 234 5678', '66812345678'],
    ['081 234 5678 Mr. John Smith', '66812345678'],
    ['(+66) 81 234 5678', '66812345678'],
    ['+52 55 1234 0101', '525512340101'],
    ['+52 1 55 1234 0101', '525512340101'],
    ['5215512340101', '525512340101'],
    ['+55 11 98765-4321', '5511987654321'],
    ['+55 11 8765-4321', '5511987654321'],
    ['+55 11 3765-4321', '551137654321'],
    ['+39 06 1234 5678', '390612345678'],
  ])('%s is %s', (written, digits) => {
    expect(phoneDigits(written, '66')).toBe(digits)
  })

  it.each([
    ['digits that an exponent has lost', '6.68E+10'],
    ['digits with a fraction', '66800000101.5'],
    ['too few', '12345'],
    ['a digit too many', '081 234 56789'],
    ['a digit too few', '081 234 567'],
    ['a float whose dot was dropped', '668000001010'],
    ['one without its zero', '812345678'],
    ['one without its plus, or its zero', '6591234567'],
    ['a plus before a trunk zero', '+0812345678'],
    ['a fax', 'Fax 02 123 4567'],
    ['a number of another', '081 234 5678 (old)'],
    ['words', 'ask the front desk'],
    ['words beside a number', 'not 081 234 5678'],
    ['an area that there is not', '+1 555 010 0001'],
    ['a country that there is not', '+999 12 345 678'],
    ['an emergency number', '191'],
    ['nothing', ''],
  ])('%s is none: %s', (_, written) => {
    expect(phoneDigits(written, '66')).toBeNull()
  })

  it('may be several in one text; what is none of them is told', () => {
    const several = [
      '081 234 5678 / 02 111 2222',
      '081-234-5678, 02-111-2222',
      '0812345678 021112222',
      '081 234 5678\n02 111 2222',
    ]
    for (const text of [...several, '081 234 5678 or 02 111 2222', '081 234 5678 หรือ 02 111 2222']) {
      expect(phonesIn(text, '66')).toEqual({ phones: ['66812345678', '6621112222'], doubtful: [] })
    }
    expect(phonesIn('12 / 081 234 5678', '66')).toEqual({ phones: ['66812345678'], doubtful: ['12'] })
  })

  it('of a country without a trunk prefix needs no zero', () => {
    expect(phoneDigits('(415) 555-0123', '1')).toBe('14155550123')
    expect(phoneDigits('415 555 012', '1')).toBeNull()
  })
})

it('digits of every script are read as such', () => {
  expect(plainText('๐๑๒๓๔๕๖๗๘๙ ０９ ٠٩')).toBe('0123456789 09 09')
})

it('a number in an old form of its country is the number of today; no other is touched', () => {
  expect(canonicalPhone('5215512340101')).toBe('525512340101')
  expect(canonicalPhone('551187654321')).toBe('5511987654321')
  const others = ['525512340101', '5511987654321', '551137654321', '66812345678', '14155550123', '521551234010', 'U4af49', '']
  for (const digits of others) expect(canonicalPhone(digits)).toBe(digits)
})

it('a user is on file under the form of the provider, or the canonical one', () => {
  expect(phonesOf('5215512340101')).toEqual(['5215512340101', '525512340101'])
  expect(phonesOf('66812345678')).toEqual(['66812345678'])
})

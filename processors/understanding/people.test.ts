import { describe, expect, test } from 'vitest'
import { normalise } from './normalize.ts'
import { answeredName, answeredPosition, introducedName, knownPosition } from './people.ts'

describe('names', () => {
  test.each([
    ['My name is Somchai', 'Somchai'],
    ['my name’s anna', 'Anna'],
    ['ชื่อสมชายค่ะ', 'สมชาย'],
    ['ผมชื่อสมชาย ใจดี ครับ', 'สมชาย ใจดี'],
    ['John Smith', 'John Smith'],
    ['somchai jaidee', 'Somchai Jaidee'],
    ["I'm Anna from front desk", 'Anna'],
    ['This is Anna', 'Anna'],
    ['Khun Lek', 'Lek'],
    ['คุณนก', 'นก'],
    ["Mr. John O'Brien", "John O'Brien"],
    ['Somchai, duty manager', 'Somchai'],
    ['Nok ka', 'Nok'],
    ['hello, Nok', 'Nok'],
    ['Ana-María', 'Ana-María'],
    ['call me Bee please', 'Bee'],
  ])('%s → %s', (text, name) => {
    expect(answeredName(text)).toBe(name)
  })

  test.each([
    '',
    '?',
    '12345',
    'x',
    "it's me",
    'no',
    'help',
    'general manager',
    'why do you need to know my name at all',
    '0812345678',
  ])('"%s" is no name', text => {
    expect(answeredName(text)).toBeNull()
  })

  test('unasked, only a name that is introduced counts', () => {
    expect(introducedName('Hello! My name is Somchai, no music')).toBe('Somchai')
    expect(introducedName('I am from Blue Lagoon')).toBeNull()
    expect(introducedName('Somchai')).toBeNull()
  })
})

describe('positions', () => {
  test.each([
    ['General Manager', 'General Manager'],
    ['GM', 'General Manager'],
    ['I am the duty manager', 'Duty Manager'],
    ['ผู้จัดการทั่วไปค่ะ', 'General Manager'],
    ['ตำแหน่งพนักงานต้อนรับครับ', 'Receptionist'],
    ['F&B manager', 'F&B Manager'],
    ['ช่าง', 'Engineer'],
    ['Head of Fun', 'Head of Fun'],
    ['I work as a night auditor.', 'night auditor'],
  ])('%s → %s', (text, position) => {
    expect(answeredPosition(text)).toBe(position)
  })

  test.each(['', '123', 'I do a little bit of everything around here really'])('"%s" is no position', text => {
    expect(answeredPosition(text)).toBeNull()
  })

  test('the longer title wins', () => {
    expect(knownPosition(normalise('assistant general manager'))).toBe('Assistant General Manager')
    expect(knownPosition(normalise('Somchai, bar manager'))).toBe('Bar Manager')
    expect(knownPosition(normalise('the music stopped'))).toBeNull()
  })
})

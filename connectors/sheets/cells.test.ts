import { describe, expect, it } from 'vitest'
import { email, id, names, whole } from './cells.ts'

describe('a whole number', () => {
  it.each([
    ['4', 4],
    ['4.0', 4],
    ['4,00', 4],
    ['๔', 4],
    ['４', 4],
    ["'4", 4],
    ['1,234', 1234],
    ['1.234', 1234],
    ['1 234', 1234],
    ['1\u00a0234', 1234],
    ["1'234", 1234],
    ['1,000', 1000],
    ['1,234.00', 1234],
    ['1.234,00', 1234],
    ['1.234E+3', 1234],
    ['12.000', 12],
  ])('%s is %i', (cell, value) => {
    expect(whole(10_000)(cell)).toEqual({ value })
  })

  it.each(['four', '-1', '4.5', '1,23', '1.000', '1.2E+3', '10,001', '1,2,3', '4 zones', ''])('%j is none', cell => {
    expect(whole(10_000)(cell)).toEqual({ expected: 'a whole number from 0 to 10000' })
  })
})

describe('an id', () => {
  it.each([
    ['101', '101'],
    ['00101', '101'],
    ['101.0', '101'],
    ['1.01E+2', '101'],
    ['1,001', '1001'],
    ['๑๐๑', '101'],
  ])('%s is %s', (cell, value) => {
    expect(id(cell)).toEqual({ value })
  })

  it.each(['V101', '101.5', '1.0E+05', '1.000', '1234567890123'])('%s is none, for it may be another', cell => {
    expect(id(cell)).toEqual({ expected: 'a whole number' })
  })
})

it.each([
  ['a@b.example', { value: 'a@b.example' }],
  ['Dao <dao@b.example>', { value: 'dao@b.example' }],
  ['mailto:a@b.example', { value: 'a@b.example' }],
  ['a@b.example, c@d.example', { value: 'a@b.example', expected: expect.stringMatching(/first/) }],
  ['a@, c@d.example', { value: 'c@d.example', expected: expect.stringMatching(/first/) }],
  ['a at b', { expected: 'an e-mail address' }],
])('the address %s', (cell, read) => {
  expect(email(cell)).toEqual(read)
})

it('several names are taken, as many as fit, and the rest is told', () => {
  expect(names(3, 10)('ST | Terrace;เทอเรส\n-')).toEqual({ value: ['ST', 'Terrace', 'เทอเรส'] })
  expect(names(2, 10)('a|b|c')).toEqual({ value: ['a', 'b'], expected: 'at most 2 names of 10 characters' })
  expect(names(2, 3)('long')).toEqual({ expected: 'at most 2 names of 3 characters' })
})

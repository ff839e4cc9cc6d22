import { describe, expect, it } from 'vitest'
import { merge, type Source, wins } from './merge.ts'

const from = (source: Source, at: number) => ({ source, at })

describe('which value of a field stands', () => {
  it.each([
    ['a manual override beats a newer value of the owner', 'location', from('sheets', 9), from('override', 1), false],
    ['a manual override replaces the value of the owner', 'location', from('override', 1), from('sheets', 9), true],
    ['a newer override replaces an older one', 'location', from('override', 2), from('override', 1), true],
    ['the sheet owns master fields, however old', 'location', from('sheets', 1), from('gmail', 9), true],
    ['nobody else replaces the owner', 'location', from('soundtrack', 9), from('sheets', 1), false],
    ['Soundtrack owns live fields', 'volume', from('soundtrack', 1), from('sheets', 9), true],
    ['the sheet does not replace a live field', 'volume', from('sheets', 9), from('soundtrack', 1), false],
    ['the newest of one owner wins', 'location', from('sheets', 2), from('sheets', 1), true],
    ['an older value of one owner loses', 'location', from('sheets', 1), from('sheets', 2), false],
    ['among strangers the newest wins', 'location', from('database', 2), from('gmail', 1), true],
    ['a tie goes to the source before in priority', 'location', from('gmail', 1), from('database', 1), true],
    ['a tie does not go to the source after in priority', 'location', from('database', 1), from('gmail', 1), false],
  ])('%s', (_what, field, offered, held, expected) => {
    expect(wins(field, offered, held)).toBe(expected)
  })

  it('anything is better than nothing', () => {
    expect(wins('location', from('database', 1), undefined)).toBe(true)
  })
})

describe('merging', () => {
  const held = { name: 'Blue Lagoon', notes: null as string | null, aliases: ['Lagoon'] }
  const origins = [
    { field: 'name', source: 'override', at: 1 },
    { field: 'aliases', source: 'sheets', at: 1 },
  ]

  it('goes field by field and names what has changed', () => {
    const values = { name: 'Blue Lagun', notes: 'quiet after ten', aliases: ['Lagoon'] }
    const merged = merge(held, origins, { source: 'sheets', at: 5, values })
    expect(merged.fields).toEqual({ name: 'Blue Lagoon', notes: 'quiet after ten', aliases: ['Lagoon'] })
    expect(merged.changed).toEqual(['notes'])
    expect(merged.origins).toEqual([
      { field: 'name', source: 'override', at: 1 },
      { field: 'aliases', source: 'sheets', at: 5 },
      { field: 'notes', source: 'sheets', at: 5 },
    ])
  })

  it('keeps no origin of a field that nobody ever filled', () => {
    expect(merge(held, [], { source: 'sheets', at: 5, values: { notes: null } }).origins).toEqual([])
  })

  it('takes the emptying of a field by its owner', () => {
    const filled: typeof held = { ...held, notes: 'old' }
    const merged = merge(filled, [{ field: 'notes', source: 'sheets', at: 1 }], {
      source: 'sheets',
      at: 2,
      values: { notes: null },
    })
    expect(merged).toMatchObject({ fields: { notes: null }, changed: ['notes'] })
  })
})

import { expect, it } from 'vitest'
import { parseSheet } from './csv.ts'
import { oddSheet } from './testing/fixture.ts'

it('of ten thousand rows with every kind of bad cell nothing is lost, and each is told', () => {
  const { text, oddities } = oddSheet(10_000)
  const { rows, refusals, refused, removals } = parseSheet(text, { year: 2026 })
  const byId = new Map(rows.map(row => [row.venue, row]))
  // A quoted line break and a good row's number make lines of their own.
  let line = 1
  let wanted = 0
  const toldAt = Map.groupBy(refusals, refusal => refusal.line)
  for (const [n, { read = {}, told = [], refused: gone = false, cells }] of oddities.entries()) {
    line += 1
    const row = byId.get(String(n + 1))
    const told_ = toldAt.get(line) ?? []
    const shifted = cells.location?.includes(',') ?? false
    wanted += told.length + Number(shifted)
    expect(row === undefined, `row ${n + 1}`).toBe(gone)
    expect(told_.map(({ column = '' }) => column)).toEqual(shifted ? [''] : told)
    expect(told_.every(refusal => refusal.refused === gone && refusal.reason !== '' && refusal.expected !== '')).toBe(true)
    const { unread = [], ...values } = read
    expect(row?.unread ?? []).toEqual(gone ? [] : expect.arrayContaining(unread))
    if (!gone && !shifted) {
      const good = {
        location: `Lane ${n + 1} Bangkok`,
        contactPhone: '+66800000101',
        zoneCount: 4,
        lastIssueDate: '2026-05-14',
        slaTier: 'standard',
      }
      const kept = Object.fromEntries(Object.entries(good).filter(([field]) => !unread.includes(field)))
      expect(row).toMatchObject(
        Object.fromEntries(Object.entries({ ...kept, ...values }).filter(([, value]) => value !== undefined)),
      )
      for (const [field, value] of Object.entries(values)) if (value === undefined) expect(row).not.toHaveProperty(field)
    }
    line += (cells.notes?.match(/\n/g) ?? []).length
  }
  expect(refusals).toHaveLength(wanted)
  expect(refused).toBe(oddities.filter(oddity => oddity.refused).length)
  expect(rows).toHaveLength(10_000 - refused)
  expect(removals).toBe(false)
})

import { describe, expect, test } from 'vitest'
import { dueAt, expected, route } from './handover.ts'
import { defaultConversationSettings } from './settings.ts'

const { supportHours } = defaultConversationSettings
/** A time in Bangkok on Wednesday, 18 June 2025. */
const bangkok = (hour: number, minute = 0) => Date.UTC(2025, 5, 18, hour - 7, minute)

describe('the expected time', () => {
  test.each([
    ['HIGH', bangkok(10), 'within 1 hour'],
    ['NORMAL', bangkok(10), 'within 4 hours'],
    ['CRITICAL', bangkok(3), 'within 15 minutes'],
    ['HIGH', bangkok(7), 'by 09:00 today'],
    ['HIGH', bangkok(20, 30), 'by 08:30 tomorrow'],
    ['HIGH', bangkok(23), 'by 09:00 tomorrow'],
    ['NORMAL', bangkok(20), 'by 11:00 tomorrow'],
    ['INFO', bangkok(10), 'by 21:00 tomorrow'],
    ['INFO', bangkok(20), 'in 2 days, by 18:00'],
  ] as const)('%s at %i is %s', (priority, now, words) => {
    expect(expected(priority, now, supportHours, 'en')).toBe(words)
  })

  test('is in Thai as well', () => {
    expect(expected('HIGH', bangkok(23), supportHours, 'th')).toBe('ภายใน 09:00 น. พรุ่งนี้')
  })

  test('the end of the day still belongs to it', () => {
    expect(dueAt('HIGH', bangkok(20), supportHours)).toBe(bangkok(21))
  })
})

describe('the desk', () => {
  test('the most urgent of several intents decides', () => {
    expect(route(['complaint', 'cancel_threat'], '', false)).toEqual({
      department: 'SALES',
      priority: 'CRITICAL',
      reason: 'cancel_threat',
    })
    expect(route(['licensing_query', 'quote_request'], '', false)).toMatchObject({ department: 'SALES', priority: 'HIGH' })
  })

  test('what is urgent is critical, and for the technicians where nobody else is named', () => {
    expect(route(['unknown'], '', true)).toMatchObject({ department: 'OPERATIONS', priority: 'CRITICAL' })
    expect(route(['change_playlist'], '', true)).toMatchObject({ department: 'DESIGN', priority: 'CRITICAL' })
  })

  test('money and law go to their own desk, in Thai too', () => {
    expect(route(['unknown'], 'ขอใบแจ้งหนี้ด้วยค่ะ', false)).toMatchObject({ department: 'FINANCE', priority: 'HIGH' })
    expect(route(['complaint'], 'จะให้ทนายติดต่อไป', false)).toMatchObject({ department: 'GENERAL', priority: 'CRITICAL' })
  })
})

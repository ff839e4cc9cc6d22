import { describe, expect, it } from 'vitest'
import { type DateOrder, type DateRead, dateBy, dateIn, orderOf } from './dates.ts'

const read = (text: string, order: DateOrder | null = null) => {
  const found = dateIn(text, 2026)
  return found === null ? null : dateBy(found, order)
}

describe('a date', () => {
  it.each([
    '2026-05-14',
    '2026/05/14',
    '2026-05-14 09:30:00',
    '2026-05-14T09:30:00.000+07:00',
    '14/5/2026',
    '14.5.2026',
    '14 5 2026',
    '5/14/2026',
    '14/5/2026 9:30 AM',
    '14/5/2569 09.30 น.',
    '๑๔/๕/๒๕๖๙',
    '2569-05-14',
    '14/05/69',
    '5/14/26',
    '20260514',
    '14052026',
    '14 May 2026',
    'Thursday, 14th of May 2026',
    'May 14, 2026',
    '14-May-26',
    '2026-May-14',
    '14 พ.ค. 2569',
    '14 พฤษภาคม 2569',
    'วันพฤหัสบดีที่ 14 พฤษภาคม พ.ศ. 2569',
    '14พ.ค.69',
    "'14/5/2026",
    '46156',
    '46156.0',
    '46156.39583',
  ])('%s is the fourteenth of May 2026', text => {
    expect(read(text)).toBe('2026-05-14')
  })

  it.each(['4/5/2026', '13/5/26', '3-4-2025', '04052026'])('%s may be two, and is none by itself', text => {
    expect(dateIn(text, 2026)).not.toBeNull()
    expect(read(text)).toBeNull()
  })

  it.each(['30/2/2026', '2026-02-30', 'soon', '2026', 'May 2026', '41226', '9/9/99', '14/5', '99999', '1/2/3/4'])(
    '%s is none',
    text => {
      expect(dateIn(text, 2026)).toBeNull()
    },
  )

  it('of two months alike is the same in every order', () => {
    expect(read('5/5/2026')).toBe('2026-05-05')
  })

  it('is read in the order of its column, and one whose year comes first in its own', () => {
    expect(read('4/5/2026', 'dmy')).toBe('2026-05-04')
    expect(read('4/5/2026', 'mdy')).toBe('2026-04-05')
    expect(read('2026-05-14', 'mdy')).toBe('2026-05-14')
    expect(read('13/5/26', 'ymd')).toBe('2013-05-26')
    expect(read('14/5/2026', 'mdy')).toBeNull()
    expect(read('14/5/2026', 'ymd')).toBe('2026-05-14')
  })
})

describe('the order of a column', () => {
  const of = (...texts: string[]) => orderOf(texts.map(text => dateIn(text, 2026)).filter(found => found !== null) as DateRead[])

  it('is what its certain cells say together', () => {
    expect(of('4/5/2026', '14/5/2026', '2026-05-14', '46156', '14 May 2026')).toBe('dmy')
    expect(of('4/5/2026', '5/14/2026')).toBe('mdy')
  })

  it('is not known while no cell says it, or two say another', () => {
    expect(of('4/5/2026', '5/5/2026', '2026-05-14', '20260514')).toBeNull()
    expect(of('14/5/2026', '5/14/2026')).toBeNull()
  })
})

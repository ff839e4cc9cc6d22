/**
 * Dates as spreadsheets show them. 4/5/2026 is the fourth of May or the fifth of April: a column has one order, which the cells
 * that can be read in one way only decide, or a setting. Without either such a cell is not read.
 */
import { DAY_MS } from '../../domain/time.ts'
import { unquoted } from '../../domain/phone.ts'

export const DATE_ORDERS = ['dmy', 'mdy', 'ymd'] as const
export type DateOrder = (typeof DATE_ORDERS)[number]

/** A date as YYYY-MM-DD, by each order that it can be read in; in all of them alike where it does not depend on it. */
export interface DateRead {
  readonly dates: ReadonlyMap<DateOrder, string>
  /** Whether it says something of the order of its column. */
  readonly telling: boolean
}

/** What a cell says. @param year the present one @returns null where it is no date */
export function dateIn(text: string, year: number): DateRead | null {
  const bare = withoutTime(unquoted(text))
  return numeric(bare, year) ?? serial(bare, year) ?? named(bare, year)
}

/** The order of a column; null while its cells do not say, or contradict each other. */
export function orderOf(cells: readonly DateRead[]): DateOrder | null {
  const votes = new Set<DateOrder>()
  for (const { dates, telling } of cells) {
    const [only, other] = dates.keys()
    if (telling && only !== undefined && other === undefined) votes.add(only)
  }
  const [order, another] = votes
  return order === undefined || another !== undefined ? null : order
}

/** The one date that a cell means in a column of this order; null if it cannot be determined. */
export function dateBy({ dates, telling }: DateRead, order: DateOrder | null): string | null {
  // Years that come first say nothing of days and months that do.
  const decides = telling && order !== null && (order !== 'ymd' || dates.has(order))
  const meant = new Set(decides ? [dates.get(order)] : dates.values())
  const [date, another] = meant
  return date === undefined || another !== undefined ? null : date
}

/** True where the order of the column decides what the cell means. */
export function isAmbiguous({ dates }: DateRead): boolean {
  return new Set(dates.values()).size > 1
}

const TIME =
  /(?:T|,?\s)\s*\d{1,2}(?::\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:[ap]\.?m\.?|น\.?)?|\.\d{2}\s*น\.?)\s*(?:Z|UTC|GMT|ICT|[+-]\d{2}:?\d{2})?$/i
const WEEKDAY =
  /^(?:(?:mon|tues?|wed(?:nes)?|thu(?:rs)?|fri|sat(?:ur)?|sun)(?:day)?\.?,?\s+|วัน?(?:จันทร์|อังคาร|พุธ|พฤหัสบดี|พฤหัสฯ?|ศุกร์|เสาร์|อาทิตย์)?(?:ที่)?\s*)/i

function withoutTime(text: string): string {
  return text.replace(TIME, '').replace(WEEKDAY, '').trim()
}

/** 14/5/2026, 2026-05-14, 14.5.69, 14052026. */
function numeric(text: string, year: number): DateRead | null {
  const [, a = '', b = '', c = ''] = SEPARATED.exec(text) ?? []
  if (a.length === 4) return alike(dateOf(yearsOf(a, year), b, c))
  if (a !== '')
    return a.length > 2 ? null : telling({ dmy: [c, b, a], mdy: [c, a, b], ...(c.length === 2 && { ymd: [a, b, c] }) }, year)
  const eight = /^(\d{2})(\d{2})(\d{2})(\d{2})$/.exec(text)
  if (eight === null) return null
  const [, p = '', q = '', r = '', s = ''] = eight
  const yearLast = telling({ dmy: [r + s, q, p], mdy: [r + s, p, q] }, year)
  const yearFirst = dateOf(yearsOf(p + q, year), r, s)
  if (yearFirst === null) return yearLast
  return yearLast === null ? alike(yearFirst) : { dates: new Map(yearLast.dates).set('ymd', yearFirst), telling: true }
}

const SEPARATED = /^(\d{1,4})\s*[/.\-\s]\s*(\d{1,2})\s*[/.\-\s]\s*(\d{4}|\d{2})\.?$/

type Parts = readonly [year: string, month: string, day: string]

function telling(ways: Partial<Record<DateOrder, Parts>>, year: number): DateRead | null {
  const dates = new Map<DateOrder, string>()
  for (const order of DATE_ORDERS) {
    const parts = ways[order]
    const date = parts && dateOf(yearsOf(parts[0], year), parts[1], parts[2])
    if (date) dates.set(order, date)
  }
  return dates.size === 0 ? null : { dates, telling: true }
}

function alike(date: string | null): DateRead | null {
  return date === null ? null : { dates: new Map(DATE_ORDERS.map(order => [order, date])), telling: false }
}

/** Day 0 of a spreadsheet's count, since it takes 1900 for a leap year. */
const DAY_0 = Date.UTC(1899, 11, 30)
const FIRST_SERIAL = 36_526 // 2000-01-01

/** The number that a spreadsheet keeps for a day. Five digits alone may also be a day, month and year without separators. */
function serial(text: string, year: number): DateRead | null {
  const [, days = '', fraction] = /^(\d{5})([.,]\d+)?$/.exec(text) ?? []
  const at = DAY_0 + Number(days) * DAY_MS
  if (days === '' || Number(days) < FIRST_SERIAL || new Date(at).getUTCFullYear() > year + 1) return null
  const [d = '', mm = '', yy = ''] = [days.slice(0, 1), days.slice(1, 3), days.slice(3)]
  const years = yearsOf(yy, year)
  const other = dateOf(years, mm, d) ?? dateOf(years, d, mm)
  return other !== null && fraction === undefined ? null : alike(new Date(at).toISOString().slice(0, 10))
}

const MONTHS: readonly RegExp[] = [
  /jan(?:uary)?|มกราคม|ม\.?\s?ค\.?/i,
  /feb(?:ruary)?|กุมภาพันธ์|ก\.?\s?พ\.?/i,
  /mar(?:ch)?|มีนาคม|มี\.?\s?ค\.?/i,
  /apr(?:il)?|เมษายน|เม\.?\s?ย\.?/i,
  /may|พฤษภาคม|พ\.?\s?ค\.?/i,
  /june?|มิถุนายน|มิ\.?\s?ย\.?/i,
  /july?|กรกฎาคม|ก\.?\s?ค\.?/i,
  /aug(?:ust)?|สิงหาคม|ส\.?\s?ค\.?/i,
  /sept?(?:ember)?|กันยายน|ก\.?\s?ย\.?/i,
  /oct(?:ober)?|ตุลาคม|ต\.?\s?ค\.?/i,
  /nov(?:ember)?|พฤศจิกายน|พ\.?\s?ย\.?/i,
  /dec(?:ember)?|ธันวาคม|ธ\.?\s?ค\.?/i,
].map(name => new RegExp(`^(?:${name.source})$`, 'i'))

/** 14 May 2026, May 14th, 2026, 14-May-26, 14 พ.ค. 2569. */
function named(text: string, year: number): DateRead | null {
  const plain = text.replace(/(?:พ\.?\s?ศ\.?|ค\.?\s?ศ\.?|b\.?e\.?|a\.?d\.?|เดือน|\bof\b)(?=\s*[\d\p{L}])/giu, ' ')
  const [, a, name, b] = NAMED_INSIDE.exec(plain) ?? []
  const [, first, c, d] = NAMED_FIRST.exec(plain) ?? []
  const month = MONTHS.findIndex(pattern => pattern.test((name ?? first ?? '').trim())) + 1
  if (month === 0) return null
  // With the month in the middle the year may come first: 2026-May-14.
  const [day = '', years = ''] = a !== undefined && a.length === 4 ? [b, a] : [a ?? c, b ?? d]
  return alike(dateOf(yearsOf(years, year), String(month), day))
}

const NAME = String.raw`([\p{L}\p{M}][\p{L}\p{M}. ]*?)`
const NAMED_INSIDE = new RegExp(String.raw`^(\d{1,4})(?:st|nd|rd|th)?[\s\-./,]*${NAME}[\s\-./,]*(\d{1,4})$`, 'iu')
const NAMED_FIRST = new RegExp(String.raw`^${NAME}[\s\-./]*(\d{1,2})(?:st|nd|rd|th)?[\s\-./,]+(\d{2}|\d{4})$`, 'iu')

/** Buddhist years are 543 ahead. */
const BUDDHIST = 543
const CENTURY = 2000

/** The years that these digits can mean: of two digits those that are not long past, and not to come. */
function yearsOf(digits: string, now: number): number[] {
  const n = Number(digits)
  if (digits.length === 2) return [CENTURY + n, CENTURY + 500 + n - BUDDHIST].filter(year => year >= CENTURY && year <= now + 1)
  if (digits.length !== 4) return []
  const year = n >= 1900 + BUDDHIST && n <= 2100 + BUDDHIST ? n - BUDDHIST : n
  return year >= 1900 && year <= 2100 ? [year] : []
}

/** The date, where it is one and only one. */
function dateOf(years: readonly number[], month: string, day: string): string | null {
  const [year, other] = years
  if (year === undefined || other !== undefined || month.length > 2 || day.length > 2) return null
  const date = new Date(Date.UTC(year, Number(month) - 1, Number(day)))
  const is = date.getUTCFullYear() === year && date.getUTCMonth() === Number(month) - 1 && date.getUTCDate() === Number(day)
  return is && day !== '' ? date.toISOString().slice(0, 10) : null
}

/** The columns of the sheet, by the names in its header, and how each is read. */
import type { SheetVenueInput } from '../../schemas/types.ts'
import { type CellRead, email, id, names, phone, text, whole } from './cells.ts'
import { type DateOrder, dateBy, dateIn, isAmbiguous } from './dates.ts'
import { type SheetProblem, problem } from './problem.ts'

/** What the sheet as a whole says of how its cells are read. */
export interface SheetLocale {
  /** Calling code of phone numbers written nationally, in digits. */
  readonly country: string
  /** Order of its dates; null if it cannot be determined. */
  readonly dates: DateOrder | null
  /** The present year. */
  readonly year: number
}

export interface Column {
  readonly name: string
  readonly field: keyof SheetVenueInput
  /** Values of it do not appear in reasons, which are kept for ever; only their shape does. */
  readonly personal?: boolean
  /** A number, a date, a phone …: words such as "none" are no value of it. */
  readonly typed?: boolean
  /** Not called for a cell that says nothing. */
  read(cell: string, locale: SheetLocale): CellRead
}

export const VENUE_ID = 'venue_id'
export const VENUE_NAME = 'venue_name'
export const LAST_ISSUE_DATE = 'last_issue_date'

/** Columns A to M of the sheet, and four that it may have besides. */
export const COLUMNS: readonly Column[] = [
  { name: VENUE_ID, field: 'venue', typed: true, read: id },
  { name: VENUE_NAME, field: 'name', read: text(200) },
  { name: 'location', field: 'location', read: text(500) },
  { name: 'contact_name', field: 'contactName', personal: true, read: text(200) },
  { name: 'contact_email', field: 'contactEmail', personal: true, typed: true, read: email },
  {
    name: 'contact_phone',
    field: 'contactPhone',
    personal: true,
    typed: true,
    read: (cell, { country }) => phone(country)(cell),
  },
  { name: 'soundtrack_account_id', field: 'soundtrackAccount', typed: true, read: text(200) },
  { name: 'zone_count', field: 'zoneCount', typed: true, read: whole(10_000) },
  { name: 'subscription_status', field: 'subscriptionStatus', read: text(100) },
  { name: LAST_ISSUE_DATE, field: 'lastIssueDate', typed: true, read: date },
  { name: 'notes', field: 'notes', personal: true, read: cell => ({ value: cell.slice(0, 2000) }) },
  { name: 'priority_level', field: 'priorityLevel', read: text(100) },
  { name: 'sla_tier', field: 'slaTier', read: text(100) },
  { name: 'contact_position', field: 'contactPosition', read: text(200) },
  { name: 'soundtrack_location_id', field: 'soundtrackLocation', typed: true, read: text(200) },
  { name: 'volume_cap', field: 'volumeCap', typed: true, read: whole(16) },
  { name: 'aliases', field: 'aliases', read: names(20, 100) },
]
/** Without these it is not the sheet. */
const REQUIRED = [VENUE_ID, VENUE_NAME]

export interface Header {
  /** Which column each cell of a row belongs to; undefined where it is none of ours. */
  readonly columns: readonly (Column | undefined)[]
  /** Columns that the sheet does not have: it says nothing of them. */
  readonly absent: readonly Column[]
  /** Columns that it has more than once. */
  readonly twice: readonly Column[]
}

/** Names are found in any order; case, spaces and signs aside. */
const bare = (name: string) =>
  name
    .normalize('NFKC')
    .toLowerCase()
    .replace(/[^a-z0-9]/g, '')
const BY_NAME = new Map(COLUMNS.map(column => [bare(column.name), column]))

/** How many of these cells name a column. */
export function known(cells: readonly string[]): number {
  return cells.filter(cell => BY_NAME.has(bare(cell))).length
}

export function isHeader(cells: readonly string[]): boolean {
  const found = new Set(cells.map(cell => BY_NAME.get(bare(cell))?.name))
  return REQUIRED.every(name => found.has(name))
}

/** @returns the header, or what is wrong with it */
export function headerOf(cells: readonly string[], line: number): Header | SheetProblem {
  const columns = cells.map(cell => BY_NAME.get(bare(cell)))
  const count = (column: Column) => columns.filter(c => c === column).length
  const lacking = REQUIRED.filter(name => !columns.some(column => column?.name === name))
  if (lacking.length > 0) return problem('no_header', `line ${line} has no column ${lacking.join(', ')}`)
  const twice = COLUMNS.filter(column => count(column) > 1)
  const unclear = twice.filter(({ name }) => REQUIRED.includes(name)).map(({ name }) => name)
  if (unclear.length > 0) return problem('no_header', `line ${line} has two columns ${unclear.join(', ')}`)
  return { columns, absent: COLUMNS.filter(column => count(column) === 0), twice }
}

const ORDERS: Readonly<Record<DateOrder, string>> = { dmy: 'day/month/year', mdy: 'month/day/year', ymd: 'year/month/day' }

export const orderWords = (order: DateOrder): string => ORDERS[order]

function date(cell: string, { dates: order, year }: SheetLocale): CellRead {
  const read = dateIn(cell, year)
  if (read === null) return { expected: 'a date, such as 2026-05-14' }
  const value = dateBy(read, order)
  if (value !== null) return { value }
  if (order !== null) return { expected: `a date as ${ORDERS[order]}, or such as 2026-05-14` }
  const ways = [...read.dates.keys()].map(way => ORDERS[way]).join(' or ')
  return {
    expected: `a date in one order, and this may be ${isAmbiguous(read) ? ways : 'any'}; write 2026-05-14, or set SHEET_DATE_ORDER`,
  }
}

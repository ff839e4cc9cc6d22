/**
 * The venue sheet as CSV text: which column is which, which rows are good, and why the others are not.
 */
import { CsvError, parse } from 'csv-parse/sync'
import type { RowRefusal, SheetVenueInput } from '../../schemas/types.ts'

export interface ParsedSheet {
  /** Why nothing of it can be used: `empty`, `no_header: …`; null where it could be read. */
  readonly error: string | null
  readonly rows: readonly SheetVenueInput[]
  /** Every refused row. */
  readonly refusals: readonly RowRefusal[]
  /** Venue ids of refused rows, as far as they could be read. */
  readonly kept: readonly string[]
  /** False when a refused row's id could not be read, so that a venue that seems to be missing may be that row. */
  readonly removals: boolean
}

interface Column {
  readonly name: string
  /** Values of it do not appear in reasons, which are kept for ever; only their shape does. */
  readonly personal?: boolean
  /** Puts the value into the row, or says what is wrong with it. Not called for an empty cell. */
  put(row: SheetVenueInput, value: string, country: string): string | undefined
}

type TextField = {
  [F in keyof SheetVenueInput]-?: SheetVenueInput[F] extends string | null | undefined ? F : never
}[keyof SheetVenueInput]

/** Columns A to M of the sheet, and four that it may have besides. Columns are found by name; others are ignored. */
const COLUMNS: readonly Column[] = [
  { name: 'venue_id', put: (row, value) => take(/^\d{1,12}$/.test(value), 'a whole number', () => (row.venue = String(+value))) },
  text('venue_name', 'name', 200),
  text('location', 'location', 500),
  { ...text('contact_name', 'contactName', 200), personal: true },
  {
    name: 'contact_email',
    personal: true,
    put: (row, value) => take(EMAIL.test(value) && value.length <= 254, 'an e-mail address', () => (row.contactEmail = value)),
  },
  {
    name: 'contact_phone',
    personal: true,
    put(row, value, country) {
      const digits = phoneDigits(value, country)
      return take(digits !== null, 'a phone number', () => (row.contactPhone = digits))
    },
  },
  text('soundtrack_account_id', 'soundtrackAccount', 200),
  whole('zone_count', 'zoneCount', 10_000),
  text('subscription_status', 'subscriptionStatus', 100),
  { name: 'last_issue_date', put: (row, value) => take(isDate(value), 'a date YYYY-MM-DD', () => (row.lastIssueDate = value)) },
  {
    name: 'notes',
    personal: true,
    put(row, value) {
      row.notes = value.slice(0, 2000)
    },
  },
  text('priority_level', 'priorityLevel', 100),
  text('sla_tier', 'slaTier', 100),
  text('contact_position', 'contactPosition', 200),
  text('soundtrack_location_id', 'soundtrackLocation', 200),
  whole('volume_cap', 'volumeCap', 16),
  { name: 'aliases', put: putAliases },
]
const REQUIRED = ['venue_id', 'venue_name']
const EMAIL = /^[^\s@,;]+@[^\s@.,;]+(\.[^\s@.,;]+)+$/
/** A longer row is a quote that was never closed, swallowing the rows below it. */
const MAX_ROW_BYTES = 64 * 1024

/**
 * Parses the sheet. A bad row is refused with its reasons and never takes a good one with it.
 * @param country country code, in digits, that a national number (one leading zero) belongs to
 */
export function parseSheet(csv: string, country = '66'): ParsedSheet {
  const [header, ...lines] = linesOf(csv)
  if (header === undefined) return failed('empty')
  if (header.cells === null) return failed(`no_header: line 1 cannot be read: ${header.broken}`)
  const { columns, error } = columnsOf(header.cells)
  if (error !== null) return failed(error)

  const rows = new Map<string, SheetVenueInput>()
  const lineOf = new Map<string, number>()
  const refusals: RowRefusal[] = []
  const kept = new Set<string>()
  let removals = true
  for (const { line, cells, broken } of lines) {
    if (cells?.every(cell => cell.trim() === '')) continue
    const { row, reasons } = cells === null ? { row: emptyRow(), reasons: [broken] } : rowOf(cells, columns, country)
    const before = lineOf.get(row.venue)
    if (before !== undefined) reasons.push(`venue_id ${row.venue} is on line ${before} already`)
    if (reasons.length === 0) {
      rows.set(row.venue, row)
      lineOf.set(row.venue, line)
      continue
    }
    refusals.push({ line, reason: reasons.join('; ') })
    if (row.venue === '') removals = false
    else kept.add(row.venue)
  }
  return { error: null, rows: [...rows.values()], refusals, kept: [...kept], removals }
}

/**
 * Digits of a phone number in E.164, without the plus; null where it cannot be one (8 to 15 digits, ITU-T E.164).
 * @param country country code that replaces the one leading zero of a national number
 */
export function phoneDigits(value: string, country: string): string | null {
  const bare = value
    .replace(/^'/, '')
    .replace('(0)', '')
    .replace(/[\s().\-–]/g, '')
  if (!/^\+?\d+$/.test(bare)) return null
  const digits = bare.startsWith('+')
    ? bare.slice(1)
    : bare.startsWith('00')
      ? bare.slice(2)
      : bare.startsWith('0')
        ? country + bare.slice(1)
        : bare
  return /^[1-9]\d{7,14}$/.test(digits) ? digits : null
}

type Line =
  | { readonly line: number; readonly cells: string[]; readonly broken: '' }
  | { readonly line: number; readonly cells: null; readonly broken: string }

/** The records of the text with the line each begins on. After one that cannot be read it goes on with the line below it. */
function linesOf(csv: string): Line[] {
  const lines: Line[] = []
  let rest = csv.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n')
  let above = 0
  while (rest.trim() !== '') {
    let end = 0
    try {
      parse(rest, {
        record_delimiter: '\n',
        relax_column_count: true,
        max_record_size: MAX_ROW_BYTES,
        on_record: (cells: string[], { lines: last }) => {
          lines.push({ line: above + end + 1, cells, broken: '' })
          end = last
          return null
        },
      })
      return lines
    } catch (error) {
      if (!(error instanceof CsvError)) throw error
      const broken = 'a quote (") that is not closed, or not doubled inside a quoted cell'
      lines.push({ line: above + end + 1, cells: null, broken })
      rest = below(rest, end + 1)
      above += end + 1
    }
  }
  return lines
}

/** The text without its first `count` lines. */
function below(text: string, count: number): string {
  let at = 0
  for (let n = 0; n < count; n++) {
    const newline = text.indexOf('\n', at)
    if (newline < 0) return ''
    at = newline + 1
  }
  return text.slice(at)
}

/** Which column each cell of a row belongs to; undefined where it is none of ours. */
function columnsOf(header: readonly string[]): { columns: (Column | undefined)[]; error: string | null } {
  const bare = (name: string) => name.toLowerCase().replace(/[^a-z0-9]/g, '')
  const columns = header.map(cell => COLUMNS.find(column => bare(column.name) === bare(cell)))
  const missing = REQUIRED.filter(name => !columns.some(column => column?.name === name))
  const twice = COLUMNS.filter(column => columns.filter(c => c === column).length > 1).map(column => column.name)
  const error =
    missing.length > 0
      ? `no_header: line 1 has no column ${missing.join(', ')}`
      : twice.length > 0
        ? `no_header: line 1 has two columns ${twice.join(', ')}`
        : null
  return { columns, error }
}

function rowOf(cells: readonly string[], columns: readonly (Column | undefined)[], country: string) {
  const row = emptyRow()
  const reasons: string[] = []
  for (const [at, column] of columns.entries()) {
    const value = (cells[at] ?? '').trim()
    if (column === undefined || value === '' || value === '-') continue
    const wrong = UNREADABLE.test(value) ? 'not UTF-8 text' : column.put(row, value, country)
    if (wrong !== undefined) reasons.push(`${column.name} "${shown(value, column.personal ?? false)}" is ${wrong}`)
  }
  for (const name of REQUIRED) {
    const at = columns.findIndex(column => column?.name === name)
    const value = (cells[at] ?? '').trim()
    if (value === '' || value === '-') reasons.push(`${name} is missing`)
  }
  const extra = cells.slice(columns.length).filter(cell => cell.trim() !== '')
  if (extra.length > 0) reasons.push(`${cells.length} cells under ${columns.length} columns`)
  return { row, reasons }
}

/** What a damaged encoding leaves behind, and what no store takes. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what it looks for
const UNREADABLE = /[\ufffd\u0000]/

function emptyRow(): SheetVenueInput {
  return { venue: '', name: '', location: '' }
}

function failed(error: string): ParsedSheet {
  return { error, rows: [], refusals: [], kept: [], removals: false }
}

function text(name: string, field: TextField, max: number): Column {
  return { name, put: (row, value) => take(value.length <= max, `at most ${max} characters`, () => (row[field] = value)) }
}

function whole(name: string, field: 'zoneCount' | 'volumeCap', max: number): Column {
  return {
    name,
    put: (row, value) =>
      take(/^\d{1,9}$/.test(value) && +value <= max, `a whole number from 0 to ${max}`, () => (row[field] = +value)),
  }
}

function putAliases(row: SheetVenueInput, value: string): string | undefined {
  const aliases = value
    .split('|')
    .map(alias => alias.trim())
    .filter(alias => alias !== '')
  const fit = aliases.length <= 20 && aliases.every(alias => alias.length <= 100)
  return take(fit, 'at most 20 names of 100 characters', () => (row.aliases = aliases))
}

function take(good: boolean, wanted: string, put: () => unknown): string | undefined {
  if (!good) return `not ${wanted}`
  put()
}

function isDate(value: string): boolean {
  if (!/^\d{4}-\d{2}-\d{2}$/.test(value)) return false
  const date = new Date(`${value}T00:00:00Z`)
  return !Number.isNaN(date.getTime()) && date.toISOString().startsWith(value)
}

/** The value for a reason: cut, and of personal data only its shape (letters as x, digits as 9). */
function shown(value: string, personal: boolean): string {
  const cut = value.length > 40 ? value.slice(0, 39) + '…' : value
  return personal ? cut.replace(/[\p{L}\p{M}]/gu, 'x').replace(/\p{Nd}/gu, '9') : cut
}

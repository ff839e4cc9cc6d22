/**
 * The venue sheet as CSV text: which rows are good, which cells of them could not be read, and why. Only the id and the name refuse
 * a row; any other cell costs itself alone.
 */
import { DEFAULT_CHOICES } from '../../domain/tenants.ts'
import type { RowRefusalInput, SheetVenueInput } from '../../schemas/types.ts'
import { isDamaged, isFailed, isNothing } from './cells.ts'
import {
  type Column,
  COLUMNS,
  type Header,
  headerOf,
  isHeader,
  known,
  LAST_ISSUE_DATE,
  orderWords,
  type SheetLocale,
  VENUE_ID,
  VENUE_NAME,
} from './columns.ts'
import { type DateOrder, dateBy, dateIn, isAmbiguous, orderOf } from './dates.ts'
import { problem, type SheetProblem } from './problem.ts'
import { type Line, recordsOf } from './records.ts'

export interface ParsedSheet {
  /** Why nothing of it can be used; null where it could be read. */
  readonly error: SheetProblem | null
  readonly rows: readonly SheetVenueInput[]
  /** Every row that was refused and every cell that could not be read, in the order of the sheet. */
  readonly refusals: readonly RowRefusalInput[]
  /** How many rows were refused. */
  readonly refused: number
  /** Venue ids of refused rows, as far as they could be read. */
  readonly kept: readonly string[]
  /** False when a refused row's id could not be read, so that a venue that seems to be missing may be that row. */
  readonly removals: boolean
}

export interface SheetSettings {
  /** Calling code, in digits, that a national number (one leading zero) belongs to. */
  readonly country?: string
  /** Order of dates such as 4/5/2026; null: as the cells say that can be read in one way only. */
  readonly dateOrder?: DateOrder | null
  /** The present year. */
  readonly year?: number
}

/** Parses the sheet. A bad row is refused with its reasons and never takes a good one with it. */
export function parseSheet(csv: string, settings: SheetSettings = {}): ParsedSheet {
  const [first, ...lines] = recordsOf(csv, { isHeader, known })
  if (first === undefined) return failed(problem('empty'))
  if (first.cells === null) return failed(problem('no_header', `line ${first.line} cannot be read: ${first.broken}`))
  const header = headerOf(first.cells, first.line)
  if ('code' in header) return failed(header)

  const { locale, problems } = localeOf(header, lines, settings)
  const rows = new Map<string, SheetVenueInput>()
  const lineOf = new Map<string, number>()
  const refusals: RowRefusalInput[] = [...ofHeader(header, first.line), ...problems]
  const kept = new Set<string>()
  let refused = 0
  let removals = true
  for (const { line, cells, broken } of lines) {
    if (cells?.every(cell => cell.trim() === '')) continue
    const { row, reasons, problems } = cells === null ? unread(broken) : rowOf(cells, header, locale)
    const before = lineOf.get(row.venue)
    if (before !== undefined) reasons.push({ reason: `venue_id ${row.venue} is on line ${before} already`, column: VENUE_ID })
    if (reasons.length === 0) {
      rows.set(row.venue, row)
      lineOf.set(row.venue, line)
      refusals.push(...problems.map(problem => ({ line, refused: false, ...problem })))
      continue
    }
    refused++
    refusals.push({ line, ...reasons[0], reason: reasons.map(({ reason }) => reason).join('; '), refused: true })
    if (row.venue === '') removals = false
    else kept.add(row.venue)
  }
  const sorted = refusals.sort((a, b) => a.line - b.line)
  return { error: null, rows: [...rows.values()], refusals: sorted, refused, kept: [...kept], removals }
}

type Problem = Omit<RowRefusalInput, 'line' | 'refused'>

interface RowRead {
  readonly row: SheetVenueInput
  /** Why the row is refused. */
  readonly reasons: Problem[]
  /** Cells that cost themselves. */
  readonly problems: Problem[]
}

function rowOf(cells: readonly string[], header: Header, locale: SheetLocale): RowRead {
  const row: SheetVenueInput = { venue: '', name: '', location: '' }
  const reasons: Problem[] = []
  const problems: Problem[] = []
  const unreadable = new Set(header.absent.map(({ field }) => field))
  const { columns } = header
  const extra = cells.slice(columns.length).some(cell => cell.trim() !== '')
  for (const column of new Set(columns)) {
    if (column === undefined) continue
    const required = column.name === VENUE_ID || column.name === VENUE_NAME
    // Cells behind a comma that was not quoted stand under the wrong columns.
    if (extra && !required) {
      unreadable.add(column.field)
      continue
    }
    const cell = cellOf(cells, column, header)
    const { value, expected } = cell === null ? { expected: 'the same in both columns' } : readCell(cell, column, locale)
    if (value !== undefined) Object.assign(row, { [column.field]: value })
    if (expected === undefined) continue
    if (value === undefined) unreadable.add(column.field)
    const shown = shownCell(cell ?? '', column.personal ?? false)
    const problem = { column: column.name, value: shown, expected, reason: `${column.name} "${shown}" is not ${expected}` }
    ;(required ? reasons : problems).push(problem)
  }
  for (const [name, value] of [[VENUE_ID, row.venue] as const, [VENUE_NAME, row.name] as const]) {
    if (value === '' && !reasons.some(({ column }) => column === name)) {
      reasons.push({ column: name, value: '', expected: 'a value', reason: `${name} is missing` })
    }
  }
  if (extra) {
    const reason = `${cells.length} cells under ${columns.length} columns`
    problems.push({
      reason: `${reason}: only the id is taken, and the name where it is new`,
      expected: 'cells with a separator inside in quotes',
    })
    unreadable.add('name')
  }
  if (unreadable.size > 0) row.unread = [...unreadable]
  return { row, reasons, problems }
}

/** The cell of a column; of one that is there twice the one that says something, and null where they differ. */
function cellOf(cells: readonly string[], column: Column, { columns, twice }: Header): string | null {
  if (!twice.includes(column)) return (cells[columns.indexOf(column)] ?? '').trim()
  const said = new Set(columns.flatMap((other, at) => (other === column ? [(cells[at] ?? '').trim()] : [])).filter(c => c !== ''))
  const [cell = '', another] = said
  return another === undefined ? cell : null
}

function readCell(cell: string, column: Column, locale: SheetLocale): { value?: unknown; expected?: string } {
  if (isNothing(cell, column.typed ?? false)) return {}
  if (isDamaged(cell)) return { expected: 'UTF-8 text' }
  if (isFailed(cell)) return { expected: 'a value, but a formula that failed' }
  return column.read(cell, locale)
}

function unread(broken: string): RowRead {
  return { row: { venue: '', name: '', location: '' }, reasons: [{ reason: broken, expected: 'doubled quotes' }], problems: [] }
}

/** What the header has twice. What it lacks the sheet says nothing of, and what was known of it stays. */
function ofHeader({ twice }: Header, line: number): RowRefusalInput[] {
  return twice.map(({ name }) => ({
    line,
    column: name,
    expected: 'one column of this name',
    refused: false,
    reason: `there are two columns ${name}: read where they agree`,
  }))
}

/** How the sheet writes dates, and what it was decided by. */
function localeOf(
  header: Header,
  lines: readonly Line[],
  { country = DEFAULT_CHOICES.countryCode, dateOrder = null, year = new Date().getUTCFullYear() }: SheetSettings,
): { locale: SheetLocale; problems: RowRefusalInput[] } {
  const column = COLUMNS.find(({ name }) => name === LAST_ISSUE_DATE) as Column
  const at = header.columns.indexOf(column)
  const found = lines.flatMap(({ line, cells }) => {
    const cell = cells?.[at]?.trim() ?? ''
    const read = cell === '' ? null : dateIn(cell, year)
    return read === null ? [] : [{ line, cell, read }]
  })
  const order = dateOrder ?? orderOf(found.map(({ read }) => read))
  const locale = { country, dates: order, year }
  const unsure = found.filter(({ read }) => isAmbiguous(read))
  const [first] = unsure
  if (dateOrder !== null || order === null || first === undefined) return { locale, problems: [] }
  const by = found.find(({ read }) => read.telling && !isAmbiguous(read))?.line
  const others =
    unsure.length === 1 ? '' : unsure.length === 2 ? ', as is one more like it' : `, as are ${unsure.length - 1} more like it`
  const reason =
    `${LAST_ISSUE_DATE} "${first.cell}" is read as ${dateBy(first.read, order)}${others}: ` +
    `the column is ${orderWords(order)} by line ${by}`
  const expected = 'a date such as 2026-05-14, or SHEET_DATE_ORDER'
  return {
    locale,
    problems: [{ line: first.line, column: LAST_ISSUE_DATE, value: first.cell, expected, refused: false, reason }],
  }
}

function failed(error: SheetProblem): ParsedSheet {
  return { error, rows: [], refusals: [], refused: 0, kept: [], removals: false }
}

/** An address, or as many digits as a phone has, under whatever column. */
const PERSONAL = /@|(?:\p{Nd}[\s().-]*){9,}/u

/** The value for a reason: cut, and of personal data only its shape (letters as x, digits as 9). */
function shownCell(value: string, personal: boolean): string {
  const cut = value.length > 40 ? value.slice(0, 39) + '…' : value
  if (!personal && !PERSONAL.test(value)) return cut
  return cut.replace(/[\p{L}\p{M}]/gu, 'x').replace(/\p{Nd}/gu, '9')
}

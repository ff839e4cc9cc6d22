/**
 * The records of a sheet's text, whatever separates the cells: a comma, a semicolon, a tab or a bar, as the header shows.
 */
import { CsvError, type Options, parse } from 'csv-parse/sync'

/** A record and the line that it begins on; `broken` says why it has no cells. */
export type Line =
  | { readonly line: number; readonly cells: string[]; readonly broken: '' }
  | { readonly line: number; readonly cells: null; readonly broken: string }

const SEPARATORS = [',', ';', '\t', '|'] as const
/** A longer row is a quote that was never closed, swallowing the rows below it. */
const MAX_ROW_BYTES = 64 * 1024
/** The header stands within the first lines, perhaps below a title. */
const HEAD_CHARACTERS = 8 * 1024
const HEAD_LINES = 10

/** What a header looks like. */
export interface HeaderTest {
  /** Whether these cells are the header. */
  isHeader(cells: readonly string[]): boolean
  /** How many of them name a column of the sheet. */
  known(cells: readonly string[]): number
}

/** @returns the records from the header on, or from the first where none is one */
export function recordsOf(csv: string, { isHeader, known }: HeaderTest): Line[] {
  const text = csv.replace(/^\ufeff/, '').replace(/\r\n?/g, '\n')
  // Excel's own word for the separator, in a first line that is none of the sheet's.
  const said = /^"?sep=(.)"?\n/i.exec(text)
  const body = said === null ? text : text.slice(said[0].length)
  const above = said === null ? 0 : 1
  const head = body.slice(0, HEAD_CHARACTERS)
  const separators = said === null ? SEPARATORS : [said[1] as string, ...SEPARATORS]
  for (const separator of separators) {
    const at = headerIn(linesOf(head, separator, above), isHeader)
    if (at >= 0) return linesOf(body, separator, above).slice(at)
  }
  const quoted = quotedWhole(body, head, above, isHeader)
  if (quoted !== null) return quoted
  const columns = (separator: string) => known(linesOf(head, separator, above)[0]?.cells ?? [])
  const [likeliest = ','] = [...SEPARATORS].sort((a, b) => columns(b) - columns(a))
  return linesOf(body, likeliest, above)
}

function headerIn(lines: readonly Line[], isHeader: (cells: readonly string[]) => boolean): number {
  return lines.slice(0, HEAD_LINES).findIndex(({ cells }) => cells !== null && isHeader(cells))
}

/** A program has put every line as a whole into quotes: what is inside is the sheet. */
function quotedWhole(body: string, head: string, above: number, isHeader: (cells: readonly string[]) => boolean): Line[] | null {
  const inner = (text: string) => linesOf(text, '\0', above).map(({ line, cells }) => ({ line, text: cells?.[0] ?? '' }))
  const first = inner(head).slice(0, HEAD_LINES)
  for (const separator of SEPARATORS) {
    const at = first.findIndex(({ text }) => isHeader(linesOf(text, separator, 0)[0]?.cells ?? []))
    if (at < 0) continue
    return inner(body)
      .slice(at)
      .flatMap(({ line, text }) => linesOf(text, separator, line - 1))
  }
  return null
}

/**
 * The records with the line each begins on. Runs of lines that are records by themselves are parsed together; a line that is none is
 * the beginning of a record of several, or broken, and then it alone is lost.
 */
function linesOf(text: string, separator: string, above: number): Line[] {
  const isRecord = wellFormed(separator)
  const physical = text.split('\n')
  const lines: Line[] = []
  let run: { line: number; text: string }[] = []
  const endRun = () => {
    const records = parseCsv(run.map(({ text }) => text).join('\n'), separator)
    for (const [n, cells] of records.entries()) lines.push({ line: run[n]?.line as number, cells, broken: '' })
    run = []
  }
  for (let at = 0; at < physical.length; at++) {
    const first = physical[at] as string
    const line = above + at + 1
    if (first.trim() === '') continue
    if (isRecord(first)) {
      run.push({ line, text: first })
      continue
    }
    endRun()
    const several = quotesIn(first) % 2 === 1 ? recordFrom(physical, at, separator) : null
    const cells = several?.cells ?? mended(first, separator, lines[0]?.cells?.length ?? 0)
    if (cells !== null) lines.push({ line, cells, broken: '' })
    else lines.push({ line, cells: null, broken: 'a quote (") that is not closed, or not doubled inside a quoted cell' })
    at += (several?.length ?? 1) - 1
  }
  endRun()
  return lines
}

function parseCsv(text: string, separator: string, more: Options = {}): string[][] {
  // A tab may be both, white space and what separates.
  const trim = separator !== '\t'
  const common = { delimiter: separator, record_delimiter: '\n', relax_column_count: true, trim, max_record_size: MAX_ROW_BYTES }
  return parse(text, { ...common, ...more }) as unknown as string[][]
}

/** Tells whether a line is a record by itself. */
function wellFormed(separator: string): (line: string) => boolean {
  const by = `\\x${separator.charCodeAt(0).toString(16).padStart(2, '0')}`
  const whole = new RegExp(`^(?:(?: *"(?:[^"]|"")*" *|[^"${by}]*)(?:${by}|$))*$`)
  return line => line.length < MAX_ROW_BYTES / 4 && (!line.includes('"') || whole.test(line))
}

function quotesIn(line: string): number {
  return line.split('"').length - 1
}

/** The record of several lines that begins here, and of how many; null where its quote is never closed, or closed in vain. */
function recordFrom(physical: readonly string[], from: number, separator: string): { cells: string[]; length: number } | null {
  const window: string[] = []
  for (let at = from, size = 0; at < physical.length && size <= MAX_ROW_BYTES; at++) {
    window.push(physical[at] as string)
    size += (physical[at] as string).length + 1
  }
  let found: { cells: string[]; length: number } | null = null
  try {
    parseCsv(window.join('\n'), separator, {
      to: 1,
      on_record: (cells: string[], { lines: length }) => {
        found = { cells, length }
        return null
      },
    })
    return found
  } catch (error) {
    if (error instanceof CsvError) return null
    throw error
  }
}

/** The cells of a line whose quotes are not doubled, where they fit the columns all the same. */
function mended(line: string, separator: string, columns: number): string[] | null {
  try {
    const [cells, more] = parseCsv(line, separator, { relax_quotes: true, trim: false })
    if (cells === undefined || more !== undefined || cells.length !== columns || columns < 3) return null
    return cells.map(cell =>
      cell
        .trim()
        .replace(/^"(.*)"$/s, '$1')
        .replaceAll('\\"', '"'),
    )
  } catch (error) {
    if (error instanceof CsvError) return null
    throw error
  }
}

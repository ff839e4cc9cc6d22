/**
 * The records of a sheet's text, whatever separates the cells: a comma, a semicolon, a tab or a bar, as the header shows.
 */
import { CsvError, parse } from 'csv-parse/sync'

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

/** The records with the line each begins on. After one that cannot be read it goes on with the line below it. */
function linesOf(text: string, separator: string, above: number): Line[] {
  const lines: Line[] = []
  let rest = text
  let before = above
  while (rest.trim() !== '') {
    let end = 0
    try {
      parse(rest, {
        delimiter: separator,
        record_delimiter: '\n',
        relax_column_count: true,
        max_record_size: MAX_ROW_BYTES,
        on_record: (cells: string[], { lines: last }) => {
          lines.push({ line: before + end + 1, cells, broken: '' })
          end = last
          return null
        },
      })
      return lines
    } catch (error) {
      if (!(error instanceof CsvError)) throw error
      rest = below(rest, end)
      const newline = rest.indexOf('\n')
      const first = newline < 0 ? rest : rest.slice(0, newline)
      const line = before + end + 1
      const cells = mended(first, separator, lines[0]?.cells?.length ?? 0)
      if (cells !== null) lines.push({ line, cells, broken: '' })
      else lines.push({ line, cells: null, broken: 'a quote (") that is not closed, or not doubled inside a quoted cell' })
      rest = newline < 0 ? '' : rest.slice(newline + 1)
      before = line
    }
  }
  return lines
}

/** The cells of a line whose quotes are not doubled, where they fit the columns all the same. */
function mended(line: string, separator: string, columns: number): string[] | null {
  try {
    const [cells, more] = parse(line, { delimiter: separator, relax_quotes: true, relax_column_count: true }) as string[][]
    if (cells === undefined || more !== undefined || cells.length !== columns || columns < 3) return null
    return cells.map(cell => (/^".*"$/s.test(cell) ? cell.slice(1, -1) : cell).replaceAll('\\"', '"'))
  } catch {
    return null
  }
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

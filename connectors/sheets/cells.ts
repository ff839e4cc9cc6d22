/**
 * What the cells of the sheet mean, one by one: numbers, ids, e-mail addresses, lists, texts. A cell says something, nothing, or
 * something that cannot be read.
 */
import { phonesIn, plainText, unquoted } from '../../domain/phone.ts'

/** What a cell says. With a value and `expected` the rest of the cell was left out. */
export interface CellRead {
  readonly value?: unknown
  /** What was expected, where the cell, or a part of it, could not be read. */
  readonly expected?: string
}

/** A formula that failed: what it would say is not known. */
export function isFailed(text: string): boolean {
  return /^(?:#(?:N\/A|REF!|VALUE!|DIV\/0!|NAME\?|NULL!|NUM!|SPILL!|CALC!|FIELD!|BLOCKED!|BUSY!|CONNECT!|UNKNOWN!|GETTING_DATA|ERROR!)|Err:\d{3}|#+|Loading\.\.\.)$/i.test(
    plainText(text),
  )
}

/** What a damaged encoding leaves behind, and what no store takes. */
export function isDamaged(text: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: NUL is what it looks for
  return /[\ufffd\u0000]/.test(text)
}

/** Words for "nothing", where a name or a text could stand. */
const NOTHING = /^(?:[-–—_.?\s]+|n\.?\s?\/?\s?a\.?|null|nil|ไม่มี(?:ข้อมูล)?|ยังไม่มี|ไม่ระบุ|ไม่ทราบ|รอข้อมูล)$/i
/** Besides, where a number, a date, a phone or an id has to stand. */
const NOTHING_ELSE = /^(?:none|no|unknown|not (?:available|applicable|set|known)|tbc|tbd|tba|pending|blank|empty)$/i

/** True where a person says that there is nothing. @param typed false where words are a value */
export function isNothing(text: string, typed: boolean): boolean {
  const said = text.trim()
  return said === '' || NOTHING.test(said) || (typed && NOTHING_ELSE.test(said))
}

/** A text of at most so many characters. */
export function text(max: number) {
  return (cell: string): CellRead => (cell.length <= max ? { value: cell } : { expected: `at most ${max} characters` })
}

/** A whole number, as spreadsheets of any locale write it. */
export function whole(max: number) {
  const expected = `a whole number from 0 to ${max}`
  return (cell: string): CellRead => {
    const fitting = numbersIn(cell).filter(n => n <= max)
    const [number, other] = fitting
    return number !== undefined && other === undefined ? { value: number } : { expected }
  }
}

/** An id of at most 12 digits. One whose digits a spreadsheet has lost is none. */
export function id(cell: string): CellRead {
  const [number, other] = numbersIn(cell)
  if (number === undefined || other !== undefined || number >= 1e12) return { expected: 'a whole number' }
  return { value: String(number) }
}

/**
 * The whole numbers that a cell can mean: `4`, `4.0`, `1,234`, `1 234`, `๑๒`, `1.2E+3` (no: digits may be lost). 1.000 is one or a
 * thousand.
 */
function numbersIn(cell: string): number[] {
  const bare = unquoted(cell).replace(/\s+(?=\d{3}(?:\D|$))/g, ' ')
  const found = new Set<number>()
  const [, digits, zeros] = /^(\d{1,15})(?:[.,](0+))?$/.exec(bare) ?? []
  if (digits !== undefined) found.add(Number(digits))
  if (digits === undefined || zeros?.length === 3) {
    // With a comma for thousands, 1,000 is what everybody who groups digits writes; a decimal comma has no three zeros.
    const grouped = /^\d{1,3}([ ,.'’])\d{3}(?:\1\d{3})*(?:[.,]0+)?$/.exec(bare)
    if (grouped !== null && bare.startsWith('0') === false) {
      const separator = grouped[1] as string
      if (separator === ',') found.clear()
      const last = new RegExp(`[${separator === '.' ? ',' : '.,'}]0+$`)
      const whole = separator === ',' ? bare.replace(/\.0+$/, '') : bare.replace(last, '')
      found.add(Number(whole.replace(/\D/g, '')))
    }
  }
  const [, first = '', fraction = '', exponent] = /^(\d)(?:[.,](\d+))?e\+?(\d{1,2})$/i.exec(bare) ?? []
  if (exponent !== undefined && fraction.length === Number(exponent)) found.add(Number(first + fraction))
  return [...found]
}

/** The first e-mail address that is one; the others are left out. */
export function email(cell: string): CellRead {
  const expected = 'an e-mail address'
  const parts = cell
    .split(/[\s,;|/<>()]+|หรือ/)
    .map(part =>
      plainText(part)
        .replace(/^mailto:/i, '')
        .replace(/[.:]+$/, ''),
    )
    .filter(part => part.includes('@'))
  const good = parts.filter(part => EMAIL.test(part) && part.length <= 254)
  const [value] = good
  if (value === undefined) return { expected }
  return parts.length === 1 ? { value } : { value, expected: 'one e-mail address; the first is taken' }
}

const EMAIL = /^[^\s@,;"]+@[^\s@.,;"]+(\.[^\s@.,;"]+)+$/

/** The first phone that is certain, in E.164 with its plus; the others are left out. */
export function phone(country: string) {
  return (cell: string): CellRead => {
    const { phones, doubtful } = phonesIn(cell, country)
    const [first] = phones
    if (first === undefined) return { expected: `a phone number, such as +${country}812345678` }
    const value = `+${first}`
    return phones.length + doubtful.length === 1
      ? { value }
      : { value, expected: 'one phone number; the first certain one is taken' }
  }
}

/** Several names, one below the other or between | and ; */
export function names(most: number, max: number) {
  return (cell: string): CellRead => {
    const all = cell
      .split(/[|;\n]/)
      .map(name => name.trim())
      .filter(name => !isNothing(name, false))
    const value = [...new Set(all)].filter(name => name.length <= max && !isFailed(name)).slice(0, most)
    const expected = `at most ${most} names of ${max} characters`
    if (value.length === 0 && all.length > 0) return { expected }
    return value.length === new Set(all).size ? { value } : { value, expected }
  }
}

/**
 * Phones as people and spreadsheets write them. A phone on file names its owner and gives trust: what is not certain is none, and
 * never somebody else's.
 */

/** What a text says of phones. */
export interface PhonesRead {
  /** Certain ones, as the digits of E.164 without the plus, in the order written. */
  readonly phones: readonly string[]
  /** Parts that are none, or not certainly one. */
  readonly doubtful: readonly string[]
}

/** Marks that are copied along unseen: directions, joiners, a byte order mark. */
const UNSEEN = /[\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]/g

/** The text with ASCII digits for those of any script, without what cannot be seen, and with plain spaces. */
export function plainText(text: string): string {
  if (/^[ -~]*$/.test(text)) return text.trim()
  return text
    .normalize('NFKC')
    .replace(UNSEEN, '')
    .replace(/\p{Nd}/gu, digit => String(valueOfDigit(digit)))
    .trim()
}

/** Digits of a script lie together, from its zero on, in blocks of ten. */
function valueOfDigit(digit: string): number {
  const code = digit.codePointAt(0) as number
  let zero = code
  while (code - zero < 9 && /\p{Nd}/u.test(String.fromCodePoint(zero - 1))) zero--
  return code - zero
}

/**
 * Every phone in a text, several of them too: `081-234-5678 / 02 123 4567 ต่อ 12`.
 * @param country calling code that a national number belongs to
 */
export function phonesIn(written: string, country: string): PhonesRead {
  const phones: string[] = []
  const doubtful: string[] = []
  for (const part of partsOf(unquoted(written))) {
    const digits = phoneOf(part, country)
    const each = digits === null ? part.split(/\s+/).map(piece => phoneOf(piece, country)) : [digits]
    if (each.every(piece => piece !== null)) phones.push(...each.filter(piece => !phones.includes(piece)))
    else doubtful.push(part)
  }
  return { phones, doubtful }
}

/** The first phone in a text that is certain; null where there is none. */
export function phoneDigits(written: string | null, country: string): string | null {
  return phonesIn(written ?? '', country).phones[0] ?? null
}

/** What a spreadsheet puts around a text that must not become a number: `'081`, `="081"`. */
export function unquoted(written: string): string {
  const text = plainText(written)
  return /^="(.*)"$/s.exec(text)?.[1] ?? text.replace(/^['’`]/, '')
}

const BETWEEN = /[/,;|\n\r]+|\s(?:or|and|&)\s|หรือ|และ/i

function partsOf(text: string): string[] {
  const grouped = /^\+?\d{1,3}(?:,\d{3})+(?:\.0+)?$/.test(text) ? text.replaceAll(',', '') : text
  // A number with a decimal comma, or with an exponent that has one, is one number.
  if (/^\d{7,},0+$/.test(grouped) || EXPONENT.test(grouped)) return [grouped]
  return grouped
    .split(BETWEEN)
    .map(part => part.trim())
    .filter(part => part !== '')
}

const LABEL =
  /^(?:(?:tele?phone|tel|phone|mobile|mob|cell|ph|hp|m|t|p|office|direct|whats\s?app|wa|line|call|โทรศัพท์|โทร|เบอร์|มือถือ|ออฟฟิศ|ติดต่อ)(?:\s*(?:no|number|เลขที่))?[\s.:-]*)+(?=[+(\d])/i
const EXTENSION = /\s*(?:ต่อ|extension|ext\.?|x|#)\s*[.:]?\s*\d{1,6}(?:\s*-\s*\d{1,6})?$/i
/** Whose number it is: a name in brackets behind it, or one with a title on either side. */
const TITLE = String.raw`(?:คุณ|นางสาว|นาง|นาย|khun\s|k\.\s?|mrs?\.?\s|ms\.?\s)[\p{L}\p{M}.]+(?:\s[\p{L}\p{M}.]+)?`
const OWNER = new RegExp(String.raw`\s*\(([^()\d]{1,40})\)$|\s+(${TITLE})$|^(${TITLE})[\s:]+(?=[+(\d])`, 'iu')
const NOT_THIS = /fax|แฟ[กค]ซ์|โทรสาร|old|former|wrong|เก่า|ไม่|เลิก/i
const EXPONENT = /^(\d)(?:[.,](\d+))?e\+?(\d{1,2})$/i

/** The digits of one number; null where it is not certainly one. */
function phoneOf(part: string, country: string): string | null {
  const [owner = ''] = OWNER.exec(part) ?? []
  if (NOT_THIS.test(owner)) return null
  const number = wholeNumber(part.replace(OWNER, '').replace(LABEL, '').replace(EXTENSION, ''))
  const bare = number.replace('(0)', '').replace(/[\s().\-‐‑–—·_]/g, '')
  const certain = /^\+?\d+$/.test(bare) ? digitsOf(bare, country) : null
  if (certain !== null) return certain
  // Lines of one switchboard: 02-123-4567-9 is 02-123-4567 and those after it.
  const first = /^(.*\d)\s*[-–]\s*\d{1,2}$/.exec(number)?.[1]
  const line = first?.replace(/[\s().\-‐‑–—·_]/g, '') ?? ''
  return line.startsWith('0') ? digitsOf(line, country) : null
}

/** A number that a spreadsheet has made a decimal or given an exponent, as long as all of its digits are there. */
function wholeNumber(text: string): string {
  const decimal = /^(\+?\d{7,})[.,]0+$/.exec(text)?.[1]
  if (decimal !== undefined) return decimal
  const [, first = '', fraction = '', exponent = ''] = EXPONENT.exec(text) ?? []
  return first !== '' && fraction.length === Number(exponent) ? first + fraction : text
}

/** National numbers without their trunk prefix, where a plan is known: a digit too many is a number of nobody, or of another. */
const PLANS: Readonly<Record<string, RegExp>> = {
  '1': /^[2-9]\d{9}$/,
  // Thailand: mobiles have nine digits, fixed lines eight.
  '66': /^(?:[689]\d{8}|[23457]\d{7})$/,
}
/** Shorter numbers without a prefix may have lost one: a spreadsheet drops the zero of 081 234 5678, and the plus of all. */
const BARE = 11

function digitsOf(bare: string, country: string): string | null {
  if (bare.startsWith('+')) return international(bare.slice(1), country)
  if (bare.startsWith('00')) return international(bare.slice(2), country)
  if (bare.startsWith('0')) return national(bare.slice(1), country)
  if (bare.startsWith(country)) {
    const whole = international(bare, country)
    if (whole !== null) return whole
  }
  if (country === '1') return national(bare, country)
  return bare.length >= BARE && !bare.startsWith(country) ? international(bare, country) : null
}

function national(number: string, country: string): string | null {
  return international(country + number, country)
}

/** ITU-T E.164: 8 to 15 digits here, for shorter ones reach nobody by message. */
function international(digits: string, country: string): string | null {
  if (!/^[1-9]\d{7,14}$/.test(digits)) return null
  for (const [code, plan] of Object.entries(PLANS)) {
    if (!digits.startsWith(code)) continue
    const number = digits.slice(code.length)
    // +66 081 …: the trunk zero was left in.
    const rest = code === country ? number.replace(/^0/, '') : number
    return plan.test(rest) ? code + rest : null
  }
  return digits
}

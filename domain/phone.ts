/**
 * Phones as people and spreadsheets write them. A phone on file names its owner and gives trust: what is not certain is none, and
 * never somebody else's.
 */

import { type PhoneNumber, parsePhoneNumberFromString } from 'libphonenumber-js/min'

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

/** Shorter numbers without a prefix may have lost one: a spreadsheet drops the zero of 081 234 5678, and the plus of all. */
const BARE = 11

function digitsOf(bare: string, country: string): string | null {
  if (bare.startsWith('+')) return international(bare.slice(1))
  if (bare.startsWith('00')) return international(bare.slice(2))
  if (bare.startsWith('0')) return national(bare, country)
  if (bare.startsWith(country)) {
    const whole = international(bare)
    if (whole !== null) return whole
  }
  if (country === '1') return national(bare, country)
  return bare.length >= BARE && !bare.startsWith(country) ? international(bare) : null
}

function national(number: string, country: string): string | null {
  return valid(parsePhoneNumberFromString(number, { defaultCallingCode: country, extract: false }))
}

function international(digits: string): string | null {
  return valid(parsePhoneNumberFromString(`+${canonicalPhone(digits)}`, { extract: false }))
}

/** A number of its country's plan: a digit too many is a number of nobody, or of another. Those too short reach nobody by message. */
function valid(number: PhoneNumber | undefined): string | null {
  if (number === undefined || !number.isValid()) return null
  const digits = canonicalPhone(number.number.slice(1))
  return digits.length >= SHORTEST ? digits : null
}
const SHORTEST = 8

/**
 * Numbers that a country has renumbered, and their old form, under which messengers still know some: the same phone by the rule of
 * the country, never by likeness.
 *   Mexico: until 2019 a 1 stood before mobile numbers from abroad (Instituto Federal de Telecomunicaciones).
 *   Brazil: until 2016 mobile numbers had eight digits; each was given a 9 in front (Anatel, resolution 553).
 */
const RENUMBERED: readonly (readonly [old: RegExp, now: string])[] = [
  [/^521(\d{10})$/, '52$1'],
  [/^55([1-9]\d)([6-9]\d{7})$/, '55$19$2'],
]

/** The forms in which a provider's user may be on file: as the provider writes the phone, and as it is canonical. */
export function phonesOf(user: string): string[] {
  return [...new Set([user, canonicalPhone(user)])]
}

/** One form for the digits of E.164, however a provider writes them; text that is no such number stays as it is. */
export function canonicalPhone(digits: string): string {
  for (const [old, now] of RENUMBERED) if (old.test(digits)) return digits.replace(old, now)
  return digits
}

/**
 * One normal form for everything that is compared: messages, names of venues and zones, and the word lists.
 */
import abbreviations from './words/abbreviations.json' with { type: 'json' }

/** What stands between a token and the one before it. */
export type Gap = 'space' | 'comma' | 'stop'

export interface Token {
  readonly text: string
  readonly script: 'thai' | 'other'
  readonly gap: Gap
  /** Where it lies in the normalised text. */
  readonly start: number
  readonly end: number
}

/** Of a long paste only the start and the end are read, where the request usually is. */
const HEAD_CHARS = 2000
const TAIL_CHARS = 1000

const LETTERS: Readonly<Record<string, string>> = { đ: 'd', ø: 'o', ł: 'l', ß: 'ss', æ: 'ae', œ: 'oe', ı: 'i' }
const EXPANSIONS = new Map(Object.entries(abbreviations))
const WORD = /[\u0e01-\u0e3a\u0e40-\u0e4e]+|[\p{L}\p{N}]+/gu
const THAI = /[\u0e01-\u0e3a\u0e40-\u0e4e]/

/**
 * Lower case without Latin marks, apostrophes and invisible characters; `&` as and; Thai with its vowels and tones, in one
 * spelling of sara am and of double sara e; Thai numerals as digits; letters drawn out ("soooo", "มากกก") once. Punctuation stays.
 */
export function normalise(text: string): string {
  const read = text.length > HEAD_CHARS + TAIL_CHARS ? `${text.slice(0, HEAD_CHARS)}\n${text.slice(-TAIL_CHARS)}` : text
  return read
    .normalize('NFKC')
    .normalize('NFKD')
    .toLowerCase()
    .replace(/[\u0300-\u036f]|[\u200b-\u200f\u2060\ufeff]|\ufe0f|\u20e3|['’‘ʼ`´§¤]/g, '')
    .replace(/[đøłßæœı]/g, letter => LETTERS[letter] ?? letter)
    .replace(/&/g, ' and ')
    .replace(/([\u0e48-\u0e4b])?\u0e4d([\u0e48-\u0e4b])?\u0e32/g, '$1$2\u0e33')
    .replace(/\u0e40\u0e40/g, '\u0e41')
    .replace(/[\u0e50-\u0e59]/g, digit => String(digit.charCodeAt(0) - 0x0e50))
    .replace(/([a-hj-z\u0e01-\u0e3a\u0e40-\u0e4e])\1{2,}/g, '$1')
}

/** Tokens of a normalised text. A run of Thai is one token; spaced initials ("j. w.") are joined; abbreviations expanded. */
export function tokens(normalised: string): Token[] {
  const found: Token[] = []
  let end = 0
  for (const match of normalised.matchAll(WORD)) {
    const start = match.index
    const between = normalised.slice(end, start)
    const gap = /[.!?;:\n]\s|\n|[!?]/.test(between) ? 'stop' : /[,/|()]| - /.test(between) ? 'comma' : 'space'
    const last = found.at(-1)
    end = start + match[0].length
    if (
      last !== undefined &&
      isInitial(match[0]) &&
      isInitials(last.text, normalised.slice(last.start, last.end)) &&
      gap !== 'comma'
    ) {
      found[found.length - 1] = { ...last, text: last.text + match[0], end }
      continue
    }
    found.push({ text: match[0], script: THAI.test(match[0]) ? 'thai' : 'other', gap, start, end })
  }
  return found.map((token, at) => ({ ...token, text: expand(token.text, at) }))
}

function isInitial(text: string): boolean {
  return /^[b-hj-z]$/.test(text)
}

/** True for "j", and for "jw" that was written "j. w.". */
function isInitials(text: string, written: string): boolean {
  return isInitial(text) || (written.length > text.length && /^[a-z]+$/.test(text))
}

function expand(text: string, at: number): string {
  if (text === 'st') return at === 0 ? 'saint' : 'street'
  return EXPANSIONS.get(text) ?? text
}

/** Clauses of a normalised text: split at punctuation, reduced to words, numbers, signs and single spaces. */
export function clauses(normalised: string): string[] {
  return normalised
    .split(/[!?;\n…]+|[.,:](?=\s|$)/u)
    .map(clause =>
      clause
        .replace(/[^\p{L}\p{M}\p{N}%+\-.:¤§\s]+/gu, ' ')
        .replace(/(?<=\p{L})-(?=\p{L})/gu, ' ')
        .replace(/\s+/g, ' ')
        .trim(),
    )
    .filter(clause => /[\p{L}\p{N}¤§]/u.test(clause))
}

/** The words of a normalised text, as written. */
export function words(normalised: string): string[] {
  return normalised.match(WORD) ?? []
}

/**
 * A text as words: Thai segmented, spelling variants and translations reduced to one form, and the spans where a venue may be named.
 */
import { type Gap, tokens } from './normalize.ts'
import { segment, ThaiWords } from './thai.ts'
import { canonicalAt, DENIALS, INTRODUCTIONS, isCommon, isGeneric, isPlace, isPolite, THAI_WORDS } from './vocabulary.ts'

export interface Word {
  /** Canonical form. */
  readonly text: string
  /** True for a Thai word that has no canonical form in Latin. */
  readonly thai: boolean
  readonly gap: Gap
  /** Where it lies in the normalised text. */
  readonly start: number
  readonly end: number
}

/** Words that may name a venue. */
export interface Region {
  /** bare: everything except courtesies; introduced: after "I am from"; free: runs of uncommon words. */
  readonly kind: 'bare' | 'introduced' | 'free'
  readonly words: readonly Word[]
}

/** Longest bare answer. */
const MAX_BARE_WORDS = 10
/** Limit on regions examined; a pasted page has many. */
const MAX_REGIONS = 12
const MAX_REGION_WORDS = 12

const known = new ThaiWords(THAI_WORDS)

/** The words of a normalised text. The article "the" is left out. */
export function read(normalised: string, catalogue: ThaiWords): Word[] {
  const parts = tokens(normalised).flatMap(token => {
    if (token.script !== 'thai') return [token]
    let start = token.start
    return segment(token.text, [known, catalogue]).map((text, at) => {
      const part = { ...token, text, gap: at === 0 ? token.gap : ('space' as Gap), start, end: start + text.length }
      start = part.end
      return part
    })
  })
  const texts = parts.map(({ text }) => text)
  const found: Word[] = []
  for (let at = 0; at < parts.length; ) {
    const { word, length } = canonicalAt(texts, at)
    const { gap, start } = parts[at]!
    if (word !== 'the') {
      found.push({ text: word, thai: /[\u0e01-\u0e4e]/.test(word), gap, start, end: parts[at + length - 1]!.end })
    }
    at += length
  }
  return found
}

/** True for a word that can be part of a name in a sentence. */
export function isContent({ text }: Word): boolean {
  return !isCommon(text) || isGeneric(text) || isPlace(text)
}

/** True for a word that tells one venue from others. */
export function isDistinctive({ text }: { text: string }): boolean {
  return text.length >= 2 && !isGeneric(text) && !isPlace(text) && !isCommon(text)
}

/** Where a message may name a venue, best kind first. */
export function regions(words: readonly Word[], options: { bare: boolean; free: boolean }): Region[] {
  const found: Region[] = []
  const starts = introductionEnds(words)
  if (options.bare) {
    const bare = bareWords(words, starts)
    if (bare !== null) found.push({ kind: 'bare', words: bare })
  }
  for (const start of starts) {
    const run = words.slice(start, runEnd(words, start))
    if (run.length > 0) found.push({ kind: 'introduced', words: run })
  }
  if (options.free) {
    for (let at = 0; at < words.length && found.length < MAX_REGIONS; at++) {
      const end = runEnd(words, at)
      const covered = found.some(({ words: run }) => run[0] === words[at] && run.length === end - at)
      if (end > at && !covered) found.push({ kind: 'free', words: words.slice(at, end) })
      at = Math.max(at, end)
    }
  }
  return found.map(({ kind, words: run }) => ({ kind, words: run.slice(0, MAX_REGION_WORDS) })).slice(0, MAX_REGIONS)
}

/** The run of content words around a span. */
export function around(words: readonly Word[], from: number, to: number): readonly Word[] {
  let start = from
  while (start > 0 && isContent(words[start - 1]!) && joins(words[start]!)) start--
  let end = to
  while (end < words.length && isContent(words[end]!) && joins(words[end]!)) end++
  return words.slice(start, end)
}

/** Words without the names that are denied: "not Lotus Bay", "ไม่ใช่โลตัสเบย์" (but "ไม่ใช่ค่ะ โลตัสเบย์" names it). */
export function affirmed(words: readonly Word[]): Word[] {
  const kept: Word[] = []
  for (let at = 0; at < words.length; ) {
    const next = at + Math.max(1, phraseAt(words, at, DENIALS))
    kept.push(...words.slice(at, next))
    at = phraseAt(words, at, DENIALS) > 0 && follows(words[next - 1]!, words[next]) ? runEnd(words, next) : next
  }
  return kept
}

/** True for a name right behind a denial: without a space in Thai, without a comma in English. */
function follows(denial: Word, next: Word | undefined): boolean {
  return next !== undefined && (denial.thai ? next.start === denial.end : next.gap === 'space')
}

/** Indexes of the words right after an introduction. */
export function introductionEnds(words: readonly Word[]): number[] {
  const ends: number[] = []
  for (let at = 0; at < words.length && ends.length < MAX_REGIONS; at++) {
    const length = phraseAt(words, at, INTRODUCTIONS)
    if (length === 0) continue
    ends.push(at + length)
    at += length - 1
  }
  return ends
}

/** How many words the longest of these phrases takes here; 0 for none. */
function phraseAt(words: readonly Word[], at: number, phrases: readonly (readonly string[])[]): number {
  return phrases.find(parts => parts.every((part, offset) => words[at + offset]?.text === part))?.length ?? 0
}

function bareWords(words: readonly Word[], introduced: readonly number[]): readonly Word[] | null {
  let start = 0
  let end = words.length
  while (start < end && isPolite(words[start]!.text)) start++
  const after = introduced.find(index => index >= start && words.slice(start, index).every(word => isCommon(word.text)))
  if (after !== undefined && after < end) start = after
  while (end > start && isPolite(words[end - 1]!.text)) end--
  return end > start && end - start <= MAX_BARE_WORDS ? words.slice(start, end) : null
}

function runEnd(words: readonly Word[], start: number): number {
  let end = start
  while (end < words.length && isContent(words[end]!) && (end === start || joins(words[end]!))) end++
  return end
}

/** A comma separates two names, unless a place or a kind of venue follows it. */
function joins({ text, gap }: Word): boolean {
  return gap === 'space' || (gap === 'comma' && (isPlace(text) || isGeneric(text)))
}

/**
 * Knowledge of single words, independent of any catalogue: words that say nothing about a venue, words that many venues share, and
 * places, in Thai and Latin, each with one canonical form.
 */
import { normalise, tokens } from './normalize.ts'
import common from './words/common.json' with { type: 'json' }
import places from './words/places.json' with { type: 'json' }
import venueWords from './words/venue-words.json' with { type: 'json' }

const THAI = /[\u0e01-\u0e4e]/
const list = (texts: readonly string[]) => texts.map(normalise)

const commonWords = new Set([...list(common.en), ...list(common.th)])
const neverVenues = new Set(list(common.never))
const polite = new Set(list(common.polite))
const types = new Set(Object.keys(venueWords.types))
const generic = new Set([...types, ...Object.keys(venueWords.generic)])
const parents = new Map<string, string | undefined>(places.map(place => [place.name, 'in' in place ? place.in : undefined]))

/** Written form → canonical word; a form may have several tokens ("hua hin" → huahin). */
const canonical = new Map<string, string>()
let longestForm = 1
for (const group of [venueWords.types, venueWords.generic, venueWords.pairs]) {
  for (const [word, also] of Object.entries(group)) for (const form of also) addForm(form, word)
}
for (const place of places) for (const form of place.also) addForm(form, place.name)

function addForm(form: string, word: string): void {
  const parts = tokens(normalise(form)).map(({ text }) => text)
  longestForm = Math.max(longestForm, parts.length)
  canonical.set(parts.join(' '), word)
}

/** Thai words known apart from the catalogue, for segmenting. */
export const THAI_WORDS: ReadonlySet<string> = new Set(
  [...commonWords, ...canonical.keys(), ...[...venueWords.introductions, ...venueWords.denials].map(normalise)].filter(word =>
    THAI.test(word),
  ),
)

/** Introductions ("i am from", "ติดต่อจาก") and denials ("not from"), as sequences of tokens, longest first. */
export const INTRODUCTIONS = sequences(venueWords.introductions)
export const DENIALS = sequences(venueWords.denials)

function sequences(phrases: readonly string[]): readonly (readonly string[])[] {
  return phrases.map(phrase => tokens(normalise(phrase)).map(({ text }) => text)).sort((a, b) => b.length - a.length)
}

export function isCommon(word: string): boolean {
  return commonWords.has(word) || /^\d+(?:am|pm|th|st|nd|rd|h|m|min)?$/.test(word)
}

/** True for an answer that never names a venue, even if one has that name. */
export function isNeverVenue(word: string): boolean {
  return neverVenues.has(word)
}

/** True for greetings, thanks and particles, which may stand around an answer. */
export function isPolite(word: string): boolean {
  return polite.has(word)
}

export function isType(word: string): boolean {
  return types.has(word)
}

export function isGeneric(word: string): boolean {
  return generic.has(word)
}

export function isPlace(word: string): boolean {
  return parents.has(word)
}

/** A place and the place it lies in. */
export function placeWithin(word: string): string[] {
  const parent = parents.get(word)
  return parent === undefined ? [word] : [word, parent]
}

/** The canonical word that starts at `at`, and how many tokens it takes. */
export function canonicalAt(texts: readonly string[], at: number): { word: string; length: number } {
  for (let length = Math.min(longestForm, texts.length - at); length >= 1; length--) {
    const word = canonical.get(texts.slice(at, at + length).join(' '))
    if (word !== undefined) return { word, length }
  }
  return { word: texts[at]!, length: 1 }
}

/**
 * Share of all venues that carry a word, as expected before any catalogue is known. It steadies document frequencies of small
 * catalogues.
 */
export function expectedShare(word: string): number {
  if (types.has(word)) return 0.3
  if (generic.has(word)) return 0.12
  if (parents.has(word)) return 0.06
  if (commonWords.has(word)) return 0.03
  return 0.0005
}

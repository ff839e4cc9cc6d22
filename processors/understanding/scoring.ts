/**
 * How well a span of a message names a venue: by inverse document frequency, how much of the name is in the span (containment)
 * and how much of the span the venue explains (coverage). The outcomes for well-formed names are fixed: the exact name 1.0, a
 * whole phrase of the name 0.9, likeness 0.5–0.85, and 0.1 more for a kind of venue in both, up to 1.0.
 */
import type { Catalogue, Document } from './catalogue.ts'
import { isDistinctive, type Region } from './reading.ts'
import { isCommon, isGeneric, isNeverVenue, isPlace, isType, placeWithin } from './vocabulary.ts'

export const EXACT = 1
const PHRASE_SCORE = 0.9
/** A name of one plain word inside a sentence may be a zone, or just a word. */
export const PLAIN_WORD = 0.8
const LIKE_FLOOR = 0.5
const LIKE_SPAN = 0.35
const TYPE_BOOST = 0.1
/** Below this likeness a venue is not named. */
const MIN_LIKENESS = 0.5
const SWAP_PENALTY = 0.05
/** Factor if the message names another city than the venue's. */
const ELSEWHERE_FACTOR = 0.75
/** A name recognised by sound across scripts is less certain than one that is read. */
const HEARD_LIKENESS = 0.9

/** What a venue is known by besides its names. */
export interface Surroundings {
  readonly places: ReadonlySet<string>
  /** Words of its location and of its zones. */
  readonly words: ReadonlySet<string>
}

/** A region with what its words may stand for. */
export interface Reading {
  readonly region: Region
  readonly texts: readonly string[]
  /** For each word, the words of the vocabulary it may be, with likeness. */
  readonly alternatives: readonly ReadonlyMap<string, number>[]
  /** Documents whose distinctive words sound like a part of it, with the indexes of that part. */
  readonly heard: ReadonlyMap<Document, readonly number[]>
  /** Places named in the whole message. */
  readonly places: ReadonlySet<string>
}

export interface Score {
  readonly score: number
  /** True when every word that tells the venue from others was named. */
  readonly brand: boolean
  /** True when something named speaks against it: another city, or another word where its own would stand. */
  readonly conflict: boolean
}

/** Null if the span does not name the document. */
export function score(reading: Reading, document: Document, venue: Surroundings, catalogue: Catalogue): Score | null {
  const { texts, region } = reading
  if (texts.every(isNeverVenue)) return null
  const boost = texts.some(text => isType(text) && document.words.includes(text)) ? TYPE_BOOST : 0
  if (texts.join('') === document.compact) {
    return { score: region.kind === 'free' && document.words.length === 1 ? PLAIN_WORD : EXACT, brand: true, conflict: false }
  }
  if (isPhrase(reading, document))
    return { score: Math.min(1, PHRASE_SCORE + boost), brand: namesBrand(texts, document), conflict: false }

  const weigh = (words: readonly string[]) => words.map(word => catalogue.idf(word))
  const nameWeights = weigh(document.words)
  const spanWeights = weigh(texts)
  const explained: number[] = texts.map(text => (venue.words.has(text) || venue.places.has(text) ? 1 : 0))
  for (const at of reading.heard.get(document) ?? []) explained[at] = HEARD_LIKENESS
  const heard = reading.heard.has(document)
  let contained = 0
  let distinctive = 0
  let last = -1
  let swaps = 0
  let brand = true
  document.words.forEach((word, index) => {
    let likeness = 0
    let place = -1
    reading.alternatives.forEach((alternatives, at) => {
      const found = alternatives.get(word) ?? 0
      if (found > likeness) [likeness, place] = [found, at]
    })
    if (place >= 0) {
      explained[place] = Math.max(explained[place]!, likeness)
      if (place < last) swaps++
      last = place
    } else if (heard && isDistinctive({ text: word })) likeness = HEARD_LIKENESS
    if (isDistinctive({ text: word })) {
      if (likeness > 0) distinctive++
      else brand = false
    }
    contained += likeness * nameWeights[index]!
  })
  const containment = contained / sum(nameWeights)
  const coverage = sum(spanWeights.map((weight, at) => weight * explained[at]!)) / sum(spanWeights)
  if (distinctive === 0 && containment < 1) return null
  if (region.kind === 'free' && distinctive < 2 && containment < 0.9 && !heard) return null
  const elsewhere = reading.places.size > 0 && venue.places.size > 0 && reading.places.isDisjointFrom(venue.places)
  const likeness = Math.sqrt(containment * coverage) * (elsewhere ? ELSEWHERE_FACTOR : 1) - SWAP_PENALTY * swaps
  if (likeness < MIN_LIKENESS) return null
  const foreign = texts.some((text, at) => explained[at] === 0 && (isDistinctive({ text }) || isPlace(text)))
  return {
    score: Math.min(1, LIKE_FLOOR + LIKE_SPAN * Math.min(1, likeness) + boost),
    brand: brand && distinctive > 0,
    conflict: elsewhere || (foreign && !brand),
  }
}

/** True when the span is a whole phrase of the name that says more than a kind of venue. */
function isPhrase({ texts, region }: Reading, document: Document): boolean {
  const says = (text: string) => (region.kind === 'free' ? isDistinctive({ text }) : !isGeneric(text)) && text.length >= 3
  if (!texts.some(says) || texts.every(isCommon)) return false
  if (region.kind === 'free' && texts.filter(text => isDistinctive({ text })).length < 2) return false
  return document.words.some((_, start) => texts.every((text, at) => document.words[start + at] === text))
}

function namesBrand(texts: readonly string[], document: Document): boolean {
  return document.words.every(word => !isDistinctive({ text: word }) || texts.includes(word))
}

/** Places named by these words, with the places they lie in. */
export function placesOf(words: Iterable<string>): Set<string> {
  const found = new Set<string>()
  for (const word of words) if (isPlace(word)) for (const place of placeWithin(word)) found.add(place)
  return found
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, number) => total + number, 0)
}

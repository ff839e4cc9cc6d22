/** Which documents of the catalogue a region of a message may name: by shared words, misspellings, and sound across scripts. */
import type { Catalogue, Document } from './catalogue.ts'
import { isDistinctive, type Region, type Word } from './reading.ts'
import { placesOf, type Reading } from './scoring.ts'
import { skeleton } from './thai.ts'
import { isPlace } from './vocabulary.ts'

const WRITTEN_APART_FACTOR = 0.95
const MAX_SCORED = 40
/** Documents with less than this share of the best one's weight are not scored. */
const MIN_PROMISE = 0.5
/** Words joined for their sound: a name in Thai may be one word where its Latin form is several. */
const MAX_HEARD_WORDS = 4
/** Sound alone, inside longer Thai, needs this many consonants. */
const MIN_HEARD_CONSONANTS = 5

/** What the words of a region may stand for. */
export function readingOf(region: Region, places: ReadonlySet<string>, catalogue: Catalogue): Reading {
  const texts = region.words.map(word => word.text)
  const alternatives = texts.map(text => new Map(catalogue.alternatives(text).map(({ word, likeness }) => [word, likeness])))
  for (let at = 1; at < texts.length; at++) {
    // Written apart ("la goon"), or a place of two words with a slip in it ("huae hin").
    const joined = texts[at - 1]! + texts[at]!
    for (const { word, likeness } of catalogue.alternatives(joined)) {
      if (word.length + 1 < joined.length || (word !== joined && !isPlace(word))) continue
      for (const index of [at - 1, at]) alternatives[index]!.set(word, likeness * WRITTEN_APART_FACTOR)
    }
  }
  const misspelt = alternatives.flatMap(words => [...words.keys()].filter(isPlace))
  return {
    region,
    texts,
    alternatives,
    heard: heardIn(region.words, catalogue),
    places: new Set([...places, ...placesOf(misspelt)]),
  }
}

/** Documents that share the rarest words of the region, the most promising first. */
export function candidatesOf(reading: Reading, catalogue: Catalogue): Document[] {
  const meant = reading.alternatives
    .flatMap(alternatives => [...alternatives].map(([word, likeness]) => ({ word, weight: likeness * catalogue.idf(word) })))
    .sort((a, b) => b.weight - a.weight)
  const weights = new Map<Document, number>()
  for (const document of reading.heard.keys()) weights.set(document, 0)
  let most = 0
  let left = meant.reduce((sum, { weight }) => sum + weight, 0)
  for (const { word, weight } of meant) {
    // Words that many names share, and words that together weigh too little, add weight to known candidates but bring no new ones.
    const bringing = weights.size === 0 || (isDistinctive({ text: word }) && left > most * MIN_PROMISE)
    for (const document of sharing(bringing, catalogue.withWord(word), weights)) {
      const sum = (weights.get(document) ?? 0) + weight
      weights.set(document, sum)
      most = Math.max(most, sum)
    }
    left -= weight
  }
  const promising = [...weights].filter(([document, weight]) => weight > most * MIN_PROMISE || reading.heard.has(document))
  return promising
    .sort(([a, one], [b, other]) => other - one || a.words.length - b.words.length)
    .slice(0, MAX_SCORED)
    .map(([document]) => document)
}

/** Documents with the word; if it brings no new ones, only those already weighed. Iterates over the smaller set. */
function sharing(bringing: boolean, withWord: ReadonlySet<Document>, weighed: ReadonlyMap<Document, number>): Iterable<Document> {
  if (bringing) return withWord
  if (weighed.size < withWord.size) return [...weighed.keys()].filter(document => withWord.has(document))
  return [...withWord].filter(document => weighed.has(document))
}

/** Documents whose own words sound like neighbouring words of the other script. */
function heardIn(words: readonly Word[], catalogue: Catalogue): Map<Document, number[]> {
  const found = new Map<Document, number[]>()
  const addHeard = (key: string, thai: boolean, indexes: number[]) => {
    for (const document of catalogue.withSkeleton(key)) {
      if (document.thai !== thai && !found.has(document)) found.set(document, indexes)
    }
  }
  for (let from = 0; from < words.length; from++) {
    const indexes: number[] = []
    let key = ''
    for (let to = from; to < Math.min(words.length, from + MAX_HEARD_WORDS) && isDistinctive(words[to]!); to++) {
      indexes.push(to)
      key += skeleton(words[to]!.text)
      const thai = words.slice(from, to + 1).some(word => word.thai)
      addHeard(key, thai, [...indexes])
    }
    if (!words[from]!.thai) continue
    const whole = skeleton(words[from]!.text)
    for (let length = whole.length - 1; length >= MIN_HEARD_CONSONANTS; length--) {
      for (let at = 0; at + length <= whole.length; at++) addHeard(whole.slice(at, at + length), true, [from])
    }
  }
  return found
}

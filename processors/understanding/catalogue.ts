/**
 * What the venue index stores: every name and alias of a venue as a document of words, with postings, document frequencies,
 * compact forms, consonant skeletons, and trigrams of the vocabulary. Changed in place, one venue at a time.
 */
import { normalise } from './normalize.ts'
import { isDistinctive, read } from './reading.ts'
import { damerau, maxEdits, jaroWinkler, trigrams } from '../../domain/similarity.ts'
import { skeleton, ThaiWords } from './thai.ts'
import { expectedShare } from './vocabulary.ts'

export interface Document {
  readonly venue: string
  readonly words: readonly string[]
  /** The words without spaces. */
  readonly compact: string
  /** Skeleton of the words that tell it from others, and whether any of them is in Thai letters. */
  readonly skeleton: string
  readonly thai: boolean
}

/** A word of the vocabulary that a written word may stand for. */
export interface Alternative {
  readonly word: string
  readonly likeness: number
}

/** Weight of what is expected of words in general, as a number of documents. */
const PRIOR_DOCUMENTS = 1000
/** In a short word one edit may leave only one shared trigram; a longer word keeps more. */
const MAX_SHORT_WORD_CHARS = 7
const MIN_JACCARD = 0.25
const MIN_LIKENESS = 0.7
const MIN_SKELETON_CHARS = 3

export class Catalogue {
  readonly thaiWords = new ThaiWords()
  readonly #postings = new Map<string, Set<Document>>()
  readonly #compact = new Map<string, Set<Document>>()
  readonly #skeletons = new Map<string, Set<Document>>()
  readonly #trigrams = new Map<string, Set<string>>()
  #documents = 0

  /** A document of this text, not yet added. Null where it has no words. */
  document(venue: string, text: string): Document | null {
    const words = read(normalise(text), none).map(word => word.text)
    if (words.length === 0) return null
    const brand = words.filter(word => isDistinctive({ text: word }))
    const key = brand.map(skeleton).join('')
    return { venue, words, compact: words.join(''), skeleton: key, thai: brand.some(word => /[\u0e01-\u0e4e]/.test(word)) }
  }

  add(document: Document): void {
    this.#documents++
    for (const word of new Set(document.words)) {
      if (!this.#postings.has(word)) {
        for (const gram of trigrams(word)) put(this.#trigrams, gram, word)
        this.thaiWords.add(word)
      }
      put(this.#postings, word, document)
    }
    put(this.#compact, document.compact, document)
    if (document.skeleton.length >= MIN_SKELETON_CHARS) put(this.#skeletons, document.skeleton, document)
  }

  remove(document: Document): void {
    this.#documents--
    for (const word of new Set(document.words)) {
      take(this.#postings, word, document)
      if (!this.#postings.has(word)) {
        for (const gram of trigrams(word)) take(this.#trigrams, gram, word)
        this.thaiWords.remove(word)
      }
    }
    take(this.#compact, document.compact, document)
    take(this.#skeletons, document.skeleton, document)
  }

  /** Inverse document frequency, steadied by what is expected of the word. */
  idf(word: string): number {
    const frequency = Math.max(1, this.#postings.get(word)?.size ?? 0) + PRIOR_DOCUMENTS * expectedShare(word)
    return Math.log(1 + (this.#documents + PRIOR_DOCUMENTS) / frequency)
  }

  withWord(word: string): ReadonlySet<Document> {
    return this.#postings.get(word) ?? empty
  }

  withCompact(compact: string): ReadonlySet<Document> {
    return this.#compact.get(compact) ?? empty
  }

  withSkeleton(key: string): ReadonlySet<Document> {
    return this.#skeletons.get(key) ?? empty
  }

  /**
   * The word itself if the vocabulary has it; else words one or two edits away (candidates by shared trigrams, then Damerau:
   * one edit up to 7 letters, two from 8, similarity ≥ 0.7), or the two known words that it joins.
   */
  alternatives(word: string): Alternative[] {
    if (this.#postings.has(word)) return [{ word, likeness: 1 }]
    if (word.length < 3) return []
    const edits = maxEdits(Math.max(4, word.length))
    const grams = trigrams(word)
    const shared = new Map<string, number>()
    for (const gram of grams) for (const other of this.#trigrams.get(gram) ?? []) shared.set(other, (shared.get(other) ?? 0) + 1)
    const found: Alternative[] = []
    for (const [other, count] of shared) {
      const most = Math.min(edits, maxEdits(other.length))
      if (Math.abs(word.length - other.length) > most) continue
      // A word has as many trigrams as letters, give or take repeated ones.
      if (word.length > MAX_SHORT_WORD_CHARS && count / (grams.size + other.length - count) < MIN_JACCARD) continue
      const distance = damerau(word, other, most)
      if (distance > most) continue
      if (1 - distance / Math.max(word.length, other.length) < MIN_LIKENESS) continue
      found.push({ word: other, likeness: jaroWinkler(word, other) })
    }
    for (let at = 3; at <= word.length - 3; at++) {
      const [left, right] = [word.slice(0, at), word.slice(at)]
      if (this.#postings.has(left) && this.#postings.has(right)) {
        found.push({ word: left, likeness: 0.95 }, { word: right, likeness: 0.95 })
      }
    }
    return found
  }
}

const none = new ThaiWords()
const empty: ReadonlySet<Document> = new Set()

function put<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const group = map.get(key)
  if (group === undefined) map.set(key, new Set([value]))
  else group.add(value)
}

function take<T>(map: Map<string, Set<T>>, key: string, value: T): void {
  const group = map.get(key)
  if (group?.delete(value) && group.size === 0) map.delete(key)
}

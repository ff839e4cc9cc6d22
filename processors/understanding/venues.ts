/**
 * The venue index: which venue a message names, if any. Names and aliases are found whole in a sentence, in part, misspelt, and
 * across Thai and Latin. A match needs a minimum score and a margin to the next: a question costs less than a wrong venue.
 */
import { canonicalPhone } from '../../domain/phone.ts'
import type { MatchDecision, VenueProfile } from '../../schemas/types.ts'
import { candidatesOf, readingOf } from './candidates.ts'
import { Catalogue, type Document } from './catalogue.ts'
import { normalise } from './normalize.ts'
import { affirmed, around, introductionEnds, isContent, isDistinctive, type Region, read, regions, type Word } from './reading.ts'
import { EXACT, PLAIN_WORD, placesOf, type Score, type Surroundings, score } from './scoring.ts'
import { ThaiWords } from './thai.ts'
import { isCommon, isGeneric, isNeverVenue, isPlace } from './vocabulary.ts'

/** What is known of the message's sender and of the dialogue. */
export interface Hints {
  /** The dialogue asks for the venue: the whole answer may be its name. */
  readonly asking?: boolean
  /** A venue is settled, or something else is asked for: only a name given in full, or with an introduction, counts. */
  readonly strict?: boolean
  /** Venues that have the sender's phone on file, or were theirs before. */
  readonly near?: readonly string[]
}

export interface Candidate {
  readonly venue: string
  readonly name: string
  readonly location: string
  /** Confidence 0..1. */
  readonly score: number
}

export interface VenueMatchResult {
  readonly decision: MatchDecision
  /** Best first, at most 5. With NONE, the one venue that has the name but not the place said. */
  readonly candidates: readonly Candidate[]
  readonly runnerUp: number | null
  /** For EXACT: where the name lies in the normalised text. */
  readonly span: { readonly start: number; readonly end: number } | null
}

interface Entry extends Surroundings {
  readonly profile: VenueProfile
  readonly documents: readonly Document[]
}

interface Hit {
  readonly document: Document
  readonly from: number
  readonly to: number
}

const NONE: VenueMatchResult = { decision: 'NONE', candidates: [], runnerUp: null, span: null }
/** Minimum score and margin to accept the best venue. Chosen on invented chains for ≤ 1 % false accepts. */
const MIN_ACCEPT_SCORE = 0.775
const MIN_MARGIN = 0.05
/** Minimum score to offer venues as a choice, if all their distinctive words were named. */
const MIN_OFFER_SCORE = 0.68
const MAX_CHOICES = 5
/** Tie-break for venues near the sender. */
const NEAR_BONUS = 0.04
const MAX_NAME_WORDS = 10
/** Words of a message that are searched for names; a long paste names its venue early. */
const MAX_WORDS = 300

export class VenueIndex {
  readonly #entries = new Map<string, Entry>()
  readonly #phones = new Map<string, Set<string>>()
  readonly #catalogue = new Catalogue()
  readonly #watching = new Map<string, Set<() => void>>()

  get size(): number {
    return this.#entries.size
  }

  /** Adds or updates a venue, or removes it if its profile says so. */
  upsert(profile: VenueProfile): void {
    this.#takeOut(profile.venue)
    if (!profile.removed) this.#put(profile)
    this.#tell(profile.venue)
  }

  remove(venue: string): void {
    this.#takeOut(venue)
    this.#tell(venue)
  }

  /** Calls a listener whenever a venue is added, updated or removed. @returns a function that stops it */
  watch(venue: string, changed: () => void): () => void {
    const watching = this.#watching.get(venue) ?? new Set()
    this.#watching.set(venue, watching.add(changed))
    return () => {
      if (watching.delete(changed) && watching.size === 0) this.#watching.delete(venue)
    }
  }

  #tell(venue: string): void {
    for (const changed of [...(this.#watching.get(venue) ?? [])]) changed()
  }

  #put(profile: VenueProfile): void {
    const nameWords = this.#words(profile.name)
    const locationWords = this.#words(profile.location)
    const places = placesOf([...nameWords, ...locationWords])
    const city = locationWords.filter(isPlace).at(-1)
    const texts = [profile.name, ...profile.aliases].flatMap(text =>
      city === undefined || this.#words(text).some(isPlace) ? [text] : [text, `${text} ${city}`],
    )
    const documents: Document[] = []
    for (const text of texts) {
      const document = this.#catalogue.document(profile.venue, text)
      if (document === null || documents.some(({ compact }) => compact === document.compact)) continue
      documents.push(document)
      this.#catalogue.add(document)
    }
    const words = new Set([...locationWords, ...profile.zones.flatMap(zone => this.#words(zone.name))])
    this.#entries.set(profile.venue, { profile, documents, places, words })
    const phone = digits(profile.contactPhone)
    if (phone !== '') this.#phones.set(phone, (this.#phones.get(phone) ?? new Set()).add(profile.venue))
  }

  #takeOut(venue: string): void {
    const entry = this.#entries.get(venue)
    if (entry === undefined) return
    for (const document of entry.documents) this.#catalogue.remove(document)
    const phone = digits(entry.profile.contactPhone)
    const sharing = this.#phones.get(phone)
    if (sharing?.delete(venue) && sharing.size === 0) this.#phones.delete(phone)
    this.#entries.delete(venue)
  }

  /** A venue with its zones. */
  venue(id: string): VenueProfile | null {
    return this.#entries.get(id)?.profile ?? null
  }

  /** Venues whose contact on file has this phone, in E.164 digits as the channel writes them. */
  byPhone(phone: string): VenueProfile[] {
    return [...(this.#phones.get(digits(phone)) ?? [])].map(id => this.#entries.get(id)!.profile)
  }

  /** Which venues a message names. */
  match(text: string, hints: Hints = {}): VenueMatchResult {
    const words = affirmed(read(normalise(text), this.#catalogue.thaiWords).slice(0, MAX_WORDS))
    if (words.length === 0 || words.every(word => isNeverVenue(word.text))) return NONE
    const spans = regions(words, { bare: !hints.strict, free: !hints.strict })
    const places = placesOf(words.map(word => word.text))
    const exact = this.#exact(words, spans, hints)
    const best = new Map<string, Score>()
    for (const hit of exact) best.set(hit.document.venue, { score: hit.score, brand: true, conflict: false })
    for (const region of spans) {
      const reading = readingOf(region, places, this.#catalogue)
      for (const document of candidatesOf(reading, this.#catalogue)) {
        const found = score(reading, document, this.#entries.get(document.venue)!, this.#catalogue)
        if (found !== null && found.score > (best.get(document.venue)?.score ?? 0)) best.set(document.venue, found)
      }
    }
    const ranked = [...best]
      .map(([venue, found]) => ({
        venue,
        ...found,
        score: Math.min(1, found.score + (hints.near?.includes(venue) ? NEAR_BONUS : 0)),
      }))
      .sort((a, b) => b.score - a.score || (a.venue < b.venue ? -1 : 1))
    const named = exact.filter(hit => hit.score === EXACT)
    return this.#decide(ranked, named, words)
  }

  /** Which of the offered venues an answer picks ("the Pattaya one"), by words that they do not all share. */
  choose(text: string, offered: readonly string[]): VenueMatchResult {
    const entries = offered.flatMap(id => this.#entries.get(id) ?? [])
    const own = entries.map(
      ({ documents, places, profile }) =>
        new Set([...documents.flatMap(document => document.words), ...places, ...this.#words(profile.location)]),
    )
    const said = new Set(read(normalise(text), this.#catalogue.thaiWords).flatMap(word => this.#meanings(word, own)))
    const telling = [...said].filter(word => !own.every(words => words.has(word)))
    const weights = own.map(words => telling.reduce((sum, word) => sum + (words.has(word) ? this.#catalogue.idf(word) : 0), 0))
    const top = Math.max(0, ...weights)
    const chosen = entries.filter((_, at) => top > 0 && weights[at] === top)
    if (chosen.length !== 1) return NONE
    return { decision: 'EXACT', candidates: [candidate(chosen[0]!.profile, EXACT)], runnerUp: null, span: null }
  }

  #meanings(word: Word, own: readonly ReadonlySet<string>[]): string[] {
    if (isCommon(word.text) && !isGeneric(word.text) && !isPlace(word.text)) return []
    if (own.some(words => words.has(word.text))) return [word.text]
    return this.#catalogue.alternatives(word.text).map(alternative => alternative.word)
  }

  /** Names found whole. A longer name hides those it contains; part of a longer name is no hit. */
  #exact(words: readonly Word[], spans: readonly Region[], hints: Hints): (Hit & { score: number })[] {
    const hits: Hit[] = []
    for (let from = 0; from < words.length; from++) {
      let compact = ''
      for (let to = from + 1; to <= Math.min(words.length, from + MAX_NAME_WORDS); to++) {
        if (to > from + 1 && words[to - 1]!.gap === 'stop') break
        compact += words[to - 1]!.text
        for (const document of this.#catalogue.withCompact(compact)) hits.push({ document, from, to })
      }
    }
    const longest = hits.filter(
      hit => !hits.some(other => other.from <= hit.from && other.to >= hit.to && other.to - other.from > hit.to - hit.from),
    )
    const starts = new Set(introductionEnds(words))
    return longest.flatMap(hit => {
      const span = words.slice(hit.from, hit.to)
      const entry = this.#entries.get(hit.document.venue)!
      const others = new Set(longest.flatMap(({ from, to }) => (from === hit.from ? [] : words.slice(from, to))))
      const places = placesOf(words.filter(word => !others.has(word)).map(word => word.text))
      if (places.size > 0 && entry.places.size > 0 && places.isDisjointFrom(entry.places)) return []
      const whole = spans.some(({ kind, words: run }) => kind === 'bare' && run.length === span.length && run[0] === span[0])
      if (whole) return span.every(word => isNeverVenue(word.text)) ? [] : [{ ...hit, score: EXACT }]
      const beyond = around(words, hit.from, hit.to).filter(word => !span.includes(word) && !others.has(word))
      const explained = beyond.every(({ text }) => entry.words.has(text) || entry.places.has(text) || isGeneric(text))
      if (!explained) return []
      const introduced = starts.has(hit.from) && span.some(isContent)
      if (introduced || (span.length > 1 && span.some(isDistinctive))) return [{ ...hit, score: EXACT }]
      return !hints.strict && span.some(isDistinctive) && hit.document.compact.length > 3 ? [{ ...hit, score: PLAIN_WORD }] : []
    })
  }

  #decide(ranked: readonly (Score & { venue: string })[], exact: readonly Hit[], words: readonly Word[]): VenueMatchResult {
    const top = ranked[0]
    if (top === undefined) return NONE
    const result = (decision: MatchDecision, among: readonly { venue: string; score: number }[]): VenueMatchResult => ({
      decision,
      candidates: among.slice(0, MAX_CHOICES).map(({ venue, score }) => candidate(this.#entries.get(venue)!.profile, score)),
      runnerUp: ranked[1]?.score ?? null,
      span: null,
    })
    const named = new Set(exact.map(hit => hit.document.venue))
    if (named.size === 1) {
      const { from, to, document } = exact[0]!
      const first = ranked.filter(({ venue }) => venue === document.venue)
      const others = ranked.filter(({ venue }) => venue !== document.venue)
      const span = { start: words[from]!.start, end: words[to - 1]!.end }
      return { ...result('EXACT', [...first, ...others]), runnerUp: others[0]?.score ?? null, span }
    }
    const several = ranked.filter(({ venue }) => named.has(venue))
    if (several.length > 1) return result('AMBIGUOUS', several)
    const close = ranked.filter(({ score }) => score > top.score - MIN_MARGIN)
    if (top.score >= MIN_ACCEPT_SCORE && !top.conflict)
      return close.length === 1 ? result('LIKELY', ranked) : result('AMBIGUOUS', close)
    const offered = top.score >= MIN_OFFER_SCORE ? close.filter(({ brand }) => brand) : []
    return result(offered.length > 1 ? 'AMBIGUOUS' : 'NONE', offered)
  }

  #words(text: string): string[] {
    return read(normalise(text), noWords).map(word => word.text)
  }
}

const noWords = new ThaiWords()

function candidate({ venue, name, location }: VenueProfile, score: number): Candidate {
  return { venue, name, location, score }
}

function digits(phone: string | null): string {
  return canonicalPhone((phone ?? '').replace(/\D/g, ''))
}

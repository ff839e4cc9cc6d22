/**
 * Zones named in a message, within one venue: by their names, by part of a name, by common words in Thai and English, misspelt,
 * or by sound. Words that match no zone of the venue are kept, so that the dialogue can ask about them.
 */
import type { VenueZone } from '../../schemas/types.ts'
import { normalise } from './normalize.ts'
import { compile } from './phrases.ts'
import { isDistinctive, read, type Word } from './reading.ts'
import { damerau, maxEdits } from '../../domain/similarity.ts'
import { skeleton, ThaiWords } from './thai.ts'
import { isCommon, isPlace } from './vocabulary.ts'
import data from './words/zones.json' with { type: 'json' }

export interface Mention {
  /** Zones that fit the words. */
  readonly zones: readonly string[]
  /** The words, normalised. */
  readonly words: string
  /** True for words that zones are commonly called ("lobby"), apart from any venue. */
  readonly common: boolean
}

export interface Mentions {
  /** The text with `§0`, `§1` … in place of the zones named, and after words that name none of this venue. */
  readonly masked: string
  readonly mentions: readonly Mention[]
}

/** The zone of a wish, as `Intent` has it. */
export interface ZoneReading {
  readonly zone: string | null
  readonly zoneText: string | null
  readonly zoneChoices: readonly string[]
  readonly allZones: boolean
}

interface Zone {
  readonly id: string
  readonly words: readonly string[]
  /** Its concepts, and its own words. */
  readonly keys: ReadonlySet<string>
}

const MAX_WORDS = 400
const MIN_SOUND_CONSONANTS = 3
const conceptOf = new Map<string, string>()
for (const [concept, forms] of Object.entries(data.concepts)) {
  for (const form of forms) for (const key of [normalise(form), plain(form)]) if (!key.includes(' ')) conceptOf.set(key, concept)
}
const thaiWords = new ThaiWords([...conceptOf.keys()].filter(word => /[\u0e01-\u0e4e]/.test(word)))
const fillers = new Set(data.fillers.map(normalise))
const introducers = new Set(data.introducers.map(normalise))
const all = compile(data.all)

/** Finds the zones named in a normalised text. Longer names come before shorter ones. */
export function zonesIn(normalised: string, zones: readonly VenueZone[]): Mentions {
  const own: Zone[] = zones.map(({ zone, name }) => {
    const words = read(normalise(name), thaiWords).map(word => word.text)
    return { id: zone, words, keys: new Set(words.filter(word => !fillers.has(word)).map(keyOf)) }
  })
  const words = read(normalised, thaiWords).slice(0, MAX_WORDS)
  const spans: { from: number; to: number; zones: readonly string[] }[] = []
  for (let at = 0; at < words.length; ) {
    const found = whole(words, at, own) ?? partly(words, at, own) ?? introduced(words, at, own, normalised)
    if (found === null) at++
    else {
      spans.push({ from: words[at]!.start, to: words[found.to - 1]!.end, zones: found.zones })
      at = found.to
    }
  }
  let masked = ''
  let end = 0
  spans.forEach(({ from, to, zones: fitting }, index) => {
    masked += `${normalised.slice(end, fitting.length > 0 ? from : to)} §${index} `
    end = to
  })
  return {
    masked: masked + normalised.slice(end),
    mentions: spans.map(({ from, to, zones: ids }) => ({
      zones: ids,
      words: normalised.slice(from, to),
      common: conceptOf.has(normalised.slice(from, to)),
    })),
  }
}

/** A masked text without its zones, and with the words that name none. */
export function withoutZones({ masked }: Mentions): string {
  return masked.replace(/§\d+/g, ' ')
}

/**
 * The zones that a clause of a masked text is about, one reading for each mention. Without a mention a venue's only zone is
 * meant; otherwise all fields are empty.
 */
export function zonesOf(
  clause: string,
  mentions: readonly Mention[],
  zones: readonly VenueZone[],
  offered: readonly string[],
): ZoneReading[] {
  const nothing: ZoneReading = { zone: null, zoneText: null, zoneChoices: [], allZones: false }
  const named = [...clause.matchAll(/§(\d+)/g)].flatMap(([, index]) => mentions[Number(index)] ?? [])
  const readings = named.map((mention): ZoneReading => {
    const preferred = mention.zones.filter(zone => offered.includes(zone))
    const fitting = preferred.length > 0 ? preferred : mention.zones
    if (fitting.length === 1) return { ...nothing, zone: fitting[0]! }
    return { ...nothing, zoneText: mention.words, zoneChoices: fitting }
  })
  const settled = readings.filter(({ zone }, at) => zone !== null && readings.findIndex(other => other.zone === zone) === at)
  if (settled.length > 0) return settled
  if (all.test(clause)) return [{ ...nothing, allZones: true }]
  if (readings.length > 0) return [readings[0]!]
  return zones.length === 1 ? [{ ...nothing, zone: zones[0]!.zone }] : [nothing]
}

interface Span {
  readonly to: number
  readonly zones: readonly string[]
}

/** A zone's name in full. */
function whole(words: readonly Word[], at: number, zones: readonly Zone[]): Span | null {
  const fits = (zone: Zone) => zone.words.length > 0 && zone.words.every((word, offset) => words[at + offset]?.text === word)
  const fitting = zones.filter(zone => fits(zone) && (tells(zone.words) || isIntroduced(words, at)))
  const length = Math.max(0, ...fitting.map(zone => zone.words.length))
  return length === 0
    ? null
    : { to: at + length, zones: fitting.filter(zone => zone.words.length === length).map(({ id }) => id) }
}

/** Neighbouring words that are parts of names, or that zones are commonly called; the zones that share most of them. */
function partly(words: readonly Word[], at: number, zones: readonly Zone[]): Span | null {
  const keys: string[] = []
  let to = at
  for (; to < words.length && (to === at || words[to]!.gap === 'space'); to++) {
    const { text } = words[to]!
    const key = to > at && fillers.has(text) ? text : partOf(text, zones)
    if (key === null) break
    keys.push(key)
  }
  if (to === at) return null
  const shares = zones.map(zone => keys.filter(key => zone.keys.has(key)).length)
  const most = Math.max(0, ...shares)
  const sharing = most === 0 ? [] : zones.filter((_, index) => shares[index] === most)
  const complete = sharing.filter(zone => zone.keys.size === most)
  return { to, zones: (complete.length > 0 ? complete : sharing).map(({ id }) => id) }
}

function partOf(text: string, zones: readonly Zone[]): string | null {
  const concept = conceptOf.get(text)
  if (concept !== undefined) return concept
  if (isCommon(text) || isPlace(text) || text.length < 3) return null
  if (zones.some(zone => zone.keys.has(text))) return text
  const edits = maxEdits(text.length)
  if (edits === 0) return null
  const near = (word: string) => word.length > 3 && damerau(text, word, edits) <= edits
  for (const zone of zones) for (const word of zone.words) if (!isCommon(word) && near(word)) return keyOf(word)
  for (const [word, misspelt] of conceptOf) if (word.length > 4 && near(word)) return misspelt
  return null
}

/** The words after "zone" or "at": a zone by its sound, or words to ask about. */
function introduced(words: readonly Word[], at: number, zones: readonly Zone[], text: string): Span | null {
  if (!isIntroduced(words, at) || text.slice(words[at - 1]!.end, words[at]!.start).includes('¤')) return null
  let to = at
  while (to < words.length && to < at + 3 && isDistinctive(words[to]!) && (to === at || words[to]!.gap === 'space')) to++
  if (to === at) return null
  const sound = words
    .slice(at, to)
    .map(word => skeleton(word.text))
    .join('')
  const heard = zones.filter(zone => sound.length >= MIN_SOUND_CONSONANTS && zone.words.map(skeleton).join('') === sound)
  return { to, zones: heard.map(({ id }) => id) }
}

function isIntroduced(words: readonly Word[], at: number): boolean {
  return introducers.has(words[at - 1]?.text ?? '')
}

/** True for a name that cannot be confused with other words of a sentence. */
function tells(words: readonly string[]): boolean {
  if (words.length === 1 && words[0]!.length < 2) return false
  return (
    words.some(word => conceptOf.has(word) || !isCommon(word)) ||
    words.filter(word => !fillers.has(word)).length > 1 ||
    fillers.has(words[0]!)
  )
}

function keyOf(word: string): string {
  return conceptOf.get(word) ?? word
}

/** The canonical form of a single word. */
function plain(form: string): string {
  return read(normalise(form), new ThaiWords([normalise(form)]))
    .map(word => word.text)
    .join(' ')
}

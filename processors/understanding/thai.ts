/**
 * Thai has no spaces between words: segments a run into known words and the unknown rest between them (where loan names are), and makes
 * the consonant skeleton that Thai and Latin spellings of a name share (บลูลากูน → BLLKN ← blue lagoon).
 */

/** Longest word tried. */
const MAX_WORD_CHARS = 24
const WORD_COST = 0.5
/** An unknown part costs this once and `CHARACTER_COST` for every character: a short word inside a name does not split it. */
const UNKNOWN_COST = 2
const CHARACTER_COST = 1
/** No part begins with a vowel or tone that is written on or after a consonant. */
const DEPENDENT = /[\u0e30-\u0e3a\u0e45\u0e47-\u0e4e]/
/** No part ends with a vowel that is written before its consonant. */
const LEADING = /[\u0e40-\u0e44]/

/** Words by their first two characters. */
export class ThaiWords {
  readonly #byStart = new Map<string, Map<string, number>>()

  constructor(words: Iterable<string> = []) {
    for (const word of words) this.add(word)
  }

  /** Adds a word; one added several times is removed as often. */
  add(word: string): void {
    if (word.length < 2 || word.length > MAX_WORD_CHARS) return
    const start = word.slice(0, 2)
    const group = this.#byStart.get(start) ?? new Map<string, number>()
    this.#byStart.set(start, group.set(word, (group.get(word) ?? 0) + 1))
  }

  remove(word: string): void {
    const start = word.slice(0, 2)
    const group = this.#byStart.get(start)
    const count = group?.get(word)
    if (group === undefined || count === undefined) return
    if (count > 1) group.set(word, count - 1)
    else if (group.size > 1) group.delete(word)
    else this.#byStart.delete(start)
  }

  /** Ends of the words that start at `at`. */
  ends(run: string, at: number): number[] {
    const group = this.#byStart.get(run.slice(at, at + 2))
    if (group === undefined) return []
    const ends: number[] = []
    for (let end = at + 2; end <= Math.min(run.length, at + MAX_WORD_CHARS); end++)
      if (group.has(run.slice(at, end))) ends.push(end)
    return ends
  }
}

/** Segments a run of Thai at the lowest cost (dynamic programming from the end). Consecutive unknown characters are one part. */
export function segment(run: string, dictionaries: readonly ThaiWords[]): string[] {
  const { length } = run
  // known[i], unknown[i]: least cost of run[i..], when i is at a boundary or inside an unknown part.
  const known = new Float64Array(length + 1)
  const unknown = new Float64Array(length + 1)
  const step = new Int32Array(length + 1)
  for (let at = length - 1; at >= 0; at--) {
    const next = at + 1
    unknown[at] = CHARACTER_COST + Math.min(unknown[next]!, canPart(run, next) ? known[next]! : Infinity)
    let best = UNKNOWN_COST + unknown[at]!
    let end = 0
    for (const dictionary of dictionaries) {
      for (const candidate of dictionary.ends(run, at)) {
        const cost = canPart(run, candidate) ? WORD_COST + known[candidate]! : Infinity
        if (cost < best) {
          best = cost
          end = candidate
        }
      }
    }
    known[at] = best
    step[at] = end
  }
  const parts: string[] = []
  for (let at = 0; at < length; ) {
    let end = step[at]!
    if (end === 0) {
      end = at + 1
      while (end < length && !(canPart(run, end) && known[end]! <= unknown[end]!)) end++
    }
    parts.push(run.slice(at, end))
    at = end
  }
  return parts
}

function canPart(run: string, at: number): boolean {
  return at === run.length || (!DEPENDENT.test(run[at]!) && !LEADING.test(run[at - 1]!))
}

const THAI_CLASSES: Readonly<Record<string, string>> = classes({
  K: 'กขฃคฅฆ',
  N: 'งณนญ',
  C: 'จฉชฌ',
  S: 'ซศษส',
  T: 'ดตฎฏฐฑฒถทธ',
  B: 'บ',
  P: 'ปผพภ',
  F: 'ฝฟ',
  M: 'ม',
  L: 'รลฬฤ',
  H: 'หฮ',
})
const LATIN_CLASSES: Readonly<Record<string, string>> = classes({
  K: 'kgq',
  N: 'n',
  C: 'j',
  S: 'sz',
  T: 'td',
  B: 'b',
  P: 'p',
  F: 'f',
  M: 'm',
  L: 'lr',
})

function classes(groups: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(groups).flatMap(([key, letters]) => [...letters].map(letter => [letter, key])))
}

/**
 * The consonant classes of a word in Thai or Latin letters, doubles once: silenced letters, silent h, glides and a Latin r at
 * a syllable's end are left out, as Thai spellings of loan words leave them out.
 */
export function skeleton(word: string): string {
  return (/[\u0e01-\u0e4e]/.test(word) ? thaiSkeleton(word) : latinSkeleton(word)).replace(/(.)\1+/g, '$1').replace(/ /g, '')
}

/** Spaces stand for vowels, so that doubled letters are told from repeated ones. */
function thaiSkeleton(word: string): string {
  const heard = word
    .replace(/[\u0e01-\u0e2e][\u0e34-\u0e39]?\u0e4c/g, '') // silenced by thanthakhat
    .replace(/ห(?=[งญนมยรลว])/g, '')
    .replace(/[\u0e47-\u0e4b\u0e4d]/g, '')
  let key = ''
  for (let at = 0; at < heard.length; at++) {
    const letter = heard[at]!
    const consonant = THAI_CLASSES[letter]
    if (consonant !== undefined) key += consonant
    else if ((letter === 'ว' || letter === 'ย') && isOnset(heard, at)) key += letter === 'ว' ? 'W' : 'Y'
    else key += ' '
  }
  return key
}

/** True where ว or ย begins a syllable: a vowel stands before it in writing, or follows it. */
function isOnset(word: string, at: number): boolean {
  return LEADING.test(word[at - 1] ?? '') || /[\u0e30-\u0e39]/.test(word[at + 1] ?? '')
}

function latinSkeleton(word: string): string {
  const heard = word
    .replace(/ph(?=[aeiouy])/g, 'p')
    .replace(/sh|ch|tch/g, 'j')
    .replace(/ck/g, 'k')
    .replace(/th/g, 't')
    .replace(/ng(?![aeiouy])/g, 'n')
    .replace(/c(?=[eiy])/g, 's')
    .replace(/c/g, 'k')
    .replace(/x$/g, 'k')
    .replace(/x/g, 'ks')
    .replace(/r(?![aeiouyr])/g, '')
  let key = ''
  for (let at = 0; at < heard.length; at++) {
    const letter = heard[at]!
    const followed = /[aeiou]/.test(heard[at + 1] ?? '')
    const consonant = LATIN_CLASSES[letter]
    if (consonant !== undefined) key += consonant
    else if (letter === 'h' && followed) key += 'H'
    else if ((letter === 'v' || letter === 'w') && (followed || (letter === 'v' && at === 0))) key += 'W'
    else if (letter === 'y' && followed) key += 'Y'
    else key += ' '
  }
  return key
}

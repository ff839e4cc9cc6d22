/**
 * Phrases as data. A phrase is a list of words separated by spaces:
 *
 *   a|b    one of these          a?     may be missing         a*    any ending
 *   …      up to five words      #      a number               §     a zone named
 *   ^ $    start, end of clause  @list  one of a named list
 *
 * Latin words stand alone; Thai ones may touch their neighbours, so spaces between them are optional, and a gap is a stretch of
 * characters. Phrases are normalised as messages are.
 */
import { normalise } from './normalize.ts'
import compounds from './words/thai-compounds.json' with { type: 'json' }

export type Lists = Readonly<Record<string, readonly string[]>>

const THAI = /[\u0e01-\u0e4e]/
const LATIN_START = '(?<![a-z0-9])'
const LATIN_END = '(?![a-z0-9])'
/** A consonant after a leading vowel belongs to it: เปิด is not ปิด. */
const THAI_START = '(?<![\\u0e40-\\u0e44])'
const WORD_GAP = '(?:\\S+ ){0,5}?'
const THAI_GAP = '.{0,24}?'

/** One regular expression for all the phrases, for clauses of `normalize.ts`. @throws where a phrase is malformed. */
export function compile(phrases: readonly string[], lists: Lists = {}): RegExp {
  return new RegExp(phrases.map(phrase => `(?:${source(phrase, lists)})`).join('|') || '(?!)')
}

function source(phrase: string, lists: Lists): string {
  const parts = phrase.split(' ').filter(part => part !== '')
  if (parts.length === 0) throw new Error('an empty phrase matches everything')
  let made = ''
  let before: 'start' | 'latin' | 'thai' = 'start'
  let gap = false
  for (const part of parts) {
    if (part === '^' || part === '$') {
      made += part
      continue
    }
    if (part === '…') {
      gap = true
      continue
    }
    const optional = part.endsWith('?')
    const alternatives = part
      .replace(/\?$/, '')
      .split('|')
      .flatMap(word => expand(word, lists, phrase))
    const thai = alternatives.some(word => THAI.test(word))
    const joint = before === 'start' ? '' : thai || before === 'thai' ? (gap ? THAI_GAP : ' ?') : gap ? ` ${WORD_GAP}` : ' '
    const word = `(?:${alternatives.map(term).join('|')})`
    // An optional first word carries the space after it.
    made += optional ? (before === 'start' ? `(?:${word} )?` : `(?:${joint}${word})?`) : `${joint}${word}`
    if (!(optional && before === 'start')) before = thai ? 'thai' : 'latin'
    gap = false
  }
  return made
}

function expand(word: string, lists: Lists, phrase: string): readonly string[] {
  if (!word.startsWith('@')) return [word]
  const list = lists[word.slice(1)]
  if (list === undefined) throw new Error(`phrase "${phrase}": no list named ${word}`)
  return list
}

function term(word: string): string {
  if (word === '#') return `${LATIN_START}\\d+${LATIN_END}`
  if (word === '§') return '§\\d+'
  const open = word.endsWith('*')
  const text = normalise(open ? word.slice(0, -1) : word).replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
  if (text === '') throw new Error(`"${word}" says nothing`)
  if (THAI.test(text)) return `${THAI_START}${notWithin(text)}`
  return `${LATIN_START}${text}${open ? '[a-z0-9]*' : LATIN_END}`
}

/** A Thai word that is not a part of a longer word of another meaning: ดับ is off, ระดับ is level. */
function notWithin(text: string): string {
  let made = text
  for (const [word, longer] of Object.entries(compounds)) {
    for (const compound of longer) {
      const [before, after] = compound.split(word) as [string, string]
      if (before !== '' && text.startsWith(word)) made = `(?<!${before})${made}`
      if (after !== '' && text.endsWith(word)) made = `${made}(?!${after})`
    }
  }
  return made
}

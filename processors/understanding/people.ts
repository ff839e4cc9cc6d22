/** Names and positions of people, from their answers. Names are taken as written. */
import { normalise } from './normalize.ts'
import { compile } from './phrases.ts'
import data from './words/people.json' with { type: 'json' }

const MAX_NAME_WORDS = 4
const MAX_POSITION_WORDS = 6
const MAX_CHARS = 60

const byLength = (a: string, b: string) => b.length - a.length
const nameBefore = prefix(data.nameBefore)
const explicit = new RegExp(`(?:^|[\\s,.!])(?:${pattern(data.explicit)})`, 'iu')
const honorific = prefix(data.honorifics.map(word => (/[a-z]/.test(word) ? `${word}\\.?` : word)))
const politeStart = prefix(data.polite)
const politeEnd = new RegExp(
  `(?:[\\s,.!]*(?:${data.polite
    .map(word => (/[a-z]/.test(word) ? `\\b${word}` : word))
    .sort(byLength)
    .join('|')}))+[\\s,.!]*$`,
  'iu',
)
const nameEnd = new RegExp(
  `[,.!?;\\n(/–]|(?<=\\s)(?:${data.nameEnds.filter(word => /[a-z]/.test(word)).join('|')})\\b|(?:${data.nameEnds.filter(word => !/[a-z]/.test(word)).join('|')})`,
  'iu',
)
const notNames = new Set(data.notNames)
const positionBefore = prefix(data.positionBefore)
/** Longer titles first, so that "bar manager" is not read as "manager". */
const positions = Object.entries(data.positions)
  .flatMap(([title, forms]) => forms.map(form => ({ title, form })))
  .sort((a, b) => byLength(a.form, b.form))
  .map(({ title, form }) => ({ title, match: compile([form]) }))

/** The name of an explicit introduction ("My name is …"), in any state. */
export function introducedName(text: string): string | null {
  const written = text.normalize('NFKC').replace(/[’]/g, "'")
  const match = explicit.exec(written)
  return match === null ? null : nameOf(written.slice(match.index + match[0].length))
}

/** The name in an answer to "your name, please?". */
export function answeredName(text: string): string | null {
  const written = text.normalize('NFKC').trim()
  return introducedName(text) ?? nameOf(written.replace(politeStart, '').replace(nameBefore, ''))
}

/** The known position named in a normalised text, by its usual title. */
export function knownPosition(normalised: string): string | null {
  return positions.find(({ match }) => match.test(normalised))?.title ?? null
}

/** The position in an answer to "your position, please?": by its usual title, else as written. */
export function answeredPosition(text: string): string | null {
  const said = text.normalize('NFKC').trim().replace(politeStart, '').replace(politeEnd, '').replace(positionBefore, '')
  const known = knownPosition(normalise(said))
  const short = said.trim().replace(/[.!,]+$/, '')
  if (known !== null) return known
  return isName(short, MAX_POSITION_WORDS) ? short : null
}

function nameOf(said: string): string | null {
  const rest = said.trim().replace(honorific, '')
  const end = nameEnd.exec(rest)
  const name = (end === null ? rest : rest.slice(0, end.index)).replace(politeEnd, '').trim()
  if (!isName(name, MAX_NAME_WORDS) || notNames.has(name.toLowerCase()) || knownPosition(normalise(name)) !== null) return null
  return name === name.toLowerCase() ? name.replace(/(?<!\p{L}|\p{M}|')\p{Ll}/gu, letter => letter.toUpperCase()) : name
}

/** Letters only, in a few words. */
function isName(text: string, most: number): boolean {
  return (
    text.length >= 2 &&
    text.length <= MAX_CHARS &&
    /^[\p{L}\p{M}.'&/ -]+$/u.test(text) &&
    /\p{L}/u.test(text) &&
    text.split(/\s+/).length <= most
  )
}

function prefix(words: readonly string[]): RegExp {
  return new RegExp(`^(?:(?:${pattern(words)})[\\s,.:!]*)+`, 'iu')
}

/** Alternatives, longest first; Latin ones as whole words, apostrophes optional. */
function pattern(words: readonly string[]): string {
  return [...words]
    .sort(byLength)
    .map(word =>
      /[a-z]/.test(word)
        ? `${word
            .replace(/\bim\b/, "i'?m")
            .replace(/\bits\b/, "it'?s")
            .replace(/names$/, "name'?s")}(?![\\p{L}])`
        : word,
    )
    .join('|')
}

/** What a message means as an answer: yes or no, a number, none of these; and overrides, which work in every state. */
import type { Override, ReplyMeaning } from '../../schemas/types.ts'
import type { Language } from './language.ts'
import { clauses, words } from './normalize.ts'
import { compile } from './phrases.ts'
import { numberOf, ordinalOf } from './slots.ts'
import { segment, ThaiWords } from './thai.ts'
import numbers from './words/numbers.json' with { type: 'json' }
import data from './words/replies.json' with { type: 'json' }
import people from './words/people.json' with { type: 'json' }

export interface Reply {
  readonly reply: ReplyMeaning
  readonly number: number | null
}

export interface OverrideRead {
  readonly override: Override
  /** For LANGUAGE, the one asked for. */
  readonly language: Language | null
}

/** Largest choice or volume; larger numbers are rooms, phone numbers and prices. */
const MAX_NUMBER = 100
/** Longest answer, in words; a longer one is a new message. */
const MAX_WORDS = 6

const starts = (phrases: readonly string[]) => compile(phrases.map(phrase => `^ ${phrase}`))
const alone = (phrases: readonly string[]) => compile(phrases.map(phrase => `^ ${phrase} $`))
const yes = starts(data.yes)
const yesAlone = alone(data.yesAlone)
const no = starts(data.no)
const noAlone = alone(data.noAlone)
const noneOfThese = compile(data.noneOfThese)
const noFollowers = new Set(data.noFollowers)
const greeting = alone(data.greetings)
const human = compile(data.human)
const restart = compile(data.restart)
const stop = compile(data.stop)
const toEnglish = compile(data.toEnglish)
const toThai = compile(data.toThai)
const negation = /(?:dont|do not|ไม่ต้อง|ไม่อยาก)(?: \S+){0,3} ?$/u
const numberWords = new Set(data.numberWords)
const thaiNumberWords = new ThaiWords(
  [...data.numberWords, ...Object.keys(numbers.words), ...Object.keys(numbers.ordinals)].filter(word =>
    /[\u0e01-\u0e4e]/.test(word),
  ),
)
const particles = new RegExp(
  `(?<=.)(?: ?(?:${people.polite.map(word => (/[a-z]/.test(word) ? ` ${word}` : word)).join('|')}))+$`,
  'u',
)

/** The answer in a normalised text. */
export function replyIn(normalised: string): Reply {
  const [first = ''] = clauses(normalised).filter(clause => !greeting.test(bareAnswer(clause)))
  const bare = bareAnswer(first)
  const number = choiceIn(normalised)
  if (number === 0 || noneOfThese.test(first)) return meaning('NONE_OF_THESE')
  if (number !== null) return { reply: 'NUMBER', number }
  if (/ไหม$|มั้ย$|หรือเปล่า$/.test(bare)) return meaning('NONE')
  if (no.test(first) || noAlone.test(bare) || noAlone.test(first) || saysNo(first)) return meaning('NO')
  if (yes.test(first) || yesAlone.test(bare) || yesAlone.test(first)) return meaning('YES')
  if (/^\s*(?:👍|✅|👌|🙆)/u.test(normalised)) return meaning('YES')
  if (/^\s*(?:👎|❌)/u.test(normalised)) return meaning('NO')
  return meaning('NONE')
}

/** The override in a normalised text: words that work in every state. */
export function overrideIn(normalised: string): OverrideRead {
  const none: OverrideRead = { override: 'NONE', language: null }
  for (const clause of clauses(normalised)) {
    const bare = bareAnswer(clause)
    const says = (pattern: RegExp) => pattern.test(bare) || pattern.test(clause)
    if (says(restart)) return { ...none, override: 'RESTART' }
    if (says(stop)) return { ...none, override: 'STOP' }
    const asked = human.exec(clause) ?? human.exec(bare)
    if (asked !== null && !negation.test(clause.slice(0, asked.index))) return { ...none, override: 'HUMAN' }
    if (words(clause).length > MAX_WORDS) continue
    if (says(toEnglish)) return { override: 'LANGUAGE', language: 'en' }
    if (says(toThai)) return { override: 'LANGUAGE', language: 'th' }
  }
  return none
}

/** A clause without the particles at its end. */
function bareAnswer(clause: string): string {
  return clause.replace(particles, '').trim()
}

/** "no" is an answer before "it is …", but not in "no music". */
function saysNo(clause: string): boolean {
  const [first, next] = words(clause)
  return first === 'no' && (next === undefined || noFollowers.has(next))
}

/** A number that is all a message says: "2", "๒", "#2", "the second one", "ข้อ 2 ค่ะ". */
function choiceIn(normalised: string): number | null {
  const said = words(normalised).flatMap(word => (/[\u0e01-\u0e4e]/.test(word) ? segment(word, [thaiNumberWords]) : [word]))
  if (said.length === 0 || said.length > MAX_WORDS) return null
  const values = said.map(word => numberOf(word) ?? ordinalOf(word))
  const chosen = values.filter((value, at) => value !== null && !(numberWords.has(said[at]!) && said.length > 1))
  const others = said.filter((word, at) => values[at] === null && !numberWords.has(word))
  const [number] = chosen
  if (chosen.length !== 1 || others.length > 0 || number == null || !Number.isInteger(number) || number > MAX_NUMBER) return null
  return number
}

function meaning(reply: ReplyMeaning): Reply {
  return { reply, number: null }
}

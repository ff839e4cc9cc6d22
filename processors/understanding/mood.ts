/** The sentiment of a message, and its issue in a few words for people. */
import type { Sentiment } from '../../schemas/types.ts'
import type { Language } from './language.ts'
import { clauses } from './normalize.ts'
import { compile } from './phrases.ts'
import intents from './words/intents.json' with { type: 'json' }
import moods from './words/moods.json' with { type: 'json' }

const urgent = compile(moods.urgent)
const negative = compile(moods.negative)
const positive = compile(moods.positive)
const stopped = compile(intents.stopped)
const issues: Readonly<Record<string, readonly string[]>> = intents.issues
const STOPPED = ['Music stopped', 'เพลงหยุด']
const MAX_ISSUE_CHARS = 80

/** URGENT before NEGATIVE before POSITIVE; "!!" is urgent unless it cheers. */
export function sentimentOf(normalised: string): Sentiment {
  const parts = clauses(normalised)
  const says = (mood: RegExp) => parts.some(part => mood.test(part))
  const bad = says(negative)
  if (says(urgent) || (/!\s*!/.test(normalised) && (bad || !says(positive)))) return 'URGENT'
  if (bad) return 'NEGATIVE'
  return says(positive) ? 'POSITIVE' : 'NEUTRAL'
}

/** The issue of an intent in a few words: "Music stopped in lobby". Null if the intent has none. */
export function issueLabel(
  kind: string,
  clause: string,
  place: { words: string | null; all: boolean },
  language: Language,
): string | null {
  const labels = kind === 'no_sound' && stopped.test(clause) ? STOPPED : issues[kind]
  if (labels === undefined) return null
  const [english, thai] = labels
  if (place.all) return language === 'th' ? `${thai}ทุกโซน` : `${english} in all zones`
  if (place.words === null) return (language === 'th' ? thai : english)!
  return language === 'th' ? `${thai}ที่${/^[a-z]/i.test(place.words) ? ' ' : ''}${place.words}` : `${english} in ${place.words}`
}

/** The first sentence, shortened: the issue of a message without a known intent. */
export function condensed(text: string): string | null {
  const sentence = text
    .trim()
    .split(/[\n!?]|\.\s/)[0]!
    .replace(/\s+/g, ' ')
    .trim()
  if (!/\p{L}{2}/u.test(sentence)) return null
  if (sentence.length <= MAX_ISSUE_CHARS) return sentence
  return `${sentence.slice(0, MAX_ISSUE_CHARS).replace(/\s+\S*$/, '')}…`
}

/**
 * What a message wants, by rules over its clauses: phrases in Thai and English (words/intents.json), each intent with a
 * confidence. Below 0.7 the dialogue asks instead of acting, so a negated wish is left out and a question about an action stays
 * below it.
 */
import { clauses } from './normalize.ts'
import { compile, type Lists } from './phrases.ts'
import { volumeIn } from './slots.ts'
import data from './words/intents.json' with { type: 'json' }

export interface IntentRead {
  readonly kind: string
  readonly confidence: number
  /** The clauses it was read from: where its zones, volume and duration stand. */
  readonly clause: string
}

/** Below this the dialogue asks instead of acting. */
export const MIN_CONFIDENCE = 0.7
const SURE_CONFIDENCE = 0.92
const WEAK_CONFIDENCE = 0.6
/** "why did you turn it down?" */
const QUESTION_FACTOR = 0.4
/** A message has few wishes; a pasted page is not a list of them. */
const MAX_CLAUSES = 40
const NEGATION_REACH_CHARS = 40

interface Rule {
  readonly kind: string
  readonly group: string
  readonly sure: RegExp
  readonly weak: RegExp
}

const lists: Lists = data.lists
const rules: readonly Rule[] = data.intents.map(({ kind, group, phrases, weak }) => ({
  kind,
  group,
  sure: compile(phrases, lists),
  weak: compile(weak, lists),
}))
const groupOf = new Map(rules.map(({ kind, group }) => [kind, group]))
const beats: Readonly<Record<string, readonly string[]>> = data.beats
const resume = new Set(data.resume)
/** A negator with at most two words after it. */
const negated = new RegExp(`(?:${compile(data.negators).source})(?: (?!just|but|instead)\\S+){0,2} ?$`, 'u')
const question = compile(data.questions)
/** "no problem" reports none. */
const absent = new RegExp(`(?:${compile(data.absent).source}) ?$`)
/** Words between two wishes; they split only where both sides have one. */
const CONNECTORS = /(?<= )(?:and|then|but|also|plus)(?= )|แล้วก็|และ|แต่/u

/** Intents of a normalised text, the surest first. `unknown` where there is none. */
export function intentsIn(normalised: string): IntentRead[] {
  const pieces = clauses(normalised)
    .slice(0, MAX_CLAUSES)
    .flatMap(clause => clause.split(CONNECTORS).map(piece => piece.trim()))
  const parts = joinPieces(pieces.map(piece => ({ text: piece, found: intentsOf(piece) })))
  const best = new Map<string, IntentRead>()
  for (const { text, found } of parts) {
    for (const [kind, confidence] of found) {
      const known = best.get(kind)
      const clause = known === undefined ? text : `${known.clause} , ${text}`
      best.set(kind, { kind, confidence: Math.max(confidence, known?.confidence ?? 0), clause })
    }
  }
  const kept = keepSurest([...best.values()])
  return kept.length > 0 ? kept : [{ kind: 'unknown', confidence: 0, clause: pieces.join(' , ') }]
}

/** control, info, trouble, social or commercial; undefined for unknown. */
export function groupOfIntent(kind: string): string | undefined {
  return groupOf.get(kind)
}

function intentsOf(clause: string): Map<string, number> {
  const found = new Map<string, number>()
  for (const { kind, group, sure, weak } of rules) {
    const surely = sure.exec(clause)
    const match = surely ?? weak.exec(clause)
    if (match === null) continue
    const confidence = surely === null ? WEAK_CONFIDENCE : SURE_CONFIDENCE
    if (group === 'trouble' && absent.test(clause.slice(0, match.index))) continue
    if (group !== 'control') found.set(kind, confidence)
    else if (!isNegated(clause, match.index)) found.set(kind, confidence * (isAsked(clause, match.index) ? QUESTION_FACTOR : 1))
  }
  if (playsSomething(clause)) found.set('change_playlist', Math.max(found.get('change_playlist') ?? 0, 0.8))
  const wantsVolume = found.get('volume_up') ?? found.get('volume_down')
  if (wantsVolume !== undefined && volumeIn(clause).target !== null) found.set('volume_set', wantsVolume)
  if (found.get('volume_set') === SURE_CONFIDENCE && volumeIn(clause).target === null) found.delete('volume_set')
  return found
}

/** "play" with something to play that is not simply the music. */
function playsSomething(clause: string): boolean {
  const match = /(?<!\p{L})play (?:(?:me|us|some|a|an|more|the) )*([^\s§]+)/u.exec(clause)
  return match !== null && !resume.has(match[1]!) && !isNegated(clause, match.index) && !isAsked(clause, match.index)
}

/** A negator shortly before the wish. */
function isNegated(clause: string, at: number): boolean {
  return negated.test(clause.slice(Math.max(0, at - NEGATION_REACH_CHARS), at))
}

/** A question word among the first words, before the wish; in Thai anywhere. */
function isAsked(clause: string, at: number): boolean {
  const match = question.exec(clause)
  if (match === null) return false
  if (/[\u0e01-\u0e4e]/.test(match[0])) return true
  return match.index < at && clause.slice(0, match.index).split(' ').length <= 4
}

interface Piece {
  readonly text: string
  readonly found: Map<string, number>
}

/** Joins pieces without a wish to the one before, or at the start to the one after. */
function joinPieces(pieces: readonly Piece[]): Piece[] {
  const parts: Piece[] = []
  let loose = ''
  for (const { text, found } of pieces) {
    const last = parts.at(-1)
    if (found.size > 0 && !onlySocial(found)) {
      parts.push({ text: `${loose}${text}`, found })
      loose = ''
    } else if (found.size > 0) parts.push({ text, found })
    else if (last !== undefined && !onlySocial(last.found)) parts[parts.length - 1] = { ...last, text: `${last.text} , ${text}` }
    else loose += `${text} , `
  }
  return parts
}

function onlySocial(found: ReadonlyMap<string, number>): boolean {
  return [...found.keys()].every(kind => groupOf.get(kind) === 'social')
}

/** Drops intents that a surer one explains, and courtesies beside anything else; the surest first. */
function keepSurest(found: readonly IntentRead[]): IntentRead[] {
  const beaten = new Set(
    found.flatMap(({ kind, confidence }) =>
      (beats[kind] ?? []).filter(other => found.some(intent => intent.kind === other && intent.confidence <= confidence)),
    ),
  )
  const wishes = found.filter(({ kind }) => !beaten.has(kind))
  const serious = wishes.filter(({ kind }) => kind !== 'greeting' && kind !== 'thanks')
  const acts = serious.some(({ kind, confidence }) => confidence >= MIN_CONFIDENCE && groupOf.get(kind) !== 'social')
  return (serious.length > 0 ? serious : wishes)
    .filter(({ kind, confidence }) => !(acts && kind === 'complaint' && confidence < MIN_CONFIDENCE))
    .sort((a, b) => b.confidence - a.confidence)
}

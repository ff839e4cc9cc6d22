/**
 * Intents by what they lead to: a control of a zone, a question that the zone's state answers, or a trouble that starts with a check
 * of the zones. Everything else that is not just social goes to a human.
 */
import type { Intent, Understood, ZoneRequestKind } from '../../schemas/types.ts'

const CONTROLS: Readonly<Record<string, ZoneRequestKind>> = {
  volume_up: 'VOLUME_UP',
  volume_down: 'VOLUME_DOWN',
  volume_set: 'VOLUME_SET',
  mute: 'MUTE',
  unmute: 'UNMUTE',
  play: 'PLAY',
  pause: 'PAUSE',
  skip: 'SKIP',
}
const QUESTIONS: Readonly<Record<string, ZoneRequestKind>> = {
  what_playing: 'WHAT_PLAYING',
  status_check: 'STATUS',
  list_zones: 'LIST_ZONES',
}
const TROUBLES = new Set(['report_issue', 'no_sound', 'device_offline'])
const SOCIAL = new Set(['greeting', 'thanks', 'unknown'])
/** Intents of prospects (people without a venue in the system). */
const COMMERCIAL = new Set(['new_prospect', 'demo_request', 'quote_request', 'pricing_query', 'licensing_query', 'product_query'])

/** Below this confidence an intent is not even tried as a guess. */
const MIN_GUESS_CONFIDENCE = 0.5
const MAX_INTENTS = 3

export const controlOf = ({ kind }: Intent): ZoneRequestKind | undefined => CONTROLS[kind]
export const questionOf = ({ kind }: Intent): ZoneRequestKind | undefined => QUESTIONS[kind]
export const isTrouble = ({ kind }: Intent): boolean => TROUBLES.has(kind)
export const isHelp = ({ kind }: Intent): boolean => kind === 'help'
/** Whether only a human can deal with it. */
export const isForHuman = (intent: Intent): boolean =>
  controlOf(intent) === undefined && questionOf(intent) === undefined && !isTrouble(intent) && !isHelp(intent)

export const isControlKind = (kind: ZoneRequestKind): boolean => Object.values(CONTROLS).includes(kind)

/**
 * What a message asks for, at most three intents in order: the certain ones; else the best guess, if acting on a guess does no harm
 * or will be confirmed first. A complaint beside another request is its reason, not a request.
 * @param minConfidence the confidence from which an intent counts as meant
 */
export function wanted({ intents }: Understood, minConfidence: number): Intent[] {
  const meant = intents.filter(i => i.confidence >= minConfidence && !SOCIAL.has(i.kind))
  const [best] = intents
  if (meant.length === 0) {
    const guess = best !== undefined && !SOCIAL.has(best.kind) && !isForHuman(best) && best.confidence >= MIN_GUESS_CONFIDENCE
    return guess ? [best] : []
  }
  const doable = meant.filter(i => i.kind !== 'complaint')
  const list = doable.length > 0 ? doable : meant
  return list
    .filter(
      (i, n) => list.findIndex(j => isSame(i, j)) === n && !(isLook(i) && list.some(j => isTrouble(j) && j.zone === i.zone)),
    )
    .slice(0, MAX_INTENTS)
}

/** Whether one answer serves both: "which zones are there, are they online?" is one question. */
function isSame(a: Intent, b: Intent): boolean {
  return a.zone === b.zone && (a.kind === b.kind || (isLook(a) && isLook(b)))
}

function isLook(intent: Intent): boolean {
  const kind = questionOf(intent)
  return kind === 'STATUS' || kind === 'LIST_ZONES'
}

/** Whether a prospect would ask this. */
export function isCommercial(asked: readonly Intent[]): boolean {
  return asked.length > 0 && asked.every(i => COMMERCIAL.has(i.kind))
}

/** Whether a human must be told at once. */
export function isCritical(understood: Understood, asked: readonly Intent[]): boolean {
  return understood.sentiment === 'URGENT' || asked.some(i => i.kind === 'cancel_threat')
}

export function saysYes({ action, reply }: Understood): boolean {
  return action === 'confirm:yes' || (action === null && reply === 'YES')
}

export function saysNo({ action, reply }: Understood): boolean {
  return action === 'confirm:no' || (action === null && reply === 'NO')
}

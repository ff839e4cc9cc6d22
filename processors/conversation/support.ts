/**
 * Serves the requests of an identified person: controls and questions go to the venue, troubles start with a check of its zones, the
 * rest goes to a human.
 */
import { cut } from '../../domain/text.ts'
import { trusts } from '../../domain/trust.ts'
import type { Intent, OfferedZone, OpenQuestion, QueuedMessage, Understood, Wish } from '../../schemas/types.ts'
import { yesNo } from './ask.ts'
import { summarize } from './contact.ts'
import { issueText } from './dialogue.ts'
import { route } from './handover.ts'
import { controlOf, isCritical, isForHuman, isHelp, isTrouble, questionOf, saysNo, saysYes, wanted } from './intents.ts'
import { ageWords } from './render.ts'
import { refuse, request, wishOf, wishWords } from './requests.ts'
import type { Turn } from './turn.ts'
import { firstName, type PhraseKey } from './words.ts'

/** Zones listed in a question. */
const MAX_ZONES_OFFERED = 20

/** Handles one message of a person whose venue is known. */
export function serve(turn: Turn, understood: Understood, message: QueuedMessage): Turn {
  const asked = wanted(understood, turn.settings.minConfidence)
  const left = takeAnswer(turn, understood, message, asked)
  if (left === null) return turn
  const critical = isCritical(understood, left)
  if (left.length === 0 && !critical) return smallTalk(turn, understood, message)
  turn.set({ thanked: false })
  const waited = turn.waitsForHuman
  const forHuman = left.filter(isForHuman)
  if (critical || forHuman.length > 0) {
    const kinds = (forHuman.length > 0 ? forHuman : left).map(i => i.kind)
    turn.handOver(route(kinds, message.text, understood.sentiment === 'URGENT'))
  }
  serveIntents(turn, left, understood, message, waited)
  return turn.state.state === 'ASKING_ISSUE' ? turn.moveTo('IDENTIFIED') : turn
}

/** Serves everything that needs no human, in the order asked. @param waited whether a human was awaited before */
function serveIntents(
  turn: Turn,
  asked: readonly Intent[],
  understood: Understood,
  message: QueuedMessage,
  waited: boolean,
): void {
  const held: Wish[] = []
  let unsure = false
  for (const intent of asked) {
    const control = controlOf(intent)
    const question = questionOf(intent)
    if (control !== undefined) {
      const wish = wishOf(control, intent, asked, understood, message)
      unsure ||= intent.confidence < turn.settings.minConfidence
      if (!unsure && held.length === 0 && obstacle(turn, wish) === null) request(turn, wish)
      else held.push(wish)
    } else if (question !== undefined) {
      request(turn, wishOf(question, intent, asked, understood, message))
    } else if (isTrouble(intent)) {
      if (turn.state.issue === null && !waited) summarize(turn, issueText(understood, message))
      request(turn, wishOf('STATUS', intent, asked, understood, message), intent.kind)
    } else if (isHelp(intent) && !waited) turn.say('help')
  }
  const [first] = asked.filter(i => controlOf(i) !== undefined)
  if (held.length > 0)
    resolveWishes(turn, held, understood, { unsure, unknownZone: first?.zoneText ?? null, choices: first?.zoneChoices ?? [] })
}

// Controls: obstacles are reported or asked about, one at a time.

type Obstacle = 'trust' | 'old' | 'zone'

function obstacle(turn: Turn, wish: Wish): Obstacle | null {
  if (!trusts(turn.sender(wish.sender)?.trust ?? 'CLAIMED', turn.settings.controlTrust)) return 'trust'
  if (turn.now - wish.sentAt > turn.settings.controlHorizonMs) return 'old'
  return wish.zones.length === 0 && !wish.allZones ? 'zone' : null
}

interface Uncertainty {
  readonly unsure: boolean
  readonly unknownZone: string | null
  readonly choices: readonly string[]
}

const CERTAIN: Uncertainty = { unsure: false, unknownZone: null, choices: [] }

/** Sends these wishes, or asks for whatever is missing first. */
function resolveWishes(turn: Turn, wishes: readonly Wish[], understood: Understood, uncertainty: Uncertainty = CERTAIN): Turn {
  const obstacles = wishes.map(wish => obstacle(turn, wish))
  if (obstacles.includes('trust')) return untrusted(turn, wishes)
  if (obstacles.includes('old')) {
    const asked = Math.min(...wishes.map(w => w.sentAt))
    askQuestion(turn, { type: 'old', wishes: [...wishes], zones: [], tries: 0 })
    return turn.say('old.ask', { age: ageWords(turn, turn.now - asked), wish: wishWords(turn, wishes) }, yesNo(turn))
  }
  if (uncertainty.unsure) {
    askQuestion(turn, { type: 'confirm', wishes: [...wishes], zones: [], tries: 0 })
    return turn.say('sure.ask', { wish: wishWords(turn, wishes) }, yesNo(turn))
  }
  if (obstacles.includes('zone')) return askZone(turn, wishes, understood, uncertainty)
  for (const wish of wishes) request(turn, wish)
  return turn
}

/** Explains how to get permission, and hands over to a human. */
function untrusted(turn: Turn, wishes: readonly Wish[]): Turn {
  const quiet = turn.waitsForHuman && turn.silent
  for (const wish of wishes) refuse(turn, wish)
  if (!quiet) turn.say('refused.trust', { venue: turn.state.venueName ?? '' })
  return turn.handOver({ department: 'OPERATIONS', priority: 'NORMAL', reason: 'control_not_trusted' })
}

function askZone(turn: Turn, wishes: readonly Wish[], { zones }: Understood, { unknownZone, choices }: Uncertainty): Turn {
  if (zones.length === 0) return turn.handOver({ department: 'OPERATIONS', priority: 'HIGH', reason: 'no_zones_known' })
  const fitting = zones.filter(z => choices.includes(z.zone))
  const offered = (fitting.length > 0 ? fitting : zones).slice(0, MAX_ZONES_OFFERED)
  askQuestion(turn, { type: 'zone', wishes: [...wishes], zones: offered, tries: 0 })
  const strange = unknownZone !== null && fitting.length === 0
  const { venueName } = turn.state
  if (strange) return sayZones(turn, 'zone.unknown', offered, { zone: cut(unknownZone, 40), venue: venueName ?? '' })
  return sayZones(turn, 'zone.ask', offered)
}

function sayZones(
  turn: Turn,
  key: PhraseKey,
  zones: readonly OfferedZone[],
  values: { zone?: string; venue?: string } = {},
): Turn {
  const list = zones.map((z, n) => `${n + 1}. ${z.name}`).join('\n')
  const all = { id: 'zone:all', title: turn.phrase('button.all_zones') }
  const rows = [...zones.map(z => ({ id: `zone:${z.zone}`, title: z.name })), all]
  return turn.say(key, { list, ...values }, rows)
}

function askQuestion(turn: Turn, question: OpenQuestion): Turn {
  return turn.set({ question })
}

// Answers to our questions.

/** Takes the message as an answer. @returns what else it asks for; null if there is nothing more to do */
function takeAnswer(turn: Turn, understood: Understood, message: QueuedMessage, asked: Intent[]): Intent[] | null {
  const { question } = turn.state
  if (question === null || message.again) return asked
  // The wish is now that of the person who answers, whose trust counts.
  const wishes = question.wishes.map(wish => ({ ...wish, sender: message.sender }))
  const fresh = asked.filter(i => i.confidence >= turn.settings.minConfidence)
  const orNull = (list: Intent[]) => (list.length > 0 ? list : null)
  if (question.type === 'clarify') return unclear(turn, understood, message, asked)
  if (question.type === 'zone') {
    const picked = pickZone(question, understood, message, fresh)
    if (picked !== null) {
      turn.set({ question: null })
      resolveWishes(
        turn,
        wishes.map(wish => ({ ...wish, ...picked })),
        understood,
      )
      return null
    }
  } else if (saysYes(understood)) {
    turn.set({ question: null })
    if (question.type === 'solved') turn.say('trouble.solved')
    // A confirmed wish counts as made now.
    else
      resolveWishes(
        turn,
        wishes.map(w => (question.type === 'old' ? { ...w, sentAt: message.sentAt } : w)),
        understood,
      )
    return orNull(fresh.filter(i => wishes.every(w => w.kind !== controlOf(i))))
  }
  if (fresh.length > 0) {
    turn.set({ question: null })
    return asked
  }
  if (saysNo(understood) || understood.reply === 'NONE_OF_THESE') {
    turn.set({ question: null })
    if (question.type === 'solved') turn.handOver(route(['no_sound'], message.text, understood.sentiment === 'URGENT'))
    else turn.say('left')
    return null
  }
  if (question.tries > 0 || isCritical(understood, asked)) {
    turn.set({ question: null })
    return asked
  }
  askQuestion(turn, { ...question, tries: question.tries + 1 })
  if (question.type === 'zone') sayZones(turn, 'zone.again', question.zones)
  else if (question.type === 'solved') turn.say('trouble.again', {}, yesNo(turn))
  else turn.say('sure.ask', { wish: wishWords(turn, wishes) }, yesNo(turn))
  return null
}

function unclear(turn: Turn, understood: Understood, message: QueuedMessage, asked: Intent[]): Intent[] | null {
  turn.set({ question: null })
  if (asked.length > 0 || isSocial(understood) || isCritical(understood, asked)) return asked
  turn.handOver(route(['unknown'], message.text, false))
  if (turn.state.state === 'ASKING_ISSUE') turn.moveTo('IDENTIFIED')
  return null
}

type Picked = Pick<Wish, 'zones' | 'zoneName' | 'allZones'>

const ALL: Picked = { zones: [], zoneName: null, allZones: true }

/** The zone that an answer names, by button, number or name. A new request is not an answer. */
function pickZone(
  { zones }: OpenQuestion,
  understood: Understood,
  { text }: QueuedMessage,
  fresh: readonly Intent[],
): Picked | null {
  const { action, number, intents } = understood
  if (action === 'zone:all') return ALL
  const chosen = zones.find(z => action === `zone:${z.zone}`)
  if (chosen !== undefined) return one(chosen)
  if (fresh.length > 0) return null
  const numbered = number === null ? undefined : zones[number - 1]
  if (numbered !== undefined) return one(numbered)
  if (number === zones.length + 1 || intents.some(i => i.allZones)) return ALL
  const said = text.trim().toLowerCase()
  const named =
    understood.zones.find(z => intents.some(i => i.zone === z.zone)) ??
    zones.find(z => z.name.toLowerCase() === said) ??
    only(zones.filter(z => said.includes(z.name.toLowerCase()))) ??
    only(zones.filter(z => said.length >= 3 && z.name.toLowerCase().includes(said)))
  return named === undefined ? null : one(named)
}

const one = (zone: OfferedZone): Picked => ({ zones: [zone.zone], zoneName: zone.name, allZones: false })
const only = (zones: OfferedZone[]): OfferedZone | undefined => (zones.length === 1 ? zones[0] : undefined)

// Small talk, and messages that were not understood.

function smallTalk(turn: Turn, understood: Understood, message: QueuedMessage): Turn {
  const { thanked, contactName } = turn.state
  if (turn.waitsForHuman) return turn
  if (understood.intents[0]?.kind === 'greeting') {
    if (contactName === null) return turn.say('greeting.short_nameless')
    return turn.set({ greet: false }).say('greeting.short', { name: firstName(contactName) })
  }
  if (isSocial(understood)) {
    // Answer thanks once only: thanks for thanks would never end.
    if (!thanked) turn.say(saysNo(understood) ? 'left' : saysYes(understood) ? 'noted' : 'thanks')
    return turn.set({ thanked: true })
  }
  if (message.again) return turn
  return askQuestion(turn, { type: 'clarify', wishes: [], zones: [], tries: 0 }).say('clarify')
}

function isSocial(understood: Understood): boolean {
  const kind = understood.intents[0]?.kind
  return kind === 'greeting' || kind === 'thanks' || saysYes(understood) || saysNo(understood)
}

/**
 * The dialogue that identifies the venue and the person.
 *
 *   INITIAL ─▶ ASKING_VENUE_NAME ─▶ CONFIRMING_VENUE ─▶ ASKING_PERSON_NAME ─▶ ASKING_POSITION ─▶ ASKING_ISSUE ─▶ IDENTIFIED
 *      │          │  ▲     └──────▶ MULTIPLE_MATCHES ──▶┘                            (what is known is not asked)
 *      │          ▼  └ no                  │
 *      └───▶ NOT_FOUND: three failed tries, a human
 *
 * A request made on the way is kept as pending, and understood again once the venue is known.
 */
import { cut } from '../../domain/text.ts'
import type { Candidate, QueuedMessage, Understood } from '../../schemas/types.ts'
import { ask, choose, fromFile, fromMatch, offer, otherVenueIn, venueIn, yesNo } from './ask.ts'
import type { Dialogue } from './context.ts'
import { named, positioned, identified, untrusted } from './contact.ts'
import { route } from './handover.ts'
import { isCommercial, isCritical, isForHuman, isTrouble, questionOf, saysNo, saysYes, wanted } from './intents.ts'
import { keptText } from './queue.ts'
import type { Turn } from './turn.ts'
import { firstName } from './words.ts'

const MAX_TRIES = 3
const MAX_ISSUE_CHARS = 120

/** Handles one message during identification. */
export function identify(turn: Turn, understood: Understood, message: QueuedMessage): Turn {
  const news = remember(turn, understood, message)
  switch (turn.state.state as Dialogue) {
    case 'INITIAL':
      return greetFirst(turn, understood)
    case 'CONFIRMING_VENUE':
      return confirmed(turn, understood, news)
    case 'MULTIPLE_MATCHES':
      return chosen(turn, understood, news)
    case 'ASKING_PERSON_NAME':
      return named(turn, understood, news)
    case 'ASKING_POSITION':
      return positioned(turn, understood, news)
    default:
      return venueNamed(turn, understood, news)
  }
}

/** Starts over: clears venue and contact, and asks about a venue on file instead of assuming it. */
export function restart(turn: Turn, { onFile, runnerUp }: Understood): Turn {
  forget(turn.closeHandover(null).own('BOT', 'restart'))
  const [first, second] = onFile
  if (first !== undefined && second === undefined) return offer(turn, fromFile(first), runnerUp)
  if (first !== undefined) return choose(turn, onFile.map(fromFile), 'venue.choose_on_file')
  return turn.moveTo('ASKING_VENUE_NAME').say('greeting.ask_venue')
}

/** Clears the venue, the contact, and every question about them. */
function forget(turn: Turn): Turn {
  return turn.set({
    venue: null,
    venueName: null,
    venueLocation: null,
    contactName: null,
    contactPosition: null,
    issue: null,
    candidates: [],
    question: null,
    tries: 0,
    greet: false,
    thanked: false,
    senders: untrusted(turn.state),
  })
}

/** Asks a person who returns after a long absence whether the venue is still theirs, unless their phone is on file there. */
export function welcomeBack(turn: Turn, understood: Understood, message: QueuedMessage): boolean {
  const { returning, state, venue, venueName, venueLocation, contactName } = turn.state
  if (!returning || state !== 'IDENTIFIED' || venue === null || understood.onFile.some(f => f.venue === venue)) return false
  remember(turn, understood, message)
  const name = venueName ?? ''
  const candidate = { venue, name, location: venueLocation ?? '', score: 1, contact: null, position: null }
  turn.set({ candidates: [candidate], runnerUp: null, tries: 0 }).moveTo('CONFIRMING_VENUE')
  if (contactName === null) turn.say('venue.still_nameless', { venue: name }, yesNo(turn))
  else turn.say('venue.still', { name: firstName(contactName), venue: name }, yesNo(turn))
  return true
}

/**
 * "No, it is Lotus Bay Pattaya": another venue than the one identified. Zones take precedence: the name of a zone is not taken for
 * another venue, and neither is an answer to a question about a request.
 */
export function correctVenue(turn: Turn, understood: Understood, message: QueuedMessage): boolean {
  const other = otherVenueIn(turn, understood)
  if (other === null || understood.intents.some(i => i.zone !== null)) return false
  const asked = wanted(understood, turn.settings.minConfidence)
  const plain = turn.state.question === null && (asked.length === 0 || asked.some(i => !isForHuman(i)))
  if (!saysNo(understood) && !(understood.match === 'EXACT' && plain)) return false
  remember(turn.set({ question: null, tries: 0, pending: null }), understood, message)
  const file = understood.onFile.find(f => f.venue === other.venue)
  if (file !== undefined) identified(turn, fromFile(file), understood, 'phone on file')
  else offer(turn, fromMatch(other), understood.runnerUp)
  return true
}

/** Keeps a request until it can be served. @returns true if it is new */
function remember(turn: Turn, understood: Understood, message: QueuedMessage): boolean {
  const asked = wanted(understood, turn.settings.minConfidence)
  const urgent = isCritical(understood, asked)
  const { pending } = turn.state
  if ((asked.length === 0 && !urgent) || (pending !== null && (pending.urgent || !urgent))) return false
  const issue = asked.some(i => isTrouble(i) || i.kind === 'hardware') ? issueText(understood, message) : null
  // A question is answered as soon as the venue is known, anything else once the contact is.
  const need = asked.length > 0 && asked.every(i => questionOf(i) !== undefined) ? 'venue' : 'contact'
  const { text, sender, sentAt } = message
  turn.set({ pending: { message: message.message, text: keptText(text), sender, sentAt, issue, need, urgent } })
  return true
}

/** The issue in a few words. */
export function issueText({ issue }: Understood, { text }: QueuedMessage): string {
  return cut((issue ?? text).trim(), MAX_ISSUE_CHARS)
}

function greetFirst(turn: Turn, understood: Understood): Turn {
  const { onFile, match, matches, runnerUp } = understood
  const [best] = matches
  const elsewhere = match === 'EXACT' && !onFile.some(f => f.venue === best?.venue)
  if (onFile.length > 0 && !elsewhere) return knownPhone(turn, understood)
  if (best === undefined || match === 'NONE' || match === 'UNKNOWN') return greet(turn, understood)
  // An exact hit in the very first message needs no confirmation; a fuzzy one always does.
  if (match === 'EXACT') return identified(turn, fromMatch(best), understood, 'exact in first message')
  if (match === 'LIKELY') return offer(turn, fromMatch(best), runnerUp)
  return choose(turn, matches.map(fromMatch), 'venue.choose')
}

function knownPhone(turn: Turn, understood: Understood): Turn {
  const { onFile, match, matches } = understood
  const said = match === 'AMBIGUOUS' ? matches : matches.slice(0, 1)
  const meant = onFile.filter(f => said.some(m => m.venue === f.venue))
  const [only, other] = meant.length === 1 ? meant : onFile
  if (only !== undefined && other === undefined) return identified(turn, fromFile(only), understood, 'phone on file')
  return choose(turn, onFile.map(fromFile), 'venue.choose_on_file')
}

function greet(turn: Turn, understood: Understood): Turn {
  if (newcomer(turn, understood)) return turn
  const { pending } = turn.moveTo('ASKING_VENUE_NAME').state
  if (pending?.urgent) return turn.say('venue.ask_urgent')
  return turn.say(pending === null ? 'greeting.ask_venue' : 'greeting.ask_venue_request')
}

/** Hands a prospect who names no venue over to sales, without asking for a venue. */
function newcomer(turn: Turn, understood: Understood): boolean {
  const asked = wanted(understood, turn.settings.minConfidence)
  if (!isCommercial(asked)) return false
  const intents = asked.map(i => i.kind)
  turn.set({ pending: null }).handOver(route(intents, '', false))
  return true
}

function venueNamed(turn: Turn, understood: Understood, news: boolean): Turn {
  const { match, matches, runnerUp, intents } = understood
  const best = venueIn(understood)
  if (best !== null) return offer(turn, fromMatch(best), runnerUp)
  if (match === 'AMBIGUOUS' && matches.length > 0) return choose(turn, matches.map(fromMatch), 'venue.choose')
  if (newcomer(turn, understood)) return turn
  if (news) return turn.say(turn.state.pending?.urgent ? 'venue.ask_urgent' : 'venue.ask_request')
  if (intents[0]?.kind === 'greeting' || intents[0]?.kind === 'thanks') return ask(turn)
  return missed(turn, () => turn.say('venue.ask_again'))
}

function confirmed(turn: Turn, understood: Understood, news: boolean): Turn {
  const [candidate] = turn.state.candidates
  if (candidate === undefined) return venueNamed(turn, understood, news)
  const { match, matches, runnerUp } = understood
  const best = venueIn(understood)
  const no = saysNo(understood)
  if (best !== null && best.venue !== candidate.venue) return offer(turn, fromMatch(best), runnerUp)
  if (saysYes(understood) || (match === 'EXACT' && !no)) return identified(turn, candidate, understood, 'confirmed')
  const others = matches.filter(m => m.venue !== candidate.venue)
  if (match === 'AMBIGUOUS' && others.length > 0) return choose(turn, (no ? others : matches).map(fromMatch), 'venue.choose')
  if (no) return rejected(turn, candidate)
  return news ? ask(turn) : missed(turn, () => ask(turn))
}

function rejected(turn: Turn, { venue }: Candidate): Turn {
  const { venue: known, venueName } = turn.state
  if (known !== null && known !== venue) {
    const stay = turn.set({ candidates: [], pending: null }).moveTo('IDENTIFIED')
    return stay.say('venue.stay', { venue: venueName ?? '' })
  }
  if (known !== null) forget(turn)
  return asksAgain(turn)
}

function asksAgain(turn: Turn): Turn {
  turn.set({ candidates: [] }).moveTo('ASKING_VENUE_NAME')
  return missed(turn, () => turn.say('venue.rejected'))
}

function chosen(turn: Turn, understood: Understood, news: boolean): Turn {
  const { candidates } = turn.state
  const { action, reply, number, match, matches, runnerUp } = understood
  const best = venueIn(understood)
  const narrower = match === 'AMBIGUOUS' ? candidates.filter(c => matches.some(m => m.venue === c.venue)) : []
  const choice =
    candidates.find(c => action === `venue:${c.venue}`) ??
    (reply === 'NUMBER' && number !== null ? candidates[number - 1] : undefined) ??
    candidates.find(c => c.venue === best?.venue) ??
    (narrower.length === 1 ? narrower[0] : undefined)
  if (choice !== undefined) return identified(turn, choice, understood, 'chosen')
  if (best !== null) return offer(turn, fromMatch(best), runnerUp)
  if (action === 'venue:none' || reply === 'NONE_OF_THESE' || number === 0 || saysNo(understood)) return asksAgain(turn)
  if (narrower.length > 1 && narrower.length < candidates.length) return choose(turn, narrower, 'venue.choose')
  return news ? ask(turn) : missed(turn, () => ask(turn))
}

/** Counts a failed try; after three the conversation is handed over. */
function missed(turn: Turn, next: () => Turn): Turn {
  const tries = turn.state.tries + 1
  turn.set({ tries })
  if (tries < MAX_TRIES) return next()
  if (turn.state.state === 'NOT_FOUND') return turn
  turn.set({ candidates: [] }).moveTo('NOT_FOUND').say('venue.not_found')
  return turn.handOver({ department: 'GENERAL', priority: 'NORMAL', reason: 'venue_not_found' })
}

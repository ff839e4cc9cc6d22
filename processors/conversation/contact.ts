/**
 * Identifies the person once the venue is known. Name and position are asked for once, and only if unknown.
 */
import { cut } from '../../domain/text.ts'
import type { Candidate, Understood } from '../../schemas/types.ts'
import { ask, fromMatch, offer, otherVenueIn, ownName } from './ask.ts'
import type { State } from './context.ts'
import { saysNo } from './intents.ts'
import type { Turn } from './turn.ts'
import { firstName } from './words.ts'

/** Failed tries after which the dialogue continues without a name or position. */
const MAX_TRIES = 2
const MAX_NAME_CHARS = 60

/** The venue is identified. @param evidence how, as shown in the conversation's events */
export function identified(turn: Turn, candidate: Candidate, understood: Understood, evidence: string): Turn {
  const { venue, name, location, score, contact, position } = candidate
  const { venue: before, contactName, contactPosition } = turn.state
  // A phone on file names its owner, even at a venue where it is not on file.
  const owner = contact ?? contactName ?? (understood.onFile[0]?.contact || null)
  const role = contact !== null ? position : before === venue ? contactPosition : null
  turn.set({
    venue,
    venueName: name,
    venueLocation: location || null,
    contactName: owner,
    contactPosition: role,
    candidates: [],
    tries: 0,
    issue: null,
    greet: contact !== null && contactName === null,
  })
  const runnerUp = evidence === 'exact in first message' ? understood.runnerUp : turn.state.runnerUp
  turn.event('IDENTIFIED', { detail: evidence, score, runnerUp })
  // Trust applies to one venue and is not carried over to another.
  if (venue !== before) turn.set({ senders: untrusted(turn.state) })
  updateTrust(turn, understood)
  if (turn.state.pending?.urgent) return requeuePending(turn.moveTo('IDENTIFIED').say('venue.found_urgent', { venue: name }))
  if (owner === null) return askName(turn, evidence === 'confirmed')
  if (contact !== null || role !== null || before === venue) return ready(turn, contact !== null)
  return askPosition(turn)
}

/** The senders with their trust reset. A refusal by support at this venue is kept, in case they return to it. */
export function untrusted({ senders, venue }: State): State['senders'] {
  return senders.map(s => ({ ...s, trust: 'CLAIMED', decided: s.decided === venue && s.trust !== 'CLAIMED' ? null : s.decided }))
}

/** Sets the sender's trust at the venue: as support decided, otherwise by whether their phone is on file there. */
export function updateTrust(turn: Turn, { onFile }: Understood): Turn {
  const { venue, senders, user } = turn.state
  // BOUND without a decision dates from before decisions were kept.
  const isUndecided = ({ decided, trust }: State['senders'][number]) =>
    (decided === null || decided !== venue) && trust !== 'BOUND'
  const trust = venue !== null && onFile.some(f => f.venue === venue) ? 'HINTED' : 'CLAIMED'
  return turn.set({ senders: senders.map(s => (s.id === user && isUndecided(s) ? { ...s, trust } : s)) })
}

/** Handles the answer to "what is your name?". @param news true if it is a new request instead */
export function named(turn: Turn, understood: Understood, news: boolean): Turn {
  const { user, pending, tries } = turn.state
  const own = understood.action === 'name:own' ? turn.sender(user)?.name : null
  const name = own ?? understood.person
  const other = otherVenueIn(turn, understood)
  if (name !== null) return askPosition(turn.set({ contactName: cut(name.trim(), MAX_NAME_CHARS), tries: 0 }))
  if (other !== null) return offer(turn, fromMatch(other), understood.runnerUp)
  if (news && pending?.need === 'venue') return ask(requeuePending(turn))
  if (news) return turn.say('name.again_request', {}, ownName(turn))
  if (saysNo(understood) || tries + 1 >= MAX_TRIES) return registered(turn)
  return ask(turn.set({ tries: tries + 1 }))
}

/** Handles the answer to "what is your position?". */
export function positioned(turn: Turn, understood: Understood, news: boolean): Turn {
  const { pending, tries } = turn.state
  const { position } = understood
  const other = otherVenueIn(turn, understood)
  if (position !== null) return registered(turn.set({ contactPosition: cut(position.trim(), MAX_NAME_CHARS) }))
  if (other !== null) return offer(turn, fromMatch(other), understood.runnerUp)
  if (news && pending?.need === 'venue') return ask(requeuePending(turn))
  if (news) return ask(turn)
  if (saysNo(understood) || tries + 1 >= MAX_TRIES) return registered(turn)
  return ask(turn.set({ tries: tries + 1 }))
}

function askName(turn: Turn, confirmed: boolean): Turn {
  const { pending, venueName } = turn.state
  const venue = venueName ?? ''
  turn.moveTo('ASKING_PERSON_NAME')
  if (pending?.need === 'venue') return requeuePending(turn.say('name.ask_checking', { venue }, ownName(turn)))
  return confirmed ? turn.say('name.ask', {}, ownName(turn)) : turn.say('name.ask_first', { venue }, ownName(turn))
}

function askPosition(turn: Turn): Turn {
  const { contactName, venueName } = turn.state
  return turn.moveTo('ASKING_POSITION').say('position.ask', { name: firstName(contactName ?? ''), venue: venueName ?? '' })
}

/** Venue and contact are known from the person's answers. */
function registered(turn: Turn): Turn {
  const { contactName, contactPosition, venueName, pending } = turn.state
  const values = { name: firstName(contactName ?? ''), position: contactPosition ?? '', venue: venueName ?? '' }
  turn.set({ tries: 0 }).moveTo(pending === null ? 'ASKING_ISSUE' : 'IDENTIFIED')
  if (pending === null) {
    if (contactName === null) return turn.say('registered.nameless', values)
    return turn.say(contactPosition === null ? 'registered.no_position' : 'registered', values)
  }
  if (pending.issue !== null) summarize(turn, pending.issue)
  else if (contactName === null) turn.say('registered.request_nameless')
  else turn.say(contactPosition === null ? 'registered.request_no_position' : 'registered.request', values)
  return requeuePending(turn)
}

/** Venue and contact were known before or are on file: nothing is asked. */
function ready(turn: Turn, onFile: boolean): Turn {
  const { contactName, venueName, pending } = turn.state
  turn.moveTo('IDENTIFIED')
  if (pending !== null) return requeuePending(turn)
  const values = { name: firstName(contactName ?? ''), venue: venueName ?? '' }
  return turn.set({ greet: false }).say(onFile ? 'greeting.on_file' : 'ready', values)
}

/** "✅ Venue Identified": what is known, with the issue. */
export function summarize(turn: Turn, issue: string): Turn {
  const { venueName, contactName, contactPosition } = turn.state
  const facts = [turn.phrase('summary.title'), turn.phrase('summary.venue', { venue: venueName ?? '' })]
  if (contactName !== null && contactPosition !== null) {
    facts.push(turn.phrase('summary.contact', { name: contactName, position: contactPosition }))
  } else if (contactName !== null) facts.push(turn.phrase('summary.contact_no_position', { name: contactName }))
  facts.push(turn.phrase('summary.issue', { issue }))
  return turn.set({ issue }).sayText('summary.title', `${facts.join('\n')}\n\n${turn.phrase('summary.checking')}`)
}

/** Puts the pending request back into the queue, to be understood again within the venue. */
function requeuePending(turn: Turn): Turn {
  const { pending, waiting } = turn.state
  if (pending === null) return turn
  const { message, text, sender, sentAt } = pending
  const request = { message, kind: 'TEXT', text, actionId: null, sender, sentAt, again: true } as const
  return turn.set({ pending: null, waiting: [request, ...waiting] })
}

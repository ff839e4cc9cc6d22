/**
 * Answers of the venue: tells the person the outcome, and hands over to a human when it is not a success.
 */
import type { ConversationRequest, Department, Priority, VenueAnswer } from '../../schemas/types.ts'
import { yesNo } from './ask.ts'
import { isControlKind } from './intents.ts'
import { ageWords, answerWords, firstWord, isPaused } from './render.ts'
import { trackRequest, wishWords } from './requests.ts'
import type { Turn } from './turn.ts'

/** Department and priority, by the reason of a refusal. */
const DESKS: Readonly<Record<string, readonly [Department, Priority]>> = {
  trust: ['OPERATIONS', 'NORMAL'],
  policy: ['OPERATIONS', 'NORMAL'],
  cap: ['OPERATIONS', 'NORMAL'],
  permission: ['OPERATIONS', 'NORMAL'],
  subscription: ['SALES', 'HIGH'],
  no_subscription: ['SALES', 'HIGH'],
  expired: ['SALES', 'HIGH'],
}

/** Refusals that the person can resolve by asking again; others need a human. */
const REPEATABLE = new Set(['no_zone', 'busy', 'rate_limited'])

/** The venue has answered a request, preliminarily or finally. */
export function venueAnswered(turn: Turn, answer: VenueAnswer): void {
  const request = turn.state.requests.find(r => r.id === answer.request) ?? ofTheVenue(turn, answer)
  if (request === null) return
  if (answer.final) finished(turn, answer, request)
  else if (request.endedAt === null) underWay(turn, answer, request)
}

/** Tracks a request that the venue made by itself, such as the end of a timed pause. */
function ofTheVenue(turn: Turn, { request, venue, kind, zones }: VenueAnswer): ConversationRequest | null {
  const { state } = turn
  if (kind !== 'PLAY' || venue !== state.venue) return null
  const zoneName = zones.length === 1 ? (zones[0]?.name ?? null) : null
  const sender = state.senders.at(-1)?.id ?? ''
  return trackRequest(
    turn,
    request,
    { kind, zones: zones.map(z => z.zone), zoneName, value: null, sender, message: state.lastMessage },
    null,
  )
}

/** The venue has not answered in time. */
export function venueSilent(turn: Turn, id: string): void {
  const request = turn.state.requests.find(r => r.id === id)
  if (request === undefined || request.endedAt !== null) return
  const { owner } = turn.state
  if (owner === 'AGENT') return
  turn.say('no_answer')
  turn.handOver({ department: 'OPERATIONS', priority: 'HIGH', reason: 'venue_silent' }, false)
  turn.send(request.message)
}

/** A first word, once: the provider is slow, and the venue keeps trying until the control expires. */
function underWay(turn: Turn, answer: VenueAnswer, request: ConversationRequest): void {
  const { context, settings } = turn
  const told = request.reason !== ''
  end(turn, request, { reason: answer.reason || 'slow', command: answer.command })
  context.setTimer(`answer:${request.id}`, turn.after(settings.controlHorizonMs + settings.answerMs))
  if (told || turn.state.owner === 'AGENT') return
  const { key, text } = firstWord(turn, answer, request)
  turn.sayText(key, text)
  turn.send(request.message)
}

function finished(turn: Turn, answer: VenueAnswer, request: ConversationRequest): void {
  const outcome = answer.outcome.toLowerCase()
  if (request.outcome === outcome && request.endedAt !== null) return
  const { reason, command } = answer
  turn.context.clearTimer(`answer:${request.id}`)
  end(turn, request, { outcome, reason, command: command ?? request.command, endedAt: turn.now })
  turn.event('REQUEST_ENDED', { request: request.id, to: outcome, detail: reason })
  if (turn.state.owner === 'AGENT') return
  if (reason === 'stale') askIfWanted(turn, answer, request)
  else tell(turn, answer, request)
  turn.send(request.message)
}

function tell(turn: Turn, answer: VenueAnswer, request: ConversationRequest): Turn {
  const { key, text } = answerWords(turn, answer, request)
  turn.sayText(key, text)
  if (request.trouble !== null) return assess(turn, answer, request.trouble)
  const forHuman = isControlKind(request.kind) || answer.reason === 'ambiguous'
  if (answer.outcome === 'CONFIRMED' || !forHuman) return turn
  if (answer.outcome === 'REFUSED' && REPEATABLE.has(answer.reason)) return turn
  const [department, priority] = DESKS[answer.reason] ?? ['OPERATIONS', 'HIGH']
  return turn.handOver({ department, priority, reason: answer.reason || answer.outcome.toLowerCase() })
}

/** The first check of a reported trouble: the state of the zones decides whether a human is needed. */
function assess(turn: Turn, { zones }: VenueAnswer, trouble: string): Turn {
  const offline = zones.filter(z => z.status === 'OFFLINE').length
  const readable = zones.filter(z => z.status !== 'UNKNOWN').length
  if (zones.length === 0 || offline > 0 || readable < zones.length) {
    const all = zones.length > 1 && offline === zones.length
    return turn.handOver({
      department: 'OPERATIONS',
      priority: all ? 'CRITICAL' : 'HIGH',
      reason: all ? 'all_zones_offline' : trouble,
    })
  }
  if (zones.every(isPaused)) return turn.say('trouble.paused')
  if (zones.every(z => z.volume === 0 || z.detail === 'muted')) return turn.say('trouble.silent')
  if (turn.waitsForHuman) return turn
  turn.set({ question: { type: 'solved', wishes: [], zones: [], tries: 0 } })
  return turn.say('trouble.heard', {}, yesNo(turn))
}

/** The venue found the request too old to carry out. */
function askIfWanted(turn: Turn, { durationMs }: VenueAnswer, request: ConversationRequest): void {
  const { kind, zones, zoneName, value, sender, message, at } = request
  const wish = {
    kind,
    zones,
    zoneName,
    allZones: zones.length === 0,
    value,
    durationMs,
    sender,
    message,
    sentAt: at,
  }
  turn.set({ question: { type: 'old', wishes: [wish], zones: [], tries: 0 } })
  turn.say('old.ask', { age: ageWords(turn, turn.now - at), wish: wishWords(turn, [wish]) }, yesNo(turn))
}

function end(turn: Turn, { id }: ConversationRequest, changed: Partial<ConversationRequest>): void {
  turn.set({ requests: turn.state.requests.map(r => (r.id === id ? { ...r, ...changed } : r)) })
}

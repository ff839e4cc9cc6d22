/**
 * Actions of support staff in a conversation. Each is a command: carried out, or refused with a reason code.
 */
import { trusts } from '../../domain/trust.ts'
import type { AgentAction } from '../../schemas/types.ts'
import type { State } from './context.ts'
import type { Turn } from './turn.ts'

const MAX_NOTE_CHARS = 4_000

/** Each returns the code of its refusal, or null when done. */
const ACTIONS: Readonly<Record<AgentAction['kind'], (turn: Turn, action: AgentAction) => string | null>> = {
  TAKE_OVER: (turn, { by }) => takeOver(turn, by),
  HAND_BACK: handBack,
  REPLY: reply,
  NOTE: addNote,
  ASSIGN: assign,
  RESOLVE: resolve,
  APPROVE: approve,
  UNKNOWN: () => 'unknown_action',
}

/** Carries out the action, or refuses it. */
export function performAgentAction(turn: Turn, action: AgentAction): State {
  // It may already have been done, longer ago than deduplication remembers: twice is worse than not at all.
  const refused = turn.context.possiblyDuplicate ? 'maybe_done' : ACTIONS[action.kind](turn, action)
  if (refused !== null) turn.context.refuse(refused)
  return turn.finish()
}

/** The agent owns the conversation; the bot is silent. */
function takeOver(turn: Turn, by: string): string | null {
  const { owner, assignee } = turn.state
  if (owner === 'AGENT' && assignee !== null && assignee !== by) return 'taken_by_other'
  assignTo(turn, by, 'taken_over')
  return null
}

function assignTo(turn: Turn, to: string, reason: string): void {
  if (turn.state.assignee !== to) turn.event('ASSIGNED', { to })
  turn.own('AGENT', reason).set({ assignee: to, question: null, pending: null })
  turn.context.setTimer('idle', turn.after(turn.settings.idleMs))
}

/** The bot owns it again. Messages in between were for the agent to answer. */
function handBack(turn: Turn, { by }: AgentAction): string | null {
  if (turn.state.owner === 'BOT') return 'bot_has_it'
  resetDialogue(turn.closeHandover(by).own('BOT', 'handed_back'))
  return null
}

/** A reply to the person takes the conversation over. */
function reply(turn: Turn, { by, text }: AgentAction): string | null {
  const { handover } = turn.state
  if (text === null || text.trim() === '') return 'empty_text'
  if (text.length > turn.channel.limits.textChars) return 'text_too_long'
  if (!turn.mayWrite) return 'window_closed'
  const refused = takeOver(turn, by)
  if (refused !== null) return refused
  if (handover !== null && handover.respondedAt === null) {
    turn.set({ handover: { ...handover, respondedAt: turn.now } }).event('RESPONDED')
  }
  turn.forward(text)
  return null
}

/** A note for colleagues; its text is only in the command's record. */
function addNote(turn: Turn, { text }: AgentAction): string | null {
  if (text === null || text.trim() === '') return 'empty_text'
  if (text.length > MAX_NOTE_CHARS) return 'text_too_long'
  turn.event('NOTE')
  return null
}

/** Assigns it to an agent; assigned to nobody, it waits for one. */
function assign(turn: Turn, { assignee }: AgentAction): string | null {
  if (assignee !== null) {
    assignTo(turn, assignee, 'assigned')
    return null
  }
  if (turn.state.owner !== 'AGENT') return 'not_assigned'
  turn.set({ assignee: null }).event('ASSIGNED')
  if (turn.state.handover === null) turn.handOver({ department: 'GENERAL', priority: 'NORMAL', reason: 'unassigned' }, false)
  else turn.own('WAITING', 'unassigned')
  return null
}

function resolve(turn: Turn, { by }: AgentAction): string | null {
  const { owner, handover } = turn.state
  if (owner === 'BOT' && handover === null) return 'nothing_open'
  resetDialogue(turn.closeHandover(by).own('BOT', 'resolved'))
  return null
}

/** Sets a sender's trust at a venue, until the venue changes or support sets it again. */
function approve(turn: Turn, { sender: id, venue, trust, by }: AgentAction): string | null {
  const { state, settings } = turn
  const sender = id === null ? undefined : turn.sender(id)
  if (sender === undefined) return 'no_such_sender'
  if (state.venue === null) return 'no_venue'
  // The person may have named another venue since the agent read the conversation.
  if (state.venue !== venue) return 'venue_changed'
  if (trust === 'UNKNOWN') return 'invalid_trust'
  if (sender.trust === trust && sender.decided === venue) return 'trusted_already'
  turn.set({ senders: state.senders.map(s => (s.id === id ? { ...s, trust, decided: venue } : s)) })
  turn.event('TRUST_CHANGED', { from: sender.trust, to: trust, detail: `…${sender.id.slice(-3)} by ${by}` })
  const mayNow = trusts(trust, settings.controlTrust) && !trusts(sender.trust, settings.controlTrust)
  if (mayNow && state.owner !== 'AGENT' && turn.mayWrite) {
    turn.say('trust.approved', { venue: state.venueName ?? '' }).send(state.lastMessage)
  }
  return null
}

/** Clears open questions, and moves to the state from which the dialogue continues. */
export function resetDialogue(turn: Turn): Turn {
  turn.set({ candidates: [], tries: 0, thanked: false })
  const { state, venue } = turn.state
  if (venue === null) return turn.moveTo('INITIAL')
  return state === 'ASKING_PERSON_NAME' || state === 'ASKING_POSITION' ? turn : turn.moveTo('IDENTIFIED')
}

/**
 * Incoming messages: queued, understood one after the other, and answered in order.
 */
import { channelNamed } from '../../domain/channel.ts'
import { reference } from '../../domain/ids.ts'
import type { ChatMessage, QueuedMessage, UnderstandInput, Understood } from '../../schemas/types.ts'
import { updateTrust } from './contact.ts'
import type { State, TurnContext } from './context.ts'
import { kept, roomFor } from './queue.ts'
import { respond } from './respond.ts'
import type { Turn } from './turn.ts'
import type { PhraseKey } from './words.ts'

const MAX_SENDERS = 10

/** The initial state of a conversation, from its first message. */
export function newConversation(message: ChatMessage, { now }: TurnContext): State {
  return {
    channel: message.channel,
    account: message.account,
    chat: message.chat,
    user: message.sender.id,
    state: 'INITIAL',
    owner: 'BOT',
    language: null,
    senders: [],
    venue: null,
    venueName: null,
    venueLocation: null,
    contactName: null,
    contactPosition: null,
    issue: null,
    candidates: [],
    runnerUp: null,
    tries: 0,
    returning: false,
    greet: false,
    pending: null,
    question: null,
    thanked: false,
    handover: null,
    assignee: null,
    current: null,
    waiting: [],
    requests: [],
    said: 0,
    lastMessage: '',
    openedAt: now,
    updatedAt: now,
    lastInboundAt: message.sentAt,
    tenant: null,
  }
}

/** Takes a message from a person into the queue. */
export function onMessage(turn: Turn, message: ChatMessage): State {
  const { context, settings, state } = turn
  const { id, sender, kind, sentAt } = message
  // Without a connector for the channel no answer could be sent: fail here, so that the message becomes a dead letter.
  channelNamed(settings.channels, state.channel)
  if (state.lastMessage === '') turn.event('OPENED')
  turn.event('MESSAGE_IN', { message: reference(id), detail: kind.toLowerCase() })
  const others = state.senders.filter(s => s.id !== sender.id)
  const { trust = 'CLAIMED', decided = null } = turn.sender(sender.id) ?? {}
  const queued: QueuedMessage = {
    message: id,
    kind,
    text: message.text ?? '',
    actionId: message.actionId,
    sender: sender.id,
    sentAt,
    again: false,
  }
  turn.set({
    user: sender.id,
    senders: [...others, { id: sender.id, phone: sender.phone, name: sender.name, trust, decided } as const].slice(-MAX_SENDERS),
    lastMessage: id,
    returning: state.returning || sentAt - state.lastInboundAt > settings.absenceMs / settings.timeScale,
    lastInboundAt: Math.max(state.lastInboundAt, sentAt),
  })
  context.setTimer('idle', turn.after(settings.idleMs))
  // A message that may have been answered before, or does not fit into the queue, goes to a human.
  const unread = context.possiblyDuplicate ? 'message_of_before' : roomFor(state.waiting, queued) ? null : 'too_many_messages'
  if (unread === null) turn.set({ waiting: [...state.waiting, queued] })
  else if (turn.state.owner !== 'AGENT') turn.handOver({ department: 'GENERAL', priority: 'NORMAL', reason: unread }, false)
  return next(turn)
}

/** Handles queued messages until the meaning of one must be waited for. */
function next(turn: Turn): State {
  while (turn.state.current === null && turn.state.waiting.length > 0) {
    const [message, ...waiting] = turn.state.waiting as [QueuedMessage, ...QueuedMessage[]]
    turn.set({ waiting })
    if (turn.state.owner === 'AGENT') continue
    const readable = READABLE.has(message.kind) && (message.text.trim() !== '' || message.actionId !== null)
    if (readable) understand(turn, message)
    else unreadable(turn, message)
  }
  return turn.finish()
}

const READABLE = new Set<QueuedMessage['kind']>(['TEXT', 'BUTTON', 'LIST'])

function understand(turn: Turn, message: QueuedMessage): void {
  const { state, venue, candidates, question, language } = turn.state
  const asked = state === 'CONFIRMING_VENUE' || state === 'MULTIPLE_MATCHES' ? candidates.map(c => c.venue) : []
  const asks: UnderstandInput = {
    text: message.text,
    actionId: message.actionId,
    phone: turn.sender(message.sender)?.phone ?? null,
    dialogue: message.again ? 'IDENTIFIED' : state,
    venue: state === 'CONFIRMING_VENUE' && !message.again ? (asked[0] ?? venue) : venue,
    candidates: message.again ? [] : asked,
    zones: message.again ? [] : (question?.zones.map(z => z.zone) ?? []),
    language,
    message: message.message,
  }
  const understood = turn.context.lookup('understand', asks)
  if (understood === null) {
    turn.set({ current: kept(message) })
    turn.context.perform('understand', asks)
    // Its zones are awaited: read them now, ahead of schedule.
    if (asks.venue) turn.refresh(asks.venue)
  } else onUnderstood(turn, understood, kept(message))
}

const UNREADABLE: Readonly<Record<QueuedMessage['kind'], PhraseKey | null>> = {
  TEXT: 'unreadable.empty',
  BUTTON: 'unreadable.empty',
  LIST: 'unreadable.empty',
  STICKER: 'unreadable.sticker',
  MEDIA: 'unreadable.media',
  LOCATION: 'unreadable.location',
  CONTACT: 'unreadable.contact',
  REACTION: null,
  OTHER: 'unreadable.other',
  UNKNOWN: 'unreadable.other',
}

function unreadable(turn: Turn, { kind, message }: QueuedMessage): void {
  const key = UNREADABLE[kind]
  if (key === null || turn.waitsForHuman) return
  turn.say(key)
  turn.send(message)
}

/** The effect has returned the meaning of a message. If it was given up meanwhile, the human who was told handles it. */
export function takeUnderstood(turn: Turn, understood: Understood): State {
  const message = turn.state.current
  if (message === null || message.message !== understood.message || turn.context.late) return turn.state
  turn.set({ current: null })
  onUnderstood(turn, understood, message)
  return next(turn)
}

function onUnderstood(turn: Turn, understood: Understood, message: QueuedMessage): void {
  turn.set({ language: understood.language, user: message.sender })
  if (turn.state.owner === 'AGENT') return
  updateTrust(turn, understood)
  respond(turn, understood, message)
  turn.set({ returning: false })
  turn.send(message.message)
}

/** The effect has failed: a human reads the message. */
export function onNotUnderstood(turn: Turn): State {
  const message = turn.state.current
  if (message === null) return turn.state
  turn.set({ current: null })
  if (turn.state.owner !== 'AGENT') turn.handOver({ department: 'GENERAL', priority: 'HIGH', reason: 'not_understood' })
  turn.send(message.message)
  return next(turn)
}

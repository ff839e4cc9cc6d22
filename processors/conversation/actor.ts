/**
 * A conversation: messages are understood one after the other, in order; identification comes first, then what is asked for.
 *
 *   ChatMessage ─▶ waiting ─▶ look-up ─▶ understood ─▶ dialogue, support ─▶ SendMessage, ZoneRequest, Alert
 *                                │            ▲
 *                 (zones awaited) └▶ effect ──┘   VenueAnswer ─▶ outcome ─▶ SendMessage
 */
import { channelNamed } from '../../domain/channel.ts'
import { openingOf } from '../../domain/support-hours.ts'
import { tenantOf } from '../../domain/tenants.ts'
import { actor } from '../../engine/actor.ts'
import type { ChatMessage, QueuedMessage, UnderstandInput, Understood } from '../../schemas/types.ts'
import { raiseAlert } from '../../topics/alerts.ts'
import { conversationInbox, conversationJournal } from '../../topics/catalog.ts'
import { reference } from '../../domain/ids.ts'
import { act, rest } from './agent.ts'
import { ask } from './ask.ts'
import { judge } from './contact.ts'
import { correctVenue, identify, restart, welcomeBack } from './dialogue.ts'
import { erase } from './erase.ts'
import { route } from './handover.ts'
import { isCritical, wanted } from './intents.ts'
import { venueAnswered, venueSilent } from './outcome.ts'
import { type ConversationSettings, settingsFor } from './settings.ts'
import { serve } from './support.ts'
import { EFFECTS, EMITS, kept, LOOKUPS, roomFor, type State, Turn, type TurnContext } from './turn.ts'
import type { Word } from './words.ts'

const SENDERS = 10

/** The actor of a conversation. @throws when the support hours are none. */
export const conversationActor = (settings: ConversationSettings) => {
  openingOf(settings.supportHours)
  const turnOf = (context: TurnContext, before: State | null, now: State) => {
    // What a conversation knows of its tenant's settings is in its state: a replay finds it there, and in the journal what changed it.
    const news = context.lookup('tenant', { tenant: tenantOf(context.key), known: now.tenant?.version ?? 0 })
    const state = news === null ? now : { ...now, tenant: news }
    return new Turn(settingsFor(state.tenant, settings), context, before, state)
  }
  const turn = (before: State, context: TurnContext) => turnOf(context, before, before)
  return actor({
    name: 'conversation',
    inbox: conversationInbox,
    state: 'ConversationState',
    effects: EFFECTS,
    lookups: LOOKUPS,
    journal: conversationJournal,
    emits: [...EMITS, ...settings.channels.map(channel => channel.inbox)],
    on: {
      ChatMessage: (state, message, context) => {
        // What members of a group say to one another is not ours to answer.
        if (message.chatKind === 'GROUP' && !message.addressed) return state
        return received(turnOf(context, state, state ?? opened(message, context)), message)
      },
      Understood: (state, understood, context) => (state === null ? null : answered(turn(state, context), understood)),
      VenueAnswer: (state, answer, context) => {
        if (state === null) return null
        const t = turn(state, context)
        venueAnswered(t, answer)
        return t.finish()
      },
      SendOutcome: (state, outcome, context) => {
        if (state === null || (outcome.status !== 'FAILED' && outcome.status !== 'UNKNOWN')) return state
        const t = turn(state, context)
        t.event('MESSAGE_STATUS', { message: outcome.id, to: outcome.status, detail: errorOf(outcome.errorCode) })
        return state
      },
      DeliveryStatus: (state, status, context) => {
        if (state === null) return null
        const t = turn(state, context)
        t.event('MESSAGE_STATUS', { message: reference(status.providerId), to: status.status, detail: errorOf(status.errorCode) })
        return state
      },
      // Of a conversation that nobody has begun there is nothing to be done.
      AgentAction: (state, action, context) => (state === null ? null : act(turn(state, context), action)),
      ErasePerson: (state, order, context) => {
        if (state !== null) turn(state, context).settle(null)
        return erase(state, order, context, settings.channels)
      },
    },
    timers: {
      idle: (state, _timer, context) => quiet(turn(state, context)),
      answer: (state, { argument }, context) => {
        const t = turn(state, context)
        venueSilent(t, argument)
        return t.finish()
      },
    },
    ended: (state: State | null, _ended, context) => (state === null ? null : notUnderstood(turn(state, context))),
    onPoison: {
      default: 'skip',
      failed: (state, { type }, context) => {
        if (state !== null) return broken(turn(state, context), type)
        const text = `A first ${type} could not be handled`
        raiseAlert(context, { id: context.id(), kind: 'handover', conversation: context.key, priority: 'HIGH', text })
        return null
      },
    },
  })
}

/** The provider's code; its words may name the person. */
const errorOf = (code: number | null): string => (code === null ? '' : `error ${code}`)

function opened(message: ChatMessage, { now }: TurnContext): State {
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

/** A message from a person. */
function received(turn: Turn, message: ChatMessage): State {
  const { context, settings, state } = turn
  const { id, sender, kind, sentAt } = message
  // A channel without a connector could not be answered: better to fail here, where the message goes to the dead letters.
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
    senders: [...others, { id: sender.id, phone: sender.phone, name: sender.name, trust, decided } as const].slice(-SENDERS),
    lastMessage: id,
    returning: state.returning || sentAt - state.lastInboundAt > settings.absenceMs / settings.timeScale,
    lastInboundAt: Math.max(state.lastInboundAt, sentAt),
  })
  context.setTimer('idle', turn.after(settings.idleMs))
  // What may have been answered before, and what would not fit, a human reads; it is not answered by the bot.
  const unread = context.possiblyDuplicate ? 'message_of_before' : roomFor(state.waiting, queued) ? null : 'too_many_messages'
  if (unread === null) turn.set({ waiting: [...state.waiting, queued] })
  else if (turn.state.owner !== 'AGENT') turn.handOver({ department: 'GENERAL', priority: 'NORMAL', reason: unread }, false)
  return next(turn)
}

/** Goes on with the messages that wait, until what one means has to be waited for. */
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
    // Its zones are awaited: they are read now, not when it is their turn.
    if (asks.venue) turn.refresh(asks.venue)
  } else comprehended(turn, understood, kept(message))
}

const UNREADABLE: Readonly<Record<QueuedMessage['kind'], Word | null>> = {
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
  const word = UNREADABLE[kind]
  if (word === null || turn.waitsForHuman) return
  turn.say(word)
  turn.send(message)
}

/** What a message means has come back. One that was given up in the meantime is left to the human who was told. */
function answered(turn: Turn, understood: Understood): State {
  const message = turn.state.current
  if (message === null || message.message !== understood.message || turn.context.late) return turn.state
  turn.set({ current: null })
  comprehended(turn, understood, message)
  return next(turn)
}

function comprehended(turn: Turn, understood: Understood, message: QueuedMessage): void {
  turn.set({ language: understood.language, user: message.sender })
  if (turn.state.owner === 'AGENT') return
  judge(turn, understood)
  respond(turn, understood, message)
  turn.set({ returning: false })
  turn.send(message.message)
}

function respond(turn: Turn, understood: Understood, message: QueuedMessage): Turn {
  const asked = wanted(understood, turn.settings.sure)
  for (const intent of asked.length > 0 ? asked : understood.intents.slice(0, 1)) {
    if (!message.again)
      turn.event('INTENT', { message: reference(message.message), detail: intent.kind, score: intent.confidence })
  }
  const known = turn.state.state === 'IDENTIFIED' || turn.state.state === 'ASKING_ISSUE'
  if (message.again) return serve(turn, understood, message)
  if (override(turn, understood, message)) return turn
  const away = turn.state.returning
  if (isCritical(understood, asked) && (!known || away)) {
    turn.handOver(
      route(
        asked.map(i => i.kind),
        message.text,
        understood.sentiment === 'URGENT',
      ),
    )
  } else if (!known && turn.waitsForHuman && turn.state.pending?.urgent !== true) return turn
  if (!known) return identify(turn, understood, message)
  if (welcomeBack(turn, understood, message) || correctVenue(turn, understood, message)) return turn
  return serve(turn, understood, message)
}

/** Words that hold in every state. */
function override(turn: Turn, understood: Understood, message: QueuedMessage): boolean {
  switch (understood.override) {
    case 'RESTART':
      restart(turn, understood)
      return true
    case 'HUMAN': {
      const asked = wanted(understood, turn.settings.sure).map(i => i.kind)
      turn.handOver(route(asked.length > 0 ? asked : ['human'], message.text, understood.sentiment === 'URGENT'))
      return true
    }
    case 'STOP':
      turn.set({ question: null, pending: null })
      if (!turn.waitsForHuman) turn.say('stop')
      return true
    case 'LANGUAGE':
      if (turn.waitsForHuman) return true
      turn.say('language')
      ask(turn)
      return true
    default:
      return false
  }
}

/** Nothing was said for a day: the bot has the conversation again, and no question is open. */
function quiet(turn: Turn): State {
  rest(turn.settle(null).own('BOT', 'idle'))
  return turn.finish()
}

/** The message could not be understood: a human reads it. */
function notUnderstood(turn: Turn): State {
  const message = turn.state.current
  if (message === null) return turn.state
  turn.set({ current: null })
  if (turn.state.owner !== 'AGENT') turn.handOver({ department: 'GENERAL', priority: 'HIGH', reason: 'not_understood' })
  turn.send(message.message)
  return next(turn)
}

/** A record could not be handled. What waited is left to the human, so that nothing waits for ever. */
function broken(turn: Turn, type: string): State {
  turn.set({ current: null, waiting: [] })
  const reason = `failed_on_${type}`
  if (turn.state.owner !== 'AGENT') turn.handOver({ department: 'OPERATIONS', priority: 'HIGH', reason }, false)
  return turn.finish()
}

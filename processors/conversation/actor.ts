/**
 * A conversation: messages are understood one after the other, in order; identification comes first, then the requests.
 *
 *   ChatMessage ─▶ waiting ─▶ look-up ─▶ understood ─▶ dialogue, support ─▶ SendMessage, ZoneRequest, Alert
 *                                │            ▲
 *                 (await zones)   └▶ effect ──┘   VenueAnswer ─▶ outcome ─▶ SendMessage
 */
import { reference } from '../../domain/ids.ts'
import { openingOf } from '../../domain/support-hours.ts'
import { tenantOf } from '../../domain/tenants.ts'
import { actor } from '../../engine/actor.ts'
import { raiseAlert } from '../../topics/alerts.ts'
import { conversationInbox, conversationJournal } from '../../topics/catalog.ts'
import { performAgentAction, resetDialogue } from './agent.ts'
import { EFFECTS, EMITS, LOOKUPS, type State, type TurnContext } from './context.ts'
import { erase } from './erase.ts'
import { takeUnderstood, onNotUnderstood, newConversation, onMessage } from './messages.ts'
import { venueAnswered, venueSilent } from './outcome.ts'
import { type ConversationSettings, settingsFor } from './settings.ts'
import { Turn } from './turn.ts'

/** The actor of a conversation. @throws when the support hours are invalid */
export const conversationActor = (settings: ConversationSettings) => {
  openingOf(settings.supportHours)
  const turnOf = (context: TurnContext, before: State | null, now: State) => {
    // The tenant's settings are kept in the state and their changes in the journal, so that a replay finds them.
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
        // Group messages that do not address us are not answered.
        if (message.chatKind === 'GROUP' && !message.addressed) return state
        return onMessage(turnOf(context, state, state ?? newConversation(message, context)), message)
      },
      Understood: (state, understood, context) => (state === null ? null : takeUnderstood(turn(state, context), understood)),
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
        return t.state
      },
      DeliveryStatus: (state, status, context) => {
        if (state === null) return null
        const t = turn(state, context)
        t.event('MESSAGE_STATUS', { message: reference(status.providerId), to: status.status, detail: errorOf(status.errorCode) })
        return t.state
      },
      // There is nothing to do in a conversation that has not begun.
      AgentAction: (state, action, context) => (state === null ? null : performAgentAction(turn(state, context), action)),
      ErasePerson: (state, order, context) => {
        if (state !== null) turn(state, context).closeHandover(null)
        return erase(state, order, context, settings.channels)
      },
    },
    timers: {
      idle: (state, _timer, context) => onIdle(turn(state, context)),
      answer: (state, { argument }, context) => {
        const t = turn(state, context)
        venueSilent(t, argument)
        return t.finish()
      },
    },
    ended: (state: State | null, _ended, context) => (state === null ? null : onNotUnderstood(turn(state, context))),
    onPoison: {
      default: 'skip',
      failed: (state, { type }, context) => {
        if (state !== null) return onPoisoned(turn(state, context), type)
        const text = `A first ${type} could not be handled`
        raiseAlert(context, { id: context.id(), kind: 'handover', conversation: context.key, priority: 'HIGH', text })
        return null
      },
    },
  })
}

/** The provider's code only: its message may name the person. */
const errorOf = (code: number | null): string => (code === null ? '' : `error ${code}`)

/** The conversation has been idle: the bot owns it again, and no question is open. */
function onIdle(turn: Turn): State {
  resetDialogue(turn.closeHandover(null).own('BOT', 'idle'))
  return turn.finish()
}

/** A record could not be handled: a human takes over, and the queue is cleared so that nothing waits for ever. */
function onPoisoned(turn: Turn, type: string): State {
  turn.set({ current: null, waiting: [] })
  const reason = `failed_on_${type}`
  if (turn.state.owner !== 'AGENT') turn.handOver({ department: 'OPERATIONS', priority: 'HIGH', reason }, false)
  return turn.finish()
}

/**
 * The WhatsApp connector of one conversation: sends what the conversation orders, and tells it what became of it.
 *
 *   SendMessage ─▶ window open? ─ yes ─▶ effect `send` ─▶ SendResult ─┐
 *                       └─ no ─▶ FAILED          └─ ended ─▶ UNKNOWN ─┼─▶ SendOutcome, each status once
 *   DeliveryStatus (by attempt or the provider's id) ─────────────────┘
 *
 * That a message was taken says its SendResult: whoever wants to know reads it there, and the conversation need not.
 */
import { outranks } from '../../domain/delivery-status.ts'
import { actor, type Context } from '../../engine/actor.ts'
import type { DeliveryStatus, MessageStatus, SendMessage, WhatsappSend, WhatsappState } from '../../schemas/types.ts'
import { alerts, conversationInbox, whatsappInbox } from '../../topics/catalog.ts'
import { describeError, WINDOW_CLOSED } from './errors.ts'

export interface WhatsappSettings {
  /**
   * How long after the conversation decided it a message may still be sent, ms. Like a control (10 min): what it says about
   * the music may no longer be so, and a person who was kept waiting longer is better served by a human.
   */
  readonly useMs: number
  /** How long the provider's reports are waited for before a human is told of a send that may not have happened, ms. */
  readonly reconcileMs: number
  /** Divides durable timers and deadlines, not the provider's window. */
  readonly timeScale: number
}

export const WHATSAPP_DEFAULTS: WhatsappSettings = { useMs: 10 * 60_000, reconcileMs: 5 * 60_000, timeScale: 1 }

/** Free-form messages go out only so long after the person last wrote (provider's rule). */
const WINDOW_MS = 24 * 60 * 60_000
const KEPT_SENDS = 30

// The effect's time-out has room for the wait in the number's budget; the request itself has 10 s.
const effects = { send: { input: 'SendMessage', result: 'SendResult', retry: 'never', timeoutMs: 30_000 } } as const
const emits = [conversationInbox, alerts] as const
type Ctx = Context<(typeof emits)[number], typeof effects>

interface Change {
  readonly status: MessageStatus
  readonly at: number
  readonly providerId?: string | null
  readonly reason?: string
  readonly errorCode?: number | null
  /** Of a message that waited, the record at hand tells it already. */
  readonly told?: boolean
}

export const whatsappActor = (settings: WhatsappSettings = WHATSAPP_DEFAULTS) => {
  /** Takes a status over if it ranks higher, and tells the conversation and, where needed, a human. */
  function change(state: WhatsappState, send: WhatsappSend, to: Change, context: Ctx): WhatsappState {
    const { status, at, reason = '', errorCode = null } = to
    const known = { ...send, providerId: to.providerId ?? send.providerId }
    if (!outranks(status, send.status)) return keep(state, known)
    const { id, providerId } = known
    if (to.told !== true || send.status !== 'QUEUED')
      context.emit(conversationInbox, context.key, 'SendOutcome', { id, providerId, status, reason, errorCode, at })
    const next = { ...known, status, at }
    if (status === 'FAILED') return keep(state, alert(next, `could not be sent: ${describeError(errorCode, reason)}`, context))
    if (status === 'UNKNOWN') {
      context.setTimer(`unknown:${id}`, context.now + settings.reconcileMs / settings.timeScale)
      return keep(state, next)
    }
    return keep(state, send.alerted ? alert(next, 'went out after all', context, true) : next)
  }

  function reported(state: WhatsappState, status: DeliveryStatus, context: Ctx): WhatsappState {
    const { attempt, providerId, at, errorCode } = status
    const send = state.sends.find(s => (attempt !== null && s.attempt === attempt) || s.providerId === providerId)
    if (send === undefined || status.status === 'UNKNOWN') return state
    return change(state, send, { status: status.status, providerId, at, errorCode, reason: status.error ?? '' }, context)
  }

  return actor({
    name: 'whatsapp',
    inbox: whatsappInbox,
    state: 'WhatsappState',
    on: {
      SendMessage: (state, message, context) => {
        const before = state ?? NEW
        if (before.sends.some(send => send.id === message.id)) return before
        const closesAt = message.lastInboundAt + WINDOW_MS
        if (context.now >= closesAt) {
          const failed = { status: 'FAILED', reason: WINDOW_CLOSED, at: context.now } as const
          return change(before, queued(message.id, null, context.now), failed, context)
        }
        const useUntil = message.createdAt + settings.useMs / settings.timeScale
        const attempt = context.perform('send', message, { notAfter: Math.min(closesAt, useUntil) })
        return keep(before, queued(message.id, attempt, context.now))
      },
      // Without a state whoever was written to has been erased meanwhile.
      SendResult: (state, { id, accepted, providerId, errorCode, reason, at }, context) => {
        if (state === null) return null
        const send = sendOf(state, id, context)
        return change(
          state,
          send,
          { status: accepted ? 'SENT' : 'FAILED', providerId, reason, errorCode, at, told: accepted },
          context,
        )
      },
      DeliveryStatus: (state, status, context) => (state === null ? null : reported(state, status, context)),
      ErasePerson: () => null,
    },
    timers: {
      unknown: (state, { argument }, context) => {
        const send = state.sends.find(s => s.id === argument)
        if (send?.status !== 'UNKNOWN') return state
        return keep(state, alert(send, 'may not have been sent: the provider has reported nothing of it', context))
      },
    },
    effects,
    ended: (state: WhatsappState | null, { input, outcome, reason }, context) => {
      if (state === null) return null
      const send = sendOf(state, (input as SendMessage).id, context)
      const at = context.now
      if (outcome === 'UNKNOWN') return change(state, send, { status: 'UNKNOWN', reason, at }, context)
      return change(state, send, { status: 'FAILED', reason: outcome === 'EXPIRED' ? 'expired' : reason, at }, context)
    },
    emits,
  })
}

const NEW: WhatsappState = { sends: [] }

function queued(id: string, attempt: string | null, at: number): WhatsappSend {
  return { id, attempt, providerId: null, status: 'QUEUED', alerted: false, at }
}

/** The send of this id; made anew where it was one too old to be kept. */
function sendOf(state: WhatsappState, id: string, context: Ctx): WhatsappSend {
  return state.sends.find(send => send.id === id) ?? queued(id, context.attempt, context.now)
}

function keep(state: WhatsappState, send: WhatsappSend): WhatsappState {
  const known = state.sends.some(s => s.id === send.id)
  const sends = known ? state.sends.map(s => (s.id === send.id ? send : s)) : [...state.sends, send]
  return { sends: sends.slice(-KEPT_SENDS) }
}

/** One alert per message: opened again with newer words, or resolved. */
function alert(send: WhatsappSend, what: string, context: Ctx, resolved = false): WhatsappSend {
  context.emit(alerts, context.key, 'Alert', {
    id: `send_failed:${send.id}`,
    conversation: context.key,
    department: 'OPERATIONS',
    priority: 'HIGH',
    kind: 'send_failed',
    text: `A WhatsApp message ${what}.`,
    resolved,
    at: context.now,
  })
  return { ...send, alerted: !resolved }
}

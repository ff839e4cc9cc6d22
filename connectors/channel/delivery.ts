/**
 * The connector of a channel, for one conversation: sends what the conversation wants said, and reports what became of it.
 *
 *   SendMessage ─▶ window open? ─ yes ─▶ effect `send` ─▶ SendResult ─┐
 *                       └─ no ─▶ FAILED          └─ ended ─▶ UNKNOWN ─┼─▶ SendOutcome, each status once
 *   DeliveryStatus (by attempt or the provider's id) ─────────────────┘
 *
 * That a message was accepted is in its SendResult; the conversation does not need to know.
 */
import { sendFailed } from '../../domain/alerts.ts'
import { type Channel, freeTextUntil } from '../../domain/channel.ts'
import { outranks } from '../../domain/delivery-status.ts'
import { MINUTE_MS } from '../../domain/time.ts'
import { actor, type Context, type Ports } from '../../engine/actor.ts'
import type { Delivery, DeliveryState, DeliveryStatus, MessageStatus, SendMessage } from '../../schemas/types.ts'
import { raiseAlert, resolveAlert } from '../../topics/alerts.ts'
import { alerts, type ChannelInbox, conversationInbox } from '../../topics/catalog.ts'
import { inParts } from './form.ts'

export interface DeliverySettings {
  /**
   * How long after the conversation decided it a message may still be sent, ms. As for a control (10 min): what it says about
   * the music may no longer be true, and a person who has waited longer is better served by a human.
   */
  readonly useMs: number
  /** How long to wait for the provider's reports before a human is told that a message may not have been sent, ms. */
  readonly reconcileMs: number
  /** Divides durable timers and deadlines, not the provider's window. */
  readonly timeScale: number
}

export const DELIVERY_DEFAULTS: DeliverySettings = { useMs: 10 * MINUTE_MS, reconcileMs: 5 * MINUTE_MS, timeScale: 1 }

/** What the delivery actor needs to know of a channel besides its description. */
export interface DeliveryChannel {
  readonly channel: Channel<ChannelInbox>
  /** What went wrong, in words without personal data. @param code the provider's error code, null where it gave none */
  readonly describeError: (code: number | null, reason: string) => string
}

/** Reason of a message that was decided after the channel's window for free text had closed. */
export const WINDOW_CLOSED = 'window_closed'

const MAX_KEPT_SENDS = 30

// The effect's timeout leaves room for waiting in the account's budget; the request itself has 10 s.
const effects = { send: { input: 'SendMessage', result: 'SendResult', retry: 'never', timeoutMs: 30_000 } } as const
const emits = [conversationInbox, alerts] as const
type Ctx = Context<(typeof emits)[number], typeof effects>

interface Change {
  readonly status: MessageStatus
  readonly at: number
  readonly providerId?: string | null
  readonly reason?: string
  readonly errorCode?: number | null
  /** The record at hand already tells it, for a message that was waiting. */
  readonly alreadyKnown?: boolean
}

export type DeliveryActor = ReturnType<typeof deliveryActor>
export type DeliveryPorts = Ports<DeliveryActor>

export const deliveryActor = (of: DeliveryChannel, settings: DeliverySettings = DELIVERY_DEFAULTS) => {
  const { channel, describeError } = of

  /** Applies a status if it ranks higher, and tells the conversation and, where needed, a human. */
  function change(state: DeliveryState, send: Delivery, to: Change, context: Ctx): DeliveryState {
    const { status, at, reason = '', errorCode = null } = to
    const known = { ...send, providerId: to.providerId ?? send.providerId }
    if (!outranks(status, send.status)) return keep(state, known)
    const { id, providerId } = known
    if (to.alreadyKnown !== true || send.status !== 'QUEUED')
      context.emit(conversationInbox, context.key, 'SendOutcome', { id, providerId, status, reason, errorCode, at })
    const next = { ...known, status, at }
    if (status === 'FAILED')
      return keep(state, alert(channel, next, `could not be sent: ${describeError(errorCode, reason)}`, context))
    if (status === 'UNKNOWN') {
      context.setTimer(`unknown:${id}`, context.now + settings.reconcileMs / settings.timeScale)
      return keep(state, next)
    }
    return keep(state, send.alerted ? alert(channel, next, 'went out after all', context, true) : next)
  }

  function reported(state: DeliveryState, status: DeliveryStatus, context: Ctx): DeliveryState {
    const { attempt, providerId, at, errorCode } = status
    const send = state.sends.find(s => (attempt !== null && s.attempt === attempt) || s.providerId === providerId)
    if (send === undefined || status.status === 'UNKNOWN') return state
    return change(state, send, { status: status.status, providerId, at, errorCode, reason: status.error ?? '' }, context)
  }

  return actor({
    name: channel.name,
    inbox: channel.inbox,
    state: 'DeliveryState',
    on: {
      SendMessage: (state, message, context) => {
        const before = state ?? NEW
        if (before.sends.some(send => send.id === message.id)) return before
        const closesAt = freeTextUntil(channel, message.lastInboundAt)
        if (context.now >= closesAt) {
          const failed = { status: 'FAILED', reason: WINDOW_CLOSED, at: context.now } as const
          return change(before, queued(message.id, null, context.now), failed, context)
        }
        const useUntil = message.createdAt + settings.useMs / settings.timeScale
        // Effects of one key start in order, so that the parts of a long message arrive in order.
        return inParts(message, channel.limits).reduce((state, part) => {
          const attempt = context.perform('send', part, { notAfter: Math.min(closesAt, useUntil) })
          return keep(state, queued(part.id, attempt, context.now))
        }, before)
      },
      // No state: the person has been erased in the meantime.
      SendResult: (state, { id, accepted, providerId, errorCode, reason, at }, context) => {
        if (state === null) return null
        const send = sendOf(state, id, context)
        return change(
          state,
          send,
          { status: accepted ? 'SENT' : 'FAILED', providerId, reason, errorCode, at, alreadyKnown: accepted },
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
        return keep(state, alert(channel, send, 'may not have been sent: the provider has not reported on it', context))
      },
    },
    effects,
    ended: (state: DeliveryState | null, { input, outcome, reason }, context) => {
      if (state === null) return null
      const send = sendOf(state, (input as SendMessage).id, context)
      const at = context.now
      if (outcome === 'UNKNOWN') return change(state, send, { status: 'UNKNOWN', reason, at }, context)
      return change(state, send, { status: 'FAILED', reason: outcome === 'EXPIRED' ? 'expired' : reason, at }, context)
    },
    emits,
  })
}

const NEW: DeliveryState = { sends: [] }

function queued(id: string, attempt: string | null, at: number): Delivery {
  return { id, attempt, providerId: null, status: 'QUEUED', alerted: false, at }
}

/** The delivery of this id; a new one if it was too old to be kept. */
function sendOf(state: DeliveryState, id: string, context: Ctx): Delivery {
  return state.sends.find(send => send.id === id) ?? queued(id, context.attempt, context.now)
}

function keep(state: DeliveryState, send: Delivery): DeliveryState {
  const known = state.sends.some(s => s.id === send.id)
  const sends = known ? state.sends.map(s => (s.id === send.id ? send : s)) : [...state.sends, send]
  return { sends: sends.slice(-MAX_KEPT_SENDS) }
}

/** One alert per message: opened again with newer words, or resolved. */
function alert({ label }: Channel, send: Delivery, what: string, context: Ctx, resolved = false): Delivery {
  const tell = resolved ? resolveAlert : raiseAlert
  tell(context, { ...sendFailed(send.id), conversation: context.key, priority: 'HIGH', text: `A ${label} message ${what}.` })
  return { ...send, alerted: !resolved }
}

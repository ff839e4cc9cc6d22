/**
 * The connector of a channel, for one conversation: sends what the conversation wants said, and reports what became of it.
 *
 *   SendMessage ─▶ window open? ─ yes ─▶ effect `send` ─▶ SendResult ─┐
 *                       └─ no ─▶ FAILED          └─ ended ─▶ UNKNOWN ─┼─▶ SendOutcome, each status once
 *   DeliveryStatus (by attempt or the provider's id) ─────────────────┘
 *
 * That a message was accepted is in its SendResult; the conversation does not need to know. A long message goes out in parts, each
 * after the one before it. If one is refused, expires or may not have been sent, the rest is withdrawn and the message has failed. All
 * records name the whole message: the attempt, or the provider's id, tells which part they are about.
 */
import { sendFailed } from '../../domain/alerts.ts'
import { type Channel, freeTextUntil } from '../../domain/channel.ts'
import { outranks } from '../../domain/delivery-status.ts'
import { MINUTE_MS } from '../../domain/time.ts'
import { actor, type Context, type Ports } from '../../engine/actor.ts'
import type { Delivery, DeliveryState, MessageStatus, SendMessage } from '../../schemas/types.ts'
import { raiseAlert, resolveAlert } from '../../topics/alerts.ts'
import { alerts, type ChannelInbox, conversationInbox } from '../../topics/catalog.ts'
import { attempted, keep, NEW, queued, type Reported, reportedOn, withoutRest, withPart, worstOf } from './delivery-state.ts'
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

  /** Takes what is known of a message, or of a part of it. */
  function change(state: DeliveryState, reported: Reported, to: Change, context: Ctx): DeliveryState {
    const known = withPart(reported, to.status, to.providerId ?? null)
    const send = withoutRest(known, reported.part, attempt => context.withdraw(attempt))
    const status = send.parts.length === 0 ? to.status : worstOf(send.parts)
    return keep(state, tell(send, status, to, context))
  }

  /** Tells the conversation and, where needed, a human of a status, if it ranks higher than the one they know. */
  function tell(send: Delivery, status: MessageStatus, to: Change, context: Ctx): Delivery {
    const { at, reason = '', errorCode = null } = to
    if (!outranks(status, send.status)) return send
    const { id, providerId } = send
    if (to.alreadyKnown !== true || send.status !== 'QUEUED')
      context.emit(conversationInbox, context.key, 'SendOutcome', { id, providerId, status, reason, errorCode, at })
    const next = { ...send, status, at }
    if (status === 'FAILED') {
      const sent = send.parts.some(part => part.status !== 'FAILED') ? 'sent in full' : 'sent'
      const why = to.status === 'UNKNOWN' ? 'a part of it may not have gone out' : describeError(errorCode, reason)
      return alert(channel, next, `could not be ${sent}: ${why}`, context)
    }
    if (status === 'UNKNOWN') {
      context.setTimer(`unknown:${id}`, context.now + settings.reconcileMs / settings.timeScale)
      return next
    }
    return send.alerted ? alert(channel, next, 'went out after all', context, true) : next
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
          return change(before, { send: queued(message.id, context.now, []), part: 0 }, failed, context)
        }
        const useUntil = message.createdAt + settings.useMs / settings.timeScale
        const notAfter = Math.min(closesAt, useUntil)
        // Effects of one key start in order, each after the one before it, so that the parts of a long message arrive in order.
        const attempts = inParts(message, channel.limits).map(part => context.perform('send', part, { notAfter }))
        return keep(before, queued(message.id, context.now, attempts))
      },
      // No state: the person has been erased in the meantime.
      SendResult: (state, { id, more, accepted, providerId, errorCode, reason, at }, context) => {
        if (state === null) return null
        // Others follow, and what has become of them is not kept.
        if (accepted && more && !state.sends.some(send => send.id === id)) return state
        return change(
          state,
          attempted(state, id, context.attempt, context.now),
          { status: accepted ? 'SENT' : 'FAILED', providerId, reason, errorCode, at, alreadyKnown: accepted },
          context,
        )
      },
      DeliveryStatus: (state, { attempt, providerId, status, at, errorCode, error }, context) => {
        if (state === null) return null
        const reported = reportedOn(state, attempt, providerId)
        if (reported === null || status === 'UNKNOWN') return state
        return change(state, reported, { status, providerId, at, errorCode, reason: error ?? '' }, context)
      },
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
    ended: (state: DeliveryState | null, { attempt, input, outcome, reason }, context) => {
      if (state === null) return null
      const at = context.now
      const reported = attempted(state, (input as SendMessage).id, attempt, at)
      if (outcome === 'UNKNOWN') return change(state, reported, { status: 'UNKNOWN', reason, at }, context)
      return change(state, reported, { status: 'FAILED', reason: outcome === 'EXPIRED' ? 'expired' : reason, at }, context)
    },
    emits,
  })
}

/** One alert per message: opened again with newer words, or resolved. */
function alert({ label }: Channel, send: Delivery, what: string, context: Ctx, resolved = false): Delivery {
  const tell = resolved ? resolveAlert : raiseAlert
  tell(context, { ...sendFailed(send.id), conversation: context.key, priority: 'HIGH', text: `A ${label} message ${what}.` })
  return { ...send, alerted: !resolved }
}

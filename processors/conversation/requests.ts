/**
 * Requests to a venue's zones: built from intents, sent, and tracked.
 */
import type { ConversationRequest, Intent, QueuedMessage, Understood, Wish, ZoneRequestKind } from '../../schemas/types.ts'
import { venueInbox } from '../../topics/catalog.ts'
import type { Turn } from './turn.ts'
import type { PhraseKey } from './words.ts'

const MAX_REQUESTS = 20

/** The wish of an intent: what to do at which zones. */
export function wishOf(
  kind: ZoneRequestKind,
  intent: Intent,
  asked: readonly Intent[],
  { zones }: Understood,
  message: QueuedMessage,
): Wish {
  // The only zone named in a message applies to all of it; the only zone of a venue need not be named.
  const named = [...new Set(asked.flatMap(i => (i.zone === null ? [] : [i.zone])))]
  const lone = named.length === 1 && !intent.allZones && intent.zoneText === null ? named[0] : undefined
  const single = zones.length === 1 && intent.zoneText === null ? zones[0]?.zone : undefined
  const zone = intent.zone ?? lone ?? single
  return {
    kind,
    zones: zone === undefined ? [] : [zone],
    zoneName: zones.find(z => z.zone === zone)?.name ?? null,
    allZones: intent.allZones,
    value: intent.value,
    durationMs: intent.durationMs,
    sender: message.sender,
    message: message.message,
    sentAt: message.sentAt,
  }
}

/** Sends a request to the venue. @param trouble the intent, if this is the first check of a reported trouble */
export function request(turn: Turn, wish: Wish, trouble: string | null = null): void {
  const { context, settings, state } = turn
  const { kind, zones, value, durationMs, sender, sentAt } = wish
  if (state.venue === null) throw new Error('a request needs a venue')
  const id = context.id()
  context.emit(venueInbox, state.venue, 'ZoneRequest', {
    id,
    conversation: context.key,
    kind,
    zones,
    value,
    durationMs,
    trust: turn.sender(sender)?.trust ?? 'CLAIMED',
    bySender: sender,
    requestedAt: sentAt,
  })
  context.setTimer(`answer:${id}`, turn.after(settings.answerMs))
  trackRequest(turn, id, wish, trouble)
}

/** Tracks a request that is refused without being sent. */
export function refuse(turn: Turn, wish: Wish): void {
  const id = turn.context.id()
  trackRequest(turn, id, wish, null)
  const { requests } = turn.state
  const ended = { outcome: 'refused', reason: 'trust', endedAt: turn.now }
  turn.set({ requests: requests.map(r => (r.id === id ? { ...r, ...ended } : r)) })
  turn.event('REQUEST_ENDED', { request: id, to: 'refused', detail: 'trust' })
}

/** Adds a pending request to the state. */
export function trackRequest(
  turn: Turn,
  id: string,
  { kind, zones, zoneName, value, sender, message }: Pick<Wish, 'kind' | 'zones' | 'zoneName' | 'value' | 'sender' | 'message'>,
  trouble: string | null,
): ConversationRequest {
  const asked = { id, kind, zones: [...zones], zoneName, value, sender, message, trouble, at: turn.now }
  const made = { ...asked, outcome: 'pending', reason: '', command: null, endedAt: null }
  turn.set({ requests: [...turn.state.requests, made].slice(-MAX_REQUESTS) })
  turn.event('REQUEST', { request: id, detail: kind.toLowerCase() })
  return made
}

/** The wishes as text. */
export function wishWords(turn: Turn, wishes: readonly Wish[]): string {
  return wishes
    .map(({ kind, zoneName, allZones, value, durationMs }) => {
      const zone = allZones ? turn.phrase('zone.all') : (zoneName ?? turn.phrase('zone.the_music'))
      if (kind === 'PAUSE' && durationMs !== null) {
        return turn.phrase('wish.PAUSE_FOR', { zone, n: Math.max(1, Math.round(durationMs / 60_000)) })
      }
      return turn.phrase(`wish.${kind}` as PhraseKey, { zone, value: value ?? '' })
    })
    .join(turn.phrase('wish.and'))
}

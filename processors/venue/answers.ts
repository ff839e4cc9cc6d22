/**
 * Answers to the conversation that asked: always made from recorded outcomes, with the zones as last known and their times.
 */
import { conversationInbox } from '../../topics/catalog.ts'
import type {
  OpenRequest,
  RequestOutcome,
  VenueState,
  ZoneEnd,
  ZoneFactInput,
  ZoneRequestKind,
  ZoneSlot,
} from '../../schemas/types.ts'
import type { VenueStep } from './context.ts'
import type { Verdict } from './rules.ts'
import { clip } from '../../domain/text.ts'
import { aged } from './zones.ts'

/** Whom to answer, and about what. */
export interface Asked {
  readonly id: string
  readonly conversation: string | null
  readonly kind: ZoneRequestKind
  readonly durationMs: number | null
}

export function answer(
  { context, settings }: VenueStep,
  state: VenueState | null,
  asked: Asked,
  verdict: Verdict & { readonly zones: readonly ZoneSlot[]; readonly command?: string | null; readonly final?: boolean },
): void {
  const { id, conversation, kind, durationMs } = asked
  if (conversation === null) return
  const { outcome, reason, detail = '', from = null, to = null, zones, command = null, final = true } = verdict
  context.emit(conversationInbox, conversation, 'VenueAnswer', {
    request: id,
    venue: context.key,
    venueName: state?.name ?? '',
    kind,
    outcome,
    reason,
    detail: clip(detail, 500),
    command,
    from,
    to,
    durationMs,
    final,
    zones: zones.map(zone => fact(aged(zone, context.now, settings.unknownAfterMs, state ?? undefined))),
    at: context.now,
  })
}

/** A zone as last known. If only one reading calls it offline, it is UNKNOWN until a second one confirms it. */
function fact(zone: ZoneSlot): ZoneFactInput {
  const { zone: id, name, detail, playback, volume, track, artist, source, asOf } = zone
  const status = zone.suspectAt === null ? zone.status : 'UNKNOWN'
  return { zone: id, name, status, detail, playback, volume, track, artist, source, asOf }
}

/** The zones that a request asks about: those named, or all. */
export function askedZones(state: VenueState, { asked }: OpenRequest): ZoneSlot[] {
  return asked.length === 0 ? state.zones : state.zones.filter(zone => asked.includes(zone.slot))
}

/** Worst first: the worst outcome at any zone is the outcome of the request, so that no answer claims too much. */
const WORST: readonly RequestOutcome[] = ['UNKNOWN', 'UNVERIFIED', 'EXPIRED', 'REFUSED', 'CONFIRMED']

/** The outcome over several zones; if they differ, `detail` lists them. */
export function overall(state: VenueState, results: readonly ZoneEnd[]): Verdict {
  const outcome = WORST.find(one => results.some(result => result.outcome === one)) ?? 'UNKNOWN'
  const reason = results.find(result => result.outcome === outcome)?.reason ?? ''
  const alike = results.every(result => result.outcome === outcome && result.reason === reason)
  if (alike) return { outcome, reason }
  const name = (slot: number) => state.zones.find(zone => zone.slot === slot)?.name ?? 'a zone that has gone'
  const said = results.map(end => `${name(end.slot)}: ${end.outcome.toLowerCase()}${end.reason === '' ? '' : ` (${end.reason})`}`)
  return { outcome, reason, detail: said.join('; ') }
}

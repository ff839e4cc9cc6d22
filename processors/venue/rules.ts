/**
 * What a control request means at a zone: which command, or why none. Pure, so that each rule can be tested alone.
 */
import type { OpenRequest, RequestOutcome, ZoneCommandKind, ZoneRequestKind, ZoneSlot } from '../../schemas/types.ts'

export const MAX_VOLUME = 16
/** Steps of a relative change that names no number. */
const DEFAULT_STEPS = 2
/** The volume to return to if the one before the mute is unknown. */
const UNMUTE_VOLUME = 8

export type Plan =
  /** The zone must be read first. */
  | { readonly type: 'read' }
  | { readonly type: 'send'; readonly command: ZoneCommandKind; readonly from: number | null; readonly to: number | null }
  | ({ readonly type: 'end' } & Verdict)

/** How a request ended at a zone, or as a whole. `from` and `to` are volumes. */
export interface Verdict {
  readonly outcome: RequestOutcome
  readonly reason: string
  readonly detail?: string
  readonly from?: number | null
  readonly to?: number | null
}

export function isQuestion(kind: ZoneRequestKind): boolean {
  return kind === 'WHAT_PLAYING' || kind === 'STATUS' || kind === 'LIST_ZONES'
}

/** Whether a reading must say which track plays. */
export function needsTrack(kind: ZoneRequestKind): boolean {
  return kind === 'SKIP' || kind === 'WHAT_PLAYING'
}

/**
 * The plan for a zone.
 * @param fresh whether the zone's reading is recent enough to rely on.
 * @param cap highest volume that may be set, 0..16.
 */
export function plan({ kind, value }: Pick<OpenRequest, 'kind' | 'value'>, zone: ZoneSlot, fresh: boolean, cap: number): Plan {
  const relative = kind === 'VOLUME_UP' || kind === 'VOLUME_DOWN' || kind === 'UNMUTE'
  if (!fresh && (relative || kind === 'SKIP' || zone.status === 'OFFLINE')) return { type: 'read' }
  if (zone.status === 'OFFLINE') return { type: 'end', outcome: 'REFUSED', reason: whyOffline(zone) }
  if (kind === 'PLAY' || kind === 'PAUSE' || kind === 'SKIP') return { type: 'send', command: kind, from: null, to: null }
  const from = fresh ? zone.volume : null
  if (relative && from === null) return { type: 'end', outcome: 'REFUSED', reason: 'volume_unknown' }
  const to = wanted(kind, value, from ?? 0, zone.formerVolume, cap)
  if (kind === 'VOLUME_UP' && to <= (from ?? 0)) {
    return { type: 'end', outcome: 'REFUSED', reason: 'cap', detail: capDetail(cap), from, to: from }
  }
  if (from === to) return { type: 'end', outcome: 'CONFIRMED', reason: '', from, to }
  return { type: 'send', command: 'SET_VOLUME', from, to }
}

function wanted(kind: ZoneRequestKind, value: number | null, from: number, former: number | null, cap: number): number {
  const steps = Math.abs(value ?? DEFAULT_STEPS)
  if (kind === 'VOLUME_UP') return Math.min(cap, from + steps)
  if (kind === 'VOLUME_DOWN') return Math.max(0, from - steps)
  if (kind === 'UNMUTE') return from > 0 ? from : Math.min(cap, former ?? UNMUTE_VOLUME)
  return kind === 'MUTE' ? 0 : (value ?? 0)
}

/** What is wrong with the value of a volume request, if anything. */
export function wrongVolume(kind: ZoneRequestKind, value: number | null, cap: number): Verdict | null {
  if (kind === 'VOLUME_SET') {
    if (value === null || value < 0 || value > MAX_VOLUME) {
      return { outcome: 'REFUSED', reason: 'invalid', detail: `volume is 0 to ${MAX_VOLUME}` }
    }
    return value > cap ? { outcome: 'REFUSED', reason: 'cap', detail: capDetail(cap), to: value } : null
  }
  if ((kind === 'VOLUME_UP' || kind === 'VOLUME_DOWN') && value === 0) {
    return { outcome: 'REFUSED', reason: 'invalid', detail: 'a change by 0 steps' }
  }
  return null
}

function capDetail(cap: number): string {
  return `the cap is ${cap} of ${MAX_VOLUME}`
}

function whyOffline({ detail }: ZoneSlot): string {
  if (detail === 'unpaired') return 'unpaired'
  return detail === 'no_subscription' || detail === 'expired' ? 'subscription' : 'offline'
}

/** Tells the track that is playing from the next one: when it started, and the beginning of its title. */
export function trackMark({ startedAt, track }: ZoneSlot): string {
  return `${startedAt ?? ''}|${(track ?? '').slice(0, 24)}`
}

function isOtherTrack(mark: string, zone: ZoneSlot): boolean {
  const [startedBefore = '', titleBefore = ''] = halves(mark)
  const [started = '', title = ''] = halves(trackMark(zone))
  if (startedBefore !== '' && started !== '') return started !== startedBefore
  // A title may have been cut shorter in the meantime.
  return title !== '' && (titleBefore === '' || !(title.startsWith(titleBefore) || titleBefore.startsWith(title)))
}

function halves(mark: string): string[] {
  const bar = mark.indexOf('|')
  return [mark.slice(0, bar), mark.slice(bar + 1).replace('…', '')]
}

/** Whether a zone shows the effect of a command. */
export function shows(zone: ZoneSlot, kind: ZoneRequestKind, to: number | null, mark: string): boolean {
  if (kind === 'PLAY') return zone.playback === 'playing'
  if (kind === 'PAUSE') return zone.playback === 'paused'
  if (kind === 'SKIP') return isOtherTrack(mark, zone)
  return zone.volume !== null && zone.volume === to
}

/**
 * The outcome of a zone request as text. Every statement about an action comes from its recorded outcome: only CONFIRMED reads as
 * success.
 */
import type { SupportHours } from '../../domain/support-hours.ts'
import { DAY_MS, MINUTE_MS } from '../../domain/time.ts'
import { clock, dayOf } from '../../domain/time-zone.ts'
import type { ConversationRequest, VenueAnswer, ZoneFact } from '../../schemas/types.ts'
import { isControlKind } from './intents.ts'
import type { Values, PhraseKey } from './words.ts'

/** What rendering needs: phrases in the person's language, the time, and settings. */
export interface Voice {
  phrase(key: PhraseKey, values?: Values): string
  readonly now: number
  readonly settings: { readonly supportHours: SupportHours; readonly tryMs: number; readonly timeScale: number }
}

/** A text, and the key of its phrase. */
export interface Rendered {
  readonly key: PhraseKey
  readonly text: string
}

/** A reading older than this is shown with its time, ms. */
const FRESH_MS = 2 * MINUTE_MS

const REFUSALS: Readonly<Record<string, PhraseKey>> = {
  trust: 'refused.trust',
  policy: 'refused.policy',
  cap: 'refused.cap',
  permission: 'refused.permission',
  offline: 'refused.offline',
  unpaired: 'refused.unpaired',
  subscription: 'refused.subscription',
  no_subscription: 'refused.subscription',
  expired: 'refused.subscription',
  provider_down: 'refused.provider_down',
  rate_limited: 'refused.rate_limited',
  busy: 'refused.busy',
  no_zone: 'refused.no_zone',
  not_found: 'refused.not_found',
}

/** Refusals of the request as a whole; the others apply to a zone. */
const OF_THE_REQUEST = new Set(['trust', 'policy', 'cap', 'busy', 'stale', 'no_zone'])

/** The answer to a request. */
export function answerWords(voice: Voice, answer: VenueAnswer, request: ConversationRequest): Rendered {
  if (!isControlKind(answer.kind)) return answer.kind === 'WHAT_PLAYING' ? playing(voice, answer) : status(voice, answer)
  const values = { zone: zoneNames(voice, answer, request), venue: answer.venueName }
  const says = (key: PhraseKey): Rendered => ({ key, text: voice.phrase(key, values) })
  // The outcome is the worst of all zones; the state of each zone says more.
  if (answer.outcome !== 'CONFIRMED' && answer.final && answer.zones.length > 1 && !OF_THE_REQUEST.has(answer.reason)) {
    const list = answer.zones.map(zone => statusLine(voice, zone)).join('\n')
    return { key: 'mixed', text: voice.phrase('mixed', { list }) }
  }
  switch (answer.outcome) {
    case 'CONFIRMED':
      return done(voice, answer, request)
    case 'REFUSED':
      return says(REFUSALS[answer.reason] ?? 'refused.other')
    case 'UNVERIFIED':
      return says('unverified')
    case 'EXPIRED':
      return says(GIVEN_UP[answer.reason] ?? 'expired')
    case 'PENDING':
      return firstWord(voice, answer, request)
    default:
      return says('unknown')
  }
}

const GIVEN_UP: Readonly<Record<string, PhraseKey>> = {
  provider_down: 'expired.provider_down',
  provider_slow: 'expired.provider_slow',
  rate_limited: 'expired.rate_limited',
}
const TROUBLES: Readonly<Record<string, PhraseKey>> = {
  provider_down: 'first_word.provider_down',
  rate_limited: 'first_word.rate_limited',
}
/** Zones shown in a first word; more would be a list to scroll through. */
const MAX_ZONES_SHOWN = 6

/** The text while the answer is pending: the cause, the last known state with its time, and until when it is tried. */
export function firstWord(voice: Voice, { kind, reason, zones }: VenueAnswer, { at }: Pick<ConversationRequest, 'at'>): Rendered {
  const { supportHours, tryMs, timeScale } = voice.settings
  const key = TROUBLES[reason] ?? 'first_word'
  const known = zones.filter(zone => zone.asOf !== null)
  const list = known.slice(0, MAX_ZONES_SHOWN).map(zone => statusLine(voice, zone, true))
  const last =
    list.length === 0 ? [] : [voice.phrase('first_word.last_known'), ...list, ...(known.length > MAX_ZONES_SHOWN ? ['…'] : [])]
  const next = isControlKind(kind)
    ? voice.phrase('first_word.until', { time: clock(at + tryMs / timeScale, supportHours.zone) })
    : voice.phrase('first_word.moment')
  return { key, text: [voice.phrase(key), ...last, next].join('\n') }
}

/** The caution before a reading that is not live. */
function caution(voice: Voice, { outcome, reason }: VenueAnswer): string[] {
  if (outcome === 'CONFIRMED') return []
  return [voice.phrase(UNREAD[reason] ?? 'status.last_known')]
}
const UNREAD: Readonly<Record<string, PhraseKey>> = {
  provider_down: 'status.last_known.provider_down',
  provider_slow: 'status.last_known.provider_slow',
  rate_limited: 'status.last_known.rate_limited',
}

function done(voice: Voice, answer: VenueAnswer, request: ConversationRequest): Rendered {
  const { kind, from, to, durationMs, zones } = answer
  const many = zones.length > 1 || (zones.length === 0 && request.zones.length !== 1)
  const list = zoneNames(voice, answer, request)
  const n = Math.max(1, Math.round((durationMs ?? 0) / MINUTE_MS))
  const says = (key: PhraseKey, values: Values = {}): Rendered => ({
    key,
    text: voice.phrase(key, { zone: list, list, n, ...values }),
  })
  switch (kind) {
    case 'MUTE':
      return says(many ? 'confirmed.mute_many' : 'confirmed.mute')
    case 'UNMUTE':
      return says(many ? 'confirmed.unmute_many' : 'confirmed.unmute')
    case 'PLAY':
      return says(many ? 'confirmed.play_many' : 'confirmed.play')
    case 'PAUSE':
      if (durationMs === null) return says(many ? 'confirmed.pause_many' : 'confirmed.pause')
      return says(many ? 'confirmed.pause_for_many' : 'confirmed.pause_for')
    case 'SKIP': {
      const [zone] = zones
      if (many) return says('confirmed.skip_many')
      return zone?.track ? says('confirmed.skip_to', { track: track(voice, zone) }) : says('confirmed.skip')
    }
  }
  const volumes = zones.filter(z => z.volume !== null).map(z => `${z.name} ${z.volume}`)
  if (many && volumes.length > 0) return says('confirmed.volume_many', { list: volumes.join(' · ') })
  const now = to ?? zones[0]?.volume ?? request.value ?? '?'
  if (from === null) return says('confirmed.volume_to', { to: now })
  return from === now ? says('confirmed.volume_same', { to: now }) : says('confirmed.volume', { from, to: now })
}

/** The zones with their state, and with the time of readings that are not fresh. */
function status(voice: Voice, answer: VenueAnswer): Rendered {
  const { zones, outcome, venueName } = answer
  const venue = venueName
  if (zones.length === 0) {
    const key = outcome === 'CONFIRMED' ? 'status.none' : 'status.unread'
    return { key, text: voice.phrase(key, { venue }) }
  }
  const online = zones.filter(z => z.status === 'ONLINE').length
  const header = zones.length > 1 ? [voice.phrase('status.header', { venue, n: zones.length, online })] : []
  const lines = zones.map(zone => statusLine(voice, zone, outcome !== 'CONFIRMED'))
  return { key: 'status.header', text: [...caution(voice, answer), ...header, ...lines].join('\n') }
}

const STATUS_PHRASES = { ONLINE: 'status.online', OFFLINE: 'status.offline', UNKNOWN: 'status.unknown' } as const
const DETAIL_PHRASES: Readonly<Record<string, PhraseKey>> = {
  unpaired: 'status.unpaired',
  no_subscription: 'status.no_subscription',
  expired: 'status.expired',
  muted: 'status.muted',
}

/** @param dated whether to show the time of a fresh reading too */
function statusLine(voice: Voice, zone: ZoneFact, dated = false): string {
  const detail = DETAIL_PHRASES[zone.detail]
  const live =
    zone.status !== 'ONLINE'
      ? []
      : [
          ...(zone.volume === null ? [] : [voice.phrase('status.volume', { n: zone.volume })]),
          ...(isPaused(zone) ? [voice.phrase('status.paused')] : []),
          ...(zone.track && !isPaused(zone) ? [voice.phrase('status.playing', { track: track(voice, zone) })] : []),
        ]
  const details = [...(detail === undefined ? [] : [voice.phrase(detail)]), ...live, ...asOf(voice, zone, 'status.as_of', dated)]
  const text = voice.phrase(STATUS_PHRASES[zone.status], {
    zone: zone.name,
    details: details.map(part => `, ${part}`).join(''),
  })
  return `• ${text}`
}

function playing(voice: Voice, answer: VenueAnswer): Rendered {
  const { zones, outcome, venueName } = answer
  if (zones.length === 0) return { key: 'status.unread', text: voice.phrase('status.unread', { venue: venueName }) }
  const lines = zones.map(zone =>
    [voice.phrase(playingWord(zone), named(voice, zone)), ...asOf(voice, zone, 'playing.as_of', outcome !== 'CONFIRMED')].join(
      ' ',
    ),
  )
  return { key: 'playing.now', text: [...caution(voice, answer), ...lines].join('\n') }
}

function playingWord(zone: ZoneFact): PhraseKey {
  if (zone.status === 'OFFLINE') return 'playing.offline'
  if (zone.status === 'UNKNOWN' && !zone.track) return 'playing.unknown'
  if (isPaused(zone)) return 'playing.paused'
  if (!zone.track) return 'playing.silent'
  return zone.source ? 'playing.from' : 'playing.now'
}

function named(voice: Voice, zone: ZoneFact): Values {
  return { zone: zone.name, track: zone.track ? track(voice, zone) : '', source: zone.source ?? '' }
}

export function isPaused({ playback }: ZoneFact): boolean {
  return playback === 'paused'
}

function track(voice: Voice, { track, artist }: ZoneFact): string {
  return artist ? voice.phrase('track.by', { track: track ?? '', artist }) : voice.phrase('track', { track: track ?? '' })
}

/** When a zone was read, if that was some time ago. */
function asOf(voice: Voice, { asOf }: ZoneFact, key: PhraseKey, dated = false): string[] {
  const age = voice.now - (asOf ?? voice.now)
  if (asOf === null || (age <= FRESH_MS && !dated)) return []
  const { zone } = voice.settings.supportHours
  const time = age < DAY_MS / 2 ? clock(asOf, zone) : `${dayOf(asOf, zone)} ${clock(asOf, zone)}`
  return [voice.phrase(key, { time })]
}

function zoneNames(voice: Voice, { zones }: VenueAnswer, { zoneName, zones: asked }: ConversationRequest): string {
  if (zones.length > 0) return zones.map(z => z.name).join(', ')
  return zoneName ?? voice.phrase(asked.length === 0 ? 'zone.all' : 'zone.the_music')
}

/** How long ago, as text. */
export function ageWords(voice: Voice, ms: number): string {
  if (ms < 2 * 60 * MINUTE_MS) return voice.phrase('age.minutes', { n: Math.round(ms / MINUTE_MS) })
  if (ms < 2 * DAY_MS) return voice.phrase('age.hours', { n: Math.round(ms / (60 * MINUTE_MS)) })
  return voice.phrase('age.days', { n: Math.round(ms / DAY_MS) })
}

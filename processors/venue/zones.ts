/**
 * How readings change a zone. Unknown is not offline: a failed reading keeps the last known state with its time.
 *
 *            a reading online               15 min without a reading, told or not
 *   UNKNOWN ────────────────────▶ ONLINE ───────────────────────────────────────▶ UNKNOWN
 *      │                          │    ▲
 *      └─ two readings offline ─▶ OFFLINE (one alone makes it suspect)
 */
import type { VenueState, ZoneReading, ZoneSlot, ZoneSnapshot } from '../../schemas/types.ts'
import { clip } from '../../domain/text.ts'

/** Zones that a venue's state has room for. */
export const MAX_ZONES = 60
/** This many changes between online and offline within the window count as flapping. */
const MIN_FLIPS = 3
const FLAP_WINDOW_MS = 10 * 60_000
/** The provider's ids have at most 88 bytes; a state has no room for 60 longer ones. */
const MAX_ID_BYTES = 120
const MAX_TEXT_BYTES = 100
/** How long a track counts as the one that is playing. */
const TRACK_VALID_MS = 3 * 60_000
/** How long a zone is watched closely after somebody asked about it. */
const TALK_WATCH_MS = 3 * 60_000

export interface Condition {
  readonly status: 'ONLINE' | 'OFFLINE'
  readonly detail: string
}

/**
 * What a reading says of a zone, in this order: unpaired, no subscription, expired, offline, online. A paired zone without a
 * device is not unpaired.
 * @returns null where it says nothing.
 */
export function condition(reading: ZoneReading): Condition | null {
  const { paired, online, subscription, statusCode, playback } = reading
  if (reading.error !== null) return null
  const code = (...codes: string[]) => codes.includes(statusCode ?? '')
  const offline = (detail: string): Condition => ({ status: 'OFFLINE', detail })
  if (paired === false || (paired === null && (code('UNPAIRED', 'NOT_PAIRED', 'NOT_SETUP') || playback === 'unpaired')))
    return offline('unpaired')
  if (subscription === 'INACTIVE' || subscription === 'PAUSED' || code('INACTIVE', 'SUBSCRIPTION_INACTIVE'))
    return offline('no_subscription')
  if (subscription === 'EXPIRED' || code('SUBSCRIPTION_EXPIRED')) return offline('expired')
  if (online === false || (online === null && (code('PLAYER_DISCONNECTED') || playback === 'offline'))) return offline('')
  if (online !== true) return null
  return { status: 'ONLINE', detail: code('PLAYER_MUTED') || reading.volume === 0 ? 'muted' : '' }
}

/** The zone after a reading. One that is not newer than the last changes nothing. */
export function observe(zone: ZoneSlot, reading: ZoneReading, asOf: number): ZoneSlot {
  if (zone.asOf !== null && asOf <= zone.asOf) return zone
  const read = condition(reading)
  const seen = read === null || reading.detail ? read : withKnownDetail(read, zone, reading)
  if (seen === null) return { ...zone, failed: code(reading.error ?? 'unreadable') }
  const shown: ZoneSlot = {
    ...zone,
    name: clip(reading.name, MAX_TEXT_BYTES),
    playback: reading.playback,
    volume: reading.volume,
    ...track(zone, reading, asOf),
    formerVolume: reading.volume === 0 && (zone.volume ?? 0) > 0 ? zone.volume : zone.formerVolume,
    asOf,
    failed: '',
    ...flip(zone, seen, asOf),
  }
  if (seen.status === 'ONLINE') {
    const since = zone.status === 'ONLINE' ? zone.since : asOf
    return { ...shown, ...seen, since, lastSeen: asOf, suspectAt: null }
  }
  if (zone.status === 'OFFLINE') return { ...shown, ...seen }
  if (zone.suspectAt === null) return { ...shown, suspectAt: asOf }
  return { ...shown, ...seen, since: zone.suspectAt, suspectAt: null }
}

/** What is playing. If the reading does not say, the known track is kept while it can still be playing. */
function track(zone: ZoneSlot, reading: ZoneReading, asOf: number) {
  const { track, artist, source, trackStartedAt: startedAt } = reading
  if (reading.detail) return { track, artist, source, startedAt, detailAt: asOf }
  return zone.detailAt !== null && asOf - zone.detailAt <= TRACK_VALID_MS ? {} : { track: null, artist: null, startedAt: null }
}

/** A reading without details says nothing about the subscription or a muted player: the known detail is kept. */
function withKnownDetail(seen: Condition, zone: ZoneSlot, reading: ZoneReading): Condition {
  const { detail } = zone
  if (seen.detail !== 'unpaired' && (detail === 'no_subscription' || detail === 'expired')) return { status: 'OFFLINE', detail }
  const mutedPlayer = detail === 'muted' && (zone.volume ?? 0) > 0 && (reading.volume ?? 0) > 0
  return seen.status === 'ONLINE' && mutedPlayer ? { ...seen, detail } : seen
}

function flip(zone: ZoneSlot, seen: Condition, asOf: number): { flips: number; flipsFrom: number | null } {
  const { flips, flipsFrom } = zone
  const before = zone.suspectAt !== null ? 'OFFLINE' : zone.status
  if (before === 'UNKNOWN' || before === seen.status) return { flips, flipsFrom }
  if (flipsFrom === null || asOf - flipsFrom > FLAP_WINDOW_MS) return { flips: 1, flipsFrom: asOf }
  return { flips: flips + 1, flipsFrom }
}

/** A message of the provider as a code: "Not found" becomes not_found. */
function code(words: string): string {
  return clip(words, 24).toLowerCase().replace(/\W+/g, '_')
}

/** True if the zone is offline by a single reading, or flapping. */
export function isDoubtful(zone: ZoneSlot, now: number): boolean {
  const within = (at: number | null) => at !== null && now - at <= FLAP_WINDOW_MS
  return within(zone.suspectAt) || (zone.flips >= MIN_FLIPS && within(zone.flipsFrom))
}

/** True if the zone should be read at most 30 s apart: it is doubtful or being talked about. */
export function isWatched(zone: ZoneSlot, now: number): boolean {
  return isDoubtful(zone, now) || (zone.talkedAt !== null && now - zone.talkedAt <= TALK_WATCH_MS)
}

/** True if the newest reading is fresh enough to answer from, and certain. */
export function isFresh(zone: ZoneSlot, now: number, freshMs: number): boolean {
  return zone.asOf !== null && now - zone.asOf <= freshMs && zone.failed === '' && zone.suspectAt === null
}

/** True if the newest reading says what is playing, not only whether something is. */
export function isDetailed(zone: ZoneSlot): boolean {
  return zone.detailAt !== null && zone.detailAt === zone.asOf
}

type Standing = Pick<VenueState, 'standsFrom' | 'standsUntil'>
const NOTHING_STANDS: Standing = { standsFrom: 0, standsUntil: 0 }

/** Until when a zone's newest reading counts: later readings that show no change are not reported. */
export function countsUntil({ asOf }: ZoneSlot, unknownAfterMs: number, { standsFrom, standsUntil }: Standing): number {
  if (asOf === null) return 0
  return asOf < standsFrom ? asOf + unknownAfterMs : Math.max(standsUntil, asOf + unknownAfterMs)
}

/** The zone, as UNKNOWN if its last reading is too old. */
export function aged(zone: ZoneSlot, now: number, unknownAfterMs: number, standing = NOTHING_STANDS): ZoneSlot {
  if (zone.status === 'UNKNOWN' || zone.asOf === null || now <= countsUntil(zone, unknownAfterMs, standing)) return zone
  return { ...zone, status: 'UNKNOWN', detail: '', since: zone.asOf, suspectAt: null }
}

/** The zone with a later reading that found it unchanged. */
export function confirmed(zone: ZoneSlot, asOf: number | null): ZoneSlot {
  if (asOf === null || zone.asOf === null || asOf <= zone.asOf || zone.failed !== '' || zone.suspectAt !== null) return zone
  return { ...zone, asOf, lastSeen: zone.status === 'ONLINE' ? asOf : zone.lastSeen }
}

/** A zone that has not been read yet. */
export function newZone(slot: number, zone: string, name: string): ZoneSlot {
  return {
    slot,
    zone,
    name: clip(name, MAX_TEXT_BYTES),
    status: 'UNKNOWN',
    detail: '',
    playback: null,
    volume: null,
    track: null,
    artist: null,
    source: null,
    startedAt: null,
    asOf: null,
    since: null,
    lastSeen: null,
    failed: '',
    suspectAt: null,
    detailAt: null,
    talkedAt: null,
    flips: 0,
    flipsFrom: null,
    formerVolume: null,
    alertedAt: null,
    alertOpen: false,
    job: null,
    waiting: [],
  }
}

/**
 * The zones after a snapshot: zones read are updated, new ones added; a complete snapshot drops zones that it does not list.
 * @returns also how many zones did not fit; the first by name are kept.
 */
export function observeAll(
  state: VenueState,
  { zones: readings, complete, asOf }: ZoneSnapshot,
): { zones: ZoneSlot[]; nextSlot: number; beyond: number } {
  let nextSlot = state.nextSlot
  const byId = new Map(state.zones.map(zone => [zone.zone, zone]))
  const isKnown = (reading: ZoneReading) => reading.name !== '' || byId.has(reading.zone)
  const fits = (reading: ZoneReading) => Buffer.byteLength(reading.zone) <= MAX_ID_BYTES
  const usable = readings.filter(reading => isKnown(reading) && fits(reading))
  const there = new Set(usable.map(reading => reading.zone))
  for (const reading of usable) {
    const known = byId.get(reading.zone) ?? newZone(nextSlot++, reading.zone, reading.name)
    byId.set(reading.zone, observe(known, reading, asOf))
  }
  const all = [...byId.values()]
    .filter(zone => !complete || there.has(zone.zone))
    .sort((a, b) => order(a.name, b.name) || order(a.zone, b.zone))
  const beyond = Math.max(0, all.length - MAX_ZONES) + readings.filter(reading => !fits(reading)).length
  return { zones: all.slice(0, MAX_ZONES), nextSlot, beyond }
}

function order(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0
}

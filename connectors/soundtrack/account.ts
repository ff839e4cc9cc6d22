/**
 * An account: who wants it read, and what becomes of a reading. One attempt is always open: it waits in the schedule, reads, and ends
 * only when there is something to tell.
 *
 *   watched ─▶ poll ─ reading, or why there is none ─▶ sent to its venues ─▶ poll …
 *               └─ others want it read: renew ─▶ poll …        nobody does: renew ─▶ (over)
 */
import { soundtrackAmbiguous } from '../../domain/alerts.ts'
import type { Context, Ended } from '../../engine/actor.ts'
import { LAST, PART } from '../../engine/headers.ts'
import type { SoundtrackState, WatchVenue, ZonesRead } from '../../schemas/types.ts'
import { raiseAlert, resolveAlert } from '../../topics/alerts.ts'
import { soundtrackInbox, syncLog, venueInbox, zoneKey } from '../../topics/catalog.ts'
import type { Effects, Emits } from './actor.ts'
import type { SoundtrackSettings } from './polling.ts'
import { split } from './split.ts'

type Ctx = Context<Emits, Effects>

/** Venues of one account, at most: what the state holds. */
const MAX_VENUES = 100
const URGENT = ['critical', 'high']
/** Reason for ending a poll that must start over, because what is wanted has changed. */
export const RENEW = 'renew'

export function emptyState(account: string): SoundtrackState {
  return {
    account,
    venues: [],
    expected: 0,
    reading: null,
    again: false,
    readAt: 0,
    seen: 0,
    unassigned: 0,
    ambiguous: 0,
    run: null,
    commands: [],
    zoneReads: [],
  }
}

export function watch(
  given: SoundtrackState | null,
  record: WatchVenue,
  ctx: Ctx,
  settings: SoundtrackSettings,
): SoundtrackState {
  const state = given ?? emptyState(record.account)
  const { venue, location, stop } = record
  // A location that is known needs no name to be found by, and a hundred venues have to fit.
  const name = location === null ? clipped(record.name) : null
  const address = location === null ? clipped(record.address) : null
  const others = state.venues.filter(v => v.venue !== venue)
  if (stop) return others.length === 0 ? unwatched(state, ctx) : { ...state, venues: others }

  const before = state.venues.find(v => v.venue === venue)
  const urgent = URGENT.includes((record.priority ?? '').trim().toLowerCase())
  const known = before?.location === location && before.name === name && before.address === address
  if (known && before?.urgent === urgent) return state
  if (others.length >= MAX_VENUES) throw new RangeError(`account ${state.account} has ${MAX_VENUES} venues, no more are watched`)
  const expected = state.readAt === 0 && before === undefined ? state.expected + (record.zones ?? 0) : state.expected
  // This venue has not received the account's last reading.
  const readAt = known ? state.readAt : 0
  const next = { ...state, expected, readAt, venues: [...others, { venue, location, urgent, name, address }] }
  return state.reading === null ? poll(next, ctx, settings) : renewed(next, ctx)
}

/** Room for the names and addresses of a hundred venues. */
const PLACE_BYTES = 45

/** Cut between words, so that what is left is a part of the name and no other one. */
function clipped(text: string | null): string | null {
  if (text === null || Buffer.byteLength(text) <= PLACE_BYTES) return text
  let kept = ''
  for (const { segment } of graphemes.segment(text)) {
    if (Buffer.byteLength(kept + segment) > PLACE_BYTES) break
    kept += segment
  }
  return kept.replace(/\s+\S*$/, '')
}
const graphemes = new Intl.Segmenter('th', { granularity: 'grapheme' })

function unwatched(state: SoundtrackState, ctx: Ctx): SoundtrackState {
  const next = { ...tellAmbiguity(state, 0, ctx), venues: [] }
  return state.reading === null ? next : renewed(next, ctx)
}

/** Ends the open poll, so that the next one starts with what is wanted now, if any venue still wants it. */
function renewed(state: SoundtrackState, ctx: Ctx): SoundtrackState {
  if (state.again) return state
  const { account } = state
  ctx.emit(soundtrackInbox, zoneKey(account, ''), 'PollSooner', { venue: '', account, reason: RENEW })
  return { ...state, again: true }
}

/** Has the whole account read, whenever it is its turn. */
export function poll(state: SoundtrackState, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  if (state.venues.length === 0 || state.reading !== null) return state
  const request = {
    account: state.account,
    first: state.expected || settings.firstZones,
    locations: state.venues.length > 1 || state.venues.some(v => v.location !== null),
    places: state.venues.length > 1 && state.venues.some(v => v.location === null),
    urgent: state.venues.some(v => v.urgent),
    readAt: state.readAt,
  }
  const reading = ctx.perform('poll', request, { notAfter: ctx.now + settings.openMs })
  return { ...state, reading, again: false, seen: 0, unassigned: 0 }
}

/** A part of a reading has arrived, or why there is none. */
export function accountRead(state: SoundtrackState, result: ZonesRead, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  if (ctx.attempt !== state.reading) return state
  const last = (ctx.headers[LAST] ?? '1') === '1'
  if (state.venues.length === 0) return last ? { ...state, reading: null } : state
  if (result.error === RENEW) return poll({ ...state, reading: null }, ctx, settings)
  if (result.error !== null) return failed(state, result.error, result, ctx, settings)
  const first = (ctx.headers[PART] ?? '0') === '0'
  const { venues, unclear, unassigned } = split(state.venues, result, first && last)
  const { account } = state
  const { asOf } = result
  const standsUntil = Math.round(asOf + (settings.tellMs + settings.lateMs) / settings.timeScale)
  for (const { venue, zones, complete } of venues) {
    ctx.emit(venueInbox, venue, 'ZoneSnapshot', { account, zones: [...zones], complete, asOf, standsUntil })
  }
  const sums = {
    ...state,
    seen: (first ? 0 : state.seen) + result.zones.length,
    unassigned: (first ? 0 : state.unassigned) + unassigned,
  }
  if (!last) return sums
  const known = { ...sums, expected: result.total ?? sums.seen, readAt: asOf }
  // Who has come since it began was not asked for: the next reading says what is unclear.
  if (state.again) return next({ ...known, readAt: 0 }, 'ok', asOf, ctx, settings)
  for (const venue of unclear) tellError(sums, venue, 'ambiguous', { asOf, sameAsOf: null }, ctx)
  return next(tellAmbiguity(known, sums.unassigned, ctx), 'ok', asOf, ctx, settings)
}

/** The poll ended without a result. */
export function pollEnded(state: SoundtrackState, { outcome }: Ended, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  const over = { ...state, reading: null }
  if (state.venues.length === 0) return over
  // It was open for as long as it may be.
  if (outcome === 'EXPIRED') return poll(over, ctx, settings)
  const times = { asOf: ctx.now, sameAsOf: null }
  return failed(state, outcome === 'UNKNOWN' ? 'provider_slow' : 'provider_down', times, ctx, settings)
}

type Times = Pick<ZonesRead, 'asOf' | 'sameAsOf'>

/** Unknown is not offline: the venues hear that nothing could be read, and why. */
function failed(state: SoundtrackState, error: string, times: Times, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  for (const { venue } of state.venues) tellError(state, venue, error, times, ctx)
  return next(state, error, times.asOf, ctx, settings)
}

function tellError(state: SoundtrackState, venue: string, error: string, { asOf, sameAsOf }: Times, ctx: Ctx): void {
  ctx.emit(venueInbox, venue, 'ZoneSnapshot', { account: state.account, error, asOf, sameAsOf })
}

function next(state: SoundtrackState, outcome: string, asOf: number, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  return poll({ ...logRun(state, outcome, asOf, ctx, settings), reading: null }, ctx, settings)
}

function logRun(
  state: SoundtrackState,
  outcome: string,
  asOf: number,
  ctx: Ctx,
  { logMs, timeScale }: SoundtrackSettings,
): SoundtrackState {
  if (state.run?.outcome === outcome && ctx.now < state.run.at + logMs / timeScale) return state
  const source = `soundtrack:${state.account}`
  ctx.emit(syncLog, source, 'SyncRun', {
    id: ctx.id(),
    source,
    startedAt: Math.min(asOf, ctx.now),
    endedAt: ctx.now,
    outcome: outcome === 'ok' ? 'OK' : 'FAILED',
    venues: state.venues.length,
    errors: outcome === 'ok' ? state.unassigned : 1,
    durationMs: Math.max(0, ctx.now - asOf),
    reason: outcome === 'ok' ? '' : outcome,
  })
  return { ...state, run: { outcome, at: ctx.now } }
}

/** Alerts once when it begins, and once when it is over. */
function tellAmbiguity(state: SoundtrackState, ambiguous: number, ctx: Ctx): SoundtrackState {
  if (ambiguous > 0 === state.ambiguous > 0) return { ...state, ambiguous }
  const venues = state.venues.map(v => v.venue)
  const some = `${venues.slice(0, 5).join(', ')}${venues.length > 5 ? ' …' : ''}`
  const subject = { ...soundtrackAmbiguous(state.account), priority: 'NORMAL' } as const
  if (ambiguous === 0) {
    resolveAlert(ctx, { ...subject, text: `Soundtrack account ${state.account}: every zone has its venue again.` })
  } else {
    const text = `Soundtrack account ${state.account}: ${ambiguous} zones could belong to more than one of ${some}. Give each venue its location.`
    raiseAlert(ctx, { ...subject, text })
  }
  return { ...state, ambiguous }
}

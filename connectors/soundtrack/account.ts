/**
 * An account: who wants it read, when it is read next, and what becomes of a read.
 *
 *   quiet 4.5 min ── urgent 2 min ── attention 30 s          failed: 30 s, doubled up to quiet; out of tokens: 1 to 10 min
 */
import type { Context, Ended } from '../../engine/actor.ts'
import { LAST, PART } from '../../engine/headers.ts'
import type { PollSooner, SoundtrackState, WatchVenue, ZonesRead } from '../../schemas/types.ts'
import { alerts, syncLog, venueInbox } from '../../topics/catalog.ts'
import { murmur2 } from '../../topics/murmur2.ts'
import type { Effects, Emits } from './actor.ts'
import type { SoundtrackSettings } from './settings.ts'
import { split } from './split.ts'

type Ctx = Context<Emits, Effects>

/** Venues of one account, at most: what the state holds. */
const MAX_VENUES = 100
const URGENT = ['critical', 'high']
/** In a first read of everything the tokens come in turn within minutes; only after so many failures are they truly short. */
const LIMITED_ROUNDS = 5
const ATTENTION = ['talking', 'critical', 'flapping', 'verify']

export function emptyState(account: string): SoundtrackState {
  return {
    account,
    venues: [],
    expected: 0,
    reading: null,
    again: false,
    readAt: 0,
    pollAt: 0,
    attentionUntil: 0,
    failures: 0,
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
  const next = { ...state, expected, venues: [...others, { venue, location, urgent, name, address }] }
  if (state.reading !== null) return { ...next, again: true }
  return sooner(next, ctx.now + spread(state.account, settings.spreadMs) / settings.timeScale, ctx)
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
  ctx.clearTimer('poll')
  return { ...tellAmbiguity(state, 0, ctx), venues: [], pollAt: 0 }
}

export function pollSooner(
  state: SoundtrackState,
  { reason }: PollSooner,
  ctx: Ctx,
  settings: SoundtrackSettings,
): SoundtrackState {
  if (state.venues.length === 0) return state
  const next = attend(state, reason, ctx, settings)
  if (state.reading !== null) return { ...next, again: true }
  const at = Math.max(ctx.now, state.readAt + settings.gapMs / settings.timeScale)
  return at > ctx.now ? sooner(next, at, ctx) : read(next, ctx, settings)
}

/** For a while the account is read every half minute. */
export function attend(state: SoundtrackState, reason: string, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  if (state.venues.length === 0 || !ATTENTION.includes(reason)) return state
  const { attentionForMs, attentionMs, timeScale } = settings
  const next = { ...state, attentionUntil: ctx.now + attentionForMs / timeScale }
  return state.reading !== null ? next : sooner(next, Math.max(ctx.now, state.readAt + attentionMs / timeScale), ctx)
}

/** Starts a read of the whole account. */
export function read(state: SoundtrackState, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  if (state.venues.length === 0 || state.reading !== null) return { ...state, pollAt: 0 }
  const reading = ctx.perform('read', {
    account: state.account,
    first: state.expected || settings.firstZones,
    locations: state.venues.length > 1 || state.venues.some(v => v.location !== null),
    places: state.venues.length > 1 && state.venues.some(v => v.location === null),
    full: state.attentionUntil > ctx.now,
  })
  ctx.clearTimer('poll')
  return { ...state, reading, again: false, readAt: ctx.now, pollAt: 0, seen: 0, unassigned: 0 }
}

/** A part of a read has arrived, or the news that it failed. */
export function accountRead(state: SoundtrackState, result: ZonesRead, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  if (ctx.attempt !== state.reading) return state
  const last = (ctx.headers[LAST] ?? '1') === '1'
  if (state.venues.length === 0) return last ? { ...state, reading: null } : state
  if (result.error !== null) return failed(state, result.error, result.asOf, ctx, settings)
  const first = (ctx.headers[PART] ?? '0') === '0'
  const { venues, unclear, unassigned } = split(state.venues, result, first && last)
  for (const { venue, zones, complete } of venues) {
    ctx.emit(venueInbox, venue, 'ZoneSnapshot', { account: state.account, zones: [...zones], complete, asOf: result.asOf })
  }
  const sums = {
    ...state,
    seen: (first ? 0 : state.seen) + result.zones.length,
    unassigned: (first ? 0 : state.unassigned) + unassigned,
  }
  if (!last) return sums
  for (const venue of unclear) tellError(sums, venue, 'ambiguous', result.asOf, ctx)
  const known = { ...sums, expected: result.total ?? sums.seen, failures: 0 }
  return finish(tellAmbiguity(known, sums.unassigned, ctx), 'ok', ctx, settings)
}

/** The read of the account ended without a result. */
export function readEnded(state: SoundtrackState, { outcome }: Ended, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  if (state.venues.length === 0) return { ...state, reading: null }
  return failed(state, outcome === 'UNKNOWN' ? 'provider_slow' : 'provider_down', ctx.now, ctx, settings)
}

/** Unknown is not offline: the venues hear that nothing could be read, and why. */
function failed(state: SoundtrackState, error: string, asOf: number, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  for (const { venue } of state.venues) tellError(state, venue, error, asOf, ctx)
  return finish({ ...state, failures: state.failures + 1 }, error, ctx, settings)
}

function tellError(state: SoundtrackState, venue: string, error: string, asOf: number, ctx: Ctx): void {
  ctx.emit(venueInbox, venue, 'ZoneSnapshot', { account: state.account, error, asOf })
}

function finish(state: SoundtrackState, outcome: string, ctx: Ctx, settings: SoundtrackSettings): SoundtrackState {
  const next = { ...logRun(state, outcome, ctx, settings), reading: null }
  const { gapMs, timeScale } = settings
  const wait = state.again ? gapMs : interval(state, outcome, ctx.now, settings)
  return sooner({ ...next, again: false }, Math.max(ctx.now, state.readAt + wait / timeScale), ctx)
}

/** From the start of a read to the start of the next, before the time scale. */
function interval(state: SoundtrackState, outcome: string, now: number, settings: SoundtrackSettings): number {
  const { quietMs, urgentMs, attentionMs, failedMs, limitedMs, limitedMaxMs } = settings
  const doubled = (beyond: number) => 2 ** Math.min(20, Math.max(0, state.failures - beyond))
  const jitter = (ms: number) => ms - spread(`${state.account}/${now}`, ms / 4)
  // Sooner would only take the tokens from others.
  if (outcome === 'rate_limited') return jitter(Math.min(limitedMaxMs, limitedMs * doubled(LIMITED_ROUNDS)))
  if (state.attentionUntil > now) return attentionMs
  if (outcome !== 'ok') return jitter(Math.min(quietMs, failedMs * doubled(1)))
  return state.venues.some(v => v.urgent) ? urgentMs : quietMs - spread(state.account, quietMs / 10)
}

/** Sets the poll timer, unless it is due earlier anyhow. */
function sooner(state: SoundtrackState, at: number, ctx: Ctx): SoundtrackState {
  const pollAt = Math.round(at)
  if (state.pollAt !== 0 && state.pollAt <= pollAt) return state
  ctx.setTimer('poll', pollAt)
  return { ...state, pollAt }
}

function logRun(state: SoundtrackState, outcome: string, ctx: Ctx, { logMs, timeScale }: SoundtrackSettings): SoundtrackState {
  if (state.run?.outcome === outcome && ctx.now < state.run.at + logMs / timeScale) return state
  const source = `soundtrack:${state.account}`
  ctx.emit(syncLog, source, 'SyncRun', {
    id: ctx.id(),
    source,
    startedAt: state.readAt,
    endedAt: ctx.now,
    outcome: outcome === 'ok' ? 'OK' : 'FAILED',
    venues: state.venues.length,
    errors: outcome === 'ok' ? state.unassigned : 1,
    durationMs: ctx.now - state.readAt,
    reason: outcome === 'ok' ? '' : outcome,
  })
  return { ...state, run: { outcome, at: ctx.now } }
}

/** Told once when it begins, and once when it is over. */
function tellAmbiguity(state: SoundtrackState, ambiguous: number, ctx: Ctx): SoundtrackState {
  if (ambiguous > 0 === state.ambiguous > 0) return { ...state, ambiguous }
  const venues = state.venues.map(v => v.venue)
  const some = `${venues.slice(0, 5).join(', ')}${venues.length > 5 ? ' …' : ''}`
  ctx.emit(alerts, state.account, 'Alert', {
    id: `soundtrack_ambiguous:${state.account}`,
    department: 'OPERATIONS',
    priority: 'NORMAL',
    kind: 'soundtrack_ambiguous',
    text:
      ambiguous > 0
        ? `Soundtrack account ${state.account}: ${ambiguous} zones could belong to more than one of ${some}. Give each venue its location.`
        : `Soundtrack account ${state.account}: every zone has its venue again.`,
    resolved: ambiguous === 0,
    at: ctx.now,
  })
  return { ...state, ambiguous }
}

/** A number from 0 to below `ms` that is always the same for this text: spreads accounts over time. */
function spread(text: string, ms: number): number {
  return ((murmur2(Buffer.from(text)) >>> 0) / 2 ** 32) * ms
}

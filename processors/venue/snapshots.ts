/**
 * Readings of the venue's zones, and failed readings.
 */
import { VENUE_ALERTS } from '../../domain/alerts.ts'
import type { VenueState, ZoneSlot, ZoneSnapshot } from '../../schemas/types.ts'
import { forgetZones, raise, resolve, statusChanges } from './alerts.ts'
import { recordEvent, type VenueStep, watchAccount } from './context.ts'
import { abandon, readFailed, takeReading } from './jobs.ts'
import { providerDown } from './outcomes.ts'
import { answerQuestions, answerUnread } from './requests.ts'
import { dropResume } from './resumes.ts'
import { watchClosely } from './watching.ts'
import { aged, confirmed, countsUntil, MAX_ZONES, observeAll } from './zones.ts'

/** The reason of a reading that failed because the provider could not be reached. */
const PROVIDER_DOWN = 'provider_down'

export function takeSnapshot(state: VenueState | null, snapshot: ZoneSnapshot, step: VenueStep): VenueState | null {
  if (state === null || state.removed || snapshot.account !== state.soundtrackAccount) return state
  if (snapshot.error !== null) return unread(state, snapshot.error, snapshot.sameAsOf, step)
  // An empty answer is more often an error than the removal of every zone.
  if (snapshot.zones.length === 0 && state.zones.length > 0) return unread(state, 'no_zones', null, step)
  const { context, settings } = step
  const { zones, nextSlot, beyond } = observeAll(state, snapshot)
  const gone = state.zones.filter(({ slot }) => !zones.some(zone => zone.slot === slot))
  const { asOf: standsFrom, standsUntil } = snapshot
  const stands = standsUntil === null ? {} : { standsFrom, standsUntil }
  const observed = { ...leave(state, gone, step), zones, nextSlot, readError: '', ...stands }
  const known = roomForZones(age(state, observed, step), beyond, step)
  context.setTimer('unread', Math.max(context.now + settings.unknownAfterMs, known.standsUntil) + 1)
  watchClosely(state, known, step)
  const back = resolve(known, VENUE_ALERTS.providerDown, 'HIGH', `Soundtrack answers again for ${state.name}`, step)
  const read = newlyRead(state, back, snapshot)
  const moved = [...read].reduce((held, slot) => takeReading(held, slot, step), back)
  return answerQuestions(moved, read, step)
}

/** Slots of the zones with news in this snapshot, failed readings included. */
function newlyRead(before: VenueState, after: VenueState, { zones: readings }: ZoneSnapshot): Set<number> {
  const read = new Set(readings.map(reading => reading.zone))
  const isNew = ({ slot, zone, asOf, failed }: ZoneSlot) =>
    read.has(zone) && (failed !== '' || asOf !== before.zones.find(known => known.slot === slot)?.asOf)
  return new Set(after.zones.filter(isNew).map(zone => zone.slot))
}

/** Nothing could be read: the last known state is kept, and open requests are answered as far as possible. */
function unread(given: VenueState, reason: string, sameAsOf: number | null, step: VenueStep): VenueState {
  // If it is unknown when the zones were last confirmed, their readings count as if confirmed now, and no longer.
  const standsUntil = sameAsOf === null ? Math.min(given.standsUntil, step.context.now + step.settings.unknownAfterMs) : 0
  const state = { ...given, zones: given.zones.map(zone => confirmed(zone, sameAsOf)), standsUntil }
  // The connector may lack what tells this venue's zones from others.
  if (reason === 'ambiguous') watchAccount(step, state)
  const waited = state.requests.length > 0
  const failed = unreadDue({ ...state, readError: reason }, step)
  const alerted = waited && reason === PROVIDER_DOWN ? providerDown(failed, step) : failed
  const moved = alerted.zones.reduce((held, { slot }) => readFailed(held, slot, reason, step), alerted)
  return answerUnread(moved, step)
}

/** No reading for a long time: each zone becomes UNKNOWN once its own last reading is too old. */
export function unreadDue(state: VenueState, step: VenueStep): VenueState {
  const next = age(state, state, step)
  const known = next.zones.filter(zone => zone.status !== 'UNKNOWN')
  if (known.length > 0) {
    const first = Math.min(...known.map(zone => countsUntil(zone, step.settings.unknownAfterMs, next)))
    step.context.setTimer('unread', Math.max(step.context.now, first) + 1)
  }
  return next
}

function age(before: VenueState, after: VenueState, step: VenueStep): VenueState {
  const { context, settings } = step
  const zones = after.zones.map(zone => aged(zone, context.now, settings.unknownAfterMs, after))
  return statusChanges(before, { ...after, zones }, step)
}

/** Drops zones that are no longer the venue's, and ends what was running there. */
export function leave(state: VenueState, gone: readonly ZoneSlot[], step: VenueStep): VenueState {
  if (gone.length === 0) return state
  recordEvent(step, { kind: 'CHANGED', detail: `${gone.length} zones have gone` })
  const forgotten = forgetZones(state, gone, step)
  const left = gone.reduce((held, zone) => abandon(dropResume(held, zone, step), zone, step), forgotten)
  return { ...left, zones: left.zones.filter(({ slot }) => !gone.some(zone => zone.slot === slot)) }
}

function roomForZones(state: VenueState, beyond: number, step: VenueStep): VenueState {
  const { name } = state
  if (beyond > 0) {
    const text = `${name} has more zones than can be watched: ${beyond} beyond the first ${MAX_ZONES} by name are left out`
    return raise(state, { kind: VENUE_ALERTS.tooManyZones, priority: 'NORMAL', text }, step)
  }
  return state.zones.length < MAX_ZONES
    ? resolve(state, VENUE_ALERTS.tooManyZones, 'NORMAL', `${name} has no more zones than can be watched`, step)
    : state
}

/**
 * How requests end: zone by zone, each end recorded; one answer once the last zone has ended.
 */
import { VENUE_ALERTS } from '../../domain/alerts.ts'
import type { OpenRequest, VenueState, ZoneSlot } from '../../schemas/types.ts'
import { raise } from './alerts.ts'
import { answer, askedZones, overall } from './answers.ts'
import { recordEvent, type VenueStep } from './context.ts'
import { commandId, timerOf } from './keys.ts'
import type { Verdict } from './rules.ts'
import { dropResume, keepResume } from './resumes.ts'
import { requestAt, withRequest } from './state.ts'

/** Records how a control request ended at a zone. @param sent whether a command had been sent for it */
export function endAtZone(
  state: VenueState,
  seq: number,
  zone: ZoneSlot,
  verdict: Verdict,
  sent: boolean,
  step: VenueStep,
): VenueState {
  const request = requestAt(state, seq)
  if (request === undefined) return state
  const { outcome, reason, from = null, to = null } = verdict
  const command = sent ? commandId(request.id, zone.slot) : null
  const detail = reason === '' ? request.kind : `${request.kind}: ${reason}`
  const what = { detail, action: request.kind, reason: reason || null }
  recordEvent(step, { kind: 'COMMAND_ENDED', zone: zone.zone, request: request.id, command, outcome, ...what, from, to })
  const ended: OpenRequest = {
    ...request,
    open: request.open.filter(slot => slot !== zone.slot),
    results: [...request.results, { slot: zone.slot, outcome, reason }],
  }
  const next = alerted(updateResume(withRequest(state, ended), ended, zone, verdict, step), verdict, step)
  if (ended.open.length > 0) return next
  const whole = ended.results.length === 1 ? { ...verdict, command } : overall(next, ended.results)
  return finish(next, ended, whole, step)
}

/** Answers a request and closes it. */
export function finish(
  state: VenueState,
  request: OpenRequest,
  verdict: Verdict & { command?: string | null },
  step: VenueStep,
): VenueState {
  answer(step, state, request, { ...verdict, zones: askedZones(state, request) })
  step.context.clearTimer(timerOf.request(request.seq))
  return { ...state, requests: state.requests.filter(open => open.seq !== request.seq) }
}

/** A pause that may have happened replaces the zone's resume; confirmed play cancels it. */
function updateResume(
  state: VenueState,
  request: OpenRequest,
  zone: ZoneSlot,
  { outcome }: Verdict,
  step: VenueStep,
): VenueState {
  const surelyNot = outcome === 'REFUSED' || outcome === 'EXPIRED'
  if (request.kind === 'PAUSE' && !surelyNot) return keepResume(state, request, zone, step)
  if (request.kind === 'PLAY' && outcome === 'CONFIRMED') return dropResume(state, zone, step)
  return state
}

const NOT_ALLOWED = ['permission', 'forbidden', 'unauthenticated']

/** Alerts operations to what the venue's staff cannot fix. */
function alerted(state: VenueState, { outcome, reason }: Verdict, step: VenueStep): VenueState {
  if (outcome === 'REFUSED' && NOT_ALLOWED.includes(reason)) {
    const text = `Soundtrack refuses control of ${state.name}: ${reason}`
    return raise(state, { kind: VENUE_ALERTS.controlRefused, priority: 'NORMAL', text, passing: true }, step)
  }
  return reason === 'provider_down' ? providerDown(state, step) : state
}

/** Alerts that the provider is down while somebody at this venue is waiting for it. */
export function providerDown(state: VenueState, step: VenueStep): VenueState {
  const text = `Soundtrack cannot be reached while ${state.name} asks for something`
  return raise(state, { kind: VENUE_ALERTS.providerDown, priority: 'HIGH', text }, step)
}

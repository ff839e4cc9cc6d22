/**
 * Timed pauses: which zones will resume, and for which conversation. Zones paused by one request resume together.
 */
import type { OpenRequest, VenueState, ZoneSlot } from '../../schemas/types.ts'
import type { VenueStep } from './context.ts'
import { timerOf } from './keys.ts'

/** A zone was paused: resets its timer, or clears it if the pause has no end. */
export function keepResume(state: VenueState, request: OpenRequest, zone: ZoneSlot, step: VenueStep): VenueState {
  const { context, settings } = step
  const dropped = dropResume(state, zone, step)
  const { seq, conversation, durationMs } = request
  if (durationMs === null || durationMs <= 0) return dropped
  context.setTimer(timerOf.resume(zone.zone), context.now + durationMs / settings.timeScale)
  const group = dropped.resumes.find(due => due.request === seq) ?? { request: seq, conversation, slots: [] }
  const others = dropped.resumes.filter(due => due.request !== seq)
  return { ...dropped, resumes: [...others, { ...group, slots: [...group.slots, zone.slot] }] }
}

/** Cancels the resume of a zone. */
export function dropResume(state: VenueState, zone: ZoneSlot, { context }: VenueStep): VenueState {
  if (!state.resumes.some(due => due.slots.includes(zone.slot))) return state
  context.clearTimer(timerOf.resume(zone.zone))
  const resumes = state.resumes.map(due => ({ ...due, slots: due.slots.filter(slot => slot !== zone.slot) }))
  return { ...state, resumes: resumes.filter(due => due.slots.length > 0) }
}

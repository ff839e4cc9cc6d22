/**
 * Requests for a venue's zones: some are refused, some answered at once, some wait for a reading, some become commands.
 */
import { trusts } from '../../domain/trust.ts'
import type { OpenRequest, VenueState, ZoneRequest, ZoneRequestKind, ZoneSlot } from '../../schemas/types.ts'
import { answer, askedZones } from './answers.ts'
import { recordEvent, pollSooner, type VenueStep } from './context.ts'
import { enqueue, expire, useBy } from './jobs.ts'
import { timerOf } from './keys.ts'
import { finish } from './outcomes.ts'
import { dropResume } from './resumes.ts'
import { hasRoomFor } from './room.ts'
import { isQuestion, needsTrack, type Verdict, wrongVolume } from './rules.ts'
import { requestAt, withRequest, zoneAt } from './state.ts'
import { talkedAbout } from './watching.ts'
import { isDetailed, isFresh } from './zones.ts'

/** The account was read, but its zones cannot be assigned to venues. Only a person can resolve that. */
const AMBIGUOUS = 'ambiguous'
const MAX_REQUESTS = 20
/** Up to this many named zones are read one by one; otherwise the whole account is, which may have many other zones. */
const MAX_ZONES_READ_ALONE = 5
const MAX_RESUMES = 10
/** How soon a resume is tried again while commands are running at its zones. */
const RESUME_RETRY_MS = 30_000
/** Reason of the resume that the service itself requests. */
const PAUSE_OVER = 'the pause is over'

export function takeRequest(state: VenueState | null, request: ZoneRequest, step: VenueStep): VenueState | null {
  if (state?.requests.some(open => open.id === request.id)) return state
  const refused = refusal(state, request, step)
  if (state === null || refused !== null) {
    const { outcome, reason } = refused ?? NOT_FOUND
    const what = { detail: `${request.kind}: ${reason}`, action: request.kind, reason }
    recordEvent(step, { kind: 'REQUEST', request: request.id, outcome, ...what })
    answer(step, state, request, { ...(refused ?? NOT_FOUND), zones: state === null ? [] : named(state, request.zones) })
    return state
  }
  recordEvent(step, { kind: 'REQUEST', request: request.id, detail: request.kind, action: request.kind })
  const watched = talkedAbout(state, named(state, request.zones), step)
  return isQuestion(request.kind) ? takeQuestion(watched, request, step) : takeControl(watched, request, step)
}

const NOT_FOUND: Verdict = { outcome: 'REFUSED', reason: 'not_found' }

function refusal(state: VenueState | null, request: ZoneRequest, { context, settings }: VenueStep): Verdict | null {
  const { kind, zones, value, trust, requestedAt, durationMs } = request
  const refused = (reason: string, detail = ''): Verdict => ({ outcome: 'REFUSED', reason, detail })
  if (state === null || state.removed) return NOT_FOUND
  if (kind === 'UNKNOWN') return refused('invalid')
  const control = !isQuestion(kind)
  if (control && !trusts(trust, settings.controlTrust)) {
    return refused('trust', `needs ${settings.controlTrust.toLowerCase()}`)
  }
  if (control && (context.possiblyDuplicate || context.now - requestedAt > settings.staleMs)) {
    return { outcome: 'EXPIRED', reason: 'stale' }
  }
  if (state.soundtrackAccount === null) return refused('no_account', 'no music account on file')
  if (state.zones.length === 0 && state.readError === AMBIGUOUS)
    return refused(AMBIGUOUS, 'the account has zones of several venues')
  if (zones.some(id => !state.zones.some(zone => zone.zone === id)) || (control && state.zones.length === 0)) {
    return refused('no_zone')
  }
  const wrong = wrongVolume(kind, value, state.volumeCap)
  if (wrong !== null) return wrong
  const count = zones.length === 0 ? state.zones.length : zones.length
  const full = state.requests.length >= MAX_REQUESTS || !hasRoomFor(state, count)
  const manyPauses = kind === 'PAUSE' && durationMs !== null && state.resumes.length >= MAX_RESUMES
  return full || manyPauses ? refused('busy') : null
}

function named(state: VenueState, ids: readonly string[]): ZoneSlot[] {
  return ids.length === 0 ? state.zones : state.zones.filter(zone => ids.includes(zone.zone))
}

type RequestFields = Pick<OpenRequest, 'id' | 'conversation' | 'kind' | 'value' | 'durationMs'>

/** `asked`: slots; empty for all, those not known yet included. */
function openRequest(
  state: VenueState,
  fields: RequestFields,
  asked: readonly number[],
  open: readonly ZoneSlot[],
  step: VenueStep,
): VenueState {
  const { id, conversation, kind, value, durationMs } = fields
  const { context, settings } = step
  const seq = state.nextRequest
  const request: OpenRequest = {
    seq,
    id,
    conversation,
    kind,
    value,
    durationMs,
    takenAt: context.now,
    worded: false,
    asked: [...asked],
    open: open.map(zone => zone.slot),
    results: [],
  }
  context.setTimer(timerOf.request(seq), context.now + settings.firstWordMs)
  return { ...state, requests: [...state.requests, request], nextRequest: seq + 1 }
}

// Questions: answered from a fresh reading, else from the next one, else with the last known state.

function takeQuestion(state: VenueState, request: ZoneRequest, step: VenueStep): VenueState {
  const { context, settings } = step
  const asked = named(state, request.zones)
  const isEnough = (zone: ZoneSlot) => isFresh(zone, context.now, settings.freshMs) && saysEnough(zone, request.kind)
  const stale = asked.filter(zone => !isEnough(zone))
  if (asked.length > 0 && stale.length === 0) {
    answer(step, state, request, { outcome: 'CONFIRMED', reason: '', zones: asked })
    return state
  }
  const alone = stale.length === 1 || (request.zones.length > 0 && stale.length <= MAX_ZONES_READ_ALONE)
  for (const zone of alone ? stale.map(({ zone }) => zone) : [null]) pollSooner(step, state, zone, 'talking')
  return openRequest(state, request, request.zones.length === 0 ? [] : asked.map(zone => zone.slot), stale, step)
}

function saysEnough(zone: ZoneSlot, kind: ZoneRequestKind): boolean {
  return isDetailed(zone) || !needsTrack(kind)
}

/**
 * Zones have been read: questions whose zones all have been are answered. A zone that one reading alone calls offline waits
 * for the second.
 */
export function answerQuestions(state: VenueState, read: ReadonlySet<number>, step: VenueStep): VenueState {
  let next = state
  for (const request of state.requests.filter(open => isQuestion(open.kind))) {
    const open = request.open.filter(slot => {
      const zone = zoneAt(state, slot)
      if (zone === undefined || (read.has(slot) && zone.failed !== '')) return false
      return !read.has(slot) || zone.suspectAt !== null || !saysEnough(zone, request.kind)
    })
    next = open.length === 0 ? finishQuestion(next, { ...request, open }, step) : withRequest(next, { ...request, open })
  }
  return next
}

/** The account could not be read: questions are answered with the last known state and the reason. */
export function answerUnread(state: VenueState, step: VenueStep): VenueState {
  return state.requests.filter(open => isQuestion(open.kind)).reduce((held, open) => finishQuestion(held, open, step), state)
}

function finishQuestion(state: VenueState, request: OpenRequest, step: VenueStep): VenueState {
  const failed = state.readError || askedZones(state, request).find(zone => zone.failed !== '')?.failed
  const reason = failed || (request.open.length > 0 ? 'provider_slow' : '')
  return finish(state, request, { outcome: reason === '' ? 'CONFIRMED' : 'UNVERIFIED', reason }, step)
}

// Control

function takeControl(
  state: VenueState,
  fields: RequestFields & { readonly zones: readonly string[] },
  step: VenueStep,
): VenueState {
  const asked = named(state, fields.zones)
  // "All zones" means those that are not offline, unless all are.
  const there = asked.filter(zone => zone.status !== 'OFFLINE')
  const targets = fields.zones.length === 0 && there.length > 0 ? there : asked
  const seq = state.nextRequest
  const slots = targets.map(zone => zone.slot)
  const taken = openRequest(state, fields, slots, targets, step)
  return targets.reduce((held, { slot }) => enqueue(held, seq, slot, step), taken)
}

/** The timer of a request: first reports that it takes longer, then ends it. */
export function requestDue(state: VenueState, seq: number, step: VenueStep): VenueState {
  const { context, settings } = step
  const request = requestAt(state, seq)
  if (request === undefined) return state
  const question = isQuestion(request.kind)
  const end = question ? request.takenAt + settings.answerMs : useBy(request, settings)
  if (context.now < end) {
    context.setTimer(timerOf.request(seq), end)
    return request.worded ? state : firstWord(state, request, step)
  }
  if (question) return finishQuestion(state, request, step)
  return request.open.reduce((held, slot) => expire(held, seq, slot, step), state)
}

/** Reports that it takes longer, unless the provider has accepted every command and only verification is pending. */
function firstWord(state: VenueState, request: OpenRequest, step: VenueStep): VenueState {
  const proving = request.open.every(slot => {
    const job = zoneAt(state, slot)?.job
    return job?.request === request.seq && job.phase === 'VERIFYING' && !job.doubtful
  })
  if (!proving || isQuestion(request.kind)) {
    const reason = state.readError || 'provider_slow'
    answer(step, state, request, { outcome: 'PENDING', reason, final: false, zones: askedZones(state, request) })
  }
  return withRequest(state, { ...request, worded: true })
}

/** A timed pause is over: makes a new request to play, on behalf of the conversation that asked for the pause. */
export function resumeDue(state: VenueState, zoneId: string, step: VenueStep): VenueState {
  const { context } = step
  const zone = state.zones.find(known => known.zone === zoneId)
  const due = state.resumes.find(group => zone !== undefined && group.slots.includes(zone.slot))
  if (due === undefined) return state
  const zones = state.zones.filter(({ slot }) => due.slots.includes(slot))
  if (zones.some(paused => isBeingChanged(state, paused)) || isFull(state, zones.length)) {
    context.setTimer(timerOf.resume(zoneId), context.now + RESUME_RETRY_MS)
    return state
  }
  const free = zones.reduce((held, paused) => dropResume(held, paused, step), state)
  const id = context.id()
  recordEvent(step, { kind: 'REQUEST', request: id, detail: `PLAY: ${PAUSE_OVER}`, action: 'PLAY', reason: PAUSE_OVER })
  const ids = zones.map(paused => paused.zone)
  return takeControl(free, { id, conversation: due.conversation, kind: 'PLAY', value: null, durationMs: null, zones: ids }, step)
}

/** Whether a person's play or pause is running there; it takes precedence over the resume. */
function isBeingChanged(state: VenueState, { job, waiting }: ZoneSlot): boolean {
  const kinds = [...(job === null ? [] : [job.request]), ...waiting].map(seq => requestAt(state, seq)?.kind)
  return kinds.some((kind: ZoneRequestKind | undefined) => kind === 'PLAY' || kind === 'PAUSE')
}

function isFull(state: VenueState, zones: number): boolean {
  return state.requests.length >= MAX_REQUESTS || !hasRoomFor(state, zones)
}

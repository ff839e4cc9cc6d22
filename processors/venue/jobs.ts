/**
 * One command at a time per zone: act, verify, report. No command is ever sent twice.
 *
 *   begin ─▶ READING ──a reading──▶ SENT ──taken by the provider──▶ VERIFYING ──a later reading shows it──▶ CONFIRMED
 *     │         │ deadline           │ refused, expired               │ time is up
 *     ▼         ▼                    ▼                                ▼
 *   (decided)  EXPIRED             REFUSED, EXPIRED                 UNVERIFIED, or UNKNOWN where it may not have been taken
 */
import { soundtrackInbox, zoneKey } from '../../topics/catalog.ts'
import type { OpenRequest, VenueState, ZoneCommandKind, ZoneJob, ZoneResult, ZoneSlot } from '../../schemas/types.ts'
import { recordEvent, pollSooner, type VenueStep } from './context.ts'
import { commandId, timerOf } from './keys.ts'
import { endAtZone } from './outcomes.ts'
import { needsTrack, plan, shows, trackMark, type Verdict } from './rules.ts'
import type { VenueSettings } from './settings.ts'
import { requestAt, withZone, zoneAt } from './state.ts'
import { isDetailed, isFresh } from './zones.ts'

const MAX_QUEUED = 5
/** Delays between requested readings, before a command and after it; the last one repeats. */
const READ_STEPS_MS = [5_000, 10_000, 15_000, 30_000]
const VERIFY_STEPS_MS = [2_000, 3_000, 5_000]
/** How long after its deadline a command's result may still arrive. */
const RESULT_GRACE_MS = 30_000
/** Minimum time for verification, however late the provider accepted the command. */
const MIN_VERIFY_MS = 10_000

/** Until when a control request may still be carried out. */
export function useBy(request: OpenRequest, { commandMs }: VenueSettings): number {
  return request.takenAt + commandMs
}

/** Starts the request at the zone, or queues it behind the running one. */
export function enqueue(state: VenueState, seq: number, slot: number, step: VenueStep): VenueState {
  const zone = zoneAt(state, slot)
  if (zone === undefined) return state
  if (zone.job === null) return begin(state, seq, zone, step)
  if (zone.waiting.length < MAX_QUEUED) return withZone(state, { ...zone, waiting: [...zone.waiting, seq] })
  return endAtZone(state, seq, zone, { outcome: 'REFUSED', reason: 'busy' }, false, step)
}

function begin(state: VenueState, seq: number, zone: ZoneSlot, step: VenueStep): VenueState {
  const { context, settings } = step
  const started = { ...zone, job: { ...NEW_JOB, request: seq } }
  const fresh = isFresh(zone, context.now, settings.freshMs) && saysEnough(state, started)
  return decide(withZone(state, started), started, fresh, step)
}

const NEW_JOB: Omit<ZoneJob, 'request'> = {
  phase: 'READING',
  from: null,
  to: null,
  mark: '',
  tries: 0,
  sentAt: null,
  resultAt: null,
  until: null,
  doubtful: false,
  reason: '',
}

function decide(state: VenueState, zone: Busy, fresh: boolean, step: VenueStep): VenueState {
  const request = requestAt(state, zone.job.request)
  if (request === undefined) return release(state, zone, step)
  if (step.context.now >= useBy(request, step.settings)) return end(state, zone, expired(state, 'busy'), step)
  const planned = plan(request, zone, fresh, state.volumeCap)
  if (planned.type === 'read') return requestReading(state, zone, 'talking', READ_STEPS_MS, step)
  if (planned.type === 'end') return end(state, zone, planned, step)
  return send(state, zone, request, planned, step)
}

function send(
  state: VenueState,
  zone: Busy,
  request: OpenRequest,
  { command: kind, from, to }: { command: ZoneCommandKind; from: number | null; to: number | null },
  { context, settings }: VenueStep,
): VenueState {
  const account = state.soundtrackAccount ?? ''
  const id = commandId(request.id, zone.slot)
  const notAfter = useBy(request, settings)
  context.emit(soundtrackInbox, zoneKey(account, zone.zone), 'ZoneCommand', {
    id,
    venue: context.key,
    account,
    zone: zone.zone,
    kind,
    volume: to,
    notAfter,
  })
  const what = { detail: kind, action: kind }
  recordEvent({ context, settings }, { kind: 'COMMAND', zone: zone.zone, request: request.id, command: id, ...what, from, to })
  const until = notAfter + RESULT_GRACE_MS
  context.setTimer(timerOf.job(zone.zone), until)
  // Early enough for the first word to report what was found.
  context.setTimer(timerOf.late(zone.zone), context.now + settings.firstWordMs / 2)
  const job: ZoneJob = { ...zone.job, phase: 'SENT', from, to, mark: trackMark(zone), tries: 0, sentAt: context.now, until }
  return withZone(state, { ...zone, job })
}

/** The connector reports the result of a command. */
export function takeResult(state: VenueState, result: ZoneResult, step: VenueStep): VenueState {
  const zone = state.zones.filter(isBusy).find(({ slot, job }) => {
    const request = requestAt(state, job.request)
    return request !== undefined && commandId(request.id, slot) === result.command
  })
  const awaited = zone !== undefined && (zone.job.phase === 'SENT' || (zone.job.phase === 'VERIFYING' && zone.job.doubtful))
  if (!awaited) return state
  const { outcome, reason, detail, at } = result
  const { from, to } = zone.job
  if (outcome === 'REFUSED') return end(state, zone, { outcome, reason, detail, from, to }, step)
  if (outcome === 'EXPIRED') {
    // "expired" adds nothing to the outcome.
    const why = (reason === 'expired' ? '' : reason) || state.readError || 'provider_down'
    return end(state, zone, { outcome, reason: why, detail, from, to }, step)
  }
  return verify(state, zone, { at, doubtful: outcome === 'UNKNOWN', reason }, step)
}

/** Starts verification: only a reading later than `at` counts. */
function verify(
  state: VenueState,
  zone: Busy,
  { at, doubtful, reason }: { at: number; doubtful: boolean; reason: string },
  step: VenueStep,
): VenueState {
  const { context, settings } = step
  const { verifyMs } = settings
  const until = Math.max((zone.job.sentAt ?? context.now) + verifyMs, context.now + Math.min(MIN_VERIFY_MS, verifyMs))
  const job: ZoneJob = { ...zone.job, phase: 'VERIFYING', resultAt: at, until, doubtful, reason, tries: 0 }
  const verifying = { ...zone, job }
  return hasEffect(state, verifying)
    ? end(state, verifying, confirmed(job), step)
    : requestReading(withZone(state, verifying), verifying, 'verify', VERIFY_STEPS_MS, step)
}

/** A zone with a running job has been read, or could not be. */
export function takeReading(state: VenueState, slot: number, step: VenueStep): VenueState {
  const zone = zoneAt(state, slot)
  if (zone === undefined || !isBusy(zone)) return state
  const { phase } = zone.job
  if (phase === 'VERIFYING') return hasEffect(state, zone) ? end(state, zone, confirmed(zone.job), step) : state
  if (phase !== 'READING') return state
  if (zone.failed !== '') return readFailed(state, slot, zone.failed, step)
  return saysEnough(state, zone) ? decide(state, zone, true, step) : state
}

/** The zone or its account could not be read. Temporary failures are waited out. */
export function readFailed(state: VenueState, slot: number, reason: string, step: VenueStep): VenueState {
  const zone = zoneAt(state, slot)
  const refusal = REFUSALS[reason]
  if (refusal === undefined || zone === undefined || !isBusy(zone) || zone.job.phase !== 'READING') return state
  return end(state, zone, { outcome: 'REFUSED', reason: refusal }, step)
}

/** The provider reports a zone that we have no rights to as "not found". */
const REFUSALS: Readonly<Record<string, string>> = {
  forbidden: 'forbidden',
  unauthenticated: 'unauthenticated',
  permission: 'permission',
  not_found: 'permission',
}

/** The timer of a zone's job. */
export function jobDue(state: VenueState, zoneId: string, step: VenueStep): VenueState {
  const zone = state.zones.find(known => known.zone === zoneId)
  if (zone === undefined || !isBusy(zone)) return state
  const { phase, sentAt, until } = zone.job
  if (phase === 'READING') return requestReading(state, zone, 'talking', READ_STEPS_MS, step)
  if (phase === 'SENT') return verify(state, zone, { at: sentAt ?? 0, doubtful: true, reason: 'provider_slow' }, step)
  if (step.context.now < (until ?? 0)) return requestReading(state, zone, 'verify', VERIFY_STEPS_MS, step)
  return end(state, zone, unverified(state, zone), step)
}

/**
 * A command has no result yet. A reading of its zone would queue behind it; a reading of the account runs into the same failure and
 * reports the cause: provider down, slow, or out of tokens.
 */
export function lateDue(state: VenueState, zoneId: string, step: VenueStep): VenueState {
  const late = state.zones.some(({ zone, job }) => zone === zoneId && job?.phase === 'SENT')
  if (late) pollSooner(step, state, null, 'talking')
  return state
}

/** The request has expired: a command that has not been sent to this zone is not sent any more. */
export function expire(state: VenueState, seq: number, slot: number, step: VenueStep): VenueState {
  const zone = zoneAt(state, slot)
  if (zone === undefined) return state
  if (isBusy(zone) && zone.job.request === seq) {
    return zone.job.phase === 'READING' ? end(state, zone, expired(state, zone.failed || 'provider_slow'), step) : state
  }
  const left = { ...zone, waiting: zone.waiting.filter(waiting => waiting !== seq) }
  return endAtZone(withZone(state, left), seq, left, expired(state, 'busy'), false, step)
}

/** The zone is no longer the venue's: a command that was sent may have taken effect, the rest has not. */
export function abandon(state: VenueState, zone: ZoneSlot, step: VenueStep): VenueState {
  const idle = { ...zone, job: null, waiting: [] }
  const gone: Verdict = { outcome: 'REFUSED', reason: 'no_zone' }
  let next = withZone(state, idle)
  if (isBusy(zone)) {
    step.context.clearTimer(timerOf.job(zone.zone))
    step.context.clearTimer(timerOf.late(zone.zone))
    const sent = zone.job.phase !== 'READING'
    next = endAtZone(next, zone.job.request, idle, sent ? { ...gone, outcome: 'UNKNOWN' } : gone, sent, step)
  }
  return zone.waiting.reduce((held, seq) => endAtZone(held, seq, idle, gone, false, step), next)
}

/** Asks for a reading of the zone, and retries after a delay if none arrives. */
function requestReading(state: VenueState, zone: Busy, reason: string, steps: readonly number[], step: VenueStep): VenueState {
  const { tries, until } = zone.job
  const at = step.context.now + (steps[Math.min(tries, steps.length - 1)] as number)
  pollSooner(step, state, zone.zone, reason)
  step.context.setTimer(timerOf.job(zone.zone), until === null ? at : Math.min(at, until))
  return withZone(state, { ...zone, job: { ...zone.job, tries: tries + 1 } })
}

function end(state: VenueState, zone: Busy, verdict: Verdict, step: VenueStep): VenueState {
  const idle = { ...zone, job: null }
  const sent = zone.job.phase !== 'READING'
  return release(endAtZone(withZone(state, idle), zone.job.request, idle, verdict, sent, step), zone, step)
}

/** Frees the zone and starts the request that has waited longest. */
function release(state: VenueState, { slot, zone }: ZoneSlot, step: VenueStep): VenueState {
  step.context.clearTimer(timerOf.job(zone))
  step.context.clearTimer(timerOf.late(zone))
  const idle = zoneAt(state, slot)
  if (idle === undefined) return state
  const [next, ...waiting] = idle.waiting
  const free = { ...idle, job: null, waiting }
  return next === undefined ? withZone(state, free) : begin(withZone(state, free), next, free, step)
}

function hasEffect(state: VenueState, zone: Busy): boolean {
  const { resultAt, to, mark, request } = zone.job
  const kind = requestAt(state, request)?.kind ?? 'UNKNOWN'
  return readSince(zone, resultAt) && shows(zone, kind, to, mark)
}

function saysEnough(state: VenueState, zone: Busy): boolean {
  return isDetailed(zone) || !needsTrack(requestAt(state, zone.job.request)?.kind ?? 'UNKNOWN')
}

function readSince(zone: ZoneSlot, at: number | null): boolean {
  return zone.asOf !== null && at !== null && zone.asOf > at && zone.failed === ''
}

function confirmed({ from, to }: ZoneJob): Verdict {
  return { outcome: 'CONFIRMED', reason: '', from, to }
}

function unverified(state: VenueState, zone: Busy): Verdict {
  const { from, to, doubtful, reason, resultAt } = zone.job
  const unread = state.readError || zone.failed || 'provider_slow'
  if (doubtful) return { outcome: 'UNKNOWN', reason: reason || unread, from, to }
  return { outcome: 'UNVERIFIED', reason: readSince(zone, resultAt) ? 'no_effect' : unread, from, to }
}

function expired(state: VenueState, otherwise: string): Verdict {
  return { outcome: 'EXPIRED', reason: state.readError || otherwise }
}

type Busy = ZoneSlot & { job: ZoneJob }

function isBusy(zone: ZoneSlot): zone is Busy {
  return zone.job !== null
}

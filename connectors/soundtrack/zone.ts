/**
 * A zone: its commands, one after the other, and what each is answered with; a read right after each, so that the venue can
 * see whether it was done.
 */
import type { Context, Ended } from '../../engine/actor.ts'
import type { CommandDone, PollSooner, SoundtrackState, ZoneCommand, ZoneResultInput, ZonesRead } from '../../schemas/types.ts'
import { venueInbox } from '../../topics/catalog.ts'
import { reasonOfEnd } from './failures.ts'
import { emptyState } from './account.ts'
import type { Effects, Emits } from './actor.ts'

type Ctx = Context<Emits, Effects>

const MAX_COMMANDS = 32
const MAX_ZONE_READS = 16

export function zoneCommand(given: SoundtrackState | null, command: ZoneCommand, ctx: Ctx): SoundtrackState {
  const state = given ?? emptyState(command.account)
  const { id, venue, zone, kind, volume, notAfter } = command
  const answer = (outcome: 'REFUSED' | 'EXPIRED', reason: string, detail: string) => {
    tell(venue, { command: id, zone, outcome, reason, detail }, ctx)
    return state
  }
  if (kind === 'UNKNOWN') return answer('REFUSED', 'invalid', 'no such command')
  if (kind === 'SET_VOLUME' && !(volume !== null && volume >= 0 && volume <= 16)) {
    return answer('REFUSED', 'invalid', `volume ${volume} is not from 0 to 16`)
  }
  if (ctx.now > notAfter) return answer('EXPIRED', 'expired', 'it came too late')
  if (state.commands.length >= MAX_COMMANDS) return answer('REFUSED', 'busy', `${MAX_COMMANDS} commands are under way`)
  const attempt = ctx.perform(kind === 'SKIP' ? 'skip' : 'control', command, { notAfter })
  return { ...state, commands: [...state.commands, { command: id, attempt, venue, zone }] }
}

export function commandDone(state: SoundtrackState, result: CommandDone, ctx: Ctx): SoundtrackState {
  const open = state.commands.find(c => c.attempt === ctx.attempt)
  // Late, after it was reported as unknown and the zone was read: the reading says more.
  if (open === undefined) return state
  const { command, venue, zone } = open
  const outcome = result.accepted ? 'ACCEPTED' : result.uncertain ? 'UNKNOWN' : 'REFUSED'
  tell(venue, { command, zone, outcome, reason: result.reason, detail: result.detail }, ctx)
  const next = { ...state, commands: state.commands.filter(c => c !== open) }
  return outcome === 'REFUSED' ? next : readZone(next, zone, venue, ctx)
}

/** A command ended without the provider's answer. */
export function commandEnded(
  state: SoundtrackState,
  { attempt, outcome, reason: detail, code }: Ended,
  ctx: Ctx,
): SoundtrackState {
  const open = state.commands.find(c => c.attempt === attempt)
  if (open === undefined) return state
  const { command, venue, zone } = open
  const end = ENDS[outcome]
  tell(venue, { command, zone, outcome: end.outcome, reason: reasonOfEnd({ code, reason: detail }) ?? end.reason, detail }, ctx)
  const next = { ...state, commands: state.commands.filter(c => c !== open) }
  return outcome === 'UNKNOWN' ? readZone(next, zone, venue, ctx) : next
}

/** NOT_DONE: surely not, so it is refused rather than unknown. The reason counts where the end does not say it. */
const ENDS = {
  UNKNOWN: { outcome: 'UNKNOWN', reason: 'provider_slow' },
  EXPIRED: { outcome: 'EXPIRED', reason: '' },
  NOT_DONE: { outcome: 'REFUSED', reason: 'provider_down' },
} as const

export function readZoneNow(
  given: SoundtrackState | null,
  { account, zone, venue }: PollSooner & { zone: string },
  ctx: Ctx,
): SoundtrackState {
  const state = given ?? emptyState(account)
  const open = state.zoneReads.find(r => r.zone === zone)
  if (open === undefined) return readZone(state, zone, venue, ctx)
  return { ...state, zoneReads: state.zoneReads.map(r => (r === open ? { ...r, venue, again: true } : r)) }
}

export function zoneRead(
  state: SoundtrackState,
  { account, zones, error, asOf, sameAsOf }: ZonesRead,
  ctx: Ctx,
): SoundtrackState {
  const open = state.zoneReads.find(r => r.attempt === ctx.attempt)
  if (open === undefined) return state
  ctx.emit(venueInbox, open.venue, 'ZoneSnapshot', { account, zones, error, asOf, sameAsOf })
  return readOver(state, open, ctx)
}

export function zoneReadEnded(state: SoundtrackState, { attempt, outcome }: Ended, ctx: Ctx): SoundtrackState {
  const open = state.zoneReads.find(r => r.attempt === attempt)
  if (open === undefined) return state
  const error = outcome === 'UNKNOWN' ? 'provider_slow' : 'provider_down'
  ctx.emit(venueInbox, open.venue, 'ZoneSnapshot', { account: state.account, error, asOf: ctx.now })
  return readOver(state, open, ctx)
}

function readOver(state: SoundtrackState, open: SoundtrackState['zoneReads'][number], ctx: Ctx): SoundtrackState {
  const next = { ...state, zoneReads: state.zoneReads.filter(r => r !== open) }
  return open.again ? readZone(next, open.zone, open.venue, ctx) : next
}

/** Reads a zone after whatever is under way; a read that still waits its turn will do. */
function readZone(state: SoundtrackState, zone: string, venue: string, ctx: Ctx): SoundtrackState {
  if (state.zoneReads.some(r => r.zone === zone) || state.zoneReads.length >= MAX_ZONE_READS) return state
  const attempt = ctx.perform('read', { account: state.account, zone, full: true })
  return { ...state, zoneReads: [...state.zoneReads, { zone, venue, attempt, again: false }] }
}

function tell(venue: string, result: Omit<ZoneResultInput, 'at'>, ctx: Ctx): void {
  ctx.emit(venueInbox, venue, 'ZoneResult', { ...result, at: ctx.now })
}

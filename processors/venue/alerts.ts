/**
 * Alerts of a venue: a zone is reported once it has been offline for a while, again only after a cooldown, and resolved when it is
 * back. If every zone is offline, one alert covers them all.
 */
import { ofVenue, VENUE_ALERTS, type VenueAlertKind, zoneOffline } from '../../domain/alerts.ts'
import { raiseAlert, resolveAlert } from '../../topics/alerts.ts'
import type { Priority, VenueEventKind, VenueState, ZoneSlot, ZoneState } from '../../schemas/types.ts'
import { recordEvent, type VenueStep } from './context.ts'
import { timerOf } from './keys.ts'
import { withZone } from './state.ts'

const ALL_OFFLINE = VENUE_ALERTS.allZonesOffline
const EVENTS: Record<ZoneState, VenueEventKind> = {
  ONLINE: 'ZONE_ONLINE',
  OFFLINE: 'ZONE_OFFLINE',
  UNKNOWN: 'ZONE_UNKNOWN',
}

/** Records changes of the zones' statuses, and sets or clears the timers of their alerts. */
export function statusChanges(before: VenueState, after: VenueState, step: VenueStep): VenueState {
  const { context, settings } = step
  const zones = after.zones.map(zone => {
    const was = before.zones.find(known => known.slot === zone.slot)?.status ?? 'UNKNOWN'
    if (was === zone.status) return zone
    recordEvent(step, { kind: EVENTS[zone.status], zone: zone.zone, detail: zone.detail === '' ? null : zone.detail })
    if (zone.status === 'OFFLINE') {
      const at = (zone.since ?? context.now) + settings.offlineAlertMs
      context.setTimer(timerOf.offline(zone.zone), Math.max(at, context.now))
      return zone
    }
    context.clearTimer(timerOf.offline(zone.zone))
    return zone.status === 'ONLINE' ? resolveZone(after, zone, 'is online again', step) : zone
  })
  const next = { ...after, zones }
  return zones.some(zone => zone.status === 'ONLINE') ? resolveAll(next, step) : next
}

/** A zone has been offline long enough to be reported. */
export function offlineDue(state: VenueState, zoneId: string, step: VenueStep): VenueState {
  const zone = state.zones.find(known => known.zone === zoneId)
  if (zone === undefined || zone.status !== 'OFFLINE' || zone.alertOpen) return state
  // Never seen online: not set up yet, no reason for an alert.
  if (zone.lastSeen === null && zone.detail !== '') return state
  return state.zones.every(known => known.status === 'OFFLINE') ? reportAll(state, zone, step) : reportZone(state, zone, step)
}

function reportZone(state: VenueState, zone: ZoneSlot, step: VenueStep): VenueState {
  const { context, settings } = step
  const again = (zone.alertedAt ?? Number.NEGATIVE_INFINITY) + settings.alertCooldownMs
  if (context.now < again) {
    context.setTimer(timerOf.offline(zone.zone), again)
    return state
  }
  const since = new Date(zone.since ?? context.now).toISOString()
  const why = zone.detail === '' ? '' : ` (${zone.detail.replace('_', ' ')})`
  raiseAlert(context, {
    ...zoneAlert(zone, step),
    priority: 'HIGH',
    text: `${zone.name} at ${state.name} has been offline${why} since ${since}`,
  })
  return withZone(state, { ...zone, alertedAt: context.now, alertOpen: true })
}

function reportAll(state: VenueState, zone: ZoneSlot, step: VenueStep): VenueState {
  const { context, settings } = step
  const last = state.alerts.find(known => known.kind === ALL_OFFLINE)
  if (last?.open) return state
  if (last !== undefined && context.now < last.at + settings.alertCooldownMs) {
    context.setTimer(timerOf.offline(zone.zone), last.at + settings.alertCooldownMs)
    return state
  }
  const count = state.zones.length === 1 ? 'the only zone' : `all ${state.zones.length} zones`
  return raise(state, { kind: ALL_OFFLINE, priority: 'CRITICAL', text: `${count} of ${state.name} offline` }, step)
}

/** Resolves the alert of a zone if one is open. @returns the zone without it */
function resolveZone(state: VenueState, zone: ZoneSlot, how: string, step: VenueStep): ZoneSlot {
  if (!zone.alertOpen) return zone
  const text = `${zone.name} at ${state.name} ${how}`
  resolveAlert(step.context, { ...zoneAlert(zone, step), priority: 'HIGH', text })
  return { ...zone, alertOpen: false }
}

/** Cancels and resolves the alerts of zones that are no longer the venue's. */
export function forgetZones(state: VenueState, gone: readonly ZoneSlot[], step: VenueStep): VenueState {
  for (const zone of gone) {
    step.context.clearTimer(timerOf.offline(zone.zone))
    resolveZone(state, zone, 'is no longer watched', step)
  }
  return gone.length < state.zones.length
    ? state
    : resolve(state, ALL_OFFLINE, 'CRITICAL', `${state.name} is no longer watched`, step)
}

function zoneAlert(zone: ZoneSlot, { context }: VenueStep) {
  return { ...zoneOffline(context.key, zone.zone), venue: context.key }
}

/** A zone is back: resolves the alert of the whole venue; zones that are still offline are reported one by one. */
function resolveAll(state: VenueState, step: VenueStep): VenueState {
  const { context, settings } = step
  if (!state.alerts.some(known => known.kind === ALL_OFFLINE && known.open)) return state
  for (const zone of state.zones) {
    if (zone.status === 'OFFLINE' && !zone.alertOpen) {
      context.setTimer(timerOf.offline(zone.zone), context.now + settings.offlineAlertMs)
    }
  }
  return resolve(state, ALL_OFFLINE, 'CRITICAL', `${state.name} is no longer offline as a whole`, step)
}

/**
 * Raises an alert about the whole venue, once per cooldown and never while it is open.
 * @param passing true for an alert that is never resolved
 */
export function raise(
  state: VenueState,
  { kind, priority, text, passing = false }: { kind: VenueAlertKind; priority: Priority; text: string; passing?: boolean },
  step: VenueStep,
): VenueState {
  const { context, settings } = step
  const last = state.alerts.find(known => known.kind === kind)
  if (last !== undefined && (last.open || context.now < last.at + settings.alertCooldownMs)) return state
  raiseAlert(context, { ...ofVenue(kind, context.key), venue: context.key, priority, text })
  const others = state.alerts.filter(known => known.kind !== kind)
  return { ...state, alerts: [...others, { kind, at: context.now, open: !passing }] }
}

/** Resolves an alert about the whole venue, if it is open. */
export function resolve(state: VenueState, kind: VenueAlertKind, priority: Priority, text: string, step: VenueStep): VenueState {
  if (!state.alerts.some(known => known.kind === kind && known.open)) return state
  const { context } = step
  resolveAlert(context, { ...ofVenue(kind, context.key), venue: context.key, priority, text })
  return { ...state, alerts: state.alerts.map(known => (known.kind === kind ? { ...known, open: false } : known)) }
}

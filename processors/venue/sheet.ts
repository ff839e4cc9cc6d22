/**
 * A venue's row of the sheet, merged into the state; the account is polled again if the row changes what must be polled.
 */
import type { SheetRow, VenueState } from '../../schemas/types.ts'
import { unwatch, WATCHED, watch } from './account.ts'
import { recordEvent, type VenueStep } from './context.ts'
import { type Master, master } from './master.ts'
import { merge } from './merge.ts'
import { applyBelowOverride } from './overrides.ts'
import { leave } from './snapshots.ts'
import { NEW_VENUE } from './state.ts'

export function takeRow(state: VenueState | null, row: SheetRow, step: VenueStep): VenueState | null {
  if (row.removed) return state === null || state.removed ? state : remove(state, step)
  const before = state ?? NEW_VENUE
  const { values, overrides } = applyBelowOverride(before, said(row, state !== null, step.settings.countryCode), row.readAt)
  const offer = { source: 'sheets', at: row.readAt, values } as const
  const { fields, origins, changed } = merge<VenueState>(before, before.provenance, offer)
  const merged = { ...fields, provenance: origins, overrides, removed: false }
  if (state === null) recordEvent(step, { kind: 'CREATED' })
  else if (state.removed) recordEvent(step, { kind: 'CHANGED', detail: 'back in the sheet' })
  else if (changed.length > 0) recordEvent(step, { kind: 'CHANGED', detail: changed.join(', ') })
  const watched = WATCHED.some(field => changed.includes(field))
  return state === null || state.removed || watched ? watch(before, merged, step) : merged
}

/** The values of a row. An unreadable cell keeps the known value; only a new venue needs its name. */
function said(row: SheetRow, known: boolean, countryCode: string): Partial<Master> {
  const unread = new Set(known ? row.unread : row.unread.filter(field => field !== 'name'))
  return Object.fromEntries(Object.entries(master(row, countryCode)).filter(([field]) => !unread.has(field)))
}

/** Marks the venue as removed and stops reading it. */
function remove(state: VenueState, step: VenueStep): VenueState {
  recordEvent(step, { kind: 'REMOVED' })
  unwatch(state, step)
  return { ...leave(state, state.zones, step), removed: true }
}

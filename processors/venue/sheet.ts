/**
 * A venue's row of the sheet: merged into what is known, and what follows from it for the account that is watched.
 */
import { soundtrackInbox } from '../../topics/catalog.ts'
import { phoneDigits } from '../../domain/phone.ts'
import type { SheetRow, VenueState } from '../../schemas/types.ts'
import { note, type Turn, watchAccount } from './context.ts'
import { merge } from './merge.ts'
import { below } from './overrides.ts'
import { MAX_VOLUME } from './rules.ts'
import { leave } from './snapshots.ts'
import { NEW_VENUE } from './state.ts'
import { clip, clipped } from './text.ts'

export function takeRow(state: VenueState | null, row: SheetRow, turn: Turn): VenueState | null {
  if (row.removed) return state === null || state.removed ? state : remove(state, turn)
  const before = state ?? NEW_VENUE
  const { values, overrides } = below(before, said(row, state !== null, turn.settings.countryCode), row.readAt)
  const offer = { source: 'sheets', at: row.readAt, values } as const
  const { fields, origins, changed } = merge<VenueState>(before, before.provenance, offer)
  const merged = { ...fields, provenance: origins, overrides, removed: false }
  if (state === null) note(turn, { kind: 'CREATED' })
  else if (state.removed) note(turn, { kind: 'CHANGED', detail: 'back in the sheet' })
  else if (changed.length > 0) note(turn, { kind: 'CHANGED', detail: changed.join(', ') })
  const watched = WATCHED.some(field => changed.includes(field))
  return state === null || state.removed || watched ? watch(before, merged, turn) : merged
}

/** What the account that is watched has to know of. */
export const WATCHED: readonly string[] = ['soundtrackAccount', 'soundtrackLocation', 'priorityLevel', 'name', 'location']

export type Master = ReturnType<typeof master>

/** What the row says: a cell that could not be read says nothing, and what was known stays. A new venue needs its name. */
function said(row: SheetRow, known: boolean, countryCode: string): Partial<Master> {
  const unread = new Set(known ? row.unread : row.unread.filter(field => field !== 'name'))
  return Object.fromEntries(Object.entries(master(row, countryCode)).filter(([field]) => !unread.has(field)))
}

/** The master fields as the sheet has them, cut to what a state has room for. */
function master(row: SheetRow, countryCode: string) {
  return {
    name: clip(row.name, 120),
    location: clip(row.location, 200),
    aliases: row.aliases.slice(0, 12).map(alias => clip(alias, 60)),
    contactName: clipped(row.contactName, 100),
    contactEmail: clipped(row.contactEmail, 100),
    contactPhone: phoneDigits(row.contactPhone, countryCode),
    contactPosition: clipped(row.contactPosition, 60),
    soundtrackAccount: row.soundtrackAccount,
    soundtrackLocation: row.soundtrackLocation,
    zoneCount: row.zoneCount,
    subscriptionStatus: clipped(row.subscriptionStatus, 40),
    lastIssueDate: clipped(row.lastIssueDate, 20),
    notes: clipped(row.notes, 1000),
    priorityLevel: clipped(row.priorityLevel, 40),
    slaTier: clipped(row.slaTier, 40),
    volumeCap: Math.min(MAX_VOLUME, Math.max(0, row.volumeCap ?? MAX_VOLUME)),
  }
}

/** The venue stays known, as removed; nothing of it is read any more. */
function remove(state: VenueState, turn: Turn): VenueState {
  note(turn, { kind: 'REMOVED' })
  unwatch(state, turn)
  return { ...leave(state, state.zones, turn), removed: true }
}

export function watch(before: VenueState, after: VenueState, turn: Turn): VenueState {
  const { soundtrackAccount: account, soundtrackLocation: location } = after
  const moved = before.soundtrackAccount !== account || before.soundtrackLocation !== location
  if (before.soundtrackAccount !== account) unwatch(before, turn)
  watchAccount(turn, after)
  return moved ? leave({ ...after, readError: '' }, after.zones, turn) : after
}

function unwatch({ soundtrackAccount: account }: VenueState, { context }: Turn): void {
  if (account === null) return
  context.clearTimer('unread')
  context.clearTimer('look')
  context.emit(soundtrackInbox, account, 'WatchVenue', { venue: context.key, account, stop: true })
}

/**
 * The master fields of a venue: those that come from the sheet and that support may override.
 */
import { phoneDigits } from '../../domain/phone.ts'
import type { SheetRow } from '../../schemas/types.ts'
import { MAX_VOLUME } from './rules.ts'
import { clip, clipped } from '../../domain/text.ts'

export type Master = ReturnType<typeof master>

/** The master fields of a row, cut to the lengths that fit into a state. */
export function master(row: SheetRow, countryCode: string) {
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

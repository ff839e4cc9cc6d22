/**
 * Detects whether it is still the same sheet, whatever its file is called: identifying details of some of its venues are remembered,
 * and looked for the next time. A venue that is renamed, or has moved to another account, is still recognised by the rest.
 */
import { createHash } from 'node:crypto'
import type { SheetVenueInput } from '../../schemas/types.ts'

const SAMPLE = 16
const LETTERS = 5

/** Some venues, as `id:name:account:phone:address`, all but the id hashed; always the same ones of the same ids. */
export function sampleOf(rows: readonly SheetVenueInput[]): string[] {
  const chosen = rows.map(row => ({ row, order: hash(row.venue) })).sort((a, b) => (a.order < b.order ? -1 : 1))
  return chosen.slice(0, SAMPLE).map(({ row }) => signOf(row))
}

/** How many of a sample's venues are still there: same id, and at least one detail in common. @param kept ids of rows that were refused */
export function knownOf(sample: readonly string[], rows: readonly SheetVenueInput[], kept: readonly string[]): number {
  const byId = new Map(rows.map(row => [row.venue, row]))
  return sample.filter(sign => {
    const [venue = '', ...before] = sign.split(':')
    const row = byId.get(venue)
    if (row === undefined) return kept.includes(venue)
    const [, ...after] = signOf(row).split(':')
    return before.some((part, n) => part !== '' && part === after[n])
  }).length
}

/** Whether the venues that are known came from another source than this one. */
export function isAnother(known: string | null, source: string): boolean {
  return source !== '' && known !== null && source !== known
}

/** A sheet that still has less than this share of the sampled venues has been put in the place of another. */
const MIN_KNOWN_SHARE = 0.25

/** Whether the sheet has other venues under the ids, or under none of them. @param known how many of the sample are there */
export function isSwapped(sample: readonly string[], known: number): boolean {
  return sample.length > 1 && known < sample.length * MIN_KNOWN_SHARE
}

function signOf({ venue, name, soundtrackAccount, contactPhone, contactEmail }: SheetVenueInput): string {
  const parts = [
    name.toLowerCase().replace(/[^\p{L}\p{M}\p{N}]/gu, ''),
    soundtrackAccount,
    contactPhone,
    contactEmail?.toLowerCase(),
  ]
  return [venue, ...parts.map(part => (part ? hash(part) : ''))].join(':')
}

function hash(text: string): string {
  return createHash('sha256').update(text).digest('base64url').slice(0, LETTERS)
}

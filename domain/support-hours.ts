/** When support works, and when something is due that counts in its hours. */
import { DAY_MS } from './time.ts'
import { instantOf, isTimeZone, localAt, timeOfDay } from './time-zone.ts'

export interface SupportHours {
  /** HH:MM, local. */
  readonly from: string
  /** HH:MM, local, later than `from`; 24:00 at most. */
  readonly to: string
  /** IANA time zone, or an offset such as `+07:00`. */
  readonly zone: string
}

/** Opening and closing, ms after local midnight. @throws when they are no times, or in the wrong order. */
export function openingOf({ from, to, zone }: SupportHours): { open: number; close: number } {
  const [open, close] = [timeOfDay(from), timeOfDay(to)]
  if (open === null || close === null || open >= close) throw new Error(`support hours: "${from}" to "${to}" is no part of a day`)
  if (!isTimeZone(zone)) throw new Error(`support hours: "${zone}" is neither an IANA time zone nor an offset like +07:00`)
  return { open, close }
}

/** The instant at which so many ms of support's hours have passed since `now`. */
export function afterSupportTime(ms: number, now: number, hours: SupportHours): number {
  const { open, close } = openingOf(hours)
  const { zone } = hours
  let left = ms
  let local = localAt(zone, now)
  for (;;) {
    const day = Math.floor(local / DAY_MS) * DAY_MS
    local = Math.max(local, day + open)
    const today = day + close - local
    if (left <= today) return instantOf(zone, local + left)
    left -= Math.max(today, 0)
    local = day + DAY_MS + open
  }
}

/** Midnights between two instants, by the local clock. */
export function daysBetween(from: number, to: number, zone: string): number {
  return Math.floor(localAt(zone, to) / DAY_MS) - Math.floor(localAt(zone, from) / DAY_MS)
}

/** Local time in IANA time zones, and in offsets such as `+07:00`. */
import { DAY_MS, HOUR_MS, MINUTE_MS } from './time.ts'

const formats = new Map<string, Intl.DateTimeFormat>()

/** Whether there is such a time zone. */
export function isTimeZone(zone: string): boolean {
  try {
    formatOf(zone)
    return true
  } catch {
    return false
  }
}

/** How far local time is ahead of UTC at an instant, ms. @throws {RangeError} when there is no such zone */
export function offsetAt(zone: string, at: number): number {
  const name = formatOf(zone)
    .formatToParts(at)
    .find(part => part.type === 'timeZoneName')?.value
  const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)/.exec(name ?? '') ?? []
  return (sign === '-' ? -1 : 1) * (Number(hours ?? 0) * HOUR_MS + Number(minutes ?? 0) * MINUTE_MS)
}

function formatOf(zone: string): Intl.DateTimeFormat {
  const known = formats.get(zone)
  if (known !== undefined) return known
  const format = new Intl.DateTimeFormat('en', { timeZone: zone, timeZoneName: 'longOffset' })
  formats.set(zone, format)
  return format
}

/** The wall clock at an instant, as ms since 1970 of a clock that shows it in UTC. */
export function localAt(zone: string, at: number): number {
  return at + offsetAt(zone, at)
}

/** The instant of a wall clock; of an hour that the change to summer time leaves out, the one an hour later. */
export function instantOf(zone: string, local: number): number {
  const first = local - offsetAt(zone, local)
  return local - offsetAt(zone, first)
}

/** Local time as HH:MM. */
export function clock(at: number, zone: string): string {
  return new Date(localAt(zone, at)).toISOString().slice(11, 16)
}

/** Local day as DD/MM. */
export function dayOf(at: number, zone: string): string {
  const [, month, day] = new Date(localAt(zone, at)).toISOString().slice(0, 10).split('-')
  return `${day}/${month}`
}

/** HH:MM as ms after midnight, 24:00 at most; null for any other text. */
export function timeOfDay(text: string): number | null {
  const [, hours, minutes] = /^([01]\d|2[0-4]):([0-5]\d)$/.exec(text) ?? []
  const ms = Number(hours) * HOUR_MS + Number(minutes) * MINUTE_MS
  return ms <= DAY_MS ? ms : null
}

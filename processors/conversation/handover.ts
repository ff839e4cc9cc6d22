/**
 * Which department a conversation is handed over to, how urgently, and when the person can expect a response.
 */
import { afterSupportTime, daysBetween, type SupportHours } from '../../domain/support-hours.ts'
import { HOUR_MS, MINUTE_MS } from '../../domain/time.ts'
import { clock } from '../../domain/time-zone.ts'
import type { Department, Priority } from '../../schemas/types.ts'
import { type Language, phrase } from './words.ts'

export interface Route {
  readonly department: Department
  readonly priority: Priority
  /** Why, as a code: the intent, or what went wrong. No personal data. */
  readonly reason: string
}

type Desk = readonly [Department, Priority]

const DESKS: Readonly<Record<string, Desk>> = {
  report_issue: ['OPERATIONS', 'HIGH'],
  no_sound: ['OPERATIONS', 'HIGH'],
  device_offline: ['OPERATIONS', 'HIGH'],
  hardware: ['OPERATIONS', 'HIGH'],
  pairing_help: ['OPERATIONS', 'NORMAL'],
  change_playlist: ['DESIGN', 'NORMAL'],
  block_song: ['DESIGN', 'NORMAL'],
  schedule_query: ['DESIGN', 'NORMAL'],
  schedule_music: ['DESIGN', 'HIGH'],
  contract_query: ['SALES', 'HIGH'],
  renewal: ['SALES', 'HIGH'],
  new_location: ['SALES', 'HIGH'],
  new_prospect: ['SALES', 'HIGH'],
  demo_request: ['SALES', 'HIGH'],
  quote_request: ['SALES', 'HIGH'],
  pricing_query: ['SALES', 'NORMAL'],
  product_query: ['SALES', 'NORMAL'],
  licensing_query: ['SALES', 'NORMAL'],
  cancel_threat: ['SALES', 'CRITICAL'],
  complaint: ['GENERAL', 'HIGH'],
  contact_query: ['GENERAL', 'NORMAL'],
}

/** Words that override the department or priority of an intent: money, law, and music for a day that is near. */
const LEGAL = /\b(legal action|lawyers?|lawsuit|sue)\b|ทนาย|ฟ้องร้อง|ดำเนินคดี/i
const MONEY = /\b(payments?|refunds?|invoices?|receipts?)\b|ชำระเงิน|คืนเงิน|ใบแจ้งหนี้|ใบเสร็จ/i
const SOON = /\b(wedding|party|event|tonight|tomorrow|today)\b|งานแต่ง|งานเลี้ยง|ปาร์ตี้|คืนนี้|พรุ่งนี้|วันนี้/i

const RANK: readonly Priority[] = ['UNKNOWN', 'INFO', 'NORMAL', 'HIGH', 'CRITICAL']

export function moreUrgent(a: Priority, than: Priority): boolean {
  return RANK.indexOf(a) > RANK.indexOf(than)
}

/**
 * The department and priority of a request; of several intents the most urgent decides.
 * @param text of the message: some words decide by themselves
 * @param urgent whether the sentiment is URGENT
 */
export function route(intents: readonly string[], text: string, urgent: boolean): Route {
  let [department, priority]: Desk = ['GENERAL', 'NORMAL']
  let reason = intents[0] ?? 'unknown'
  for (const [n, intent] of intents.entries()) {
    const desk = DESKS[intent]
    if (desk !== undefined && (n === 0 || moreUrgent(desk[1], priority))) {
      ;[department, priority] = desk
      reason = intent
    }
  }
  if (department === 'DESIGN' && SOON.test(text)) priority = 'HIGH'
  if (MONEY.test(text) && !moreUrgent(priority, 'HIGH')) [department, priority, reason] = ['FINANCE', 'HIGH', 'payment']
  if (LEGAL.test(text)) [department, priority, reason] = ['GENERAL', 'CRITICAL', 'legal']
  if (urgent && priority !== 'CRITICAL') {
    if (department === 'GENERAL') department = 'OPERATIONS'
    priority = 'CRITICAL'
  }
  return { department, priority, reason }
}

/** Time to a first response, ms: around the clock for CRITICAL, in support hours for the others. */
const FIRST_RESPONSE_MS: Readonly<Record<Priority, number>> = {
  CRITICAL: 15 * MINUTE_MS,
  HIGH: HOUR_MS,
  NORMAL: 4 * HOUR_MS,
  INFO: 24 * HOUR_MS,
  UNKNOWN: 24 * HOUR_MS,
}

/** When a first response is due. */
export function dueAt(priority: Priority, now: number, hours: SupportHours): number {
  if (priority === 'CRITICAL') return now + FIRST_RESPONSE_MS.CRITICAL
  return afterSupportTime(FIRST_RESPONSE_MS[priority], now, hours)
}

/** The expected time as text: a duration if support is open until then, else the time of day. */
export function expected(priority: Priority, now: number, hours: SupportHours, language: Language): string {
  const due = dueAt(priority, now, hours)
  const span = due - now
  if (span === FIRST_RESPONSE_MS[priority]) {
    if (span < HOUR_MS) return phrase(language, 'when.minutes', { n: span / MINUTE_MS })
    return span === HOUR_MS ? phrase(language, 'when.hour') : phrase(language, 'when.hours', { n: span / HOUR_MS })
  }
  const days = daysBetween(now, due, hours.zone)
  const time = clock(due, hours.zone)
  if (days === 0) return phrase(language, 'when.today', { time })
  return days === 1 ? phrase(language, 'when.tomorrow', { time }) : phrase(language, 'when.later', { n: days, time })
}

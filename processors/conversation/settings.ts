/** What can be set of a conversation. */
import type { Trust } from '../../schemas/types.ts'

export interface SupportHours {
  /** HH:MM, local. */
  readonly from: string
  /** HH:MM, local, later than `from`. */
  readonly to: string
  /** A zone of `OFFSETS`, or an offset such as `+07:00`. */
  readonly zone: string
}

export interface ConversationSettings {
  /** Least trust of a sender who may control zones. */
  readonly controlTrust: Exclude<Trust, 'UNKNOWN'>
  /** Divides every durable timer and deadline. Times of the provider, such as the age of a message, are not scaled. */
  readonly timeScale: number
  readonly supportHours: SupportHours
  /** Silence after which the bot has the conversation again, ms. */
  readonly idleMs: number
  /** A control older than this is asked about, not done, ms. */
  readonly controlHorizonMs: number
  /** A venue that has not answered a request by now is given up waiting for, ms. */
  readonly answerMs: number
  /** How long the venue tries a control, ms: what a person who waits is told. */
  readonly tryMs: number
  /** Absence after which a remembered venue is asked about, ms. */
  readonly absenceMs: number
  /** Below this confidence a control is asked about. */
  readonly sure: number
  /** Language until the person has shown theirs. */
  readonly language: 'en' | 'th'
}

const MINUTE = 60_000
const DAY = 24 * 60 * MINUTE

export const defaultConversationSettings: ConversationSettings = {
  controlTrust: 'HINTED',
  timeScale: 1,
  supportHours: { from: '08:00', to: '21:00', zone: 'Asia/Bangkok' },
  idleMs: DAY,
  controlHorizonMs: 10 * MINUTE,
  answerMs: 35_000,
  tryMs: 2 * MINUTE,
  absenceMs: 30 * DAY,
  sure: 0.7,
  language: 'en',
}

const LEVELS: readonly Trust[] = ['UNKNOWN', 'CLAIMED', 'HINTED', 'BOUND']

/** Whether one level of trust is enough where another is asked for. */
export function trusts(has: Trust, needed: Trust): boolean {
  return LEVELS.indexOf(has) >= LEVELS.indexOf(needed)
}

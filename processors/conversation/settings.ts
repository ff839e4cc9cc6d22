/** What can be set of a conversation. */
import type { Channel } from '../../domain/channel.ts'
import type { SupportHours } from '../../domain/support-hours.ts'
import { DAY, MINUTE } from '../../domain/time.ts'
import type { TenantChoices } from '../../domain/tenants.ts'
import type { Trust } from '../../schemas/types.ts'
import type { ChannelInbox } from '../../topics/catalog.ts'
import { isLanguage, type Language } from './words.ts'

/** A channel that conversations are held on, with the inbox of its connector. */
export type ConversationChannel = Channel<ChannelInbox>

export interface ConversationSettings {
  /** The channels that there are connectors for: constants of the code, so that a replay decides the same. */
  readonly channels: readonly ConversationChannel[]
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
  readonly language: Language
}

export const defaultConversationSettings: Omit<ConversationSettings, 'channels'> = {
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

/** The settings for a tenant: what it has decided, and for the rest those of the process. */
export function settingsFor(tenant: TenantChoices | null, settings: ConversationSettings): ConversationSettings {
  if (tenant === null) return settings
  const { timeZone: zone, supportFrom: from, supportTo: to, language, controlTrust } = tenant
  return {
    ...settings,
    supportHours: { from, to, zone },
    controlTrust: controlTrust === 'UNKNOWN' ? settings.controlTrust : controlTrust,
    language: isLanguage(language) ? language : settings.language,
  }
}

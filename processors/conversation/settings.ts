/** The settings of a conversation. */
import type { Channel } from '../../domain/channel.ts'
import type { SupportHours } from '../../domain/support-hours.ts'
import { DAY_MS, MINUTE_MS } from '../../domain/time.ts'
import { DEFAULT_CHOICES, type TenantChoices } from '../../domain/tenants.ts'
import type { Trust } from '../../schemas/types.ts'
import type { ChannelInbox } from '../../topics/catalog.ts'
import { isLanguage, type Language } from './words.ts'

/** A channel with the inbox of its connector. */
export type ConversationChannel = Channel<ChannelInbox>

export interface ConversationSettings {
  /** The channels that have connectors; constants of the code, so that a replay decides the same. */
  readonly channels: readonly ConversationChannel[]
  /** Minimum trust of a sender to control zones. */
  readonly controlTrust: Exclude<Trust, 'UNKNOWN'>
  /** Divides every durable timer and deadline. Times that the provider sets, such as the age of a message, are not scaled. */
  readonly timeScale: number
  readonly supportHours: SupportHours
  /** Silence after which the bot owns the conversation again, ms. */
  readonly idleMs: number
  /** A control older than this is confirmed with the person first, ms. */
  readonly controlHorizonMs: number
  /** How long to wait for the venue's answer to a request, ms. */
  readonly answerMs: number
  /** How long the venue tries a control, ms; shown to the person who waits. */
  readonly tryMs: number
  /** Absence after which a known venue is confirmed with the person, ms. */
  readonly absenceMs: number
  /** Below this confidence a control is confirmed with the person first, 0..1. */
  readonly minConfidence: number
  /** Language until the person's own is known. */
  readonly language: Language
}

export const defaultConversationSettings: Omit<ConversationSettings, 'channels'> = {
  controlTrust: DEFAULT_CHOICES.controlTrust,
  timeScale: 1,
  supportHours: supportHoursOf(DEFAULT_CHOICES),
  idleMs: DAY_MS,
  controlHorizonMs: 10 * MINUTE_MS,
  answerMs: 35_000,
  tryMs: 2 * MINUTE_MS,
  absenceMs: 30 * DAY_MS,
  minConfidence: 0.7,
  language: DEFAULT_CHOICES.language,
}

/** The tenant's settings, over those of the process. */
export function settingsFor(tenant: TenantChoices | null, settings: ConversationSettings): ConversationSettings {
  if (tenant === null) return settings
  const { language, controlTrust } = tenant
  return {
    ...settings,
    supportHours: supportHoursOf(tenant),
    controlTrust: controlTrust === 'UNKNOWN' ? settings.controlTrust : controlTrust,
    language: isLanguage(language) ? language : settings.language,
  }
}

function supportHoursOf({ timeZone: zone, supportFrom: from, supportTo: to }: TenantChoices): SupportHours {
  return { from, to, zone }
}

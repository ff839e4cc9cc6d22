import { MINUTE_MS, SECOND_MS } from '../../domain/time.ts'
import { DEFAULT_CHOICES, type TenantChoices } from '../../domain/tenants.ts'
import type { Trust } from '../../schemas/types.ts'

/** Settings of the venue actor; times in ms. */
export interface VenueSettings {
  /** Minimum trust to pause, skip and change the volume. */
  readonly controlTrust: Exclude<Trust, 'UNKNOWN'>
  /** Divides durable timers and deadlines, for demos and tests. */
  readonly timeScale: number
  /** Calling code of phone numbers written without one. */
  readonly countryCode: string
  /** How long a zone is offline before an alert. */
  readonly offlineAlertMs: number
  /** Minimum time between two alerts of the same kind. */
  readonly alertCooldownMs: number
  /** How long a zone may go unread before it is UNKNOWN. */
  readonly unknownAfterMs: number
  /** Maximum age of a reading that answers a question. */
  readonly freshMs: number
  /** A control request older than this is not carried out without asking. */
  readonly staleMs: number
  /** From the command to the conclusion that it had no effect. */
  readonly verifyMs: number
  /** From the request to a first word, if there is no result yet. */
  readonly firstWordMs: number
  /** From a question to its answer, with or without a reading. */
  readonly answerMs: number
  /** From a control request to its expiry. */
  readonly commandMs: number
  /** The profile is published at most this often if only its times have changed. */
  readonly profileMs: number
}

export const VENUE_DEFAULTS: VenueSettings = {
  controlTrust: DEFAULT_CHOICES.controlTrust,
  timeScale: 1,
  countryCode: DEFAULT_CHOICES.countryCode,
  offlineAlertMs: 15 * MINUTE_MS,
  alertCooldownMs: 60 * MINUTE_MS,
  unknownAfterMs: 15 * MINUTE_MS,
  freshMs: 30 * SECOND_MS,
  staleMs: 10 * MINUTE_MS,
  verifyMs: 25 * SECOND_MS,
  firstWordMs: 15 * SECOND_MS,
  answerMs: 25 * SECOND_MS,
  commandMs: 2 * MINUTE_MS,
  profileMs: 60 * MINUTE_MS,
}

/** Waiting for the provider is not scaled below this: it does not answer faster in a demo. */
const MIN_PROVIDER_WAIT_MS = 5 * SECOND_MS

/** The settings with their timers and deadlines scaled; maximum ages of readings and requests are not. */
export function scaled(settings: VenueSettings): VenueSettings {
  const { timeScale } = settings
  const timer = (ms: number) => Math.round(ms / timeScale)
  const wait = (ms: number) => Math.min(ms, Math.max(timer(ms), MIN_PROVIDER_WAIT_MS))
  return {
    ...settings,
    offlineAlertMs: timer(settings.offlineAlertMs),
    alertCooldownMs: timer(settings.alertCooldownMs),
    profileMs: timer(settings.profileMs),
    verifyMs: wait(settings.verifyMs),
    firstWordMs: wait(settings.firstWordMs),
    answerMs: wait(settings.answerMs),
    commandMs: wait(settings.commandMs),
  }
}

/** The tenant's settings, over those of the process. */
export function settingsFor(tenant: TenantChoices | null, settings: VenueSettings): VenueSettings {
  if (tenant === null) return settings
  const { countryCode, controlTrust } = tenant
  return { ...settings, countryCode, controlTrust: controlTrust === 'UNKNOWN' ? settings.controlTrust : controlTrust }
}

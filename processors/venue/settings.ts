import { MINUTE, SECOND } from '../../domain/time.ts'
import type { TenantChoices } from '../../domain/tenants.ts'
import type { Trust } from '../../schemas/types.ts'

/** Settings of the venue actor; times in ms. */
export interface VenueSettings {
  /** Least trust that may pause, skip and move the volume. */
  readonly controlTrust: Exclude<Trust, 'UNKNOWN'>
  /** Divides durable timers and deadlines, for demos and tests. */
  readonly timeScale: number
  /** Country code of phones written without one. */
  readonly countryCode: string
  /** Offline for this long: an alert. */
  readonly offlineAlertMs: number
  /** Between two alerts of the same kind. */
  readonly alertCooldownMs: number
  /** Not read for this long: unknown. */
  readonly unknownAfterMs: number
  /** A reading this young answers a question. */
  readonly freshMs: number
  /** A control request older than this is asked about, not done. */
  readonly staleMs: number
  /** From the command to the verdict that it had no effect. */
  readonly verifyMs: number
  /** From the request to a first word, while nothing has come back. */
  readonly firstWordMs: number
  /** From a question to its answer, read or not. */
  readonly answerMs: number
  /** From a control request to the end of its use. */
  readonly commandMs: number
  /** The profile is written for the sake of its times alone at most this often. */
  readonly profileMs: number
}

export const VENUE_DEFAULTS: VenueSettings = {
  controlTrust: 'HINTED',
  timeScale: 1,
  countryCode: '66',
  offlineAlertMs: 15 * MINUTE,
  alertCooldownMs: 60 * MINUTE,
  unknownAfterMs: 15 * MINUTE,
  freshMs: 30 * SECOND,
  staleMs: 10 * MINUTE,
  verifyMs: 25 * SECOND,
  firstWordMs: 15 * SECOND,
  answerMs: 25 * SECOND,
  commandMs: 2 * MINUTE,
  profileMs: 60 * MINUTE,
}

/** A provider answers in its own time, whatever the scale: waiting for it is not scaled below this. */
const PROVIDER_MS = 5 * SECOND

/** The settings with their timers and deadlines scaled; ages of readings and requests are real. */
export function scaled(settings: VenueSettings): VenueSettings {
  const { timeScale } = settings
  const timer = (ms: number) => Math.round(ms / timeScale)
  const wait = (ms: number) => Math.min(ms, Math.max(timer(ms), PROVIDER_MS))
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

/** The settings for a tenant: what it has decided, and for the rest those of the process. */
export function settingsFor(tenant: TenantChoices | null, settings: VenueSettings): VenueSettings {
  if (tenant === null) return settings
  const { countryCode, controlTrust } = tenant
  return { ...settings, countryCode, controlTrust: controlTrust === 'UNKNOWN' ? settings.controlTrust : controlTrust }
}

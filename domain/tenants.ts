/** Tenants, and what they decide: the settings of a tenant are a record, so that a change has its place in history. */
import type { TenantSettings, Trust } from '../schemas/types.ts'
import { isTimeZone, timeOfDay } from './time-zone.ts'

/** The tenant of the installation itself: whatever belongs to no venue and no conversation is its own. */
export const DEFAULT_TENANT = 'main'

/** The tenant of a venue, a conversation or a user: their ids begin with it. */
export function tenantOf(id: string): string {
  const end = id.indexOf(':')
  return end < 0 ? DEFAULT_TENANT : id.slice(0, end)
}

/** What a tenant can decide. */
export type TenantChoices = Omit<TenantSettings, 'tenant' | 'version' | 'by' | 'at' | 'commands'>

/** What holds where nothing was decided. */
export const DEFAULT_CHOICES = {
  timeZone: 'Asia/Bangkok',
  supportFrom: '08:00',
  supportTo: '21:00',
  quietFrom: null,
  quietTo: null,
  countryCode: '66',
  language: 'en',
  controlTrust: 'HINTED',
} as const satisfies TenantChoices

export const LANGUAGES = ['en', 'th'] as const
const CONTROL_TRUST: readonly Trust[] = ['CLAIMED', 'HINTED', 'BOUND']

/** What is wrong with them, by field; empty where nothing is. */
export function wrongChoices(choices: TenantChoices): Partial<Record<keyof TenantChoices, string>> {
  const { timeZone, supportFrom, supportTo, quietFrom, quietTo, countryCode, language, controlTrust } = choices
  const wrong: Partial<Record<keyof TenantChoices, string>> = {}
  const time = (field: keyof TenantChoices, text: string) => {
    const ms = timeOfDay(text)
    if (ms === null) wrong[field] = `"${text}" is not a time such as 08:00`
    return ms
  }
  if (!isTimeZone(timeZone)) wrong.timeZone = `"${timeZone}" is neither an IANA time zone nor an offset such as +07:00`
  const [from, to] = [time('supportFrom', supportFrom), time('supportTo', supportTo)]
  if (from !== null && to !== null && from >= to) wrong.supportTo = `"${supportTo}" must be later than ${supportFrom}`
  if (quietFrom !== null) time('quietFrom', quietFrom)
  if (quietTo !== null) time('quietTo', quietTo)
  if ((quietFrom === null) !== (quietTo === null)) wrong.quietTo = 'quiet hours need both a beginning and an end'
  if (!/^[1-9]\d{0,2}$/.test(countryCode)) wrong.countryCode = `"${countryCode}" is not a calling code such as 66`
  if (!LANGUAGES.some(known => known === language)) wrong.language = `"${language}" must be one of ${LANGUAGES.join(', ')}`
  if (!CONTROL_TRUST.includes(controlTrust)) wrong.controlTrust = `"${controlTrust}" must be one of ${CONTROL_TRUST.join(', ')}`
  return wrong
}

/** What the default tenant decides at first; later its own record counts, which the API changes. */
import { DEFAULT_CHOICES, LANGUAGES, type TenantChoices, wrongChoices } from '../domain/tenants.ts'
import { Invalid, oneOf, type Setting, section, text } from './setting.ts'

const { timeZone, supportFrom, supportTo, countryCode, language } = DEFAULT_CHOICES

type Span = readonly [from: string, to: string]

export const tenantSettings = section(
  'Tenant',
  {
    controlTrust: oneOf(
      'CONTROL_TRUST',
      'hinted',
      ['claimed', 'hinted', 'bound'],
      'Least trust of a sender who may control zones.',
    ),
    timeZone: text('TIME_ZONE', 'IANA time zone of support, or an offset such as +07:00.', { default: timeZone }),
    supportHours: span('SUPPORT_HOURS', [supportFrom, supportTo], 'When support works, as from-to: 08:00-21:00.'),
    quietHours: span('QUIET_HOURS', null, 'When nothing is sent that nobody asked for, as from-to: 22:00-07:00.'),
    countryCode: text('PHONE_COUNTRY_CODE', 'Calling code of phones written without one.', { default: countryCode }),
    language: oneOf(
      'FIRST_LANGUAGE',
      language as (typeof LANGUAGES)[number],
      LANGUAGES,
      'Language until a person has shown theirs.',
    ),
  },
  (values, problems) => {
    const named: Partial<Record<string, string>> = { timeZone: 'TIME_ZONE', countryCode: 'PHONE_COUNTRY_CODE' }
    for (const [field, why] of Object.entries(wrongChoices(choicesOf(values)))) {
      const name = named[field] ?? (field.startsWith('quiet') ? 'QUIET_HOURS' : 'SUPPORT_HOURS')
      problems.push(`${name}: ${why}`)
    }
  },
)

export function choicesOf(values: {
  readonly controlTrust: 'claimed' | 'hinted' | 'bound'
  readonly timeZone: string
  readonly supportHours: Span
  readonly quietHours: Span | null
  readonly countryCode: string
  readonly language: string
}): TenantChoices {
  const { controlTrust, timeZone, supportHours, quietHours, countryCode, language } = values
  return {
    timeZone,
    supportFrom: supportHours[0],
    supportTo: supportHours[1],
    quietFrom: quietHours?.[0] ?? null,
    quietTo: quietHours?.[1] ?? null,
    countryCode,
    language,
    controlTrust: controlTrust.toUpperCase() as Uppercase<typeof controlTrust>,
  }
}

function span<const D extends Span | null>(name: string, otherwise: D, description: string): Setting<Span | D> {
  const parse = (given: string | null): Span | D => {
    if (given === null) return otherwise
    const [, from, to] = /^(\d\d:\d\d)\s*-\s*(\d\d:\d\d)$/.exec(given) ?? []
    if (from === undefined || to === undefined) throw new Invalid(`is "${given}"; it must be two times such as 08:00-21:00`)
    return [from, to]
  }
  return { name, description, default: otherwise === null ? null : otherwise.join('-'), secret: false, parse }
}

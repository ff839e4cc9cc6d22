import { describe, expect, test } from 'vitest'
import type { Trust } from '../schemas/types.ts'
import { DEFAULT_CHOICES, type TenantChoices, tenantOf, wrongChoices } from './tenants.ts'
import { trusts } from './trust.ts'

test('the tenant is what an id begins with', () => {
  expect(tenantOf('acme:venue:1')).toBe('acme')
  expect(tenantOf('101')).toBe('main')
})

describe('what a tenant decides', () => {
  test('is fine as it is by default, and with everything else', () => {
    expect(wrongChoices(DEFAULT_CHOICES)).toEqual({})
    const other = { timeZone: 'Europe/Berlin', supportFrom: '00:00', supportTo: '24:00', quietFrom: '22:00', quietTo: '07:00' }
    expect(wrongChoices({ ...other, countryCode: '49', language: 'th', controlTrust: 'BOUND' })).toEqual({})
  })

  test.each([
    ['timeZone', { timeZone: 'Mars/Olympus' }, /"Mars\/Olympus"/],
    ['supportFrom', { supportFrom: '8am' }, /"8am"/],
    ['supportTo', { supportTo: '08:00' }, /later than 08:00/],
    ['quietFrom', { quietFrom: '99:00', quietTo: '07:00' }, /"99:00"/],
    ['quietTo', { quietFrom: '22:00' }, /both/],
    ['quietTo', { quietTo: '07:00' }, /both/],
    ['countryCode', { countryCode: '+66' }, /"\+66"/],
    ['language', { language: 'de' }, /"de" must be one of en, th/],
    ['controlTrust', { controlTrust: 'UNKNOWN' }, /"UNKNOWN" must be one of/],
  ] as [keyof TenantChoices, Partial<TenantChoices>, RegExp][])('%s: %o is refused', (field, choices, words) => {
    expect(wrongChoices({ ...DEFAULT_CHOICES, ...choices })).toEqual({ [field]: expect.stringMatching(words) })
  })
})

test.each([
  ['CLAIMED', 'HINTED', false],
  ['HINTED', 'HINTED', true],
  ['BOUND', 'HINTED', true],
  ['HINTED', 'BOUND', false],
  ['CLAIMED', 'CLAIMED', true],
  ['UNKNOWN', 'CLAIMED', false],
] as [Trust, Trust, boolean][])('trust %s where %s is needed: %s', (has, needed, enough) => {
  expect(trusts(has, needed)).toBe(enough)
})

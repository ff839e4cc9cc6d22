import { expect, test } from 'vitest'
import { DEFAULT_CHOICES, type TenantChoices } from '../../domain/tenants.ts'
import { clock } from '../../domain/time-zone.ts'
import { Talk } from '../conversation/testing/talk.ts'
import { Tenants } from './tenants.ts'
import { answers, commands, NOW, playing, profile, venue } from '../venue/testing/fixture.ts'

function decided(version: number, choices: Partial<TenantChoices>) {
  return { tenant: 'main', version, ...DEFAULT_CHOICES, ...choices, by: '', at: NOW, commands: [] }
}

test('a venue goes by what its tenant has decided, from the next record on', () => {
  const tenants = new Tenants()
  const scene = venue([playing('z1')], {}, {}, tenants)
  expect(scene.kit.state?.tenant).toBeNull()
  tenants.set(decided(1, { controlTrust: 'BOUND' }))
  const refused = scene.ask('PAUSE', ['z1'])
  expect(answers(refused)).toMatchObject([{ outcome: 'REFUSED', reason: 'trust', detail: 'needs bound' }])
  expect(refused.answers).toMatchObject([{ lookup: 'tenant', record: { version: 1, controlTrust: 'BOUND' } }])
  expect(scene.kit.state?.tenant).toMatchObject({ version: 1 })
  // A process that lags behind gives no older settings back.
  tenants.set(decided(0, { controlTrust: 'CLAIMED' }))
  expect(scene.ask('PAUSE', ['z1']).answers).toEqual([])
  tenants.set(decided(1, { controlTrust: 'BOUND' }))
  // What is known is not written once more, and nobody sees it in the profile.
  const again = scene.ask('PAUSE', ['z1'])
  expect(again.answers).toEqual([])
  expect(profile(again)).toBeUndefined()
  tenants.set(decided(2, { controlTrust: 'HINTED', countryCode: '49' }))
  expect(commands(scene.ask('PAUSE', ['z1']))).toHaveLength(1)
  scene.row({ contactPhone: '030 123456' })
  expect(scene.kit.state?.contactPhone).toBe('4930123456')
})

test('a tenant without a record leaves what is known as it is', () => {
  const tenants = new Tenants()
  tenants.set(decided(1, { controlTrust: 'BOUND' }))
  const scene = venue([playing('z1')], {}, {}, tenants)
  tenants.remove('main')
  expect(scene.ask('PAUSE', ['z1']).answers).toEqual([])
  expect(scene.kit.state?.tenant).toMatchObject({ version: 1 })
})

test("what a person is promised counts in the hours of the conversation's tenant", () => {
  const promised = (tenants: Tenants, zone: string) => {
    const talk = new Talk({}, null, tenants)
    const { step, issues } = talk.say('a person please', { override: 'HUMAN' })
    return { due: clock(issues[0]?.dueAt ?? 0, zone), journaled: step.answers.filter(a => a.lookup === 'tenant').length }
  }
  const tenants = new Tenants()
  expect(promised(tenants, 'Asia/Bangkok')).toEqual({ due: '14:00', journaled: 0 })
  // It is ten in Bangkok, and four in London: there support opens at nine.
  tenants.set(decided(3, { timeZone: 'Europe/London', supportFrom: '09:00', supportTo: '17:00' }))
  expect(promised(tenants, 'Europe/London')).toEqual({ due: '13:00', journaled: 1 })
})

test('a conversation begins in the language of its tenant', () => {
  const tenants = new Tenants()
  tenants.set(decided(1, { language: 'th' }))
  const talk = new Talk({}, null, tenants)
  expect(talk.send(talk.message(null, { kind: 'STICKER' })).text).toMatch(/[\u0e00-\u0e7f]/)
})

import { expect, test } from 'vitest'
import { DEFAULT_CHOICES } from '../../domain/tenants.ts'
import { COMMAND } from '../../engine/headers.ts'
import { testkit } from '../../engine/testing/testkit.ts'
import type { TenantChangeInput } from '../../schemas/types.ts'
import { tenantActor } from './actor.ts'

function tenant() {
  const kit = testkit(tenantActor(), { key: 'acme', now: 1_000 })
  const change = (id: string, more: Partial<TenantChangeInput> = {}) => {
    const command = { id, ...DEFAULT_CHOICES, by: 'acme:nok', at: kit.now, ...more }
    const { emits } = kit.handle('TenantChange', command, { id, headers: { [COMMAND]: id } })
    return emits.map(emit => emit.record)
  }
  return { kit, change }
}

test('the environment says what holds at first, and nothing later', () => {
  const { kit, change } = tenant()
  expect(change('a', { first: true, by: '', language: 'th' })).toMatchObject([
    { tenant: 'acme', version: 1, language: 'th', by: '' },
  ])
  expect(change('b', { first: true, by: '', language: 'en' })).toEqual([])
  expect(kit.state).toMatchObject({ version: 1, language: 'th' })
})

test('every change has a number of its own, and says who made it', () => {
  const { change } = tenant()
  expect(change('a')).toMatchObject([{ version: 1, by: 'acme:nok', commands: [{ id: 'a', outcome: 'handled' }] }])
  expect(change('b', { countryCode: '49', expected: 1 })).toMatchObject([
    { version: 2, countryCode: '49', commands: [{ id: 'a' }, { id: 'b', outcome: 'handled' }] },
  ])
})

test('what another has changed meanwhile, or what is wrong, is refused and changes nothing', () => {
  const { kit, change } = tenant()
  change('a')
  const { state } = kit
  const refused = (reason: RegExp) => [
    {
      version: 1,
      commands: expect.arrayContaining([expect.objectContaining({ outcome: 'refused', reason: expect.stringMatching(reason) })]),
    },
  ]
  expect(change('b', { expected: 3 })).toMatchObject(refused(/^conflict: .* version 1 by now, and 3/))
  expect(change('c', { timeZone: 'Mars/Olympus' })).toMatchObject(refused(/^invalid: timeZone: "Mars\/Olympus"/))
  expect(kit.state).toEqual(state)
})

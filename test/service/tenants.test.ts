import { afterAll, beforeAll, expect, it } from 'vitest'
import { ADMIN_TOKEN, CONTACT, type Service, startService, until } from './harness.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
  await service.zonesKnown()
})
afterAll(() => service.close())

const PATH = '/api/v1/tenants/main/settings'
const settled = (version: number) =>
  until(async () => {
    const { status, body } = await service.get(PATH)
    return status === 200 && body.version === version ? body : null
  })
const volumes = () => service.soundtrack.calls.filter(c => c.operation === 'setVolume').length

it('a tenant has its first settings from the environment, and later ones from the API, for good', {
  timeout: 90_000,
}, async () => {
  expect(await settled(1)).toMatchObject({ controlTrust: 'hinted', updatedBy: '' })
  await service.say(CONTACT, 'Hello')
  await service.say(CONTACT, 'Set the volume in the lobby to 5')
  const before = volumes()
  expect(before).toBe(1)

  const answer = await fetch(`${service.url}${PATH}`, {
    method: 'PATCH',
    headers: { authorization: `Bearer ${ADMIN_TOKEN}`, 'content-type': 'application/json', prefer: 'wait=10' },
    body: JSON.stringify({ controlTrust: 'bound' }),
  })
  expect(await answer.json()).toMatchObject({ outcome: 'handled' })
  await settled(2)
  // A phone on file is not enough any more.
  await service.say(CONTACT, 'Set the volume in the lobby to 7')
  expect(volumes()).toBe(before)

  await service.kill()
  await service.start()
  expect(await settled(2)).toMatchObject({ controlTrust: 'bound' })
})

import { rmSync, writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Service, sheetOf, startService, STRANGER, until } from './harness.ts'

/** The venue sheet as a file, from before it is there. */
let service: Service
beforeAll(async () => {
  service = await startService({ ready: false })
})
afterAll(() => service.close())

const change = (text: string) => writeFileSync(service.sheet, text)
const good = () => sheetOf(service.world)
const items = async (path: string) => (await service.get(path)).body.items
const venues = async () => (await items('/api/v1/venues?limit=200')).map((v: { id: string }) => v.id)
/** Statuses as the last answer had them. */
const ready = async () => {
  const response = await fetch(`${service.url}/readyz`)
  const { dependencies } = (await response.json()) as { dependencies: { venues: { status: string; detail: string } } }
  return { status: response.status, venues: dependencies.venues }
}
const newestRun = async () => (await items('/api/v1/sync-runs')).find((r: { source: string }) => r.source.startsWith('sheets:'))

describe('the venue sheet', () => {
  it('has to be in the index before the service is ready; it is alive meanwhile', { timeout: 60_000 }, async () => {
    await until(async () => (await newestRun())?.outcome === 'failed')
    expect(await ready()).toMatchObject({ status: 503, venues: { status: 'down' } })
    expect((await fetch(`${service.url}/healthz`)).status).toBe(200)
    change(good())
    await until(async () => (await ready()).status === 200, 5_000)
    expect((await ready()).venues.detail).toMatch(/3 of 3/)
    const [answer] = await service.say(STRANGER, 'Hello, I am from Lotus Bay Phuket')
    expect(answer?.text).toMatch(/Lotus Bay Phuket/)
  })

  it('shows a change within five seconds, by venue and in the dialogue', { timeout: 20_000 }, async () => {
    change(good().replace('Siam Terrace,3,Silom Road', 'Crimson Terrace,3,Sathorn Road'))
    const began = Date.now()
    const venue = async () => (await service.get('/api/v1/venues/main:3')).body
    await until(async () => (await venue()).location === 'Sathorn Road', 10_000)
    expect(Date.now() - began).toBeLessThan(5_000)
    expect(await venue()).toMatchObject({
      name: 'Crimson Terrace',
      provenance: { name: { source: expect.stringContaining('sheet') } },
    })
    expect(await newestRun()).toMatchObject({ outcome: 'ok', venues: 3 })
  })

  it('refuses rows without an id or a name, loses a bad cell alone, tells each, and keeps the others', {
    timeout: 20_000,
  }, async () => {
    const bad = ['No Number,x,Nowhere,,,,,,,', ',99,No Name,,,,,,,', 'Ivory Pier,1,Twice,,,,,,,', 'Jade Pier,5,Loud,,,,,,,17']
    change(`${good()}${bad.join('\n')}\nTeal Pier,6,Fine,,,,,,,\n`)
    const run = await until(async () => {
      const newest = await newestRun()
      return newest?.errors === 4 ? newest : null
    }, 10_000)
    expect(run).toMatchObject({ outcome: 'ok', venues: 5 })
    expect((await items(`/api/v1/sync-runs/${run.id}/refusals`)).at(-1)).toEqual({
      line: 8,
      column: 'volume_cap',
      value: '17',
      expected: 'a whole number from 0 to 16',
      refused: false,
      reason: 'volume_cap "17" is not a whole number from 0 to 16',
    })
    expect(run.refusals.map((r: { line: number; reason: string }) => `${r.line}: ${r.reason}`)).toEqual([
      expect.stringMatching(/^5: venue_id "x"/),
      expect.stringMatching(/^6: venue_name is missing/),
      expect.stringMatching(/^7: venue_id 1 is on line 2/),
      expect.stringMatching(/^8: volume_cap "17"/),
    ])
    await until(async () => (await venues()).length === 5)
    expect((await venues()).sort()).toEqual(['main:1', 'main:2', 'main:3', 'main:5', 'main:6'])
    expect((await service.get('/api/v1/venues/main:1')).body.name).toBe('Blue Lagoon Pattaya')
  })

  it.each([
    ['emptied', () => '', /empty/],
    ['left with its header', () => good().split('\n').slice(0, 1).join('\n'), /empty/],
    ['badly shrunken', () => good().split('\n').slice(0, 2).join('\n'), /shrunken/],
    ['without its header', () => good().split('\n').slice(1).join('\n'), /no_header/],
  ])('%s changes nothing, raises an alert, and is mended by a good one', { timeout: 30_000 }, async (_name, text, reason) => {
    const alert = async () => (await items('/api/v1/alerts')).find((a: { kind: string }) => a.kind === 'sheet_refused')
    const before = (await venues()).sort()
    change(text())
    await until(async () => (await alert())?.resolved === false && reason.test((await alert()).text), 10_000)
    const run = await until(async () => ((await newestRun())?.outcome === 'refused' ? newestRun() : null))
    expect(run.reason).toMatch(reason)
    expect((await venues()).sort()).toEqual(before)
    expect((await ready()).status).toBe(200)
    change(good())
    await until(async () => (await alert()).resolved, 10_000)
    await until(async () => (await venues()).length === 3)
  })

  it('that is taken away changes nothing either, over a power cut too', { timeout: 60_000 }, async () => {
    rmSync(service.sheet)
    await until(async () => (await newestRun())?.outcome === 'failed', 10_000)
    await service.kill()
    await service.start()
    expect((await venues()).sort()).toEqual(['main:1', 'main:2', 'main:3'])
    const [answer] = await service.say({ from: '66811110009', name: 'Kai' }, 'Hello, I am from Lotus Bay Phuket')
    expect(answer?.text).toMatch(/Lotus Bay Phuket/)
  })
})

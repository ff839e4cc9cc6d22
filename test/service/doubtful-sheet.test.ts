import { writeFileSync } from 'node:fs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { world } from '../../connectors/soundtrack/fake.ts'
import { type Service, startService, until } from './harness.ts'

/** A sheet as a spreadsheet leaves it, and a chain with one account, on a fresh start. */
const chain = world([
  {
    name: 'Reef Group',
    locations: [
      { name: 'Coral Sands Bangkok', zones: ['Lobby', 'Pool'] },
      { name: 'House 2', address: 'Lane 102, Krabi', zones: ['Bar'] },
      { name: 'House 3', zones: ['Spa'] },
    ],
  },
])
const HEADER =
  'venue_id;venue_name;location;contact_name;contact_email;contact_phone;soundtrack_account_id;zone_count;last_issue_date;notes'
const DAO = { from: '66800000101', name: 'Dao' }
const NOK = { from: '66800000103', name: 'Nok' }

let service: Service
beforeAll(async () => {
  service = await startService({ ready: false, world: chain })
})
afterAll(() => service.close())

const items = async (path: string) => (await service.get(path)).body.items
const venue = async (id: string) => (await service.get(`/api/v1/venues/${id}`)).body
const ready = async () => {
  const response = await fetch(`${service.url}/readyz`)
  const { dependencies } = (await response.json()) as { dependencies: { venues: { status: string; detail: string } } }
  return { status: response.status, venues: dependencies.venues }
}
const change = (rows: readonly string[]) => {
  const text = ['sep=;', HEADER, ...rows].join('\r\n').replaceAll('{account}', chain.accounts[0]?.id as string)
  writeFileSync(service.sheet, Buffer.from('\ufeff' + text, 'utf16le'))
}

describe('a doubtful sheet', () => {
  it('that is none leaves the service ready with nothing, and says what it is', { timeout: 30_000 }, async () => {
    writeFileSync(service.sheet, 'PK\x03\x04 xl/workbook.xml')
    await until(async () => (await ready()).status === 200)
    expect((await ready()).venues).toMatchObject({
      status: 'degraded',
      detail: expect.stringMatching(/an \.xlsx workbook; save/),
    })
    await until(async () => (await items('/api/v1/alerts')).some((a: { kind: string }) => a.kind === 'sheet_refused'))
    const [answer] = await service.say(DAO, 'hello')
    expect(answer?.text).toMatch(/venue/i)
  })

  const isRead = ({ source, outcome }: { source: string; outcome: string }) =>
    !source.startsWith('soundtrack') && outcome === 'ok'

  it('gives what can be read of it for certain, and no more', { timeout: 30_000 }, async () => {
    change([
      '101.0;Coral Sands Bangkok;Lane 101;Dao Invented;desk@b.example, x@b.example;66800000101.0;{account};4.0;14/5/2569;x',
      '102;Blue Heron;Lane 102, Krabi;Mali;#N/A;6.68E+10;{account};๔;4/5/2026;x',
      '103;Lanna Inn;Lane 103;Nok;N/A;โทร. 080-000-0103 ต่อ 2;{account};four;2026-05-14 09:30:00;x',
      '#REF!;No Id;;;;;;;;',
    ])
    await until(async () => (await items('/api/v1/venues')).length === 3)
    const of = async (id: string) => {
      const { contact, lastIssueDate, zoneCount } = await venue(id)
      return [contact.phone, contact.email, lastIssueDate, zoneCount]
    }
    expect(await of('main:101')).toEqual(['66800000101', 'desk@b.example', '2026-05-14', 4])
    expect(await of('main:102')).toEqual([null, null, '2026-05-04', 4])
    expect(await of('main:103')).toEqual(['66800000103', null, '2026-05-14', null])
    const run = await until(async () => (await items('/api/v1/sync-runs')).find(isRead))
    expect(run.refusals.map((r: { line: number; column: string; refused: boolean }) => [r.line, r.column, r.refused])).toEqual([
      [3, 'contact_email', false],
      [4, 'last_issue_date', false],
      [4, 'contact_email', false],
      [4, 'contact_phone', false],
      [5, 'zone_count', false],
      [6, 'venue_id', true],
    ])
    expect((await ready()).venues).toMatchObject({ status: 'up', detail: '3 of 3 venues are in the index' })
  })

  it('with several venues on one account gives each its zones where the locations say it', { timeout: 30_000 }, async () => {
    const zones = async (id: string) => (await venue(id)).zones.map((zone: { name: string }) => zone.name)
    await until(async () => (await zones('main:102')).length > 0)
    expect(await Promise.all(['main:101', 'main:102', 'main:103'].map(zones))).toEqual([['Lobby', 'Pool'], ['Bar'], []])
    const alerts = () => items('/api/v1/alerts?kind=soundtrack_ambiguous')
    await until(async () => (await alerts()).length > 0)
    expect(await alerts()).toMatchObject([{ resolved: false, text: expect.stringMatching(/1 zones could belong/) }])
  })

  it('answers a venue whose zones cannot be told at once, and a human hears of its wishes', { timeout: 30_000 }, async () => {
    for (const [said, answered, replies] of [
      ['hello', /Hello Nok/, 1],
      ['turn the music down in the spa', /technical team has it now/, 1],
      ['what is playing?', /can't (be read|read)/, 2],
    ] as const) {
      const began = Date.now()
      expect((await service.say(NOK, said, { replies }))[0]?.text).toMatch(answered)
      expect(Date.now() - began).toBeLessThan(3_000)
    }
    const alerts = () => items('/api/v1/alerts?kind=handover&venue=main:103')
    const handovers = await until(async () => ((await alerts()).length > 0 ? alerts() : null))
    expect(handovers).toMatchObject([{ department: 'operations', resolved: false }])
  })

  it('with a bad cell leaves what was known of it', { timeout: 30_000 }, async () => {
    change(['101;Coral Sands;Lane 101;Dao Invented;nobody;ask;{account};x;soon;new', '102;Blue Heron;Lane 102, Krabi;;;;;;;'])
    await until(async () => (await venue('main:101')).notes === 'new')
    expect(await venue('main:101')).toMatchObject({
      name: 'Coral Sands',
      contact: { phone: '66800000101', email: 'desk@b.example' },
      lastIssueDate: '2026-05-14',
      zoneCount: 4,
    })
    await until(async () => (await venue('main:102')).contact.name === null)
    expect(await venue('main:102')).toMatchObject({ lastIssueDate: null, zoneCount: null })
  })

  it('that is another one under the same name changes nothing, and says what to do', { timeout: 30_000 }, async () => {
    change(['101;Crimson Pier;Elsewhere;Kai;kai@c.example;080 000 0999;;;;', '102;Jade Pier;Elsewhere;Kai;;;;;;'])
    await until(async () => /swapped: .* SHEET_ACCEPT=/.test((await ready()).venues.detail))
    const alert = async () => (await items('/api/v1/alerts?kind=sheet_refused'))[0]
    await until(async () => !(await alert()).resolved && /swapped/.test((await alert()).text))
    expect(await venue('main:101')).toMatchObject({ name: 'Coral Sands', contact: { phone: '66800000101' } })
  })
})

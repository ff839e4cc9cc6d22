import { spawn } from 'node:child_process'
import { copyFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Service, sheetOf, startService, until } from './harness.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.close())

const get = (path: string) => service.get(path)

describe('the venue sheet', () => {
  const change = (text: string) => writeFileSync(service.sheet, text)
  const venue = async () => (await get('/api/v1/venues/main:1')).body

  it('shows a change within five seconds', { timeout: 20_000 }, async () => {
    change(sheetOf(service.world).replace('Beach Road', 'Second Road'))
    const began = Date.now()
    await until(async () => (await venue()).location === 'Second Road', 10_000)
    expect(Date.now() - began).toBeLessThan(5_000)
  })

  it('refuses bad rows with their reasons, and keeps the others', { timeout: 20_000 }, async () => {
    change(`${sheetOf(service.world)}not-a-number,x,Nowhere,,,,,,,\n,99,No Name,,,,,,,\n`)
    const run = await until(
      async () => (await get('/api/v1/sync-runs')).body.items.find((r: { errors: number }) => r.errors > 0),
      10_000,
    )
    expect(run.refusals).toEqual(
      expect.arrayContaining([
        expect.objectContaining({ line: expect.any(Number), reason: expect.stringMatching(/venue_id|venue_name/) }),
      ]),
    )
    expect((await get('/api/v1/venues')).body.items).toHaveLength(3)
  })

  it.each([
    ['emptied', () => ''],
    ['badly shrunken', () => sheetOf(service.world).split('\n').slice(0, 2).join('\n')],
  ])('%s changes nothing and raises an alert', { timeout: 20_000 }, async (_name, text) => {
    const alerts = async () =>
      (await get('/api/v1/alerts')).body.items.filter(
        (a: { kind: string; resolved: boolean }) => a.kind === 'sheet_refused' && !a.resolved,
      )
    change(sheetOf(service.world))
    await until(async () => (await alerts()).length === 0, 10_000)
    change(text())
    await until(async () => (await alerts()).length > 0, 10_000)
    expect((await get('/api/v1/venues')).body.items).toHaveLength(3)
  })

  it('has to be read before the service is ready; it is alive meanwhile', { timeout: 60_000 }, async () => {
    const late = await startService({ env: { VENUES_CSV: join(service.folder, 'late.csv') }, ready: false })
    try {
      expect((await fetch(`${late.url}/healthz`)).status).toBe(200)
      expect((await fetch(`${late.url}/readyz`)).status).toBe(503)
      change(sheetOf(service.world))
      copyFileSync(service.sheet, join(service.folder, 'late.csv'))
      await until(async () => (await fetch(`${late.url}/readyz`)).status === 200, 20_000)
    } finally {
      await late.close()
    }
  })
})

describe('the process', () => {
  const main = (env: Record<string, string>) =>
    new Promise<{ code: number | null; output: string }>(resolve => {
      const child = spawn(process.execPath, ['main.ts'], {
        cwd: join(import.meta.dirname, '../..'),
        env: { ...process.env, ...env },
      })
      let output = ''
      for (const stream of [child.stdout, child.stderr]) stream.on('data', chunk => (output += chunk))
      child.once('exit', code => resolve({ code, output }))
    })

  it('refuses a data folder that another one has, naming it', { timeout: 30_000 }, async () => {
    const { code, output } = await main({ DATA_DIR: join(service.folder, 'data'), PORT: '0', DEMO: '0' })
    expect(code).toBe(1)
    expect(output).toMatch(join(service.folder, 'data'))
    expect(output).toMatch(/another process/)
  })

  it('refuses settings that cannot be, all at once', { timeout: 30_000 }, async () => {
    const { code, output } = await main({ ROLES: 'api', PORT: 'x', CONTROL_TRUST: 'everyone', WHATSAPP_APP_SECRET: 's' })
    expect(code).toBe(1)
    for (const what of [
      /ROLES is "api".*one process/,
      /PORT is "x"/,
      /CONTROL_TRUST is "everyone"/,
      /WhatsApp is configured in part/,
    ])
      expect(output).toMatch(what)
    expect((await main({ TIME_SCALE: '10', NODE_ENV: 'production' })).output).toMatch(/TIME_SCALE/)
  })

  it('ends on SIGTERM with everything taken answered, and goes on from there', { timeout: 60_000 }, async () => {
    const guests = Array.from({ length: 20 }, (_, n) => ({ from: String(66_830_000_000 + n), name: 'Guest' }))
    const delivered = await Promise.all(
      guests.map(async guest => ({ guest, ...(await service.whatsapp.deliver({ ...guest, text: 'Hello' })) })),
    )
    const began = Date.now()
    expect(await service.terminate()).toBe(0)
    expect(Date.now() - began).toBeLessThan(15_000)
    await service.start()
    const taken = delivered.filter(d => d.answers.includes(200)).map(d => d.guest.from)
    const replies = (from: string) => service.whatsapp.sent.filter(m => m.to === from).length
    await until(() => taken.every(from => replies(from) > 0), 20_000)
    expect(taken.filter(from => replies(from) !== 1)).toEqual([])
  })
})

describe('the outside surface', () => {
  it('has the metrics that dashboards know', async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text()
    for (const name of ['kafka_topic_partition_current_offset', 'kafka_consumergroup_current_offset', 'kafka_consumergroup_lag'])
      expect(text).toMatch(new RegExp(`^${name}\\{`, 'm'))
    expect(text).toMatch(/kafka_consumergroup_lag\{consumergroup="bma.processors",topic="conversation.inbox",partition="0"\} \d/)
  })

  it('is described, and every /api route of the description wants a token first', async () => {
    const { body: document } = await service.get('/openapi.json')
    expect(document.openapi).toMatch(/^3\.1/)
    const paths = Object.keys(document.paths)
    for (const path of ['/venues', '/venues/{id}', '/conversations', '/conversations/{id}', '/alerts', '/sync-runs'])
      expect(paths).toContain(`/api/v1${path}`)
    for (const path of paths.filter(p => p.startsWith('/api'))) {
      expect((await service.get(path.replace('{id}', 'x'), null)).status, path).toBe(401)
      expect((await service.get(path.replace('{id}', 'x'), 'wrong')).status, path).toBe(401)
    }
  })
})

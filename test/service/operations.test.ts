import { spawn } from 'node:child_process'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Service, startService, until } from './harness.ts'

let service: Service
beforeAll(async () => {
  service = await startService()
})
afterAll(() => service.close())

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
    expect(output).toMatch(/in use by (another )?process|another process uses/)
    expect((await fetch(`${service.url}/readyz`)).status).toBe(200)
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

  it('ends on SIGTERM under load within 15 s, loses nothing, and goes on from there', { timeout: 90_000 }, async () => {
    // Slow enough for sends to be under way when it has to end.
    service.whatsapp.fault({ kind: 'latency', ms: 700, times: 1_000 })
    const guests = Array.from({ length: 200 }, (_, n) => ({ from: String(66_830_000_000 + n), name: 'Guest' }))
    /** Redelivers until it is taken, as the provider does. */
    const deliver = async (guest: (typeof guests)[number], id: string) => {
      for (;;) {
        const taken = await service.whatsapp.deliver({ ...guest, id, text: 'Hello' }).then(
          ({ answers }) => answers[0] === 200,
          () => false,
        )
        if (taken) return
        await sleep(100)
      }
    }
    const delivered = Promise.all(
      guests.map(async (guest, n) => {
        await sleep(n * 10)
        await deliver(guest, `wamid.drain.${n}`)
      }),
    )
    await until(() => service.whatsapp.requests > 20)
    const began = Date.now()
    expect(await service.terminate()).toBe(0)
    expect(Date.now() - began).toBeLessThan(15_000)
    await service.start()
    await delivered
    const replies = (from: string) => service.whatsapp.sent.filter(m => m.to === from).length
    await until(
      () => guests.every(({ from }) => replies(from) > 0),
      30_000,
      () => `replies to ${guests.filter(({ from }) => replies(from) === 0).map(({ from }) => from)}`,
    )
    expect(guests.filter(({ from }) => replies(from) !== 1)).toEqual([])
    const rows = await until(async () => {
      const found = await service.query(`SELECT direction, status FROM messages WHERE status <> 'queued'`)
      return found.length >= 2 * guests.length ? found : null
    }, 20_000)
    // What was under way had its answer before the end: nothing is unknown.
    expect(rows.filter(r => ['unknown', 'failed'].includes(r.status))).toEqual([])
  })
})

interface Operation {
  readonly operationId: string
  readonly responses: Record<string, { readonly description: string }>
}

describe('the outside surface', () => {
  it('has the metrics that dashboards know', async () => {
    const text = await (await fetch(`${service.url}/metrics`)).text()
    for (const name of ['kafka_topic_partition_current_offset', 'kafka_consumergroup_current_offset', 'kafka_consumergroup_lag'])
      expect(text).toMatch(new RegExp(`^${name}\\{`, 'm'))
    expect(text).toMatch(/kafka_consumergroup_lag\{consumergroup="bma.processors",topic="conversation.inbox",partition="0"\} \d/)
  })

  it('has a worker for what is sent that has nothing to do with what is read of providers', async () => {
    const text = await until(async () => {
      const found = await (await fetch(`${service.url}/metrics`)).text()
      return /kafka_consumergroup_lag\{consumergroup="bma.sources"/.test(found) ? found : null
    })
    const reads = (group: string) =>
      new Set(
        [...text.matchAll(/kafka_consumergroup_lag\{consumergroup="([\w.]+)",topic="([\w.]+)"/g)]
          .filter(m => m[1] === group)
          .map(m => m[2]),
      )
    expect(reads('bma.connectors')).toEqual(new Set(['whatsapp.inbox']))
    expect(reads('bma.sources')).not.toContain('whatsapp.inbox')
    for (const worker of ['channels', 'sources']) expect(text).toContain(`app_worker_assigned{worker="${worker}"} 1`)
  })

  it('is described, and every /api route of the description wants a token first', async () => {
    const { body: document } = await service.get('/openapi.json')
    expect(document.openapi).toMatch(/^3\.1/)
    const paths = Object.keys(document.paths)
    for (const path of ['/webhooks/whatsapp', '/healthz', '/readyz', '/metrics', '/openapi.json']) expect(paths).toContain(path)
    const operations = Object.values(document.paths).flatMap(path => Object.values(path as Record<string, Operation>))
    expect(new Set(operations.map(o => o.operationId)).size).toBe(operations.length)
    for (const { operationId, responses } of operations) {
      expect(Object.keys(responses), operationId).toContain('default')
      for (const response of Object.values(responses)) expect(response.description, operationId).toBeTruthy()
    }
    for (const [, name] of JSON.stringify(document).matchAll(/"#\/components\/schemas\/(\w+)"/g))
      expect(document.components.schemas).toHaveProperty(name as string)
    for (const path of ['/venues', '/venues/{id}', '/conversations', '/conversations/{id}', '/alerts', '/sync-runs'])
      expect(paths).toContain(`/api/v1${path}`)
    for (const path of paths.filter(p => p.startsWith('/api'))) {
      expect((await service.get(path.replace('{id}', 'x'), null)).status, path).toBe(401)
      expect((await service.get(path.replace('{id}', 'x'), 'wrong')).status, path).toBe(401)
    }
    for (const path of ['/api', '/api/v1/nothing', '/api/v1/venues?limit=0', '/api/%zz'])
      expect((await service.get(path, null)).status, path).toBe(401)
  })
})

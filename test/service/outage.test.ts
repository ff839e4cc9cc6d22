/** Each store away for a while under load: the others go on, nothing is lost, `/readyz` says which. `OUTAGE_S=60` is the long run. */
import { createHmac, randomUUID } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import pg from 'pg'
import { expect, it } from 'vitest'
import { openClickHouse, selectRows } from '../../sinks/clickhouse/client.ts'
import { startEmbeddedClickHouse } from '../../sinks/clickhouse/embedded.ts'
import { openGate, through } from '../stack/gate.ts'
import { connectRedis } from '../stack/redis.ts'
import { startStack } from '../stack/stack.ts'
import { describeWithStack } from '../stack/vitest.ts'
import { startService, until } from './harness.ts'

const SECONDS = Number(process.env.OUTAGE_S ?? 4)
const RATE = 20
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

function webhook(from: string, n: number): string {
  const message = {
    from,
    id: `wamid.${from}`,
    timestamp: String(Math.floor(Date.now() / 1000)),
    type: 'text',
    text: { body: `Hello ${n}` },
  }
  const value = {
    messaging_product: 'whatsapp',
    metadata: { display_phone_number: '15550783881', phone_number_id: '106540352242922' },
    contacts: [{ profile: { name: 'Guest' }, wa_id: from }],
    messages: [message],
  }
  return JSON.stringify({ object: 'whatsapp_business_account', entry: [{ id: '1', changes: [{ field: 'messages', value }] }] })
}

await describeWithStack('each store away under load', ({ DATABASE_URL }) => {
  it(`for ${SECONDS} s: the others go on, and nothing is lost`, { timeout: 600_000 }, async () => {
    const closers: (() => unknown)[] = []
    try {
      const name = `outage_${randomUUID().replaceAll('-', '')}`
      const admin = new pg.Client({ connectionString: DATABASE_URL })
      await admin.connect()
      closers.push(() => admin.end())
      await admin.query(`CREATE DATABASE ${name}`)
      closers.push(() => admin.query(`DROP DATABASE ${name} WITH (FORCE)`))
      const database = new URL(DATABASE_URL)
      database.pathname = name
      const stack = await startStack({ only: ['redis'] })
      closers.push(() => stack.stop())
      const dataDir = mkdtempSync(join(tmpdir(), 'outage-'))
      closers.push(() => rmSync(dataDir, { recursive: true, force: true }))
      const clickhouse = await startEmbeddedClickHouse({ dataDir, log: quiet })
      closers.push(() => clickhouse.stop())
      const urls = { postgres: database.href, redis: stack.env.REDIS_URL as string, clickhouse: clickhouse.url }
      const gateTo = (url: string) => openGate({ host: '127.0.0.1', port: Number(new URL(url).port) })
      const gates = {
        redis: await gateTo(urls.redis),
        clickhouse: await gateTo(urls.clickhouse),
        postgres: await gateTo(urls.postgres),
      }
      closers.push(() => Object.values(gates).map(gate => gate.shut()))
      const service = await startService({
        env: {
          DATABASE_URL: through(gates.postgres, urls.postgres),
          REDIS_URL: through(gates.redis, urls.redis),
          CLICKHOUSE_URL: through(gates.clickhouse, urls.clickhouse),
        },
      })
      closers.push(() => service.close())

      const refused: number[] = []
      let [sent, over] = [0, false]
      const loading = (async () => {
        while (!over) {
          const body = webhook(String(66_720_000_000 + sent), sent)
          sent++
          const signature = `sha256=${createHmac('sha256', 'app-secret').update(body).digest('hex')}`
          const headers = { 'content-type': 'application/json', 'x-hub-signature-256': signature }
          const { status } = await fetch(`${service.url}/webhooks/whatsapp`, { method: 'POST', body, headers })
          if (status !== 200) refused.push(status)
          await sleep(1_000 / RATE)
        }
      })()
      const ready = async () => {
        const response = await fetch(`${service.url}/readyz`)
        const { dependencies } = (await response.json()) as { dependencies: Record<string, { status: string }> }
        const wrong = Object.entries(dependencies).filter(([, { status }]) => status !== 'up')
        return { status: response.status, wrong: wrong.map(([of]) => of) }
      }
      await until(async () => (await ready()).wrong.length === 0, 30_000)
      for (const store of ['redis', 'clickhouse', 'postgres'] as const) {
        gates[store].shut()
        const began = Date.now()
        // Where ClickHouse's sink keeps its positions, it waits too.
        const wanted = store === 'postgres' ? ['clickhouse', 'postgres'] : [store]
        await until(
          async () => String((await ready()).wrong.sort()) === String(wanted),
          30_000,
          () => `${store} is told`,
        )
        expect((await ready()).status).toBe(store === 'postgres' ? 503 : 200)
        await sleep(Math.max(0, SECONDS * 1000 - (Date.now() - began)))
        await gates[store].open()
        await until(
          async () => (await ready()).wrong.length === 0,
          60_000,
          () => `${store} is back`,
        )
      }
      over = true
      await loading
      expect(refused).toEqual([])

      const rows = new pg.Client({ connectionString: urls.postgres })
      const redis = await connectRedis(urls.redis)
      const client = openClickHouse(urls.clickhouse)
      closers.push(
        () => rows.end(),
        () => redis.disconnect(),
        () => client.close(),
      )
      await rows.connect()
      const mine = "direction = 'in'"
      await until(async () => (await rows.query(`SELECT 1 FROM messages WHERE ${mine}`)).rowCount === sent, 60_000)
      await until(async () => (await redis.keys('v1:conv:*')).length === sent, 60_000)
      const counted = () =>
        selectRows<{ n: string }>(client, "SELECT count() AS n FROM conversation_events WHERE kind = 'message_in'")
      await until(
        async () => Number((await counted())[0]?.n) === sent,
        60_000,
        () => `${sent} messages in ClickHouse`,
      )
      console.log(`${sent} messages, each store away for ${SECONDS} s`)
    } finally {
      for (const close of closers.reverse()) await close()
    }
  })
})

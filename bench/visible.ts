/** How long after a webhook its message is in Postgres, Redis and ClickHouse, at a steady rate through the whole service. */
import { connectRedis } from '../test/stack/redis.ts'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { clickHouseClient, selectRows } from '../sinks/clickhouse/client.ts'
import { openPool } from '../sinks/postgres/pool.ts'
import { startService } from '../test/service/harness.ts'
import { startStack } from '../test/stack/stack.ts'
import { startEmbeddedClickHouse } from '../sinks/clickhouse/embedded.ts'
import { deliver, startProvider } from './turn.ts'

const RATE = 100
const SECONDS = 15
const quiet = { info: () => {}, warn: () => {}, error: () => {} }

export interface Visible {
  readonly store: string
  readonly p50: number
  readonly p99: number
}

/** Stores are servers of their own, so that they can be asked directly; they are asked every few ms. */
export async function benchVisible(): Promise<Visible[]> {
  const stack = await startStack({ only: ['redis', 'postgres'] })
  const clickhouse = await startEmbeddedClickHouse({ dataDir: mkdtempSync(join(tmpdir(), 'bench-visible-')), log: quiet })
  const provider = await startProvider()
  const { DATABASE_URL, REDIS_URL } = stack.env as { DATABASE_URL: string; REDIS_URL: string }
  const env = { WHATSAPP_API_URL: provider.url, DATABASE_URL, REDIS_URL, CLICKHOUSE_URL: clickhouse.url, LOG_LEVEL: 'error' }
  const service = await startService({ env })
  const pool = openPool({ url: DATABASE_URL, log: quiet })
  const redis = await connectRedis(REDIS_URL)
  const client = clickHouseClient(clickhouse.url)
  try {
    const sent = new Map<string, number>()
    const seen = { postgres: new Map<string, number>(), redis: new Map<string, number>(), clickhouse: new Map<string, number>() }
    let over = false
    const note = (of: Map<string, number>, ids: readonly string[]) => {
      const now = performance.now()
      for (const id of ids) if (!of.has(id)) of.set(id, now)
    }
    const watch = async (every: number, look: () => Promise<void>) => {
      while (!over) {
        await look()
        await sleep(every)
      }
    }
    let newest = new Date(0)
    let [redisCursor, rows] = ['0', 0]
    const watching = [
      watch(5, async () => {
        const found = await pool.query<{ user_id: string; opened_at: Date }>(
          // They come in order by partition alone.
          "SELECT user_id, opened_at FROM conversations WHERE opened_at >= $1::timestamptz - interval '3 seconds' ORDER BY opened_at",
          [newest],
        )
        newest = found.rows.at(-1)?.opened_at ?? newest
        note(
          seen.postgres,
          found.rows.map(row => row.user_id),
        )
      }),
      // Redis tells no users: how many conversations there are says how many have come, in their order.
      watch(20, async () => {
        let count = 0
        redisCursor = '0'
        do {
          const [next, keys] = await redis.scan(redisCursor, 'MATCH', 'v1:conv:*', 'COUNT', 2_000)
          redisCursor = next
          count += keys.length
        } while (redisCursor !== '0')
        note(seen.redis, [...sent.keys()].slice(0, count))
      }),
      watch(100, async () => {
        const [found] = await selectRows<{ n: string }>(
          client,
          "SELECT uniqExact(conversation_id) AS n FROM conversation_events WHERE kind = 'message_in'",
        ).catch(() => [])
        rows = Number(found?.n ?? rows)
        note(seen.clickhouse, [...sent.keys()].slice(0, rows))
      }),
    ]
    const began = performance.now()
    for (let n = 0; n < RATE * SECONDS; n++) {
      const due = began + (n * 1000) / RATE
      if (due > performance.now()) await sleep(due - performance.now())
      const from = String(66_710_000_000 + n)
      sent.set(from, performance.now())
      void deliver(`${service.url}/webhooks/whatsapp`, { from, id: `wamid.${from}`, text: `Hello ${n}` })
    }
    for (const until = Date.now() + 30_000; Date.now() < until; await sleep(100)) {
      if (Object.values(seen).every(of => of.size >= sent.size)) break
    }
    over = true
    await Promise.all(watching)
    return Object.entries(seen).map(([store, of]) => {
      const times = [...sent].slice(RATE).map(([from, at]) => (of.get(from) ?? Number.POSITIVE_INFINITY) - at)
      times.sort((a, b) => a - b)
      return { store, p50: times[times.length >> 1] as number, p99: times[Math.floor(times.length * 0.99)] as number }
    })
  } finally {
    await client.close()
    redis.disconnect()
    await pool.end()
    await service.close()
    await Promise.all([provider.close(), clickhouse.stop(), stack.stop()])
  }
}
